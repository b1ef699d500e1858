//! The decisions that an answer leads to, and the tokens that the issuers' keys decide about.

use authgear_filter::jose::Algorithm;
use serde_json::{Value, json};
use wasm_tests::faulty::Answer;
use wasm_tests::on_each_host;
use wasm_tests::scene::Host;

use crate::issuer::{self, Issuer};
use crate::{Guarded, ISSUER, active, by_name, identity, is, now, says, with_token};

on_each_host! {
    what_an_answer_states_decides_and_its_headers_reach_nobody,
    a_jwt_of_an_issuer_with_keys_is_never_asked_about,
    a_jwt_that_names_the_issuer_without_keys_is_asked_about_and_any_other_refused,
    rules_demand_what_the_answer_states,
    an_optional_route_is_for_nobody_where_the_token_is_no_good,
    credentials_are_removed_where_that_is_configured,
}

async fn what_an_answer_states_decides_and_its_headers_reach_nobody<H: Host>() {
    let guarded = Guarded::<H>::start(
        |_| (),
        |question| {
            let mut answer = active("alice");
            match question.token().as_deref() {
                Some("inactive") => answer = json!({"active": false}),
                Some("other") => answer["aud"] = json!("other"),
                Some("foreign") => answer["iss"] = json!("https://other.example"),
                Some("expired") => answer["exp"] = json!(now() - 60),
                Some("refresh") => answer["token_use"] = json!("refresh_token"),
                Some("bound") => answer["cnf"] = json!({"jkt": "x"}),
                Some("odd") => answer["sub"] = json!("alice\r\nx-user: admin"),
                Some("spaced") => answer["sub"] = json!("alice "),
                Some("wide") => answer["sub"] = json!("\u{3000}alice"),
                Some("empty") => answer["sub"] = json!(""),
                Some("forever") => drop(answer.as_object_mut().unwrap().remove("exp")),
                _ => {}
            }
            says(&answer)
                .header("set-cookie", "server=1")
                .header("x-user", "admin")
                .header("www-authenticate", "Basic realm=\"server\"")
        },
    )
    .await;
    for (token, message) in [
        ("inactive", "not active"),
        ("other", "wrong audience"),
        ("foreign", "wrong issuer"),
        ("expired", "expired"),
        ("refresh", "no access token"),
        ("bound", "bound to a key"),
        ("odd", "control character"),
        ("spaced", "white space"),
        ("wide", "white space"),
        ("empty", "empty"),
    ] {
        for _ in 0..2 {
            let answer = guarded.send(with_token(token)).await;
            let challenge = Some("Bearer error=\"invalid_token\"");
            assert_eq!((answer.status, answer.header("www-authenticate")), (401, challenge), "{token}");
            assert!(answer.json()["message"].as_str().unwrap().contains(message), "{token}: {answer:?}");
            assert_eq!(answer.header_lines("set-cookie"), [""; 0], "{token}");
        }
    }
    assert_eq!(guarded.app.received().count(), 0);
    for token in ["good", "forever"] {
        for _ in 0..3 {
            let answer = guarded.send(with_token(token)).await;
            assert_eq!(identity(&answer), is("alice"), "{token}");
            assert_eq!(answer.header_lines("set-cookie"), [""; 0], "{token}");
        }
    }
    guarded.host.assert_counted("requests.refused", 20).await;
    guarded.host.assert_counted("requests.session", 6).await;
}

fn with_keys(issuer: &Issuer) -> impl FnOnce(&mut Value) {
    let jwks = issuer.jwks();
    move |configuration| configuration["jwt"][0]["jwks"] = jwks
}

fn claims(iss: &str) -> Value {
    json!({"iss": iss, "aud": "api", "sub": "jay", "scope": "read write", "exp": now() + 600})
}

