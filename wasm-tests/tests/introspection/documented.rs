//! The configurations in `docs/introspection.md`, each with answers as that server gives them.

use std::fs;

use serde_json::{Value, json};
use wasm_tests::client::{self, Request};
use wasm_tests::echo::Echo;
use wasm_tests::envoy::{Envoy, workspace_dir};
use wasm_tests::introspector::Introspector;
use wasm_tests::on_each_host;
use wasm_tests::scene::{Host, seen};

use crate::{Guarded, now, says};

on_each_host! {
    each_documented_server_is_asked_and_what_it_calls_a_refresh_token_is_refused,
}

/// The configuration under a heading.
fn configuration(server: &str) -> Value {
    let page = fs::read_to_string(workspace_dir().join("docs/introspection.md")).unwrap();
    let (_, section) = page.split_once(&format!("## {server}\n")).expect(server);
    let (_, block) = section.split_once("```yaml\n").unwrap();
    let (yaml, _) = block.split_once("```").unwrap();
    yaml_serde::from_str(yaml).unwrap()
}

/// The answers of each server for alice's access token, and for her refresh token if it distinguishes the two.
fn answers(server: &str) -> (Value, Option<Value>) {
    let (iat, exp) = (now(), now() + 3600);
    match server {
        // From 2.0 on
        "Ory Hydra" => {
            let of = |token_use: &str| {
                json!({"active": true, "scope": "openid offline read", "client_id": "shop", "sub": "alice",
                    "exp": exp, "iat": iat, "nbf": iat, "aud": ["api"], "iss": "https://login.example.com/",
                    "token_type": "Bearer", "token_use": token_use, "ext": {"team": "red"}})
            };
            (of("access_token"), Some(of("refresh_token")))
        }
        "Keycloak" => {
            let of = |typ: &str| {
                json!({"exp": exp, "iat": iat, "jti": "a1", "iss": "https://login.example.com/realms/shop",
                    "aud": "account", "sub": "alice", "typ": typ, "azp": "web-app", "sid": "s1", "acr": "1",
                    "realm_access": {"roles": ["customer"]}, "scope": "openid profile",
                    "preferred_username": "alice", "client_id": "web-app", "username": "alice",
                    "token_type": "Bearer", "active": true})
            };
            (of("Bearer"), Some(of("Refresh")))
        }
        "Authelia" => {
            let access = json!({"active": true, "aud": ["https://api.example.com"], "client_id": "web-app",
                "exp": exp, "iat": iat, "scope": "openid profile", "sub": "alice", "username": "alice"});
            (access, None)
        }
        other => panic!("{other} is not documented"),
    }
}

async fn each_documented_server_is_asked_and_what_it_calls_a_refresh_token_is_refused<H: Host>() {
    for server in ["Ory Hydra", "Keycloak", "Authelia"] {
        let (access, refresh) = answers(server);
        let refused: Vec<_> =
            refresh.iter().map(|_| "refresh").chain(["other"]).map(|token| (token, 401)).collect();
        let introspector = Introspector::start(move |question| match question.token().as_deref() {
            Some("access") => says(&access),
            Some("refresh") => says(refresh.as_ref().unwrap()),
            _ => says(&json!({"active": false})),
        })
        .await
        .unwrap();
        let mut configuration = configuration(server);
        let asked = &mut configuration["jwt"][0]["introspection"];
        // The host that behaves like APISIX goes by the scheme, and speaks no TLS.
        asked["url"] = json!(asked["url"].as_str().unwrap().replace("https://", "http://"));
        asked["upstream"] = json!(H::upstream("server", introspector.address()));
        let app = Echo::start().await.unwrap();
        let host = H::start(H::builder(&app, &[("server", introspector.address())]), configuration).await;
        for (token, status) in [("access", 200)].into_iter().chain(refused) {
            let request = Request::get("/").header("authorization", format!("Bearer {token}"));
            let answer = client::send(host.address(), request).await;
            assert_eq!(answer.status, status, "{server}: {token}: {answer:?}");
            if status == 200 {
                let user = ("x-user-id".to_owned(), "alice".to_owned());
                assert!(seen(&answer).headers.contains(&user), "{server}");
            }
        }
    }
}

// In Envoy alone, whose pages these are.
#[tokio::test]
async fn the_secret_is_where_the_documents_say_that_envoy_shows_it() {
    let guarded = Guarded::<Envoy>::start(|_| (), |_| says(&json!({"active": false}))).await;
    let dump = client::send(guarded.host.admin(), Request::get("/config_dump")).await;
    assert!(String::from_utf8_lossy(&dump.body).contains("hunter2"));
}
