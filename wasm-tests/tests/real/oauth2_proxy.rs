//! oauth2-proxy as the forward-auth server, with Hydra as its provider, as `docs/oauth2-proxy.md` configures both.

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wasm_tests::client::{self, Request, Response};
use wasm_tests::echo::Echo;
use wasm_tests::envoy::{Envoy, workspace_dir};
use wasm_tests::scene::{Seen, seen};
use wasm_tests::wait::{holds, wait_until};

use crate::browser::{Browser, Page};
use crate::hydra::{Hydra, SECRET};
use crate::program::{Program, free_address};

/// The app, and everything below `/oauth2`, as browsers see it.
const APP: &str = "app.example.test";
/// How long to wait for what has to happen.
const WAIT: Duration = Duration::from_secs(30);

/// Everything that runs.
struct World {
    hydra: Hydra,
    proxy: Option<Program>,
    _app: Echo,
    envoy: Envoy,
}

/// The first configuration in the document, for this address.
fn documented(address: SocketAddr) -> Value {
    let page = fs::read_to_string(workspace_dir().join("docs/oauth2-proxy.md")).expect("the document");
    let (_, rest) = page.split_once("```yaml\n").expect("a configuration");
    let (text, _) = rest.split_once("```").expect("its end");
    let mut configuration: Value = yaml_serde::from_str(text).expect("YAML");
    configuration["forward_auth"]["url"] = format!("http://{address}/oauth2/auth").into();
    configuration
}

/// The flags that the document lists.
fn documented_flags() -> Vec<String> {
    let page = fs::read_to_string(workspace_dir().join("docs/oauth2-proxy.md")).expect("the document");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `--"));
    let flags: Vec<_> = rows.filter_map(|row| Some(format!("--{}", row.split_once('`')?.0))).collect();
    assert!(flags.iter().any(|flag| flag.starts_with("--reverse-proxy")), "{flags:?}");
    flags.into_iter().map(|flag| flag.replace("10.0.0.0/24", "127.0.0.1")).collect()
}

impl World {
    /// Starts everything, oauth2-proxy with these flags besides.
    async fn start(flags: &[&str], change: impl FnOnce(&mut Value)) -> Self {
        let hydra = Hydra::start("jwt", "1h").await;
        let client_id = hydra.client(&[&format!("http://{APP}/oauth2/callback")]).await;
        let address = free_address();
        let provider = [
            "--provider=oidc".to_owned(),
            format!("--oidc-issuer-url={}", hydra.issuer()),
            format!("--client-id={client_id}"),
            format!("--client-secret={SECRET}"),
            format!("--redirect-url=http://{APP}/oauth2/callback"),
            "--scope=openid offline email".to_owned(),
            "--cookie-secret=0123456789abcdef0123456789abcdef".to_owned(),
            "--cookie-secure=false".to_owned(),
            "--email-domain=*".to_owned(),
            format!("--http-address={address}"),
        ];
        let flags = flags.iter().map(|flag| (*flag).to_owned());
        let arguments: Vec<_> = provider.into_iter().chain(documented_flags()).chain(flags).collect();
        let proxy = Program::start("oauth2-proxy", &arguments, &[], (address, "/ping")).await;
        let app = Echo::start().await.expect("a port for the app");
        let mut configuration = documented(address);
        change(&mut configuration);
        let envoy = Envoy::builder()
            .cluster("app", app.address())
            .cluster("oauth2-proxy", address)
            .routes(json!([
                {
                    "match": { "path_separated_prefix": "/oauth2" }, "route": { "cluster": "oauth2-proxy" },
                    "request_headers_to_remove": ["x-forwarded-host", "x-forwarded-uri", "x-auth-request-redirect"],
                },
                { "match": { "prefix": "/" }, "route": { "cluster": "app" } },
            ]))
            .connection_manager("upgrade_configs", json!([{ "upgrade_type": "websocket" }]))
            // Requests meet in it, as those of a browser's one connection do.
            .concurrency(1)
            .plugin(configuration)
            .start()
            .await;
        Self { hydra, proxy: Some(proxy), _app: app, envoy }
    }

