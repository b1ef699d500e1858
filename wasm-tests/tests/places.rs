//! `token_from`: tokens in places other than `Authorization`, on every host, with the configuration of
//! `docs/tokens.md`.

#[path = "../../tests/tokens/issuer.rs"]
#[allow(dead_code, reason = "shared with the suite of tokens, which uses more of it")]
mod issuer;

use std::fs;
use std::net::SocketAddr;

use authgear_filter::jose::Algorithm;
use issuer::Issuer;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use wasm_tests::apisix::Apisix;
use wasm_tests::client::{self, Request};
use wasm_tests::echo::Echo;
use wasm_tests::envoy::{Envoy, workspace_dir};
use wasm_tests::faulty::{Answer, Failure, Faulty};
use wasm_tests::on_each_host;
use wasm_tests::scene::{Host, seen};

on_each_host! {
    a_token_is_taken_from_each_documented_place_and_from_no_other,
    the_app_gets_no_token_where_they_are_stripped,
}

/// The YAML block of `docs/tokens.md` that begins like this.
fn documented(start: &str) -> Value {
    let page = fs::read_to_string(workspace_dir().join("docs/tokens.md")).unwrap();
    let mut blocks = page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let block = blocks.find(|block| block.starts_with(start)).expect("docs/tokens.md has lost an example");
    yaml_serde::from_str(block).unwrap()
}

/// An issuer that publishes its keys, and the documented configuration for it.
struct Documented {
    issuer: Issuer,
    keys: Faulty,
    configuration: Value,
}

impl Documented {
    async fn start<H: Host>() -> Self {
        let issuer = Issuer::new();
        let keys = Answer { body: issuer.jwks().to_string().into_bytes(), ..Answer::status(200) };
        let keys = Faulty::start(Failure::Answer(keys)).await.unwrap();
        let mut configuration = documented("jwt:");
        configuration["jwt"][0]["upstream"] = H::upstream("issuer", keys.address()).into();
        // The APISIX-like host has no TLS.
        configuration["jwt"][0]["jwks_uri"] = "http://issuer.example/.well-known/jwks.json".into();
        Self { issuer, keys, configuration }
    }

