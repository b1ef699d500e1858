//! The types of single fields: what may be typed, its bounds, and what is said of anything else.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::ConfigError;
use super::value::Value;
use crate::http::header::{self, Pattern, is_token};
use crate::http::url::Url;
use crate::jose::{Algorithm, ClaimPath, UnknownAlgorithm};

/// The longest duration that is accepted; a longer one is a slip of the pen.
pub(super) const MAX_SPAN: Duration = Duration::from_secs(24 * 60 * 60);

/// What a field of any text is called.
pub(super) const STRING: &str = "a string";

/// An absolute URL without a query.
pub(super) fn url(value: &Value) -> Result<Url, ConfigError> {
    value.parse(STRING, Url::parse)
}

/// A cluster or `host:port`.
pub(super) fn upstream(value: &Value) -> Result<String, ConfigError> {
    value.parse(STRING, |name| {
        if name.trim().is_empty() {
            return Err("is empty; give an Envoy cluster, or host:port on APISIX".to_owned());
        }
        if name.chars().any(char::is_control) {
            return Err("has a control character".to_owned());
        }
        Ok(name.to_owned())
    })
}

/// The beginning of a cookie's name: characters of a token (RFC 6265 section 4.1.1).
pub(super) fn cookie_prefix(value: &Value) -> Result<String, ConfigError> {
    value.parse(STRING, |prefix| match prefix.chars().find(|c| !is_token(*c)) {
        Some(odd) => Err(format!("no cookie's name can have a '{}'", odd.escape_default())),
        None => Ok(prefix.to_owned()),
    })
}

/// A duration: `"500ms"`, `"10s"`, `"10m"`, `"1h"`; at most [`MAX_SPAN`].
pub(super) fn span(value: &Value) -> Result<Duration, ConfigError> {
    const RIGHT: &str = "a duration such as \"500ms\", \"10s\", \"10m\" or \"1h\"";
    value.parse(RIGHT, |text| match duration(text) {
        Some(span) if span <= MAX_SPAN => Ok(span),
        Some(_) => Err(format!("{text} is too long: at most 24h")),
        None => Err(format!("found \"{}\", expected {RIGHT}", text.escape_default())),
    })
}

/// Reads a duration, however long.
pub(super) fn duration(text: &str) -> Option<Duration> {
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

/// A string with something in it.
pub(super) fn text(value: &Value) -> Result<String, ConfigError> {
    value.parse(STRING, |text| if text.is_empty() { Err("is empty".to_owned()) } else { Ok(text.to_owned()) })
}

/// An algorithm by its name.
pub(super) fn algorithm(value: &Value) -> Result<Algorithm, ConfigError> {
    value.parse(STRING, |name| name.parse().map_err(|error: UnknownAlgorithm| error.to_string()))
}

/// A claim: its exact name, or the names that lead to a nested one.
pub(super) fn claim_path(value: &Value) -> Result<ClaimPath, ConfigError> {
    const RIGHT: &str = "the name of a claim, or a list of the names that lead to a nested one";
    if !value.json().starts_with('[') {
        return value.parse(RIGHT, |name| Ok::<_, String>(ClaimPath::top(name)));
    }
    let names = value.list(|name| name.parse(STRING, |name| Ok::<_, String>(name.to_owned())))?;
    ClaimPath::nested(names).ok_or_else(|| value.wrong(format!("found an empty list, expected {RIGHT}")))
}

/// The name of a header that the filter may set, in lower case.
pub(super) fn header_name(text: &str) -> Result<String, String> {
    let name = text.to_ascii_lowercase();
    if !header::is_name(&name) {
        return Err(format!("`{}` is no name of a header", name.escape_default()));
    }
    match untouchable(&Pattern::Name(name.clone())) {
        Some(problem) => Err(problem),
        None => Ok(name),
    }
}

/// What a proxy frames, routes and connects by is never an identity: why such a header is refused.
pub(super) fn untouchable(pattern: &Pattern) -> Option<String> {
    let known = ["host", "cookie"].into_iter().find(|known| pattern.matches(known.as_bytes()));
    let touched = match known.or_else(|| pattern.hop_by_hop()) {
        Some(known) => known,
        None if pattern.reaches(b"x-forwarded-") => "x-forwarded-*",
        None => return None,
    };
    Some(match pattern {
        Pattern::Name(name) => format!("`{name}` is the proxy's own; no identity may be put there"),
        Pattern::Prefix(_) => {
            format!("`{pattern}` would touch `{touched}`, which is the proxy's own; give a longer beginning")
        }
    })
}

/// The status of a denial.
pub(super) fn status(value: &Value) -> Result<u16, ConfigError> {
    match value.whole()?.try_into() {
        Ok(status @ 400..=599) => Ok(status),
        _ => Err(value.wrong("a status of a denial is 400 to 599")),
    }
}

/// A number of things: one or more.
pub(super) fn count(value: &Value) -> Result<NonZeroUsize, ConfigError> {
    /// More than any worker has memory for: a slip of the pen.
    const MOST: usize = 10_000_000;
    let count = usize::try_from(value.whole()?).ok().filter(|count| *count <= MOST);
    count.and_then(NonZeroUsize::new).ok_or_else(|| value.wrong(format!("a number from 1 to {MOST}")))
}
