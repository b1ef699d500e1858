//! What the server is asked, and what a client cannot make the filter ask.

use serde_json::{Value, json};
use wasm_tests::apisix::Apisix;
use wasm_tests::authorizer::Authorizer;
use wasm_tests::client::{self, Protocol, Request};
use wasm_tests::echo::Echo;
use wasm_tests::envoy::Envoy;
use wasm_tests::faulty::Answer;
use wasm_tests::on_each_host;
use wasm_tests::received::Received;
use wasm_tests::scene::{Host, seen};

use crate::{Guarded, ok, text};

on_each_host! {
    a_body_reaches_the_app_whole_and_the_server_not_at_all,
    the_original_request_is_told_by_the_proxy_and_not_by_the_client,
    the_original_request_is_told_as_nginx_does_where_that_is_configured,
    extra_headers_are_made_of_the_request,
    only_chosen_headers_and_cookies_are_sent,
    what_a_client_makes_too_large_is_its_own_fault,
    a_client_steers_no_call_by_headers_of_envoys_own,
    a_cookie_that_no_call_can_hold_is_left_out_and_the_others_are_sent,
    the_query_of_the_url_is_sent_and_in_no_line_of_the_log,
    headers_that_override_path_or_method_do_not_reach_the_app,
    the_scheme_that_a_client_of_cleartext_http_2_claims_is_not_believed,
}

async fn a_body_reaches_the_app_whole_and_the_server_not_at_all<H: Host>() {
    let guarded = Guarded::<H>::start(|_| (), |_| ok().header("x-user-id", "alice")).await;
    let body: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).take(30_000).collect();
    let request = Request::post("/upload", body.clone())
        .header("content-type", "application/json")
        .header("te", "trailers")
        .header("authorization", "123");
    let answer = guarded.send(request).await;
    let direct = client::send(guarded.app.address(), Request::post("/upload", body)).await;
    assert_eq!(seen(&answer).whole["body_sha256"], direct.json()["body_sha256"]);
    assert_eq!(seen(&answer).whole["body_length"], 30_000);

    let asked = guarded.server.asked().last().unwrap();
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("GET", "/verify?realm=a"));
    assert_eq!((asked.body_length, text(&asked, "host").as_deref()), (0, Some("auth.internal")));
    for name in ["content-length", "transfer-encoding", "content-type", "expect", "te", "upgrade", "trailer"]
    {
        assert_eq!(asked.header(name), None, "{name}");
    }
}

async fn a_client_steers_no_call_by_headers_of_envoys_own<H: Host>() {
    // Envoy's router would obey these headers on the call: a timeout would become a 204, and a denial would become a
    // success.
    let all = |configuration: &mut Value| {
        configuration["forward_auth"]["request_headers"] = json!(["authorization", "x-*"]);
    };
    let guarded = Guarded::<H>::start(all, |_| Answer::status(401)).await;
    let request = Request::get("/")
        .header("X-Envoy-Max-Retries", "9")
        .header("x-envoy-upstream-rq-timeout-ms", "200")
        .header("x-envoy-upstream-rq-timeout-alt-response", "1")
        .header("x_envoy_upstream_rq_timeout_ms", "200")
        .header("x-envoy-expected-rq-timeout-ms", "200")
        .header("x-other", "sent");
    guarded.server.asked().clear();
    assert_eq!(guarded.send(request).await.status, 401);
    let asked = guarded.server.asked().last().unwrap();
    assert_eq!(text(&asked, "x-other").as_deref(), Some("sent"));
    for name in [
        "x-envoy-upstream-rq-timeout-ms",
        "x-envoy-upstream-rq-timeout-alt-response",
        "x_envoy_upstream_rq_timeout_ms",
        "x-envoy-max-retries",
    ] {
        assert_eq!(asked.header(name), None, "{name}");
    }
    // Envoy's own header, with the configured timeout.
    assert_ne!(text(&asked, "x-envoy-expected-rq-timeout-ms").as_deref(), Some("200"));
}

async fn the_scheme_that_a_client_of_cleartext_http_2_claims_is_not_believed<H: Host>() {
    let guarded = Guarded::<H>::start(|_| (), |_| ok()).await;
    for scheme in ["https", "http", "ftp"] {
        for said in ["https", "HTTPS"] {
            guarded.server.asked().clear();
            let request = Request::get("/a").scheme(scheme).header("x-forwarded-proto", said);
            assert_eq!(client::send_http2(guarded.host.address(), request).await.status, 200);
            let asked = guarded.server.asked().last().unwrap();
            assert_eq!(text(&asked, "x-forwarded-proto").as_deref(), Some("http"), "{scheme} {said}");
        }
    }
}

