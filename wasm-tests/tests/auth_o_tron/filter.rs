//! The documented flow, through a real Envoy: the app knows a logged-in user by what the server said, and nobody else
//! gets there.

use serde_json::{Value, json};
use wasm_tests::auth_o_tron::{AuthOTron, PARTNERS, STAFF, USERS, basic, user};
use wasm_tests::client::{self, Request, Response};
use wasm_tests::echo::Echo;
use wasm_tests::envoy::Envoy;
use wasm_tests::scene::{Seen, seen};

use crate::{add_to_staff, claims};

/// Headers that a client may forge in the hope that the app trusts them. `X-Auth-Realm` is not among them: the server
/// reads it.
const FORGED: [(&str, &str); 6] = [
    ("x-auth-username", "forged"),
    ("X-Auth-Roles", "forged"),
    ("X_Auth_Username", "forged"),
    ("x.auth.roles", "forged"),
    ("x_auth_realm", "forged"),
    ("x-auth-of-tomorrow", "forged"),
];

/// A browser that follows a link.
const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

struct Scene {
    server: AuthOTron,
    app: Echo,
    envoy: Envoy,
}

impl Scene {
    /// The documented configuration, altered by `change`.
    async fn start(change: impl FnOnce(&mut Value)) -> Self {
        Self::start_before(AuthOTron::start().await, change).await
    }

    async fn start_before(server: AuthOTron, change: impl FnOnce(&mut Value)) -> Self {
        let app = Echo::start().await.expect("a port for the app");
        let mut configuration = json!({
            "forward_auth": {
                "url": "http://auth-o-tron:8080/authenticate",
                "upstream": "auth-o-tron",
                "identity_headers": ["authorization", "x-auth-*"],
                "request_headers": ["authorization", "x-auth-realm"],
                "original_request": "x-original",
            },
        });
        change(&mut configuration);
        let envoy = Envoy::builder()
            .cluster("app", app.address())
            .cluster("auth-o-tron", server.address())
            .plugin(configuration)
            .start()
            .await;
        Self { server, app, envoy }
    }

    async fn send(&self, request: Request) -> Response {
        client::send(self.envoy.address(), request).await
    }

    /// What the app received with a request that has these credentials.
    async fn seen(&self, request: Request) -> Seen {
        seen(&self.send(request).await)
    }
}

/// Names and values of all headers that an app could take for the server's, sorted.
fn identity(seen: &Seen) -> Vec<(&str, &str)> {
    let folded = |name: &str| name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let is_identity = |name: &str| name == "authorization" || folded(name).starts_with("x-auth-");
    let pairs = seen.headers.iter().filter(|(name, _)| is_identity(name));
    let mut pairs: Vec<_> = pairs.map(|(name, value)| (name.as_str(), value.as_str())).collect();
    pairs.sort_unstable();
    pairs
}

fn as_user(request: Request, realm: &str, name: &str) -> Request {
    request.header("authorization", user(realm, name).authorization())
}

fn forging(request: Request) -> Request {
    FORGED.iter().fold(request, |request, (name, value)| request.header(name, value))
}

#[tokio::test]
async fn the_app_gets_the_signed_token_and_the_headers_instead_of_the_password() {
    for method in ["GET", "HEAD"] {
        let scene = Scene::start(|config| config["forward_auth"]["method"] = method.into()).await;
        for user in USERS {
            let request = Request::get("/maps?layer=wind")
                .header("authorization", user.authorization())
                .header("x-auth-realm", user.realm);
            let seen = scene.seen(request).await;
            let roles = user.roles.join(",");
            let [token, headers @ ..] = &identity(&seen)[..] else { panic!("{seen:?}") };
            assert_eq!(
                headers,
                [("x-auth-realm", user.realm), ("x-auth-roles", &roles), ("x-auth-username", user.name)],
                "{method} {user:?}"
            );
            assert_eq!(token.0, "authorization");
            let claims = claims(token.1);
            assert_eq!(claims["sub"], format!("{}-{}", user.realm, user.name));
            assert_eq!(claims["roles"], json!(user.roles));
            assert_eq!(seen.whole["path"], "/maps?layer=wind");
        }
    }
}

