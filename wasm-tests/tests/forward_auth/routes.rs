//! Which host and which URL of the server are asked.

use serde_json::{Value, json};
use wasm_tests::client::{self, Connection, Protocol, Request};
use wasm_tests::on_each_host;
use wasm_tests::received::Received;
use wasm_tests::scene::Host;

use crate::{Guarded, identity, ok, pairs, text};

on_each_host! {
    the_host_of_the_call_is_the_clients_where_that_is_configured,
    a_host_that_is_not_clear_is_never_asked_and_never_opens_anything,
    each_rule_asks_its_own_url_and_no_answer_of_one_serves_for_another,
    a_path_that_names_two_urls_is_a_400_and_nothing_is_asked,
    over_http_2_the_authority_is_the_host_of_the_call,
}

async fn the_host_of_the_call_is_the_clients_where_that_is_configured<H: Host>() {
    for (configured, original) in [("client", "x-forwarded"), ("client", "none"), ("url", "x-forwarded")] {
        let change = move |configuration: &mut Value| {
            configuration["forward_auth"]["host"] = json!(configured);
            configuration["forward_auth"]["original_request"] = json!(original);
            configuration["cache"] = json!({"ttl": "1m"});
        };
        let decide = |asked: &Received| ok().header("x-user-id", text(asked, "host").unwrap_or_default());
        let guarded = Guarded::<H>::start(change, decide).await;
        let mut connection = Connection::open(guarded.host.address(), Protocol::Http1).await;
        for _ in 0..2 {
            for host in ["a.example", "b.example", "A.Example:8443"] {
                let expected = if configured == "client" { host } else { "auth.internal" };
                let answer = connection.send(Request::get("/").host(host)).await;
                let found = identity(&answer);
                assert_eq!(
                    found[0].1.to_ascii_lowercase(),
                    expected.to_ascii_lowercase(),
                    "{configured} {original}"
                );
                assert_eq!(found.len(), 1);
            }
        }
        let asked = guarded.server.asked().all();
        assert_eq!(asked.len(), 3, "remembered for each host: {configured} {original}");
        for asked in asked {
            let told = (configured == "client").then(|| text(&asked, "host")).flatten();
            let forwarded = text(&asked, "x-forwarded-host");
            assert_eq!(forwarded.is_some(), original == "x-forwarded");
            if let (Some(told), Some(forwarded)) = (told, forwarded) {
                assert_eq!(told, forwarded, "both are the client's");
            }
        }
    }
}

async fn a_host_that_is_not_clear_is_never_asked_and_never_opens_anything<H: Host>() {
    let change = |configuration: &mut Value| {
        configuration["forward_auth"]["host"] = json!("client");
        configuration["on_error"] = json!({"action": "allow"});
        configuration["access"] = json!("optional");
    };
    let guarded = Guarded::<H>::start(change, |_| ok().header("x-user-id", "alice")).await;
    for host in
        ["a.example,b.example", "user@a.example", "a.example:1:2", "a..example", "a%2eexample", "a_b:x"]
    {
        let answer = client::raw(
            guarded.host.address(),
            format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
        )
        .await;
        assert_eq!(answer.status(), Some(400), "{host}: {answer:?}");
    }
    assert_eq!(guarded.server.asked().count(), 0);
    assert_eq!(guarded.app.received().count(), 0);
}

async fn over_http_2_the_authority_is_the_host_of_the_call<H: Host>() {
    let change = |configuration: &mut Value| configuration["forward_auth"]["host"] = json!("client");
    let guarded = Guarded::<H>::start(change, |_| ok()).await;
    let request = Request::get("/").host("shop.example:8443");
    assert_eq!(client::send_http2(guarded.host.address(), request).await.status, 200);
    let asked = guarded.server.asked().last().unwrap();
    assert_eq!(text(&asked, "host").as_deref(), Some("shop.example:8443"));
}

/// Rules that ask at three URLs.
fn rules(configuration: &mut Value) {
    configuration["forward_auth"]["original_request"] = json!("none");
    configuration["forward_auth"]["cookies"] = json!(["sid"]);
    configuration["cache"] = json!({"ttl": "1m", "key": ["cookie:sid"]});
    configuration["rules"] = json!([
        {"prefix": "/public", "access": "public"},
        {"prefix": "/staff", "forward_auth": {"url": "http://auth.internal/verify?allowed_groups=staff"}},
        {"prefix": "/team", "forward_auth": {"url": "/verify?allowed_groups=staff"}},
        {"prefix": "/admin", "forward_auth": {"url": "/verify?allowed_groups=admin"}},
    ]);
}

async fn each_rule_asks_its_own_url_and_no_answer_of_one_serves_for_another<H: Host>() {
    let guarded = Guarded::<H>::start(rules, |asked| match asked.target.as_str() {
        "/verify?allowed_groups=admin" => wasm_tests::faulty::Answer::status(403),
        target => ok().header("x-user-id", target),
    })
    .await;
    let mut connection = Connection::open(guarded.host.address(), Protocol::Http1).await;
    #[rustfmt::skip]
    let cases = [
        // A path, what is asked for, and how many questions there were by then.
        ("/", Some("/verify?realm=a"), 1), ("/staff", Some("/verify?allowed_groups=staff"), 2), ("/admin", None, 3),
        ("/team/x", Some("/verify?allowed_groups=staff"), 3), ("/other", Some("/verify?realm=a"), 3), ("/admin?x", None, 3),
        ("/staff//x", Some("/verify?allowed_groups=staff"), 3), ("/public/../admin", None, 3),
    ];
    for (path, expected, asked) in cases {
        let answer = connection.send(Request::get(path).header("cookie", "sid=1")).await;
        match expected {
            Some(target) => assert_eq!(identity(&answer), pairs(&[("x-user-id", target)]), "{path}"),
            None => assert_eq!(answer.status, 403, "{path}"),
        }
        assert!(guarded.server.asked().count() <= asked, "{path}");
        assert_eq!(guarded.server.asked().last().unwrap().header("host"), Some(b"auth.internal".as_slice()));
    }
}

async fn a_path_that_names_two_urls_is_a_400_and_nothing_is_asked<H: Host>() {
    let guarded = Guarded::<H>::start(rules, |_| ok().header("x-user-id", "alice")).await;
    for path in [
        "/staff/../admin",
        "/staff/..%2fadmin",
        "//admin",
        "/%61dmin",
        "/admin/..",
        "/staff/%2e%2e/team/../admin",
    ] {
        let answer = guarded.send(Request::get(path)).await;
        assert_eq!((answer.status, answer.json()["error"].as_str()), (400, Some("bad_request")), "{path}");
    }
    assert_eq!((guarded.server.asked().count(), guarded.app.received().count()), (0, 0));
}
