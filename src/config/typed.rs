//! The types of single fields: their values, their bounds, and the errors for other values.

use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::field::{FieldType, whole};
use super::problem::{HeaderError, ValueError};
use crate::http::header::{self, Pattern, is_token};
use crate::http::url::{Url, UrlError};
use crate::jose::{Algorithm, ClaimPath, IssuerName, IssuerNameError, KeySet, UnknownAlgorithm};

/// The longest accepted duration. A longer one is a typing mistake.
pub(super) const MAX_SPAN: Duration = Duration::from_secs(24 * 60 * 60);

/// The most accepted entries: more than any worker has memory for.
const MAX_COUNT: usize = 10_000_000;

/// Defines fields that are typed as strings: the name, the type of the value and of the error, the expectation, and
/// the parser.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident: $value:ty | $error:ty, $expected:expr, $parse:expr;)*) => {$(
        $(#[$doc])*
        pub(in crate::config) struct $name;

        impl $crate::config::field::Text for $name {
            type Value = $value;
            type Error = $error;
            const EXPECTED: &'static str = $expected;

            fn parse(text: &str) -> Result<$value, $error> {
                let parse = $parse;
                parse(text)
            }
        }
    )*};
}
pub(super) use texts;

texts! {
    /// An absolute URL without a query.
    UrlField: Url | UrlError, "a string", Url::parse;

    /// An absolute URL, which may have a query.
    UrlWithQuery: Url | UrlError, "a string", Url::parse_with_query;

    /// An Envoy cluster, or `host:port` on APISIX.
    Upstream: String | ValueError, "a string", upstream;

    /// The beginning of a cookie's name.
    CookiePrefix: String | ValueError, "a string", cookie_prefix;

    /// A duration: `"500ms"`, `"10s"`, `"10m"`, `"1h"`; at most [`MAX_SPAN`].
    Span: Duration | ValueError, DURATION, span;

    /// A string that is not empty.
    NonEmptyText: String | ValueError, "a string", non_empty;

    /// See [`IssuerName::parse`].
    IssuerField: IssuerName | IssuerNameError, "a string", IssuerName::parse;

    /// An algorithm by its name.
    AlgorithmField: Algorithm | UnknownAlgorithm, "a string", str::parse::<Algorithm>;

    /// The name of a header that the filter may set, in lower case.
    HeaderName: String | HeaderError, "a string", header_name;
}

const DURATION: &str = "a duration such as \"500ms\", \"10s\", \"10m\" or \"1h\"";

fn non_empty(text: &str) -> Result<String, ValueError> {
    if text.is_empty() { Err(ValueError::Empty) } else { Ok(text.to_owned()) }
}

fn upstream(name: &str) -> Result<String, ValueError> {
    if name.trim().is_empty() {
        return Err(ValueError::NoUpstream);
    }
    if name.chars().any(char::is_control) {
        return Err(ValueError::ControlCharacter);
    }
    Ok(name.to_owned())
}

/// Checks the characters of a cookie name, which are those of a token (RFC 6265 section 4.1.1).
fn cookie_prefix(prefix: &str) -> Result<String, ValueError> {
    match prefix.chars().find(|c| !is_token(*c)) {
        Some(odd) => Err(ValueError::NoCookieCharacter(odd)),
        None => Ok(prefix.to_owned()),
    }
}

fn span(text: &str) -> Result<Duration, ValueError> {
    match duration(text) {
        Some(span) if span <= MAX_SPAN => Ok(span),
        Some(_) => Err(ValueError::LongerThanADay(text.to_owned())),
        None => Err(ValueError::NoDuration { found: text.to_owned(), expected: DURATION }),
    }
}

/// Parses a duration of any length.
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

/// Parses the name of a header that the filter may set, in lower case.
pub(super) fn header_name(text: &str) -> Result<String, HeaderError> {
    let name = whole_name(text)?;
    refuse_untouchable(&Pattern::Name(name.clone()))?;
    Ok(name)
}

/// Parses the name of a header, in lower case. Prefixes are refused.
pub(super) fn whole_name(text: &str) -> Result<String, HeaderError> {
    let name = text.to_ascii_lowercase();
    if !header::is_name(&name) {
        return Err(HeaderError::NoName(name.into()));
    }
    if name.contains('*') {
        return Err(HeaderError::NotWhole(name.into()));
    }
    Ok(name)
}

/// Refuses a header that can never carry an identity: proxies frame, route and connect by it.
pub(super) fn refuse_untouchable(pattern: &Pattern) -> Result<(), HeaderError> {
    let known = ["host", "cookie"].into_iter().find(|known| pattern.matches(known.as_bytes()));
    let touched = match known.or_else(|| pattern.hop_by_hop()) {
        Some(known) => known,
        None if pattern.reaches(b"x-forwarded-") => "x-forwarded-*",
        None => return Ok(()),
    };
    let shown = pattern.to_string().into();
    Err(match pattern {
        Pattern::Name(_) => HeaderError::NoIdentity(shown),
        Pattern::Prefix(_) => HeaderError::CoversProxys(shown, touched),
    })
}

/// The status of a denial.
pub(super) struct StatusField;

impl FieldType for StatusField {
    type Value = u16;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
        match whole(deserializer)?.try_into() {
            // nginx, and so APISIX, closes the connection instead of sending them.
            Ok(status @ (444 | 499)) => Err(D::Error::custom(ValueError::StatusThatHangsUp(status))),
            Ok(status @ 400..=599) => Ok(status),
            _ => Err(D::Error::custom(ValueError::NoDenial)),
        }
    }

    #[cfg(feature = "schema")]
    fn schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "integer", "minimum": 400, "maximum": 599, "not": { "enum": [444, 499] } })
    }
}

/// A number of things: one or more.
pub(super) struct Count;

impl FieldType for Count {
    type Value = NonZeroUsize;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NonZeroUsize, D::Error> {
        let count = usize::try_from(whole(deserializer)?).ok().filter(|count| *count <= MAX_COUNT);
        count.and_then(NonZeroUsize::new).ok_or_else(|| D::Error::custom(ValueError::NoCount(MAX_COUNT)))
    }

    #[cfg(feature = "schema")]
    fn schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "integer", "minimum": 1, "maximum": MAX_COUNT })
    }
}

/// A claim: its exact name, or the names that lead to a nested one.
pub(super) struct ClaimPathField;

impl FieldType for ClaimPathField {
    type Value = ClaimPath;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ClaimPath, D::Error> {
        struct NameOrNames;

        impl<'de> Visitor<'de> for NameOrNames {
            type Value = ClaimPath;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a claim, or a list of the names that lead to a nested one")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<ClaimPath, E> {
                Ok(ClaimPath::top(name))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, names: A) -> Result<ClaimPath, A::Error> {
                let names = Vec::<String>::deserialize(SeqAccessDeserializer::new(names))?;
                ClaimPath::nested(names).ok_or_else(|| A::Error::invalid_length(0, &self))
            }
        }

        deserializer.deserialize_any(NameOrNames)
    }

    #[cfg(feature = "schema")]
    fn schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["string", "array"], "items": { "type": "string" }, "minItems": 1
        })
    }
}

/// An inline JSON Web Key Set (RFC 7517 section 5).
pub(super) struct KeySetField;

impl FieldType for KeySetField {
    type Value = KeySet;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<KeySet, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        KeySet::parse(json.get().as_bytes()).map_err(D::Error::custom)
    }

    #[cfg(feature = "schema")]
    fn schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "object",
            "properties": { "keys": { "type": "array", "items": { "type": "object" } } },
            "required": ["keys"]
        })
    }
}
