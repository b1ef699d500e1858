//! The values of the fields under `forward_auth`: strings, and the one that may be an object.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::auth_server::forward_auth::{
    self, CallHost, CallMethod, CookiePattern, CookiePatternError, KeyPart, KeyPartError, OriginalRequest,
    Template, Withheld,
};
use crate::config::field::{Choice, FieldType, Given};
use crate::config::problem::HeaderError;
use crate::config::typed::{header_name, refuse_untouchable, texts, whole_name};
use crate::http::header::{self, Pattern};
use crate::http::template::TemplateError;

impl Choice for CallMethod {
    const CHOICES: &'static [(&'static str, Self)] = &[("GET", Self::Get), ("HEAD", Self::Head)];
    const EXPECTED: &'static str = "`GET` or `HEAD`";
}

impl Choice for OriginalRequest {
    const CHOICES: &'static [(&'static str, Self)] =
        &[("x-forwarded", Self::XForwarded), ("x-original", Self::XOriginal), ("none", Self::None)];
    const EXPECTED: &'static str = "one of `x-forwarded`, `x-original`, `none`";
}

impl Choice for CallHost {
    const CHOICES: &'static [(&'static str, Self)] = &[("url", Self::Url), ("client", Self::Client)];
    const EXPECTED: &'static str = "`url` or `client`";
}

texts! {
    /// A client's header that is sent.
    RequestHeader: Pattern | HeaderError, "a string", request_header;

    /// The app's name for a header of an accepting answer.
    AppHeader: String | HeaderError, "a string", app_header;

    /// A header of an accepting answer, by the server's name for it.
    AnswerHeader: String | HeaderError, "a string", answer_header;

    /// The header of an accepting answer that lists roles.
    RolesHeader: String | HeaderError, "a string", roles_header;

    /// A header of an accepting answer that the client gets.
    SuccessHeader: Pattern | HeaderError, "a string", success_header;

    /// A header of a denial that the client gets.
    ClientHeader: Pattern | HeaderError, "a string", client_header;

    /// The name of a header that the operator sets, in lower case.
    ExtraHeader: String | HeaderError, "a string", extra_header;

    /// Its value.
    ExtraValue: Template | TemplateError, "a string", Template::parse;

    /// A cookie, or all cookies whose names begin alike.
    Cookie: CookiePattern | CookiePatternError, "a string", CookiePattern::parse;

    /// A part of `cache.key`.
    KeyPartText: KeyPart | KeyPartError, "a string", KeyPart::parse;
}

/// Parses a client's header that is sent.
fn request_header(text: &str) -> Result<Pattern, HeaderError> {
    let pattern = Pattern::parse(text)?;
    let (Pattern::Name(start) | Pattern::Prefix(start)) = &pattern;
    // A prefix may cover names that are never sent, as long as it covers others too.
    let refuse = match forward_auth::withheld(start.as_bytes()) {
        None => return Ok(pattern),
        Some(Withheld::Connection) => HeaderError::ClientsConnection,
        Some(Withheld::OriginalRequest) => HeaderError::Forgeable,
        Some(Withheld::Condition) => HeaderError::ClientsCondition,
        Some(Withheld::Proxy) => HeaderError::ClientsOrder,
    };
    Err(refuse(pattern.to_string().into()))
}

/// Parses a header of an accepting answer that the app gets.
fn identity_header(text: &str) -> Result<Pattern, HeaderError> {
    let pattern = Pattern::parse(text)?;
    refuse_untouchable(&pattern)?;
    if pattern.matches(b"set-cookie") { Err(HeaderError::CookieForClient) } else { Ok(pattern) }
}

/// Parses the app's name for a header of an accepting answer.
fn app_header(text: &str) -> Result<String, HeaderError> {
    let name = header_name(text)?;
    if header::is_same(name.as_bytes(), b"set-cookie") {
        return Err(HeaderError::CookieForApp);
    }
    Ok(name)
}

/// The headers that describe the original request to a server, and that the app trusts because the proxy sets them.
const DESCRIBING: [&str; 8] = [
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-method",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-server",
    "x-forwarded-uri",
];

