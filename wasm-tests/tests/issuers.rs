//! `jwt`: tokens of any issuer, in a real Envoy: every algorithm by Envoy's own function and by the filter's code,
//! and the corpus of hostile tokens over the wire.

#[path = "../../tests/tokens/corpus.rs"]
#[allow(dead_code, reason = "shared with the suite of tokens, which uses more of it")]
mod corpus;
#[path = "../../tests/tokens/issuer.rs"]
#[allow(dead_code, reason = "shared with the suite of tokens, which uses more of it")]
mod issuer;

use authgear_filter::jwt::Algorithm;
use issuer::{ISSUER, Issuer};
use serde_json::{Value, json};
use wasm_tests::authgear::{Authgear, Endpoint, Options};
use wasm_tests::client::{self, Request, Response};
use wasm_tests::echo::Echo;
use wasm_tests::envoy::Envoy;
use wasm_tests::faulty::{Answer, Failure, Faulty};
use wasm_tests::scene::seen;

/// Claims of now, not of the table's fixed time.
fn claims() -> Value {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let mut claims = issuer::claims();
    claims["iat"] = json!(now);
    claims["exp"] = json!(now + 600);
    claims["realm"] = json!({"roles": ["a", "b"], "level": 3});
    claims
}

fn configuration(issuer: &Issuer) -> Value {
    json!({"jwt": [{
        "issuer": ISSUER,
        "audiences": [ISSUER],
        "jwks": issuer.jwks(),
        "algorithms": Algorithm::ALL.map(Algorithm::name),
        "headers": {
            "x-user": "sub", "X-Roles": ["realm", "roles"], "x-level": ["realm", "level"], "x-realm": "realm",
            "x-verified": "https://authgear.com/claims/user/is_verified",
        },
    }]})
}

async fn send(envoy: &Envoy, token: &str) -> Response {
    let request = Request::get("/")
        .header("authorization", format!("Bearer {token}"))
        .header("x-user", "forged")
        .header("X_Roles", "forged")
        .header("x-realm", "forged");
    client::send(envoy.address(), request).await
}

fn headers(response: &Response) -> Vec<(String, String)> {
    let seen = seen(response);
    let mut headers: Vec<_> = seen
        .headers
        .into_iter()
        .filter(|(name, _)| {
            ["x-user", "x-roles", "x_roles", "x-level", "x-realm", "x-verified"].contains(&name.as_str())
        })
        .collect();
    headers.sort();
    headers
}

