//! Tokens that are bound to a key (RFC 9449), on every host, with the very configuration of `docs/tokens.md`.

#[path = "../../tests/tokens/issuer.rs"]
#[allow(dead_code, reason = "shared with the suite of tokens, which uses more of it")]
mod issuer;

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use authgear_filter::jose::Algorithm;
use issuer::{Issuer, base64url};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use wasm_tests::authgear::{Authgear, Endpoint, Options};
use wasm_tests::client::{self, Request, Response};
use wasm_tests::echo::Echo;
use wasm_tests::envoy::{Envoy, workspace_dir};
use wasm_tests::faulty::{Answer, Failure, Faulty};
use wasm_tests::on_each_host;
use wasm_tests::scene::{Host, seen};

on_each_host! {
    a_bound_token_needs_a_new_proof_with_each_request,
    every_algorithm_of_a_proof_is_verified_by_the_host_or_the_filter,
    the_resolver_never_hears_of_a_bound_token,
}

const BAD_PROOF: &str = "DPoP error=\"invalid_dpop_proof\", algs=\"RS256 PS256 ES256 ES384 EdDSA\"";
const BAD_TOKEN: &str = "DPoP error=\"invalid_token\", algs=\"RS256 PS256 ES256 ES384 EdDSA\"";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The configuration that takes nothing but bound tokens.
fn documented() -> Value {
    let page = fs::read_to_string(workspace_dir().join("docs/tokens.md")).unwrap();
    let blocks = page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let block = blocks.filter(|block| block.contains("scheme: DPoP")).last();
    yaml_serde::from_str(block.expect("docs/tokens.md has lost its example of DPoP")).unwrap()
}

/// The key of a client that signs with an algorithm.
fn jwk(client: &Issuer, algorithm: Algorithm) -> Value {
    let jwks = client.jwks();
    let mut keys = jwks["keys"].as_array().unwrap().iter();
    let mut jwk = keys.find(|jwk| jwk["kid"] == issuer::kid(algorithm)).unwrap().clone();
    jwk.as_object_mut().unwrap().retain(|name, _| !["kid", "use"].contains(&name.as_str()));
    jwk
}

fn bound(issuer: &Issuer, client: &Issuer, algorithm: Algorithm, change: impl FnOnce(&mut Value)) -> String {
    let mut claims = issuer::claims();
    // The members that count are those of `jwk`, and JSON sorts them.
    let thumbprint = base64url(Sha256::digest(jwk(client, algorithm).to_string()));
    claims["cnf"] = json!({"jkt": thumbprint});
    (claims["iat"], claims["exp"]) = (json!(now()), json!(now() + 600));
    (claims["iss"], claims["aud"]) = (json!("https://issuer.example"), json!("https://api.example.com"));
    change(&mut claims);
    issuer.token(Algorithm::Rs256, &claims)
}

fn proof(
    client: &Issuer,
    algorithm: Algorithm,
    token: &str,
    jti: &str,
    change: impl FnOnce(&mut Value),
) -> String {
    let header = json!({"typ": "dpop+jwt", "alg": algorithm.name(), "jwk": jwk(client, algorithm)});
    let mut claims = json!({
        "htm": "GET", "htu": "http://api.example.com/orders", "iat": now(), "jti": jti,
        "ath": base64url(Sha256::digest(token)),
    });
    change(&mut claims);
    client.signed(algorithm, &header.to_string(), &claims.to_string())
}

fn request(token: &str) -> Request {
    Request::get("/orders?page=2").host("api.example.com").header("authorization", format!("DPoP {token}"))
}

async fn start<H: Host>(issuer: &Issuer, app: &Echo, change: impl FnOnce(&mut Value)) -> (H, Faulty) {
    let keys = Answer { body: issuer.jwks().to_string().into_bytes(), ..Answer::status(200) };
    let keys = Faulty::start(Failure::Answer(keys)).await.unwrap();
    let mut configuration = documented();
    configuration["jwt"][0]["upstream"] = H::upstream("issuer", keys.address()).into();
    // The host that behaves like APISIX speaks no TLS.
    configuration["jwt"][0]["jwks_uri"] = "http://issuer.example/.well-known/jwks.json".into();
    change(&mut configuration);
    let builder = H::one_worker(H::builder(app, &[("issuer", keys.address())]));
    (H::start(builder, configuration).await, keys)
}

