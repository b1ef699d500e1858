//! The values of a rule's fields, each typed as a string.

use std::time::Duration;

use super::MAX_AUTH_AGE;
use crate::config::field::{Choice, Problem};
use crate::config::typed::{duration, texts};
use crate::rules::redirect::Redirect;
use crate::rules::{Access, HostPattern, Method, PathPattern};

impl Choice for Access {
    const CHOICES: &'static [(&'static str, Self)] =
        &[("public", Self::Public), ("optional", Self::Optional), ("required", Self::Required)];
    const EXPECTED: &'static str = "one of `public`, `optional`, `required`";
}

texts! {
    /// See [`PathPattern::exact`].
    ExactPath: PathPattern, "a path such as \"/app/login\"", PathPattern::exact;

    /// See [`PathPattern::prefix`].
    PathPrefix: PathPattern, "a path such as \"/app\"", PathPattern::prefix;

    /// See [`Method::parse`].
    MethodName: Method, "a method such as \"GET\"", Method::parse;

    /// See [`HostPattern::parse`].
    HostName: HostPattern, "a host such as \"example.com\" or \"*.example.com\"", HostPattern::parse;

    /// See [`Redirect::parse`].
    RedirectTarget: Redirect, "a URL or a path such as \"/login?return={url}\"", Redirect::parse;

    /// One role, by its exact name.
    Role: String, "a role's name", role;

    /// One scope (RFC 6749 section 3.3).
    ScopeName: String, "a scope such as \"openid\"", scope;

    /// One method of authentication (RFC 8176).
    AuthMethod: String, "a method of authentication such as \"pwd\" or \"otp\"", auth_method;

    /// A time since authentication.
    Age: Duration, AGE, age;

    /// The body of an answer.
    BodyText: String, "a text", body;

    /// A media type (RFC 9110 section 8.3.1).
    ContentType: String, CONTENT_TYPE, content_type;
}

const AGE: &str = "a duration such as \"90s\", \"10m\" or \"12h\"";

const CONTENT_TYPE: &str = "a media type such as \"text/html; charset=utf-8\"";

fn role(text: &str) -> Result<String, &'static str> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err("a role's name is not empty, and has no control characters");
    }
    Ok(text.to_owned())
}

fn scope(text: &str) -> Result<String, Problem> {
    word(text).filter(|text| !text.contains(['"', '\\'])).map(str::to_owned).ok_or_else(|| {
        Problem::new(format!(
            "`{}` is not one scope, which has neither spaces nor quotes",
            text.escape_default()
        ))
    })
}

fn auth_method(text: &str) -> Result<String, Problem> {
    word(text).map(str::to_owned).ok_or_else(|| {
        Problem::new(format!(
            "`{}` is not one method of authentication, as \"otp\" is",
            text.escape_default()
        ))
    })
}

fn age(text: &str) -> Result<Duration, Problem> {
    match duration(text) {
        Some(Duration::ZERO) => Err(Problem::new("is met by nobody; give at least 1s")),
        Some(age) if age <= MAX_AUTH_AGE => Ok(age),
        Some(_) => Err(Problem::new(format!("{text} is too long: at most 8760h"))),
        None => Err(Problem::new(format!("`{}` is not {AGE}", text.escape_default()))),
    }
}

fn body(text: &str) -> Result<String, &'static str> {
    if text.is_empty() {
        return Err("an answer is never empty; leave it out for the filter's own");
    }
    Ok(text.to_owned())
}

fn content_type(text: &str) -> Result<String, Problem> {
    let is_word = |text: &str| word(text).is_some_and(|word| !word.contains(['/', ';', ',']));
    let (kind, _parameters) = text.split_once(';').unwrap_or((text, ""));
    let is_kind = kind.trim_end().split_once('/').is_some_and(|(kind, sub)| is_word(kind) && is_word(sub));
    if !is_kind || text.bytes().any(|byte| byte != b' ' && !byte.is_ascii_graphic()) {
        return Err(Problem::new(format!("`{}` is not {CONTENT_TYPE}", text.escape_default())));
    }
    Ok(text.to_owned())
}

fn word(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())).then_some(text)
}
