//! The configuration: JSON → [`Config`], with defaults, and errors that name the field. What comes out cannot
//! be wrong; nothing else checks it again.

pub mod document;
mod raw;
pub mod rules;
pub mod url;

use std::fmt;
use std::time::Duration;

use self::raw::RawConfig;
use self::url::Url;
use crate::credential::CookieNames;

/// How long a call to the auth server may take where the configuration does not say.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(3);

/// The status of a denial while the auth server cannot answer, where the configuration does not say.
pub const DEFAULT_ERROR_STATUS: u16 = 503;

/// Where Authgear answers who a request is from, on its public origin.
pub const RESOLVER_PATH: &str = "/_resolver/resolve";

/// A configuration that can serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The Authgear project.
    pub authgear: Authgear,
    /// The limit of each call to the auth server: at least 1 ms, at most a day.
    pub timeout: Duration,
    /// What becomes of requests while the auth server cannot answer.
    pub on_error: OnError,
}

/// An Authgear project, and where to ask about its sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authgear {
    /// Its public origin. Its authority is the `Host` of every call, because Authgear tells projects apart by
    /// it; its scheme is the `X-Forwarded-Proto`.
    pub endpoint: Url,
    /// The resolver, as it is reached.
    pub resolver: Server,
    /// The cookies that the resolver reads.
    pub cookies: CookieNames,
}

/// A URL, and the host's name for the server that it is asked from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// What is asked for. Its scheme says how the server is spoken to.
    pub url: Url,
    /// An Envoy cluster, or `host:port` on APISIX.
    pub upstream: String,
}

/// What becomes of requests while the auth server cannot answer. Never applies to what a request itself caused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnError {
    /// Whether they are denied or let through.
    pub action: OnErrorAction,
    /// The status of a denial, 400 to 599.
    pub status: u16,
}

/// See [`OnError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnErrorAction {
    /// Answered with the status.
    Deny,
    /// Forwarded without identity headers.
    Allow,
}

/// Why a configuration is refused: the field by its path, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// `authgear.mode`; empty where the document as a whole is wrong.
    pub path: String,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl ConfigError {
    fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            write!(f, "the configuration: {}", self.problem)
        } else {
            write!(f, "{}: {}", self.path, self.problem)
        }
    }
}

/// One line for the log: what is served, and how.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Authgear { endpoint, resolver, .. } = &self.authgear;
        write!(f, "{} by asking {} (upstream `{}`)", endpoint.origin(), resolver.url, resolver.upstream)
    }
}

impl Config {
    /// Reads a plugin configuration, as the host hands it over: JSON text, or the encoding of a
    /// `google.protobuf.Struct`.
    ///
    /// # Errors
    ///
    /// Names the first field that is wrong, and what would be right.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        let document = document::read(bytes).map_err(|problem| ConfigError::new("", problem))?;
        RawConfig::read(document)?.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn parse(value: &Value) -> Result<Config, ConfigError> {
        Config::parse(value.to_string().as_bytes())
    }

    #[test]
    fn the_smallest_configuration_has_every_default() {
        let config = parse(&json!({"authgear": {
            "endpoint": "https://myapp.authgear.cloud", "upstream": "authgear", "mode": "resolver"
        }}))
        .unwrap();
        assert_eq!(config.authgear.endpoint.origin(), "https://myapp.authgear.cloud");
        assert_eq!(
            config.authgear.resolver.url.to_string(),
            "https://myapp.authgear.cloud/_resolver/resolve"
        );
        assert_eq!(config.authgear.resolver.upstream, "authgear");
        assert_eq!(config.authgear.cookies, CookieNames::new(""));
        assert_eq!(config.timeout, Duration::from_secs(3));
        assert_eq!(config.on_error, OnError { action: OnErrorAction::Deny, status: 503 });
    }

