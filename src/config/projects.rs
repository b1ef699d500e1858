//! The projects of a configuration, and which of them a request belongs to by its host. If `authgear` is not a list,
//! there is only one, usually without `hosts`; then hosts are ignored.

use std::fmt;

use super::{Config, ConfigError};
use crate::http::authority::Authority;
use crate::rules::HostPattern;

/// The projects of a configuration, at least one.
#[derive(Debug, Clone)]
pub struct Projects {
    configs: Vec<Config>,
    hosts: Hosts,
}

/// The project of each host.
#[derive(Debug, Clone)]
pub struct Hosts {
    /// Each pattern, with the index of its project: a name before all wildcards that cover it, a longer wildcard
    /// before a shorter one.
    patterns: Vec<(HostPattern, usize)>,
    /// The project of all other hosts.
    others: Option<usize>,
}

impl Projects {
    /// Creates the projects with their hosts. At most one may have none.
    pub(super) fn new(projects: impl IntoIterator<Item = (Config, Vec<HostPattern>)>) -> Self {
        let (mut configs, mut patterns, mut others) = (Vec::new(), Vec::new(), None);
        for (number, (config, hosts)) in projects.into_iter().enumerate() {
            configs.push(config);
            if hosts.is_empty() {
                others = Some(number);
            }
            patterns.extend(hosts.into_iter().map(|host| (host, number)));
        }
        patterns.sort_by_key(|(host, _)| match host {
            HostPattern::Name(_) | HostPattern::V6(_) => 0,
            HostPattern::Below(ending) => usize::MAX.saturating_sub(ending.len()),
        });
        Self { configs, hosts: Hosts { patterns, others } }
    }

    /// Returns the configuration if a proxy supports it. APISIX cannot rewrite paths.
    ///
    /// # Errors
    ///
    /// Fails with the field that the proxy does not support.
    pub fn on_proxy(self, rewrites_paths: bool) -> Result<Self, ConfigError> {
        let configs = self.configs.into_iter().map(|config| config.on_proxy(rewrites_paths));
        Ok(Self { configs: configs.collect::<Result<_, _>>()?, hosts: self.hosts })
    }

    /// Returns the settings of each project.
    #[must_use]
    pub fn configs(&self) -> &[Config] {
        &self.configs
    }

    /// Returns the settings and the hosts separately.
    #[must_use]
    pub fn into_parts(self) -> (Vec<Config>, Hosts) {
        (self.configs, self.hosts)
    }

    /// Returns the least important level of log lines that are written.
    #[must_use]
    pub fn log_level(&self) -> log::LevelFilter {
        self.configs.first().map_or(super::DEFAULT_LOG_LEVEL, |config| config.log_level)
    }

    /// Returns whether the access log may show the outcome of each request.
    #[must_use]
    pub fn access_log(&self) -> bool {
        self.configs.first().is_some_and(|config| config.access_log)
    }
}

impl Hosts {
    /// Returns whether some requests belong to no project.
    #[must_use]
    pub const fn leave_some_out(&self) -> bool {
        !self.patterns.is_empty() || self.others.is_none()
    }

    /// Returns the index of the project that a request to this host (`Host` or `:authority`, as sent) belongs to;
    /// `None` if it belongs to none, or if programs could disagree about the host. Case, port and a final dot do not
    /// matter.
    #[must_use]
    pub fn project(&self, authority: &[u8]) -> Option<usize> {
        if self.patterns.is_empty() {
            return self.others;
        }
        let host = Authority::parse(authority).ok()?.host;
        let found = self.patterns.iter().find(|(pattern, _)| pattern.is_met_by(host));
        found.map(|(_, number)| *number).or(self.others)
    }
}

/// Describes it in one line for the log.
impl fmt::Display for Projects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, config) in self.configs.iter().enumerate() {
            if number > 0 {
                f.write_str("; ")?;
            }
            config.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Projects;

    fn projects(hosts: &[&str]) -> Projects {
        let projects = hosts.iter().enumerate().map(|(number, hosts)| {
            let hosts = if hosts.is_empty() { String::new() } else { format!(r#", "hosts": [{hosts}]"#) };
            format!(r#"{{"endpoint": "https://{number}.example", "upstream": "a"{hosts}}}"#)
        });
        let projects: Vec<_> = projects.collect();
        Projects::parse(format!(r#"{{"authgear": [{}]}}"#, projects.join(", ")).as_bytes()).unwrap()
    }

    #[test]
    fn an_exact_host_comes_before_a_wildcard_and_a_longer_wildcard_before_a_shorter() {
        let all = [
            r#""*.example.com""#,
            r#""*.a.example.com", "b.example.com""#,
            r#""A.a.Example.com.", "[2001:db8::1]", "192.0.2.1""#,
            "",
        ];
        #[rustfmt::skip]
        let cases: &[(&str, [Option<usize>; 2])] = &[
            // With a default, and without.
            ("x.example.com", [Some(0), Some(0)]),
            ("x.y.example.com:8443", [Some(0), Some(0)]),
            ("b.example.com", [Some(1), Some(1)]),
            ("B.EXAMPLE.COM.:1", [Some(1), Some(1)]),
            ("b.a.example.com", [Some(1), Some(1)]),
            ("a.a.example.com", [Some(2), Some(2)]),
            ("x.a.a.example.com", [Some(1), Some(1)]),
            ("a.example.com", [Some(0), Some(0)]),
            ("[2001:DB8:0::1]:80", [Some(2), Some(2)]),
            ("192.0.2.1", [Some(2), Some(2)]),
            ("example.com", [Some(3), None]),
            ("a.example.com.evil", [Some(3), None]),
            ("[2001:db8::2]", [Some(3), None]),
            // An unclear host belongs to none.
            ("", [None, None]),
            ("b.example.com,x", [None, None]),
            ("evil@b.example.com", [None, None]),
            ("b.example.com:1:2", [None, None]),
            ("b.example.com/", [None, None]),
            ("b..example.com", [None, None]),
        ];
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let of = |with_default: bool| {
                let mut hosts: Vec<_> = order.iter().map(|number| all[*number]).collect();
                if with_default {
                    hosts.push("");
                }
                projects(&hosts)
            };
            for (host, expected) in cases {
                for (projects, expected) in [(of(true), expected[0]), (of(false), expected[1])] {
                    let found = projects.hosts.project(host.as_bytes());
                    let found = found.map(|place| order.get(place).copied().unwrap_or(3));
                    assert_eq!(found, expected, "{host} {order:?}");
                }
            }
        }
    }

    #[test]
    fn where_no_project_has_hosts_none_is_looked_at() {
        let projects = projects(&[""]);
        for host in ["a", "", "a,b", "evil@a"] {
            assert_eq!(projects.hosts.project(host.as_bytes()), Some(0), "{host}");
        }
    }
}
