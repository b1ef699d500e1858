//! The ports of the demo: their defaults, how they are changed, and whether they are free.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Index;

/// Who listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    /// Envoy: what a person opens.
    Proxy,
    /// The stand-in's main server.
    Authgear,
    /// The stand-in's resolver.
    Resolver,
    /// The echo app.
    App,
    /// Envoy's admin pages.
    Admin,
}

impl Port {
    /// In the order of [`Ports`].
    const ALL: [Self; 5] = [Self::Proxy, Self::Authgear, Self::Resolver, Self::App, Self::Admin];

    /// The variable of `make` and of the environment.
    fn variable(self) -> &'static str {
        match self {
            Self::Proxy => "PROXY_PORT",
            Self::Authgear => "AUTHGEAR_PORT",
            Self::Resolver => "RESOLVER_PORT",
            Self::App => "APP_PORT",
            Self::Admin => "ADMIN_PORT",
        }
    }

    /// `--proxy-port` for `PROXY_PORT`.
    fn flag(self) -> String {
        format!("--{}", self.variable().to_lowercase().replace('_', "-"))
    }

    /// As in `envoy.yaml`.
    fn default(self) -> u16 {
        match self {
            Self::Proxy => 8080,
            Self::Authgear => 3000,
            Self::Resolver => 3001,
            Self::App => 8000,
            Self::Admin => 9901,
        }
    }

    fn owner(self) -> &'static str {
        match self {
            Self::Proxy => "Envoy",
            Self::Authgear => "Authgear's main server",
            Self::Resolver => "Authgear's resolver",
            Self::App => "the app",
            Self::Admin => "Envoy's admin pages",
        }
    }
}

/// One port for each, no two the same.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ports([u16; Port::ALL.len()]);

impl Ports {
    /// A flag wins over the environment, and both over the default.
    pub(crate) fn new(
        arguments: &[String],
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let mut ports = Self(Port::ALL.map(Port::default));
        for port in Port::ALL {
            // make hands an unset variable on as an empty one.
            let chosen = environment(port.variable()).filter(|value| !value.is_empty());
            if let Some(value) = chosen {
                ports.0[port as usize] = parse(port.variable(), &value)?;
            }
        }
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let known = Port::ALL.into_iter().find(|port| port.flag() == *argument);
            let port = known.ok_or_else(|| format!("unknown option {argument}\n{}", usage()))?;
            let value = arguments.next();
            let value = value.ok_or_else(|| format!("{argument} needs a port\n{}", usage()))?;
            ports.0[port as usize] = parse(argument, value)?;
        }
        ports.check_distinct()?;
        Ok(ports)
    }

    /// Whether every port can be listened on now.
    pub(crate) fn check_free(&self) -> Result<(), String> {
        let complaints: Vec<String> = Port::ALL
            .into_iter()
            .filter_map(|port| {
                let error = TcpListener::bind((Ipv4Addr::LOCALHOST, self[port])).err()?;
                Some(self.complain(port, &error))
            })
            .collect();
        if complaints.is_empty() { Ok(()) } else { Err(complaints.join("\n")) }
    }

    fn complain(&self, port: Port, error: &io::Error) -> String {
        let (number, owner, variable) = (self[port], port.owner(), port.variable());
        let problem = if error.kind() == io::ErrorKind::AddrInUse {
            "is taken".to_owned()
        } else {
            format!("cannot be used ({error})")
        };
        format!("port {number}, for {owner}, {problem}; choose another: make run {variable}=…")
    }

    fn check_distinct(&self) -> Result<(), String> {
        for (index, one) in Port::ALL.into_iter().enumerate() {
            for other in Port::ALL.into_iter().skip(index + 1) {
                if self[one] == self[other] {
                    let (one_is, other_is) = (one.variable(), other.variable());
                    return Err(format!("{one_is} and {other_is} are both {}", self[one]));
                }
            }
        }
        Ok(())
    }
}

impl Index<Port> for Ports {
    type Output = u16;

    fn index(&self, port: Port) -> &u16 {
        &self.0[port as usize]
    }
}

/// How the ports are chosen.
pub(crate) fn usage() -> String {
    let mut usage = "usage: demo [option port]…\n".to_owned();
    for port in Port::ALL {
        let line = format!(
            "\n  {:<16} or {:<14} {}, for {}",
            port.flag(),
            port.variable(),
            port.default(),
            port.owner()
        );
        usage.push_str(&line);
    }
    usage
}

fn parse(name: &str, value: &str) -> Result<u16, String> {
    match value.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("{name}: {value:?} is no port (1 to 65535)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Ports, String> {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        Ports::new(&arguments, |name| {
            let found = environment.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_flag_wins_over_the_environment_and_both_over_the_default() {
        let environment = [("APP_PORT", "1"), ("ADMIN_PORT", "2"), ("PROXY_PORT", "")];
        let ports = ports(&["--app-port", "3"], &environment).unwrap();
        assert_eq!(ports, Ports([8080, 3000, 3001, 3, 2]));
    }

    #[test]
    fn what_is_no_port_is_refused_by_name() {
        for (arguments, environment, part) in [
            (&["--app-port", "0"][..], &[][..], "--app-port: \"0\""),
            (&["--app-port"], &[], "--app-port needs"),
            (&["--port", "1"], &[], "--port"),
            (&[], &[("PROXY_PORT", "70000")], "PROXY_PORT: \"70000\""),
            (&[], &[("PROXY_PORT", "3001")], "PROXY_PORT and RESOLVER_PORT"),
        ] {
            let error = ports(arguments, environment).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
