//! The field `token_from`: as typed, and checked into the places of tokens.

use serde::Deserialize;

use super::field::{Given, NonEmpty, Object, repeated};
use super::problem::{ConfigError, PlaceError, PlaceValueError};
use super::typed::{NonEmptyText, texts};
use crate::http::header;
use crate::http::managed::Managed;
use crate::http::place::{MAX_PLACES, Place, WEBSOCKET_PROTOCOL};

/// The typed places of the token.
pub(super) type TokenFrom = NonEmpty<Object<RawPlace>>;

/// A place of the token: one of `header`, `cookie`, `query` and `websocket_protocol`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Place"))]
pub(super) struct RawPlace {
    /// In the header of this name.
    header: Given<PlaceHeader>,
    /// The word before the token in that header, such as `Bearer`. Default: none, so that the whole value is the
    /// token.
    scheme: Given<SchemeField>,
    /// In the cookie of this name.
    cookie: Given<CookieName>,
    /// In the query parameter of this name.
    query: Given<NonEmptyText>,
    /// In the entry of `Sec-WebSocket-Protocol` that begins with this text; the rest is the token.
    websocket_protocol: Given<ProtocolPrefix>,
}

texts! {
    /// The name of a header, in lower case.
    PlaceHeader: String | PlaceValueError, "the name of a header", place_header;

    /// A scheme of credentials (RFC 9110 section 11.1).
    SchemeField: String | PlaceValueError, "a word such as \"Bearer\"", scheme;

    /// The name of a cookie.
    CookieName: String | PlaceValueError, "the name of a cookie", cookie_name;

    /// The beginning of a subprotocol.
    ProtocolPrefix: String | PlaceValueError, "the beginning of a subprotocol such as \"bearer.\"", protocol_prefix;
}

fn place_header(text: &str) -> Result<String, PlaceValueError> {
    let name = text.to_ascii_lowercase();
    let refuse = match name.as_bytes() {
        b"cookie" => PlaceValueError::Cookies,
        WEBSOCKET_PROTOCOL => PlaceValueError::Subprotocols,
        b"dpop" => PlaceValueError::Proof,
        b"host" => PlaceValueError::Proxys,
        known if header::is_hop_by_hop(known) => PlaceValueError::Proxys,
        _ if !header::is_name(&name) => PlaceValueError::NoHeader,
        _ => return Ok(name),
    };
    Err(refuse(name.into()))
}

fn scheme(text: &str) -> Result<String, PlaceValueError> {
    if header::is_name(text) { Ok(text.to_owned()) } else { Err(PlaceValueError::NoScheme(text.into())) }
}

fn cookie_name(text: &str) -> Result<String, PlaceValueError> {
    if header::is_name(text) { Ok(text.to_owned()) } else { Err(PlaceValueError::NoCookie(text.into())) }
}

fn protocol_prefix(text: &str) -> Result<String, PlaceValueError> {
    if Place::is_protocol_prefix(text) {
        return Ok(text.to_owned());
    }
    Err(PlaceValueError::NoSubprotocol(text.into()))
}

/// Returns the places typed at `path`; the default if there are none.
pub(super) fn checked(typed: Option<Vec<RawPlace>>, path: &str) -> Result<Vec<Place>, ConfigError> {
    let Some(typed) = typed else { return Ok(vec![Place::bearer()]) };
    let numbered = typed.into_iter().enumerate();
    let places: Vec<Place> =
        numbered.map(|(number, raw)| raw.check(&format!("{path}[{number}]"))).collect::<Result<_, _>>()?;
    if places.len() > MAX_PLACES {
        return Err(ConfigError::new(format!("{path}[{MAX_PLACES}]"), PlaceError::TooMany));
    }
    if let Some((number, _)) = repeated(&places, Place::is_same) {
        return Err(ConfigError::new(format!("{path}[{number}]"), PlaceError::Twice));
    }
    let [bearer, dpop] = [Place::bearer(), Place::dpop()];
    let at = |wanted: &Place| places.iter().position(|place| place.is_same(wanted));
    match (at(&bearer), at(&dpop)) {
        (Some(_), Some(number)) => {
            Err(ConfigError::new(format!("{path}[{number}]"), PlaceError::DpopBesideBearer))
        }
        _ => Ok(places),
    }
}

/// Refuses the scheme of bound tokens where tokens are not verified, because no proof could be checked.
pub(super) fn refuse_dpop(places: &[Place], path: &str) -> Result<(), ConfigError> {
    match places.iter().position(|place| place.is_same(&Place::dpop())) {
        Some(number) => Err(ConfigError::new(format!("{path}[{number}].scheme"), PlaceError::DpopUnread)),
        None => Ok(()),
    }
}

/// Refuses a header that identifies the user to the app, because a client's is removed.
pub(super) fn refuse_identities(places: &[Place], managed: &Managed, path: &str) -> Result<(), ConfigError> {
    let is_identity = |place: &Place| match place {
        // Some take it as a credential, others as an identity: forward-auth servers replace it.
        Place::Header { name, .. } => name != b"authorization" && managed.contains(name),
        Place::Cookie(_) | Place::Query(_) | Place::WebSocketProtocol(_) => false,
    };
    match places.iter().position(is_identity) {
        Some(number) => Err(ConfigError::new(format!("{path}[{number}].header"), PlaceError::Identity)),
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
            return Err(ConfigError::new(format!("{path}.scheme"), PlaceError::DpopElsewhere));
        }
        if has_scheme && header.is_none() {
            return Err(ConfigError::new(format!("{path}.scheme"), PlaceError::SchemeWithoutHeader));
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
            (Some((one, _)), Some((other, _))) => {
                Err(ConfigError::new(format!("{path}.{other}"), PlaceError::TwoPlaces(one)))
            }
            (None, _) => Err(ConfigError::new(path, PlaceError::NoPlace)),
        }
    }
}
