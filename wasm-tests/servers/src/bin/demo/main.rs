//! `make run` and `make run-auth-o-tron`: runs an auth server, an echo app, and in front of them Envoy with a shipped
//! configuration, until Ctrl-C or until one of them ends.

mod configuration;
mod layout;
mod ports;
mod services;

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use servers::control::{Control, Settings};
use servers::wait::{TooLate, holds, try_wait_until};
use servers::{cli, envoy, process};
use tokio::net::TcpStream;
use tokio::signal::unix::{Signal, SignalKind, signal};

use layout::Layout;
use ports::{Demo, Port, Ports};
use services::Services;

/// How long all services may take to start, even on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(120);

// One thread: the kernel ends the services when the thread that started them ends.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(&cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("\n{message}");
            ExitCode::FAILURE
        }
    }
}

async fn run(demo: &Demo) -> Result<(), String> {
    let (layout, ports) = (Layout::of(demo), Ports::of(demo)?);
    ports.check_free(layout.target)?;
    let control = if layout.has_console { Some(start_control(&ports).await?) } else { None };
    let configuration = configuration::prepare(layout, &ports, control.as_ref().map(Control::address))?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;

    let mut services = Services::new();
    for (name, command) in (layout.services)(&ports)? {
        services.start(name, command)?;
    }
    services.start("envoy", proxy(&configuration))?;
    let result = tokio::select! {
        ended = services.watch(|line| control.as_ref()?.note(line)) => Err(ended),
        Err(late) = welcome_when_ready(layout, &ports) => Err(late.to_string()),
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    services.stop().await;
    result
}

fn listen(kind: SignalKind) -> Result<Signal, String> {
    signal(kind).map_err(|error| format!("cannot listen for signals: {error}"))
}

async fn start_control(ports: &Ports) -> Result<Control, String> {
    let control = Control::start(Settings {
        origin: layout::public_origin(ports),
        proxy: local(ports[Port::Proxy]),
        admin: local(ports[Port::Admin]),
        authgear: local(ports[Port::Authgear]),
    });
    control.await.map_err(|error| error.to_string())
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
        // People, and the console, look at the access log as it is written; the default is 10 s.
        .args(["--file-flush-interval-msec", "50"])
        .args(["--log-level", "warning", "--component-log-level", "wasm:info"])
        .args(["--log-format", "[%l] %v"]);
    command
}

/// Waits until every service takes requests, then says what to try. It returns only if one does not.
async fn welcome_when_ready(layout: &Layout, ports: &Ports) -> Result<Infallible, TooLate> {
    for (cluster, port) in layout.clusters {
        let address = local(ports[*port]);
        let connect = || TcpStream::connect(address);
        try_wait_until(&format!("{cluster} listens"), START_TIMEOUT, connect).await?;
    }
    let admin = local(ports[Port::Admin]);
    let is_ready = || async move { holds(envoy::is_ready(admin).await, "it is not ready") };
    try_wait_until("Envoy serves", START_TIMEOUT, is_ready).await?;
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
