//! The proxy's functions, with the differences between proxies evened out.

use std::cell::Cell;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proxy_wasm::types::{BufferType, MapType};

use super::{pairs, raw, reply};
use crate::engine::{Decision, Engine, Outcome, Verdict};
use crate::http::{
    BadHead, CallError, Field, Fields, HeaderEdits, Reply, Response, ResponseEdits, WantedBody, grpc,
};
use crate::jose;
use crate::telemetry::Counter;

/// How many of a client's headers a proxy without ticks lists.
const LISTED: usize = 100;

/// The proxy did not carry out a call of the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProxyRefused;

impl From<raw::HostStatus> for ProxyRefused {
    fn from(_status: raw::HostStatus) -> Self {
        Self
    }
}

thread_local! {
    static HAS_TICKS: Cell<Option<bool>> = const { Cell::new(None) };
}

/// Finds out whether the proxy has ticks, once per VM. It compares no versions, and costs no request anything. The
/// test stops the ticks of the current root context.
pub(super) fn discover() {
    if HAS_TICKS.get().is_none() {
        HAS_TICKS.set(Some(raw::set_tick_period(0).is_ok()));
    }
}

/// Returns whether the proxy has ticks, and with them calls outside requests. wasm-nginx-module (APISIX) has neither,
/// and more limits: it lists at most 100 headers, crashes when listing those of a request without `Host`, runs the
/// callback of an answer for the request that sent the call, and lets that request through if the callback does
/// nothing.
pub(super) fn has_ticks() -> bool {
    HAS_TICKS.get().unwrap_or(false)
}

/// Sets the period of the current root context's ticks.
pub(super) fn set_tick_period(period: Duration) {
    let milliseconds = u32::try_from(period.as_millis()).unwrap_or(u32::MAX).max(1);
    if raw::set_tick_period(milliseconds).is_err() {
        log::warn!("the proxy did not change the period of its ticks");
    }
}

/// Returns a different random number each time.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(())
}

/// Asks the proxy to verify a signature, as [`jose::ProxyVerify`] describes. `None` if it has no such function.
pub(super) fn verify_signature(
    hash: &str,
    spki_der: &[u8],
    signature: &[u8],
    message: &[u8],
) -> Option<bool> {
    let argument = jose::proxy_verify::argument(hash, spki_der, signature, message);
    raw::call_foreign_function(jose::proxy_verify::FUNCTION, &argument)
        .ok()
        .map(|answer| jose::proxy_verify::accepts(&answer))
}

/// Returns the plugin's configuration.
pub(super) fn configuration(size: usize) -> Result<Vec<u8>, ProxyRefused> {
    Ok(raw::buffer(BufferType::PluginConfiguration, size)?)
}

/// The headers of the request, including pseudo headers, in the proxy's encoding.
pub(super) struct RequestHeaders(Vec<u8>);

impl RequestHeaders {
    pub(super) fn read() -> Result<Self, BadHead> {
        if !has_ticks() && raw::value(MapType::HttpRequestHeaders, b"host").is_err() {
            return Err(BadHead::NoHost);
        }
        raw::pairs(MapType::HttpRequestHeaders).map(Self).map_err(|_status| BadHead::Unreadable)
    }

    pub(super) fn fields(&self) -> Result<Vec<Field<'_>>, BadHead> {
        let fields = pairs::decode(&self.0).ok_or(BadHead::Unreadable)?;
        if !has_ticks() && fields.iter().filter(|(name, _)| name.first() != Some(&b':')).count() >= LISTED {
            return Err(BadHead::TooManyHeaders);
        }
        Ok(fields)
    }
}

/// Returns the address of the client's connection, by Envoy's name for it, then nginx's. `None` for a unix socket.
pub(super) fn client_address() -> Option<IpAddr> {
    let text = |path| String::from_utf8(raw::property(path).ok()?).ok();
    match text(b"source\0address") {
        Some(address) => address.parse::<SocketAddr>().ok().map(|address| address.ip()),
        None => text(b"remote_addr")?.parse().ok(),
    }
}

/// Makes the rest of this callback act for another context. Fails if that is gone.
pub(super) fn act_for(context: u32) -> Result<(), ProxyRefused> {
    Ok(raw::set_effective_context(context)?)
}

