//! Logging in at Authgear, on every host, with a client that follows redirects as a browser does. It returns to the
//! page that it wanted, never loops, and is never sent to another site.

use serde_json::{Value, json};
use wasm_tests::authgear::{Client, Endpoint, Fault, Options, StatusCode};
use wasm_tests::client::{self, Request, Response};
use wasm_tests::on_each_host;
use wasm_tests::scene::{Host, Layout};

on_each_host! {
    a_person_logs_in_and_comes_back_to_the_page_that_was_wanted,
    nobody_goes_round_whatever_is_wrong,
    what_is_no_navigation_gets_a_401_and_the_callback_is_answered_by_get_alone,
    no_state_leads_to_another_site,
    while_authgear_is_down_nobody_is_sent_on,
}

const APP: &str = "app.example.test";
const CALLBACK: &str = "http://app.example.test/.authgear/login";

async fn start<H: Host>(change: impl FnOnce(&mut Value)) -> Layout<H> {
    let client = Client { redirect_uris: vec![CALLBACK.to_owned()], ..Client::default() };
    let options =
        Options { public_origin: Some(H::ORIGIN.to_owned()), clients: vec![client], ..Options::default() };
    let change = |configuration: &mut Value| {
        configuration["authgear"]["mode"] = json!("auto");
        configuration["authgear"]["login"] = json!({"client_id": "demo-app"});
        configuration["access"] = json!("required");
        configuration["rules"] = json!([
            {"prefix": "/admin", "require": {"roles": ["admin"]}},
            {"prefix": "/optional", "access": "optional"},
        ]);
        change(configuration);
    };
    Layout::start_with(options, change, |host| host).await
}

/// Follows redirects and keeps cookies of the app and of Authgear, which share a registrable domain.
struct Browser<'a, H> {
    scene: &'a Layout<H>,
    cookie: Option<String>,
    /// Whether the app's host gets the cookie.
    one_domain: bool,
    /// The pages that it has seen.
    visited: Vec<String>,
}

impl<'a, H: Host> Browser<'a, H> {
    fn new(scene: &'a Layout<H>) -> Self {
        Self { scene, cookie: None, one_domain: true, visited: Vec::new() }
    }

    /// Opens a page, and follows every redirect.
    async fn open(&mut self, url: &str) -> Response {
        self.visited.clear();
        let mut url = url.to_owned();
        loop {
            assert!(self.visited.len() < 10, "it goes round: {:#?}", self.visited);
            self.visited.push(url.clone());
            let answer = self.request(&url, "GET", "").await;
            match answer.header("location") {
                Some(location) => url = resolved(&url, location),
                None => return answer,
            }
        }
    }

    /// Logs in on the page where it is, and follows every redirect.
    async fn log_in(&mut self, user: &str) -> Response {
        let page = self.visited.last().expect("a page").clone();
        let (_, query) = page.split_once("/oauth2/authorize?").expect("a login page");
        let query = query.replace('%', "%25").replace('&', "%26");
        let form = format!("user={user}&next={query}");
        let sent = self.request(&format!("{}/login", H::ORIGIN), "POST", &form).await;
        let cookie = sent.header("set-cookie").expect("a session").split(';').next();
        self.cookie = cookie.map(str::to_owned);
        self.open(&resolved(H::ORIGIN, sent.header("location").expect("the way on"))).await
    }

    async fn request(&self, url: &str, method: &str, body: &str) -> Response {
        let (scheme, rest) = url.split_once("://").expect("a URL");
        let (host, path) =
            rest.find('/').and_then(|slash| rest.split_at_checked(slash)).unwrap_or((rest, "/"));
        let request = if method == "POST" {
            Request::post(path, body.to_owned()).header("content-type", "application/x-www-form-urlencoded")
        } else {
            Request::get(path)
        };
        let request = request.host(host).header("accept", "text/html,*/*;q=0.8");
        let is_app = host == APP;
        let request = match &self.cookie {
            Some(cookie) if self.one_domain || !is_app => request.header("cookie", cookie),
            _ => request,
        };
        if is_app {
            assert_eq!(scheme, "http");
            self.scene.send(request).await
        } else {
            assert_eq!(url.strip_prefix(H::ORIGIN).map(|rest| rest.starts_with('/')), Some(true), "{url}");
            client::send(self.scene.authgear.main_address(), request.header("x-forwarded-proto", scheme))
                .await
        }
    }
}

