//! The values of a rule's fields, each typed as a string, or in a list of them.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::MAX_AUTH_AGE;
use crate::config::typed::span;
use crate::redirect::Redirect;
use crate::rules::{Access, HostPattern, Method, PathPattern};

/// What is typed as a string, and read by a parser of its own.
pub(in crate::config) trait Parse {
    /// What is made of it.
    type Out;

    /// What would be right, for a value that is no string.
    const RIGHT: &str;

    /// Reads it, or says what is wrong and what would be right.
    fn parse(text: &str) -> Result<Self::Out, String>;
}

/// See [`Parse`].
pub(in crate::config) struct Text<T: Parse>(pub(super) T::Out);

impl<'de, T: Parse> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parsed<T>(PhantomData<T>);
        impl<T: Parse> Visitor<'_> for Parsed<T> {
            type Value = T::Out;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(T::RIGHT)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<T::Out, E> {
                T::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Parsed(PhantomData::<T>)).map(Text)
    }
}

/// A list that says something.
pub(super) struct List<T: Parse>(pub(super) Vec<T::Out>);

impl<'de, T: Parse> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let items = Vec::<Text<T>>::deserialize(deserializer)?;
        if items.is_empty() {
            return Err(de::Error::custom("an empty list is met by nothing; leave it out"));
        }
        Ok(Self(items.into_iter().map(|item| item.0).collect()))
    }
}

/// A bool of which only one value can be required.
pub(super) struct Only<const VALUE: bool>;

impl<'de, const VALUE: bool> Deserialize<'de> for Only<VALUE> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if bool::deserialize(deserializer)? == VALUE {
            return Ok(Self);
        }
        Err(de::Error::custom(format_args!("only `{VALUE}` can be required; leave it out for either")))
    }
}

impl Parse for Access {
    type Out = Self;
    const RIGHT: &str = "`public`, `optional` or `required`";

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "public" => Ok(Self::Public),
            "optional" => Ok(Self::Optional),
            "required" => Ok(Self::Required),
            _ => Err(format!("`{}` is not {}", text.escape_debug(), Self::RIGHT)),
        }
    }
}

/// See [`PathPattern::exact`].
pub(super) enum Exact {}

impl Parse for Exact {
    type Out = PathPattern;
    const RIGHT: &str = "a path such as \"/app/login\"";

    fn parse(text: &str) -> Result<PathPattern, String> {
        PathPattern::exact(text)
    }
}

/// See [`PathPattern::prefix`].
pub(super) enum Prefix {}

impl Parse for Prefix {
    type Out = PathPattern;
    const RIGHT: &str = "a path such as \"/app\"";

    fn parse(text: &str) -> Result<PathPattern, String> {
        PathPattern::prefix(text)
    }
}

impl Parse for Method {
    type Out = Self;
    const RIGHT: &str = "a method such as \"GET\"";

    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }
}

impl Parse for HostPattern {
    type Out = Self;
    const RIGHT: &str = "a host such as \"example.com\" or \"*.example.com\"";

    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }
}

impl Parse for Redirect {
    type Out = Self;
    const RIGHT: &str = "a URL or a path such as \"/login?return={url}\"";

    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }
}

/// One role, by its exact name.
pub(super) enum Role {}

impl Parse for Role {
    type Out = String;
    const RIGHT: &str = "a role's name";

    fn parse(text: &str) -> Result<String, String> {
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err("a role's name is not empty, and has no control characters".to_owned());
        }
        Ok(text.to_owned())
    }
}

/// One scope (RFC 6749 section 3.3).
pub(super) enum Scope {}

impl Parse for Scope {
    type Out = String;
    const RIGHT: &str = "a scope such as \"openid\"";

    fn parse(text: &str) -> Result<String, String> {
        word(text).filter(|text| !text.contains(['"', '\\'])).map(str::to_owned).ok_or_else(|| {
            format!("`{}` is not one scope, which has neither spaces nor quotes", text.escape_debug())
        })
    }
}

/// One method of authentication (RFC 8176).
pub(super) enum AuthMethod {}

impl Parse for AuthMethod {
    type Out = String;
    const RIGHT: &str = "a method of authentication such as \"pwd\" or \"otp\"";

    fn parse(text: &str) -> Result<String, String> {
        word(text).map(str::to_owned).ok_or_else(|| {
            format!("`{}` is not one method of authentication, as \"otp\" is", text.escape_debug())
        })
    }
}

fn word(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())).then_some(text)
}

/// A time since authentication.
pub(super) enum Age {}

impl Parse for Age {
    type Out = Duration;
    const RIGHT: &str = "a duration such as \"90s\", \"10m\" or \"12h\"";

    fn parse(text: &str) -> Result<Duration, String> {
        match span(text) {
            Some(Duration::ZERO) => Err("is met by nobody; give at least 1s".to_owned()),
            Some(age) if age <= MAX_AUTH_AGE => Ok(age),
            Some(_) => Err(format!("{text} is too long: at most 8760h")),
            None => Err(format!("`{}` is not {}", text.escape_debug(), Self::RIGHT)),
        }
    }
}

/// The body of an answer.
pub(super) enum BodyText {}

impl Parse for BodyText {
    type Out = String;
    const RIGHT: &str = "a text";

    fn parse(text: &str) -> Result<String, String> {
        if text.is_empty() {
            return Err("an answer is never empty; leave it out for the filter's own".to_owned());
        }
        Ok(text.to_owned())
    }
}

/// A media type (RFC 9110 section 8.3.1).
pub(super) enum ContentType {}

impl Parse for ContentType {
    type Out = String;
    const RIGHT: &str = "a media type such as \"text/html; charset=utf-8\"";

    fn parse(text: &str) -> Result<String, String> {
        let is_word = |text: &str| word(text).is_some_and(|word| !word.contains(['/', ';', ',']));
        let (kind, _parameters) = text.split_once(';').unwrap_or((text, ""));
        let is_kind =
            kind.trim_end().split_once('/').is_some_and(|(kind, sub)| is_word(kind) && is_word(sub));
        if !is_kind || text.bytes().any(|byte| byte != b' ' && !byte.is_ascii_graphic()) {
            return Err(format!("`{}` is not {}", text.escape_debug(), Self::RIGHT));
        }
        Ok(text.to_owned())
    }
}
