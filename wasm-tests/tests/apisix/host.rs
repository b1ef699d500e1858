//! The host's functions behave, and the module is called, as in wasm-nginx-module.

use std::io::Write as _;
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use wasm_tests::apisix::Apisix;
use wasm_tests::client::{self, Request};
use wasm_tests::echo::Echo;
use wasm_tests::faulty::{Answer, Failure, Faulty};
use wasm_tests::scene::seen;

use crate::module::{CALL, Module, RESUME, get, pseudo_headers, tell};

/// The reply with which a module reports the answer to a call: 400 and this number.
fn tell_in_answer(number: &str) -> String {
    format!("(drop (call $reply (i32.add (i32.const 400) {number})))")
}

async fn auth() -> Faulty {
    let answer = Answer { body: b"body".to_vec(), ..Answer::status(200) };
    Faulty::start(Failure::Answer(answer)).await.unwrap()
}

#[tokio::test]
async fn functions_that_are_not_implemented_say_so() {
    let functions = [
        ("proxy_set_tick_period_milliseconds", 1),
        ("proxy_get_current_time_nanoseconds", 1),
        ("proxy_get_shared_data", 5),
        ("proxy_set_shared_data", 5),
        ("proxy_clear_route_cache", 0),
        ("proxy_set_header_map_pairs", 3),
        ("proxy_set_buffer_bytes", 5),
        ("proxy_call_foreign_function", 6),
        ("proxy_register_shared_queue", 3),
        ("proxy_done", 0),
        ("proxy_grpc_call", 12),
    ];
    for (name, parameters) in functions {
        let module = Module {
            request: tell(&format!("(call $it {})", "(i32.const 0) ".repeat(parameters))),
            more: format!(
                r#"(import "env" "{name}" (func $it {} (result i32)))"#,
                "(param i32) ".repeat(parameters)
            ),
            ..Module::default()
        };
        assert_eq!(module.status().await, 412, "{name}");
    }
}

#[tokio::test]
async fn functions_that_do_nothing_say_that_they_did() {
    let functions = [
        ("proxy_set_effective_context", "(param i32)", "(i32.const 1)"),
        ("proxy_continue_response", "", ""),
        ("proxy_close_stream", "(param i32)", "(i32.const 0)"),
        ("proxy_increment_metric", "(param i32 i64)", "(i32.const 9) (i64.const 1)"),
        ("proxy_record_metric", "(param i32 i64)", "(i32.const 9) (i64.const 1)"),
    ];
    for (name, parameters, arguments) in functions {
        let module = Module {
            request: tell(&format!("(call $it {arguments})")),
            more: format!(r#"(import "env" "{name}" (func $it {parameters} (result i32)))"#),
            ..Module::default()
        };
        assert_eq!(module.status().await, 400, "{name}");
    }
    // It does not write a number either.
    let module = Module {
        request: "(i32.store (i32.const 16) (i32.const 77)) \
                  (drop (call $it (i32.const 0) (i32.const 4096) (i32.const 2) (i32.const 16))) "
            .to_owned()
            + &tell("(i32.load (i32.const 16))"),
        more: r#"(import "env" "proxy_define_metric" (func $it (param i32 i32 i32 i32) (result i32)))"#
            .into(),
        ..Module::default()
    };
    assert_eq!(module.status().await, 477);
}

#[tokio::test]
async fn properties_are_nginx_variables_in_one_piece() {
    let more = r#"(data (i32.const 8192) "source\00address") (data (i32.const 8224) "remote_addr")"#;
    let ask = |at: i32, size: i32| {
        format!("(call $property (i32.const {at}) (i32.const {size}) (i32.const 16) (i32.const 20))")
    };
    let module = |request: String| Module { request, more: more.into(), ..Module::default() };
    assert_eq!(module(tell(&ask(8192, 14))).status().await, 401, "not found");
    assert_eq!(module(tell(&ask(8224, 11))).status().await, 400);
    // Outside a request there is nothing to read: the configuration is accepted if the status is 2.
    let configure = format!("(i32.eq {} (i32.const 2))", ask(8224, 11));
    assert_eq!(Module { configure, more: more.into(), ..Module::default() }.status().await, 200);
}

#[tokio::test]
async fn a_list_of_headers_ends_at_a_hundred_and_the_rest_is_there_by_name_and_forwarded() {
    let app = Echo::start().await.unwrap();
    let module = Module {
        request: "(drop (call $pairs (i32.const 0) (i32.const 16) (i32.const 20))) \
                  (if (i32.ne (i32.load (i32.load (i32.const 16))) (i32.const 104)) \
                    (then (drop (call $reply (i32.const 500))) (return (i32.const 1)))) \
                  (if (call $value (i32.const 0) (i32.const 8192) (i32.const 5) (i32.const 16) (i32.const 20)) \
                    (then (drop (call $reply (i32.const 501))) (return (i32.const 1)))) \
                  (i32.const 0)"
            .into(),
        more: r#"(data (i32.const 8192) "x-149")"#.into(),
        ..Module::default()
    };
    let host = module.builder().upstream(app.address()).start();
    let request =
        (0..150).fold(Request::get("/"), |request, number| request.header(&format!("x-{number}"), "1"));
    let seen = seen(&client::send(host.address(), request).await);
    assert!(seen.headers.iter().any(|(name, _)| name == "x-149"));
}

#[tokio::test]
async fn names_with_underscores_are_kept_and_odd_ones_dropped() {
    let app = Echo::start().await.unwrap();
    let host = Module::default().builder().upstream(app.address()).start();
    let request = Request::get("/").header("x_a", "1").header("x.b", "2").header("x~c", "3");
    let seen = seen(&client::send(host.address(), request).await);
    let names: Vec<_> = seen.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"x_a") && !names.contains(&"x.b") && !names.contains(&"x~c"), "{names:?}");
}

