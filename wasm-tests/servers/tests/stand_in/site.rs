//! The main server: login, keys, tokens, and what only the test double has.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use servers::authgear::{
    Authenticated, Authgear, Client, ClientKind, Endpoint, Fault, Options, StatusCode, User,
};

use super::wire::{Answer, ask};

async fn start() -> Authgear {
    let mut users = User::demo();
    for user in &mut users {
        user.authenticated = Authenticated::At(1_700_000_000);
    }
    Authgear::start(Options { users, ..Options::default() }).await.unwrap()
}

async fn request(authgear: &Authgear, request: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let host = authgear.main_address().to_string();
    let mut all = vec![("host", host.as_str())];
    all.extend(headers);
    ask(authgear.main_address(), request, &all, body).await
}

async fn resolved(authgear: &Authgear, name: &str, value: &str) -> Vec<String> {
    let host = authgear.main_address().to_string();
    ask(authgear.resolver_address(), "GET /resolve", &[("host", &host), (name, value)], "").await.session()
}

/// The header and claims of a token.
fn parts(token: &str) -> (Value, Value) {
    let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
    let mut json = || serde_json::from_slice(&parts.next().unwrap()).unwrap();
    (json(), json())
}

/// Checks what differs from token to token, and removes it.
fn take_times(claims: &mut Value, lifetime: u64) {
    let claims = claims.as_object_mut().unwrap();
    let issued = claims.remove("iat").unwrap().as_u64().unwrap();
    assert_eq!(claims.remove("exp").unwrap().as_u64().unwrap(), issued + lifetime);
    if let Some(jti) = claims.remove("jti") {
        assert_eq!(jti.as_str().unwrap().len(), 32);
    }
}

#[tokio::test]
async fn an_access_token_says_exactly_what_the_real_one_says() {
    let authgear = start().await;
    authgear.update_user("guest", |user| user.authenticated = Authenticated::Never);
    let origin = authgear.public_origin();
    let (header, mut alice) = parts(&authgear.jwt("alice"));
    assert_eq!(header, json!({"alg": "RS256", "kid": authgear.current_key(), "typ": "at+jwt"}));
    take_times(&mut alice, 1800);
    assert_eq!(
        alice,
        json!({
            "iss": origin, "aud": [origin], "sub": "alice", "client_id": "demo-app",
            "scope": "openid offline_access https://authgear.com/scopes/full-access",
            "auth_time": 1_700_000_000, "amr": ["pwd", "otp", "mfa"],
            "https://authgear.com/claims/user/is_anonymous": false,
            "https://authgear.com/claims/user/is_verified": true,
            "https://authgear.com/claims/user/can_reauthenticate": true,
            "https://authgear.com/claims/user/roles": ["admin", "editor"],
        })
    );
    let (_, guest) = parts(&authgear.jwt("guest"));
    assert_eq!(guest.get("amr"), None);
    assert_eq!(guest["https://authgear.com/claims/user/roles"], json!([]));
    assert!(guest["auth_time"].as_i64().unwrap() < 0);
}

#[tokio::test]
async fn an_id_token_is_told_apart_by_type_and_audience_only() {
    let authgear = start().await;
    let (header, claims) = parts(&authgear.id_token("alice"));
    assert_eq!(header, json!({"alg": "RS256", "kid": authgear.current_key(), "typ": "JWT"}));
    assert_eq!((&claims["aud"], &claims["sub"]), (&json!("demo-app"), &json!("alice")));
}