/// Parses a header of an accepting answer, by the server's name for it. A client's header of that name is removed.
fn answer_header(text: &str) -> Result<String, HeaderError> {
    let name = whole_name(text)?;
    let is_same = |known: &&str| header::is_same(known.as_bytes(), name.as_bytes());
    let refuse = if header::is_hop_by_hop(name.as_bytes()) {
        HeaderError::Framing
    } else if header::begins_with(name.as_bytes(), b"content-") {
        HeaderError::DescribesBody
    } else if ["host", "cookie"].iter().chain(&DESCRIBING).any(is_same) {
        HeaderError::OfRequest
    } else if is_same(&"set-cookie") {
        HeaderError::ForClient
    } else {
        return Ok(name);
    };
    Err(refuse(name.into()))
}

/// Parses the header of an accepting answer that lists roles.
fn roles_header(text: &str) -> Result<String, HeaderError> {
    let name = answer_header(text)?;
    if header::is_same(name.as_bytes(), b"authorization") {
        return Err(HeaderError::RolesInCredential);
    }
    Ok(name)
}

/// Parses a header of an accepting answer that the client gets.
fn success_header(text: &str) -> Result<Pattern, HeaderError> {
    let pattern = Pattern::parse(text)?;
    let touched = match pattern.hop_by_hop() {
        Some(framing) => framing,
        None if pattern.reaches(b"content-") => "content-*",
        None => return Ok(pattern),
    };
    let shown = pattern.to_string().into();
    Err(match pattern {
        Pattern::Name(_) => HeaderError::BreaksResponse(shown),
        Pattern::Prefix(_) => HeaderError::CoversApps(shown, touched),
    })
}

/// Parses a header of a denial that the client gets.
fn client_header(text: &str) -> Result<Pattern, HeaderError> {
    match Pattern::parse(text)? {
        Pattern::Name(name) if header::is_hop_by_hop(name.as_bytes()) => {
            Err(HeaderError::ServersConnection(name.into()))
        }
        pattern @ (Pattern::Name(_) | Pattern::Prefix(_)) => Ok(pattern),
    }
}

/// Parses the name of a header that the operator sets, in lower case.
fn extra_header(text: &str) -> Result<String, HeaderError> {
    let name = text.to_ascii_lowercase();
    if !header::is_name(&name) {
        return Err(HeaderError::NoName(text.into()));
    }
    match forward_auth::withheld(name.as_bytes()) {
        None | Some(Withheld::OriginalRequest) => Ok(name),
        Some(Withheld::Connection) => Err(HeaderError::OfCall(name.into())),
        Some(Withheld::Condition) => Err(HeaderError::Condition(name.into())),
        Some(Withheld::Proxy) => Err(HeaderError::Order(name.into())),
    }
}

/// A header of an accepting answer that the app gets: a name, a prefix, or a renamed header.
pub(super) struct IdentityHeaderField;

/// The typed value of an [`IdentityHeaderField`].
pub(super) enum TypedIdentityHeader {
    /// A name, or a prefix of names.
    Same(Pattern),
    /// A renamed header.
    Renamed(RawRenamed),
}

/// A header of an accepting answer that the app knows by another name. Both fields are required.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(rename = "RenamedHeader", extend("required" = ["header", "from"]))
)]
pub(super) struct RawRenamed {
    /// The app's name for it.
    pub(super) header: Given<AppHeader>,
    /// The auth server's name for it.
    pub(super) from: Given<AnswerHeader>,
}

impl FieldType for IdentityHeaderField {
    type Value = TypedIdentityHeader;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TypedIdentityHeader, D::Error> {
        struct NameOrRenamed;

        impl<'de> Visitor<'de> for NameOrRenamed {
            type Value = TypedIdentityHeader;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, or `{header: …, from: …}` for one that the app knows by another name")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<TypedIdentityHeader, E> {
                identity_header(text).map(TypedIdentityHeader::Same).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<TypedIdentityHeader, A::Error> {
                RawRenamed::deserialize(MapAccessDeserializer::new(members)).map(TypedIdentityHeader::Renamed)
            }
        }

        deserializer.deserialize_any(NameOrRenamed)
    }

    #[cfg(feature = "schema")]
    fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let renamed = generator.subschema_for::<RawRenamed>();
        schemars::json_schema!({ "anyOf": [{ "type": "string" }, renamed] })
    }
}
