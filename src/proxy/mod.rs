//! Everything that the filter asks of the proxy, with the hosts' differences evened out, and the clock.
//! Nothing else calls the host, and nothing here decides.

#[cfg(target_arch = "wasm32")]
mod abi;
#[cfg(target_arch = "wasm32")]
mod background;
#[cfg(target_arch = "wasm32")]
mod filter;
pub mod pairs;

#[cfg(target_arch = "wasm32")]
pub(crate) use background::{discover, is_open_after_calls};
#[cfg(target_arch = "wasm32")]
pub(crate) use wasm::*;

#[cfg(target_arch = "wasm32")]
mod wasm {
    use std::hash::{BuildHasher as _, RandomState};
    use std::net::{IpAddr, SocketAddr};
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use super::abi::{self, Buffer, Map};
    use super::background::{Background, background};
    use super::pairs;
    use crate::engine::Outcome;
    use crate::http::grpc;
    use crate::http::{
        BadHead, Call, CallError, Field, Fields, HeaderEdits, OwnedField, Reply, Response, UnixTime,
        WantedBody,
    };
    use crate::jose;
    use crate::telemetry::metric::Metric;

    /// The host did not do what it was asked.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct HostRefused;

    impl From<u32> for HostRefused {
        fn from(_status: u32) -> Self {
            Self
        }
    }

    /// How much a line of the log matters.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    #[repr(u32)]
    pub(crate) enum Level {
        Info = 2,
        Warn = 3,
        Error = 4,
    }

    /// Writes a line to the proxy's log. APISIX writes what it is given, so control characters are escaped here.
    pub(crate) fn log(level: Level, text: &str) {
        let mut line = String::with_capacity(text.len().saturating_add(20));
        line.push_str("authgear-filter: ");
        for c in text.chars() {
            if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
        }
        // There is nobody to tell that a line could not be written.
        let _ = abi::log(level as u32, &line);
    }

    /// The time. A clock before 1970 counts as 1970.
    #[allow(clippy::disallowed_methods, reason = "this is where the clock is read")]
    pub(crate) fn now() -> UnixTime {
        UnixTime::new(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    /// Any number, another one each time.
    pub(crate) fn random() -> u64 {
        RandomState::new().hash_one(())
    }

    /// Has the root context of this callback ticked each period. Fails where the host has no ticks.
    pub(crate) fn set_tick_period(period: Duration) -> Result<(), HostRefused> {
        Ok(abi::set_tick_period(u32::try_from(period.as_millis()).unwrap_or(u32::MAX))?)
    }

    /// Has the host check a signature, as [`jose::HostVerify`] says. `None` where it has no such function.
    pub(crate) fn verify_signature(
        hash: &str,
        spki_der: &[u8],
        signature: &[u8],
        message: &[u8],
    ) -> Option<bool> {
        let argument = jose::host::argument(hash, spki_der, signature, message);
        abi::foreign_function(jose::host::FUNCTION, &argument).ok().map(|answer| jose::host::accepts(&answer))
    }

    /// The plugin's configuration.
    pub(crate) fn configuration(size: usize) -> Result<Vec<u8>, HostRefused> {
        Ok(abi::buffer(Buffer::PluginConfiguration, size)?)
    }

    /// The headers of the request, pseudo headers among them, in the host's encoding.
    pub(crate) struct RequestHeaders(Vec<u8>);

    impl RequestHeaders {
        pub(crate) fn read() -> Result<Self, BadHead> {
            if background() == Background::Missing && abi::header(Map::Request, b"host").is_err() {
                return Err(BadHead::NoHost);
            }
            abi::headers(Map::Request).map(Self).map_err(|_status| BadHead::Unreadable)
        }

        pub(crate) fn fields(&self) -> Result<Vec<Field<'_>>, BadHead> {
            let fields = pairs::decode(&self.0).ok_or(BadHead::Unreadable)?;
            let client = fields.iter().filter(|(name, _)| name.first() != Some(&b':')).count();
            if background() == Background::Missing && client >= LISTED {
                return Err(BadHead::TooManyHeaders);
            }
            Ok(fields)
        }
    }

    /// The address of the client's connection: Envoy's name for it, then nginx's. `None` for a unix socket.
    pub(crate) fn client_address() -> Option<IpAddr> {
        let text = |path| String::from_utf8(abi::property(path).ok()?).ok();
        match text(b"source\0address") {
            Some(address) => address.parse::<SocketAddr>().ok().map(|address| address.ip()),
            None => text(b"remote_addr")?.parse().ok(),
        }
    }

    /// Makes what follows in this callback concern another context. A host runs the callback of an answer for
    /// the root context, which has no request. Fails where the context is gone.
    pub(crate) fn act_for(context: u32) -> Result<(), HostRefused> {
        Ok(abi::act_for(context)?)
    }

    /// Sends a call. Its answer comes to `filter::on_http_call_response` with the token that is returned.
    pub(crate) fn dispatch(call: &Call) -> Result<u32, CallError> {
        let headers = pairs::encode(call.fields.iter()).ok_or(CallError::NotSent)?;
        // APISIX takes 0 for a default of its own, and refuses what would be negative with a sign.
        let timeout = u32::try_from(call.timeout.as_millis()).unwrap_or(u32::MAX).clamp(1, u32::MAX / 2);
        abi::call(&call.upstream, &headers, timeout).map_err(|_status| CallError::NotSent)
    }

    /// The answer to the call whose callback this is. `headers` is their number; 0 where there was no answer,
    /// and then the host has no list that could be read. `body` is its length, of which the call takes what
    /// it wants.
    pub(crate) fn call_response(
        headers: u32,
        body: usize,
        wanted: WantedBody,
    ) -> Result<Response, CallError> {
        if headers == 0 {
            return Err(CallError::NoAnswer);
        }
        let bytes = abi::headers(Map::CallResponse).map_err(|_status| CallError::NoAnswer)?;
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
        // A list without a status is what APISIX gives for a call that failed.
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
                abi::buffer(Buffer::CallResponseBody, body).map_err(|_status| CallError::NoAnswer)?;
        }
        Ok(response)
    }

