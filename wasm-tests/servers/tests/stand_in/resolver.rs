//! Everything that is known about Authgear's resolver.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use servers::authgear::{
    Authenticated, Authgear, Endpoint, Fault, MachineClient, Options, Signer, StatusCode, User,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use servers::faulty::{Failure, Faulty};

use super::wire::{Answer, ask, in_time};

/// A user whose every attribute is known in advance.
fn options() -> Options {
    let mut users = User::demo();
    for user in &mut users {
        user.authenticated = Authenticated::At(1_700_000_000);
    }
    Options { public_origin: Some("https://auth.example.com".into()), users, ..Options::default() }
}

async fn start() -> Authgear {
    Authgear::start(options()).await.unwrap()
}

async fn resolve(authgear: &Authgear, headers: &[(&str, &str)]) -> Answer {
    let mut all = vec![("host", "auth.example.com"), ("x-forwarded-proto", "https")];
    all.extend(headers);
    let answer = ask(authgear.resolver_address(), "GET /_resolver/resolve", &all, "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), None);
    answer
}

fn session(user: &str) -> Vec<String> {
    let lines: &[&str] = match user {
        "alice" => &[
            "x-authgear-session-valid: true",
            "x-authgear-user-id: alice",
            "x-authgear-user-anonymous: false",
            "x-authgear-user-verified: true",
            "x-authgear-user-can-reauthenticate: true",
            "x-authgear-user-roles: admin,editor",
            "x-authgear-session-amr: pwd otp mfa",
            "x-authgear-session-authenticated-at: 1700000000",
        ],
        "bob" => &[
            "x-authgear-session-valid: true",
            "x-authgear-user-id: bob",
            "x-authgear-user-anonymous: false",
            "x-authgear-user-verified: false",
            "x-authgear-user-can-reauthenticate: true",
            "x-authgear-session-amr: pwd",
            "x-authgear-session-authenticated-at: 1700000000",
        ],
        "guest" => &[
            "x-authgear-session-valid: true",
            "x-authgear-user-id: guest",
            "x-authgear-user-anonymous: true",
            "x-authgear-user-verified: false",
            "x-authgear-user-can-reauthenticate: false",
            "x-authgear-session-amr: ",
            "x-authgear-session-authenticated-at: 1700000000",
        ],
        _ => panic!("no such user here: {user}"),
    };
    lines.iter().map(|&line| line.to_owned()).collect()
}

const CLEARED: &str = "set-cookie: session=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; \
                       SameSite=Lax";

fn invalid(with_cookie: bool) -> Vec<String> {
    let mut lines = vec!["x-authgear-session-valid: false".to_owned()];
    lines.extend(with_cookie.then(|| CLEARED.to_owned()));
    lines
}

#[tokio::test]
async fn the_first_credential_that_is_good_decides() {
    let authgear = start().await;
    let (a, b) = (authgear.log_in("alice"), authgear.log_in("bob"));
    let (alice, bob) = (authgear.opaque_token("alice"), authgear.opaque_token("bob"));
    let (a_app, b_jwt) = (authgear.app_session("alice"), authgear.jwt("bob"));
    let guest = authgear.log_in("guest");
    let id_token = authgear.id_token("alice");
    let machine = authgear.machine_token("https://api.example.com", &["read:orders"]);
    let none = Vec::new();
    for (authorization, cookies, expected) in [
        // Nothing at all, and what Authgear ignores.
        ("", "", none.clone()),
        ("Basic YTpi", "theme=dark", none.clone()),
        (&format!("DPoP {alice}"), "", none.clone()),
        // There must be exactly one space.
        (&format!("Bearer  {alice}"), "", none.clone()),
        (&format!("Bearer\t{alice}"), &format!("session={a}"), session("alice")),
        // Each credential alone.
        (&format!("Bearer {alice}"), "", session("alice")),
        (&format!("bEARER {b_jwt}"), "", session("bob")),
        ("", &format!("app_session={a_app}"), session("alice")),
        ("", &format!("app_access_token={bob}"), session("bob")),
        ("", &format!("app_access_token={b_jwt}"), session("bob")),
        ("", &format!("theme=dark; session={a}"), session("alice")),
        ("", &format!("session={guest}"), session("guest")),
        // Credentials of the wrong kind.
        ("", &format!("app_session={alice}"), none.clone()),
        ("", &format!("app_session={}", authgear.narrow_app_session("alice")), none.clone()),
        (&format!("Bearer {a}"), "", none.clone()),
        (&format!("Bearer {id_token}"), "", none.clone()),
        (&format!("Bearer {machine}"), "", none.clone()),
        // A bad credential is ignored, unless it is a session cookie.
        ("Bearer bad", "", none.clone()),
        ("Bearer b.a.d", "", none.clone()),
        ("", "app_session=bad", none.clone()),
        ("", "app_access_token=bad", none.clone()),
        ("Bearer bad", "app_session=bad; app_access_token=bad", none.clone()),
        ("", "session=bad", invalid(true)),
        ("", "session=", invalid(true)),
        ("Bearer bad", "app_session=bad; session=bad", invalid(true)),
        // Precedence.
        (&format!("Bearer {bob}"), &format!("session={a}; app_session={a_app}"), session("bob")),
        ("", &format!("session={b}; app_access_token={bob}; app_session={a_app}"), session("alice")),
        ("", &format!("session={a}; app_access_token={bob}"), session("bob")),
        (&format!("Bearer {bob}"), "session=bad", session("bob")),
        // Falling through.
        ("Bearer bad", &format!("session={a}"), session("alice")),
        ("Bearer bad", &format!("app_session=bad; app_access_token={bob}"), session("bob")),
        (&format!("Bearer {id_token}"), &format!("app_session={a_app}"), session("alice")),
        ("", &format!("app_access_token=bad; session={b}"), session("bob")),
    ] {
        let sent = [("authorization", authorization), ("cookie", cookies)];
        let sent: Vec<_> = sent.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        assert_eq!(resolve(&authgear, &sent).await.session(), expected, "{sent:?}");
    }
}

#[tokio::test]
async fn both_paths_answer_get_and_head_and_nothing_else() {
    let authgear = start().await;
    let token = format!("Bearer {}", authgear.jwt("alice"));
    let headers =
        [("host", "auth.example.com"), ("x-forwarded-proto", "https"), ("authorization", token.as_str())];
    for (request, status) in [
        ("GET /_resolver/resolve", 200),
        ("HEAD /_resolver/resolve", 200),
        ("GET /resolve", 200),
        ("HEAD /resolve?x=1", 200),
        ("POST /resolve", 405),
        ("PUT /_resolver/resolve", 405),
        ("OPTIONS /resolve", 405),
        ("GET /", 404),
        ("DELETE /resolve", 405),
        ("GET /oauth2/jwks", 404),
        ("GET /healthz", 200),
        ("GET /resolve/", 301),
        ("GET //resolve", 301),
        ("GET /Resolve", 301),
        ("GET /_resolver//resolve?a=b", 301),
        ("GET /_resolver/resolve/", 301),
    ] {
        let answer = ask(authgear.resolver_address(), request, &headers, "").await;
        assert_eq!(answer.status, status, "{request}");
        let location = match (status, request.contains("_resolver"), request.contains('?')) {
            (301, true, true) => Some("/_resolver/resolve?a=b"),
            (301, true, false) => Some("/_resolver/resolve"),
            (301, false, _) => Some("/resolve"),
            _ => None,
        };
        assert_eq!(answer.header("location"), location, "{request}");
        let status = if request.ends_with("/healthz") { 0 } else { status };
        let expected = if status == 200 { session("alice") } else { vec![] };
        assert_eq!(answer.session(), expected, "{request}");
    }
}

#[tokio::test]
async fn the_project_is_found_by_the_forwarded_host_before_the_host() {
    let trusting = start().await;
    let other = Options { trust_proxy: false, other_hosts: vec!["Alias:8443".into()], ..options() };
    let other = Authgear::start(other).await.unwrap();
    let ours = "Auth.Example.com";
    for (authgear, headers, status) in [
        (&trusting, &[("host", ours)][..], 200),
        (&trusting, &[("host", "app.example.com")], 404),
        (&trusting, &[("host", "auth.example.com:443")], 404),
        (&trusting, &[("host", "app"), ("x-forwarded-host", ours)], 200),
        (&trusting, &[("host", ours), ("x-forwarded-host", "app")], 404),
        (&trusting, &[("host", "app"), ("x-original-host", ours)], 200),
        (&trusting, &[("host", ours), ("x-original-host", "app")], 404),
        (&trusting, &[("host", "a"), ("x-original-host", "b"), ("x-forwarded-host", ours)], 200),
        (&other, &[("host", ours), ("x-forwarded-host", "app")], 200),
        (&other, &[("host", "app"), ("x-forwarded-host", ours)], 404),
        (&other, &[("host", "alias:8443")], 200),
    ] {
        let answer = ask(authgear.resolver_address(), "GET /resolve", headers, "").await;
        assert_eq!(answer.status, status, "{headers:?}");
        assert_eq!(answer.session(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn disabling_or_deleting_a_user_ends_all_sessions_so_a_token_leaves_no_trace() {
    for end in [Authgear::disable, Authgear::delete] {
        let authgear = start().await;
        let cookie = format!("session={}", authgear.log_in("alice"));
        let app = format!("app_session={}", authgear.app_session("alice"));
        let (jwt, opaque) = (authgear.jwt("alice"), authgear.opaque_token("alice"));
        let bobs = format!("session={}", authgear.log_in("bob"));
        end(&authgear, "alice");
        assert_eq!(resolve(&authgear, &[("cookie", &cookie)]).await.session(), invalid(true));
        assert_eq!(resolve(&authgear, &[("cookie", &app)]).await.session(), [""; 0]);
        for token in [jwt, opaque] {
            let bearer = format!("Bearer {token}");
            assert_eq!(resolve(&authgear, &[("authorization", &bearer)]).await.session(), [""; 0]);
            let both = [("authorization", bearer.as_str()), ("cookie", bobs.as_str())];
            assert_eq!(resolve(&authgear, &both).await.session(), session("bob"), "it falls through");
            authgear.enable("alice");
            let answer = resolve(&authgear, &[("authorization", &bearer)]).await;
            assert_eq!(answer.session(), [""; 0], "what has ended stays so");
        }
        let cookie = format!("session={}", authgear.log_in("alice"));
        assert_eq!(resolve(&authgear, &[("cookie", &cookie)]).await.session(), session("alice"));
    }
}

#[tokio::test]
async fn a_user_whose_time_is_over_is_invalid_by_any_credential_and_nothing_falls_through() {
    let authgear = start().await;
    let cookie = format!("session={}", authgear.log_in("alice"));
    let app = format!("app_session={}", authgear.app_session("alice"));
    let token = format!("Bearer {}", authgear.jwt("alice"));
    let bobs = format!("session={}", authgear.log_in("bob"));
    authgear.bar("alice");
    assert_eq!(resolve(&authgear, &[("cookie", &cookie)]).await.session(), invalid(true));
    assert_eq!(resolve(&authgear, &[("cookie", &app)]).await.session(), invalid(false));
    assert_eq!(resolve(&authgear, &[("authorization", &token)]).await.session(), invalid(false));
    let both = [("authorization", token.as_str()), ("cookie", bobs.as_str())];
    assert_eq!(resolve(&authgear, &both).await.session(), invalid(true), "whoever's cookie it is");
    authgear.enable("alice");
    assert_eq!(resolve(&authgear, &[("authorization", &token)]).await.session(), session("alice"));
}

#[tokio::test]
async fn without_trust_in_the_proxy_every_jwt_is_nobody_over_plain_http() {
    let options = Options { trust_proxy: false, ..options() };
    let authgear = Authgear::start(options).await.unwrap();
    for (token, expected) in
        [(authgear.jwt("alice"), vec![]), (authgear.opaque_token("alice"), session("alice"))]
    {
        let bearer = format!("Bearer {token}");
        assert_eq!(resolve(&authgear, &[("authorization", &bearer)]).await.session(), expected);
    }
    let cookie = format!("session={}", authgear.log_in("alice"));
    assert_eq!(resolve(&authgear, &[("cookie", &cookie)]).await.session(), session("alice"));
    let cleared = CLEARED.replace(" Secure;", "");
    let answer = resolve(&authgear, &[("cookie", "session=bad")]).await;
    assert_eq!(answer.session(), ["x-authgear-session-valid: false", cleared.as_str()]);

    // With `TRUST_PROXY`, the audience is compared with the origin that the proxy names.
    let trusting = start().await;
    let bearer = format!("Bearer {}", trusting.jwt("alice"));
    for (proto, expected) in [("https", session("alice")), ("http", vec![]), ("", vec![])] {
        let headers =
            [("host", "auth.example.com"), ("x-forwarded-proto", proto), ("authorization", bearer.as_str())];
        let answer = ask(trusting.resolver_address(), "GET /resolve", &headers, "").await;
        assert_eq!((answer.status, answer.session()), (200, expected), "{proto:?}");
    }
}

#[tokio::test]
async fn the_clearing_cookie_has_its_domain_before_its_end_and_is_secure_as_the_request_was() {
    let options = Options { cookie_domain: Some("example.com".into()), ..options() };
    let authgear = Authgear::start(options).await.unwrap();
    for (proto, secure) in [("https", "; Secure"), ("http", "")] {
        let headers = [("host", "auth.example.com"), ("x-forwarded-proto", proto), ("cookie", "session=bad")];
        let answer = ask(authgear.resolver_address(), "GET /resolve", &headers, "").await;
        let expected = format!(
            "session=; Path=/; Domain=example.com; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly{secure}; \
             SameSite=Lax"
        );
        assert_eq!(answer.header("set-cookie"), Some(expected.as_str()), "{proto}");
    }
}

#[tokio::test]
async fn a_project_from_a_directory_answers_for_any_host() {
    let authgear = Authgear::start(Options { is_any_host_known: true, ..options() }).await.unwrap();
    let cookie = format!("session={}", authgear.log_in("alice"));
    let headers = [("host", "app.example.com"), ("cookie", cookie.as_str())];
    let answer = ask(authgear.resolver_address(), "GET /resolve", &headers, "").await;
    assert_eq!((answer.status, answer.session()), (200, session("alice")));
}

#[tokio::test]
async fn a_session_is_resolved_by_one_question_at_a_time_and_too_many_fail() {
    let options = Options { session_lock: Some(Duration::from_millis(200)), ..options() };
    let authgear = Authgear::start(options).await.unwrap();
    let cookie = format!("session={}", authgear.log_in("alice"));
    let address = authgear.resolver_address();
    let mut questions = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let cookie = cookie.clone();
        questions.spawn(async move {
            let headers = [("host", "auth.example.com"), ("cookie", cookie.as_str())];
            ask(address, "GET /resolve", &headers, "").await.status
        });
    }
    let statuses = questions.join_all().await;
    // Five failed tries take 750 ms, which is less than seven other requests take.
    assert!(statuses.contains(&200) && statuses.contains(&500), "{statuses:?}");
    assert_eq!(resolve(&authgear, &[("cookie", "session=bad")]).await.session(), invalid(true));
}

#[tokio::test]
async fn what_was_revoked_is_not_known_any_more() {
    let authgear = start().await;
    let (session_cookie, app) = (authgear.log_in("alice"), authgear.app_session("alice"));
    let (opaque, jwt) = (authgear.opaque_token("alice"), authgear.jwt("alice"));
    for token in [&opaque, &jwt] {
        let bearer = format!("Bearer {token}");
        assert_eq!(resolve(&authgear, &[("authorization", &bearer)]).await.session(), session("alice"));
        assert!(authgear.revoke_token(token));
        assert_eq!(resolve(&authgear, &[("authorization", &bearer)]).await.session(), Vec::<String>::new());
        assert!(!authgear.revoke_token(token));
    }
    assert!(authgear.log_out(&session_cookie));
    let cookie = format!("session={session_cookie}");
    assert_eq!(resolve(&authgear, &[("cookie", &cookie)]).await.session(), invalid(true));
    authgear.revoke_user("alice");
    let cookie = format!("app_session={app}");
    assert_eq!(resolve(&authgear, &[("cookie", &cookie)]).await.session(), Vec::<String>::new());
}

#[tokio::test]
async fn a_jwt_that_is_not_in_order_is_no_session() {
    let authgear = start().await;
    let retired = authgear.current_key();
    let old = authgear.jwt("alice");
    authgear.rotate_key();
    authgear.retire_key(&retired);
    let stranger = authgear.sign(r#"{"alg":"RS256","typ":"at+jwt"}"#, "{}", Signer::Stranger);
    for (what, token) in [
        ("retired key", old),
        ("stranger's key", stranger),
        ("expired", authgear.jwt_with("alice", |claims, _| drop(claims.insert("exp".into(), 1.into())))),
        ("no exp", authgear.jwt_with("alice", |claims, _| drop(claims.remove("exp")))),
        (
            "foreign audience",
            authgear.jwt_with("alice", |claims, _| drop(claims.insert("aud".into(), "x".into()))),
        ),
        (
            "unknown jti",
            authgear.jwt_with("alice", |claims, _| drop(claims.insert("jti".into(), "x".into()))),
        ),
        (
            "unknown kid",
            authgear.jwt_with("alice", |_, header| drop(header.insert("kid".into(), "x".into()))),
        ),
    ] {
        let bearer = format!("Bearer {token}");
        let answer = resolve(&authgear, &[("authorization", &bearer)]).await;
        assert_eq!(answer.session(), Vec::<String>::new(), "{what}");
    }
}

#[tokio::test]
async fn the_state_of_the_user_is_that_of_now_and_zero_time_is_absent() {
    let authgear = start().await;
    authgear.update_user("bob", |user| user.authenticated = Authenticated::Never);
    let bearer = format!("Bearer {}", authgear.jwt("bob"));
    authgear.update_user("bob", |user| {
        user.verified = true;
        user.roles = vec!["new".into()];
    });
    let answer = resolve(&authgear, &[("authorization", &bearer)]).await;
    assert_eq!(answer.header("x-authgear-user-verified"), Some("true"));
    assert_eq!(answer.header("x-authgear-user-roles"), Some("new"));
    assert_eq!(answer.header("x-authgear-session-authenticated-at"), None);
}

#[tokio::test]
async fn whether_a_user_is_verified_is_remembered_by_resolver_and_tokens_apart() {
    let verified = async |authgear: &Authgear| {
        let bearer = format!("Bearer {}", authgear.opaque_token("bob"));
        let answer = resolve(authgear, &[("authorization", &bearer)]).await;
        let said = |name: &str| answer.header(name).unwrap().to_owned();
        let resolver =
            ["verified", "can-reauthenticate"].map(|kind| said(&format!("x-authgear-user-{kind}")));
        let token = claims(&authgear.jwt("bob"));
        let claim = |name: &str| token[format!("https://authgear.com/claims/user/{name}")].to_string();
        (resolver, ["is_verified", "can_reauthenticate"].map(claim))
    };
    let texts = |first: &str, second: &str| [first.to_owned(), second.to_owned()];
    let change = |user: &mut User| (user.verified, user.can_reauthenticate) = (true, false);

    let authgear = start().await;
    let bearer = format!("Bearer {}", authgear.opaque_token("bob"));
    resolve(&authgear, &[("authorization", &bearer)]).await;
    authgear.update_user("bob", change);
    let (resolver, token) = verified(&authgear).await;
    assert_eq!(
        (resolver, token),
        (texts("false", "true"), texts("true", "false")),
        "the resolver had read bob"
    );

    let at_once = Options { user_info_lifetime: Duration::ZERO, ..options() };
    let authgear = Authgear::start(at_once).await.unwrap();
    verified(&authgear).await;
    authgear.update_user("bob", change);
    assert_eq!(verified(&authgear).await, (texts("true", "false"), texts("true", "false")));
}

fn claims(jwt: &str) -> Value {
    let payload = jwt.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[tokio::test]
async fn keys_without_alg_and_kid_make_every_jwt_nobody() {
    let authgear = Authgear::start(Options { has_bare_keys: true, ..options() }).await.unwrap();
    for key in authgear.jwks()["keys"].as_array().unwrap() {
        assert_eq!((key.get("alg"), key.get("kid")), (None, None));
        assert!(key["n"].is_string());
    }
    for (token, expected) in
        [(authgear.jwt("alice"), vec![]), (authgear.opaque_token("alice"), session("alice"))]
    {
        let bearer = format!("Bearer {token}");
        assert_eq!(resolve(&authgear, &[("authorization", &bearer)]).await.session(), expected);
    }
}

#[tokio::test]
async fn a_machine_with_opaque_tokens_has_tokens_that_nobody_can_verify() {
    let machine = MachineClient { has_opaque_tokens: true, ..MachineClient::default() };
    let authgear = Authgear::start(Options { machines: vec![machine], ..options() }).await.unwrap();
    let token = authgear.machine_token("https://api.example.com", &["read:orders"]);
    assert!(token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{token}");
    let bearer = format!("Bearer {token}");
    assert_eq!(resolve(&authgear, &[("authorization", &bearer)]).await.session(), [""; 0]);
}

#[tokio::test]
async fn only_cookies_with_the_projects_prefix_are_read_and_cleared() {
    let authgear = Authgear::start(Options { cookie_prefix: "my_".into(), ..options() }).await.unwrap();
    let good = authgear.log_in("alice");
    for (cookie, expected) in [
        (format!("my_session={good}"), session("alice")),
        (format!("session={good}"), vec![]),
        (format!("xmy_session={good}"), vec![]),
        ("session=bad".into(), vec![]),
        (format!("my_app_access_token={}", authgear.app_access_token("bob")), session("bob")),
        (
            "my_session=bad".into(),
            invalid(true).iter().map(|line| line.replace(" session=", " my_session=")).collect(),
        ),
    ] {
        assert_eq!(resolve(&authgear, &[("cookie", &cookie)]).await.session(), expected, "{cookie}");
    }
}

#[tokio::test]
async fn the_order_of_roles_and_the_old_acr_header_can_be_had() {
    let options = Options { vary_role_order: true, session_acr: true, ..options() };
    let authgear = Authgear::start(options).await.unwrap();
    let bearer = format!("Bearer {}", authgear.opaque_token("alice"));
    let mut orders = vec![];
    for _ in 0..2 {
        let answer = resolve(&authgear, &[("authorization", &bearer)]).await;
        assert!(answer.header("x-authgear-session-acr").is_some());
        orders.push(answer.header("x-authgear-user-roles").unwrap().to_owned());
    }
    assert_eq!(orders, ["admin,editor", "editor,admin"]);
}

#[tokio::test]
async fn in_the_hosted_layout_the_main_server_resolves_too() {
    let hosted = Authgear::start(Options { resolver_on_main: true, ..options() }).await.unwrap();
    let separate = start().await;
    let host = [("host", "auth.example.com")];
    assert_eq!(ask(hosted.main_address(), "GET /_resolver/resolve", &host, "").await.status, 200);
    assert_eq!(hosted.received(Endpoint::Resolver).count(), 1);
    let https = [("host", "auth.example.com"), ("x-forwarded-proto", "https")];
    assert_eq!(ask(separate.main_address(), "GET /_resolver/resolve", &https, "").await.status, 404);
}

#[tokio::test]
async fn everything_received_can_be_read() {
    let authgear = start().await;
    let headers = [("host", "auth.example.com"), ("x-a", "1"), ("cookie", "a=b"), ("x-a", "2")];
    ask(authgear.resolver_address(), "POST /resolve?q=1", &headers, "body").await;
    let received = authgear.received(Endpoint::Resolver).last().unwrap();
    assert_eq!((received.method.as_str(), received.target.as_str()), ("POST", "/resolve?q=1"));
    assert_eq!(received.header_all("x-a"), [b"1", b"2"]);
    assert_eq!((received.header("cookie"), received.body_length), (Some(&b"a=b"[..]), 4));
    assert_eq!(format!("{:?}", received.version), "HTTP/1.1");
    assert!(received.peer.ip().is_loopback());
    authgear.clear_received();
    assert_eq!(authgear.received(Endpoint::Resolver).count(), 0);
}

#[tokio::test]
async fn an_endpoint_fails_as_it_is_told_and_heals() {
    let authgear = start().await;
    let host = [("host", "auth.example.com")];
    let get = || ask(authgear.resolver_address(), "GET /resolve", &host, "");
    for status in [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::NOT_FOUND, StatusCode::SERVICE_UNAVAILABLE]
    {
        authgear.fail(Endpoint::Resolver, Fault::Status(status));
        assert_eq!(get().await.status, status);
    }
    authgear.fail(Endpoint::Resolver, Fault::Delay(Duration::from_millis(1)));
    assert_eq!(get().await.status, 200);
    authgear.clear_received();
    authgear.fail(Endpoint::Resolver, Fault::Hold);
    let held = get();
    let release = async {
        in_time(authgear.received(Endpoint::Resolver).wait_for(1)).await;
        authgear.fail(Endpoint::Resolver, Fault::None);
    };
    let (answer, ()) = tokio::join!(held, release);
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_server_that_stopped_leaves_its_address_to_the_next() {
    let authgear = start().await;
    let (main, resolver) = (authgear.main_address(), authgear.resolver_address());
    // An open connection does not hold the address.
    let _client = TcpStream::connect(resolver).await.unwrap();
    authgear.stop().await;
    let closed = Faulty::start_on(resolver, Failure::Refuse).await.unwrap();
    assert_eq!(TcpStream::connect(resolver).await.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    closed.stop().await;
    let again = Authgear::start(Options { main, resolver, ..options() }).await.unwrap();
    assert_eq!(resolve(&again, &[]).await.status, 200);
}

#[tokio::test]
async fn dropping_it_closes_its_connections() {
    let authgear = start().await;
    let mut client = TcpStream::connect(authgear.resolver_address()).await.unwrap();
    client.write_all(b"GET /resolve HTTP/1.1\r\nhost: auth.example.com\r\n\r\n").await.unwrap();
    in_time(client.readable()).await.unwrap();
    drop(authgear);
    in_time(client.read_to_end(&mut vec![])).await.unwrap();
}
