//! What a call tells an auth server about the way that a request came: headers that inform, and that the call
//! can do without.

use crate::http::Head;
use crate::http::header::has_control;

/// The most bytes of a header that only informs the resolver (tracing, the user agent, the chain of proxies).
/// A longer one is left out: what a client sends must not make the auth server fail.
pub const MAX_INFORMATIVE: usize = 4 * 1024;

/// The chain of proxies as the client's side tells it, and the connection's address at its end, which is the
/// only part that can be trusted. Envoy has appended it already.
#[must_use]
pub fn chain(head: &Head<'_>) -> Option<Vec<u8>> {
    let mut chain = Vec::new();
    for told in head.values(b"x-forwarded-for").map(<[u8]>::trim_ascii).filter(|told| !told.is_empty()) {
        append(&mut chain, told);
    }
    if !can_inform(&chain) {
        chain.clear();
    }
    if let Some(address) = (head.client_address)().map(|address| address.to_string()) {
        let last = chain.rsplit(|&byte| byte == b',').next().unwrap_or_default().trim_ascii();
        if last != address.as_bytes() {
            append(&mut chain, address.as_bytes());
        }
    }
    (!chain.is_empty()).then_some(chain)
}

fn append(chain: &mut Vec<u8>, more: &[u8]) {
    if !chain.is_empty() {
        chain.extend_from_slice(b", ");
    }
    chain.extend_from_slice(more);
}

/// Whether the value of such a header can be sent. APISIX refuses one with a control byte, and then there would
/// be no answer. The SDK sends text only.
#[must_use]
pub fn can_inform(value: &[u8]) -> bool {
    value.len() <= MAX_INFORMATIVE && !has_control(value) && std::str::from_utf8(value).is_ok()
}
