//! The stand-in Authgear as a program: a test double, never for anything real.

use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;

use servers::authgear::{Authgear, Options};
use servers::flags::{Flag, Flags};

const FLAGS: [Flag; 7] = [
    Flag { name: "listen", about: "the address of both servers (127.0.0.1)" },
    Flag { name: "main-port", about: "the main server's port: login and /oauth2/* (3000)" },
    Flag { name: "resolver-port", about: "the resolver's port (3001)" },
    Flag { name: "public-origin", about: "scheme://host[:port] as browsers see it (http://localhost:8080)" },
    Flag { name: "cookie-prefix", about: "put before the names of its cookies (nothing)" },
    Flag { name: "app-path", about: "where the link to the app leads (/app)" },
    Flag { name: "trust-proxy", about: "believe X-Forwarded-Host and -Proto: true or false (true)" },
];

#[tokio::main]
async fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(message) => return failed(&message),
    };
    let authgear = match Authgear::start(options).await {
        Ok(authgear) => authgear,
        Err(error) => return failed(&error.to_string()),
    };
    println!("stand-in Authgear, a test double: anyone can log in as anyone");
    println!("main server on {}, as {}", authgear.main_address(), authgear.public_origin());
    println!("resolver on {}", authgear.resolver_address());
    println!("a token: curl -d 'user=alice&kind=jwt' http://{}/stand-in/token", authgear.main_address());
    std::future::pending().await
}

fn options() -> Result<Options, String> {
    let flags = Flags::parse(&FLAGS, "STAND_IN", std::env::args().skip(1), |name| std::env::var(name).ok())?;
    let listen = flags.value("listen", IpAddr::from(Ipv4Addr::LOCALHOST))?;
    Ok(Options {
        main: (listen, flags.value("main-port", 3000)?).into(),
        resolver: (listen, flags.value("resolver-port", 3001)?).into(),
        public_origin: Some(flags.value("public-origin", "http://localhost:8080".to_owned())?),
        cookie_prefix: flags.value("cookie-prefix", String::new())?,
        app_path: flags.value("app-path", "/app".to_owned())?,
        trust_proxy: flags.value("trust-proxy", true)?,
        log: true,
        ..Options::default()
    })
}

fn failed(message: &str) -> ExitCode {
    eprintln!("stand-in-authgear: {message}");
    ExitCode::FAILURE
}