#[tokio::test]
async fn one_call_at_a_time_and_any_number_one_after_another() {
    let auth = auth().await;
    let upstream = auth.address().to_string();
    let second = Module {
        request: "(drop (call $call)) (global.set $count (call $call)) (i32.const 1)".into(),
        answer: tell_in_answer("(global.get $count)"),
        upstream: upstream.clone(),
        ..Module::default()
    };
    assert_eq!(second.status().await, 410, "the second is an internal failure, the first goes on");
    assert_eq!(auth.requests(), 1);
    let chain = Module {
        request: CALL.into(),
        answer: "(global.set $count (i32.add (global.get $count) (i32.const 1))) \
                 (if (i32.lt_u (global.get $count) (i32.const 5)) \
                   (then (drop (call $call))) (else (drop (call $reply (i32.const 444)))))"
            .into(),
        upstream,
        ..Module::default()
    };
    assert_eq!(chain.status().await, 444);
    assert_eq!(auth.requests(), 1 + 5);
}

#[tokio::test]
async fn calls_that_cannot_be_sent_are_refused_at_once() {
    for (upstream, timeout, status) in [
        ("", 0, 402),
        ("auth.test/x", 0, 402),
        ("auth.test:0", 0, 402),
        ("auth.test:port", 0, 402),
        ("a:1", -1, 410),
    ] {
        let module =
            Module { request: tell("(call $call)"), upstream: upstream.into(), timeout, ..Module::default() };
        assert_eq!(module.status().await, status, "{upstream:?} {timeout}");
    }
    // Nor can there be a call outside a request.
    let module = Module {
        configure: "(i32.eq (call $call) (i32.const 2))".into(),
        upstream: "127.0.0.1:9".into(),
        ..Module::default()
    };
    assert_eq!(module.status().await, 200);
}

