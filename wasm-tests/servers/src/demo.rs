//! A demo as the suites run it: the program of `make run`, on ports of its own.

use std::cell::RefCell;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::process;
use crate::wait::wait_until;

/// What to start.
#[derive(Debug)]
pub struct Layout {
    name: &'static str,
    ports: &'static [&'static str],
}

/// What `make run` starts, and its ports.
pub static AUTHGEAR: Layout = Layout {
    name: "authgear",
    ports: &["--proxy-port", "--authgear-port", "--resolver-port", "--app-port", "--admin-port"],
};

/// What `make run-auth-o-tron` starts, and its ports.
pub static AUTH_O_TRON: Layout = Layout {
    name: "auth-o-tron",
    ports: &["--proxy-port", "--auth-o-tron-port", "--app-port", "--admin-port"],
};

/// How long Envoy may take to compile the module and serve, while other tests do the same.
const START: Duration = Duration::from_secs(60);

/// A running demo. Dropping it kills it.
#[derive(Debug)]
pub struct Demo {
    child: Child,
    ports: Ports,
    lines: mpsc::Receiver<String>,
    /// The lines taken out of `lines` so far.
    seen: RefCell<String>,
}

impl Demo {
    /// Starts it from this program on free ports, and waits until it says what to open.
    ///
    /// # Panics
    /// If it does not.
    pub fn start(program: &str, layout: &Layout) -> Self {
        let demo = Self::spawn(program, layout, Ports::choose(layout));
        let end = Instant::now() + START;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(line) = demo.lines.recv_timeout(left) else {
                panic!("the demo did not come up:\n{}", demo.output());
            };
            let last = line.starts_with("Ctrl-C stops");
            demo.note(&line);
            if last {
                return demo;
            }
        }
    }

    /// Starts it, whatever becomes of it.
    ///
    /// # Panics
    /// If the program cannot be executed.
    pub fn spawn(program: &str, layout: &Layout, ports: Ports) -> Self {
        let mut command = process::command(program);
        command.arg(layout.name).args(ports.arguments());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = process::spawn(command).expect("the demo can be executed");
        let (sender, lines) = mpsc::channel();
        forward(child.stdout.take().expect("piped"), sender.clone());
        forward(child.stderr.take().expect("piped"), sender);
        Self { child, ports, lines, seen: RefCell::default() }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The port of this option.
    ///
    /// # Panics
    /// If it has no such option.
    pub fn port(&self, option: &str) -> u16 {
        self.ports.of(option)
    }

    /// Whether nobody listens on its ports.
    pub fn ports_are_free(&self) -> bool {
        self.ports.0.iter().all(|(_, port)| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// If it has not within this time.
    pub async fn wait(&mut self, within: Duration) -> ExitStatus {
        wait_until("the demo ends", within, || {
            let ended = self.child.try_wait().expect("the demo is our child");
            std::future::ready(ended.ok_or("it runs"))
        })
        .await
    }

    /// Everything that it has printed.
    pub fn output(&self) -> String {
        let ended = fs::metadata(format!("/proc/{}/fd", self.id())).is_err();
        // If the demo has ended, wait for every line; if it runs, take what is there.
        let more = || if ended { self.lines.recv().ok() } else { self.lines.try_recv().ok() };
        while let Some(line) = more() {
            self.note(&line);
        }
        self.seen.borrow().clone()
    }

    fn note(&self, line: &str) {
        let mut seen = self.seen.borrow_mut();
        seen.push_str(line);
        seen.push('\n');
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Both fail only if it has already ended.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
        if thread::panicking() {
            eprintln!("the demo printed:\n{}", self.output());
        }
    }
}

/// A port for each option.
#[derive(Debug)]
pub struct Ports(Vec<(&'static str, u16)>);

impl Ports {
    /// Free ports, each only once, below those that the system assigns.
    ///
    /// # Panics
    /// If none is free.
    pub fn choose(layout: &Layout) -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        // Another run of the tests begins its search elsewhere.
        let start = u16::try_from(std::process::id() % 8000).expect("less than 8000");
        let free = || {
            let next = || 20000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 12000;
            let mut ports = std::iter::repeat_with(next).take(12000);
            let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
            ports.find(is_free).expect("a free port")
        };
        Self(layout.ports.iter().map(|option| (*option, free())).collect())
    }

    /// The port of this option.
    ///
    /// # Panics
    /// If there is no such option.
    pub fn of(&self, option: &str) -> u16 {
        let found = self.0.iter().find(|(known, _)| *known == option);
        found.expect("a port of this demo").1
    }

    fn arguments(&self) -> Vec<String> {
        self.0.iter().flat_map(|(option, port)| [(*option).to_owned(), port.to_string()]).collect()
    }
}

fn forward(output: impl Read + Send + 'static, lines: mpsc::Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
}
