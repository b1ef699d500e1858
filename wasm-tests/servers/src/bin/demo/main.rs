//! `make run` and `make run-auth-o-tron`: an auth server, an echo app, and Envoy with a configuration
//! that is shipped before them, until Ctrl-C or until one of them ends.

mod configuration;
mod layout;
mod ports;
mod services;

use std::convert::Infallible;
use std::env;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use servers::{envoy, process};
use tokio::net::TcpStream;
use tokio::signal::unix::{Signal, SignalKind, signal};

use layout::Layout;
use ports::{Port, Ports};
use services::Services;

// One thread: the kernel ends the services when the thread that started them ends.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let named = arguments.first().and_then(|name| Layout::named(name));
    let (layout, options) = match named {
        Some(layout) => (layout, &arguments[1..]),
        None => (&layout::AUTHGEAR, &arguments[..]),
    };
    if options.iter().any(|argument| argument == "--help") {
        println!("{}", ports::usage(layout.ports));
        return ExitCode::SUCCESS;
    }
    match run(layout, options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("\n{message}");
            ExitCode::FAILURE
        }
    }
}

async fn run(layout: &Layout, options: &[String]) -> Result<(), String> {
    let ports = Ports::new(layout.ports, options, |name| env::var(name).ok())?;
    ports.check_free(layout.target)?;
    let configuration = configuration::prepare(layout, &ports)?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;

    let mut services = Services::new();
    for (name, command) in (layout.services)(&ports)? {
        services.start(name, command)?;
    }
    services.start("envoy", proxy(&configuration))?;
    let result = tokio::select! {
        ended = services.watch() => Err(ended),
        never = welcome_when_ready(layout, &ports) => match never {},
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    services.stop().await;
    result
}

fn listen(kind: SignalKind) -> Result<Signal, String> {
    signal(kind).map_err(|error| format!("cannot listen for signals: {error}"))
}

fn proxy(configuration: &Path) -> Command {
    let mut command = process::command(envoy::binary());
    command
        // The module's path in the configuration is relative to the root.
        .current_dir(envoy::workspace_dir())
        .arg("--config-path")
        .arg(configuration)
        .arg("--disable-hot-restart")
        .args(["--concurrency", "2"])
        .args(["--log-level", "warning", "--component-log-level", "wasm:info"])
        .args(["--log-format", "[%l] %v"]);
    command
}

/// Waits until every service takes requests, then says what to do with them. It does not return: a
/// service that never gets there ends, or is told about by its log.
async fn welcome_when_ready(layout: &Layout, ports: &Ports) -> Infallible {
    for (_, port) in layout.clusters {
        while TcpStream::connect(local(ports[*port])).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    while !envoy::is_ready(local(ports[Port::Admin])).await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!(
        "
All is up. {what_to_try}
  what the filter counted:
    curl -s 'http://localhost:{admin}/stats?filter=wasmcustom'

Ctrl-C stops everything.
",
        what_to_try = (layout.welcome)(ports),
        admin = ports[Port::Admin],
    );
    std::future::pending().await
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
