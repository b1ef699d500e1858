//! The server's answers when it is asked directly. The filter relies on them, and a new version of the server may
//! change them.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use wasm_tests::auth_o_tron::{AuthOTron, ISSUER, PARTNERS, STAFF, USERS, basic, user};
use wasm_tests::client::{self, Protocol, Request, Response};

use crate::{add_to_staff, claims};

const CHALLENGE: &str = r#"Basic realm="staff", Basic realm="partners""#;

fn assert_refused(answer: &Response, what: &str) {
    assert_eq!(answer.status, 401, "{what}: {answer:?}");
    assert_eq!(answer.header_lines("www-authenticate"), [CHALLENGE], "{what}");
    assert_eq!(answer.header("content-type"), Some("application/json"), "{what}");
    assert_eq!(answer.json(), json!({ "error": "Unauthorized access" }), "{what}");
    let named = answer.headers.iter().any(|(name, _)| name == "authorization" || name.starts_with("x-auth-"));
    assert!(!named, "{what}: {answer:?}");
}

#[tokio::test]
async fn who_logs_in_is_named_in_headers_and_in_a_signed_token() {
    let server = AuthOTron::start().await;
    for user in USERS {
        let answer = server
            .authenticate(&[("authorization", &user.authorization()), ("x-auth-realm", user.realm)])
            .await;
        assert_eq!(answer.status, 200, "{user:?}: {answer:?}");
        assert_eq!(answer.text(), "Authenticated successfully");
        assert_eq!(answer.header("x-auth-username"), Some(user.name), "{user:?}");
        assert_eq!(answer.header("x-auth-realm"), Some(user.realm), "{user:?}");
        // It is present but empty for a user without roles.
        assert_eq!(answer.header("x-auth-roles"), Some(user.roles.join(",").as_str()), "{user:?}");

        let claims = claims(answer.header("authorization").unwrap());
        assert_eq!(claims["iss"], ISSUER);
        assert_eq!(claims["sub"], format!("{}-{}", user.realm, user.name));
        assert_eq!(claims["username"], user.name);
        assert_eq!(claims["realm"], user.realm);
        assert_eq!(claims["roles"], json!(user.roles));
        assert_eq!(claims.get("aud"), None);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert!(claims["exp"].as_u64() > Some(now), "{claims}");
    }
}

#[tokio::test]
async fn everything_else_is_refused_with_every_realms_challenge() {
    let server = AuthOTron::start().await;
    #[rustfmt::skip]
    let cases = [
        ("nobody", vec![]),
        ("an empty header", vec![("authorization", String::new())]),
        ("a wrong password", vec![("authorization", basic("alice", "wander"))]),
        ("an unknown user", vec![("authorization", basic("eve", "wonder"))]),
        ("no base64", vec![("authorization", "Basic !".into())]),
        ("a scheme that nobody provides", vec![("authorization", "Bearer abc".into())]),
        ("no scheme", vec![("authorization", "abc".into())]),
        ("four credentials", vec![("authorization", format!("A a, B b, C c, {}", user(STAFF, "bob").authorization()))]),
        ("a credential beside nonsense", vec![("authorization", format!("{}, nonsense", user(STAFF, "bob").authorization()))]),
        ("bytes that are no text", vec![("authorization", "Basic \u{e9}".into())]),
        ("another realm's user", vec![("authorization", user(STAFF, "bob").authorization()), ("x-auth-realm", PARTNERS.into())]),
        ("an unknown realm", vec![("authorization", user(STAFF, "bob").authorization()), ("x-auth-realm", "staf".into())]),
        ("an empty realm", vec![("authorization", user(STAFF, "bob").authorization()), ("x-auth-realm", String::new())]),
    ];
    for (what, headers) in cases {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_refused(&server.authenticate(&headers).await, what);
    }
}

#[tokio::test]
async fn the_realm_that_is_asked_for_decides_who_alice_is() {
    let server = AuthOTron::start().await;
    let alice = user(STAFF, "alice").authorization();
    for (asked, realm, roles) in
        [(STAFF, STAFF, "admin,editor"), (PARTNERS, PARTNERS, "guest"), ("PartNers", PARTNERS, "guest")]
    {
        let answer = server.authenticate(&[("authorization", &alice), ("x-auth-realm", asked)]).await;
        assert_eq!(answer.header("x-auth-realm"), Some(realm), "{asked}: {answer:?}");
        assert_eq!(answer.header("x-auth-roles"), Some(roles), "{asked}");
    }
}

#[tokio::test]
async fn of_several_credentials_a_good_one_is_enough() {
    let server = AuthOTron::start().await;
    let bob = user(STAFF, "bob").authorization();
    for value in [
        format!("Bearer abc, {bob}"),
        format!("{bob},Bearer abc"),
        format!("{bob}, {bob}"),
        // The last one of a scheme counts.
        format!("{}, {bob}", basic("bob", "wrong")),
        bob.replace("Basic", "plain"),
    ] {
        let answer = server.authenticate(&[("authorization", &value)]).await;
        assert_eq!(answer.header("x-auth-username"), Some("bob"), "{value}: {answer:?}");
    }
    let last_is_wrong = format!("{bob}, {}", basic("bob", "wrong"));
    assert_refused(&server.authenticate(&[("authorization", &last_is_wrong)]).await, "the last one is wrong");
    // It reads the first of two lines. Envoy joins them.
    let lines = [("authorization", "Bearer abc"), ("authorization", bob.as_str())];
    assert_refused(&server.authenticate(&lines).await, "the second line is good");
}

#[tokio::test]
async fn head_answers_as_get_without_a_body_and_other_methods_are_refused() {
    let server = AuthOTron::start().await;
    let ask = |method: &str, user: &str| {
        let request = Request::new(method, "/authenticate").header("authorization", user);
        client::send(server.address(), request)
    };
    let bob = user(STAFF, "bob").authorization();
    let answer = ask("HEAD", &bob).await;
    assert_eq!((answer.status, answer.header("x-auth-username")), (200, Some("bob")));
    assert!(answer.body.is_empty());
    claims(answer.header("authorization").unwrap());
    let answer = ask("HEAD", "Basic x").await;
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some(CHALLENGE)));
    assert_eq!(ask("POST", &bob).await.status, 405);
}

#[tokio::test]
async fn a_name_that_is_not_ascii_is_sent_in_utf8() {
    let zoe = json!({ "username": "zoë", "password": "x" });
    let server = AuthOTron::start_with(|configuration| add_to_staff(configuration, &zoe)).await;
    let answer = server.authenticate(&[("authorization", &basic("zoë", "x"))]).await;
    assert_eq!(answer.header("x-auth-username"), Some("zoë"), "{answer:?}");
}

#[tokio::test]
async fn a_name_that_no_header_can_hold_gets_no_answer() {
    let odd = json!({ "username": "o\u{7}dd", "password": "x" });
    let server = AuthOTron::start_with(|configuration| add_to_staff(configuration, &odd)).await;
    let request = Request::get("/authenticate").header("authorization", basic("o\u{7}dd", "x"));
    let answer = client::try_send(server.address(), Protocol::Http1, request).await;
    assert!(matches!(answer, Err(client::Error::Http(_))), "{answer:?}");
    let bob = user(STAFF, "bob").authorization();
    assert_eq!(server.authenticate(&[("authorization", &bob)]).await.status, 200, "others are served");
}
