//! A client that sends at a constant rate, and measures from the moment at which a request was due. A request that
//! waits behind a slow answer is late, and that counts (no "coordinated omission").
//!
//! `wrk` sends as fast as it can. `h2load --rps` and others measure from the moment of sending.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// Connections, each with its own thread. As many requests may be in flight before one has to wait.
pub(crate) const CONNECTIONS: u32 = 32;
/// How long to wait for a proxy that does not answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Sends `rate` requests a second, in the order of the list, and returns the latencies in µs.
///
/// # Errors
/// If a request is not answered with 200.
pub(crate) fn run(
    proxy: SocketAddr,
    requests: &[Vec<u8>],
    rate: f64,
    duration: Duration,
) -> Result<Vec<f64>, String> {
    let each = (rate * duration.as_secs_f64() / f64::from(CONNECTIONS)).ceil() as u32;
    // All clients have connected by then.
    let start = Instant::now() + Duration::from_millis(50);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|client| {
                let numbers = (0..each).map(move |round| round * CONNECTIONS + client);
                let due = move |number: u32| start + Duration::from_secs_f64(f64::from(number) / rate);
                scope.spawn(move || {
                    one_connection(proxy, numbers.map(|number| (due(number), number as usize)), requests)
                })
            })
            .collect();
        let mut latencies = Vec::new();
        for client in clients {
            latencies.extend(client.join().map_err(|_| "a client panicked")??);
        }
        Ok(latencies)
    })
}

fn one_connection(
    proxy: SocketAddr,
    plan: impl Iterator<Item = (Instant, usize)>,
    requests: &[Vec<u8>],
) -> Result<Vec<f64>, String> {
    wake_in_time();
    let io = |error: std::io::Error| format!("{proxy}: {error}");
    let mut stream = TcpStream::connect(proxy).map_err(io)?;
    stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(TIMEOUT))).map_err(io)?;
    let (mut latencies, mut answer) = (Vec::new(), Vec::new());
    for (due, number) in plan {
        // It does not sleep if the request is late.
        thread::sleep(due.saturating_duration_since(Instant::now()));
        stream.write_all(&requests[number % requests.len()]).map_err(io)?;
        answer.clear();
        while !is_complete(&answer)? {
            let mut buffer = [0; 4096];
            match stream.read(&mut buffer).map_err(io)? {
                0 => return Err(format!("{proxy}: closed in the middle of an answer")),
                length => answer.extend_from_slice(&buffer[..length]),
            }
        }
        latencies.push(due.elapsed().as_secs_f64() * 1e6);
    }
    Ok(latencies)
}

/// Whether an answer is complete.
fn is_complete(bytes: &[u8]) -> Result<bool, String> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(false) };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    match (head.starts_with("http/1.1 200"), length.and_then(|length| length.trim().parse::<usize>().ok())) {
        (true, Some(length)) => Ok(bytes.len() >= end + 4 + length),
        _ => Err(format!("not answered as it should be: {head}")),
    }
}

/// By default, Linux wakes a sleeping thread up to 50 µs late. Where that cannot be changed, all contenders are late
/// alike.
fn wake_in_time() {
    // `<process>/task/<thread>`; `/proc/<thread>` exists too, though it is not listed.
    let link = fs::read_link("/proc/thread-self").unwrap_or_default();
    if let Some(thread) = link.file_name() {
        let _unless_forbidden =
            fs::write(std::path::Path::new("/proc").join(thread).join("timerslack_ns"), "1");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn an_answer_is_complete_with_its_body() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";
        assert!((0..answer.len()).all(|end| is_complete(&answer[..end]) == Ok(false)));
        assert_eq!(is_complete(answer), Ok(true));
        for wrong in ["HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"] {
            assert!(is_complete(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_late_answer_makes_those_behind_it_late_too() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let delay = Duration::from_millis(50);
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for _ in 0..3 {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                thread::sleep(delay);
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
            }
        });
        let now = Instant::now();
        let plan = (0..3).map(|number| (now, number));
        let latencies = one_connection(address, plan, &[b"x".to_vec()]).unwrap();
        server.join().unwrap();
        // The third one waited for the first two.
        assert!(latencies[2] >= 3.0 * delay.as_secs_f64() * 1e6, "{latencies:?}");
    }
}
