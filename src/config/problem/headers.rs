//! Why a header cannot be listed in a field.

use super::Quoted;
use crate::http::header::PatternError;

/// Why a header's name, or a beginning of names, is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// It is neither a name nor a beginning of names.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// It is no name.
    #[error("{0} is no name of a header")]
    NoName(Quoted),
    /// It could be a beginning of names, and one name is wanted.
    #[error("{0} is no name of a header; give one whole name here")]
    NotWhole(Quoted),
    /// Proxies frame, route or connect by it.
    #[error("{0} is the proxy's own; no identity may be put there")]
    NoIdentity(Quoted),
    /// It covers names by which proxies frame, route or connect.
    #[error("{0} would touch `{1}`, which is the proxy's own; give a longer beginning")]
    CoversProxys(Quoted, &'static str),
    /// The client gets cookies by another field.
    #[error("`set-cookie` goes to the client anyway")]
    CookieForClient,
    /// Apps read no such header.
    #[error("`set-cookie` is no header of a request")]
    CookieForApp,
    /// A header of the client's that concerns its connection.
    #[error("{0} is never sent: it concerns the client's connection only")]
    ClientsConnection(Quoted),
    /// A header of the client's that tells of the original request.
    #[error(
        "{0} is never sent: it tells of the original request, which a client could forge; see `original_request`, or \
         set it in `extra_headers`, where {{client_ip}} and others stand for what is so"
    )]
    Forgeable(Quoted),
    /// A header of the client's that the server would answer by.
    #[error("{0} is never sent: it would change what the answer means")]
    ClientsCondition(Quoted),
    /// A header of the client's that the proxy would obey.
    #[error("{0} is never sent: it would tell the proxy what to do with the call")]
    ClientsOrder(Quoted),
    /// A header of an answer that frames it.
    #[error("{0} tells nobody who asks: it frames the answer, or concerns the connection to the server only")]
    Framing(Quoted),
    /// A header of an answer that describes its body.
    #[error("{0} tells nobody who asks: it describes a body")]
    DescribesBody(Quoted),
    /// A header of a request.
    #[error("{0} tells nobody who asks: it belongs to a request, where it is the proxy's own")]
    OfRequest(Quoted),
    /// A header that only clients read.
    #[error("{0} tells nobody who asks: it is for the client alone")]
    ForClient(Quoted),
    /// A credential is no list of roles.
    #[error("`authorization` holds a credential, which is no list of roles")]
    RolesInCredential,
    /// A header of an accepting answer that would break the app's response.
    #[error("{0} is never handed on: the response is the app's, with its own body on its own connection")]
    BreaksResponse(Quoted),
    /// It covers headers that the app's response has of its own.
    #[error("{0} would touch `{1}`, which is the app's own; give a longer beginning")]
    CoversApps(Quoted, &'static str),
    /// A header of a denial that concerns its connection.
    #[error("{0} is never handed on: it concerns the connection to the server only")]
    ServersConnection(Quoted),
    /// A header that each call has already.
    #[error(
        "{0} is the call's own; the host is that of `forward_auth.url`, or the client's where `host` says so"
    )]
    OfCall(Quoted),
    /// A header by which the server would answer otherwise.
    #[error("{0} would change what the answer means")]
    Condition(Quoted),
    /// A header that the proxy would obey.
    #[error("{0} would tell the proxy what to do with the call")]
    Order(Quoted),
}