fn resolved(base: &str, location: &str) -> String {
    if location.contains("://") && !location.starts_with('/') {
        return location.to_owned();
    }
    assert!(
        location.starts_with('/') && !location.starts_with("//") && !location.contains('\\'),
        "{location}"
    );
    let (scheme, rest) = base.split_once("://").expect("a URL");
    format!("{scheme}://{}{location}", rest.split('/').next().expect("a host"))
}

async fn a_person_logs_in_and_comes_back_to_the_page_that_was_wanted<H: Host>() {
    let scene = start::<H>(|_| {}).await;
    let mut browser = Browser::new(&scene);
    let wanted = "http://app.example.test/orders/7?x=1&y=%20+&z=%2Fa";
    let login = browser.open(wanted).await;
    assert_eq!(login.status, 200, "{login:?}");
    assert!(login.text().contains("Log in as alice"));
    assert_eq!(scene.app.received().count(), 0);
    let page = browser.log_in("alice").await;
    assert_eq!(browser.visited.last().map(String::as_str), Some(wanted));
    assert_eq!(page.status, 200, "{page:?}");
    assert_eq!(user(&scene).as_deref(), Some("alice"));
    assert_eq!(scene.app.received().count(), 1, "the app does not see the callback");
    // A user who is logged in at Authgear but not here sees no login page.
    let mut other = Browser { cookie: browser.cookie.clone(), ..Browser::new(&scene) };
    let answer = other.open(&format!("{CALLBACK}?state=/optional")).await;
    assert_eq!((answer.status, user(&scene).as_deref()), (200, Some("alice")));
}

/// The user that the app sees with the last request.
fn user<H>(scene: &Layout<H>) -> Option<String> {
    let last = scene.app.received().last().expect("a request");
    last.header("x-authgear-user-id").map(|user| String::from_utf8(user.to_vec()).expect("text"))
}

async fn nobody_goes_round_whatever_is_wrong<H: Host>() {
    let scene = start::<H>(|_| {}).await;
    // The session lacks what a rule requires.
    let mut browser = Browser::new(&scene);
    browser.open("http://app.example.test/admin").await;
    let denied = browser.log_in("bob").await;
    assert_eq!((denied.status, denied.json()["error"].as_str()), (403, Some("forbidden")));
    // The cookie does not reach the app.
    let mut browser = Browser { one_domain: false, ..Browser::new(&scene) };
    browser.open("http://app.example.test/").await;
    let unfinished = browser.log_in("alice").await;
    assert_unfinished(&unfinished);
    assert_unfinished(&browser.open("http://app.example.test/").await);
    // The app's resolver does not accept it.
    scene.authgear.disable("alice");
    browser.one_domain = true;
    let answer = browser.open("http://app.example.test/").await;
    assert!(matches!(answer.status, 200 | 401), "{answer:?}");
    // Authgear answers with an error.
    let mut browser = Browser::new(&scene);
    let query = "error=invalid_request&error_description=canary&state=%2Fcanary";
    assert_unfinished(&browser.open(&format!("{CALLBACK}?{query}")).await);
    // Authgear does not accept the URL to return to.
    let scene = start::<H>(|configuration| {
        configuration["authgear"]["login"]["callback"] = json!("/not-registered");
    })
    .await;
    let refused = Browser::new(&scene).open("http://app.example.test/").await;
    assert_eq!(refused.status, 400);
}