#[tokio::test]
async fn a_call_that_failed_calls_back_with_no_headers_and_no_body() {
    let auth = auth().await;
    let with = |name: &str, value: &str| {
        let mut headers = pseudo_headers();
        headers.retain(|(known, _)| known != name);
        headers.push((name.into(), value.into()));
        Some(headers)
    };
    let good = auth.address().to_string();
    let nobody = Faulty::start(Failure::Refuse).await.unwrap();
    let garbage = Faulty::start(Failure::Garbage).await.unwrap();
    let short = Faulty::start(Failure::ShortBody).await.unwrap();
    // An answer has two headers, content-length and :status, and a body of four bytes.
    let cases = [
        ("an answer", good.clone(), None, 424),
        ("refused", nobody.address().to_string(), None, 400),
        ("garbage", garbage.address().to_string(), None, 400),
        ("cut off", short.address().to_string(), None, 400),
        ("< in the query", good.clone(), with(":path", "/?a=<"), 400),
        ("< in the path", good.clone(), with(":path", "/<"), 424),
        ("a control character", good.clone(), with("x-a", "a\u{1}"), 400),
        ("TLS, which this host lacks", good, with(":scheme", "https"), 400),
    ];
    for (what, upstream, headers, status) in cases {
        let module = Module {
            request: CALL.into(),
            answer: tell_in_answer("(i32.add (i32.mul (local.get 2) (i32.const 10)) (local.get 3))"),
            upstream,
            headers,
            ..Module::default()
        };
        assert_eq!(module.status().await, status, "{what}");
    }
}

#[tokio::test]
async fn the_timeout_of_a_call_is_that_of_each_read() {
    const PARTS: [&str; 6] = ["HTTP/1.1 20", "0 OK\r\ncont", "ent-length", ": 2\r\n", "\r\nh", "i"];
    const PAUSE: Duration = Duration::from_millis(300);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = listener.local_addr().unwrap().to_string();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        for part in PARTS {
            thread::sleep(PAUSE);
            stream.write_all(part.as_bytes()).unwrap();
        }
    });
    let module = Module {
        request: CALL.into(),
        answer: tell_in_answer("(local.get 3)"),
        upstream,
        timeout: 1500,
        ..Module::default()
    };
    assert_eq!(module.status().await, 402, "1.8 s, and the body has come");
    server.join().unwrap();

    let silent = Faulty::start(Failure::Silence).await.unwrap();
    let module = Module {
        request: CALL.into(),
        answer: tell_in_answer("(local.get 2)"),
        upstream: silent.address().to_string(),
        timeout: 50,
        ..Module::default()
    };
    assert_eq!(module.status().await, 400, "no answer in time");
}

#[tokio::test]
async fn a_body_is_read_within_its_size() {
    let auth = auth().await;
    for (start, size, status) in
        [(0, 4, 400), (0, i32::MAX, 400), (3, 9, 400), (0, -1, 402), (4, 1, 402), (0, 0, 402)]
    {
        let read = format!(
            "(call $buffer (i32.const 4) (i32.const {start}) (i32.const {size}) (i32.const 16) (i32.const 20))"
        );
        let module = Module {
            request: CALL.into(),
            answer: tell_in_answer(&read),
            upstream: auth.address().to_string(),
            ..Module::default()
        };
        assert_eq!(module.status().await, status, "{size} bytes from {start}");
    }
}