#[tokio::test]
async fn whoever_is_refused_gets_the_servers_own_answer() {
    let scene = Scene::start(|_| ()).await;
    let bob = user(STAFF, "bob").authorization();
    #[rustfmt::skip]
    let cases = [
        ("nobody", vec![]),
        ("a wrong password", vec![("authorization", basic("bob", "wrong"))]),
        ("a scheme that nobody provides", vec![("authorization", "Bearer abc".to_owned())]),
        ("a user of another realm", vec![("authorization", bob.clone()), ("x-auth-realm", PARTNERS.into())]),
        ("an unknown realm", vec![("authorization", bob), ("x-auth-realm", "staf".into())]),
    ];
    for (what, headers) in cases {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let by_itself = scene.server.authenticate(&headers).await;
        let request =
            headers.iter().fold(Request::get("/"), |request, (name, value)| request.header(name, value));
        // The same goes for a browser, which then asks for the password.
        for request in [request.clone(), request.header(BROWSER.0, BROWSER.1)] {
            let answer = scene.send(request).await;
            assert_eq!((answer.status, by_itself.status), (401, 401), "{what}: {answer:?}");
            for name in ["www-authenticate", "content-type"] {
                assert_eq!(answer.header_lines(name), by_itself.header_lines(name), "{what}: {name}");
            }
            assert_eq!(answer.json(), by_itself.json(), "{what}");
        }
    }
    assert_eq!(scene.app.received().count(), 0, "nothing reached the app");
}

