//! Starts one of the programs that `make test-real` has built, waits until it serves, and ends it.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use wasm_tests::client::{self, Protocol, Request};
use wasm_tests::envoy::{target_dir, workspace_dir};
use wasm_tests::process;
use wasm_tests::wait::{holds, wait_until};

/// How long a program may take to serve. Hydra migrates a database and makes keys first.
const START: Duration = Duration::from_secs(180);

/// A running program. Dropping it kills it.
pub(crate) struct Program {
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts it, and returns when this address answers this path with 200.
    pub(crate) async fn start(
        name: &str,
        arguments: &[String],
        variables: &[(&str, String)],
        serves: (SocketAddr, &str),
    ) -> Self {
        Self::start_in(workspace_dir(), name, arguments, variables, serves).await
    }

    /// The same, in this directory.
    pub(crate) async fn start_in(
        directory: &Path,
        name: &str,
        arguments: &[String],
        variables: &[(&str, String)],
        (address, path): (SocketAddr, &str),
    ) -> Self {
        let working = directory;
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let built = workspace_dir().join(".tools/real").join(name);
        // Others are Debian's.
        let binary = if built.exists() { built } else { name.into() };
        let directory = target_dir().join("real-logs");
        fs::create_dir_all(&directory).expect("the target directory is writable");
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let log = directory.join(format!("{name}-{}-{number}.log", std::process::id()));
        let writer = || File::options().create(true).append(true).open(&log).expect("a log");
        let mut command = process::command(binary);
        command
            .current_dir(working)
            .args(arguments)
            .envs(variables.iter().map(|(name, value)| (*name, value)));
        command.stdin(Stdio::null()).stdout(writer()).stderr(writer());
        let child = process::spawn(command)
            .unwrap_or_else(|error| panic!("{name}, which `make test-real` gets: {error}"));
        let program = Self { child, log };
        let awaited = format!("{name} serves; its log is {}", program.log.display());
        wait_until(&awaited, START, || async {
            let answer = client::try_send(address, Protocol::Http1, Request::get(path)).await;
            holds(answer.as_ref().is_ok_and(|answer| answer.status == 200), format!("{answer:?}"))
        })
        .await;
        program
    }

    /// What it has said.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only if it has already ended.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
        if !std::thread::panicking() {
            // A leftover file does no harm.
            let _left = fs::remove_file(&self.log);
        }
    }
}

/// An address that was free a moment ago, for programs that do not say which one they got.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("it is bound")
}