#[tokio::test]
async fn every_algorithm_is_verified_and_a_flipped_bit_is_noticed() {
    let issuer = Issuer::new();
    let app = Echo::start().await.unwrap();
    let envoy = Envoy::builder().cluster("app", app.address()).plugin(configuration(&issuer)).start().await;
    envoy.wait_for_log("signatures are checked by the proxy").await;
    let expected =
        [("x-level", "3"), ("x-roles", "a,b"), ("x-user", "8b1f7c0e-user"), ("x-verified", "true")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
    for algorithm in Algorithm::ALL {
        let token = issuer.token(algorithm, &claims());
        assert_eq!(headers(&send(&envoy, &token).await), expected, "{algorithm}");
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let mut bytes = issuer::from_base64url(signature);
        for at in [0, bytes.len() / 2, bytes.len() - 1] {
            bytes[at] ^= 1;
            let flipped = format!("{signed}.{}", issuer::base64url(&bytes));
            bytes[at] ^= 1;
            let answer = send(&envoy, &flipped).await;
            assert_eq!(answer.status, 401, "{algorithm}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
            assert_eq!(answer.json()["error"], "unauthorized");
        }
        let other = Issuer::new();
        let others = other.token(algorithm, &claims());
        let expected_status = if algorithm.name().starts_with(['R', 'P']) { 200 } else { 401 };
        // Its RSA key is the same published one of RFC 7515; the others are its own.
        assert_eq!(send(&envoy, &others).await.status, expected_status, "{algorithm}");
    }
    assert_eq!(app.received().count(), 9 + 6);
}

#[tokio::test]
async fn without_a_token_a_request_is_denied_with_a_challenge() {
    let issuer = Issuer::new();
    let app = Echo::start().await.unwrap();
    let envoy =
        Envoy::builder().cluster("app", app.address()).plugin_struct(configuration(&issuer)).start().await;
    for request in [
        Request::get("/"),
        Request::get("/").header("cookie", "session=x"),
        Request::get("/").header("authorization", "Basic eDp5"),
    ] {
        let answer = client::send(envoy.address(), request).await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(answer.json()["message"].is_string());
    }
    let two = Request::get("/").header("authorization", "Bearer a").header("authorization", "Bearer b");
    let answer = client::send(envoy.address(), two).await;
    assert_eq!(
        (answer.status, answer.header("www-authenticate")),
        (401, Some("Bearer error=\"invalid_token\""))
    );
    assert_eq!(app.received().count(), 0);
}

#[tokio::test]
async fn no_hostile_token_is_anybody_over_the_wire() {
    let issuer = Issuer::new();
    let app = Echo::start().await.unwrap();
    let keys = Answer { body: issuer.jwks().to_string().into_bytes(), ..Answer::status(200) };
    let keys = Faulty::start(Failure::Answer(keys)).await.unwrap();
    let envoy = Envoy::builder()
        .cluster("app", app.address())
        .cluster("authgear", keys.address())
        .plugin(json!({"authgear": {"endpoint": ISSUER, "upstream": "authgear", "mode": "local"}}))
        // What Envoy refuses by itself it would else keep open for a second.
        .connection_manager("delayed_close_timeout", json!("0.01s"))
        .start()
        .await;
    let good = issuer.token(Algorithm::Rs256, &claims());
    let as_raw = |token: &[u8]| {
        let head = b"GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\nAuthorization: Bearer ";
        [head.as_slice(), token, b"\r\n\r\n"].concat()
    };
    let answer = client::raw(envoy.address(), as_raw(good.as_bytes())).await;
    assert!(answer.text().contains("x-authgear-user-id"), "a good one is let in: {}", answer.text());
    for hostile in corpus::hostile_tokens(&issuer, &claims()) {
        // A header's value has no white space around it.
        if hostile.token.trim_ascii() != hostile.token {
            continue;
        }
        let answer = client::raw(envoy.address(), as_raw(&hostile.token)).await;
        // 400 and 431 are Envoy's own, for what is no header; it may also just close.
        assert!(
            matches!(answer.status(), Some(200 | 400 | 431) | None),
            "{}: {}",
            hostile.name,
            answer.text()
        );
        assert!(!answer.text().contains("x-authgear-user-id"), "{}: {}", hostile.name, answer.text());
    }
    let answer = client::raw(envoy.address(), as_raw(good.as_bytes())).await;
    assert!(answer.text().contains("x-authgear-user-id"), "it is none the worse for it: {}", answer.text());
    assert!(!envoy.log().contains("panicked"), "{}", envoy.log());
}

#[tokio::test]
async fn keys_may_come_from_a_server_and_several_issuers_stand_side_by_side() {
    let authgear = Authgear::start(Options::default()).await.unwrap();
    let issuer = Issuer::new();
    let app = Echo::start().await.unwrap();
    let mut configuration = configuration(&issuer);
    configuration["jwt"].as_array_mut().unwrap().push(json!({
        "issuer": authgear.public_origin(),
        "audiences": [authgear.public_origin()],
        "jwks_uri": format!("{}/oauth2/jwks", authgear.public_origin()),
        "upstream": "authgear",
        "headers": {"x-user": "sub"},
    }));
    let envoy = Envoy::builder()
        .cluster("app", app.address())
        .cluster("authgear", authgear.main_address())
        .plugin(configuration)
        .start()
        .await;
    let answer = send(&envoy, &authgear.jwt("alice")).await;
    assert_eq!(headers(&answer), [("x-user".to_owned(), "alice".to_owned())]);
    assert_eq!(send(&envoy, &issuer.token(Algorithm::EdDsa, &claims())).await.status, 200);
    assert_eq!(send(&envoy, &authgear.id_token("alice")).await.status, 401);
    assert!(authgear.received(Endpoint::Jwks).count() >= 1);
}
