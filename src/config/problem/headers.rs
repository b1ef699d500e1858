//! Why a header may not be listed in a field.

use super::Quoted;
use crate::http::header::PatternError;

/// Why a header name, or a prefix of names, is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// It is neither a name nor a prefix of names.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// It is not a name.
    #[error("{0} is not a header name")]
    NoName(Quoted),
    /// It could be a prefix, but one name is required.
    #[error("{0} is not a header name; give one whole name here")]
    NotWhole(Quoted),
    /// Proxies use it for framing, routing or connections.
    #[error("{0} is the proxy's own; no identity may be put there")]
    NoIdentity(Quoted),
    /// It covers names that proxies use for framing, routing or connections.
    #[error("{0} would touch `{1}`, which is the proxy's own; give a longer beginning")]
    CoversProxys(Quoted, &'static str),
    /// The client gets cookies through another field.
    #[error("`set-cookie` goes to the client anyway")]
    CookieForClient,
    /// Apps do not read such a header.
    #[error("`set-cookie` is no header of a request")]
    CookieForApp,
    /// A client's header that concerns its connection.
    #[error("{0} is never sent: it concerns the client's connection only")]
    ClientsConnection(Quoted),
    /// A client's header that describes the original request.
    #[error(
        "{0} is never sent: it tells of the original request, which a client could forge; see `original_request`, or \
         set it in `extra_headers`, where {{client_ip}} and others stand for what is so"
    )]
    Forgeable(Quoted),
    /// A client's header that changes the server's answer.
    #[error("{0} is never sent: it would change what the answer means")]
    ClientsCondition(Quoted),
    /// A client's header that the proxy would obey.
    #[error("{0} is never sent: it would tell the proxy what to do with the call")]
    ClientsOrder(Quoted),
    /// A header that frames an answer.
    #[error(
        "{0} does not identify the user: it frames the answer, or concerns the connection to the server only"
    )]
    Framing(Quoted),
    /// A header that describes an answer's body.
    #[error("{0} does not identify the user: it describes a body")]
    DescribesBody(Quoted),
    /// A header of a request.
    #[error("{0} does not identify the user: it belongs to a request, where it is the proxy's own")]
    OfRequest(Quoted),
    /// A header that only clients read.
    #[error("{0} does not identify the user: it is for the client alone")]
    ForClient(Quoted),
    /// A credential is not a list of roles.
    #[error("`authorization` holds a credential, which is not a list of roles")]
    RolesInCredential,
    /// A header of an accepting answer that would break the app's response.
    #[error("{0} is never passed on: the response is the app's, with its own body on its own connection")]
    BreaksResponse(Quoted),
    /// It covers headers that the app's response sets itself.
    #[error("{0} would touch `{1}`, which is the app's own; give a longer beginning")]
    CoversApps(Quoted, &'static str),
    /// A header of a denial that concerns its connection.
    #[error("{0} is never passed on: it concerns the connection to the server only")]
    ServersConnection(Quoted),
    /// A header that each call already has.
    #[error(
        "{0} is the call's own; the host is that of `forward_auth.url`, or the client's where `host` says so"
    )]
    OfCall(Quoted),
    /// A header that would change the server's answer.
    #[error("{0} would change what the answer means")]
    Condition(Quoted),
    /// A header that the proxy would obey.
    #[error("{0} would tell the proxy what to do with the call")]
    Order(Quoted),
}
