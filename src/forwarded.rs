//! What a call tells an auth server about the way that a request came: headers that inform, and that the call
//! can do without.

use crate::request::Head;

/// The most bytes of a header that only informs the resolver (tracing, the user agent, the chain of proxies).
/// A longer one is left out: what a client sends must not make the auth server fail.
pub const MAX_INFORMATIVE: usize = 4 * 1024;

/// The chain of proxies as the client's side tells it, and the connection's address at its end, which is the
/// only part that can be trusted. Envoy has appended it already.
#[must_use]
pub fn chain(head: &Head<'_>) -> Option<Vec<u8>> {
    let told: Vec<_> =
        head.values(b"x-forwarded-for").map(<[u8]>::trim_ascii).filter(|v| !v.is_empty()).collect();
    let told = told.join(b", ".as_slice());
    let told = if can_inform(&told) { told } else { Vec::new() };
    let Some(address) = (head.client_address)().map(|address| address.to_string().into_bytes()) else {
        return (!told.is_empty()).then_some(told);
    };
    let last = told.rsplit(|&byte| byte == b',').next().unwrap_or_default().trim_ascii();
    if last == address {
        return Some(told);
    }
    Some(if told.is_empty() { address } else { [told, address].join(b", ".as_slice()) })
}

/// Whether the value of such a header can be sent. APISIX refuses one with a control byte, and then there would
/// be no answer.
#[must_use]
pub fn can_inform(value: &[u8]) -> bool {
    value.len() <= MAX_INFORMATIVE && !value.iter().any(u8::is_ascii_control)
}