    fn upstreams(&self) -> [(&'static str, SocketAddr); 1] {
        [("issuer", self.keys.address())]
    }

    fn token(&self) -> String {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let mut claims = issuer::claims();
        claims["iss"] = json!("https://issuer.example");
        claims["aud"] = json!("https://api.example.com");
        claims["iat"] = json!(now);
        claims["exp"] = json!(now + 600);
        self.issuer.token(Algorithm::Rs256, &claims)
    }
}

/// Without the place for which the path cannot be rewritten.
fn without_query(configuration: &mut Value) {
    configuration["jwt"][0]["token_from"]
        .as_array_mut()
        .unwrap()
        .retain(|place| place.get("query").is_none());
}

async fn a_token_is_taken_from_each_documented_place_and_from_no_other<H: Host>() {
    let mut documented = Documented::start::<H>().await;
    documented.configuration["strip_credentials"] = json!(false);
    let app = Echo::start().await.unwrap();
    let host = H::start(H::builder(&app, &documented.upstreams()), documented.configuration.clone()).await;
    let token = documented.token();
    let bearer = format!("Bearer {token}");
    let good = [
        Request::get("/").header("authorization", &bearer),
        Request::get("/").header("X-Api-Token", &token),
        Request::get("/").header("cookie", format!("a=b; access_token={token}")),
        Request::get("/").header("cookie", "a=b").header("cookie", format!("access_token=\"{token}\"")),
        Request::get(&format!("/?a=b&access_token={token}")),
        Request::get(&format!("/?%61ccess_token={}", token.replace('.', "%2e"))),
        Request::get("/").header("sec-websocket-protocol", format!("feed.v1, bearer.{token}")),
        Request::get("/").header("authorization", "Basic eDp5").header("x-api-token", &token),
        Request::get(&format!("/?access_token={token}&access_token={token}"))
            .header("authorization", &bearer),
    ];
    for request in good {
        let what = format!("{request:?}");
        let seen = seen(&client::send(host.address(), request).await);
        assert!(seen.headers.contains(&("x-user-id".into(), "8b1f7c0e-user".into())), "{what}: {seen:?}");
    }
    let refused = [
        Request::get(&format!("/?access_token={token}&access_token={token}")),
        Request::get(&format!("/?access_token={token}&access%5Ftoken={token}")),
        Request::get("/").header("x-api-token", &token).header("x-api-token", &token),
        Request::get("/").header("cookie", format!("access_token={token}; access_token={token}")),
        Request::get("/")
            .header("cookie", format!("access_token={token}"))
            .header("cookie", format!("access_token={token}")),
        Request::get("/").header("sec-websocket-protocol", format!("bearer.{token}, bearer.{token}")),
        Request::get(&format!("/?access_token={token}")).header("authorization", "Bearer bad"),
        Request::get(&format!("/?access_token={token}"))
            .header("authorization", "Basic a")
            .header("authorization", "Basic b"),
        Request::get("/").header("x-api-token", "").header("cookie", "access_token="),
        Request::get("/").header("x-api-tokens", &token),
        Request::get(&format!("/?access_tokens={token}")),
        Request::get(&format!("/{token}")),
    ];
    app.received().clear();
    for request in refused {
        let what = format!("{request:?}");
        assert_eq!(client::send(host.address(), request).await.status, 401, "{what}");
    }
    assert_eq!(app.received().count(), 0);
    assert!(!host.log().contains(&token), "{}", host.log());
}

async fn the_app_gets_no_token_where_they_are_stripped<H: Host>() {
    let mut documented = Documented::start::<H>().await;
    without_query(&mut documented.configuration);
    documented.configuration["rules"] = json!([{"prefix": "/public", "access": "public"}]);
    let app = Echo::start().await.unwrap();
    let host = H::start(H::builder(&app, &documented.upstreams()), documented.configuration.clone()).await;
    let token = documented.token();
    for path in ["/a?access_token=kept", "/public"] {
        let request = Request::get(path)
            .header("authorization", format!("Bearer {token}"))
            .header("X-Api-Token", &token)
            .header("cookie", format!("a=b; access_token={token}; c=d"))
            .header("cookie", format!("access_token={token}"))
            .header("sec-websocket-protocol", format!("feed.v1, bearer.{token}"))
            .header("sec-websocket-protocol", format!("bearer.{token}, feed.v2"))
            .header("Sec_WebSocket_Protocol", format!("feed.v3, bearer.{token}"))
            .header("X_Api.Token", &token);
        seen(&client::send(host.address(), request).await);
        let received = app.received().all().pop().unwrap();
        assert_eq!(received.target, path, "the path stays as it is");
        assert_eq!(received.header_all("cookie"), [b"a=b; c=d"]);
        assert_eq!(received.header_all("sec-websocket-protocol"), [b"feed.v1, feed.v2"]);
        assert_eq!(received.header("authorization"), None);
        for name in ["x-api-token", "x_api.token", "sec_websocket_protocol"] {
            assert_eq!(received.header(name), None, "{name}");
        }
        assert!(!format!("{received:?}").contains(&token));
    }
    // An `Authorization` header stays if it is not a place.
    let request = Request::get("/a").header("authorization", "Basic eDp5").header("x-api-token", &token);
    seen(&client::send(host.address(), request).await);
    let received = app.received().all().pop().unwrap();
    assert_eq!(received.header("authorization"), Some(b"Basic eDp5".as_slice()));
}

#[tokio::test]
async fn in_envoy_a_token_in_a_query_is_cut_out_of_the_path_and_stands_in_no_log() {
    let documented_ = Documented::start::<Envoy>().await;
    let app = Echo::start().await.unwrap();
    let builder = <Envoy as Host>::builder(&app, &documented_.upstreams())
        .connection_manager("access_log", documented("access_log:")["access_log"].clone());
    let host = <Envoy as Host>::start(builder, documented_.configuration.clone()).await;
    let token = documented_.token();
    let paths = [
        (format!("/a/%2e?x=%20&access_token={token}&&y=/z?"), "/a/%2e?x=%20&&y=/z?"),
        (format!("/a?access_token={token}"), "/a"),
        (format!("/a?%61ccess%5ftoken={token}&b"), "/a?b"),
        ("/a?access_token=".to_owned(), "/a?access_token="),
        (format!("/{}?x={token}", "b".repeat(20)), "/bbbbbbbbbbbbbbbbbbbb?x="),
    ];
    for (path, expected) in paths {
        for http2 in [false, true] {
            let request = Request::get(&path).header("x-api-token", &token);
            let answer = match http2 {
                true => client::send_http2(host.address(), request).await,
                false => client::send(host.address(), request).await,
            };
            seen(&answer);
            let target = app.received().all().pop().unwrap().target;
            let target = target.strip_suffix(&token).unwrap_or(&target);
            assert_eq!(target, expected, "{path}");
        }
    }
    // A place that decides, one that does not, and a route on which nobody is asked.
    let denied = client::send(host.address(), Request::get("/denied?access_token=a.b.c")).await;
    assert_eq!(denied.status, 401);
    host.wait_for_log("GET /denied 401").await;
    assert!(!Host::log(&host).contains(&token), "{}", Host::log(&host));
    assert!(!Host::log(&host).contains("a.b.c"), "{}", Host::log(&host));
}

#[tokio::test]
async fn on_apisix_a_query_is_refused_where_it_would_be_stripped() {
    let documented = Documented::start::<Apisix>().await;
    let log = <Apisix as Host>::refuse(documented.configuration.to_string()).await;
    assert!(log.contains("strip_credentials: cannot remove a token from the query on APISIX"), "{log}");
}

/// A WebSocket server that chooses the first subprotocol it is offered, then hangs up.
async fn chooser() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.windows(4).any(|four| four == b"\r\n\r\n") {
                if stream.read_buf(&mut head).await.unwrap_or_default() == 0 {
                    break;
                }
            }
            let head = String::from_utf8_lossy(&head).to_lowercase();
            let offered = head.lines().find_map(|line| line.strip_prefix("sec-websocket-protocol:"));
            let chosen = offered.and_then(|list| list.split(',').next()).map(str::trim).unwrap_or("none");
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Protocol: {chosen}\r\n\r\n"
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

#[tokio::test]
async fn in_envoy_a_websocket_server_chooses_among_what_is_left() {
    let documented = Documented::start::<Envoy>().await;
    let builder = Envoy::builder()
        .cluster("app", chooser().await)
        .cluster("issuer", documented.keys.address())
        .connection_manager("upgrade_configs", json!([{"upgrade_type": "websocket"}]));
    let host = <Envoy as Host>::start(builder, documented.configuration.clone()).await;
    let token = documented.token();
    let shake = |protocols: String| {
        format!(
            "GET /feed HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: {protocols}\r\n\r\n"
        )
    };
    for (offered, chosen) in [
        (format!("bearer.{token}, feed.v1"), "feed.v1"),
        (format!("feed.v2, bearer.{token}, feed.v1"), "feed.v2"),
        (format!("bearer.{token}"), "none"),
    ] {
        let answer = client::raw(host.address(), shake(offered)).await.text().to_lowercase();
        assert!(answer.starts_with("http/1.1 101"), "{answer}");
        assert!(answer.contains(&format!("sec-websocket-protocol: {chosen}\r\n")), "{answer}");
    }
    let refused = shake("bearer.a.b.c, feed.v1".to_owned()).replace("Upgrade\r\nUpgrade: websocket", "close");
    let answer = client::raw(host.address(), refused).await;
    assert_eq!(answer.status(), Some(401), "{}", answer.text());
}
