//! The echo app.

use serde_json::Value;
use servers::echo::Echo;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::wire::{ask, in_time, raw};

#[tokio::test]
async fn what_was_sent_comes_back_as_json() {
    let echo = Echo::start().await.unwrap();
    let headers = [("host", "app"), ("x-b", "1"), ("x-a", "2"), ("x-b", "3"), ("accept", "*/*")];
    let answer = ask(echo.address(), "DELETE /a%2Fb//c?d=e&f", &headers, "").await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let seen: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!((&seen["method"], &seen["path"]), (&"DELETE".into(), &"/a%2Fb//c?d=e&f".into()));
    assert_eq!(seen["version"], "HTTP/1.1");
    let expected = serde_json::json!([
        ["host", "app"],
        ["x-b", "1"],
        ["x-b", "3"],
        ["x-a", "2"],
        ["accept", "*/*"],
        ["connection", "close"]
    ]);
    assert_eq!(seen["headers"], expected);
    assert_eq!(seen["body_length"], 0);
    assert_eq!(seen["body_sha256"], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

#[tokio::test]
async fn bytes_that_are_no_text_are_not_lost() {
    let echo = Echo::start().await.unwrap();
    let request = b"GET / HTTP/1.1\r\nhost: a\r\ncookie: a=\xff\xe9\r\nconnection: close\r\n\r\n";
    let answer = String::from_utf8(raw(echo.address(), request).await).unwrap();
    assert!(answer.contains("a=\u{ff}\u{e9}"), "{answer}");
    assert_eq!(echo.received().last().unwrap().header("cookie"), Some(&b"a=\xff\xe9"[..]));
}

#[tokio::test]
async fn a_large_body_is_counted_and_hashed() {
    let echo = Echo::start().await.unwrap();
    let host = [("host", "a")];
    for (length, hash) in [
        (10 * 1024, "7ffe4ce6d10a40a0c0343b1932b4c5636c4a9914f7ad186c09a37dccc5a9a24a"),
        // FIPS 180-2, appendix B.3.
        (1_000_000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
    ] {
        let answer = ask(echo.address(), "POST /", &host, &"a".repeat(length)).await;
        let seen: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(seen["body_length"], length);
        assert_eq!(seen["body_sha256"], hash);
    }
    assert_eq!(echo.received().count(), 2);
}

#[tokio::test]
async fn a_chunked_body_is_counted_without_its_framing() {
    let echo = Echo::start().await.unwrap();
    let request = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n\
                    3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let answer = String::from_utf8(raw(echo.address(), request).await).unwrap();
    assert!(answer.contains("\"body_length\": 5"), "{answer}");
}

#[tokio::test]
async fn a_browser_gets_a_page_with_the_identity_first() {
    let echo = Echo::start().await.unwrap();
    let headers = [
        ("host", "a"),
        ("accept", "text/html,*/*;q=0.8"),
        ("x-evil", "<script>alert(1)</script>"),
        ("x-authgear-user-id", "alice"),
    ];
    let page = ask(echo.address(), "GET /app", &headers, "").await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.body.find("x-authgear-user-id").unwrap() < page.body.find("x-evil").unwrap());
    assert!(page.body.contains("alice") && !page.body.contains("<script>"));
    let nobody = ask(echo.address(), "GET /app", &headers[..2], "").await;
    assert!(nobody.body.contains("nobody is logged in"));
}

#[tokio::test]
async fn more_header_lines_than_usual_are_accepted() {
    let echo = Echo::start().await.unwrap();
    let many: Vec<_> =
        std::iter::once(("host", "a")).chain(std::iter::repeat_n(("x-many", "1"), 300)).collect();
    assert_eq!(ask(echo.address(), "GET /", &many, "").await.status, 200);
    assert_eq!(echo.received().last().unwrap().header_all("x-many").len(), 300);
}

#[tokio::test]
async fn http2_shows_its_path_and_authority_as_they_came() {
    let echo = Echo::start().await.unwrap();
    // RFC 9113: the preface, empty settings, then HEADERS (end of stream, end of headers) with static indices
    // for GET and http, and literals for `:path` and `:authority` (RFC 7541, section 6.2.2).
    let mut block = vec![0x82, 0x86];
    for (index, value) in [(4, "/x?y"), (1, "app:80")] {
        block.extend([index, u8::try_from(value.len()).unwrap()]);
        block.extend(value.bytes());
    }
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    bytes.extend([0, 0, u8::try_from(block.len()).unwrap(), 1, 0x05, 0, 0, 0, 1]);
    bytes.extend(block);
    let mut stream = TcpStream::connect(echo.address()).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    in_time(echo.received().wait_for(1)).await;
    let received = echo.received().last().unwrap();
    assert_eq!((received.target.as_str(), received.header(":authority")), ("/x?y", Some(&b"app:80"[..])));
}
