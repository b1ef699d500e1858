//! One request in full, for the debug log: what was asked about it and what came of it. Never a credential: of a URL the
//! query is left out, and of headers there are only names.
//!
//! Lines are put together from pieces, because formatting takes more room in the module.

use std::time::Duration;

use super::access_log::NOTHING;
use crate::engine::{CacheStatus, Decision, Explanation, Verdict};
use crate::http::{Call, Head};

/// Whether the debug log is written.
pub(super) fn is_wanted() -> bool {
    log::log_enabled!(log::Level::Debug)
}

/// How the log names a request.
#[cold]
pub(super) fn name(head: &Head<'_>) -> Vec<u8> {
    [head.method, b" ", head.authority, without_query(head.path)].concat()
}

/// A call is sent.
#[cold]
pub(super) fn call(token: u32, call: &Call) {
    let field = |name: &[u8]| call.fields.value(name).map(without_query).unwrap_or_default();
    let token = token.to_string();
    let upstream = call.upstream.as_bytes();
    let (method, authority, path) = (field(b":method"), field(b":authority"), field(b":path"));
    write(&[b"call ", token.as_bytes(), b" to ", upstream, b": ", method, b" ", authority, path]);
}

/// What came of a call: the status of its answer, if there is one.
#[cold]
pub(super) fn answer(token: u32, status: Option<u16>, took: Duration) {
    let status = status.map(|status| status.to_string());
    let status = status.as_deref().unwrap_or("by nothing usable").as_bytes();
    let took = milliseconds(took);
    write(&[
        b"call ",
        token.to_string().as_bytes(),
        b" was answered ",
        status,
        b" after ",
        took.as_bytes(),
        b" ms",
    ]);
}

/// What becomes of a request, and why; `spent` is its time in the filter.
#[cold]
pub(super) fn decision(name: &[u8], decision: &Decision, spent: Duration) {
    let Decision { verdict, outcome, explanation } = decision;
    let Explanation { reason, cache, user, issuer } = explanation;
    let mut done = Vec::new();
    match verdict {
        Verdict::Forward(edits) => {
            done.extend_from_slice(b"forwarded, removed:");
            edits.remove.iter().for_each(|name| list(name, &mut done));
            done.extend_from_slice(b"; set:");
            edits.set.iter().for_each(|(name, _)| list(name, &mut done));
        }
        Verdict::Reply(reply) => {
            done.extend_from_slice(b"answered with ");
            done.extend_from_slice(reply.status.to_string().as_bytes());
        }
    }
    let reason = reason.map(|reason| reason.to_string());
    write(&[
        b"request ",
        name,
        b": ",
        &done,
        b". Outcome: ",
        outcome.name().as_bytes(),
        b"; reason: ",
        reason.as_deref().unwrap_or(NOTHING).as_bytes(),
        b"; cache: ",
        cache.map_or(NOTHING, CacheStatus::name).as_bytes(),
        b"; user: ",
        user.as_deref().unwrap_or(NOTHING.as_bytes()),
        b"; issuer: ",
        issuer.as_deref().unwrap_or(NOTHING).as_bytes(),
        b"; time: ",
        milliseconds(spent).as_bytes(),
        b" ms",
    ]);
}

#[inline(never)]
fn write(pieces: &[&[u8]]) {
    log::debug!("{}", String::from_utf8_lossy(&pieces.concat()));
}

fn list(name: &[u8], names: &mut Vec<u8>) {
    names.push(b' ');
    names.extend_from_slice(name);
}

fn milliseconds(time: Duration) -> String {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).to_string()
}

fn without_query(path: &[u8]) -> &[u8] {
    path.split(|&byte| byte == b'?').next().unwrap_or_default()
}