fn challenge(answer: &Response) -> Option<&str> {
    assert_eq!(answer.status, 401, "{answer:?}");
    answer.header("www-authenticate")
}

async fn a_bound_token_needs_a_new_proof_with_each_request<H: Host>() {
    let (issuer, client, app) = (Issuer::new(), Issuer::new(), Echo::start().await.unwrap());
    let (host, _keys) = start::<H>(&issuer, &app, |configuration| {
        configuration["strip_credentials"] = json!(true);
    })
    .await;
    let token = bound(&issuer, &client, Algorithm::Es256, |_| {});
    let proof =
        |jti: &str, change: &dyn Fn(&mut Value)| proof(&client, Algorithm::Es256, &token, jti, change);
    let send = |request: Request| client::send(host.address(), request);
    for jti in ["1", "2", "3"] {
        let good = request(&token).header("dpop", proof(jti, &|_| {}));
        let seen = seen(&send(good.clone()).await);
        assert!(seen.headers.contains(&("x-user-id".into(), "8b1f7c0e-user".into())), "{seen:?}");
        assert!(!format!("{seen:?}").contains(&token), "token and proof are stripped: {seen:?}");
        assert!(!seen.headers.iter().any(|(name, _)| name == "dpop"), "{seen:?}");
        assert_eq!(challenge(&send(good).await), Some(BAD_PROOF), "it was used");
    }
    let two = request(&token).header("dpop", proof("4", &|_| {})).header("dpop", proof("5", &|_| {}));
    let broken: [(&str, Request); 8] = [
        ("none", request(&token)),
        ("two", two.clone()),
        (
            "another method",
            request(&token).header("dpop", proof("6", &|claims| claims["htm"] = json!("POST"))),
        ),
        (
            "another path",
            request(&token)
                .header("dpop", proof("7", &|claims| claims["htu"] = json!("http://api.example.com/"))),
        ),
        (
            "another scheme",
            request(&token).header(
                "dpop",
                proof("8", &|claims| claims["htu"] = json!("https://api.example.com/orders")),
            ),
        ),
        ("another host", request(&token).header("dpop", proof("9", &|_| {})).host("other.example.com")),
        ("old", request(&token).header("dpop", proof("10", &|claims| claims["iat"] = json!(now() - 40)))),
        (
            "of another token",
            request(&token).header("dpop", proof("11", &|claims| claims["ath"] = json!("AAAA"))),
        ),
    ];
    for (what, request) in broken {
        assert_eq!(challenge(&send(request).await), Some(BAD_PROOF), "{what}");
    }
    // Also over HTTP/2, and with a URL as a client's library may spell it.
    let spelled = |claims: &mut Value| claims["htu"] = json!("HTTP://API.example.com:80/./%6frders?x#y");
    let good = request(&token).header("dpop", proof("12", &spelled));
    seen(&client::send_http2(host.address(), good.clone()).await);
    assert_eq!(challenge(&client::send_http2(host.address(), good).await), Some(BAD_PROOF));
    assert_eq!(challenge(&client::send_http2(host.address(), two).await), Some(BAD_PROOF));
    // The proxy says how the client came, not the client.
    let lied = request(&token)
        .header("x-forwarded-proto", "https")
        .header("dpop", proof("13", &|claims| claims["htu"] = json!("https://api.example.com/orders")));
    assert_eq!(challenge(&send(lied).await), Some(BAD_PROOF));
    let plain = bound(&issuer, &client, Algorithm::Es256, |claims| {
        claims.as_object_mut().unwrap().remove("cnf");
    });
    assert_eq!(challenge(&send(request(&plain).header("dpop", proof("14", &|_| {}))).await), Some(BAD_TOKEN));
    assert!(!host.log().contains(&token) && !host.log().contains("panicked"), "{}", host.log());
}