#[tokio::test]
async fn a_machine_token_needs_the_secret_and_a_configured_resource() {
    let authgear = start().await;
    let good = "grant_type=client_credentials&client_id=demo-machine&client_secret=demo-machine-secret\
                &resource=https%3A%2F%2Fapi.example.com";
    let answer = request(&authgear, "POST /oauth2/token", &[], &format!("{good}&scope=read:orders")).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
    let reply: Value = serde_json::from_str(&answer.body).unwrap();
    let (header, mut claims) = parts(reply["access_token"].as_str().unwrap());
    assert_eq!(header["typ"], "at+jwt");
    take_times(&mut claims, 1800);
    let expected = json!({
        "iss": authgear.public_origin(), "aud": ["https://api.example.com"], "scope": "read:orders",
        "sub": "client_id_demo-machine", "client_id": "demo-machine",
    });
    assert_eq!(claims, expected);

    let basic = [("authorization", "Basic ZGVtby1tYWNoaW5lOmRlbW8tbWFjaGluZS1zZWNyZXQ=")];
    let short = "grant_type=client_credentials&resource=https://api.example.com";
    let answer = request(&authgear, "POST /oauth2/token", &basic, short).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.body.contains("read:orders write:orders"));
    for (body, status, error) in [
        ("grant_type=password", 400, "unsupported_grant_type"),
        (&good.replace("machine-secret", "wrong"), 401, "invalid_client"),
        (&good.replace("api.", "other."), 400, "invalid_target"),
        (&format!("{good}&scope=admin"), 400, "invalid_scope"),
    ] {
        let answer = request(&authgear, "POST /oauth2/token", &[], body).await;
        assert_eq!(answer.status, status, "{body}");
        assert!(answer.body.contains(error), "{answer:?}");
    }
}

#[tokio::test]
async fn keys_and_discovery_redirect_unless_scheme_and_host_are_the_public_ones() {
    let origin = "https://auth.example.com";
    let authgear =
        Authgear::start(Options { public_origin: Some(origin.into()), ..Options::default() }).await.unwrap();
    let (host, https) = (("host", "auth.example.com"), ("x-forwarded-proto", "https"));
    let (foreign, forwarded) = (("host", "in-cluster:3000"), ("x-forwarded-host", "auth.example.com"));
    for path in ["/oauth2/jwks", "/.well-known/openid-configuration"] {
        for (headers, status) in [
            (&[host, https][..], 200),
            (&[foreign, forwarded, https], 200),
            (&[host], 307),
            (&[host, ("x-forwarded-proto", "http")], 307),
            (&[foreign, https], 307),
        ] {
            let answer = ask(authgear.main_address(), &format!("GET {path}?a=b"), headers, "").await;
            assert_eq!(answer.status, status, "{path} {headers:?}");
            let location = (status == 307).then(|| format!("{origin}{path}?a=b"));
            assert_eq!(answer.header("location"), location.as_deref());
            assert_eq!(answer.header("cache-control"), None);
        }
    }
    let answer =
        ask(authgear.main_address(), "GET /.well-known/openid-configuration", &[host, https], "").await;
    let document: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(document["issuer"], origin);
    assert_eq!(document["jwks_uri"], format!("{origin}/oauth2/jwks"));
}

