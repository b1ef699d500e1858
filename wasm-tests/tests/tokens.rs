//! Tokens that the filter verifies, on every host: they yield the resolver's headers; which tokens are nobody's;
//! which server is asked; and where the keys come from.
//!
//! In Envoy only: keys before the first request, requests that wait for another request's fetch, and confirmations
//! that no request waits for. APISIX has no ticks, and there no request can wait for the call of another.

use std::time::Duration;

use hyper::StatusCode;
use serde_json::{Value, json};
use wasm_tests::authgear::{Authenticated, Authgear, Endpoint, Fault, MachineClient, Options, Signer, User};
use wasm_tests::client::{self, Protocol, Request};
use wasm_tests::on_each_host;
use wasm_tests::scene::{HOST, Host, Layout, Scene, seen};
use wasm_tests::wait::{holds, wait_until};

on_each_host! {
    a_token_verified_here_gives_byte_for_byte_the_headers_that_the_resolver_gives,
    what_is_no_access_token_of_a_user_is_nobody,
    a_machine_is_known_by_its_client_where_its_audience_is_configured,
    an_opaque_token_of_a_machine_is_nobody,
    in_auto_each_credential_is_judged_by_who_knows_it,
    in_local_cookies_and_opaque_tokens_are_nobody,
    keys_are_asked_for_with_the_endpoints_host_and_scheme,
    a_new_key_is_believed_at_once_and_the_one_before_it_still,
    tokens_with_invented_keys_do_not_make_a_storm_of_fetches,
    without_keys_requests_with_a_token_get_503_and_are_served_when_the_keys_are_back,
    a_revoked_token_is_refused_within_revalidate_and_two_seconds,
    a_resolver_that_cannot_answer_revokes_nothing_and_is_counted,
    the_log_says_who_checks_the_signatures,
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn with_token(token: &str) -> Request {
    Request::get("/").header("authorization", bearer(token)).header("x-authgear-user-id", "forged")
}

fn refused() -> Vec<(String, String)> {
    vec![("x-authgear-session-valid".to_owned(), "false".to_owned())]
}

/// The configuration with this mode. `auto` is the default, so the field is left out.
fn mode(mode: &'static str) -> impl FnOnce(&mut Value) {
    move |configuration| {
        let authgear = configuration["authgear"].as_object_mut().unwrap();
        authgear.remove("mode");
        match mode {
            "auto" => {}
            "local" => {
                authgear.insert("mode".into(), json!("local"));
                authgear.remove("resolver_url");
                authgear.remove("resolver_upstream");
            }
            other => panic!("{other}"),
        }
    }
}

async fn start<H: Host>(change: impl FnOnce(&mut Value)) -> Layout<H> {
    start_with(Options::default(), change, |host| host).await
}

async fn start_with<H: Host>(
    options: Options,
    change: impl FnOnce(&mut Value),
    setup: impl FnOnce(H::Builder) -> H::Builder,
) -> Layout<H> {
    Layout::start_with(at_origin::<H>(options), change, setup).await
}

fn at_origin<H: Host>(options: Options) -> Options {
    Options { public_origin: Some(H::ORIGIN.to_owned()), ..options }
}

/// Waits until requests with a good token are let in, which means that the keys have arrived. On APISIX the first
/// request fetches them.
async fn wait_for_keys<H: Host>(scene: &Layout<H>) {
    let token = scene.authgear.jwt("alice");
    let token = &token;
    wait_until("a good token is let in", Duration::from_secs(20), || async move {
        let answer = scene.send(with_token(token)).await;
        holds(answer.status == 200, format!("{answer:?}"))
    })
    .await;
}

async fn a_token_verified_here_gives_byte_for_byte_the_headers_that_the_resolver_gives<H: Host>() {
    let mut users = User::demo();
    users.push(User { authenticated: Authenticated::Never, ..User::new("never") });
    users.push(User { authenticated: Authenticated::At(0), ..User::new("epoch") });
    users.push(User { roles: vec!["a role".into(), "größe".into()], ..User::new("umläut") });
    let names: Vec<_> = users.iter().map(|user| user.id.clone()).collect();
    for with in ["auto", "local"] {
        let options = Options { users: users.clone(), ..Options::default() };
        let scene = start_with::<H>(options, mode(with), |host| host).await;
        wait_for_keys(&scene).await;
        for user in &names {
            let token = scene.authgear.jwt(user);
            let expected = scene.resolver_says(&[("authorization", &bearer(&token))]).await;
            scene.authgear.clear_received();
            assert_eq!(scene.seen(with_token(&token)).await.identity(), expected, "{with}: {user}");
            assert_eq!(scene.authgear.received(Endpoint::Resolver).count(), 0, "{with}: {user}");
        }
    }
}

async fn what_is_no_access_token_of_a_user_is_nobody<H: Host>() {
    let scene = start::<H>(mode("auto")).await;
    wait_for_keys(&scene).await;
    let authgear = &scene.authgear;
    let odd = |change: fn(&mut serde_json::Map<String, Value>, &mut serde_json::Map<String, Value>)| {
        authgear.jwt_with("alice", change)
    };
    let (header, payload) = (r#"{"alg":"RS256","typ":"at+jwt"}"#, r#"{"sub":"alice"}"#);
    let cases = [
        ("an ID token", authgear.id_token("alice")),
        ("a machine's token", authgear.machine_token("https://api.example.com", &["read:orders"])),
        (
            "another audience",
            odd(|claims, _| drop(claims.insert("aud".into(), json!(["https://api.example.com"])))),
        ),
        ("another issuer", odd(|claims, _| drop(claims.insert("iss".into(), json!("https://evil.example"))))),
        ("expired", odd(|claims, _| drop(claims.insert("exp".into(), json!(1))))),
        ("not yet", odd(|claims, _| drop(claims.insert("nbf".into(), json!(9_999_999_999_u64))))),
        ("critical", odd(|_, header| drop(header.insert("crit".into(), json!(["exp"]))))),
        ("unsigned", odd(|_, header| drop(header.insert("alg".into(), json!("none"))))),
        ("HMAC", odd(|_, header| drop(header.insert("alg".into(), json!("HS256"))))),
        ("no claims", authgear.sign(header, payload, Signer::Current)),
        ("a stranger's", authgear.sign(header, payload, Signer::Stranger)),
        ("three dots", "...".to_owned()),
        ("a dot", ".".to_owned()),
    ];
    for (what, token) in cases {
        assert_eq!(scene.seen(with_token(&token)).await.identity(), refused(), "{what}");
    }
    assert_eq!(authgear.received(Endpoint::Resolver).count(), 0, "nothing was asked");
}

async fn a_machine_is_known_by_its_client_where_its_audience_is_configured<H: Host>() {
    let scene = start::<H>(|configuration| {
        mode("auto")(configuration);
        configuration["authgear"]["audiences"] = json!([H::ORIGIN, "https://api.example.com"]);
    })
    .await;
    wait_for_keys(&scene).await;
    let token = scene.authgear.machine_token("https://api.example.com", &["read:orders"]);
    let request = with_token(&token).header("x-authgear-client-id", "forged");
    assert_eq!(
        scene.seen(request).await.identity(),
        [("x-authgear-client-id", "demo-machine"), ("x-authgear-client-scope", "read:orders")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
}

async fn an_opaque_token_of_a_machine_is_nobody<H: Host>() {
    let machine = MachineClient { has_opaque_tokens: true, ..MachineClient::default() };
    for with in ["auto", "local"] {
        let options = Options { machines: vec![machine.clone()], ..Options::default() };
        let change = |configuration: &mut Value| {
            mode(with)(configuration);
            configuration["authgear"]["audiences"] = json!([H::ORIGIN, "https://api.example.com"]);
            configuration["rules"] = json!([{"prefix": "/guarded", "access": "required"}]);
        };
        let scene = start_with::<H>(options, change, |host| host).await;
        let token = scene.authgear.machine_token("https://api.example.com", &["read:orders"]);
        let expected = if with == "auto" { vec![] } else { refused() };
        assert_eq!(scene.seen(with_token(&token)).await.identity(), expected, "{with}");
        let guarded = Request::get("/guarded").header("authorization", bearer(&token));
        assert_eq!(scene.send(guarded).await.status, 401, "{with}");
    }
}

async fn in_auto_each_credential_is_judged_by_who_knows_it<H: Host>() {
    // Nothing is cached, so that every question shows.
    let scene = start::<H>(|configuration| {
        mode("auto")(configuration);
        configuration["cache"] = json!({"ttl": "0s"});
    })
    .await;
    wait_for_keys(&scene).await;
    let authgear = &scene.authgear;
    let session = format!("session={}", authgear.log_in("carol"));
    let good = authgear.jwt("alice");
    let expired = authgear.jwt_with("alice", |claims, _| drop(claims.insert("exp".into(), json!(1))));
    let opaque = authgear.opaque_token("alice");
    #[rustfmt::skip]
    let cases: [(&str, Option<&str>, bool, Option<&str>, u64); 7] = [
        // What, token, cookie, user, calls.
        ("a JWT", Some(&good), false, Some("alice"), 0),
        ("a JWT and a cookie", Some(&good), true, Some("alice"), 0),
        ("an opaque token", Some(&opaque), false, Some("alice"), 1),
        ("a cookie", None, true, Some("carol"), 1),
        ("a bad JWT", Some(&expired), false, None, 0),
        ("a bad JWT and a cookie", Some(&expired), true, Some("carol"), 1),
        ("an opaque token and a cookie", Some(&opaque), true, Some("alice"), 1),
    ];
    for (what, token, cookie, user, calls) in cases {
        authgear.clear_received();
        let mut request = Request::get("/");
        if let Some(token) = token {
            request = request.header("authorization", bearer(token));
        }
        if cookie {
            request = request.header("cookie", &session);
        }
        let seen = scene.seen(request).await;
        assert_eq!(seen.identity_header("x-authgear-user-id").as_deref(), user, "{what}");
        assert_eq!(authgear.received(Endpoint::Resolver).count(), calls, "{what}");
        if what == "a bad JWT and a cookie" {
            let asked = authgear.received(Endpoint::Resolver).last().unwrap();
            assert_eq!(asked.header("authorization"), None, "the bad token is not sent along");
        }
    }
}

async fn in_local_cookies_and_opaque_tokens_are_nobody<H: Host>() {
    let scene = start::<H>(mode("local")).await;
    wait_for_keys(&scene).await;
    let session = format!("session={}", scene.authgear.log_in("alice"));
    let cookie = scene.seen(Request::get("/").header("cookie", &session)).await;
    assert_eq!(cookie.identity(), []);
    let opaque = scene.authgear.opaque_token("alice");
    assert_eq!(scene.seen(with_token(&opaque).header("cookie", &session)).await.identity(), refused());
    assert_eq!(scene.authgear.received(Endpoint::Resolver).count(), 0);
}

async fn keys_are_asked_for_with_the_endpoints_host_and_scheme<H: Host>() {
    let scene = start::<H>(mode("auto")).await;
    wait_for_keys(&scene).await;
    let asked = scene.authgear.received(Endpoint::Jwks).last().unwrap();
    assert_eq!((asked.method.as_str(), asked.target.as_str(), asked.body_length), ("GET", "/oauth2/jwks", 0));
    let (scheme, _) = H::ORIGIN.split_once(':').unwrap();
    assert_eq!(asked.header("host"), Some(HOST.as_bytes()));
    assert_eq!(asked.header("x-forwarded-host"), Some(HOST.as_bytes()));
    assert_eq!(asked.header("x-forwarded-proto"), Some(scheme.as_bytes()));
    scene.host.assert_counted_as("keys.fetched", |count| count >= 1).await;
}

#[tokio::test]
async fn the_keys_are_there_before_the_first_request() {
    let scene = Scene::start(mode("auto")).await;
    // Every VM fetches them once: one VM per worker, and two more that Envoy configures.
    scene.host.wait_for_stat("wasmcustom.authgear_filter.keys.fetched", 3).await;
    scene.authgear.fail(Endpoint::Jwks, Fault::Status(StatusCode::INTERNAL_SERVER_ERROR));
    let seen = scene.seen(with_token(&scene.authgear.jwt("alice"))).await;
    assert_eq!(seen.identity_header("x-authgear-user-id").as_deref(), Some("alice"));
}

async fn a_new_key_is_believed_at_once_and_the_one_before_it_still<H: Host>() {
    let scene = start::<H>(mode("auto")).await;
    wait_for_keys(&scene).await;
    let before = scene.authgear.jwt("alice");
    scene.authgear.rotate_key();
    let after = scene.authgear.jwt("bob");
    for (token, user) in [(&after, "bob"), (&before, "alice"), (&after, "bob")] {
        let seen = scene.seen(with_token(token)).await;
        assert_eq!(seen.identity_header("x-authgear-user-id").as_deref(), Some(user));
    }
}

async fn tokens_with_invented_keys_do_not_make_a_storm_of_fetches<H: Host>() {
    let scene = start::<H>(mode("auto")).await;
    wait_for_keys(&scene).await;
    scene.authgear.clear_received();
    for number in 0..100 {
        let token = scene.authgear.jwt_with("alice", |_, header| {
            header.insert("kid".into(), json!(format!("invented-{number}")));
        });
        assert_eq!(scene.seen(with_token(&token)).await.identity(), refused());
    }
    let fetches = scene.authgear.received(Endpoint::Jwks).count();
    // One per worker in ten seconds. On a slow machine the hundred requests may take longer than that.
    assert!(fetches <= 6, "{fetches} fetches");
}

async fn without_keys_requests_with_a_token_get_503_and_are_served_when_the_keys_are_back<H: Host>() {
    for (action, status) in [("deny", 503), ("allow", 200)] {
        let scene = cold::<H>(Fault::Status(StatusCode::SERVICE_UNAVAILABLE), |configuration| {
            // In `auto` the resolver would be asked.
            mode("local")(configuration);
            configuration["on_error"] = json!({"action": action});
        })
        .await;
        let token = scene.authgear.jwt("alice");
        let answer = scene.send(with_token(&token)).await;
        assert_eq!(answer.status, status, "{action}: {answer:?}");
        if action == "deny" {
            assert_eq!(answer.json()["error"], "unavailable");
            scene.host.assert_counted_as("requests.no_keys_denied", |count| count >= 1).await;
        } else {
            assert_eq!(seen(&answer).identity(), []);
            scene.host.assert_counted_as("requests.no_keys_allowed", |count| count >= 1).await;
        }
        scene.host.wait_for_log("it answered 503").await;
        scene.host.assert_counted_as("keys.failed", |count| count >= 1).await;
        scene.authgear.fail(Endpoint::Jwks, Fault::None);
        wait_until("the keys that are back are noticed", Duration::from_secs(60), || async {
            let answer = scene.send(with_token(&token)).await;
            let is_known =
                answer.status == 200 && seen(&answer).identity_header("x-authgear-user-id").is_some();
            holds(is_known, format!("{answer:?}"))
        })
        .await;
    }
}

/// A host with two workers whose keys do not arrive until the fault is over.
async fn cold<H: Host>(fault: Fault, change: impl FnOnce(&mut Value)) -> Layout<H> {
    let change = |configuration: &mut Value| {
        mode("auto")(configuration);
        change(configuration);
    };
    let faults = [(Endpoint::Jwks, fault)];
    Layout::start_failing(at_origin::<H>(Options::default()), faults, change, |host| host).await
}

/// An Envoy whose fetch of the keys is in flight until the fault is lifted.
async fn waiting() -> Scene {
    cold(Fault::Hold, |configuration| configuration["timeout"] = json!("30s")).await
}

#[tokio::test]
async fn two_hundred_cold_requests_wait_for_a_fetch_or_two_of_each_vm() {
    let scene = waiting().await;
    let token = scene.authgear.jwt("alice");
    let address = scene.host.address();
    let requests: Vec<_> =
        (0..200).map(|_| tokio::spawn(client::send(address, with_token(&token)))).collect();
    scene.host.wait_for_stat("http.ingress.downstream_rq_active", 200).await;
    scene.authgear.fail(Endpoint::Jwks, Fault::None);
    for request in requests {
        let seen = seen(&request.await.unwrap());
        assert_eq!(seen.identity_header("x-authgear-user-id").as_deref(), Some("alice"));
    }
    // Two workers, and the two VMs that serve nobody.
    let fetches = scene.authgear.received(Endpoint::Jwks).count();
    assert!(fetches <= 2 * 4, "{fetches} fetches");
    assert_eq!(scene.authgear.received(Endpoint::Resolver).count(), 0);
}

#[tokio::test]
async fn clients_that_leave_while_keys_are_fetched_disturb_nobody() {
    let scene = waiting().await;
    let token = scene.authgear.jwt("alice");
    let address = scene.host.address();
    let leaving: Vec<_> = (0..50)
        .map(|_| tokio::spawn(client::try_send(address, Protocol::Http1, with_token(&token))))
        .collect();
    scene.host.wait_for_stat("http.ingress.downstream_rq_active", 50).await;
    for request in leaving {
        request.abort();
    }
    scene.host.wait_for_stat("http.ingress.downstream_cx_destroy_remote", 50).await;
    let staying = tokio::spawn(client::send(address, with_token(&token)));
    scene.host.wait_for_stat("http.ingress.downstream_rq_active", 1).await;
    scene.authgear.fail(Endpoint::Jwks, Fault::None);
    let seen = seen(&staying.await.unwrap());
    assert_eq!(seen.identity_header("x-authgear-user-id").as_deref(), Some("alice"));
    assert_eq!(scene.app.received().count(), 1, "none of those who left reached the app");
}

fn revalidating(configuration: &mut Value) {
    mode("auto")(configuration);
    configuration["authgear"]["revalidate"] = json!("1s");
}

/// Sends requests with a token until one is refused, for at most this long.
async fn until_refused<H: Host>(scene: &Layout<H>, token: &str, within: Duration) {
    wait_until("the token is refused", within, || async {
        let user = scene.seen(with_token(token)).await.identity_header("x-authgear-user-id");
        user.map_or(Ok(()), Err)
    })
    .await;
}

async fn a_revoked_token_is_refused_within_revalidate_and_two_seconds<H: Host>() {
    type Revoke = fn(&Authgear, &str);
    let ways: [(&str, Revoke); 2] = [
        ("revoked", |authgear, token| assert!(authgear.revoke_token(token))),
        ("disabled", |authgear, _| authgear.disable("alice")),
    ];
    for (what, revoke) in ways {
        let scene = start_with::<H>(Options::default(), revalidating, H::one_worker).await;
        wait_for_keys(&scene).await;
        let token = scene.authgear.jwt("alice");
        let seen = scene.seen(with_token(&token)).await;
        assert_eq!(seen.identity_header("x-authgear-user-id").as_deref(), Some("alice"), "{what}");
        revoke(&scene.authgear, &token);
        until_refused(&scene, &token, Duration::from_secs(3)).await;
        for _ in 0..20 {
            assert_eq!(scene.seen(with_token(&token)).await.identity(), refused(), "{what}");
        }
        scene.host.assert_counted_as("tokens.revoked", |count| count >= 1).await;
        let bob = scene.authgear.jwt("bob");
        let seen = scene.seen(with_token(&bob)).await;
        assert_eq!(seen.identity_header("x-authgear-user-id").as_deref(), Some("bob"), "{what}");
    }
}

#[tokio::test]
async fn confirmations_are_few_and_no_request_waits_for_one() {
    let scene = Scene::start_with(Options::default(), revalidating, |envoy| envoy.concurrency(1)).await;
    wait_for_keys(&scene).await;
    let token = scene.authgear.jwt("alice");
    scene.authgear.clear_received();
    scene.authgear.fail(Endpoint::Resolver, Fault::Hold);
    // Requests go on while the confirmation hangs, and no second one is made.
    wait_until("a confirmation is asked for", Duration::from_secs(20), || async {
        let seen = scene.seen(with_token(&token)).await;
        holds(scene.authgear.received(Endpoint::Resolver).count() > 0, format!("{seen:?}"))
    })
    .await;
    for _ in 0..100 {
        let seen = scene.seen(with_token(&token)).await;
        assert_eq!(seen.identity_header("x-authgear-user-id").as_deref(), Some("alice"));
    }
    let asked = scene.authgear.received(Endpoint::Resolver).all();
    let ours = asked.iter().filter(|call| call.header("authorization") == Some(bearer(&token).as_bytes()));
    assert!(ours.count() <= 1, "{}", asked.len());
    scene.authgear.fail(Endpoint::Resolver, Fault::None);
    scene.host.wait_for_stat("wasmcustom.authgear_filter.tokens.confirmed", 1).await;
}

async fn a_resolver_that_cannot_answer_revokes_nothing_and_is_counted<H: Host>() {
    let scene = start_with::<H>(Options::default(), revalidating, H::one_worker).await;
    wait_for_keys(&scene).await;
    scene.authgear.fail(Endpoint::Resolver, Fault::Status(StatusCode::INTERNAL_SERVER_ERROR));
    let token = scene.authgear.jwt("alice");
    wait_until("a confirmation is asked for", Duration::from_secs(20), || async {
        let seen = scene.seen(with_token(&token)).await;
        assert_eq!(seen.identity_header("x-authgear-user-id").as_deref(), Some("alice"));
        holds(scene.authgear.received(Endpoint::Resolver).count() > 0, format!("{seen:?}"))
    })
    .await;
    scene.host.wait_for_log("cannot be confirmed").await;
    let seen = scene.seen(with_token(&token)).await;
    assert_eq!(seen.identity_header("x-authgear-user-id").as_deref(), Some("alice"));
    scene.host.assert_counted_as("tokens.confirm_failed", |count| count >= 1).await;
}

async fn the_log_says_who_checks_the_signatures<H: Host>() {
    let scene = start::<H>(mode("local")).await;
    wait_for_keys(&scene).await;
    scene.host.wait_for_log(H::SIGNATURES).await;
}
