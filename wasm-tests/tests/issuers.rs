//! `jwt`: tokens of any issuer, on every host. Envoy's own function verifies every algorithm that it supports, and so
//! does the filter's code; the corpus of hostile tokens goes over the wire.

#[path = "../../tests/tokens/corpus.rs"]
#[allow(dead_code, reason = "shared with the suite of tokens, which uses more of it")]
mod corpus;
#[path = "../../tests/tokens/issuer.rs"]
#[allow(dead_code, reason = "shared with the suite of tokens, which uses more of it")]
mod issuer;

use authgear_filter::jose::Algorithm;
use issuer::{ISSUER, Issuer};
use serde_json::{Value, json};
use wasm_tests::authgear::{Authgear, Endpoint, Options};
use wasm_tests::authorizer::Authorizer;
use wasm_tests::client::{self, Request, Response};
use wasm_tests::echo::Echo;
use wasm_tests::envoy::Envoy;
use wasm_tests::faulty::{Answer, Failure, Faulty};
use wasm_tests::on_each_host;
use wasm_tests::scene::{Host, seen};

on_each_host! {
    every_algorithm_is_verified_and_a_flipped_bit_is_noticed,
    without_a_token_a_request_is_denied_with_a_challenge,
    no_hostile_token_is_anybody_over_the_wire,
    keys_may_come_from_a_server_and_several_issuers_stand_side_by_side,
    white_space_at_an_end_of_a_claim_is_nobody_elses_identity,
    keys_may_be_published_at_a_url_with_a_query_and_written_as_real_servers_do,
    a_bad_key_of_the_configuration_is_told_in_the_log_and_costs_only_itself,
    a_token_that_names_no_key_is_tried_with_eight_and_the_client_is_told_that_there_were_more,
    keys_that_come_byte_by_byte_let_nobody_in,
}

/// Claims for the current time, not for the table's fixed time.
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

