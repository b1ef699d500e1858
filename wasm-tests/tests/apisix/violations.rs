//! Everything that crashes the real host is detected, and ends as it would there.

use wasm_tests::apisix::{Apisix, Violation};
use wasm_tests::client::{self, Protocol, Request};
use wasm_tests::echo::Echo;
use wasm_tests::faulty::{Answer, Failure, Faulty};

use crate::early::EarlyHints;
use crate::module::{CALL, Module, RESUME, escape, get, list, pseudo_headers, tell};

async fn is_cut_off(host: &Apisix) -> bool {
    client::try_send(host.address(), Protocol::Http1, Request::get("/")).await.is_err()
}

/// An auth server that answers 200.
async fn auth() -> Faulty {
    Faulty::start(Failure::Answer(Answer::status(200).header("x-a", "1"))).await.unwrap()
}

fn upstream(server: &Faulty) -> String {
    server.address().to_string()
}

#[test]
#[should_panic(expected = "unfit for APISIX")]
fn a_violation_fails_the_test() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let host = Module::on_request("(i32.const 1)").start();
    runtime.block_on(async { assert!(is_cut_off(&host).await) });
    drop(host);
}

#[test]
fn imports_that_the_host_does_not_define_stop_the_module_from_loading() {
    let cases = [
        (r#"(import "env" "proxy_get_log_level" (func (param i32) (result i32)))"#, "proxy_get_log_level"),
        (
            r#"(import "env" "proxy_get_metric" (func (param i32 i32) (result i32)))"#,
            "incompatible import type",
        ),
        (r#"(import "wasi_snapshot_preview1" "no_such_call" (func))"#, "no_such_call"),
    ];
    for (import, expected) in cases {
        let module = Module { more: import.into(), ..Module::default() };
        let problem = module.builder().try_start().err().expect(import);
        assert!(problem.contains(expected), "{problem}");
    }
}

#[test]
fn what_newer_engines_know_and_wasmtime_0_38_does_not_is_refused() {
    let tail_call = "(func $again (result i32) (return_call $again))";
    let module = Module { more: tail_call.into(), ..Module::default() };
    assert!(module.builder().try_start().is_err());
    assert!(Module::default().builder().try_start().is_ok());
}

#[tokio::test]
async fn a_pause_for_nothing_crashes_the_worker_and_the_next_one_begins_anew() {
    let host = Module::on_request("(i32.const 1)").start();
    for _ in 0..2 {
        assert!(is_cut_off(&host).await);
        assert_eq!(host.take_violations(), [Violation::PausedForNothing]);
    }
    let configured = host.callbacks().iter().filter(|call| call.starts_with("proxy_on_configure(1,")).count();
    assert_eq!(configured, 2, "{:?}", host.callbacks());
}

#[tokio::test]
async fn an_action_that_there_is_not_hangs_the_worker() {
    let host = Module::on_request("(i32.const 7)").start();
    assert!(is_cut_off(&host).await);
    assert_eq!(host.take_violations(), [Violation::UnknownAction(7)]);
}

#[tokio::test]
async fn a_reply_beside_a_call_is_lost_and_the_request_reaches_the_app() {
    let (auth, app) = (auth().await, Echo::start().await.unwrap());
    let module = Module {
        request: "(drop (call $call)) (drop (call $reply (i32.const 401))) (i32.const 1)".into(),
        answer: RESUME.into(),
        upstream: upstream(&auth),
        ..Module::default()
    };
    let host = module.builder().upstream(app.address()).start();
    assert_eq!(get(&host).await.status, 200);
    assert_eq!(app.received().count(), 1);
    assert_eq!(host.take_violations(), [Violation::ReplyLost]);
}

#[tokio::test]
async fn a_callback_that_does_nothing_lets_the_request_through() {
    let (auth, app) = (auth().await, Echo::start().await.unwrap());
    let module = Module { request: CALL.into(), upstream: upstream(&auth), ..Module::default() };
    let host = module.builder().upstream(app.address()).start();
    assert_eq!(get(&host).await.status, 200);
    assert_eq!(app.received().count(), 1);
    assert_eq!(host.take_violations(), [Violation::LetThrough]);
}

#[tokio::test]
async fn a_call_without_one_of_the_pseudo_headers_is_found() {
    let auth = auth().await;
    for missing in [":method", ":path", ":scheme", ":authority"] {
        let mut headers = pseudo_headers();
        headers.retain(|(name, _)| name != missing);
        let module = Module {
            request: CALL.into(),
            answer: RESUME.into(),
            upstream: upstream(&auth),
            headers: Some(headers),
            ..Module::default()
        };
        let host = module.start();
        get(&host).await;
        assert_eq!(host.take_violations(), [Violation::MissingPseudoHeader(missing)]);
    }
}

#[tokio::test]
async fn reading_an_absent_host_crashes_the_worker_but_for_the_plain_header() {
    let without_host = "GET / HTTP/1.0\r\nx-a: 1\r\n\r\n";
    let names = r#"(data (i32.const 8192) ":authority") (data (i32.const 8208) "host")"#;
    let read = |at: i32, size: i32| {
        let number = format!(
            "(call $value (i32.const 0) (i32.const {at}) (i32.const {size}) (i32.const 16) (i32.const 20))"
        );
        Module { request: tell(&number), more: names.into(), ..Module::default() }
    };
    let all = Module::on_request(tell("(call $pairs (i32.const 0) (i32.const 16) (i32.const 20))"));
    for crashing in [read(8192, 10), all] {
        let host = crashing.start();
        assert_eq!(client::raw(host.address(), without_host).await.status(), None);
        assert_eq!(host.take_violations(), [Violation::ReadsAbsentHost]);
        assert_eq!(get(&host).await.status, 400, "with Host it can be read");
    }
    let host = read(8208, 4).start();
    assert_eq!(client::raw(host.address(), without_host).await.status(), Some(401), "not found");
}

#[tokio::test]
async fn reading_the_headers_of_a_call_that_failed_is_found() {
    let nobody = Faulty::start(Failure::Refuse).await.unwrap();
    let module = Module {
        request: CALL.into(),
        answer: "(drop (call $reply (i32.add (i32.const 400) \
                 (call $pairs (i32.const 6) (i32.const 16) (i32.const 20)))))"
            .into(),
        upstream: upstream(&nobody),
        ..Module::default()
    };
    let host = module.start();
    assert_eq!(get(&host).await.status, 401, "not found");
    assert_eq!(host.take_violations(), [Violation::ReadsFailedCall]);
}

#[tokio::test]
async fn a_range_of_a_body_that_no_number_tells_is_found() {
    let auth = Faulty::start(Failure::Answer(Answer::status(200).body("body"))).await.unwrap();
    let read = format!(
        "(drop (call $buffer (i32.const 4) (i32.const 1) (i32.const {}) (i32.const 16) (i32.const 20)))",
        i32::MAX
    );
    let module = Module {
        request: CALL.into(),
        answer: format!("{read} (drop (call $reply (i32.const 403)))"),
        upstream: upstream(&auth),
        ..Module::default()
    };
    let host = module.start();
    assert_eq!(get(&host).await.status, 403);
    assert_eq!(host.take_violations(), [Violation::ReadsPastBuffer]);
}

#[tokio::test]
async fn a_trap_is_found_and_what_it_left_behind_stays() {
    // Like the SDK's cells: borrowed at the start, returned at the end, and refused in between.
    let poisoned =
        "(if (global.get $count) (then unreachable)) (global.set $count (i32.const 1)) unreachable";
    let host = Module::on_request(poisoned).start();
    for _ in 0..2 {
        assert_eq!(get(&host).await.status, 503);
        let violations = host.take_violations();
        let trap = |violation: &Violation| {
            matches!(violation, Violation::Trap { callback: "proxy_on_request_headers", cause }
                if cause.contains("unreachable"))
        };
        assert!(matches!(violations.as_slice(), [one] if trap(one)), "{violations:?}");
    }
    let exit = Module {
        request: "(call $exit (i32.const 1)) (i32.const 0)".into(),
        more: r#"(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))"#.into(),
        ..Module::default()
    };
    let host = exit.start();
    assert_eq!(get(&host).await.status, 503);
    assert!(host.take_violations()[0].to_string().contains("proc_exit(1)"));
}

#[tokio::test]
async fn a_trap_while_a_route_is_configured_is_found_at_each_request() {
    let host = Module { configure: "unreachable".into(), ..Module::default() }.start();
    for _ in 0..2 {
        assert_eq!(get(&host).await.status, 503);
        let violations = host.take_violations();
        let trap = |violation: &Violation| {
            matches!(violation, Violation::Trap { callback: "proxy_on_configure", cause }
                if cause.contains("unreachable"))
        };
        // Once before the request, and once before its response.
        assert!(matches!(violations.as_slice(), [one, two] if trap(one) && trap(two)), "{violations:?}");
    }
    assert!(!host.callbacks().iter().any(|call| call.starts_with("proxy_on_request_headers")));
}

#[tokio::test]
async fn a_trap_after_a_call_does_not_stop_the_call() {
    let auth = auth().await;
    let module = Module {
        request: "(drop (call $call)) unreachable".into(),
        answer: "(drop (call $reply (i32.const 403)))".into(),
        upstream: upstream(&auth),
        ..Module::default()
    };
    let host = module.start();
    assert_eq!(get(&host).await.status, 403);
    assert_eq!(host.take_violations().len(), 1);
}

#[tokio::test]
async fn replies_and_calls_while_the_response_is_on_its_way_are_found() {
    for (response, what) in
        [("(drop (call $reply (i32.const 401)))", "reply"), ("(drop (call $call))", "call")]
    {
        let module =
            Module { response: response.into(), upstream: "127.0.0.1:9".into(), ..Module::default() };
        let host = module.start();
        assert_eq!(get(&host).await.status, 200);
        assert_eq!(host.take_violations(), [Violation::TooLate(what)]);
    }
}

#[tokio::test]
async fn a_reply_that_lies_about_its_length_is_found() {
    let headers = list(&[("content-length".into(), "7".into())]);
    let request = format!(
        "(drop (call $send_reply (i32.const 401) (i32.const 0) (i32.const 0) (i32.const 4096) (i32.const 2) \
         (i32.const 8192) (i32.const {}) (i32.const -1))) (i32.const 1)",
        headers.len()
    );
    let more = format!("(data (i32.const 8192) \"{}\")", escape(&headers));
    let host = Module { request, more, ..Module::default() }.start();
    assert_eq!(get(&host).await.status, 401);
    assert_eq!(host.take_violations(), [Violation::WrongLength { said: "7".into(), length: 2 }]);
}

#[tokio::test]
async fn a_line_break_in_the_log_is_found_and_long_lines_are_cut() {
    let log = |size: i32| format!("(drop (call $log (i32.const 3) (i32.const 8192) (i32.const {size})))");
    let broken = Module {
        request: format!("{} (i32.const 0)", log(3)),
        more: r#"(data (i32.const 8192) "a\0ab")"#.into(),
        ..Module::default()
    };
    let host = broken.start();
    get(&host).await;
    assert_eq!(host.take_violations(), [Violation::RawLineBreak("a\nb".into())]);

    let long = format!("(data (i32.const 8192) \"{}end\")", "x".repeat(5000));
    let host =
        Module { request: format!("{} (i32.const 0)", log(5003)), more: long, ..Module::default() }.start();
    get(&host).await;
    let log = host.log();
    let longest = log.lines().map(str::len).max();
    assert_eq!(longest, Some(4096));
    assert!(!log.contains("end"));
}

#[tokio::test]
async fn an_answer_with_more_headers_than_the_worker_has_memory_for_is_found() {
    for (lines, found) in [(100, false), (127, true)] {
        let answer =
            (0..lines).fold(Answer::status(200), |answer, number| answer.header(&format!("x-{number}"), "1"));
        let auth = Faulty::start(Failure::Answer(answer)).await.unwrap();
        let module = Module {
            request: CALL.into(),
            answer: RESUME.into(),
            upstream: upstream(&auth),
            ..Module::default()
        };
        let host = module.start();
        get(&host).await;
        // With content-length.
        let expected = found.then_some(Violation::CallHeaders { lines: lines + 1 });
        assert_eq!(host.take_violations(), expected.into_iter().collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_module_that_frees_nothing_grows() {
    let module = Module {
        request: "(drop (call $pairs (i32.const 0) (i32.const 16) (i32.const 20))) (i32.const 0)".into(),
        allocate: "(drop (memory.grow (i32.const 1)))".into(),
        ..Module::default()
    };
    let host = module.start();
    get(&host).await;
    let before = host.memory();
    get(&host).await;
    assert_eq!(host.memory(), [before[0] + 64 * 1024]);
}

const ACT_FOR: &str =
    r#"(import "env" "proxy_set_effective_context" (func $act_for (param i32) (result i32)))"#;

#[tokio::test]
async fn acting_for_another_context_changes_the_request_of_the_callback_and_is_found() {
    for (what, expected) in [
        (tell("(i32.const 0)"), 400),
        ("(drop (call $add (i32.const 0) (i32.const 4096) (i32.const 2) (i32.const 4096) (i32.const 2))) (i32.const 0)".into(), 200),
    ] {
        let act_for = |context: &str| Module {
            request: format!("(drop (call $act_for (i32.const {context}))) {what}"),
            more: ACT_FOR.into(),
            ..Module::default()
        };
        let host = act_for("99").start();
        assert_eq!(get(&host).await.status, expected);
        assert_eq!(host.take_violations(), [Violation::ForeignContext(99)]);
        for own in ["1", "2"] {
            assert_eq!(get(&act_for(own).start()).await.status, expected, "its root, and its own");
        }
    }
}

#[tokio::test]
async fn a_call_with_a_credential_that_the_request_does_not_have_is_found() {
    let auth = auth().await;
    for (name, value) in [("cookie", "session=bob"), ("authorization", "Bearer bob")] {
        let mut headers = pseudo_headers();
        headers.push((name.into(), value.into()));
        let module = Module {
            request: CALL.into(),
            answer: RESUME.into(),
            upstream: upstream(&auth),
            headers: Some(headers),
            ..Module::default()
        };
        let host = module.start();
        get(&host).await;
        assert_eq!(host.take_violations(), [Violation::ForeignCall], "{name}");
        client::send(host.address(), Request::get("/").header(name, value)).await;
        assert_eq!(host.take_violations(), [], "{name}");
    }
}

#[tokio::test]
async fn reading_the_headers_of_a_call_outside_its_callback_is_found() {
    let auth = auth().await;
    let module = Module {
        request: CALL.into(),
        answer: RESUME.into(),
        response: "(drop (call $pairs (i32.const 6) (i32.const 16) (i32.const 20)))".into(),
        upstream: upstream(&auth),
        ..Module::default()
    };
    let host = module.start();
    assert_eq!(get(&host).await.status, 200);
    assert_eq!(host.take_violations(), [Violation::ReadsCallOutsideCallback]);
}

#[tokio::test]
async fn reading_the_root_id_while_a_context_ends_crashes_the_worker() {
    let read = "(drop (call $property (i32.const 8192) (i32.const 14) (i32.const 16) (i32.const 20)))";
    let more = r#"(data (i32.const 8192) "plugin_root_id")"#;
    let module = Module { delete: read.into(), more: more.into(), ..Module::default() };
    let host = module.start();
    get(&host).await;
    assert_eq!(host.take_violations(), [Violation::ReadsRootIdAtEnd]);
    let module = Module { request: format!("{read} (i32.const 0)"), more: more.into(), ..Module::default() };
    assert_eq!(module.status().await, 200, "before its end it can be read");
}

#[tokio::test]
async fn a_refused_reply_goes_out_with_memory_of_somebody_else_unless_it_is_repeated() {
    let headers = list(&[("content-length".into(), "x".into())]);
    let refused = format!(
        "(drop (call $send_reply (i32.const 401) (i32.const 0) (i32.const 0) (i32.const 4096) (i32.const 2) \
         (i32.const 8192) (i32.const {}) (i32.const -1)))",
        headers.len()
    );
    let more = format!("(data (i32.const 8192) \"{}\")", escape(&headers));
    let module = |request: String| Module { request, more: more.clone(), ..Module::default() };
    let host = module(format!("{refused} (i32.const 1)")).start();
    let answer = get(&host).await;
    assert_eq!((answer.status, answer.text()), (401, "memory of somebody else"));
    assert_eq!(host.take_violations(), [Violation::RefusedReply]);
    let answer = get(&module(format!("{refused} {}", tell("(i32.const 1)"))).start()).await;
    assert_eq!((answer.status, answer.text()), (401, "no"));
}

#[tokio::test]
async fn a_reply_with_a_status_that_is_none_lets_the_request_in() {
    for status in [0, 99, -1] {
        let request = format!("(drop (call $reply (i32.const {status}))) (i32.const 0)");
        let host = Module::on_request(request).start();
        assert_eq!(get(&host).await.status, 200, "{status}");
        assert_eq!(host.take_violations(), [Violation::StatusOfNoReply(status)]);
    }
}

#[tokio::test]
async fn a_negative_action_is_a_503_and_harms_nothing() {
    assert_eq!(Module::on_request("(i32.const -1)").status().await, 503);
}

#[tokio::test]
async fn an_answer_below_200_gives_the_next_call_the_answer_of_this_one() {
    let auth = EarlyHints::start().await;
    // It reports the last digit of the answer's status.
    let status = "(drop (call $value (i32.const 6) (i32.const 8192) (i32.const 7) (i32.const 16) (i32.const 20))) \
                  (drop (call $reply (i32.add (i32.const 400) \
                    (i32.sub (i32.load8_u (i32.add (i32.load (i32.const 16)) (i32.const 2))) (i32.const 48)))))";
    let module = Module {
        request: CALL.into(),
        answer: status.into(),
        more: r#"(data (i32.const 8192) ":status")"#.into(),
        upstream: auth.address().to_string(),
        ..Module::default()
    };
    let host = module.start();
    assert_eq!(get(&host).await.status, 403, "103 is taken for the answer");
    auth.wait_for_answers(1).await;
    assert_eq!(get(&host).await.status, 400, "200 is the answer to the call before");
    assert_eq!(auth.connections(), 1);
}
