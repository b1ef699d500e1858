//! Denials as a client gets them, on every host: JSON that is never empty, the operator's own words, and a redirect
//! to the login page, which only people get and which never leads anywhere else.

use serde_json::{Value, json};
use wasm_tests::client::{self, Request};
use wasm_tests::envoy::Envoy;
use wasm_tests::on_each_host;
use wasm_tests::scene::{Host, Layout};

on_each_host! {
    a_denial_is_json_with_a_challenge_and_is_never_kept,
    a_denial_is_what_the_operator_wrote,
    a_person_is_sent_to_log_in_and_a_program_is_told,
    what_a_script_sends_is_told_although_it_accepts_a_page,
    the_way_back_is_made_of_the_request_alone,
    the_login_page_is_never_sent_to_itself,
    a_rule_may_deny_in_its_own_way,
}

const PAGE: &str = "text/html,application/xhtml+xml,*/*;q=0.8";

fn required(configuration: &mut Value) {
    configuration["access"] = json!("required");
}

fn redirecting(template: &str) -> impl FnOnce(&mut Value) {
    let template = template.to_owned();
    move |configuration| {
        required(configuration);
        configuration["on_unauthenticated"] = json!({"redirect": template});
    }
}

async fn a_denial_is_json_with_a_challenge_and_is_never_kept<H: Host>() {
    let scene = Layout::<H>::start(required).await;
    let bare = Some("Bearer");
    let invalid = Some("Bearer error=\"invalid_token\"");
    #[rustfmt::skip]
    let cases = [
        ("nothing", "accept", "*/*", bare),
        ("a page is wanted", "accept", PAGE, bare),
        ("no credential of Authgear's", "authorization", "Basic eDp5", bare),
        ("a cookie of the app's", "cookie", "theme=dark", bare),
        ("a bad cookie", "cookie", "session=nonsense", bare),
        ("a bad token", "authorization", "Bearer nonsense", invalid),
        ("two tokens in one", "authorization", "Bearer a, Bearer b", invalid),
    ];
    for (what, name, value, challenge) in cases {
        for method in ["GET", "POST", "DELETE"] {
            let answer = scene.send(Request::new(method, "/app").header(name, value)).await;
            assert_eq!((answer.status, answer.header("www-authenticate")), (401, challenge), "{what}");
            assert_eq!(answer.header("content-type"), Some("application/json"), "{what}");
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
            assert_eq!(answer.header("location"), None, "{what}");
            let body = answer.json();
            assert_eq!(body["error"], "unauthorized", "{what}");
            assert!(body["message"].as_str().is_some_and(|message| !message.is_empty()), "{what}");
            assert!(!answer.text().contains("nonsense"), "it holds nothing of the credential");
        }
    }
    let answer = scene.send(Request::new("HEAD", "/app")).await;
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, bare));
    assert_eq!(scene.app.received().count(), 0);
}

