//! The token of a request: where it stands, what it says, and whether the configured keys and policies accept it. It is
//! judged by the filter's own code; here stand the words.

use authgear_filter::config::{Config, Issuer, Keys};
use authgear_filter::http::place::{Found, Place};
use authgear_filter::http::{Head, UnixTime};
use authgear_filter::jose::{Backend, KeySet, Refusal, Token};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Map, Value};

use super::lossy;

/// What is told of a token. Never the token itself: its signature is left out.
#[derive(Debug, Serialize)]
pub(crate) struct ToldToken {
    /// Where it stands.
    pub(super) place: String,
    /// Its header; none where it is no JWT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) header: Option<Map<String, Value>>,
    /// Its claims; none where it is no JWT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) claims: Option<Map<String, Value>>,
    /// Whether it is good by itself; none where that is not decided here. What rules demand comes after it.
    pub(super) accepted: Option<bool>,
    /// Why, in words.
    pub(super) why: String,
}

/// Finds the token of a request and judges it. Also returns the token's bytes, so that they can be kept out of
/// everything that is shown.
pub(super) fn judge(
    config: &Config,
    head: &Head<'_>,
    keys: Option<&[u8]>,
    now: UnixTime,
) -> Option<(ToldToken, Vec<u8>)> {
    let bound = Place::dpop();
    let places = config.token_from.iter().chain([&bound]);
    let (place, found) =
        places.map(|place| (place, place.find(head))).find(|(_, found)| *found != Found::Nothing)?;
    let place = named(place);
    let Found::Token(token) = found else {
        let why =
            "several tokens stand there, or bytes that no token has: the request has no session".to_owned();
        return Some((
            ToldToken { place, header: None, claims: None, accepted: Some(false), why },
            Vec::new(),
        ));
    };
    let bytes = token.secret().reveal().to_vec();
    let mut parts = bytes.split(|&byte| byte == b'.');
    let (header, claims) = (parts.next().and_then(decoded), parts.next().and_then(decoded));
    let (accepted, why) = verdict(config, &bytes, header.as_ref(), claims.as_ref(), keys, now);
    Some((ToldToken { place, header, claims, accepted, why }, bytes))
}

fn named(place: &Place) -> String {
    match place {
        Place::Header { name, scheme: Some(scheme) } => {
            format!("header `{}: {} …`", lossy(name), lossy(scheme))
        }
        Place::Header { name, scheme: None } => format!("header `{}`", lossy(name)),
        Place::Cookie(name) => format!("cookie `{}`", lossy(name)),
        Place::Query(name) => format!("query `{}`", lossy(name)),
        Place::WebSocketProtocol(prefix) => format!("Sec-WebSocket-Protocol, after `{}`", lossy(prefix)),
    }
}

/// A segment of a JWT, as JSON.
fn decoded(segment: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(segment).ok()?).ok()
}

type Decoded<'a> = Option<&'a Map<String, Value>>;

fn verdict(
    config: &Config,
    bytes: &[u8],
    header: Decoded<'_>,
    claims: Decoded<'_>,
    keys: Option<&[u8]>,
    now: UnixTime,
) -> (Option<bool>, String) {
    if config.issuers.is_empty() {
        return (None, "no tokens are judged here: the auth server is asked".to_owned());
    }
    let asked = config.server.is_some();
    let parsed = match Token::parse(bytes) {
        Ok(parsed) => parsed,
        Err(_) if asked && header.is_none() => {
            return (None, "it is no JWT: the auth server is asked".to_owned());
        }
        Err(refusal) => return (Some(false), refusal.to_string()),
    };
    let name = parsed.unverified_issuer().unwrap_or_default().to_owned();
    let Some(issuer) = config.issuers.iter().find(|issuer| issuer.policy.issuer.may_be(&name)) else {
        let known: Vec<_> = config.issuers.iter().map(|issuer| issuer.policy.issuer.to_string()).collect();
        let what = if config.forward_auth().is_some() { "the auth server is asked" } else { "it is refused" };
        let why = format!(
            "its `iss` is {}, and the configuration lists {}: {what}",
            quoted(&name),
            known.join(", ")
        );
        return (config.forward_auth().is_none().then_some(false), why);
    };
    let set = match (&issuer.keys, keys) {
        (Keys::Inline(set), _) => Some(set.clone()),
        (Keys::Fetched { .. }, Some(keys)) => KeySet::parse(keys).ok(),
        (Keys::Fetched { .. }, None) => None,
        (Keys::Absent, _) => {
            return (None, "this issuer has no keys here: its server is asked about the token".to_owned());
        }
    };
    let judged = match &set {
        Some(set) => {
            parsed.verify(&issuer.policy, set, Backend::Portable, now).map(|verified| Some(verified.expires))
        }
        None => parsed.check(&issuer.policy, now).map(|_expires| None),
    };
    match judged {
        Ok(Some(expires)) if expires == UnixTime::END => {
            (Some(true), "good, and it does not expire".to_owned())
        }
        Ok(Some(expires)) => {
            let left = expires.since(now).as_secs();
            (Some(true), format!("good; it is refused in {}, leeway included", duration(left)))
        }
        Ok(None) => {
            let why = "good but for its signature, which was not checked: give the issuer's keys with --jwks";
            (None, why.to_owned())
        }
        Err(refusal) => {
            let details = details(refusal, issuer, header, claims, set.as_ref(), now);
            let details = details.map(|details| format!(": {details}")).unwrap_or_default();
            (Some(false), format!("{refusal}{details}"))
        }
    }
}