async fn a_jwt_of_an_issuer_with_keys_is_never_asked_about<H: Host>() {
    let issuer = Issuer::new();
    let guarded = Guarded::<H>::start(with_keys(&issuer), |_| says(&active("intruder"))).await;
    let header = issuer::header(Algorithm::Rs256).to_string();
    let mut late = claims(ISSUER);
    late["exp"] = json!(now() - 60);
    let good = claims(ISSUER).to_string();
    for (token, status) in [
        (issuer.signed(Algorithm::Rs256, &header, &good), 200),
        (issuer.signed(Algorithm::Rs256, &header, &late.to_string()), 401),
        (issuer.signed(Algorithm::Rs256, r#"{"alg":"HS256"}"#, &good), 401),
        (issuer.signed(Algorithm::Rs256, r#"{"alg":"none"}"#, &good), 401),
        (issuer.signed(Algorithm::Rs384, &header, &good), 401),
        (issuer.signed(Algorithm::Rs256, &header, &claims("https://other.example").to_string()), 401),
    ] {
        let answer = guarded.send(with_token(&token)).await;
        assert_eq!(answer.status, status, "{token}");
        if status == 200 {
            assert_eq!(identity(&answer), is("jay"));
        }
    }
    assert_eq!(guarded.server.asked().count(), 0);
    assert_eq!(identity(&guarded.send(with_token("opaque.token")).await), is("intruder"));
    assert_eq!(guarded.server.asked().count(), 1);
}

async fn a_jwt_that_names_the_issuer_without_keys_is_asked_about_and_any_other_refused<H: Host>() {
    let issuer = Issuer::new();
    let guarded = Guarded::<H>::start(|_| (), |_| says(&active("alice"))).await;
    let signed = |iss: &str| issuer.token(Algorithm::Rs256, &claims(iss));
    assert_eq!(guarded.send(with_token(&signed("https://other.example"))).await.status, 401);
    assert_eq!(guarded.server.asked().count(), 0);
    let token = signed(ISSUER);
    assert_eq!(identity(&guarded.send(with_token(&token)).await), is("alice"));
    assert_eq!(guarded.server.last().unwrap().token(), Some(token));
}

async fn rules_demand_what_the_answer_states<H: Host>() {
    let guarded = Guarded::<H>::start(
        |configuration| {
            configuration["rules"] = json!([
                {"path": "/write", "require": {"scopes": ["write"]}},
                {"path": "/admin", "require": {"scopes": ["admin"]}},
            ]);
        },
        by_name,
    )
    .await;
    for (path, status) in [("/write", 200), ("/admin", 403), ("/", 200)] {
        let request = wasm_tests::client::Request::get(path).header("authorization", "Bearer at-alice");
        let answer = guarded.send(request).await;
        assert_eq!(answer.status, status, "{path}");
        if status == 403 {
            assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"insufficient_scope\""));
        }
    }
}

async fn an_optional_route_is_for_nobody_where_the_token_is_no_good<H: Host>() {
    let guarded = Guarded::<H>::start(
        |configuration| configuration["access"] = json!("optional"),
        |question| match question.token().as_deref() {
            Some("broken") => Answer::status(400).body("{}"),
            _ => by_name(question),
        },
    )
    .await;
    assert_eq!(identity(&guarded.send(with_token("at-alice")).await), is("alice"));
    assert_eq!(identity(&guarded.send(with_token("gone")).await), []);
    assert_eq!(guarded.send(with_token("broken")).await.status, 503, "on_error, whatever access says");
}

async fn credentials_are_removed_where_that_is_configured<H: Host>() {
    for strip in [true, false] {
        let change = move |configuration: &mut Value| configuration["strip_credentials"] = json!(strip);
        let guarded = Guarded::<H>::start(change, by_name).await;
        let answer = guarded.send(with_token("at-alice")).await;
        assert_eq!(identity(&answer), is("alice"));
        let seen = wasm_tests::scene::seen(&answer).headers;
        assert_eq!(seen.iter().any(|(name, _)| name == "authorization"), !strip);
    }
}