async fn every_algorithm_of_a_proof_is_verified_by_the_host_or_the_filter<H: Host>() {
    let (issuer, app) = (Issuer::new(), Echo::start().await.unwrap());
    let (host, _keys) = start::<H>(&issuer, &app, |_| {}).await;
    for algorithm in
        [Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa]
    {
        let (client, other) = (Issuer::new(), Issuer::new());
        let token = bound(&issuer, &client, algorithm, |_| {});
        let good = proof(&client, algorithm, &token, algorithm.name(), |_| {});
        let (signed, signature) = good.rsplit_once('.').unwrap();
        let mut bytes = issuer::from_base64url(signature);
        *bytes.last_mut().unwrap() ^= 1;
        let flipped = format!("{signed}.{}", base64url(bytes));
        let answer = client::send(host.address(), request(&token).header("dpop", flipped)).await;
        assert_eq!(challenge(&answer), Some(BAD_PROOF), "{algorithm}");
        seen(&client::send(host.address(), request(&token).header("dpop", good)).await);
        // The RSA key is the same published one for all.
        if !algorithm.name().starts_with(['R', 'P']) {
            let others = proof(&other, algorithm, &token, "other", |_| {});
            let answer = client::send(host.address(), request(&token).header("dpop", others)).await;
            assert_eq!(challenge(&answer), Some(BAD_PROOF), "{algorithm}");
        }
    }
}

async fn the_resolver_never_hears_of_a_bound_token<H: Host>() {
    let authgear = Authgear::start(Options::default()).await.unwrap();
    let (issuer, client, app) = (Issuer::new(), Issuer::new(), Echo::start().await.unwrap());
    let keys = Answer { body: issuer.jwks().to_string().into_bytes(), ..Answer::status(200) };
    let keys = Faulty::start(Failure::Answer(keys)).await.unwrap();
    let configuration = json!({"authgear": {
        "endpoint": H::ORIGIN,
        "upstream": H::upstream("authgear", keys.address()),
        "resolver_url": "http://resolver.internal:3001/_resolver/resolve",
        "resolver_upstream": H::upstream("resolver", authgear.resolver_address()),
    }, "access": "required"});
    let upstreams = [("authgear", keys.address()), ("resolver", authgear.resolver_address())];
    let host = H::start(H::one_worker(H::builder(&app, &upstreams)), configuration).await;
    let token = bound(&issuer, &client, Algorithm::Es256, |claims| {
        (claims["iss"], claims["aud"]) = (json!(H::ORIGIN), json!([H::ORIGIN]));
    });
    let good = proof(&client, Algorithm::Es256, &token, "1", |_| {});
    let seen_by_app = seen(&client::send(host.address(), request(&token).header("dpop", good)).await);
    assert_eq!(seen_by_app.identity_header("x-authgear-user-id").as_deref(), Some("8b1f7c0e-user"));
    let cookie = "session=of-somebody";
    let get = || Request::get("/orders").host("api.example.com").header("cookie", cookie);
    for (what, request) in [
        ("as a bearer token", get().header("authorization", format!("Bearer {token}"))),
        ("with a used proof", request(&token).header("cookie", cookie)),
        ("opaque", get().header("authorization", "DPoP abcdefghijklmnopqrstuvwxyz012345")),
    ] {
        let answer = client::send(host.address(), request).await;
        let expected = if what == "with a used proof" { BAD_PROOF } else { BAD_TOKEN };
        assert_eq!(challenge(&answer), Some(expected), "{what}");
    }
    assert_eq!(authgear.received(Endpoint::Resolver).count(), 0);
}

#[tokio::test]
async fn in_envoy_each_worker_remembers_the_proofs_that_it_has_seen() {
    let (issuer, client, app) = (Issuer::new(), Issuer::new(), Echo::start().await.unwrap());
    let (host, _keys) = start::<Envoy>(&issuer, &app, |configuration| {
        configuration["cache"] = json!({"max_entries": 3});
        configuration["on_error"] = json!({"action": "allow"});
    })
    .await;
    let token = bound(&issuer, &client, Algorithm::Es256, |_| {});
    let send = |jti: &str| {
        let proof = proof(&client, Algorithm::Es256, &token, jti, |_| {});
        client::send(host.address(), request(&token).header("dpop", proof))
    };
    for jti in ["1", "2", "3"] {
        seen(&send(jti).await);
    }
    for jti in ["4", "5"] {
        assert_eq!(send(jti).await.status, 503, "there is no room, and none is forgotten");
    }
    for jti in ["1", "2", "3"] {
        assert_eq!(challenge(&send(jti).await), Some(BAD_PROOF));
    }
    host.wait_for_log("(cache.max_entries); requests are denied with 503").await;
}
