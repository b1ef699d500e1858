//! The values of a rule's fields, each typed as a string.

use std::time::Duration;

use super::MAX_AUTH_AGE;
use crate::config::ConfigError;
use crate::config::typed::duration;
use crate::config::value::Value;
use crate::rules::redirect::Redirect;
use crate::rules::{Access, HostPattern, Method, PathPattern};

/// Who may pass.
pub(super) fn access(value: &Value) -> Result<Access, ConfigError> {
    const RIGHT: &str = "`public`, `optional` or `required`";
    value.parse(RIGHT, |text| match text {
        "public" => Ok(Access::Public),
        "optional" => Ok(Access::Optional),
        "required" => Ok(Access::Required),
        _ => Err(format!("`{}` is not {RIGHT}", text.escape_default())),
    })
}

/// See [`PathPattern::exact`].
pub(super) fn exact(value: &Value) -> Result<PathPattern, ConfigError> {
    value.parse("a path such as \"/app/login\"", PathPattern::exact)
}

/// See [`PathPattern::prefix`].
pub(super) fn prefix(value: &Value) -> Result<PathPattern, ConfigError> {
    value.parse("a path such as \"/app\"", PathPattern::prefix)
}

/// See [`Method::parse`].
pub(super) fn method(value: &Value) -> Result<Method, ConfigError> {
    value.parse("a method such as \"GET\"", Method::parse)
}

/// See [`HostPattern::parse`].
pub(super) fn host(value: &Value) -> Result<HostPattern, ConfigError> {
    value.parse("a host such as \"example.com\" or \"*.example.com\"", HostPattern::parse)
}

/// See [`Redirect::parse`].
pub(super) fn redirect(value: &Value) -> Result<Redirect, ConfigError> {
    value.parse("a URL or a path such as \"/login?return={url}\"", Redirect::parse)
}

/// One role, by its exact name.
pub(super) fn role(value: &Value) -> Result<String, ConfigError> {
    value.parse("a role's name", |text| {
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err("a role's name is not empty, and has no control characters".to_owned());
        }
        Ok(text.to_owned())
    })
}

/// One scope (RFC 6749 section 3.3).
pub(super) fn scope(value: &Value) -> Result<String, ConfigError> {
    value.parse("a scope such as \"openid\"", |text| {
        word(text).filter(|text| !text.contains(['"', '\\'])).map(str::to_owned).ok_or_else(|| {
            format!("`{}` is not one scope, which has neither spaces nor quotes", text.escape_default())
        })
    })
}

/// One method of authentication (RFC 8176).
pub(super) fn auth_method(value: &Value) -> Result<String, ConfigError> {
    value.parse("a method of authentication such as \"pwd\" or \"otp\"", |text| {
        word(text).map(str::to_owned).ok_or_else(|| {
            format!("`{}` is not one method of authentication, as \"otp\" is", text.escape_default())
        })
    })
}

/// A time since authentication.
pub(super) fn age(value: &Value) -> Result<Duration, ConfigError> {
    const RIGHT: &str = "a duration such as \"90s\", \"10m\" or \"12h\"";
    value.parse(RIGHT, |text| match duration(text) {
        Some(Duration::ZERO) => Err("is met by nobody; give at least 1s".to_owned()),
        Some(age) if age <= MAX_AUTH_AGE => Ok(age),
        Some(_) => Err(format!("{text} is too long: at most 8760h")),
        None => Err(format!("`{}` is not {RIGHT}", text.escape_default())),
    })
}

/// The body of an answer.
pub(super) fn body(value: &Value) -> Result<String, ConfigError> {
    value.parse("a text", |text| {
        if text.is_empty() {
            return Err("an answer is never empty; leave it out for the filter's own".to_owned());
        }
        Ok(text.to_owned())
    })
}

/// A media type (RFC 9110 section 8.3.1).
pub(super) fn content_type(value: &Value) -> Result<String, ConfigError> {
    const RIGHT: &str = "a media type such as \"text/html; charset=utf-8\"";
    value.parse(RIGHT, |text| {
        let is_word = |text: &str| word(text).is_some_and(|word| !word.contains(['/', ';', ',']));
        let (kind, _parameters) = text.split_once(';').unwrap_or((text, ""));
        let is_kind =
            kind.trim_end().split_once('/').is_some_and(|(kind, sub)| is_word(kind) && is_word(sub));
        if !is_kind || text.bytes().any(|byte| byte != b' ' && !byte.is_ascii_graphic()) {
            return Err(format!("`{}` is not {RIGHT}", text.escape_default()));
        }
        Ok(text.to_owned())
    })
}

/// A bool of which only one value can be required.
pub(super) fn only<const VALUE: bool>(value: &Value) -> Result<(), ConfigError> {
    if value.boolean()? == VALUE {
        return Ok(());
    }
    Err(value.wrong(format!("only `{VALUE}` can be required; leave it out for either")))
}

fn word(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())).then_some(text)
}
