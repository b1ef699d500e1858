//! The ports of a demo: their defaults, how they are changed, and whether they are free.

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
    /// Auth-O-Tron.
    AuthOTron,
    /// The echo app.
    App,
    /// Envoy's admin pages.
    Admin,
}

impl Port {
    /// How many there are.
    const COUNT: usize = Self::Admin as usize + 1;

    /// The variable of `make` and of the environment.
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

    /// `--proxy-port` for `PROXY_PORT`.
    fn flag(self) -> String {
        format!("--{}", self.variable().to_lowercase().replace('_', "-"))
    }

    /// As in the demos' Envoy configurations.
    fn default(self) -> u16 {
        match self {
            Self::Proxy => 8080,
            Self::Authgear => 3000,
            Self::Resolver => 3001,
            Self::AuthOTron => 8090,
            Self::App => 8000,
            Self::Admin => 9901,
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

/// One port for each that a demo uses, no two the same.
#[derive(Debug)]
pub(crate) struct Ports {
    used: &'static [Port],
    /// By [`Port`]; 0 for those that are not used.
    numbers: [u16; Port::COUNT],
}

impl Ports {
    /// A flag wins over the environment, and both over the default.
    pub(crate) fn new(
        used: &'static [Port],
        arguments: &[String],
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let mut ports = Self { used, numbers: [0; Port::COUNT] };
        for &port in used {
            ports.numbers[port as usize] = port.default();
            // make hands an unset variable on as an empty one.
            let chosen = environment(port.variable()).filter(|value| !value.is_empty());
            if let Some(value) = chosen {
                ports.numbers[port as usize] = parse(port.variable(), &value)?;
            }
        }
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let known = used.iter().copied().find(|port| port.flag() == *argument);
            let port = known.ok_or_else(|| format!("unknown option {argument}\n{}", usage(used)))?;
            let value = arguments.next();
            let value = value.ok_or_else(|| format!("{argument} needs a port\n{}", usage(used)))?;
            ports.numbers[port as usize] = parse(argument, value)?;
        }
        ports.check_distinct()?;
        Ok(ports)
    }

    /// Whether every port can be listened on now; where not, says how this `make` target gets others.
    pub(crate) fn check_free(&self, target: &str) -> Result<(), String> {
        let complaints: Vec<String> = self
            .used
            .iter()
            .filter_map(|&port| {
                let error = TcpListener::bind((Ipv4Addr::LOCALHOST, self[port])).err()?;
                Some(self.complain(port, &error, target))
            })
            .collect();
        if complaints.is_empty() { Ok(()) } else { Err(complaints.join("\n")) }
    }

    fn complain(&self, port: Port, error: &io::Error, target: &str) -> String {
        let (number, owner, variable) = (self[port], port.owner(), port.variable());
        let problem = if error.kind() == io::ErrorKind::AddrInUse {
            "is taken".to_owned()
        } else {
            format!("cannot be used ({error})")
        };
        format!("port {number}, for {owner}, {problem}; choose another: make {target} {variable}=…")
    }

    fn check_distinct(&self) -> Result<(), String> {
        for (index, &one) in self.used.iter().enumerate() {
            for &other in &self.used[index + 1..] {
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
        &self.numbers[port as usize]
    }
}

/// How the ports are chosen.
pub(crate) fn usage(used: &[Port]) -> String {
    let mut usage = "usage: demo [authgear | auth-o-tron] [option port]…\n".to_owned();
    for port in used {
        let line = format!(
            "\n  {:<18} or {:<16} {}, for {}",
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

    const USED: &[Port] = &[Port::Proxy, Port::Resolver, Port::App, Port::Admin];

    fn ports(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Ports, String> {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        Ports::new(USED, &arguments, |name| {
            let found = environment.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_flag_wins_over_the_environment_and_both_over_the_default() {
        let environment = [("APP_PORT", "1"), ("ADMIN_PORT", "2"), ("PROXY_PORT", "")];
        let ports = ports(&["--app-port", "3"], &environment).unwrap();
        assert_eq!(USED.iter().map(|port| ports[*port]).collect::<Vec<_>>(), [8080, 3001, 3, 2]);
    }

    #[test]
    fn what_is_no_port_is_refused_by_name() {
        for (arguments, environment, part) in [
            (&["--app-port", "0"][..], &[][..], "--app-port: \"0\""),
            (&["--app-port"], &[], "--app-port needs"),
            (&["--port", "1"], &[], "unknown option --port"),
            (&["--auth-o-tron-port", "1"], &[], "unknown option --auth-o-tron-port"),
            (&[], &[("PROXY_PORT", "70000")], "PROXY_PORT: \"70000\""),
            (&[], &[("PROXY_PORT", "3001")], "PROXY_PORT and RESOLVER_PORT"),
        ] {
            let error = ports(arguments, environment).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