/// Behind a load balancer that terminates TLS, the proxy repeats what the balancer says.
#[tokio::test]
async fn the_scheme_that_a_trusted_balancer_says_is_told() {
    behind_a_trusted_balancer::<Envoy>(|host| host.connection_manager("xff_num_trusted_hops", json!(1)))
        .await;
    behind_a_trusted_balancer::<Apisix>(|host| host.trusts_peers()).await;
}

async fn behind_a_trusted_balancer<H: Host>(trusting: impl FnOnce(H::Builder) -> H::Builder) {
    let (server, app) = (Authorizer::start(|_| ok()).await.unwrap(), Echo::start().await.unwrap());
    let configuration = json!({
        "forward_auth": {
            "url": "http://auth.internal/verify",
            "upstream": H::upstream("auth", server.address()),
            "identity_headers": ["x-user-id"],
            "extra_headers": {"x-url": "{url}", "x-scheme": "{scheme}"},
        },
    });
    let host = H::start(trusting(H::builder(&app, &[("auth", server.address())])), configuration).await;
    // An unclear value does not count as TLS.
    let said = [Some("https"), None, Some("http"), Some("https,http"), Some("ftp")];
    for (said, expected) in said.into_iter().zip(["https", "http", "http", "http", "http"]) {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            server.asked().clear();
            let request = Request::get("/a").host("shop.example").header("x-forwarded-for", "203.0.113.9");
            let request = said.into_iter().fold(request, |all, said| all.header("x-forwarded-proto", said));
            let answer = client::try_send(host.address(), protocol, request).await.unwrap();
            assert_eq!(answer.status, 200, "{said:?}");
            let asked = server.asked().last().unwrap();
            for (name, value) in [
                ("x-forwarded-proto", expected.to_owned()),
                ("x-scheme", expected.to_owned()),
                ("x-url", format!("{expected}://shop.example/a")),
            ] {
                assert_eq!(text(&asked, name).as_deref(), Some(value.as_str()), "{said:?} {protocol:?}");
            }
        }
    }
}

async fn the_query_of_the_url_is_sent_and_in_no_line_of_the_log<H: Host>() {
    let secret = |configuration: &mut Value| {
        configuration["forward_auth"]["url"] = json!("http://auth.internal/verify?key=s3cr3t");
        configuration["rules"] = json!([{"prefix": "/rule", "forward_auth": {"url": "/rule?key=s3cr3t2"}}]);
    };
    // Warnings are about 5xx and about denials that a wrong URL may cause.
    let decide = |asked: &Received| Answer::status(if asked.target.starts_with("/rule") { 404 } else { 500 });
    let guarded = Guarded::<H>::start(secret, decide).await;
    assert_eq!(guarded.send(Request::get("/rule")).await.status, 404);
    assert_eq!(guarded.server.asked().last().unwrap().target, "/rule?key=s3cr3t2");
    guarded.host.wait_for_log("denied a request with 404").await;
    assert_eq!(guarded.send(Request::get("/")).await.status, 503);
    guarded.host.wait_for_log("it answered 500").await;
    assert_eq!(guarded.server.asked().last().unwrap().target, "/verify?key=s3cr3t");
    let log = guarded.host.log();
    assert!(log.contains("auth.internal/verify") && !log.contains("s3cr3t"), "{log}");
}

async fn a_cookie_that_no_call_can_hold_is_left_out_and_the_others_are_sent<H: Host>() {
    let guarded = Guarded::<H>::start(|_| (), |_| ok().header("x-user-id", "alice")).await;
    let asked = guarded.asked(Request::get("/").header("cookie", "sid=1; odd=a\tb; theme=dark")).await;
    assert_eq!(text(&asked, "cookie").as_deref(), Some("sid=1; theme=dark"));
    // Over HTTP/2 each cookie may be a header of its own.
    guarded.server.asked().clear();
    let request = ["sid=1", "odd=a\tb", "theme=dark"]
        .iter()
        .fold(Request::get("/"), |request, cookie| request.header("cookie", cookie));
    assert_eq!(client::send_http2(guarded.host.address(), request).await.status, 200);
    let asked = guarded.server.asked().last().unwrap();
    assert_eq!(text(&asked, "cookie").as_deref(), Some("sid=1; theme=dark"));
}

