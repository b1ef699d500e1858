//! The headers of a client that are never sent to an auth server, whatever is configured.

use crate::http::header;

/// Why a client's header is never sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withheld {
    /// It frames the client's message, or concerns the client's connection.
    Connection,
    /// It describes the original request, which the filter does itself.
    OriginalRequest,
    /// It would change the meaning of the answer.
    Condition,
    /// It instructs the proxy. Envoy's router obeys it on the call too, if it considers the client internal.
    Proxy,
}

/// Returns why a client's header is never sent, whatever is configured; `None` if it may be.
#[must_use]
pub fn withheld(name: &[u8]) -> Option<Withheld> {
    let is_one_of = |names: &[&[u8]]| names.iter().any(|known| header::is_same(known, name));
    if header::is_hop_by_hop(name) || is_one_of(&[b"host"]) {
        return Some(Withheld::Connection);
    }
    if is_one_of(&[b"forwarded", b"x-real-ip"])
        || header::begins_with(name, b"x-forwarded-")
        || header::begins_with(name, b"x-original-")
    {
        return Some(Withheld::OriginalRequest);
    }
    if header::begins_with(name, b"x-envoy-") {
        return Some(Withheld::Proxy);
    }
    let conditions: [&[u8]; 6] =
        [b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"if-range", b"range"];
    is_one_of(&conditions).then_some(Withheld::Condition)
}
