//! What is typed under `token_from`, and what becomes of it: the places where tokens may stand.

use serde::Deserialize;

use super::ConfigError;
use super::field::{Given, NonEmpty, Object, Problem};
use super::raw::repeated;
use super::typed::{NonEmptyText, texts};
use crate::http::header;
use crate::http::managed::Managed;
use crate::http::place::{Place, WEBSOCKET_PROTOCOL};

/// The places where the token may stand, as they are typed.
pub(super) type TokenFrom = NonEmpty<Object<RawPlace>>;

/// A place where the token may stand: one of `header`, `cookie`, `query` and `websocket_protocol`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Place"))]
pub(super) struct RawPlace {
    /// In the header of this name.
    header: Given<PlaceHeader>,
    /// The word before the token in that header, such as `Bearer`. Default: none; the whole value is the token.
    scheme: Given<SchemeField>,
    /// In the cookie of this name.
    cookie: Given<CookieName>,
    /// In the parameter of the query of this name.
    query: Given<NonEmptyText>,
    /// In the entry of `Sec-WebSocket-Protocol` that begins with this text; the rest is the token.
    websocket_protocol: Given<ProtocolPrefix>,
}

texts! {
    /// The name of a header, in lower case.
    PlaceHeader: String, "the name of a header", place_header;

    /// A scheme of credentials (RFC 9110 section 11.1).
    SchemeField: String, "a word such as \"Bearer\"", scheme;

    /// The name of a cookie.
    CookieName: String, "the name of a cookie", cookie_name;

    /// The beginning of a subprotocol.
    ProtocolPrefix: String, "the beginning of a subprotocol such as \"bearer.\"", protocol_prefix;
}

fn place_header(text: &str) -> Result<String, Problem> {
    let name = text.to_ascii_lowercase();
    let problem = match name.as_bytes() {
        b"cookie" => "holds many cookies; name the one with `cookie`",
        WEBSOCKET_PROTOCOL => "lists subprotocols; give the beginning of the one with `websocket_protocol`",
        b"dpop" => "holds a proof; its token stands in `{header: authorization, scheme: Bearer}`",
        b"host" => "is the proxy's own; no token can stand there",
        known if header::is_hop_by_hop(known) => "is the proxy's own; no token can stand there",
        _ if !header::is_name(&name) => "is no name of a header",
        _ => return Ok(name),
    };
    Err(Problem::new(format!("`{}` {problem}", name.escape_default())))
}

fn scheme(text: &str) -> Result<String, Problem> {
    if header::is_name(text) {
        return Ok(text.to_owned());
    }
    Err(Problem::new(format!("`{}` is not one word, as \"Bearer\" is", text.escape_default())))
}

fn cookie_name(text: &str) -> Result<String, Problem> {
    if header::is_name(text) {
        return Ok(text.to_owned());
    }
    Err(Problem::new(format!("`{}` is no name of a cookie", text.escape_default())))
}

fn protocol_prefix(text: &str) -> Result<String, Problem> {
    if Place::is_protocol_prefix(text) {
        return Ok(text.to_owned());
    }
    Err(Problem::new(format!("`{}` begins no subprotocol, as \"bearer.\" does", text.escape_default())))
}

/// The places that are typed at `path`; the default where there are none.
pub(super) fn checked(typed: Option<Vec<RawPlace>>, path: &str) -> Result<Vec<Place>, ConfigError> {
    let Some(typed) = typed else { return Ok(vec![Place::bearer()]) };
    let numbered = typed.into_iter().enumerate();
    let places: Vec<Place> =
        numbered.map(|(number, raw)| raw.check(&format!("{path}[{number}]"))).collect::<Result<_, _>>()?;
    if let Some((number, _)) = repeated(&places, Place::is_same) {
        return Err(ConfigError::new(format!("{path}[{number}]"), "stands there twice"));
    }
    let [bearer, dpop] = [Place::bearer(), Place::dpop()];
    let at = |wanted: &Place| places.iter().position(|place| place.is_same(wanted));
    match (at(&bearer), at(&dpop)) {
        (Some(_), Some(number)) => Err(ConfigError::new(
            format!("{path}[{number}]"),
            "is taken with the scheme Bearer already; leave it out, or leave that out to take nothing but DPoP",
        )),
        _ => Ok(places),
    }
}

/// Refuses tokens that are bound to a key where nobody reads them: no proof can be checked.
pub(super) fn refuse_dpop(places: &[Place], path: &str) -> Result<(), ConfigError> {
    match places.iter().position(|place| place.is_same(&Place::dpop())) {
        Some(number) => Err(ConfigError::new(
            format!("{path}[{number}].scheme"),
            "needs tokens that are verified here, and `mode` `resolver` reads none; choose another mode",
        )),
        None => Ok(()),
    }
}

/// Refuses a header that tells the app who asks: a client's is removed.
pub(super) fn refuse_identities(places: &[Place], managed: &Managed, path: &str) -> Result<(), ConfigError> {
    let is_identity = |place: &Place| match place {
        // A credential to some, an identity to others: forward-auth servers replace it.
        Place::Header { name, .. } => name != b"authorization" && managed.contains(name),
        Place::Cookie(_) | Place::Query(_) | Place::WebSocketProtocol(_) => false,
    };
    match places.iter().position(is_identity) {
        Some(number) => Err(ConfigError::new(
            format!("{path}[{number}].header"),
            "tells the app who asks, and is removed from what a client sends; a token needs another header",
        )),
        None => Ok(()),
    }
}

impl RawPlace {
    fn check(self, path: &str) -> Result<Place, ConfigError> {
        let bytes = |text: Option<String>| text.map(String::into_bytes);
        let scheme = bytes(self.scheme.0);
        let has_scheme = scheme.is_some();
        let is_dpop = scheme.as_ref().is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"dpop"));
        let header = bytes(self.header.0).map(|name| Place::Header { name, scheme });
        if is_dpop && header.as_ref().is_some_and(|header| !header.is_same(&Place::dpop())) {
            return Err(ConfigError::new(
                format!("{path}.scheme"),
                "DPoP is a scheme of `authorization` only",
            ));
        }
        if has_scheme && header.is_none() {
            return Err(ConfigError::new(format!("{path}.scheme"), "goes with `header` only"));
        }
        let given = [
            ("header", header),
            ("cookie", bytes(self.cookie.0).map(Place::Cookie)),
            ("query", bytes(self.query.0).map(Place::Query)),
            ("websocket_protocol", bytes(self.websocket_protocol.0).map(Place::WebSocketProtocol)),
        ];
        let mut given = given.into_iter().filter_map(|(name, place)| Some((name, place?)));
        match (given.next(), given.next()) {
            (Some((_, place)), None) => Ok(place),
            (Some((one, _)), Some((other, _))) => Err(ConfigError::new(
                format!("{path}.{other}"),
                format!("stands beside `{one}`; a place has one of the two"),
            )),
            (None, _) => Err(ConfigError::new(
                path,
                "names no place; give `header`, `cookie`, `query` or `websocket_protocol`",
            )),
        }
    }
}
