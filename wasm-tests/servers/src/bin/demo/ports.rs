//! The demos' flags, which choose a demo and its ports, and the check that the ports are free.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Index;

use clap::builder::RangedI64ValueParser;
use clap::{Args, Parser};

/// An auth server, an echo app, and Envoy before them, until Ctrl-C.
#[derive(Debug, Parser)]
pub(crate) enum Demo {
    /// With a stand-in for Authgear: `make run`
    Authgear(AuthgearPorts),
    /// With a real Auth-O-Tron: `make run-auth-o-tron`
    AuthOTron(AuthOTronPorts),
}

// The defaults are the ports in the demos' Envoy configurations.
#[derive(Debug, Args)]
pub(crate) struct AuthgearPorts {
    #[command(flatten)]
    common: CommonPorts,
    /// Authgear's main server
    #[arg(long, env = "AUTHGEAR_PORT", value_name = "PORT", default_value_t = 3000, value_parser = port())]
    authgear_port: u16,
    /// Authgear's resolver
    #[arg(long, env = "RESOLVER_PORT", value_name = "PORT", default_value_t = 3001, value_parser = port())]
    resolver_port: u16,
}

#[derive(Debug, Args)]
pub(crate) struct AuthOTronPorts {
    #[command(flatten)]
    common: CommonPorts,
    /// Auth-O-Tron
    #[arg(long, env = "AUTH_O_TRON_PORT", value_name = "PORT", default_value_t = 8090, value_parser = port())]
    auth_o_tron_port: u16,
}

/// The ports that both demos have.
#[derive(Debug, Args)]
struct CommonPorts {
    /// Envoy: what a browser opens
    #[arg(long, env = "PROXY_PORT", value_name = "PORT", default_value_t = 8080, value_parser = port())]
    proxy_port: u16,
    /// The app
    #[arg(long, env = "APP_PORT", value_name = "PORT", default_value_t = 8000, value_parser = port())]
    app_port: u16,
    /// Envoy's admin pages
    #[arg(long, env = "ADMIN_PORT", value_name = "PORT", default_value_t = 9901, value_parser = port())]
    admin_port: u16,
}

/// 0 would mean any free port, which nobody could find.
fn port() -> RangedI64ValueParser<u16> {
    RangedI64ValueParser::new().range(1..)
}

/// Who listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    /// Envoy: what a person opens.
    Proxy,
    /// The stand-in's main server.
    Authgear,
    /// The stand-in's resolver.
    Resolver,
    /// Auth-O-Tron.
    AuthOTron,
    /// The echo app.
    App,
    /// Envoy's admin pages.
    Admin,
}

impl Port {
    /// The variable that chooses it, for `make` and in the environment.
    fn variable(self) -> &'static str {
        match self {
            Self::Proxy => "PROXY_PORT",
            Self::Authgear => "AUTHGEAR_PORT",
            Self::Resolver => "RESOLVER_PORT",
            Self::AuthOTron => "AUTH_O_TRON_PORT",
            Self::App => "APP_PORT",
            Self::Admin => "ADMIN_PORT",
        }
    }

    fn owner(self) -> &'static str {
        match self {
            Self::Proxy => "Envoy",
            Self::Authgear => "Authgear's main server",
            Self::Resolver => "Authgear's resolver",
            Self::AuthOTron => "Auth-O-Tron",
            Self::App => "the app",
            Self::Admin => "Envoy's admin pages",
        }
    }
}

/// A demo's ports, no two the same.
#[derive(Debug)]
pub(crate) struct Ports(Vec<(Port, u16)>);

impl Ports {
    /// The ports of this demo.
    ///
    /// # Errors
    /// If two are the same.
    pub(crate) fn of(demo: &Demo) -> Result<Self, String> {
        let (common, own) = match demo {
            Demo::Authgear(ports) => (
                &ports.common,
                vec![(Port::Authgear, ports.authgear_port), (Port::Resolver, ports.resolver_port)],
            ),
            Demo::AuthOTron(ports) => (&ports.common, vec![(Port::AuthOTron, ports.auth_o_tron_port)]),
        };
        let mut ports = vec![(Port::Proxy, common.proxy_port)];
        ports.extend(own);
        ports.extend([(Port::App, common.app_port), (Port::Admin, common.admin_port)]);
        for (index, (one, number)) in ports.iter().enumerate() {
            if let Some((other, _)) = ports[index + 1..].iter().find(|(_, other)| other == number) {
                return Err(format!("{} and {} are both {number}", one.variable(), other.variable()));
            }
        }
        Ok(Self(ports))
    }

    /// Checks that every port is free now. If not, the error says how to choose others for this `make` target.
    pub(crate) fn check_free(&self, target: &str) -> Result<(), String> {
        let complaints = self.0.iter().filter_map(|&(port, number)| {
            let error = TcpListener::bind((Ipv4Addr::LOCALHOST, number)).err()?;
            Some(complain(port, number, &error, target))
        });
        let complaints: Vec<String> = complaints.collect();
        if complaints.is_empty() { Ok(()) } else { Err(complaints.join("\n")) }
    }
}

impl Index<Port> for Ports {
    type Output = u16;

    /// # Panics
    /// If the demo does not use this port.
    fn index(&self, port: Port) -> &u16 {
        let found = self.0.iter().find(|(known, _)| *known == port);
        &found.unwrap_or_else(|| panic!("this demo has no {port:?}")).1
    }
}

fn complain(port: Port, number: u16, error: &io::Error, target: &str) -> String {
    let problem = if error.kind() == io::ErrorKind::AddrInUse {
        "is taken".to_owned()
    } else {
        format!("cannot be used ({error})")
    };
    let (owner, variable) = (port.owner(), port.variable());
    format!("port {number}, for {owner}, {problem}; choose another: make {target} {variable}=…")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(arguments: &[&str]) -> String {
        match servers::cli::try_parse::<Demo>(["demo"].iter().chain(arguments), |_| false) {
            Ok(demo) => Ports::of(&demo).expect_err("two are the same"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_is_no_port_is_refused_by_the_name_of_its_flag() {
        for (arguments, part) in [
            (&["authgear", "--app-port", "0"][..], "'0' for '--app-port <PORT>'"),
            (&["authgear", "--app-port", "70000"], "'70000' for '--app-port <PORT>'"),
            (&["authgear", "--app-port"], "'--app-port <PORT>'"),
            (&["authgear", "--port", "1"], "'--port'"),
            (&["authgear", "--auth-o-tron-port", "1"], "'--auth-o-tron-port'"),
            (&["authgear", "--proxy-port", "3001"], "PROXY_PORT and RESOLVER_PORT are both 3001"),
            (&["auth-o-tron", "--app-port", "9901"], "APP_PORT and ADMIN_PORT are both 9901"),
        ] {
            let refusal = refusal(arguments);
            assert!(refusal.contains(part), "{arguments:?}: {refusal}");
        }
    }
}
