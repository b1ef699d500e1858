//! What was typed. Each field's type, bounds and default stand here; [`RawConfig::check`] makes of it what
//! cannot be wrong.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::url::Url;
use super::{
    Authgear, Config, ConfigError, DEFAULT_ERROR_STATUS, DEFAULT_TIMEOUT, OnError, OnErrorAction,
    RESOLVER_PATH, Server,
};
use crate::credential::CookieNames;

/// The longest duration that is accepted; a longer one is a slip of the pen.
pub(super) const MAX_SPAN: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    #[serde(default, deserialize_with = "present")]
    authgear: Option<Object<RawAuthgear>>,
    #[serde(default, deserialize_with = "present")]
    timeout: Option<Span>,
    #[serde(default)]
    on_error: Object<RawOnError>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAuthgear {
    #[serde(default, deserialize_with = "present")]
    endpoint: Option<Typed<Url>>,
    #[serde(default, deserialize_with = "present")]
    upstream: Option<Upstream>,
    #[serde(default)]
    mode: RawMode,
    #[serde(default, deserialize_with = "present")]
    resolver_url: Option<Typed<Url>>,
    #[serde(default, deserialize_with = "present")]
    resolver_upstream: Option<Upstream>,
    #[serde(default)]
    cookie_prefix: CookiePrefix,
}

#[derive(Deserialize, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum RawMode {
    #[default]
    Auto,
    Resolver,
    Local,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawOnError {
    #[serde(default)]
    action: RawAction,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "lowercase")]
enum RawAction {
    #[default]
    Deny,
    Allow,
}

impl RawConfig {
    pub(super) fn read(document: Value) -> Result<Self, ConfigError> {
        serde_path_to_error::deserialize::<_, Object<Self>>(document).map(|object| object.0).map_err(
            |error| {
                let path = error.path().to_string();
                let path = if path == "." { String::new() } else { path };
                ConfigError::new(path, error.into_inner().to_string())
            },
        )
    }

    pub(super) fn check(self) -> Result<Config, ConfigError> {
        let authgear = self
            .authgear
            .ok_or_else(|| missing("authgear", "give `authgear: {endpoint: https://…, upstream: …}`"))?
            .0
            .check()?;
        let timeout = self.timeout.map_or(DEFAULT_TIMEOUT, |span| span.0);
        if timeout.is_zero() {
            return Err(ConfigError::new("timeout", "a call needs some time: at least 1ms"));
        }
        let on_error = self.on_error.0;
        let action = match on_error.action {
            RawAction::Deny => OnErrorAction::Deny,
            RawAction::Allow => OnErrorAction::Allow,
        };
        Ok(Config { authgear, timeout, on_error: OnError { action, status: on_error.status.0 } })
    }
}

impl RawAuthgear {
    fn check(self) -> Result<Authgear, ConfigError> {
        let endpoint = self.endpoint.ok_or_else(|| {
            missing("authgear.endpoint", "give the project's public origin, as https://myapp.authgear.cloud")
        })?;
        let endpoint = endpoint.0;
        if endpoint.path() != "/" {
            return Err(ConfigError::new(
                "authgear.endpoint",
                format!("an origin has no path: `{}` would be right", endpoint.origin()),
            ));
        }
        let upstream = self.upstream.ok_or_else(|| {
            missing(
                "authgear.upstream",
                "give the Envoy cluster that reaches Authgear, or host:port on APISIX",
            )
        })?;
        if self.mode != RawMode::Resolver {
            return Err(ConfigError::new(
                "authgear.mode",
                "`auto` (the default) and `local` are not built yet; say `resolver`",
            ));
        }
        let resolver = Server {
            url: self.resolver_url.map_or_else(|| endpoint.with_path(RESOLVER_PATH), |url| url.0),
            upstream: self.resolver_upstream.unwrap_or(upstream).0,
        };
        Ok(Authgear { endpoint, resolver, cookies: CookieNames::new(&self.cookie_prefix.0) })
    }
}

fn missing(path: &str, right: &str) -> ConfigError {
    ConfigError::new(path, format!("missing; {right}"))
}

/// For a field that may be left out, but not be `null`.
pub(super) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A struct that is typed as an object; by itself serde takes a list of its values too.
#[derive(Default)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = T;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_map(Members(PhantomData)).map(Object)
    }
}

/// What is typed as a string, and read by a parser of its own.
struct Typed<T>(T);

impl<'de> Deserialize<'de> for Typed<Url> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Url::parse(&String::deserialize(deserializer)?).map(Typed).map_err(de::Error::custom)
    }
}

/// A cluster or `host:port`.
struct Upstream(String);

impl<'de> Deserialize<'de> for Upstream {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if name.trim().is_empty() {
            return Err(de::Error::custom("is empty; give an Envoy cluster, or host:port on APISIX"));
        }
        if name.chars().any(char::is_control) {
            return Err(de::Error::custom("has a control character"));
        }
        Ok(Self(name))
    }
}

/// The beginning of a cookie's name: characters of a token (RFC 6265 section 4.1.1).
#[derive(Default)]
struct CookiePrefix(String);

impl<'de> Deserialize<'de> for CookiePrefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let prefix = String::deserialize(deserializer)?;
        match prefix.chars().find(|c| !(c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(*c))) {
            Some(odd) => Err(de::Error::custom(format_args!("no cookie's name can have a {odd:?}"))),
            None => Ok(Self(prefix)),
        }
    }
}

/// A duration: `"500ms"`, `"10s"`, `"10m"`, `"1h"`.
struct Span(Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const RIGHT: &str = "a duration such as \"500ms\", \"10s\", \"10m\" or \"1h\"";
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Span;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(RIGHT)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                let span = span(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))?;
                if span > MAX_SPAN {
                    return Err(E::custom(format_args!("{text} is too long: at most 24h")));
                }
                Ok(Span(span))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

pub(super) fn span(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(milliseconds).map(Duration::from_millis)
}

/// The status of a denial. A Struct has only doubles, so a whole one is a number too.
pub(super) struct Status(pub(super) u16);

impl Default for Status {
    fn default() -> Self {
        Self(DEFAULT_ERROR_STATUS)
    }
}

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match whole(deserializer)?.try_into() {
            Ok(status @ 400..=599) => Ok(Self(status)),
            _ => Err(de::Error::custom("a status of a denial is 400 to 599")),
        }
    }
}

/// A whole number that is not negative; `600.0` is one.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    struct Whole;
    impl Visitor<'_> for Whole {
        type Value = u64;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a whole number")
        }
        fn visit_u64<E>(self, value: u64) -> Result<u64, E> {
            Ok(value)
        }
        fn visit_f64<E: de::Error>(self, value: f64) -> Result<u64, E> {
            // Beyond 2^53 a double no longer tells neighbours apart.
            if value.fract() == 0.0 && (0.0..9_007_199_254_740_992.0).contains(&value) {
                // Exact: a whole number in the range above. The text is the one conversion that cannot cut.
                return format!("{value:.0}").parse().map_err(E::custom);
            }
            Err(E::invalid_value(de::Unexpected::Float(value), &self))
        }
    }
    deserializer.deserialize_any(Whole)
}