#[tokio::test]
async fn the_published_set_is_the_one_that_tokens_are_signed_with() {
    let authgear = start().await;
    let old = authgear.current_key();
    let next = authgear.publish_key();
    let published = || async {
        let answer = request(&authgear, "GET /oauth2/jwks", &[], "").await;
        let set: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(set, authgear.jwks());
        let keys = set["keys"].as_array().unwrap().clone();
        for key in &keys {
            assert_eq!(
                (&key["kty"], &key["alg"], &key["use"]),
                (&json!("RSA"), &json!("RS256"), &json!("sig"))
            );
            let members: Vec<_> = key.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(members, ["alg", "created_at", "e", "kid", "kty", "n", "use"]);
            let parts: Vec<_> = key["kid"].as_str().unwrap().split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12], "a UUID");
            assert!(key["created_at"].is_u64());
            assert_eq!(URL_SAFE_NO_PAD.decode(key["n"].as_str().unwrap()).unwrap().len(), 256);
        }
        keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(published().await.contains(&next));
    assert_eq!(parts(&authgear.jwt("bob")).0["kid"], old, "a key is published before it is used");
    authgear.sign_with(&next);
    assert_eq!(parts(&authgear.jwt("bob")).0["kid"], next);
    authgear.retire_key(&old);
    assert!(!published().await.contains(&old));
    assert_eq!(authgear.received(Endpoint::Jwks).count(), 2);
    authgear.fail(Endpoint::Jwks, Fault::Status(StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(request(&authgear, "GET /oauth2/jwks", &[], "").await.status, 503);
}

#[tokio::test]
async fn a_person_logs_in_goes_on_gets_tokens_and_logs_out() {
    let authgear = start().await;
    let app = format!("{}/app?x=1", authgear.public_origin());
    let query = format!("response_type=none&client_id=demo-app&scope=openid&redirect_uri={app}");
    let query: String = query.replace("?x=1", "%3Fx%3D1");
    let authorize = format!("GET /oauth2/authorize?{query}");

    let login = request(&authgear, &authorize, &[], "").await;
    assert_eq!(login.status, 200);
    assert!(
        login.body.contains(&format!(r#"name="next" value="{}""#, query.replace('&', "&amp;"))),
        "{}",
        login.body
    );
    assert!(login.body.contains("test double"));

    let next: String = query.replace('%', "%25").replace('&', "%26");
    let sent = request(&authgear, "POST /login", &[], &format!("user=alice&next={next}")).await;
    assert_eq!((sent.status, sent.header("location")), (303, Some(authorize.strip_prefix("GET ").unwrap())));
    let cookie = sent.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let logged_in = [("cookie", cookie.as_str())];
    assert!(resolved(&authgear, "cookie", &cookie).await.contains(&"x-authgear-user-id: alice".to_owned()));

    let back = request(&authgear, &authorize, &logged_in, "").await;
    assert_eq!((back.status, back.header("location")), (302, Some(app.as_str())));
    let back = request(&authgear, &format!("{authorize}&state=a%26b"), &logged_in, "").await;
    assert_eq!(back.header("location"), Some(format!("{app}&state=a%26b").as_str()));

    let home = request(&authgear, "GET /", &logged_in, "").await;
    for part in ["alice", r#"href="/app""#, "Log out", "opaque", "JWT", "ID token", "machine"] {
        assert!(home.body.contains(part), "{part}");
    }
    for (kind, dots) in [("opaque", 0), ("jwt", 2), ("id", 2), ("machine", 2)] {
        let page = request(&authgear, "POST /tokens", &logged_in, &format!("kind={kind}")).await;
        assert_eq!((page.status, page.header("cache-control")), (200, Some("no-store")));
        let token = page.body.split("readonly>").nth(1).unwrap().split('<').next().unwrap();
        assert_eq!(token.matches('.').count(), dots, "{kind}");
    }

    let out = request(&authgear, "POST /logout", &logged_in, "").await;
    assert!(out.header("set-cookie").unwrap().starts_with("session=; "));
    assert!(out.header("set-cookie").unwrap().contains("; Expires=Thu, 01 Jan 1970 00:00:00 GMT; "));
    assert_eq!(resolved(&authgear, "cookie", &cookie).await[0], "x-authgear-session-valid: false");
    assert!(request(&authgear, "GET /", &logged_in, "").await.body.contains("Log in as alice"));
}

#[tokio::test]
async fn a_login_leads_back_to_allowed_addresses_only() {
    let options = Options { other_hosts: vec!["other.example.com".into()], ..Options::default() };
    let authgear = Authgear::start(options).await.unwrap();
    let origin = authgear.public_origin();
    for (uri, status) in [
        ("https://other.example.com/app".into(), 200),
        ("https://other.example.com.evil.com/app".into(), 400),
        (origin.clone(), 200),
        (format!("{origin}/any/path"), 200),
        (format!("{origin}.evil.com/"), 400),
        (format!("{origin}@evil.com/"), 400),
        ("https://evil.com/".into(), 400),
        ("//evil.com".into(), 400),
        (String::new(), 400),
    ] {
        let target = format!(
            "GET /oauth2/authorize?response_type=none&client_id=demo-app&scope=openid&redirect_uri={uri}"
        );
        assert_eq!(request(&authgear, &target, &[], "").await.status, status, "{uri}");
    }
    for query in ["response_type=code&client_id=demo-app", "response_type=none&client_id=other"] {
        let target = format!("GET /oauth2/authorize?{query}&scope=openid&redirect_uri={origin}");
        assert_eq!(request(&authgear, &target, &[], "").await.status, 400);
    }
}

#[tokio::test]
async fn without_the_scope_openid_a_login_leads_back_with_an_error() {
    let authgear = start().await;
    let uri = format!("{}/app", authgear.public_origin());
    for scope in ["", "&scope=", "&scope=profile", "&scope=openid2"] {
        let target = format!(
            "GET /oauth2/authorize?response_type=none&client_id=demo-app&redirect_uri={uri}&state=a%26b{scope}"
        );
        let answer = request(&authgear, &target, &[], "").await;
        assert_eq!(answer.status, 303, "{scope}");
        let location = answer.header("location").unwrap();
        assert!(location.starts_with(&format!("{uri}?error=invalid_request&")), "{location}");
        assert!(location.ends_with("&state=a%26b"), "{location}");
    }
}

#[tokio::test]
async fn confidential_and_third_party_clients_get_the_users_attributes_in_their_tokens() {
    for (kind, email) in [
        (ClientKind::Public, json!(null)),
        (ClientKind::Confidential, json!("alice@example.com")),
        (ClientKind::ThirdParty, json!("alice@example.com")),
    ] {
        let clients = vec![Client { kind, ..Client::default() }];
        let authgear = Authgear::start(Options { clients, ..Options::default() }).await.unwrap();
        assert_eq!(parts(&authgear.jwt("alice")).1["email"], email, "{kind:?}");
    }
}

#[tokio::test]
async fn the_networks_protection_keeps_keys_back_and_nothing_else() {
    let denied_addresses = vec!["203.0.113.9".parse().unwrap()];
    let denied_user_agents = vec!["BadBot".to_owned()];
    let options = Options { denied_addresses, denied_user_agents, ..Options::default() };
    let authgear = Authgear::start(options).await.unwrap();
    // The first address counts, whoever wrote it.
    for (name, value, status) in [
        ("x-forwarded-for", "203.0.113.9", 403),
        ("x-forwarded-for", "203.0.113.9, 192.0.2.1", 403),
        ("x-forwarded-for", "192.0.2.1, 203.0.113.9", 200),
        ("forwarded", "proto=http;for=203.0.113.9, for=192.0.2.1", 403),
        ("forwarded", "for=\"192.0.2.1\", for=203.0.113.9", 200),
        ("user-agent", "BadBot/1.0", 403),
        ("user-agent", "curl/8", 200),
    ] {
        let answer = request(&authgear, "GET /oauth2/jwks", &[(name, value)], "").await;
        assert_eq!(answer.status, status, "{name}: {value}");
        let host = authgear.main_address().to_string();
        let headers = [("host", host.as_str()), (name, value)];
        assert_eq!(ask(authgear.resolver_address(), "GET /resolve", &headers, "").await.status, 200);
    }
}

#[tokio::test]
async fn without_trust_in_the_proxy_keys_of_an_https_origin_are_never_had_over_plain_http() {
    let public_origin = Some("https://auth.example.com".to_owned());
    let options = Options { public_origin, trust_proxy: false, ..Options::default() };
    let authgear = Authgear::start(options).await.unwrap();
    let headers = [("host", "auth.example.com"), ("x-forwarded-proto", "https")];
    assert_eq!(ask(authgear.main_address(), "GET /oauth2/jwks", &headers, "").await.status, 307);
}

#[tokio::test]
async fn nobody_logs_in_as_a_stranger_or_with_a_disabled_account() {
    let authgear = start().await;
    authgear.disable("bob");
    for user in ["bob", "mallory", ""] {
        let answer = request(&authgear, "POST /login", &[], &format!("user={user}")).await;
        assert_eq!((answer.status, answer.header("set-cookie")), (403, None), "{user}");
    }
    let markup = request(&authgear, "GET /?next=%22%3E%3Cscript%3E", &[], "").await.body;
    assert!(!markup.contains("<script>") && !markup.contains("Log in as bob"));
}

#[tokio::test]
async fn a_command_line_gets_any_credential_in_one_line() {
    let authgear = start().await;
    for (kind, name, prefix) in [
        ("opaque", "authorization", "Bearer "),
        ("jwt", "authorization", "Bearer "),
        ("session", "cookie", "session="),
        ("app_session", "cookie", "app_session="),
    ] {
        // It is served under any host, because people use the address.
        let answer = ask(
            authgear.main_address(),
            "POST /stand-in/token",
            &[("host", "other")],
            &format!("user=bob&kind={kind}"),
        )
        .await;
        let credential = format!("{prefix}{}", answer.body.trim_end());
        assert!(
            resolved(&authgear, name, &credential).await.contains(&"x-authgear-user-id: bob".into()),
            "{kind}"
        );
    }
    let opaque = request(&authgear, "POST /stand-in/token", &[], "user=bob").await.body;
    assert!(
        opaque.trim_end().len() == 32 && opaque.trim_end().bytes().all(|byte| byte.is_ascii_alphanumeric())
    );
    for body in ["user=nobody", "user=bob&kind=other", ""] {
        let answer = request(&authgear, "POST /stand-in/token", &[], body).await;
        assert_eq!(answer.status, 400);
        assert!(answer.body.contains("alice, bob, carol, guest"));
    }
}

#[tokio::test]
async fn an_administrator_disables_revokes_and_rotates_from_outside() {
    let authgear = start().await;
    let token = authgear.jwt("bob");
    let bearer = format!("Bearer {token}");
    let post = |path: &'static str| {
        let authgear = &authgear;
        async move { request(authgear, &format!("POST /stand-in/{path}"), &[], "").await.status }
    };
    assert_eq!(post("disable?user=bob").await, 200);
    assert!(resolved(&authgear, "authorization", &bearer).await.is_empty());
    assert_eq!(post("enable?user=bob").await, 200);
    let bearer = format!("Bearer {}", authgear.jwt("bob"));
    assert_eq!(resolved(&authgear, "authorization", &bearer).await.len(), 7);
    assert_eq!(post("bar?user=bob").await, 200);
    assert_eq!(resolved(&authgear, "authorization", &bearer).await, ["x-authgear-session-valid: false"]);
    assert_eq!(post("enable?user=bob").await, 200);
    assert_eq!(resolved(&authgear, "authorization", &bearer).await.len(), 7);
    assert_eq!(post("revoke?user=bob").await, 200);
    assert!(resolved(&authgear, "authorization", &bearer).await.is_empty());
    assert_eq!(post("delete?user=nobody").await, 404);
    let before = authgear.current_key();
    assert_eq!(post("rotate-key").await, 200);
    assert_ne!(authgear.current_key(), before);

    // A JWT cannot be revoked this way.
    for (token, left) in [(authgear.opaque_token("bob"), 0), (authgear.jwt("bob"), 7)] {
        let revoked = request(&authgear, "POST /oauth2/revoke", &[], &format!("token={token}")).await;
        assert_eq!((revoked.status, revoked.body.as_str()), (200, ""));
        assert_eq!(resolved(&authgear, "authorization", &format!("Bearer {token}")).await.len(), left);
    }
}

#[tokio::test]
async fn a_wrong_method_or_path_is_told() {
    let authgear = start().await;
    for (line, status) in [
        ("GET /login", 405),
        ("POST /oauth2/jwks", 405),
        ("HEAD /oauth2/jwks", 405),
        ("GET /healthz", 200),
        ("GET /stand-in/token?user=bob", 405),
        ("GET /nothing", 404),
        ("HEAD /", 200),
    ] {
        assert_eq!(request(&authgear, line, &[], "").await.status, status, "{line}");
    }
}

#[tokio::test]
async fn an_address_or_origin_that_cannot_be_is_named() {
    let taken = start().await;
    let options = Options { resolver: taken.resolver_address(), ..Options::default() };
    let error = Authgear::start(options).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&taken.resolver_address().to_string()), "{error}");
    let options = Options { public_origin: Some("localhost:8080".into()), ..Options::default() };
    assert!(Authgear::start(options).await.unwrap_err().to_string().contains("localhost:8080"));
}
