//! The host that a request is for, taken apart; and the hosts that a rule is for.

use std::net::Ipv6Addr;

/// The longest name that DNS knows (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 253;

/// `Host` or `:authority`: a host, and perhaps a port (RFC 9110 section 7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authority<'a> {
    /// The host.
    pub host: Host<'a>,
    /// The port, where there is one.
    pub port: Option<u16>,
}

/// A host.
#[derive(Debug, Clone, Copy, Eq)]
pub enum Host<'a> {
    /// A name or an IPv4 address, as sent but for a final dot. Compared without regard to case.
    Name(&'a [u8]),
    /// An IPv6 address.
    V6(Ipv6Addr),
}

impl PartialEq for Host<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(one), Self::Name(other)) => one.eq_ignore_ascii_case(other),
            (Self::V6(one), Self::V6(other)) => one == other,
            (Self::Name(_), Self::V6(_)) | (Self::V6(_), Self::Name(_)) => false,
        }
    }
}

impl<'a> Authority<'a> {
    /// Takes it apart; none where programs could disagree about the host: user names, other characters than
    /// those of names, empty labels, several ports.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let (host, port) = if let Some(rest) = text.strip_prefix(b"[") {
            let end = rest.iter().position(|&byte| byte == b']')?;
            let (address, after) = rest.split_at_checked(end)?;
            let host = Host::V6(std::str::from_utf8(address).ok()?.parse().ok()?);
            (host, after.strip_prefix(b"]")?)
        } else {
            let end = text.iter().position(|&byte| byte == b':').unwrap_or(text.len());
            let (name, port) = text.split_at_checked(end)?;
            let name = name.strip_suffix(b".").unwrap_or(name);
            if !is_name(name) {
                return None;
            }
            (Host::Name(name), port)
        };
        Some(Self { host, port: parse_port(port)? })
    }
}

/// One entry of a rule's `hosts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPattern {
    /// This name, in lower case.
    Name(Vec<u8>),
    /// This address.
    V6(Ipv6Addr),
    /// Every name that ends so, in lower case, with its first dot: `.example.com` of `*.example.com`. Any
    /// number of labels may stand before it, but not none.
    Below(Vec<u8>),
}

impl HostPattern {
    /// Reads `example.com`, `*.example.com`, `192.0.2.1`, `2001:db8::1` or `[2001:db8::1]`.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it, and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse() {
            return Ok(Self::V6(address));
        }
        let problem = |what: &str| format!("`{}` {what}", text.escape_default());
        let name = text.strip_prefix("*.").unwrap_or(text);
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        if text == "*" {
            return Err(problem("means every host; leave `hosts` out for that"));
        }
        if name.contains('*') {
            return Err(problem("may have a `*` only as its first label, as in *.example.com"));
        }
        if name.contains(':') {
            return Err(problem("has a port or a scheme; give the host alone, ports make no difference"));
        }
        if !name.is_ascii() {
            return Err(problem("is not as hosts are sent; write it in its ASCII form (xn--…)"));
        }
        if !is_name(name.as_bytes()) {
            return Err(problem("is no host; right would be example.com, *.example.com or [2001:db8::1]"));
        }
        let is_wildcard = text.starts_with('*');
        Ok(if is_wildcard {
            Self::Below(format!(".{name}").into_bytes())
        } else {
            Self::Name(name.into_bytes())
        })
    }

    /// Whether a request's host is one of these.
    #[must_use]
    pub fn is_met_by(&self, host: Host<'_>) -> bool {
        match (self, host) {
            (Self::Name(expected), Host::Name(name)) => name.eq_ignore_ascii_case(expected),
            (Self::V6(expected), Host::V6(address)) => *expected == address,
            (Self::Below(suffix), Host::Name(name)) => {
                let split = name.len().checked_sub(suffix.len()).and_then(|at| name.split_at_checked(at));
                split.is_some_and(|(label, end)| !label.is_empty() && end.eq_ignore_ascii_case(suffix))
            }
            (Self::Name(_) | Self::Below(_), Host::V6(_)) | (Self::V6(_), Host::Name(_)) => false,
        }
    }
}

