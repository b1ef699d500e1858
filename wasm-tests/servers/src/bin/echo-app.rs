//! The echo app as a program.

use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;

use clap::Parser;
use servers::cli;
use servers::echo::{Echo, Options};

/// Answers every request with the request itself.
#[derive(Debug, Parser)]
struct Flags {
    /// The address to listen on
    #[arg(long, env = "ECHO_LISTEN", default_value_t = Ipv4Addr::LOCALHOST.into())]
    listen: IpAddr,
    /// The port to listen on
    #[arg(long, env = "ECHO_PORT", default_value_t = 8000)]
    port: u16,
    /// Show the demo's console, whose script and data the demo serves under /demo/
    #[arg(long)]
    console: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Flags { listen, port, console: is_console } = cli::parse();
    match Echo::start_on((listen, port).into(), Options { log: true, is_console }).await {
        Ok(echo) => {
            println!("echo app on {}", echo.address());
            std::future::pending().await
        }
        Err(error) => {
            eprintln!("echo-app: {error}");
            ExitCode::FAILURE
        }
    }
}
