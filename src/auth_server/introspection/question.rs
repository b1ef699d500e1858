//! The call to an authorization server: one token, and its cache key. Nothing else of the client is sent, and the
//! token goes nowhere else.

use std::time::Duration;

use super::{Introspection, MAX_ANSWER_BYTES};
use crate::auth_server::{Inputs, Server, USER_AGENT};
use crate::cache::{Key, Part};
use crate::http::credential::Credentials;
use crate::http::{BadHead, Call, Fields, Form, WantedBody};

/// Adds the token. An answer depends on nothing else.
pub fn key(credentials: Credentials<'_>, key: &mut Key) -> Inputs {
    if let Some(token) = credentials.bearer {
        key.push(Part::Bearer, token.reveal());
    }
    Inputs { identify: true, hold_credential: true }
}

/// Builds the call that asks about a token (RFC 7662 section 2.1).
///
/// # Errors
///
/// Fails if there is no token to ask about.
pub fn call(
    introspection: &Introspection,
    timeout: Duration,
    credentials: Credentials<'_>,
) -> Result<Call, BadHead> {
    let token = credentials.bearer.ok_or(BadHead::Unreadable)?;
    let Introspection { server: Server { url, upstream }, authorization, token_type_hint, .. } =
        introspection;
    let mut fields = Fields::with_room(10, 512);
    let path = url.path_and_query();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", url.scheme().as_str()),
        (":authority", url.authority()),
        (":path", &path),
        // Servers derive their own URL from these, and compare the `iss` of a token with it.
        ("x-forwarded-host", url.authority()),
        ("x-forwarded-proto", url.scheme().as_str()),
        ("content-type", Form::CONTENT_TYPE),
        ("accept", "application/json"),
        ("user-agent", USER_AGENT),
    ] {
        fields.push(name.as_bytes(), value.as_bytes());
    }
    if let Some(authorization) = authorization {
        fields.push(b"authorization", authorization.reveal().as_bytes());
    }
    let mut form = Form::default().with("token", token.reveal());
    if let Some(hint) = token_type_hint {
        form = form.with("token_type_hint", hint.as_bytes());
    }
    Ok(Call {
        upstream: upstream.clone(),
        fields,
        form: Some(form),
        timeout,
        body: WantedBody::Needed { limit: MAX_ANSWER_BYTES },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::SecretText;
    use crate::http::credential::Secret;
    use crate::http::url::Url;

    fn introspection(url: &str, authorization: Option<&str>, hint: Option<&str>) -> Introspection {
        Introspection {
            server: Server { url: Url::parse_with_query(url).unwrap(), upstream: "hydra".to_owned() },
            authorization: authorization.map(SecretText::new),
            token_type_hint: hint.map(str::to_owned),
            issuer: 0,
        }
    }

    fn bearing(token: &str) -> Credentials<'_> {
        Credentials { bearer: Some(Secret::new(token.as_bytes())), ..Credentials::default() }
    }

    /// Returns the headers and the body of the call, and its debug output.
    fn asked(introspection: &Introspection, token: &str) -> (Vec<(String, String)>, String, String) {
        let call = call(introspection, Duration::from_secs(2), bearing(token)).unwrap();
        assert_eq!((call.upstream.as_str(), call.timeout), ("hydra", Duration::from_secs(2)));
        assert_eq!(call.body, WantedBody::Needed { limit: MAX_ANSWER_BYTES });
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let fields = call.fields.iter().map(|(name, value)| (text(name), text(value))).collect();
        (fields, text(call.form.as_ref().unwrap().reveal()), format!("{call:?} {introspection:?}"))
    }

    #[test]
    fn the_token_is_asked_about_in_a_form_and_stands_nowhere_else() {
        let open = introspection("http://hydra:4445/admin/oauth2/introspect?x=y", None, None);
        let (fields, form, _) = asked(&open, "ory_at_a+b/c~d==");
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let expected = [
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", "hydra:4445"),
            (":path", "/admin/oauth2/introspect?x=y"),
            ("x-forwarded-host", "hydra:4445"),
            ("x-forwarded-proto", "http"),
            ("content-type", "application/x-www-form-urlencoded"),
            ("accept", "application/json"),
            ("user-agent", USER_AGENT),
        ];
        assert_eq!(fields, expected);
        assert_eq!(form, "token=ory_at_a%2Bb%2Fc%7Ed%3D%3D");
    }

    #[test]
    fn the_filter_says_who_it_is_as_the_operator_typed_it_and_prints_nothing_of_it() {
        let known =
            introspection("https://login.example/introspect", Some("Bearer hunter2"), Some("access_token"));
        let (fields, form, printed) = asked(&known, "opaque3");
        assert!(fields.contains(&("authorization".to_owned(), "Bearer hunter2".to_owned())), "{fields:?}");
        assert_eq!(form, "token=opaque3&token_type_hint=access_token");
        assert!(!printed.contains("hunter2") && !printed.contains("opaque3"), "{printed}");
    }

    #[test]
    fn tokens_that_differ_in_anything_have_keys_that_differ() {
        let keyed = |token: &str| {
            let mut own = Key::new();
            let inputs = key(bearing(token), &mut own);
            assert_eq!(inputs, Inputs { identify: true, hold_credential: true });
            own
        };
        assert!(keyed("abc") == keyed("abc"));
        for other in ["abd", "ABC", "abc=", "ab", "abc%20", ""] {
            assert!(keyed("abc") != keyed(other), "{other}");
        }
    }

    #[test]
    fn without_a_token_there_is_nothing_to_ask() {
        let open = introspection("http://hydra:4445/", None, None);
        assert_eq!(call(&open, Duration::ZERO, Credentials::default()), Err(BadHead::Unreadable));
    }
}
