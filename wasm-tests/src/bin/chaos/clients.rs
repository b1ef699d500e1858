//! Clients that send requests with good and bad credentials, and check who the app believes them to be.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::RngExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wasm_tests::authgear::{Authgear, User};
use wasm_tests::client::{self, Protocol, Request, Response};

use crate::gate::INTRUDER;
use crate::tally::{Outcome, Tally};

/// How many users the sessions belong to; neighbouring ones to different users.
const USERS: usize = 1000;

/// One in so many sessions is a JWT, and there are at most so many of them: signing takes long.
const JWTS: usize = 50;
const MOST_JWTS: usize = 200;

/// One in so many requests is left by its client.
const LEAVERS: u32 = 20;

/// The most time that a client waits before it leaves, in µs.
const PATIENCE: u64 = 30_000;

/// A credential, and whose it is.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    header: &'static str,
    value: String,
    user: Option<String>,
}

/// As many sessions: cookies, opaque tokens, JWTs, and some that are nobody's.
pub(crate) fn sessions(authgear: &Authgear, count: usize) -> Vec<Session> {
    let bearer = |token: String| format!("Bearer {token}");
    let user = |number: usize| format!("user-{}", number % USERS);
    for number in 0..USERS.min(count) {
        authgear.add_user(User::new(&user(number)));
    }
    (0..count)
        .map(|number| {
            let user = user(number);
            if number % 25 == 24 {
                let value = format!("session=nonsense-{number}");
                return Session { header: "cookie", value, user: None };
            }
            let (header, value) = match number {
                _ if number % JWTS == 0 && number < JWTS * MOST_JWTS => {
                    ("authorization", bearer(authgear.jwt(&user)))
                }
                _ if number % 2 == 0 => ("authorization", bearer(authgear.opaque_token(&user))),
                _ => ("cookie", format!("theme=dark; session={}", authgear.log_in(&user))),
            };
            Session { header, value, user: Some(user) }
        })
        .collect()
}

/// Sends requests until it is over.
pub(crate) async fn run(
    proxy: SocketAddr,
    sessions: Arc<[Session]>,
    tally: Arc<Tally>,
    over: Arc<AtomicBool>,
) {
    while !over.load(Ordering::Relaxed) {
        let number = rand::rng().random_range(0..sessions.len());
        // Sessions of before come back, or nothing would be remembered.
        let number = if rand::rng().random_bool(0.5) { number % 64 } else { number };
        let Some(session) = sessions.get(number) else { return };
        let path = if rand::rng().random_bool(0.5) { "/private" } else { "/open" };
        let begin = Instant::now();
        let outcome = if rand::rng().random_ratio(1, LEAVERS) {
            leave(proxy, session, path).await;
            Ok(Outcome::Left)
        } else {
            ask(proxy, session, path).await
        };
        let (outcome, answer) = match outcome {
            Ok(outcome) => (outcome, String::new()),
            Err((outcome, answer)) => (outcome, answer),
        };
        tally.add(outcome, begin.elapsed(), || {
            format!("{outcome:?}: {path} with the session {number} of {:?}: {answer}", session.user)
        });
    }
}

/// What must never be comes with what was answered.
async fn ask(proxy: SocketAddr, session: &Session, path: &str) -> Result<Outcome, (Outcome, String)> {
    let protocol = if rand::rng().random_bool(0.5) { Protocol::Http1 } else { Protocol::Http2 };
    let request = Request::get(path)
        .header(session.header, &session.value)
        .header("x-authgear-user-id", INTRUDER)
        .header("x-authgear-session-valid", "true");
    let answer = match client::try_send(proxy, protocol, request).await {
        Ok(answer) => answer,
        Err(error) => return Err((Outcome::Unanswered, error.to_string())),
    };
    let outcome = match answer.status {
        200 => who(&answer, session, path),
        401 if session.user.is_none() && path == "/private" => Outcome::Denied,
        401 => Outcome::WronglyDenied,
        503 => Outcome::Unavailable,
        _ => Outcome::Unanswered,
    };
    if outcome >= Outcome::WronglyDenied { Err((outcome, format!("{answer:?}"))) } else { Ok(outcome) }
}

/// Holds what the app saw against whose session it is.
fn who(answer: &Response, session: &Session, path: &str) -> Outcome {
    let seen = wasm_tests::scene::seen(answer);
    let told = seen.identity_header("x-authgear-user-id");
    let anything = seen.identity();
    let is_of_intruder = anything.iter().any(|(_, value)| value == INTRUDER);
    match (told, &session.user) {
        _ if is_of_intruder => Outcome::WrongIdentity,
        (Some(told), Some(user)) if told == *user => Outcome::Right,
        (Some(_), _) => Outcome::WrongIdentity,
        (None, None) if path == "/open" => Outcome::Right,
        (None, _) => Outcome::Unauthenticated,
    }
}

/// Sends a request, or the first part of it, and closes the connection after a while.
async fn leave(proxy: SocketAddr, session: &Session, path: &str) {
    let whole = format!(
        "GET {path} HTTP/1.1\r\nhost: app.example.test\r\n{}: {}\r\nx-authgear-user-id: {INTRUDER}\r\n\r\n",
        session.header, session.value
    );
    let sent =
        if rand::rng().random_bool(0.8) { whole.len() } else { rand::rng().random_range(0..whole.len()) };
    let patience = Duration::from_micros(rand::rng().random_range(0..PATIENCE));
    let Ok(mut stream) = TcpStream::connect(proxy).await else { return };
    let exchange = async {
        stream.write_all(whole.as_bytes().get(..sent).unwrap_or_default()).await?;
        let mut first = [0];
        // Some leave at the first byte of the answer.
        stream.read_exact(&mut first).await
    };
    // That it ends in either way is what a leaver is for.
    let _left = tokio::time::timeout(patience, exchange).await;
}