    #[test]
    fn every_field_is_read() {
        let config = parse(&json!({
            "authgear": {
                "endpoint": "https://accounts.example.com/",
                "upstream": "authgear",
                "mode": "resolver",
                "resolver_url": "http://authgear-resolver:3001/resolve",
                "resolver_upstream": "authgear-resolver",
                "cookie_prefix": "myapp_",
            },
            "timeout": "500ms",
            "on_error": {"action": "allow", "status": 500.0},
        }))
        .unwrap();
        assert_eq!(config.authgear.endpoint.authority(), "accounts.example.com");
        assert_eq!(config.authgear.resolver.url.to_string(), "http://authgear-resolver:3001/resolve");
        assert_eq!(config.authgear.resolver.upstream, "authgear-resolver");
        assert_eq!(config.authgear.cookies, CookieNames::new("myapp_"));
        assert_eq!(config.timeout, Duration::from_millis(500));
        assert_eq!(config.on_error, OnError { action: OnErrorAction::Allow, status: 500 });
    }

    /// The smallest configuration with one field, given by its path, set to something else.
    fn with(path: &str, value: Value) -> Value {
        let mut config =
            json!({"authgear": {"endpoint": "https://a.example", "upstream": "a", "mode": "resolver"}});
        let mut at = &mut config;
        for name in path.split('.') {
            at = &mut at[name];
        }
        *at = value;
        config
    }

    #[test]
    fn each_error_names_the_field_and_says_what_would_be_right() {
        #[rustfmt::skip]
        let cases = [
            ("authgear", Value::Null, "null"),
            ("authgear", json!("x"), "expected an object"),
            ("authgear", json!(["https://a.example", "a", "resolver"]), "expected an object"),
            ("authgear.endpoint", Value::Null, "null"),
            ("authgear.endpoint", json!("myapp.authgear.cloud"), "http"),
            ("authgear.endpoint", json!("https://a.example/path"), "path"),
            ("authgear.upstream", json!(""), "empty"),
            ("authgear.upstream", json!("a\nb"), "control"),
            ("authgear.upstream", json!(1), "expected a string"),
            ("authgear.mode", json!("resolve"), "`resolver`"),
            ("authgear.resolver_url", json!("/resolve"), "http"),
            ("authgear.resolver_upstream", json!(" "), "empty"),
            ("authgear.cookie_prefix", json!("a=b"), "cookie"),
            ("authgear.cookie_prefix", json!("a b"), "cookie"),
            ("authgear.endpont", json!("https://a.example"), "unknown field"),
            ("rules", json!([]), "unknown field"),
            ("timeout", json!("0s"), "1ms"),
            ("timeout", json!(3), "\"500ms\""),
            ("timeout", json!("3"), "\"500ms\""),
            ("timeout", json!("-3s"), "\"500ms\""),
            ("timeout", json!("99999999999999999999s"), "\"500ms\""),
            ("timeout", json!("5000h"), "24h"),
            ("timeout", Value::Null, "null"),
            ("on_error", json!("deny"), "expected an object"),
            ("on_error", json!([]), "expected an object"),
            ("on_error", Value::Null, "expected an object"),
            ("on_error.action", json!("open"), "`allow`"),
            ("on_error.status", json!(200), "400 to 599"),
            ("on_error.status", json!(600), "400 to 599"),
            ("on_error.status", json!(503.5), "whole"),
            ("on_error.status", json!("503"), "number"),
        ];
        for (path, value, expected) in cases {
            let error = parse(&with(path, value.clone())).unwrap_err();
            assert_eq!(error.path, path, "{value}: {error}");
            assert!(error.problem.contains(expected), "{value}: {error}");
        }
    }

    #[test]
    fn a_required_field_that_is_missing_is_named() {
        for (config, path) in [
            (json!({}), "authgear"),
            (json!({"authgear": {"upstream": "a", "mode": "resolver"}}), "authgear.endpoint"),
            (json!({"authgear": {"endpoint": "https://a.example", "mode": "resolver"}}), "authgear.upstream"),
        ] {
            let error = parse(&config).unwrap_err();
            assert_eq!(error.path, path, "{error}");
            assert!(error.problem.starts_with("missing"), "{error}");
        }
    }

    #[test]
    fn a_mode_that_cannot_be_had_yet_is_refused_and_not_replaced() {
        for mode in [json!("auto"), json!("local")] {
            let error = parse(&with("authgear.mode", mode)).unwrap_err();
            assert_eq!(error.path, "authgear.mode");
            assert!(error.problem.contains("`resolver`"), "{error}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for bytes in [b"".as_slice(), b"null", b"[]", b"1", b"\"authgear\"", b"{", b"\xff"] {
            let error = Config::parse(bytes).unwrap_err();
            assert_eq!(error.path, "", "{error}");
        }
    }
}