    /// Edits the headers of the request. After an error some may be edited and some not.
    pub(crate) fn edit_request(edits: &HeaderEdits) -> Result<(), HostRefused> {
        for name in &edits.remove {
            abi::remove_header(Map::Request, name)?;
        }
        // What would be replaced is removed by now. Envoy looks for it all the same, and first indexes all headers
        // of the request to do so: a seventh of what a remembered session cost. A host that does not list all
        // headers may have some left.
        let set = match background() {
            Background::Runs => abi::add_header,
            Background::Missing => abi::replace_header,
        };
        for (name, value) in edits.set.iter() {
            set(Map::Request, name, value)?;
        }
        if let Some(cookie) = &edits.cookie {
            abi::replace_header(Map::Request, b"cookie", cookie)?;
        }
        Ok(())
    }

    /// Adds headers to the response to the client.
    pub(crate) fn add_to_response(fields: &[OwnedField]) {
        for (name, value) in fields {
            if abi::add_header(Map::Response, name, value).is_err() {
                log(Level::Warn, "the proxy did not add a header of the auth server to a response");
            }
        }
    }

    /// Lets a paused request go on.
    pub(crate) fn continue_request() {
        if abi::continue_request().is_err() {
            log(Level::Error, "the proxy did not let a request go on that was paused");
        }
    }

    /// Answers the client instead of the app.
    pub(crate) fn reply(reply: &Reply, outcome: Outcome) {
        let headers =
            pairs::encode(reply.fields.iter().map(|(name, value)| (name.as_slice(), value.as_slice())));
        let headers = headers.unwrap_or_default();
        let grpc = reply.grpc.map_or(-1, grpc::Status::code);
        if abi::reply(reply.status, &headers, &reply.body, outcome.metric().name(), grpc).is_err() {
            log(Level::Error, "the proxy did not send a denial");
        }
    }

    /// How many headers of a client a host without background lists.
    const LISTED: usize = 100;

    /// The counters. Hosts without metrics take the calls and do nothing.
    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Counters([Option<u32>; Metric::ALL.len()]);

    impl Counters {
        pub(crate) fn define() -> Self {
            Self(Metric::ALL.map(|metric| abi::define_counter(metric.name()).ok()))
        }

        pub(crate) fn count(&self, metric: Metric) {
            if let Some(Some(id)) = self.0.get(metric.index()) {
                // A request is not worth failing for a counter.
                let _ = abi::increment(*id);
            }
        }
    }
}
