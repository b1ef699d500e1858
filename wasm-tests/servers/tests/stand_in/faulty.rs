//! The faulty servers: each fails as it should, and stops when it is dropped.

use std::io::ErrorKind;
use std::net::SocketAddr;

use servers::faulty::{Answer, Failure, Faulty, INTRUDER};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::wire::in_time;

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

async fn start(failure: Failure) -> Faulty {
    Faulty::start(failure).await.unwrap()
}

/// A connection on which a request was sent.
async fn asked(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(GET).await.unwrap();
    stream
}

#[tokio::test]
async fn a_closed_port_refuses_and_stays_taken() {
    let faulty = start(Failure::Refuse).await;
    let error = TcpStream::connect(faulty.address()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(faulty.connections(), 0);
    assert_eq!(TcpListener::bind(faulty.address()).await.unwrap_err().kind(), ErrorKind::AddrInUse);
}

#[tokio::test]
async fn silence_reads_the_request_and_says_nothing_until_it_is_dropped() {
    let faulty = start(Failure::Silence).await;
    let mut stream = asked(faulty.address()).await;
    in_time(faulty.wait_for_requests(1)).await;
    assert_eq!((faulty.connections(), faulty.requests()), (1, 1));
    drop(faulty);
    let mut answer = vec![];
    let _ = in_time(stream.read_to_end(&mut answer)).await;
    assert!(answer.is_empty());
}

#[tokio::test]
async fn answers_that_end_early_end_where_they_say() {
    for (failure, end, requests) in [
        (Failure::CloseAtOnce, &b""[..], 0),
        (Failure::HalfHead, b"x-authgear-user-ver", 1),
        (Failure::ShortBody, b"content-length: 1000\r\n\r\nshort", 1),
        (Failure::Garbage, b"\0\0", 1),
    ] {
        let faulty = start(failure.clone()).await;
        let answer = in_time(raw_or_closed(faulty.address())).await;
        assert!(answer.ends_with(end), "{failure:?}: {answer:?}");
        assert_eq!((faulty.connections(), faulty.requests()), (1, requests), "{failure:?}");
        let claims = answer.windows(INTRUDER.len()).any(|window| window == INTRUDER.as_bytes());
        assert_eq!(claims, matches!(failure, Failure::HalfHead | Failure::ShortBody), "{failure:?}");
    }
}

/// Everything that a server sends, which may be gone before the request is written.
async fn raw_or_closed(address: SocketAddr) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut answer = vec![];
    if stream.write_all(GET).await.is_ok() {
        let _ = stream.read_to_end(&mut answer).await;
    }
    answer
}

#[tokio::test]
async fn a_reset_is_a_reset() {
    let faulty = start(Failure::Reset).await;
    let mut stream = asked(faulty.address()).await;
    let error = in_time(stream.read(&mut [0; 8])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_drip_goes_on_and_never_completes() {
    for (failure, start_of_answer) in
        [(Failure::DripHead, "HTTP"), (Failure::DripBody, "HTTP/1.1 200 OK\r\nx-authgear")]
    {
        let faulty = start(failure).await;
        let mut stream = asked(faulty.address()).await;
        let mut answer = vec![0; start_of_answer.len()];
        in_time(stream.read_exact(&mut answer)).await.unwrap();
        assert_eq!(answer, start_of_answer.as_bytes());
        assert!(in_time(stream.read(&mut [0; 1])).await.unwrap() > 0, "more comes");
    }
}

#[tokio::test]
async fn any_answer_can_be_given_again_and_again() {
    let huge = "x".repeat(100_000);
    let answer = Answer { body: b"moved".to_vec(), ..Answer::status(302) }
        .header("Set-Cookie", "a=1")
        .header("Set-Cookie", "b=2")
        .header("x-huge", &huge);
    let faulty = start(Failure::Answer(answer)).await;
    let got = ask_once(faulty.address()).await;
    let text = String::from_utf8(got).unwrap();
    assert!(text.starts_with("HTTP/1.1 302 Faulty\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nx-huge: x"));
    assert!(text.ends_with("content-length: 5\r\n\r\nmoved"));

    // Two requests on one connection.
    let mut stream = TcpStream::connect(faulty.address()).await.unwrap();
    stream.write_all(&[GET, GET].concat()).await.unwrap();
    in_time(faulty.wait_for_requests(3)).await;
    assert_eq!(faulty.connections(), 2);
}

/// Sends one request and closes its side, so that the server closes too.
async fn ask_once(address: SocketAddr) -> Vec<u8> {
    let mut stream = asked(address).await;
    stream.shutdown().await.unwrap();
    let mut answer = vec![];
    in_time(stream.read_to_end(&mut answer)).await.unwrap();
    answer
}

#[tokio::test]
async fn a_page_is_not_an_answer_of_authgear() {
    let faulty = start(Failure::Answer(Answer::html())).await;
    let text = String::from_utf8(ask_once(faulty.address()).await).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 ") && text.contains("<h1>") && !text.contains("x-authgear"));
}
