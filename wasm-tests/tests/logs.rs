//! The filter's log: `log_level`, and the lines of `debug`, which explain one request in full and hold no credential. On
//! every host.

use serde_json::{Value, json};
use wasm_tests::apisix::{Apisix, Builder as ApisixBuilder};
use wasm_tests::authgear::Options;
use wasm_tests::client::Request;
use wasm_tests::envoy::{Builder as EnvoyBuilder, Envoy};
use wasm_tests::on_each_host;
use wasm_tests::scene::{Host, Layout};

on_each_host! {
    debug_explains_a_request_in_full,
    debug_tells_nothing_of_a_credential,
    a_level_leaves_out_what_is_below_it,
}

/// A host whose own log leaves nothing out.
trait Talkative: Host {
    fn talkative(builder: Self::Builder) -> Self::Builder;
}

impl Talkative for Envoy {
    fn talkative(builder: EnvoyBuilder) -> EnvoyBuilder {
        builder.log_level("debug")
    }
}

impl Talkative for Apisix {
    fn talkative(builder: ApisixBuilder) -> ApisixBuilder {
        builder
    }
}

async fn start<H: Talkative>(level: &str, change: impl FnOnce(&mut Value)) -> Layout<H> {
    let options = Options { public_origin: Some(H::ORIGIN.to_owned()), ..Options::default() };
    let change = |configuration: &mut Value| {
        configuration["log_level"] = json!(level);
        configuration["authgear"].as_object_mut().unwrap().remove("mode");
        change(configuration);
    };
    Layout::start_with(options, change, |builder| H::talkative(H::one_worker(builder))).await
}

/// The filter's own lines. Envoy's say more about requests than is good for a log.
fn lines(host: &impl Host) -> Vec<String> {
    let log = host.log();
    let own = log.lines().filter_map(|line| line.split_once("authgear-filter: "));
    own.map(|(_, line)| line.to_owned()).collect()
}

fn has(lines: &[String], parts: &[&str]) -> bool {
    lines.iter().any(|line| parts.iter().all(|part| line.contains(part)))
}

async fn debug_explains_a_request_in_full<H: Talkative>() {
    let scene = start::<H>("debug", |configuration| {
        configuration["rules"] = json!([{"prefix": "/private", "access": "required"}]);
    })
    .await;
    let cookie = format!("session={}", scene.authgear.log_in("alice"));
    let request = Request::get("/a?b=c").host("shop.example").header("cookie", &cookie);
    scene.send(request.header("x-authgear-user-id", "forged")).await;
    let private = Request::get("/private").host("shop.example");
    scene.send(private.clone()).await;
    scene.send(private.header("authorization", "Bearer a, Bearer b")).await;
    scene.host.wait_for_log("more than one, or it is malformed").await;
    let lines = lines(&scene.host);
    for parts in [
        &["call ", " to ", ": GET ", "/_resolver/resolve"][..],
        &["call ", " was answered 200 after ", " ms"],
        &[
            "request GET shop.example/a: forwarded",
            "removed: x-authgear-user-id",
            "set: ",
            "Outcome: session",
            "cache: miss",
            "user: alice",
            " ms",
        ],
        &[
            "request GET shop.example/private: answered with 401. Outcome: anonymous; reason: -; cache: -; user: -",
        ],
        &[
            "request GET shop.example/private: answered with 401. Outcome: refused; reason: there is more than one",
        ],
    ] {
        assert!(has(&lines, parts), "{parts:?} in {lines:#?}");
    }
}

async fn debug_tells_nothing_of_a_credential<H: Talkative>() {
    let scene = start::<H>("debug", |_| {}).await;
    let (jwt, opaque) = (scene.authgear.jwt("alice"), scene.authgear.opaque_token("alice"));
    let session = scene.authgear.log_in("alice");
    for token in [&jwt, &opaque, &"a\r\nb".replace("\r\n", "")] {
        scene
            .send(Request::get("/?token=in-the-query").header("authorization", format!("Bearer {token}")))
            .await;
    }
    scene.send(Request::get("/last").header("cookie", format!("session={session}; other=in-a-cookie"))).await;
    scene.host.wait_for_log("/last: ").await;
    let lines = lines(&scene.host).join("\n");
    let signature = jwt.rsplit('.').next().unwrap();
    for secret in [signature, &opaque, &session, "in-the-query", "in-a-cookie"] {
        assert!(!lines.contains(secret), "{secret} in {lines}");
    }
}

async fn a_level_leaves_out_what_is_below_it<H: Talkative>() {
    for (level, version, request) in
        [("error", false, false), ("warn", false, false), ("info", true, false), ("debug", true, true)]
    {
        let scene = start::<H>(level, |_| {}).await;
        scene.send(Request::get("/")).await;
        let lines = lines(&scene.host);
        assert_eq!(has(&lines, &["version ", " serves "]), version, "{level}: {lines:?}");
        assert_eq!(has(&lines, &["request GET "]), request, "{level}: {lines:?}");
    }
}