/// Reads the answer to the call whose callback this is. `headers` is their number. It is 0 if there was no answer,
/// and then the proxy has no list to read. `body` is its length, of which the call reads what it wants.
pub(super) fn call_response(headers: usize, body: usize, wanted: WantedBody) -> Result<Response, CallError> {
    if headers == 0 {
        return Err(CallError::NoAnswer);
    }
    let bytes = raw::pairs(MapType::HttpCallResponseHeaders).map_err(|_status| CallError::NoAnswer)?;
    let listed = pairs::decode(&bytes).ok_or(CallError::NoAnswer)?;
    let mut response =
        Response { fields: Fields::with_room(listed.len(), bytes.len()), ..Response::default() };
    for (name, value) in listed {
        if name == b":status" {
            let status = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
            response.status = status.ok_or(CallError::NoAnswer)?;
        } else {
            response.fields.push_lowercase(name, value);
        }
    }
    // APISIX lists no status for a failed call.
    if response.status == 0 {
        return Err(CallError::NoAnswer);
    }
    let is_taken = match wanted {
        WantedBody::None => false,
        WantedBody::Needed { limit } if body > limit => return Err(CallError::TooLarge),
        WantedBody::Needed { limit } | WantedBody::Welcome { limit } => body > 0 && body <= limit,
    };
    if is_taken {
        response.body =
            raw::buffer(BufferType::HttpCallResponseBody, body).map_err(|_status| CallError::NoAnswer)?;
    }
    Ok(response)
}

/// Edits the headers of the request. After an error only some may be edited.
pub(super) fn edit_request(edits: &HeaderEdits) -> Result<(), ProxyRefused> {
    const MAP: MapType = MapType::HttpRequestHeaders;
    for name in &edits.remove {
        raw::remove(MAP, name)?;
    }
    // The headers to replace are already removed. Envoy would still look for them, and index all headers of the
    // request first. That made up a seventh of the cost of a cached session. A proxy that does not list all headers
    // may have some left.
    let mut seen: Vec<&[u8]> = Vec::new();
    for (name, value) in edits.set.iter() {
        // A repeated header reaches the app as separate lines.
        let set = if has_ticks() || seen.contains(&name) { raw::add } else { raw::replace };
        set(MAP, name, value)?;
        if !has_ticks() {
            seen.push(name);
        }
    }
    for (name, value) in &edits.rewrite {
        raw::replace(MAP, name, value)?;
    }
    Ok(())
}

/// Removes forged trailers of the request. `forged` chooses them among all trailers.
pub(super) fn edit_trailers(forged: impl FnOnce(&[Field<'_>]) -> Vec<Vec<u8>>) -> Result<(), ProxyRefused> {
    const MAP: MapType = MapType::HttpRequestTrailers;
    let bytes = raw::pairs(MAP)?;
    let trailers = pairs::decode(&bytes).ok_or(ProxyRefused)?;
    for name in forged(&trailers) {
        raw::remove(MAP, &name)?;
    }
    Ok(())
}

/// Edits the headers of the response to the client.
pub(super) fn edit_response(edits: &ResponseEdits) {
    const MAP: MapType = MapType::HttpResponseHeaders;
    let mut seen: Vec<&[u8]> = Vec::new();
    for (name, value) in edits.replace.iter() {
        // All of the app's lines must be removed before the auth server's first one is added.
        if !seen.contains(&name) && raw::remove(MAP, name).is_err() {
            log::warn!(
                "the proxy did not remove a header of the app's from a response, where the auth server's takes its place"
            );
        }
        seen.push(name);
        add_to_response(name, value);
    }
    for (name, value) in edits.add.iter() {
        add_to_response(name, value);
    }
}

fn add_to_response(name: &[u8], value: &[u8]) {
    if raw::add(MapType::HttpResponseHeaders, name, value).is_err() {
        log::warn!("the proxy did not add a header of the auth server to a response");
    }
}

/// Resumes a paused request.
pub(super) fn resume_request() {
    if raw::resume_request().is_err() {
        log::error!("the proxy did not resume a paused request");
    }
}

/// Answers the client instead of the app.
pub(super) fn reply(reply: &Reply, outcome: Outcome) {
    let status = reply::sendable_status(reply.status);
    let fields = reply.fields.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
    let fields = fields.filter(|(name, _)| !name.eq_ignore_ascii_case(b"content-length"));
    let details = Counter::from(outcome).name();
    let grpc = reply.grpc.map_or(-1, grpc::Status::code);
    // wasm-nginx-module ignores the argument, and would send the body as plain text.
    let kind: &[Field<'_>] = match reply.grpc {
        Some(_) if !has_ticks() => &[(b"content-type", b"application/grpc")],
        Some(_) | None => &[],
    };
    let headers = pairs::encode(fields.chain(kind.iter().copied())).unwrap_or_default();
    if raw::reply(status, &headers, &reply.body, details, grpc).is_ok() {
        return;
    }
    // When wasm-nginx-module refuses a reply for one of its headers, it sends foreign memory as the body. Another
    // reply replaces that one.
    log::error!("the proxy refused a header of a denial, which is sent without headers");
    let headers = pairs::encode(std::iter::empty()).unwrap_or_default();
    if raw::reply(status, &headers, &reply.body, details, grpc).is_err() {
        log::error!("the proxy did not send a denial");
    }
}

/// Denies a request about which nothing is known.
pub(super) fn reply_broken() {
    let Decision { verdict, outcome, .. } = Engine::broken();
    match verdict {
        Verdict::Reply(broken) => reply(&broken, outcome),
        // A broken request is never let through.
        Verdict::Forward(_) => {}
    }
}
