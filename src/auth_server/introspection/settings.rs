//! The configuration of an authorization server that is asked about tokens.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::auth_server::Server;
use crate::http::SecretText;
use crate::http::form;

/// An authorization server that is asked about tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introspection {
    /// Its introspection endpoint. The authority of the URL is the `Host` of each call.
    pub server: Server,
    /// The `Authorization` of each call; `None` for a server that needs none.
    pub authorization: Option<SecretText>,
    /// The kind of token that the server should look for first (RFC 7662 section 2.1).
    pub token_type_hint: Option<String>,
    /// The index of the tokens' issuer in the configuration.
    pub issuer: usize,
}

/// Returns the `Authorization` of a client with a password. Both parts are form-encoded first (RFC 6749 section
/// 2.3.1), so that a colon in either cannot pass for the separator.
#[must_use]
pub fn basic(client_id: &str, client_secret: &SecretText) -> SecretText {
    let [id, secret] = [client_id, client_secret.reveal()].map(|text| form::encoded(text.as_bytes()));
    SecretText::new(format!("Basic {}", BASE64_STANDARD.encode(format!("{id}:{secret}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_and_secret_are_encoded_as_in_a_form_before_they_are_joined() {
        for (id, secret, expected) in [
            ("api", "hunter2", "api:hunter2"),
            ("a:b", "c:d", "a%3Ab:c%3Ad"),
            ("https://api.example/", "p+ss w%rd&", "https%3A%2F%2Fapi.example%2F:p%2Bss+w%25rd%26"),
            ("ä", "\u{1f511}~", "%C3%A4:%F0%9F%94%91%7E"),
            ("api", "", "api:"),
        ] {
            let expected = format!("Basic {}", BASE64_STANDARD.encode(expected));
            assert_eq!(basic(id, &SecretText::new(secret)).reveal(), expected, "{id} {secret}");
        }
    }
}
