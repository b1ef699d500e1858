//! The stand-in for Authgear as a program. It is a test double, not for real use.

use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;

use clap::{ArgAction, Parser};
use servers::authgear::{Authgear, Options};
use servers::cli;

/// A stand-in for Authgear, for tests and demos. Anyone can log in as anyone.
#[derive(Debug, Parser)]
struct Flags {
    /// The address of both servers
    #[arg(long, env = "STAND_IN_LISTEN", default_value_t = Ipv4Addr::LOCALHOST.into())]
    listen: IpAddr,
    /// The port of the main server: login and /oauth2/*
    #[arg(long, env = "STAND_IN_MAIN_PORT", default_value_t = 3000)]
    main_port: u16,
    /// The port of the resolver
    #[arg(long, env = "STAND_IN_RESOLVER_PORT", default_value_t = 3001)]
    resolver_port: u16,
    /// The scheme and host that browsers see
    #[arg(long, env = "STAND_IN_PUBLIC_ORIGIN", default_value = "http://localhost:8080")]
    public_origin: String,
    /// A prefix for the names of its cookies
    #[arg(long, env = "STAND_IN_COOKIE_PREFIX", default_value = "")]
    cookie_prefix: String,
    /// The URL of the app, for the home page's link
    #[arg(long, env = "STAND_IN_APP_PATH", default_value = "/app")]
    app_path: String,
    /// Whether to believe X-Forwarded-Host and X-Forwarded-Proto
    #[arg(long, env = "STAND_IN_TRUST_PROXY", action = ArgAction::Set, default_value_t = true)]
    trust_proxy: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let authgear = match Authgear::start(options(cli::parse())).await {
        Ok(authgear) => authgear,
        Err(error) => {
            eprintln!("stand-in-authgear: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("stand-in Authgear, a test double: anyone can log in as anyone");
    println!("main server on {}, as {}", authgear.main_address(), authgear.public_origin());
    println!("resolver on {}", authgear.resolver_address());
    println!("a token: curl -d 'user=alice&kind=jwt' http://{}/stand-in/token", authgear.main_address());
    std::future::pending().await
}

fn options(flags: Flags) -> Options {
    Options {
        main: (flags.listen, flags.main_port).into(),
        resolver: (flags.listen, flags.resolver_port).into(),
        public_origin: Some(flags.public_origin),
        cookie_prefix: flags.cookie_prefix,
        app_path: flags.app_path,
        trust_proxy: flags.trust_proxy,
        log: true,
        ..Options::default()
    }
}
