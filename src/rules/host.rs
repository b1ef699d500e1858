//! The hosts that a rule applies to.

use std::net::Ipv6Addr;

use crate::http::authority::{Host, is_host_name};

/// An entry of a rule's `hosts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPattern {
    /// This name, in lower case.
    Name(Vec<u8>),
    /// This address.
    V6(Ipv6Addr),
    /// Every name with this suffix, in lower case and with its first dot: `.example.com` for `*.example.com`. At
    /// least one label must precede it.
    Below(Vec<u8>),
}

impl HostPattern {
    /// Parses `example.com`, `*.example.com`, `192.0.2.1`, `2001:db8::1` or `[2001:db8::1]`.
    ///
    /// # Errors
    ///
    /// Fails with what is wrong and what would be right.
    pub fn parse(text: &str) -> Result<Self, HostPatternError> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse() {
            return Ok(Self::V6(address));
        }
        let problem = |error: fn(String) -> HostPatternError| Err(error(text.escape_default().to_string()));
        let name = text.strip_prefix("*.").unwrap_or(text);
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        if text == "*" {
            return problem(HostPatternError::Every);
        }
        if name.contains('*') {
            return problem(HostPatternError::Wildcard);
        }
        if name.contains(':') {
            return problem(HostPatternError::Port);
        }
        if !name.is_ascii() {
            return problem(HostPatternError::NotAscii);
        }
        if !is_host_name(name.as_bytes()) {
            return problem(HostPatternError::NoHost);
        }
        let is_wildcard = text.starts_with('*');
        Ok(if is_wildcard {
            Self::Below(format!(".{name}").into_bytes())
        } else {
            Self::Name(name.into_bytes())
        })
    }

    /// Returns whether the pattern covers a request's host.
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

/// Why a text is not a [`HostPattern`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostPatternError {
    /// `*` alone.
    #[error("`{0}` means every host; leave `hosts` out for that")]
    Every(String),
    /// A `*` outside the first label, or beside other characters in it.
    #[error("`{0}` may have a `*` only as its first label, as in *.example.com")]
    Wildcard(String),
    /// A colon.
    #[error("`{0}` has a port or a scheme; give the host alone, ports make no difference")]
    Port(String),
    /// Characters beyond ASCII.
    #[error("`{0}` is not as hosts are sent; write it in its ASCII form (xn--…)")]
    NotAscii(String),
    /// Not a host at all.
    #[error("`{0}` is not a host; right would be example.com, *.example.com or [2001:db8::1]")]
    NoHost(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::authority::Authority;

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
    fn what_could_never_be_a_requests_host_is_refused() {
        for (text, expected) in [
            ("", "not a host"),
            ("*", "leave `hosts` out"),
            ("*.*.com", "first label"),
            ("a.*.com", "first label"),
            ("*a.com", "first label"),
            ("*.", "not a host"),
            ("example.com:8080", "port"),
            ("https://example.com", "scheme"),
            ("example.com/a", "not a host"),
            ("a b", "not a host"),
            (".example.com", "not a host"),
            ("münchen.example", "ASCII"),
        ] {
            let problem = HostPattern::parse(text).unwrap_err().to_string();
            assert!(problem.contains(expected), "{text:?}: {problem}");
        }
    }
}