async fn headers_that_override_path_or_method_do_not_reach_the_app<H: Host>() {
    let guarded = |strip: Option<bool>| {
        Guarded::<H>::start(
            move |configuration| {
                configuration["rules"] = json!([{"prefix": "/open", "access": "public"}]);
                if let Some(strip) = strip {
                    configuration["strip_overrides"] = json!(strip);
                }
            },
            |_| ok(),
        )
    };
    let names =
        ["x-original-url", "x_rewrite_url", "x-http-method", "x-http-method-override", "x-method-override"];
    for (strip, expected) in [(None, 0), (Some(false), names.len())] {
        let guarded = guarded(strip).await;
        for path in ["/open/a", "/guarded"] {
            let request =
                names.iter().fold(Request::get(path), |request, name| request.header(name, "/admin"));
            let seen = seen(&guarded.send(request).await);
            let found = seen.headers.iter().filter(|(name, _)| names.contains(&name.as_str())).count();
            assert_eq!(found, expected, "{path} {strip:?}: {:?}", seen.headers);
        }
    }
}

// In Envoy only: the APISIX-like host accepts no chunked requests.
#[tokio::test]
async fn a_body_whose_length_is_not_told_is_smuggled_nowhere() {
    let guarded = Guarded::<Envoy>::start(|_| (), |_| ok().header("x-user-id", "alice")).await;
    // All on one connection, which stays usable.
    let chunked = "POST /a HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n\
                   5\r\nhello\r\n0\r\n\r\n\
                   GET /b HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n";
    let answers = client::raw(guarded.host.address(), chunked).await.text();
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 2, "{answers}");
    let targets: Vec<_> = guarded.server.asked().all().iter().map(|asked| asked.target.clone()).collect();
    assert_eq!(targets, ["/verify?realm=a"; 2], "nothing was smuggled");
}

fn spoofing(request: Request) -> Request {
    request
        .header("x-forwarded-method", "OPTIONS")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "evil.example")
        .header("x-forwarded-uri", "/public")
        .header("x-forwarded-for", "203.0.113.7")
        .header("x-forwarded-user", "admin")
        .header("x_forwarded_uri", "/public")
        .header("x-original-method", "OPTIONS")
        .header("x-original-uri", "/public")
        .header("x-original-url", "/public")
        .header("forwarded", "for=10.0.0.1;host=evil.example")
        .header("x-real-ip", "10.0.0.1")
}

async fn the_original_request_is_told_by_the_proxy_and_not_by_the_client<H: Host>() {
    // Even if every header of the client is to be sent.
    let all = |configuration: &mut Value| {
        configuration["forward_auth"]["request_headers"] = json!(["authorization", "cookie", "x-*"]);
    };
    for change in [all as fn(&mut Value), |_| ()] {
        let guarded = Guarded::<H>::start(change, |_| ok()).await;
        let request = spoofing(Request::post("/a//b?c=%20&d", "x").host("shop.example:8443"));
        let asked = guarded.asked(request).await;
        let said = |name| text(&asked, name);
        assert_eq!(said("x-forwarded-method").as_deref(), Some("POST"));
        assert_eq!(said("x-forwarded-proto").as_deref(), Some("http"));
        assert_eq!(said("x-forwarded-host").as_deref(), Some("shop.example:8443"));
        assert_eq!(said("x-forwarded-uri").as_deref(), Some("/a//b?c=%20&d"));
        assert_eq!(said("x-forwarded-for").as_deref(), Some("127.0.0.1"), "the connection's address alone");
        for name in [
            "x-forwarded-user",
            "x_forwarded_uri",
            "x-original-method",
            "x-original-uri",
            "x-original-url",
            "forwarded",
            "x-real-ip",
        ] {
            assert_eq!(asked.header(name), None, "{name}");
        }
    }
}

async fn the_original_request_is_told_as_nginx_does_where_that_is_configured<H: Host>() {
    let original = |configuration: &mut Value| {
        configuration["forward_auth"]["original_request"] = json!("x-original");
    };
    let guarded = Guarded::<H>::start(original, |_| ok()).await;
    let asked = guarded.asked(spoofing(Request::post("/a?b", "x"))).await;
    assert_eq!(text(&asked, "x-original-method").as_deref(), Some("POST"));
    assert_eq!(text(&asked, "x-original-uri").as_deref(), Some("/a?b"));
    for name in ["x-forwarded-method", "x-forwarded-uri", "x-forwarded-user", "x-original-url", "forwarded"] {
        assert_eq!(asked.header(name), None, "{name}");
    }
    let none = |configuration: &mut Value| configuration["forward_auth"]["original_request"] = json!("none");
    let guarded = Guarded::<H>::start(none, |_| ok()).await;
    let asked = guarded.asked(spoofing(Request::get("/a?b"))).await;
    for name in ["x-original-method", "x-original-uri", "x-forwarded-method", "x-forwarded-uri"] {
        assert_eq!(asked.header(name), None, "{name}");
    }
}