/// What of the token the refusal is about, beside what was configured.
fn details(
    refusal: Refusal,
    issuer: &Issuer,
    header: Decoded<'_>,
    claims: Decoded<'_>,
    keys: Option<&KeySet>,
    now: UnixTime,
) -> Option<String> {
    let policy = &issuer.policy;
    let of = |map: Decoded<'_>, name: &str| map.and_then(|map| map.get(name)).cloned();
    let said = |map: Decoded<'_>, name: &str| match of(map, name) {
        Some(value) => format!("`{name}` is {value}"),
        None => format!("there is no `{name}`"),
    };
    let time = |name: &str| of(claims, name).and_then(|value| value.as_u64().or(value.as_f64().map(|_| 0)));
    let apart = |at: u64| duration(at.abs_diff(now.as_secs()));
    let leeway = policy.leeway.as_secs();
    let list = |list: &[String]| list.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(", ");
    if refusal == Refusal::Issuer {
        return Some(format!("{}, and the configuration says {}", said(claims, "iss"), policy.issuer));
    }
    if refusal == Refusal::Audience || refusal == Refusal::IdToken {
        return Some(format!("{}; accepted: {}", said(claims, "aud"), list(&policy.audiences)));
    }
    if refusal == Refusal::ClientId {
        let named = if of(claims, "client_id").is_none() && policy.reads_azp { "azp" } else { "client_id" };
        return Some(format!("{}; accepted: {}", said(claims, named), list(&policy.client_ids)));
    }
    if refusal == Refusal::Type {
        let accepted: Vec<_> = policy.types.iter().map(|typ| typ.name().to_owned()).collect();
        return Some(format!("{} in its header; accepted: {}", said(header, "typ"), list(&accepted)));
    }
    if refusal == Refusal::AlgorithmNotAllowed {
        let accepted: Vec<_> = policy.algorithms.iter().map(|algorithm| algorithm.name()).collect();
        return Some(format!("{}; configured: {}", said(header, "alg"), accepted.join(", ")));
    }
    if refusal == Refusal::Expired {
        return time("exp").map(|at| format!("`exp` was {} ago ({at}); leeway is {leeway} s", apart(at)));
    }
    if refusal == Refusal::NotYetValid {
        return time("nbf").map(|at| format!("`nbf` is in {} ({at}); leeway is {leeway} s", apart(at)));
    }
    if refusal == Refusal::IssuedInFuture {
        return time("iat").map(|at| format!("`iat` is in {} ({at}); leeway is {leeway} s", apart(at)));
    }
    if [Refusal::UnknownKey, Refusal::AlgorithmNotOfKey, Refusal::Signature].contains(&refusal) {
        let kids = keys.map(|keys| keys.keys().iter().map(|key| key.kid().map_or("none".to_owned(), quoted)));
        let kids = kids.map(|kids| kids.collect::<Vec<_>>().join(", ")).unwrap_or_default();
        return Some(format!(
            "{} and {}; the `kid`s of the keys: {kids}",
            said(header, "kid"),
            said(header, "alg")
        ));
    }
    None
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// A span of time in its two largest units.
fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}
