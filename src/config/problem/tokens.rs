//! Why an issuer, the server that is asked about its tokens, or a place of tokens is refused.

use super::Quoted;
use crate::http::place::MAX_PLACES;

/// Why a field of an issuer is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    /// Another entry has the same issuer.
    #[error("is listed twice; one entry must hold all of it")]
    Twice,
    /// A token could match that entry's issuer too.
    #[error("a token could be of this issuer and of jwt[{0}]; one entry must hold both")]
    Overlaps(usize),
    /// The header with all claims is also that of one claim.
    #[error("{0} is one of `headers` already; a header has one value")]
    HeaderOfClaim(Quoted),
    /// Nothing is verified.
    #[error(
        "does nothing where tokens are asked about; it is for those that are verified with `jwks_uri` or `jwks`"
    )]
    NothingVerified,
    /// The keys are those of an AWS load balancer.
    #[error(
        "is that of an AWS load balancer, which publishes no key set and pads base64, as no JWT may: its tokens cannot \
         be verified here. Ask the server that the load balancer asks, or have it send its own tokens"
    )]
    LoadBalancer,
    /// The keys would come from two sources.
    #[error("cannot be combined with `jwks_uri`")]
    BesideKeysUrl,
    /// The keys are inline, so no server is asked for them.
    #[error("does nothing with `jwks`, which is not asked for")]
    UpstreamOfInlineKeys,
    /// No server is asked for keys.
    #[error("does nothing without `jwks_uri`; `introspection` has its own")]
    UpstreamOfNoKeys,
    /// The issuer of that entry has an authorization server already.
    #[error("jwt[{0}] has one already, and a token that is not a JWT does not name its issuer")]
    SecondIntrospection(usize),
    /// Two servers would be asked.
    #[error(
        "cannot be combined with `forward_auth`: both would be asked about a token that is no JWT; choose one"
    )]
    IntrospectionBesideForwardAuth,
}

/// Why a field of `introspection` is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntrospectionError {
    /// There would be two values of `Authorization`.
    #[error("cannot be combined with `client_id`: only one of them can be sent")]
    BesideClient,
    /// There is no client that this secret could belong to.
    #[error("does nothing without `client_id`; give that too")]
    SecretOfNobody,
}

/// Why a secret is refused. Shows nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It is not a string; perhaps it lacks its quotation marks.
    #[error("is not a string, as a secret must be; its value is not shown here")]
    NoText,
    /// It is empty.
    #[error("is empty; leave it out")]
    Empty,
    /// It contains a control character.
    #[error("has a control character, which no header can hold")]
    ControlCharacter,
    /// It has white space at an end.
    #[error("begins or ends with white space, which would be lost on the way")]
    WhiteSpace,
}

/// Why a place of tokens is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// It is already in the list.
    #[error("is listed twice")]
    Twice,
    /// There are too many before it.
    #[error(
        "is one place too many: at most {MAX_PLACES} different ones, of all issuers together, are looked at in each request"
    )]
    TooMany,
    /// It names no place.
    #[error("names no place; give `header`, `cookie`, `query` or `websocket_protocol`")]
    NoPlace,
    /// It names another place too.
    #[error("cannot be combined with `{0}`; a place has one of the two")]
    TwoPlaces(&'static str),
    /// Only headers have schemes.
    #[error("goes with `header` only")]
    SchemeWithoutHeader,
    /// Only this header can contain a token that is bound to a key.
    #[error("DPoP is a scheme of `authorization` only")]
    DpopElsewhere,
    /// Tokens with the scheme DPoP are accepted there anyway.
    #[error(
        "is taken with the scheme Bearer already; leave it out, or leave that out to take nothing but DPoP"
    )]
    DpopBesideBearer,
    /// Nobody could check a proof.
    #[error("needs tokens that are verified here, and `mode` `resolver` reads none; choose another mode")]
    DpopUnread,
    /// A client's header of that name is removed.
    #[error(
        "identifies the user to the app, and is removed from a client's request; a token needs another header"
    )]
    Identity,
}

/// Why a text does not name a place of tokens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceValueError {
    /// It is the header of all cookies.
    #[error("{0} holds many cookies; name the one with `cookie`")]
    Cookies(Quoted),
    /// It is the header of all subprotocols.
    #[error("{0} lists subprotocols; give the beginning of the one with `websocket_protocol`")]
    Subprotocols(Quoted),
    /// It is the header of proofs.
    #[error("{0} contains a proof; its token is in `{{header: authorization, scheme: Bearer}}`")]
    Proof(Quoted),
    /// Proxies use it for framing, routing or connections.
    #[error("{0} is the proxy's own; no token can stand there")]
    Proxys(Quoted),
    /// It is not a header name.
    #[error("{0} is not a header name")]
    NoHeader(Quoted),
    /// It is not a scheme.
    #[error("{0} is not one word, as \"Bearer\" is")]
    NoScheme(Quoted),
    /// It is not a cookie name.
    #[error("{0} is not a cookie name")]
    NoCookie(Quoted),
    /// No subprotocol begins with it.
    #[error("{0} begins no subprotocol, as \"bearer.\" does")]
    NoSubprotocol(Quoted),
}
