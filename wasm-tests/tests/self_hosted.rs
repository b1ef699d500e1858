//! A self-hosted Authgear as operators run it: without `TRUST_PROXY`, with its keys withheld, behind URLs with a
//! final slash, and with options that turn off the caches.

use std::time::Duration;

use serde_json::{Value, json};
use wasm_tests::authgear::{Endpoint, Fault, Options, StatusCode};
use wasm_tests::client::Request;
use wasm_tests::envoy::Envoy;
use wasm_tests::on_each_host;
use wasm_tests::scene::{Host, Layout, Scene};
use wasm_tests::wait::{holds, wait_until};

on_each_host! {
    without_trust_in_the_proxy_cookies_are_known_and_jwts_are_nobody,
    where_keys_are_kept_back_the_resolver_is_asked_about_jwts_and_cookies,
    a_final_slash_of_a_url_is_not_sent,
    remembering_nothing_may_be_said_of_each_kind,
    a_bearer_credential_is_read_as_authgear_reads_it,
    keys_without_alg_and_kid_verify_here_and_make_a_jwt_nobody_at_the_resolver,
}

fn auto(configuration: &mut Value) {
    configuration["authgear"]["mode"] = json!("auto");
    configuration["access"] = json!("required");
}

fn with_token(token: &str) -> Request {
    Request::get("/").header("authorization", format!("Bearer {token}"))
}

fn with_cookie(session: &str) -> Request {
    Request::get("/").header("cookie", format!("session={session}"))
}

async fn user<H: Host>(scene: &Layout<H>, request: Request) -> Option<String> {
    scene.seen(request).await.identity_header("x-authgear-user-id")
}

/// The filter sends `X-Forwarded-Proto: https` for an https endpoint, and this server does not trust it.
async fn without_trust_in_the_proxy_cookies_are_known_and_jwts_are_nobody<H: Host>() {
    let options = Options { trust_proxy: false, ..Options::default() };
    let scene = Layout::<H>::start_with(options, |_| (), |host| host).await;
    let (session, opaque) = (scene.authgear.log_in("alice"), scene.authgear.opaque_token("alice"));
    for request in [with_cookie(&session), with_token(&opaque)] {
        assert_eq!(user(&scene, request).await.as_deref(), Some("alice"));
    }
    assert_eq!(user(&scene, with_token(&scene.authgear.jwt("alice"))).await, None);
}

#[tokio::test]
async fn a_resolver_that_knows_no_jwt_is_told_in_the_log_with_what_to_look_at() {
    let without_trust = Options { trust_proxy: false, ..Options::default() };
    let with_bare_keys = Options { has_bare_keys: true, ..Options::default() };
    // The keys come from a server at the public origin. Only the resolver is reached over plain HTTP.
    let trusting = wasm_tests::authgear::Authgear::start(Options {
        public_origin: Some(wasm_tests::scene::ORIGIN.into()),
        ..Options::default()
    })
    .await
    .unwrap();
    for (options, keys) in [(without_trust, Some(trusting.main_address())), (with_bare_keys, None)] {
        let revalidating = |configuration: &mut Value| {
            auto(configuration);
            configuration["authgear"]["revalidate"] = json!("1s");
            if keys.is_some() {
                configuration["authgear"]["upstream"] = json!("keys");
            }
        };
        let setup = |envoy: wasm_tests::envoy::Builder| {
            keys.into_iter().fold(envoy.concurrency(1), |envoy, keys| envoy.cluster("keys", keys))
        };
        let scene = Scene::start_with(options, revalidating, setup).await;
        scene.host.wait_for_stat("wasmcustom.authgear_filter.keys.fetched", 2).await;
        // All sign with the same key.
        let tokens: Vec<_> = (0..12).map(|_| scene.authgear.jwt("alice")).collect();
        for token in &tokens {
            assert_eq!(user(&scene, with_token(token)).await.as_deref(), Some("alice"));
        }
        wait_until("the log names what to look at", Duration::from_secs(30), || async {
            for token in &tokens {
                scene.send(with_token(token)).await;
            }
            let log = scene.host.log();
            holds(log.contains("TRUST_PROXY") && log.contains("`alg`"), log)
        })
        .await;
        assert_eq!(scene.host.stat("wasmcustom.authgear_filter.tokens.confirmed").await, 0);
        let session = scene.authgear.log_in("bob");
        assert_eq!(
            user(&scene, with_cookie(&session)).await.as_deref(),
            Some("bob"),
            "cookies work all the while"
        );
    }
}

async fn keys_without_alg_and_kid_verify_here_and_make_a_jwt_nobody_at_the_resolver<H: Host>() {
    for (mode, expected) in [("auto", Some("alice")), ("local", Some("alice")), ("resolver", None)] {
        let public_origin = Some(H::ORIGIN.to_owned());
        let options = Options { has_bare_keys: true, public_origin, ..Options::default() };
        let change = |configuration: &mut Value| {
            let authgear = configuration["authgear"].as_object_mut().expect("an object");
            authgear.insert("mode".into(), json!(mode));
            if mode == "local" {
                authgear.retain(|name, _| !name.starts_with("resolver"));
            }
        };
        let scene = Layout::<H>::start_with(options, change, |host| host).await;
        let request = with_token(&scene.authgear.jwt("alice"));
        assert_eq!(user(&scene, request).await.as_deref(), expected, "{mode}");
    }
}