async fn extra_headers_are_made_of_the_request<H: Host>() {
    let extra = |configuration: &mut Value| {
        configuration["forward_auth"]["extra_headers"] = json!({
            "x-what": "{method} {scheme} {host} {path}", "x-url": "{url}", "x-ip": "{client_ip}", "x-key": "s3cret",
        });
        configuration["forward_auth"]["request_headers"] = json!(["x-*"]);
    };
    let guarded = Guarded::<H>::start(extra, |_| ok()).await;
    let request = Request::new("DELETE", "/a/{b}?c=d")
        .host("shop.example")
        .header("x-what", "spoofed")
        .header("x-key", "spoofed")
        .header("X_Key", "spoofed")
        .header("x-ip", "10.0.0.1")
        .header("x-forwarded-for", "10.0.0.1");
    let asked = guarded.asked(request).await;
    assert_eq!(text(&asked, "x-what").as_deref(), Some("DELETE http shop.example /a/{b}?c=d"));
    assert_eq!(text(&asked, "x-url").as_deref(), Some("http://shop.example/a/{b}?c=d"));
    assert_eq!(text(&asked, "x-ip").as_deref(), Some("127.0.0.1"));
    assert_eq!(text(&asked, "x-key").as_deref(), Some("s3cret"));
    assert_eq!(asked.header("x_key"), None);
}

async fn only_chosen_headers_and_cookies_are_sent<H: Host>() {
    let request = || {
        Request::get("/")
            .header("authorization", "Basic eDp5")
            .header("cookie", "theme=dark; sid=1; sid2=2")
            .header("cookie", "_ga=3; sid=4")
            .header("x-realm", "a")
            .header("x-realm-of", "b")
            .header("x-other", "c")
            .header("user-agent", "browser/1.0")
            .header("if-none-match", "\"x\"")
            .header("range", "bytes=0-1")
    };
    let guarded = Guarded::<H>::start(|_| (), |_| ok()).await;
    let asked = guarded.asked(request()).await;
    assert_eq!(text(&asked, "authorization").as_deref(), Some("Basic eDp5"));
    assert_eq!(text(&asked, "cookie").as_deref(), Some("theme=dark; sid=1; sid2=2; _ga=3; sid=4"));
    for name in ["x-realm", "x-other", "if-none-match", "range"] {
        assert_eq!(asked.header(name), None, "{name}");
    }
    let choose = |configuration: &mut Value| {
        configuration["forward_auth"]["request_headers"] = json!(["cookie", "x-realm", "x-realm-*"]);
        configuration["forward_auth"]["cookies"] = json!(["sid"]);
    };
    let guarded = Guarded::<H>::start(choose, |_| ok()).await;
    let asked = guarded.asked(request()).await;
    assert_eq!(text(&asked, "cookie").as_deref(), Some("sid=1; sid=4"));
    assert_eq!(text(&asked, "x-realm").as_deref(), Some("a"));
    assert_eq!(text(&asked, "x-realm-of").as_deref(), Some("b"));
    for name in ["authorization", "x-other"] {
        assert_eq!(asked.header(name), None, "{name}");
    }
    let choose = |configuration: &mut Value| configuration["forward_auth"]["cookies"] = json!(["sid*"]);
    let guarded = Guarded::<H>::start(choose, |_| ok()).await;
    let asked = guarded.asked(request()).await;
    assert_eq!(text(&asked, "cookie").as_deref(), Some("sid=1; sid2=2; sid=4"));
}

async fn what_a_client_makes_too_large_is_its_own_fault<H: Host>() {
    let allow = |configuration: &mut Value| configuration["on_error"] = json!({"action": "allow"});
    let guarded = Guarded::<H>::start(allow, |_| ok().header("x-user-id", "alice")).await;
    let request = Request::get("/").header("cookie", format!("a={}", "x".repeat(20_000)));
    let answer = guarded.send(request).await;
    assert!(matches!(answer.status, 400 | 431), "{answer:?}");
    assert_eq!(guarded.app.received().count(), 0);

    let guarded = Guarded::<H>::start(allow, |_| Answer::status(431)).await;
    let answer = guarded.send(Request::get("/")).await;
    assert_eq!(answer.status, 431, "{answer:?}");
    assert_eq!(guarded.app.received().count(), 0, "the server's refusal of a request opens nothing");
}