async fn a_denial_is_what_the_operator_wrote<H: Host>() {
    let scene = Layout::<H>::start(|configuration| {
        required(configuration);
        configuration["on_unauthenticated"] = json!({"status": 404, "body": "Not here."});
        configuration["on_forbidden"] =
            json!({"status": 418, "body": "<p>No.</p>", "content_type": "text/html; charset=utf-8"});
        configuration["rules"] = json!([{"prefix": "/admin", "require": {"roles": ["admin"]}}]);
    })
    .await;
    for path in ["/app", "/admin"] {
        let answer = scene.send(Request::get(path).header("accept", PAGE)).await;
        assert_eq!((answer.status, answer.text()), (404, "Not here."), "{path}");
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    let session = format!("session={}", scene.authgear.log_in("carol"));
    let answer = scene.send(Request::get("/admin").header("cookie", session)).await;
    assert_eq!((answer.status, answer.text()), (418, "<p>No.</p>"));
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

async fn a_person_is_sent_to_log_in_and_a_program_is_told<H: Host>() {
    let scene = Layout::<H>::start(redirecting("https://login.example/?to={url}")).await;
    #[rustfmt::skip]
    let cases: [(&str, Option<&str>, u16); 11] = [
        ("GET", Some(PAGE), 302),
        ("HEAD", Some(PAGE), 302),
        ("GET", Some("Text/HTML"), 302),
        ("GET", None, 401),
        ("GET", Some("*/*"), 401),
        ("GET", Some("application/json"), 401),
        ("GET", Some("text/html;q=0, */*"), 401),
        ("GET", Some("application/json;x=text/html"), 401),
        ("POST", Some(PAGE), 401),
        ("PUT", Some(PAGE), 401),
        ("OPTIONS", Some(PAGE), 401),
    ];
    for (method, accept, status) in cases {
        for cookie in [None, Some("session=nonsense")] {
            let fields = [("accept", accept), ("cookie", cookie)];
            let request = fields.into_iter().fold(
                Request::new(method, "/app?x=1&y=/z").host("shop.example:8443"),
                |request, (name, value)| match value {
                    Some(value) => request.header(name, value),
                    None => request,
                },
            );
            let answer = scene.send(request).await;
            assert_eq!(answer.status, status, "{method} {accept:?}");
            let way = (status == 302).then_some(
                "https://login.example/?to=http%3A%2F%2Fshop.example%3A8443%2Fapp%3Fx%3D1%26y%3D%2Fz",
            );
            assert_eq!(answer.header("location"), way, "{method} {accept:?}");
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            assert_eq!(answer.header("content-type"), Some("application/json"));
            assert!(method == "HEAD" || !answer.body.is_empty());
        }
    }
    // A valid session that does not suffice is not sent to log in again.
    let session = format!("session={}", scene.authgear.log_in("carol"));
    assert_eq!(
        scene.send(Request::get("/app").header("accept", PAGE).header("cookie", session)).await.status,
        200
    );
}

async fn what_a_script_sends_is_told_although_it_accepts_a_page<H: Host>() {
    let scene = Layout::<H>::start(redirecting("https://login.example/?to={url}")).await;
    for (name, value, status) in [
        ("sec-fetch-mode", "navigate", 302),
        ("sec-fetch-mode", "cors", 401),
        ("sec-fetch-mode", "no-cors", 401),
        ("sec-fetch-mode", "same-origin", 401),
        ("x-requested-with", "XMLHttpRequest", 401),
        ("x-requested-with", "xmlhttprequest", 401),
    ] {
        let answer = scene.send(Request::get("/app").header("accept", PAGE).header(name, value)).await;
        assert_eq!(answer.status, status, "{name}: {value}");
        assert_eq!(answer.header("location").is_some(), status == 302, "{name}: {value}");
    }
}

async fn the_way_back_is_made_of_the_request_alone<H: Host>() {
    let scene = Layout::<H>::start(redirecting("https://login.example/?to={url}")).await;
    let spoofed = Request::get("/app")
        .host("shop.example")
        .header("accept", PAGE)
        .header("x-forwarded-proto", "javascript")
        .header("x-forwarded-host", "evil.example")
        .header("x-original-host", "evil.example")
        .header("forwarded", "host=evil.example;proto=https")
        .header("x-forwarded-uri", "//evil.example")
        .header("x-original-url", "//evil.example")
        .header("x-forwarded-prefix", "//evil.example")
        .header("referer", "https://evil.example/")
        .header("origin", "https://evil.example");
    let answer = scene.send(spoofed).await;
    assert_eq!(answer.header("location"), Some("https://login.example/?to=http%3A%2F%2Fshop.example%2Fapp"));
}

async fn the_login_page_is_never_sent_to_itself<H: Host>() {
    let scene = Layout::<H>::start(redirecting("/login?return={path}")).await;
    for path in [
        "/login",
        "/login/",
        "/login?return=%2Fapp",
        "/x/../login",
        "//login",
        "/%6cogin",
        "/login;x",
        "/login//",
    ] {
        let answer = scene.send(Request::get(path).header("accept", PAGE)).await;
        assert_eq!((answer.status, answer.header("location")), (401, None), "{path}");
    }
    for (path, way) in [("/app?a=b", "/login?return=%2Fapp%3Fa%3Db"), ("/login2", "/login?return=%2Flogin2")]
    {
        let answer = scene.send(Request::get(path).header("accept", PAGE)).await;
        assert_eq!((answer.status, answer.header("location")), (302, Some(way)), "{path}");
    }

    let scene = Layout::<H>::start(redirecting("https://shop.example/login?return={url}")).await;
    for (host, status) in
        [("shop.example", 401), ("SHOP.example.:443", 401), ("shop.example:80", 401), ("app.example", 302)]
    {
        let answer = scene.send(Request::get("/login").host(host).header("accept", PAGE)).await;
        assert_eq!(answer.status, status, "{host}");
    }
}

async fn a_rule_may_deny_in_its_own_way<H: Host>() {
    let scene = Layout::<H>::start(|configuration| {
        redirecting("https://login.example/")(configuration);
        configuration["rules"] = json!([
            {"prefix": "/api", "on_unauthenticated": {"status": 401}},
            {"prefix": "/shop", "on_unauthenticated": {"redirect": "https://shop-login.example/?to={path}"}},
            {"prefix": "/hidden", "on_unauthenticated": {"status": 404}},
        ]);
    })
    .await;
    for (path, status, way) in [
        ("/api/x", 401, None),
        ("/shop/x", 302, Some("https://shop-login.example/?to=%2Fshop%2Fx")),
        ("/hidden", 404, None),
        ("/rest", 302, Some("https://login.example/")),
    ] {
        let answer = scene.send(Request::get(path).header("accept", PAGE)).await;
        assert_eq!((answer.status, answer.header("location")), (status, way), "{path}");
        assert!(answer.json()["error"].is_string());
    }
}

/// The requests of the corpus: the expected outcome, the host and the path.
fn open_redirects() -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let text = include_str!("../../tests/data/open-redirects.txt");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let requests = lines.map(|line| {
        let (kind, value) = line.split_once(' ').expect("a kind and a value");
        match kind {
            "host" => (kind, unescaped(value), b"/".to_vec()),
            "path" | "fine" => (kind, b"app.example".to_vec(), unescaped(value)),
            _ => panic!("{line:?} is neither host nor path nor fine"),
        }
    });
    requests.collect()
}

/// `\xNN` stands for a byte.
fn unescaped(text: &str) -> Vec<u8> {
    let mut parts = text.split("\\x");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(digits, 16).expect("two digits"));
        bytes.extend(rest.bytes());
    }
    bytes
}