async fn where_keys_are_kept_back_the_resolver_is_asked_about_jwts_and_cookies<H: Host>() {
    for status in [StatusCode::FORBIDDEN, StatusCode::TEMPORARY_REDIRECT] {
        let faults = [(Endpoint::Jwks, Fault::Status(status))];
        let options = Options { public_origin: Some(H::ORIGIN.into()), ..Options::default() };
        let scene = Layout::<H>::start_failing(options, faults, auto, |host| host).await;
        let (jwt, session) = (scene.authgear.jwt("alice"), scene.authgear.log_in("bob"));
        let cookie = format!("session={session}");
        for (what, request, expected) in [
            ("a JWT", with_token(&jwt), "alice"),
            ("a JWT beside a cookie", with_token(&jwt).header("cookie", &cookie), "alice"),
            ("a cookie", with_cookie(&session), "bob"),
            ("an opaque token", with_token(&scene.authgear.opaque_token("carol")), "carol"),
        ] {
            assert_eq!(user(&scene, request).await.as_deref(), Some(expected), "{status}: {what}");
        }
        // What cannot pass with keys cannot pass without them.
        let foreign = scene
            .authgear
            .jwt_with("alice", |claims, _| drop(claims.insert("iss".into(), json!("https://x"))));
        assert_eq!(scene.send(with_token(&foreign)).await.status, 401, "{status}");
        let beside = with_token(&foreign).header("cookie", &cookie);
        assert_eq!(user(&scene, beside).await.as_deref(), Some("bob"), "{status}: its cookies alone");
        scene.authgear.revoke_token(&jwt);
        scene.host.wait_for_log("cannot be fetched").await;
    }
}

async fn a_final_slash_of_a_url_is_not_sent<H: Host>() {
    for slashes in [false, true] {
        let options = Options { public_origin: Some(H::ORIGIN.into()), ..Options::default() };
        let change = |configuration: &mut Value| {
            auto(configuration);
            for name in ["endpoint", "resolver_url"] {
                let url = configuration["authgear"][name].as_str().expect("a URL").to_owned();
                configuration["authgear"][name] = json!(if slashes { format!("{url}/") } else { url });
            }
        };
        let scene = Layout::<H>::start_with(options, change, |host| host).await;
        let session = scene.authgear.log_in("alice");
        assert_eq!(user(&scene, with_cookie(&session)).await.as_deref(), Some("alice"), "{slashes}");
        let asked = scene.authgear.received(Endpoint::Resolver).last().expect("a question");
        assert_eq!(asked.target, "/_resolver/resolve", "{slashes}");
        assert_eq!(user(&scene, with_token(&scene.authgear.jwt("bob"))).await.as_deref(), Some("bob"));
        let asked = scene.authgear.received(Endpoint::Jwks).last().expect("a question");
        assert_eq!(asked.target, "/oauth2/jwks", "{slashes}");
    }
}

async fn remembering_nothing_may_be_said_of_each_kind<H: Host>() {
    let nothing = |configuration: &mut Value| {
        configuration["cache"] = json!({"ttl": "0s", "negative_ttl": "0s", "stale_if_error": "0s"});
    };
    let scene = Layout::<H>::start_with(Options::default(), nothing, H::one_worker).await;
    let session = scene.authgear.log_in("alice");
    for count in 1..=3 {
        assert_eq!(user(&scene, with_cookie(&session)).await.as_deref(), Some("alice"));
        assert_eq!(scene.authgear.received(Endpoint::Resolver).count(), count);
    }
}

async fn a_bearer_credential_is_read_as_authgear_reads_it<H: Host>() {
    let scene = Layout::<H>::start(|_| ()).await;
    let (token, session) = (scene.authgear.opaque_token("alice"), scene.authgear.log_in("bob"));
    for (credential, expected) in [
        (format!("Bearer {token}"), Some("alice")),
        (format!("bearer {token}"), Some("alice")),
        (format!("Bearer  {token}"), Some("bob")),
        (format!("Bearer\t{token}"), Some("bob")),
        (format!("Token {token}"), Some("bob")),
    ] {
        let request = with_cookie(&session).header("authorization", &credential);
        assert_eq!(user(&scene, request).await.as_deref(), expected, "{credential:?}");
        let alone = scene.seen(Request::get("/").header("authorization", &credential)).await;
        let alone = alone.identity_header("x-authgear-user-id");
        assert_eq!(alone.as_deref(), expected.filter(|user| *user == "alice"), "{credential:?}");
    }
}

/// The recorded address is the first one of the header.
#[tokio::test]
async fn authgear_is_told_the_trusted_address_alone() {
    let scene = Layout::<Envoy>::start(auto).await;
    let (jwt, session) = (scene.authgear.opaque_token("alice"), scene.authgear.log_in("alice"));
    for request in [with_token(&jwt), with_cookie(&session)] {
        scene.authgear.clear_received();
        let request = request
            .header("x-forwarded-for", "203.0.113.9, 192.0.2.1")
            .header("x-real-ip", "203.0.113.9")
            .header("forwarded", "for=203.0.113.9");
        assert_eq!(user(&scene, request).await.as_deref(), Some("alice"));
        let asked = scene.authgear.received(Endpoint::Resolver).last().expect("a question");
        assert_eq!(asked.header_all("x-forwarded-for"), [b"127.0.0.1"]);
        assert_eq!((asked.header("x-real-ip"), asked.header("forwarded")), (None, None));
    }
}