fn is_name(name: &[u8]) -> bool {
    name.len() <= MAX_NAME
        && name.split(|&byte| byte == b'.').all(|label| {
            !label.is_empty()
                && label.iter().all(|&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        })
}

/// What follows a host: nothing, a colon, or a colon and a port. None where it is something else.
fn parse_port(text: &[u8]) -> Option<Option<u16>> {
    match text {
        [] | [b':'] => Some(None),
        [b':', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => {
            std::str::from_utf8(digits).ok()?.parse().ok().map(Some)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_port_and_a_final_dot_of_a_host_make_no_difference() {
        #[rustfmt::skip]
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("example.com",
             &["example.com", "EXAMPLE.com", "example.com:8080", "example.com.", "Example.Com.:80", "example.com:"],
             &["a.example.com", "example.com.evil", "xexample.com", "example", "[::1]"]),
            ("Example.COM.", &["example.com", "example.com."], &["example.org"]),
            ("*.example.com",
             &["a.example.com", "A.B.Example.com:1", "a.example.com."],
             &["example.com", "aexample.com", "example.com.evil", "com", "example.com.:80"]),
            ("192.0.2.1", &["192.0.2.1", "192.0.2.1:80"], &["192.0.2.10"]),
            ("[2001:DB8::1]", &["[2001:db8::1]", "[2001:db8:0:0::1]:443"], &["[2001:db8::2]", "2001"]),
            ("::1", &["[::1]", "[0:0:0:0:0:0:0:1]:1"], &["[::2]", "localhost"]),
            ("a_b-c", &["a_b-c", "A_B-C:9"], &["a-b-c"]),
        ];
        for (pattern, met, not_met) in cases {
            let pattern = HostPattern::parse(pattern).unwrap();
            let is_met = |host: &str| pattern.is_met_by(Authority::parse(host.as_bytes()).unwrap().host);
            assert!(met.iter().all(|host| is_met(host)), "{pattern:?}");
            assert!(!not_met.iter().any(|host| is_met(host)), "{pattern:?}");
        }
    }

    #[test]
    fn a_host_that_programs_could_read_differently_is_none() {
        let long = "a".repeat(254);
        let hosts: &[&[u8]] = &[
            b"",
            b".",
            b"a..",
            b"a..b",
            b".a",
            b"a b",
            b"user@a",
            b"a@b",
            b"a,b",
            b"a/b",
            b"a\\b",
            b"a?b",
            b"a#b",
            b"a%2eb",
            b"a\0",
            b"a\xff",
            b"a:b",
            b"a:1:2",
            b"a:+1",
            b"a:65536",
            b"::1",
            b"[::1",
            b"[::1]x",
            b"[::1].",
            b"[fe80::1%25eth0]",
            b"[a]",
            long.as_bytes(),
        ];
        for host in hosts {
            assert_eq!(Authority::parse(host), None, "{}", host.escape_ascii());
        }
    }

    #[test]
    fn an_authority_keeps_its_port() {
        let port = |text: &str| Authority::parse(text.as_bytes()).unwrap().port;
        assert_eq!(port("a:8080"), Some(8080));
        assert_eq!(port("[::1]:8080"), Some(8080));
        assert_eq!(port("a"), None);
    }

    #[test]
    fn what_could_never_be_a_requests_host_is_refused() {
        for (text, expected) in [
            ("", "no host"),
            ("*", "leave `hosts` out"),
            ("*.*.com", "first label"),
            ("a.*.com", "first label"),
            ("*a.com", "first label"),
            ("*.", "no host"),
            ("example.com:8080", "port"),
            ("https://example.com", "scheme"),
            ("example.com/a", "no host"),
            ("a b", "no host"),
            (".example.com", "no host"),
            ("münchen.example", "ASCII"),
        ] {
            let problem = HostPattern::parse(text).unwrap_err();
            assert!(problem.contains(expected), "{text:?}: {problem}");
        }
    }
}
