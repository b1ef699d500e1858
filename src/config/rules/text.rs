//! The values of a rule's fields: strings.

use std::time::Duration;

use super::MAX_AUTH_AGE;
use crate::config::field::Choice;
use crate::config::problem::RuleValueError;
use crate::config::typed::{duration, texts};
use crate::rules::redirect::{Redirect, RedirectError};
use crate::rules::{
    Access, HostPattern, HostPatternError, Method, MethodError, PathPattern, PathPatternError,
};

impl Choice for Access {
    const CHOICES: &'static [(&'static str, Self)] =
        &[("public", Self::Public), ("optional", Self::Optional), ("required", Self::Required)];
    const EXPECTED: &'static str = "one of `public`, `optional`, `required`";
}

texts! {
    /// See [`PathPattern::exact`].
    ExactPath: PathPattern | PathPatternError, "a path such as \"/app/login\"", PathPattern::exact;

    /// See [`PathPattern::prefix`].
    PathPrefix: PathPattern | PathPatternError, "a path such as \"/app\"", PathPattern::prefix;

    /// See [`Method::parse`].
    MethodName: Method | MethodError, "a method such as \"GET\"", Method::parse;

    /// See [`HostPattern::parse`].
    HostName: HostPattern | HostPatternError, "a host such as \"example.com\" or \"*.example.com\"", HostPattern::parse;

    /// See [`Redirect::parse`].
    RedirectTarget: Redirect | RedirectError, "a URL or a path such as \"/login?return={url}\"", Redirect::parse;

    /// One role, by its exact name.
    Role: String | RuleValueError, "a role's name", role;

    /// One scope (RFC 6749 section 3.3).
    ScopeName: String | RuleValueError, "a scope such as \"openid\"", scope;

    /// One method of authentication (RFC 8176).
    AuthMethod: String | RuleValueError, "a method of authentication such as \"pwd\" or \"otp\"", auth_method;

    /// A time since authentication.
    Age: Duration | RuleValueError, AGE, age;

    /// The body of an answer.
    BodyText: String | RuleValueError, "a text", body;

    /// A media type (RFC 9110 section 8.3.1).
    ContentType: String | RuleValueError, CONTENT_TYPE, content_type;
}

const AGE: &str = "a duration such as \"90s\", \"10m\" or \"12h\"";

const CONTENT_TYPE: &str = "a media type such as \"text/html; charset=utf-8\"";

fn role(text: &str) -> Result<String, RuleValueError> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(RuleValueError::NoRole);
    }
    Ok(text.to_owned())
}

fn scope(text: &str) -> Result<String, RuleValueError> {
    let scope = word(text).filter(|text| !text.contains(['"', '\\']));
    scope.map(str::to_owned).ok_or_else(|| RuleValueError::NoScope(text.into()))
}

fn auth_method(text: &str) -> Result<String, RuleValueError> {
    word(text).map(str::to_owned).ok_or_else(|| RuleValueError::NoAuthMethod(text.into()))
}

fn age(text: &str) -> Result<Duration, RuleValueError> {
    match duration(text) {
        Some(Duration::ZERO) => Err(RuleValueError::NoTime),
        Some(age) if age <= MAX_AUTH_AGE => Ok(age),
        Some(_) => Err(RuleValueError::LongerThanAYear(text.to_owned())),
        None => Err(RuleValueError::Not(text.into(), AGE)),
    }
}

fn body(text: &str) -> Result<String, RuleValueError> {
    if text.is_empty() { Err(RuleValueError::EmptyBody) } else { Ok(text.to_owned()) }
}

fn content_type(text: &str) -> Result<String, RuleValueError> {
    let is_word = |text: &str| word(text).is_some_and(|word| !word.contains(['/', ';', ',']));
    let (kind, _parameters) = text.split_once(';').unwrap_or((text, ""));
    let is_kind = kind.trim_end().split_once('/').is_some_and(|(kind, sub)| is_word(kind) && is_word(sub));
    if !is_kind || text.bytes().any(|byte| byte != b' ' && !byte.is_ascii_graphic()) {
        return Err(RuleValueError::Not(text.into(), CONTENT_TYPE));
    }
    Ok(text.to_owned())
}

fn word(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())).then_some(text)
}
