//! Requests with a body, in a real Envoy with the plugin's option `allow_on_headers_stop_iteration` off and on.
//! Whatever a request waits for, its body does not reach the app before the verdict, and then it arrives whole.

use hyper::StatusCode;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use wasm_tests::authgear::{Authgear, Endpoint, Fault, Options};
use wasm_tests::client::{self, Request};
use wasm_tests::scene::{HOST, Scene, seen};

const ACTIVE: &str = "http.ingress.downstream_rq_active";
const REACHED_THE_APP: &str = "cluster.app.upstream_rq_total";

/// A body that takes more than one read of a socket.
const LENGTH: usize = 100_000;

/// What a request waits for.
struct Wait {
    name: &'static str,
    held: Endpoint,
    configure: fn(&mut Value),
    /// The header, name and value, with a good credential of this user.
    credential: fn(&Authgear, &str) -> (&'static str, String),
    /// The status with which `held` refuses it; `None` if it refuses a bad credential itself.
    refusal: Option<StatusCode>,
}

fn waits() -> [Wait; 3] {
    let cookie = |authgear: &Authgear, user: &str| ("cookie", format!("session={}", authgear.log_in(user)));
    let token = |authgear: &Authgear, user: &str| ("authorization", format!("Bearer {}", authgear.jwt(user)));
    [
        Wait {
            name: "a session",
            held: Endpoint::Resolver,
            configure: |_| (),
            credential: cookie,
            refusal: None,
        },
        Wait {
            name: "keys",
            held: Endpoint::Jwks,
            configure: |configuration| {
                let authgear = configuration["authgear"].as_object_mut().expect("an object");
                authgear.insert("mode".into(), "local".into());
                authgear.retain(|name, _| !name.starts_with("resolver"));
            },
            credential: token,
            refusal: None,
        },
        Wait {
            name: "a forward-auth server",
            held: Endpoint::Resolver,
            configure: |configuration| {
                configuration.as_object_mut().expect("an object").remove("authgear");
                configuration["cache"] = json!({"ttl": "1s"});
                configuration["forward_auth"] = json!({
                    "url": format!("http://{HOST}/_resolver/resolve"),
                    "upstream": "resolver",
                    "identity_headers": ["x-authgear-*"],
                    "original_request": "none",
                });
            },
            credential: cookie,
            refusal: Some(StatusCode::FORBIDDEN),
        },
    ]
}

/// The result of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Accepted,
    Refused,
    OutageDenied,
    OutageAllowed,
}

#[tokio::test]
async fn no_body_reaches_the_app_before_the_verdict_whatever_it_waits_for() {
    judge_all(false).await;
}

#[tokio::test]
async fn nor_does_it_where_a_pause_stops_only_the_headers() {
    judge_all(true).await;
}

async fn judge_all(option: bool) {
    use Verdict::{Accepted, OutageAllowed, OutageDenied, Refused};
    for wait in waits() {
        // Only the first request waits for keys.
        let together: &[&[Verdict]] = match wait.held {
            Endpoint::Jwks => &[&[Accepted], &[Refused], &[OutageAllowed]],
            Endpoint::Resolver | Endpoint::Discovery => {
                &[&[Accepted, Refused, OutageDenied], &[OutageAllowed]]
            }
        };
        for verdicts in together {
            let scene = start(option, &wait, verdicts.contains(&OutageAllowed)).await;
            for verdict in *verdicts {
                let what = format!("{}, {verdict:?}, option {option}", wait.name);
                judge(&scene, &wait, *verdict, &what).await;
            }
        }
    }
}

async fn start(option: bool, wait: &Wait, opens: bool) -> Scene {
    let configure = |configuration: &mut Value| {
        configuration["access"] = "required".into();
        configuration["timeout"] = "30s".into();
        configuration["on_error"] = json!({"action": if opens { "allow" } else { "deny" }});
        (wait.configure)(configuration);
    };
    Scene::start_failing(Options::default(), [(wait.held, Fault::Hold)], configure, |envoy| {
        envoy.concurrency(1).allow_on_headers_stop_iteration(option)
    })
    .await
}

async fn judge(scene: &Scene, wait: &Wait, verdict: Verdict, what: &str) {
    scene.authgear.fail(wait.held, Fault::Hold);
    // Keys are fetched before any request.
    if wait.held == Endpoint::Resolver {
        scene.authgear.clear_received();
    }
    let reached = scene.host.stat(REACHED_THE_APP).await;
    let (name, good) = (wait.credential)(&scene.authgear, "alice");
    let credential = match (verdict, wait.refusal) {
        (Verdict::Refused, None) => format!("{}AAAAAAAAA", good.split_at(good.len() - 9).0),
        _ => good,
    };
    let (length, address) = (LENGTH, scene.host.address());
    let mut requests = JoinSet::new();
    // The first one asks, and the others wait for its answer.
    for is_http2 in [false, true, false, true] {
        let request = Request::post("/upload", vec![b'a'; length])
            .header(name, &credential)
            .header("x-authgear-user-id", "forged");
        requests.spawn(async move {
            if is_http2 {
                client::send_http2(address, request).await
            } else {
                client::send(address, request).await
            }
        });
    }
    scene.host.wait_for_stat(ACTIVE, 4).await;
    scene.authgear.received(wait.held).wait_for(1).await;
    assert_eq!(scene.host.stat(REACHED_THE_APP).await, reached, "{what}");
    scene.authgear.fail(
        wait.held,
        match (verdict, wait.refusal) {
            (Verdict::OutageDenied | Verdict::OutageAllowed, _) => {
                Fault::Status(StatusCode::INTERNAL_SERVER_ERROR)
            }
            (Verdict::Refused, Some(status)) => Fault::Status(status),
            (Verdict::Accepted, _) | (Verdict::Refused, None) => Fault::None,
        },
    );
    while let Some(answer) = requests.join_next().await {
        let answer = answer.expect("an answer");
        match verdict {
            Verdict::Accepted | Verdict::OutageAllowed => {
                let seen = seen(&answer);
                let user = (verdict == Verdict::Accepted).then_some("alice");
                assert_eq!(seen.identity_header("x-authgear-user-id").as_deref(), user, "{what}");
                assert_eq!(seen.whole["body_length"], json!(length), "{what}");
            }
            Verdict::Refused => assert!(matches!(answer.status, 401 | 403), "{what}: {answer:?}"),
            Verdict::OutageDenied => assert_eq!(answer.status, 503, "{what}"),
        }
    }
    let is_denied = matches!(verdict, Verdict::Refused | Verdict::OutageDenied);
    let reached = scene.host.stat(REACHED_THE_APP).await - reached;
    assert_eq!(reached, if is_denied { 0 } else { 4 }, "{what}");
}