    fn browser(&self) -> Browser {
        Browser::default()
            .with(APP, self.envoy.address())
            .with(&self.hydra.public.to_string(), self.hydra.public)
    }

    /// Opens a page, and logs in as this user with these groups where that is asked.
    async fn open(&self, browser: &mut Browser, path: &str, user: &str, groups: &[&str]) -> Page {
        let claims =
            json!({ "email": format!("{user}@example.test"), "email_verified": true, "groups": groups });
        browser
            .open(&format!("{APP}{path}"), &mut async |url: &str| self.hydra.answer(url, user, &claims).await)
            .await
    }
}

/// What the app was told: the user, and the email address.
fn told(answer: &Response) -> (String, String) {
    let Seen { headers, .. } = seen(answer);
    let value = |name: &str| {
        let found = headers.iter().find(|(known, _)| known == name);
        found.unwrap_or_else(|| panic!("no {name}: {headers:?}")).1.clone()
    };
    (value("x-user"), value("x-email"))
}

fn forged(request: Request) -> Request {
    request
        .header("x-user", "forged")
        .header("X-Auth-Request-Groups", "admins,staff")
        .header("x-email", "forged")
}

#[tokio::test]
async fn a_person_logs_in_and_comes_back_and_groups_decide_who_may_go_where() {
    let world = World::start(&[], |_| ()).await;
    let mut of_alice = world.browser();
    let page = world.open(&mut of_alice, "/a?b=c", "alice", &["staff"]).await;
    assert_eq!(page.url, format!("{APP}/a?b=c"), "{page:?}");
    assert_eq!(page.trail[1], format!("{APP}/oauth2/start?rd=%2Fa%3Fb%3Dc"));
    assert_eq!(page.response.status, 200, "{page:?}");

    let answer = of_alice.send(APP, forged(Request::get("/x"))).await;
    assert_eq!(told(&answer), ("alice".into(), "alice@example.test".into()));
    assert!(!answer.text().contains("forged") && !answer.text().contains("admins"), "{}", answer.text());
    assert_eq!(of_alice.send(APP, forged(Request::get("/staff"))).await.status, 200);
    assert_eq!(of_alice.send(APP, forged(Request::get("/admin"))).await.status, 403);

    let mut of_bob = world.browser();
    let page = world.open(&mut of_bob, "/admin", "bob", &["admins"]).await;
    assert_eq!(page.response.status, 200, "{page:?}");
    assert_eq!(told(&of_bob.send(APP, Request::get("/admin")).await).0, "bob");
    assert_eq!(of_bob.send(APP, forged(Request::get("/staff"))).await.status, 403);
    // And nobody else is taken for either.
    assert_eq!(told(&of_alice.send(APP, Request::get("/x")).await).0, "alice");
}