async fn send<H: Host>(host: &H, token: &str) -> Response {
    let request = Request::get("/")
        .header("authorization", format!("Bearer {token}"))
        .header("x-user", "forged")
        .header("X_Roles", "forged")
        .header("x-realm", "forged");
    client::send(host.address(), request).await
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

async fn every_algorithm_is_verified_and_a_flipped_bit_is_noticed<H: Host>() {
    let issuer = Issuer::new();
    let app = Echo::start().await.unwrap();
    let host = H::start(H::builder(&app, &[]), configuration(&issuer)).await;
    let expected =
        [("x-level", "3"), ("x-roles", "a,b"), ("x-user", "8b1f7c0e-user"), ("x-verified", "true")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
    for algorithm in Algorithm::ALL {
        let token = issuer.token(algorithm, &claims());
        assert_eq!(headers(&send(&host, &token).await), expected, "{algorithm}");
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let mut bytes = issuer::from_base64url(signature);
        for at in [0, bytes.len() / 2, bytes.len() - 1] {
            bytes[at] ^= 1;
            let flipped = format!("{signed}.{}", issuer::base64url(&bytes));
            bytes[at] ^= 1;
            let answer = send(&host, &flipped).await;
            assert_eq!(answer.status, 401, "{algorithm}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
            assert_eq!(answer.json()["error"], "unauthorized");
        }
        let other = Issuer::new();
        let others = other.token(algorithm, &claims());
        let expected_status = if algorithm.name().starts_with(['R', 'P']) { 200 } else { 401 };
        // Its RSA key is the one published in RFC 7515; the others are its own.
        assert_eq!(send(&host, &others).await.status, expected_status, "{algorithm}");
    }
    assert_eq!(app.received().count(), 9 + 6);
    host.wait_for_log(H::SIGNATURES).await;
}

async fn without_a_token_a_request_is_denied_with_a_challenge<H: Host>() {
    let issuer = Issuer::new();
    let app = Echo::start().await.unwrap();
    let host = H::start(H::builder(&app, &[]), configuration(&issuer)).await;
    for request in [
        Request::get("/"),
        Request::get("/").header("cookie", "session=x"),
        Request::get("/").header("authorization", "Basic eDp5"),
    ] {
        let answer = client::send(host.address(), request).await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(answer.json()["message"].is_string());
    }
    let two = Request::get("/").header("authorization", "Bearer a").header("authorization", "Bearer b");
    let answer = client::send(host.address(), two).await;
    assert_eq!(
        (answer.status, answer.header("www-authenticate")),
        (401, Some("Bearer error=\"invalid_token\""))
    );
    assert_eq!(app.received().count(), 0);
}

async fn no_hostile_token_is_anybody_over_the_wire<H: Host>() {
    let issuer = Issuer::new();
    let app = Echo::start().await.unwrap();
    let keys = Answer { body: issuer.jwks().to_string().into_bytes(), ..Answer::status(200) };
    let keys = Faulty::start(Failure::Answer(keys)).await.unwrap();
    let upstream = H::upstream("authgear", keys.address());
    let configuration = json!({"authgear": {"endpoint": H::ORIGIN, "upstream": upstream, "mode": "local"}});
    let host = H::start(H::builder(&app, &[("authgear", keys.address())]), configuration).await;
    let mut claims = claims();
    (claims["iss"], claims["aud"]) = (json!(H::ORIGIN), json!([H::ORIGIN]));
    let good = issuer.token(Algorithm::Rs256, &claims);
    let as_raw = |token: &[u8]| {
        let head = b"GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\nAuthorization: Bearer ";
        [head.as_slice(), token, b"\r\n\r\n"].concat()
    };
    let answer = client::raw(host.address(), as_raw(good.as_bytes())).await;
    assert!(answer.text().contains("x-authgear-user-id"), "a good one is let in: {}", answer.text());
    for hostile in corpus::hostile_tokens(&issuer, &claims) {
        // A header's value has no surrounding white space.
        if hostile.token.trim_ascii() != hostile.token {
            continue;
        }
        let answer = client::raw(host.address(), as_raw(&hostile.token)).await;
        // The host itself answers 400 or 431 to what is not a header; it may also just close.
        assert!(
            matches!(answer.status(), Some(200 | 400 | 431) | None),
            "{}: {}",
            hostile.name,
            answer.text()
        );
        assert!(!answer.text().contains("x-authgear-user-id"), "{}: {}", hostile.name, answer.text());
    }
    let answer = client::raw(host.address(), as_raw(good.as_bytes())).await;
    assert!(answer.text().contains("x-authgear-user-id"), "it is none the worse for it: {}", answer.text());
    assert!(!host.log().contains("panicked"), "{}", host.log());
}

/// A token, and the roles that the app gets; `None` if the token is refused.
fn tokens_with_white_space(issuer: &Issuer) -> Vec<(String, Option<&'static str>)> {
    let token = |change: &dyn Fn(&mut Value)| {
        let mut claims = claims();
        change(&mut claims);
        issuer.token(Algorithm::Rs256, &claims)
    };
    let subjects = ["admin ", " admin", "", " ", "admin\u{a0}", "\u{3000}admin", "\tadmin", "admin\u{2028}"];
    let refused = subjects.map(|subject| (token(&|claims| claims["sub"] = json!(subject)), None));
    let roles = [
        (json!(["a", "b"]), "a,b"),
        (json!(["a", "admin "]), ""),
        (json!([" admin"]), ""),
        (json!(["a", ""]), ""),
        (json!("admin "), ""),
        (json!("two words"), "two words"),
    ];
    let roles =
        roles.map(|(roles, told)| (token(&|claims| claims["realm"]["roles"] = roles.clone()), Some(told)));
    refused.into_iter().chain(roles).collect()
}

async fn white_space_at_an_end_of_a_claim_is_nobody_elses_identity<H: Host>() {
    let issuer = Issuer::new();
    let app = Echo::start().await.unwrap();
    let host = H::start(H::builder(&app, &[]), configuration(&issuer)).await;
    judge_white_space(&issuer, &host).await;
}

async fn judge_white_space<H: Host>(issuer: &Issuer, host: &H) {
    for (token, told) in tokens_with_white_space(issuer) {
        let answer = send(host, &token).await;
        let Some(roles) = told else {
            assert_eq!(answer.status, 401, "{answer:?}");
            continue;
        };
        let headers = headers(&answer);
        let value =
            |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        assert_eq!(value("x-user"), Some("8b1f7c0e-user"));
        assert_eq!(value("x-roles").unwrap_or_default(), roles, "{headers:?}");
    }
}

/// A strict HTTP/2 library ends the whole connection over such a value, with everybody's requests.
#[tokio::test]
async fn no_claim_ends_the_connection_to_an_app_that_reads_http2_strictly() {
    let issuer = Issuer::new();
    let app = Echo::start().await.unwrap();
    let http2 = |bootstrap: &mut Value| {
        bootstrap["static_resources"]["clusters"][0]["typed_extension_protocol_options"] = json!({
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            },
        });
    };
    let builder = Envoy::builder().cluster("app", app.address()).concurrency(1).edit(http2);
    let envoy = Envoy::start(builder, configuration(&issuer)).await;
    judge_white_space(&issuer, &envoy).await;
    assert_eq!(envoy.stat("cluster.app.upstream_cx_total").await, 1);
    assert_eq!(envoy.stat("cluster.app.upstream_cx_destroy").await, 0);
}

async fn keys_may_be_published_at_a_url_with_a_query_and_written_as_real_servers_do<H: Host>() {
    let issuer = Issuer::new();
    let mut keys = issuer.jwks();
    for key in keys["keys"].as_array_mut().unwrap() {
        for member in ["use", "alg", "d", "key_ops", "x5c"] {
            key[member] = Value::Null;
        }
        for coordinate in ["n", "x", "y"] {
            if let Some(text) = key[coordinate].as_str() {
                key[coordinate] = json!(format!("{text}{}", &"==="[..(4 - text.len() % 4) % 4]));
            }
        }
        if key["kty"] == "OKP" {
            key["alg"] = json!("Ed25519");
        }
    }
    let body = format!("\u{feff}{keys}");
    let server = Authorizer::start(move |asked| match asked.target.as_str() {
        "/discovery/keys?p=b2c_1_sign_in" => Answer::status(200).body(body.clone()),
        _ => Answer::status(404),
    })
    .await
    .unwrap();
    let app = Echo::start().await.unwrap();
    let mut configuration = configuration(&issuer);
    let jwt = configuration["jwt"][0].as_object_mut().unwrap();
    jwt.remove("jwks");
    jwt.insert("jwks_uri".into(), json!("http://login.internal/discovery/keys?p=b2c_1_sign_in"));
    jwt.insert("upstream".into(), json!(H::upstream("login", server.address())));
    let host = H::start(H::builder(&app, &[("login", server.address())]), configuration).await;
    for algorithm in Algorithm::ALL {
        let answer = send(&host, &issuer.token(algorithm, &claims())).await;
        assert_eq!(answer.status, 200, "{algorithm}: {answer:?} {}", host.log());
    }
    assert!(!host.log().contains("b2c_1_sign_in"), "{}", host.log());
}

async fn a_bad_key_of_the_configuration_is_told_in_the_log_and_costs_only_itself<H: Host>() {
    let issuer = Issuer::new();
    let app = Echo::start().await.unwrap();
    let mut configuration = configuration(&issuer);
    let bad = json!({"kty": "RSA", "kid": "the-broken-one", "n": "!", "e": "AQAB"});
    configuration["jwt"][0]["jwks"]["keys"].as_array_mut().unwrap().push(bad);
    let host = H::start(H::builder(&app, &[]), configuration).await;
    assert_eq!(send(&host, &issuer.token(Algorithm::Rs256, &claims())).await.status, 200);
    host.wait_for_log("the-broken-one").await;
}

/// A set of this many keys for RS256, the issuer's the last of them.
fn many_keys(issuer: &Issuer, count: usize) -> Value {
    let own =
        issuer.jwks()["keys"].as_array().unwrap().iter().find(|key| key["kty"] == "RSA").unwrap().clone();
    let other = |number: usize| {
        let mut other = own.clone();
        other["kid"] = json!(format!("other-{number}"));
        // Another modulus.
        let (before, after) = own["n"].as_str().unwrap().split_at(20 + number);
        other["n"] =
            json!(format!("{before}{}{}", if after.starts_with('A') { 'B' } else { 'A' }, &after[1..]));
        other
    };
    json!({"keys": (1..count).map(other).chain([own.clone()]).collect::<Vec<_>>()})
}

async fn a_token_that_names_no_key_is_tried_with_eight_and_the_client_is_told_that_there_were_more<
    H: Host,
>() {
    const SAID: &str = "the token names no key, and more than 8 keys could have signed it";
    let issuer = Issuer::new();
    let app = Echo::start().await.unwrap();
    let header = |kid: Option<&str>| {
        let mut header = json!({"alg": "RS256", "typ": "at+jwt"});
        kid.into_iter().for_each(|kid| header["kid"] = json!(kid));
        header.to_string()
    };
    let sets = [many_keys(&issuer, 8), many_keys(&issuer, 9)];
    let published = sets.clone();
    let server = Authorizer::start(move |asked| {
        Answer::status(200).body(published[usize::from(asked.target == "/nine")].to_string())
    });
    let server = server.await.unwrap();
    let mut configurations = Vec::new();
    for (set, name) in sets.iter().zip(["eight", "nine"]) {
        let mut inline = configuration(&issuer);
        inline["jwt"][0]["algorithms"] = json!(["RS256"]);
        inline["jwt"][0]["jwks"] = set.clone();
        let mut fetched = inline.clone();
        let jwt = fetched["jwt"][0].as_object_mut().unwrap();
        jwt.remove("jwks");
        jwt.insert("jwks_uri".into(), json!(format!("http://login.internal/{name}")));
        jwt.insert("upstream".into(), json!(H::upstream("login", server.address())));
        configurations.push((format!("/inline/{name}/"), inline));
        configurations.push((format!("/fetched/{name}/"), fetched));
    }
    let host = H::start_at(H::builder(&app, &[("login", server.address())]), configurations).await;
    for path in ["/inline/eight/", "/inline/nine/", "/fetched/eight/", "/fetched/nine/"] {
        let has_more = path.contains("nine");
        let without = if has_more { 401 } else { 200 };
        for (kid, expected) in [(None, without), (Some("rsa"), 200), (Some("unknown"), 401)] {
            let token = issuer.signed(Algorithm::Rs256, &header(kid), &claims().to_string());
            let request = Request::get(path).header("authorization", format!("Bearer {token}"));
            let answer = client::send(host.address(), request).await;
            assert_eq!(answer.status, expected, "{path} {kid:?}: {answer:?}");
            let is_said = answer.text().contains(SAID);
            assert_eq!(is_said, kid.is_none() && has_more, "{path} {kid:?}: {answer:?}");
        }
    }
}

/// In Envoy the wait ends with `timeout`. On APISIX it ends when the server does: each byte that comes begins it anew.
async fn keys_that_come_byte_by_byte_let_nobody_in<H: Host>() {
    let issuer = Issuer::new();
    for failure in [Failure::DripHead, Failure::DripBody] {
        let (app, server) = (Echo::start().await.unwrap(), Faulty::start(failure.clone()).await.unwrap());
        let mut configuration = configuration(&issuer);
        configuration["timeout"] = json!("500ms");
        configuration["rules"] = json!([{"prefix": "/public", "access": "public"}]);
        let jwt = configuration["jwt"][0].as_object_mut().unwrap();
        jwt.remove("jwks");
        jwt.insert("jwks_uri".into(), json!("http://login.internal/keys"));
        jwt.insert("upstream".into(), json!(H::upstream("login", server.address())));
        let host = H::start(H::builder(&app, &[("login", server.address())]), configuration).await;
        let token = issuer.token(Algorithm::Rs256, &claims());
        let request = Request::get("/").header("authorization", format!("Bearer {token}"));
        let waiting = tokio::spawn(client::send(host.address(), request));
        server.wait_for_requests(1).await;
        // Others are served meanwhile.
        assert_eq!(client::send(host.address(), Request::get("/public")).await.status, 200);
        if !H::BOUNDS_CALLS {
            assert!(!waiting.is_finished(), "{failure:?}");
            server.stop().await;
        }
        let answer = waiting.await.unwrap();
        assert_eq!(
            (answer.status, answer.json()["error"].clone()),
            (503, json!("unavailable")),
            "{failure:?}"
        );
        assert_eq!(app.received().count(), 1, "{failure:?}");
        host.wait_for_log("cannot be fetched").await;
    }
}

async fn keys_may_come_from_a_server_and_several_issuers_stand_side_by_side<H: Host>() {
    let authgear = Authgear::start(Options::default()).await.unwrap();
    let issuer = Issuer::new();
    let app = Echo::start().await.unwrap();
    let mut configuration = configuration(&issuer);
    configuration["jwt"].as_array_mut().unwrap().push(json!({
        "issuer": authgear.public_origin(),
        "audiences": [authgear.public_origin()],
        "jwks_uri": format!("{}/oauth2/jwks", authgear.public_origin()),
        "upstream": H::upstream("authgear", authgear.main_address()),
        "headers": {"x-user": "sub"},
    }));
    let host = H::start(H::builder(&app, &[("authgear", authgear.main_address())]), configuration).await;
    let answer = send(&host, &authgear.jwt("alice")).await;
    assert_eq!(headers(&answer), [("x-user".to_owned(), "alice".to_owned())]);
    assert_eq!(send(&host, &issuer.token(Algorithm::EdDsa, &claims())).await.status, 200);
    assert_eq!(send(&host, &authgear.id_token("alice")).await.status, 401);
    assert!(authgear.received(Endpoint::Jwks).count() >= 1);
}