#[tokio::test]
async fn a_browser_is_sent_to_log_in_where_it_is_configured() {
    let redirect = json!({ "redirect": "/authenticate?redirect={path}" });
    let scene = Scene::start(|config| config["on_unauthenticated"] = redirect).await;

    let page = || Request::get("/maps?layer=wind&day=1").header(BROWSER.0, BROWSER.1);
    for request in [page(), page().header("authorization", basic("bob", "wrong"))] {
        let answer = scene.send(request).await;
        assert_eq!(answer.status, 302, "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let location = answer.header("location").expect("where to log in");
        let query = location.strip_prefix("/authenticate?").expect("the login page, on the same host");
        let fields: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
        assert_eq!(fields, [("redirect".into(), "/maps?layer=wind&day=1".into())], "{location}");
    }

    let others = [
        ("a program", Request::get("/maps")),
        ("a form", Request::post("/maps", "a=1").header(BROWSER.0, BROWSER.1)),
        ("the login page itself", Request::get("/authenticate?redirect=%2F").header(BROWSER.0, BROWSER.1)),
    ];
    for (what, request) in others {
        let answer = scene.send(request).await;
        assert_eq!((answer.status, answer.header("location")), (401, None), "{what}: {answer:?}");
        assert!(answer.header("www-authenticate").is_some(), "{what}: {answer:?}");
    }
    assert_eq!(scene.app.received().count(), 0, "nothing reached the app");

    // After login, the same page is the app's.
    assert_eq!(scene.send(as_user(page(), STAFF, "bob")).await.status, 200);
    let seen = scene.seen(as_user(Request::get("/maps"), STAFF, "bob")).await;
    assert!(identity(&seen).contains(&("x-auth-username", "bob")), "{seen:?}");
}

#[tokio::test]
async fn the_realm_that_the_client_asks_for_decides_who_alice_is() {
    // Cached or not, an answer of one realm never serves the other.
    for cache in [json!({ "ttl": "0s" }), json!({ "ttl": "60s" })] {
        let scene = Scene::start(|config| config["cache"] = cache.clone()).await;
        for (asked, realm, roles) in [
            (STAFF, STAFF, "admin,editor"),
            (PARTNERS, PARTNERS, "guest"),
            (STAFF, STAFF, "admin,editor"),
            ("PARTNERS", PARTNERS, "guest"),
        ] {
            let request = as_user(Request::get("/"), STAFF, "alice").header("x-auth-realm", asked);
            let seen = scene.seen(request).await;
            let identity = identity(&seen);
            assert!(identity.contains(&("x-auth-realm", realm)), "{asked} {cache}: {identity:?}");
            assert!(identity.contains(&("x-auth-roles", roles)), "{asked} {cache}: {identity:?}");
        }
        let nowhere = as_user(Request::get("/"), STAFF, "alice").header("x-auth-realm", "nowhere");
        assert_eq!(scene.send(nowhere).await.status, 401, "{cache}");
    }
}

#[tokio::test]
async fn no_header_of_the_servers_name_that_a_client_sent_reaches_the_app() {
    let rules = json!([
        { "prefix": "/public", "access": "public" },
        { "prefix": "/optional", "access": "optional" },
    ]);
    let scene = Scene::start(|config| config["rules"] = rules).await;

    let seen = scene.seen(forging(as_user(Request::get("/"), STAFF, "bob"))).await;
    let [token, headers @ ..] = &identity(&seen)[..] else { panic!("{seen:?}") };
    assert_eq!(claims(token.1)["username"], "bob");
    assert_eq!(headers, [("x-auth-realm", STAFF), ("x-auth-roles", ""), ("x-auth-username", "bob")]);

    let wrong = basic("bob", "wrong");
    let optional = Request::get("/optional").header("authorization", &wrong).header("x-auth-realm", STAFF);
    assert_eq!(identity(&scene.seen(forging(optional)).await), []);
    // Nobody was asked, so the client's own credential is for the app.
    let public = Request::get("/public").header("authorization", &wrong).header("x-auth-realm", STAFF);
    assert_eq!(identity(&scene.seen(forging(public)).await), [("authorization", wrong.as_str())]);
}

#[tokio::test]
async fn several_credentials_at_once_are_a_400_although_the_server_takes_them() {
    // Envoy joins two lines with a comma, so they look like one line with two credentials.
    let scene = Scene::start(|_| ()).await;
    let bob = user(STAFF, "bob").authorization();
    let one_line = Request::get("/").header("authorization", format!("Bearer abc, {bob}"));
    let two_lines = Request::get("/").header("authorization", "Bearer abc").header("authorization", bob);
    for request in [one_line, two_lines] {
        let answer = scene.send(request).await;
        assert_eq!((answer.status, &answer.json()["error"]), (400, &"bad_request".into()), "{answer:?}");
    }
}

#[tokio::test]
async fn a_name_that_is_not_ascii_reaches_the_app_byte_for_byte() {
    let zoe = json!({ "username": "zoë", "password": "x" });
    let server = AuthOTron::start_with(|configuration| add_to_staff(configuration, &zoe)).await;
    let scene = Scene::start_before(server, |_| ()).await;
    let seen = scene.seen(Request::get("/").header("authorization", basic("zoë", "x"))).await;
    // The app shows each byte as a character.
    let bytes: String = "zoë".bytes().map(char::from).collect();
    assert!(identity(&seen).contains(&("x-auth-username", bytes.as_str())), "{seen:?}");
}

#[tokio::test]
async fn an_upload_reaches_the_app_whole() {
    let scene = Scene::start(|_| ()).await;
    let upload = vec![b'x'; 200_000];
    let seen = scene.seen(as_user(Request::post("/maps", upload), STAFF, "bob")).await;
    assert_eq!((&seen.whole["method"], &seen.whole["body_length"]), (&json!("POST"), &json!(200_000)));
}

#[tokio::test]
async fn nobody_gets_in_while_the_server_is_down() {
    let Scene { server, app, envoy } = Scene::start(|_| ()).await;
    let bob = || as_user(Request::get("/"), STAFF, "bob");
    assert_eq!(client::send(envoy.address(), bob()).await.status, 200);
    drop(server);
    for request in [bob(), Request::get("/"), bob().header(BROWSER.0, BROWSER.1)] {
        let answer = client::send(envoy.address(), request).await;
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_eq!(answer.json()["error"], "unavailable");
        assert_eq!(answer.header("www-authenticate"), None, "a login would not help");
    }
    assert_eq!(app.received().count(), 1, "nothing more reached the app");
}

#[tokio::test]
async fn a_server_that_breaks_off_lets_nobody_in() {
    let odd = json!({ "username": "o\u{7}dd", "password": "x" });
    let server = AuthOTron::start_with(|configuration| add_to_staff(configuration, &odd)).await;
    let scene = Scene::start_before(server, |_| ()).await;
    let request = Request::get("/").header("authorization", basic("o\u{7}dd", "x"));
    assert_eq!(scene.send(request).await.status, 503);
    assert_eq!(scene.app.received().count(), 0);
}

#[tokio::test]
async fn roles_that_the_server_lists_open_what_a_rule_guards_and_the_app_has_names_of_its_own() {
    let scene = Scene::start(|config| {
        config["forward_auth"]["identity_headers"] = json!([
            "authorization", {"header": "x-user", "from": "x-auth-username"}, "x-auth-realm",
        ]);
        config["forward_auth"]["roles_header"] = json!("x-auth-roles");
        config["rules"] = json!([
            {"prefix": "/admin", "require": {"roles": ["admin"]}},
            {"prefix": "/shop", "require": {"roles": ["buyer", "editor"]}},
        ]);
        config["cache"] = json!({"ttl": "1m"});
    })
    .await;
    for user in USERS {
        for (path, roles) in
            [("/", None), ("/admin", Some(["admin", "owner"])), ("/shop/x", Some(["buyer", "editor"]))]
        {
            let request = forging(Request::get(path))
                .header("x-user", "forged")
                .header("authorization", user.authorization())
                .header("x-auth-realm", user.realm);
            let answer = scene.send(request).await;
            let may = roles.is_none_or(|roles| user.roles.iter().any(|role| roles.contains(role)));
            assert_eq!(answer.status, if may { 200 } else { 403 }, "{path} {user:?}");
            if may {
                let seen = seen(&answer);
                let told = identity(&seen);
                let names: Vec<_> = told.iter().map(|(name, _)| *name).collect();
                // What begins with `x-auth-` and is not listed is the client's to send here.
                assert_eq!(names, ["authorization", "x-auth-of-tomorrow", "x-auth-realm"], "{told:?}");
                let names: Vec<_> = seen.headers.iter().filter(|(name, _)| name == "x-user").collect();
                assert_eq!(names, [&("x-user".to_owned(), user.name.to_owned())]);
            }
        }
    }
}