#[tokio::test]
async fn only_navigations_are_sent_to_log_in() {
    let world = World::start(&[], |_| ()).await;
    let mut browser = world.browser();
    let page = Request::get("/a").header("accept", "text/html");
    assert_eq!(browser.send(APP, page.clone()).await.status, 302);
    for request in [
        Request::get("/a"),
        page.clone().header("x-requested-with", "XMLHttpRequest"),
        page.clone().header("sec-fetch-mode", "cors"),
        Request::post("/a", "x").header("accept", "text/html"),
        websocket(Request::get("/a")),
    ] {
        let answer = browser.send(APP, forged(request.clone())).await;
        assert_eq!(answer.status, 401, "{request:?}: {answer:?}");
    }
    world.open(&mut browser, "/", "alice", &[]).await;
    let answer = browser.send(APP, forged(websocket(Request::get("/a")))).await;
    // The app knows no WebSockets, and answers as it does to everything.
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn websocket(request: Request) -> Request {
    request
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
}

#[tokio::test]
async fn a_session_in_several_cookies_is_sent_whole() {
    let world = World::start(&[], |_| ()).await;
    let mut browser = world.browser();
    let groups: Vec<_> = (0..400).map(|number| format!("a-group-with-a-long-name-{number}")).collect();
    let groups: Vec<_> = groups.iter().map(String::as_str).collect();
    let page = world.open(&mut browser, "/", "alice", &groups).await;
    assert_eq!(page.response.status, 200, "{page:?}");
    let names = browser.cookie_names(APP);
    assert!(names.contains(&"_oauth2_proxy_0") && names.contains(&"_oauth2_proxy_1"), "{names:?}");
    assert!(!names.contains(&"_oauth2_proxy"), "{names:?}");
    assert_eq!(told(&browser.send(APP, Request::get("/x")).await).0, "alice");
}

#[tokio::test]
async fn who_logs_out_is_nobody() {
    let world = World::start(&[], |_| ()).await;
    let mut browser = world.browser();
    world.open(&mut browser, "/", "alice", &[]).await;
    assert_eq!(told(&browser.send(APP, Request::get("/x")).await).0, "alice");
    let answer = browser.send(APP, Request::get("/oauth2/sign_out")).await;
    assert_eq!(answer.status, 302, "{answer:?}");
    assert!(!browser.cookie_names(APP).iter().any(|name| name.starts_with("_oauth2_proxy")));
    assert_eq!(browser.send(APP, Request::get("/x")).await.status, 401);
}

#[tokio::test]
async fn an_expired_session_has_to_log_in_again() {
    let world =
        World::start(&["--cookie-expire=3s"], |configuration| configuration["cache"]["ttl"] = "1s".into())
            .await;
    let mut browser = world.browser();
    let page = world.open(&mut browser, "/", "alice", &[]).await;
    assert_eq!(page.response.status, 200, "{page:?}");
    let kept = browser.prepared(APP, Request::get("/x"));
    wait_until("the session expires", WAIT, || async {
        let answer = client::send(world.envoy.address(), kept.clone()).await;
        holds(answer.status == 401, format!("{answer:?}"))
    })
    .await;
}

#[tokio::test]
async fn eight_requests_at_once_refresh_a_session_once_and_all_pass() {
    // It counts whole seconds.
    const REFRESH: Duration = Duration::from_secs(3);
    let world = World::start(&["--cookie-refresh=2s"], |configuration| {
        configuration["cache"]["ttl"] = "500ms".into()
    })
    .await;
    let mut browser = world.browser();
    world.open(&mut browser, "/", "alice", &[]).await;
    for round in 0..2 {
        let due = Instant::now() + REFRESH;
        wait_until("the session is to be refreshed, and nothing of it is remembered", WAIT, || async {
            holds(Instant::now() > due, "not yet")
        })
        .await;
        let request = browser.prepared(APP, Request::get("/x"));
        let asked: Vec<_> = (0..8)
            .map(|_| {
                let (address, request) = (world.envoy.address(), request.clone());
                tokio::spawn(async move { client::send(address, request).await })
            })
            .collect();
        let mut refreshed = 0;
        for answer in asked {
            let answer = answer.await.expect("an answer");
            assert_eq!(told(&answer).0, "alice", "round {round}");
            refreshed += usize::from(!answer.header_lines("set-cookie").is_empty());
            browser.keep(APP, &answer);
        }
        assert_eq!(refreshed, 1, "round {round}");
    }
}

#[tokio::test]
async fn while_oauth2_proxy_is_down_nobody_gets_in() {
    let mut world = World::start(&[], |configuration| configuration["cache"]["ttl"] = "1s".into()).await;
    let mut browser = world.browser();
    world.open(&mut browser, "/", "alice", &[]).await;
    assert_eq!(told(&browser.send(APP, Request::get("/x")).await).0, "alice");
    drop(world.proxy.take());
    let request = browser.prepared(APP, Request::get("/x"));
    wait_until("what is remembered ends", WAIT, || async {
        let answer = client::send(world.envoy.address(), request.clone()).await;
        holds(answer.status == 503, format!("{answer:?}"))
    })
    .await;
    assert_eq!(browser.send(APP, Request::get("/x").header("accept", "text/html")).await.status, 503);
}
