//! `make run`: the tutorial's layout on this machine. A stand-in Authgear, an echo app, and Envoy
//! with the root `envoy.yaml` before them, until Ctrl-C or until one of them ends.

mod configuration;
mod ports;
mod services;

use std::convert::Infallible;
use std::env;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::signal::unix::{Signal, SignalKind, signal};
use wasm_tests::{envoy, process};

use ports::{Port, Ports};
use services::Services;

// One thread: the kernel ends the services when the thread that started them ends.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help") {
        println!("{}", ports::usage());
        return ExitCode::SUCCESS;
    }
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("\n{message}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &[String]) -> Result<(), String> {
    let ports = Ports::new(arguments, |name| env::var(name).ok())?;
    ports.check_free()?;
    let configuration = configuration::prepare(&ports)?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;

    let mut services = Services::new();
    services.start("authgear", stand_in(&ports)?)?;
    services.start("app", echo_app(&ports)?)?;
    services.start("envoy", proxy(&configuration))?;
    let result = tokio::select! {
        ended = services.watch() => Err(ended),
        never = welcome_when_ready(&ports) => match never {},
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    services.stop().await;
    result
}

fn listen(kind: SignalKind) -> Result<Signal, String> {
    signal(kind).map_err(|error| format!("cannot listen for signals: {error}"))
}

fn stand_in(ports: &Ports) -> Result<Command, String> {
    let mut command = sibling("stand-in-authgear")?;
    command
        .args(["--main-port", &ports[Port::Authgear].to_string()])
        .args(["--resolver-port", &ports[Port::Resolver].to_string()])
        .args(["--public-origin", &public_origin(ports)]);
    Ok(command)
}

fn echo_app(ports: &Ports) -> Result<Command, String> {
    let mut command = sibling("echo-app")?;
    command.args(["--port", &ports[Port::App].to_string()]);
    Ok(command)
}

fn proxy(configuration: &Path) -> Command {
    let mut command = process::command(envoy::binary());
    command
        // The module's path in envoy.yaml is relative to the root.
        .current_dir(envoy::workspace_dir())
        .arg("--config-path")
        .arg(configuration)
        .arg("--disable-hot-restart")
        .args(["--concurrency", "2"])
        .args(["--log-level", "warning", "--component-log-level", "wasm:info"])
        .args(["--log-format", "[%l] %v"]);
    command
}

/// A program that Cargo built beside this one.
fn sibling(name: &str) -> Result<Command, String> {
    let this = env::current_exe().map_err(|error| format!("cannot find {name}: {error}"))?;
    let program = this.with_file_name(name);
    if !program.is_file() {
        let missing = program.display();
        return Err(format!("{missing} is missing: run `cargo build -p wasm-tests --bins`"));
    }
    Ok(process::command(program))
}

/// Waits until every service takes requests, then says what to do with them. It does not return: a
/// service that never gets there ends, or is told about by its log.
async fn welcome_when_ready(ports: &Ports) -> Infallible {
    for port in [Port::Authgear, Port::Resolver, Port::App] {
        while TcpStream::connect(local(ports[port])).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    while !envoy::is_ready(local(ports[Port::Admin])).await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("{}", welcome(ports));
    std::future::pending().await
}

fn welcome(ports: &Ports) -> String {
    let origin = public_origin(ports);
    format!(
        "
All is up. Open {origin}/ in a browser, log in as one of the demo users, then go to
{origin}/app to see the headers that the app receives.

  without a session; a forged identity header does not arrive:
    curl -H 'x-authgear-user-id: forged' {origin}/app
  as alice, with an access token:
    curl -H \"Authorization: Bearer $(curl -s -d 'user=alice&kind=jwt' {origin}/stand-in/token)\" {origin}/app
  what the filter counted:
    curl -s 'http://localhost:{admin}/stats?filter=wasmcustom'

Ctrl-C stops everything.
",
        admin = ports[Port::Admin],
    )
}

fn public_origin(ports: &Ports) -> String {
    format!("http://localhost:{}", ports[Port::Proxy])
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
