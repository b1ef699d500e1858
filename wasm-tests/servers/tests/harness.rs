//! The harness itself: an Envoy without the filter starts, serves, refuses, and leaves nothing behind.

use serde_json::json;
use servers::client::{self, Connection, Protocol, Request};
use servers::envoy::Envoy;

#[tokio::test]
async fn envoy_serves_both_protocols_on_ports_of_its_own() {
    let (one, two) = tokio::join!(Envoy::builder().start(), Envoy::builder().start());
    assert_ne!(one.address(), two.address());
    for envoy in [&one, &two] {
        let answer = client::send(envoy.address(), Request::get("/")).await;
        assert_eq!(answer.status, 200);
        let answer = client::send_http2(envoy.address(), Request::get("/")).await;
        assert_eq!(answer.status, 200);
        assert_eq!(envoy.stat("http.ingress.downstream_rq_2xx").await, 2);
    }
    assert!(one.resident_memory() > 1024 * 1024);
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let envoy = Envoy::builder().start().await;
    let mut connection = Connection::open(envoy.address(), Protocol::Http1).await;
    for _ in 0..3 {
        assert_eq!(connection.send(Request::get("/")).await.status, 200);
    }
    let connections = envoy.stat("http.ingress.downstream_cx_total").await;
    assert_eq!(connections, 1);
}

#[tokio::test]
async fn a_refused_configuration_gives_back_the_log() {
    let routes = json!([{ "match": { "prefix": "/" }, "route": { "cluster": "nowhere" } }]);
    let log = Envoy::builder().routes(routes).start_refused().await;
    assert!(log.contains("nowhere"), "{log}");
}
