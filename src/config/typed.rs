//! The types of single fields: what may be typed, its bounds, and what is said of anything else.

use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::time::Duration;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use super::DEFAULT_ERROR_STATUS;
use super::url::Url;
use crate::identity;
use crate::jwt::{Algorithm, ClaimPath};

/// The longest duration that is accepted; a longer one is a slip of the pen.
pub(super) const MAX_SPAN: Duration = Duration::from_secs(24 * 60 * 60);

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
pub(super) struct Typed<T>(pub(super) T);

impl<'de> Deserialize<'de> for Typed<Url> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Url::parse(&String::deserialize(deserializer)?).map(Typed).map_err(de::Error::custom)
    }
}

/// A cluster or `host:port`.
pub(super) struct Upstream(pub(super) String);

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
pub(super) struct CookiePrefix(pub(super) String);

impl<'de> Deserialize<'de> for CookiePrefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let prefix = String::deserialize(deserializer)?;
        match prefix.chars().find(|c| !is_token(*c)) {
            Some(odd) => Err(de::Error::custom(format_args!("no cookie's name can have a {odd:?}"))),
            None => Ok(Self(prefix)),
        }
    }
}

/// A duration: `"500ms"`, `"10s"`, `"10m"`, `"1h"`.
pub(super) struct Span(pub(super) Duration);

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

fn span(text: &str) -> Option<Duration> {
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

/// A list with something in it.
pub(super) struct NonEmpty<T>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for NonEmpty<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list = Vec::deserialize(deserializer)?;
        if list.is_empty() {
            return Err(de::Error::custom("is an empty list, which nothing could ever match"));
        }
        Ok(Self(list))
    }
}

/// A string with something in it.
pub(super) struct Text(pub(super) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() { Err(de::Error::custom("is empty")) } else { Ok(Self(text)) }
    }
}

impl<'de> Deserialize<'de> for Typed<Algorithm> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Typed).map_err(de::Error::custom)
    }
}

/// A claim: its exact name, or the names that lead to a nested one.
impl<'de> Deserialize<'de> for Typed<ClaimPath> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Path;
        impl<'de> Visitor<'de> for Path {
            type Value = ClaimPath;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a claim, or a list of the names that lead to a nested one")
            }
            fn visit_str<E>(self, name: &str) -> Result<ClaimPath, E> {
                Ok(ClaimPath::top(name))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<ClaimPath, A::Error> {
                let mut path = Vec::new();
                while let Some(name) = names.next_element::<String>()? {
                    path.push(name);
                }
                ClaimPath::nested(path).ok_or_else(|| de::Error::invalid_length(0, &self))
            }
        }
        deserializer.deserialize_any(Path).map(Typed)
    }
}

/// The name of a header that the filter may set, in lower case.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct HeaderName(pub(super) String);

/// What a proxy frames, routes and connects by: never an identity.
const UNTOUCHABLE: [&str; 14] = [
    "host",
    "cookie",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "http2-settings",
];

impl<'de> Deserialize<'de> for HeaderName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?.to_ascii_lowercase();
        if name.is_empty() || !name.chars().all(is_token) {
            return Err(de::Error::custom(format_args!("`{}` is no name of a header", name.escape_debug())));
        }
        let untouchable =
            UNTOUCHABLE.iter().any(|known| identity::is_same(known.as_bytes(), name.as_bytes()));
        if untouchable || name.starts_with("x-forwarded-") {
            return Err(de::Error::custom(format_args!(
                "`{name}` is the proxy's own; no identity may be put there"
            )));
        }
        Ok(Self(name))
    }
}

/// A character of a token (RFC 9110 section 5.6.2): names of headers and cookies.
fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
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

/// A number of things: one or more.
pub(super) struct Count(pub(super) NonZeroUsize);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// More than any worker has memory for: a slip of the pen.
        const MOST: usize = 10_000_000;
        let count = usize::try_from(whole(deserializer)?).ok().filter(|count| *count <= MOST);
        count
            .and_then(NonZeroUsize::new)
            .map(Self)
            .ok_or_else(|| de::Error::custom(format_args!("a number from 1 to {MOST}")))
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
