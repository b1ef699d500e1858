//! The echo app as a program.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use servers::echo::Echo;
use servers::flags::{Flag, Flags};

const FLAGS: [Flag; 2] = [
    Flag { name: "listen", about: "the address (127.0.0.1)" },
    Flag { name: "port", about: "the port (8000)" },
];

#[tokio::main]
async fn main() -> ExitCode {
    let address = match address() {
        Ok(address) => address,
        Err(message) => return failed(&message),
    };
    match Echo::start_on(address, true).await {
        Ok(echo) => {
            println!("echo app on {}", echo.address());
            std::future::pending().await
        }
        Err(error) => failed(&error.to_string()),
    }
}

fn address() -> Result<SocketAddr, String> {
    let flags = Flags::parse(&FLAGS, "ECHO", std::env::args().skip(1), |name| std::env::var(name).ok())?;
    Ok((flags.value("listen", IpAddr::from(Ipv4Addr::LOCALHOST))?, flags.value("port", 8000)?).into())
}

fn failed(message: &str) -> ExitCode {
    eprintln!("echo-app: {message}");
    ExitCode::FAILURE
}
