//! OpenID Connect discovery: where the keys of a configured endpoint are.
//!
//! The document may choose a path on the endpoint and nothing else: scheme, host and port stay those of
//! the configuration.

use std::fmt;

use crate::jwt::{self, Object};

/// The largest document that is parsed, in bytes.
const MAX_DOCUMENT_BYTES: usize = 64 * 1024;

/// Why a discovery document is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiscoveryError {
    /// Too large, or not a JSON object with distinct members.
    NotADocument,
    /// `issuer` is absent or is not the endpoint (OpenID Connect Discovery section 4.3).
    Issuer,
    /// `jwks_uri` is absent or no plain absolute URL.
    JwksUri,
    /// `jwks_uri` has another scheme, host or port than the endpoint.
    OtherOrigin,
}

/// The path, with the query, of `jwks_uri` in the document that `endpoint` serves at
/// `/.well-known/openid-configuration`.
///
/// # Errors
/// Why the document is not followed.
pub fn jwks_path(document: &[u8], endpoint: &str) -> Result<String, DiscoveryError> {
    if document.len() > MAX_DOCUMENT_BYTES {
        return Err(DiscoveryError::NotADocument);
    }
    let text = std::str::from_utf8(document).map_err(|_| DiscoveryError::NotADocument)?;
    let object = Object::parse(text).ok_or(DiscoveryError::NotADocument)?;
    let member = |name| object.get(name).and_then(jwt::string);

    let issuer = member("issuer").ok_or(DiscoveryError::Issuer)?;
    if issuer.trim_end_matches('/') != endpoint.trim_end_matches('/') {
        return Err(DiscoveryError::Issuer);
    }
    let jwks_uri = member("jwks_uri").ok_or(DiscoveryError::JwksUri)?;
    let (origin, path) = split_url(&jwks_uri).ok_or(DiscoveryError::JwksUri)?;
    let (own_origin, _) = split_url(endpoint).ok_or(DiscoveryError::OtherOrigin)?;
    if origin != own_origin {
        return Err(DiscoveryError::OtherOrigin);
    }
    Ok(path)
}

impl fmt::Display for DiscoveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotADocument => "not a discovery document",
            Self::Issuer => "\"issuer\" is not the endpoint",
            Self::JwksUri => "\"jwks_uri\" is absent or no plain absolute URL",
            Self::OtherOrigin => "\"jwks_uri\" is not on the endpoint's origin",
        })
    }
}

impl std::error::Error for DiscoveryError {}

/// The origin, normalised, and the path of a plain absolute URL: visible ASCII, no user, no fragment, no
/// backslash, which some read as a slash.
fn split_url(url: &str) -> Option<(String, String)> {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#' | b'@');
    if !url.bytes().all(plain) {
        return None;
    }
    let (scheme, rest) = url.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let default_port = match scheme.as_str() {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end)?;
    let authority = authority.to_ascii_lowercase();
    let host = authority.strip_suffix(default_port).unwrap_or(&authority);
    if host.is_empty() {
        return None;
    }
    let slash = if path.starts_with('/') { "" } else { "/" };
    Some((format!("{scheme}://{host}"), format!("{slash}{path}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDPOINT: &str = "https://myapp.authgear.cloud";

    #[test]
    fn only_a_path_on_the_endpoint_is_followed() {
        for (jwks_uri, expected) in [
            ("https://myapp.authgear.cloud/oauth2/jwks", Ok("/oauth2/jwks")),
            ("HTTPS://MyApp.Authgear.Cloud:443/oauth2/jwks?v=1", Ok("/oauth2/jwks?v=1")),
            ("https://myapp.authgear.cloud", Ok("/")),
            ("https://myapp.authgear.cloud?v=1", Ok("/?v=1")),
            ("http://myapp.authgear.cloud/oauth2/jwks", Err(DiscoveryError::OtherOrigin)),
            ("https://myapp.authgear.cloud:8443/oauth2/jwks", Err(DiscoveryError::OtherOrigin)),
            ("https://myapp.authgear.cloud.evil.example/jwks", Err(DiscoveryError::OtherOrigin)),
            ("https://myapp.authgear.cloud./jwks", Err(DiscoveryError::OtherOrigin)),
            ("https://evil.example/https://myapp.authgear.cloud/", Err(DiscoveryError::OtherOrigin)),
            ("https://evil.example?https://myapp.authgear.cloud/", Err(DiscoveryError::OtherOrigin)),
            ("https://myapp.authgear.cloud@evil.example/", Err(DiscoveryError::JwksUri)),
            ("https://evil.example\\@myapp.authgear.cloud/", Err(DiscoveryError::JwksUri)),
            ("https://evil.example#.myapp.authgear.cloud/", Err(DiscoveryError::JwksUri)),
            ("https://myapp.authgear.cloud/a b", Err(DiscoveryError::JwksUri)),
            ("https://myapp.authgear.cloud/a\r\nx: y", Err(DiscoveryError::JwksUri)),
            ("//myapp.authgear.cloud/jwks", Err(DiscoveryError::JwksUri)),
            ("/oauth2/jwks", Err(DiscoveryError::JwksUri)),
            ("file:///etc/passwd", Err(DiscoveryError::JwksUri)),
            ("https:///jwks", Err(DiscoveryError::JwksUri)),
            ("", Err(DiscoveryError::JwksUri)),
        ] {
            let document = serde_json::json!({"issuer": ENDPOINT, "jwks_uri": jwks_uri}).to_string();
            for endpoint in [ENDPOINT, "https://myapp.authgear.cloud/"] {
                let path = jwks_path(document.as_bytes(), endpoint);
                assert_eq!(path, expected.map(str::to_owned), "{jwks_uri}");
            }
        }
    }

    #[test]
    fn a_document_of_another_issuer_or_none_at_all_is_not_followed() {
        let uri = r#""jwks_uri":"https://myapp.authgear.cloud/oauth2/jwks""#;
        for (document, expected) in [
            (format!(r#"{{"issuer":"https://other.example",{uri}}}"#), DiscoveryError::Issuer),
            (format!("{{{uri}}}"), DiscoveryError::Issuer),
            (format!(r#"{{"issuer":1,{uri}}}"#), DiscoveryError::Issuer),
            (format!(r#"{{"issuer":"{ENDPOINT}",{uri},{uri}}}"#), DiscoveryError::NotADocument),
            (format!(r#"{{"issuer":"{ENDPOINT}"}}"#), DiscoveryError::JwksUri),
            (format!(r#"{{"issuer":"{ENDPOINT}","jwks_uri":["x"]}}"#), DiscoveryError::JwksUri),
            ("<html>".to_owned(), DiscoveryError::NotADocument),
            (" ".repeat(MAX_DOCUMENT_BYTES + 1), DiscoveryError::NotADocument),
        ] {
            assert_eq!(jwks_path(document.as_bytes(), ENDPOINT), Err(expected), "{document:.80}");
        }
    }
}