fn assert_unfinished(answer: &Response) {
    assert_eq!((answer.status, answer.header("location")), (401, None), "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.text().contains("the login did not finish"), "{answer:?}");
    assert!(!format!("{answer:?}").contains("canary"), "{answer:?}");
}

async fn what_is_no_navigation_gets_a_401_and_the_callback_is_answered_by_get_alone<H: Host>() {
    let scene = start::<H>(|_| {}).await;
    let get = |path: &str| Request::get(path).host(APP);
    for request in [
        get("/"),
        get("/").header("accept", "*/*"),
        get("/").header("accept", "text/html").header("sec-fetch-mode", "cors"),
        get("/").header("accept", "text/html").header("x-requested-with", "XMLHttpRequest"),
        Request::post("/", "x").host(APP).header("accept", "text/html"),
    ] {
        let answer = scene.send(request).await;
        assert_eq!((answer.status, answer.header("location")), (401, None), "{answer:?}");
        assert_eq!(answer.json()["error"], "unauthorized");
    }
    let cookie = format!("session={}", scene.authgear.log_in("alice"));
    for request in [
        get("/.authgear/login/"),
        get("/.authgear/login/x"),
        get("/.authgear/%6cogin?state=/a"),
        Request::post("/.authgear/login?state=/a", "x").host(APP),
    ] {
        let seen = scene.seen(request.header("cookie", &cookie).header("x-authgear-user-id", "forged")).await;
        assert_eq!(seen.identity_header("x-authgear-user-id").as_deref(), Some("alice"));
    }
    let answer = scene.send(get("/.authgear/login?state=/a").header("cookie", &cookie)).await;
    assert_eq!((answer.status, answer.header("location")), (302, Some("/a")));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

async fn no_state_leads_to_another_site<H: Host>() {
    let scene = start::<H>(|_| {}).await;
    let cookie = format!("session={}", scene.authgear.log_in("alice"));
    let long = format!("/{}", "a".repeat(2047));
    #[rustfmt::skip]
    let cases = [
        ("/a%3Fx%3D1", "/a?x=1"), (&*long, &*long), ("/a+b", "/a%20b"),
        ("", "/"), ("//evil.example", "/"), ("%2F%2Fevil.example", "/"), ("/%5Cevil.example", "/"),
        ("%2F%255Cevil.example", "/"), ("/%5c/evil.example", "/"), ("/%09/evil.example", "/"),
        ("%2F%2509%2Fevil.example", "/"), ("%09//evil.example", "/"), ("https:evil.example", "/"),
        ("https://evil.example", "/"), ("https%3A%2F%2Fevil.example", "/"), ("javascript:alert(1)", "/"),
        ("/;//evil.example", "/"), ("/%252f/evil.example", "/"), ("/.//evil.example", "/"),
        ("/a%0d%0aset-cookie:%20canary=1", "/"), ("/a%0A%0Dlocation:%20x", "/"), ("/a%00", "/"), ("/%7f", "/"),
        ("+//evil.example", "/"), ("evil.example", "/"), ("@evil.example", "/"), ("/a%23b", "/"), ("/a&state=/b", "/"),
    ];
    for (state, expected) in cases {
        let request =
            Request::get(&format!("/.authgear/login?state={state}")).host(APP).header("cookie", &cookie);
        let answer = scene.send(request).await;
        assert_eq!((answer.status, answer.header("location")), (302, Some(expected)), "{state}");
        assert!(!format!("{:?}", answer.headers).contains("canary"), "{answer:?}");
        assert_eq!(answer.header("set-cookie"), None);
    }
    assert_eq!(scene.app.received().count(), 0);
}

async fn while_authgear_is_down_nobody_is_sent_on<H: Host>() {
    let scene = start::<H>(|configuration| {
        configuration["access"] = json!("optional");
        configuration["on_error"] = json!({"action": "allow", "status": 502});
    })
    .await;
    scene.authgear.fail(Endpoint::Resolver, Fault::Status(StatusCode::INTERNAL_SERVER_ERROR));
    let with = |path: &str| Request::get(path).host(APP).header("cookie", "session=s");
    let answer = scene.send(with("/.authgear/login?state=/a").header("accept", "text/html")).await;
    assert_eq!((answer.status, answer.header("location")), (502, None), "{answer:?}");
    assert_eq!(scene.seen(with("/optional")).await.identity(), [], "the operator chose so elsewhere");
}