#[tokio::test]
async fn no_request_of_the_corpus_is_sent_anywhere_else() {
    // Otherwise Envoy keeps a connection open for a second after it has refused a request itself.
    let setup =
        |envoy: wasm_tests::envoy::Builder| envoy.connection_manager("delayed_close_timeout", json!("0.01s"));
    let by_url = "https://login.example/?to={url}";
    let by_path = "/login?to={path}";
    let corpus = open_redirects();
    assert!(corpus.len() > 100, "the corpus was read");
    for template in [by_url, by_path] {
        let scene = Layout::<Envoy>::start_with(Default::default(), redirecting(template), setup).await;
        for (kind, host, path) in &corpus {
            let shown = format!("{kind} {} {}", host.escape_ascii(), path.escape_ascii());
            let head = [
                b"GET ".as_slice(),
                path,
                b" HTTP/1.1\r\nHost: ",
                host,
                b"\r\nAccept: text/html\r\nConnection: close\r\n\r\n",
            ];
            let answer = client::raw(scene.host.address(), head.concat()).await;
            let text = answer.text();
            let head = text.split("\r\n\r\n").next().unwrap_or_default().to_ascii_lowercase();
            let locations: Vec<_> =
                head.split("\r\n").filter_map(|line| line.strip_prefix("location: ")).collect();
            let &[location] = locations.as_slice() else {
                assert_eq!(locations, [""; 0], "{shown}");
                // Envoy itself answers 400, 403 or 426 to what it does not take for a request.
                assert!(matches!(answer.status(), Some(400..500) | None), "{shown}: {text}");
                assert!(*kind != "fine", "{shown}: {text}");
                continue;
            };
            assert_eq!(answer.status(), Some(302), "{shown}");
            // White space around a header's value is not part of it, and a line break ends it.
            let sent = host.split(|byte| *byte == b'\r').next().unwrap_or_default().trim_ascii();
            assert_eq!(sent, b"app.example", "{shown}: {location}");
            let fixed = template.split('{').next().unwrap_or_default();
            let back = location.strip_prefix(fixed).unwrap_or_else(|| panic!("{shown}: {location}"));
            let is_encoded = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte);
            assert!(back.bytes().all(is_encoded), "{shown}: {location}");
            // A request for an absolute URL names its host there, so it is not a path.
            if path.starts_with(b"/") {
                let back = match template == by_url {
                    true => back.strip_prefix("http%3a%2f%2fapp.example"),
                    false => Some(back),
                };
                let path = back.and_then(|back| back.strip_prefix("%2f"));
                let path = path.unwrap_or_else(|| panic!("{shown}: {location}"));
                assert!(
                    !["%2f", "%5c", "%09"].iter().any(|start| path.starts_with(start)),
                    "{shown}: {location}"
                );
            }
        }
        assert_eq!(scene.app.received().count(), 0);
    }
}