#[tokio::test]
async fn routes_are_configured_by_their_first_request_and_numbers_are_used_again() {
    let auth = auth().await;
    let module = Module {
        request: CALL.into(),
        answer: RESUME.into(),
        upstream: auth.address().to_string(),
        // Neither is called here.
        more: r#"(func (export "proxy_on_vm_start") (param i32 i32) (result i32) unreachable)
                 (func (export "proxy_on_log") (param i32) unreachable)"#
            .into(),
        ..Module::default()
    };
    let host = Apisix::builder()
        .module(module.bytes())
        .workers(1)
        .route("/a", "{}")
        .route("/b", "{\"b\":1}")
        .start();
    assert_eq!(host.callbacks(), Vec::<String>::new());
    for path in ["/a", "/a", "/b"] {
        assert_eq!(client::send(host.address(), Request::get(path)).await.status, 200);
    }
    let request = |plugin: i32, context: i32, call: i32| {
        [
            format!("proxy_on_context_create({context}, {plugin})"),
            format!("proxy_on_request_headers({context}, 0, 1)"),
            format!("proxy_on_http_call_response({plugin}, {call}, 2, 4, 0)"),
            format!("proxy_on_response_headers({context}, 0, 1)"),
            format!("proxy_on_done({context})"),
            format!("proxy_on_delete({context})"),
        ]
    };
    let configure = |plugin: i32, size: i32| {
        [format!("proxy_on_context_create({plugin}, 0)"), format!("proxy_on_configure({plugin}, {size})")]
    };
    let expected = [
        configure(1, 2).to_vec(),
        request(1, 2, 0).to_vec(),
        request(1, 2, 1).to_vec(),
        configure(3, 7).to_vec(),
        request(3, 4, 2).to_vec(),
    ]
    .concat();
    assert_eq!(host.callbacks(), expected);
    assert_eq!(client::send(host.address(), Request::get("/c")).await.status, 404);
}

#[tokio::test]
async fn a_configuration_that_is_refused_is_tried_again_by_each_request_before_it_and_before_its_response() {
    let host = Module { configure: "(i32.const 0)".into(), ..Module::default() }.start();
    for _ in 0..3 {
        assert_eq!(get(&host).await.status, 503);
    }
    let calls = host.callbacks();
    assert_eq!(calls.iter().filter(|call| *call == "proxy_on_configure(1, 2)").count(), 2 * 3, "{calls:?}");
    let empty = Apisix::builder().module(Module::default().bytes()).route("/", "").start();
    assert_eq!(get(&empty).await.status, 503);
    assert_eq!(empty.callbacks(), Vec::<String>::new());
}

#[tokio::test]
async fn an_empty_body_becomes_a_page_of_nginx_and_the_response_callback_sees_replies_too() {
    let reply = |body: i32| {
        format!(
            "(drop (call $send_reply (i32.const 401) (i32.const 0) (i32.const 0) (i32.const 4096) (i32.const {body}) \
             (i32.const 0) (i32.const 0) (i32.const -1))) (i32.const 1)"
        )
    };
    let add =
        "(drop (call $add (i32.const 2) (i32.const 8192) (i32.const 10) (i32.const 8208) (i32.const 3)))";
    let module = |body: i32| Module {
        request: reply(body),
        response: format!("{add} {add}"),
        more: r#"(data (i32.const 8192) "set-cookie") (data (i32.const 8208) "a=b")"#.into(),
        ..Module::default()
    };
    let empty = get(&module(0).start()).await;
    assert_eq!((empty.status, empty.header("content-type")), (401, Some("text/html")));
    assert!(empty.text().contains("<h1>401"), "{empty:?}");
    let own = get(&module(2).start()).await;
    assert_eq!((own.status, own.text()), (401, "no"));
    assert_eq!(own.header_lines("set-cookie"), ["a=b", "a=b"]);
}

#[tokio::test]
async fn forwarded_headers_of_the_client_are_overwritten_before_the_filter() {
    let app = Echo::start().await.unwrap();
    let host = Module::default().builder().upstream(app.address()).start();
    let request = Request::get("/?a=1")
        .host("app.test")
        .header("x-forwarded-host", "evil.test")
        .header("x-forwarded-proto", "gopher")
        .header("x-forwarded-for", "203.0.113.7");
    let seen = seen(&client::send(host.address(), request).await);
    let value =
        |name: &str| seen.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    assert_eq!(value("x-forwarded-host"), Some("app.test"));
    assert_eq!(value("x-forwarded-proto"), Some("http"));
    assert_eq!(value("x-forwarded-for"), Some("203.0.113.7, 127.0.0.1"));
    assert_eq!(seen.whole["path"], "/?a=1");
}
