//! Background calls: calls that are made for all requests of a worker and not for one, on hosts that can make them. They
//! outlive the request that gave the occasion.

use std::fmt;

use super::answer::Subject;
use super::state::State;
use super::token::Confirmation;
use super::{Engine, WaitKey};
use crate::auth_server::authgear::resolver::{self, Answer, Session};
use crate::auth_server::fault::Fault;
use crate::config::{Keys, Server};
use crate::http::{Call, CallError, Response, UnixTime, WantedBody};
use crate::jose::{FetchTicket, KeySet, KeySource, MAX_KEY_SET_BYTES, Need};
use crate::telemetry::Counter;

/// How many confirmations may be under way at once; beyond it a token is confirmed at a later use.
const MAX_CONFIRMING: usize = 32;

/// What a call is for. Whoever sends the call gives this back with what came of it.
pub struct BackgroundCall(Purpose);

enum Purpose {
    /// To fetch the keys of an issuer, by its place in the configuration, and the duty to report.
    Keys { issuer: usize, ticket: FetchTicket },
    /// To ask the resolver about a credential, and the wait_key of those who wait.
    Ask { wait_key: u64, about: Subject },
    /// To have a token confirmed by the resolver.
    Confirm { token: Vec<u8> },
}

impl BackgroundCall {
    pub(super) const fn ask(wait_key: u64, about: Subject) -> Self {
        Self(Purpose::Ask { wait_key, about })
    }
}

/// Prints without the token.
impl fmt::Debug for BackgroundCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Purpose::Keys { .. } => "Keys",
            Purpose::Ask { .. } => "Ask",
            Purpose::Confirm { .. } => "Confirm",
        })
    }
}

impl Engine {
    /// To be called now and then where the host can: fetches keys that are due. A VM that never served a
    /// request does so only until it has some.
    pub fn tick(&self, state: &mut State, now: UnixTime) {
        for issuer in 0..self.config.issuers.len() {
            let wanted = state.keys.get(issuer).is_some_and(|source| state.served || source.keys().is_none());
            if wanted {
                self.send_for_keys(state, issuer, Need::Fresh, now);
            }
        }
    }

    /// What came of an background_call, and whom it concerns.
    pub fn finish(
        &self,
        state: &mut State,
        background_call: BackgroundCall,
        result: Result<Response, CallError>,
        now: UnixTime,
    ) -> Option<WaitKey> {
        match background_call.0 {
            Purpose::Keys { issuer, ticket } => {
                self.keys_arrived(state, issuer, Some(ticket), result, now);
                Some(WaitKey::Keys(issuer))
            }
            Purpose::Ask { wait_key, about } => {
                self.answer_arrived(state, wait_key, &about, result, now);
                Some(WaitKey::Answer(wait_key))
            }
            Purpose::Confirm { token } => {
                state.confirming = state.confirming.saturating_sub(1);
                let word = self.word(state, result, now);
                self.confirmation_answered(state, &token, &word, now);
                None
            }
        }
    }

    /// Starts a fetch, if one may be made now.
    pub(super) fn send_for_keys(&self, state: &mut State, issuer: usize, need: Need, now: UnixTime) {
        let ticket = state.keys.get_mut(issuer).and_then(|source| source.start(need, now));
        if let Some(ticket) = ticket
            && let Some(call) = self.keys_call(issuer)
        {
            state.send(call, BackgroundCall(Purpose::Keys { issuer, ticket }));
        }
    }

    /// Has a token confirmed in the background, if not too many are being confirmed already.
    pub(super) fn send_for_confirmation(&self, state: &mut State, call: Call, token: &[u8], now: UnixTime) {
        if state.confirming < MAX_CONFIRMING {
            state.confirming = state.confirming.saturating_add(1);
            self.confirmation_asked(state, token, now);
            state.send(call, BackgroundCall(Purpose::Confirm { token: token.to_vec() }));
        }
    }

    /// The call for an issuer's keys; `None` where they are inline.
    pub(super) fn keys_call(&self, issuer: usize) -> Option<Call> {
        let Keys::Fetched { server: Server { url, upstream }, public } =
            &self.config.issuers.get(issuer)?.keys
        else {
            return None;
        };
        let fields = [
            (":method", "GET"),
            (":scheme", url.scheme().as_str()),
            (":authority", public.authority()),
            (":path", &url.path_and_query()),
            ("x-forwarded-host", public.authority()),
            ("x-forwarded-proto", public.scheme().as_str()),
            ("accept", "application/json"),
            ("user-agent", concat!("authgear-filter/", env!("CARGO_PKG_VERSION"))),
        ];
        Some(Call {
            upstream: upstream.clone(),
            fields: fields.into_iter().collect(),
            timeout: self.config.timeout,
            body: WantedBody::Needed { limit: MAX_KEY_SET_BYTES },
        })
    }

    /// Takes a fetched key set. Without a ticket it was fetched by a request that could not wait for another
    /// one's fetch.
    pub(super) fn keys_arrived(
        &self,
        state: &mut State,
        issuer: usize,
        ticket: Option<FetchTicket>,
        result: Result<Response, CallError>,
        now: UnixTime,
    ) {
        let keys = match read_keys(result) {
            Ok(keys) => {
                state.count(Counter::KeysFetched);
                self.warn_of_skipped(state, issuer, &keys, now);
                Some(keys)
            }
            Err(problem) => {
                state.count(Counter::KeysFailed);
                self.warn_of_failure(state, issuer, &problem, now);
                None
            }
        };
        let random = state.random();
        let Some(source) = state.keys.get_mut(issuer) else { return };
        match (ticket, keys) {
            (Some(ticket), keys) => source.finish(ticket, keys, now, random),
            (None, Some(keys)) => source.adopt(keys, now),
            (None, None) => {}
        }
    }

    fn warn_of_skipped(&self, state: &mut State, issuer: usize, keys: &KeySet, now: UnixTime) {
        if keys.skipped().is_empty() {
            return;
        }
        let skipped: Vec<_> = keys.skipped().iter().map(ToString::to_string).collect();
        let from = self.keys_from(issuer);
        state.warn(
            |kinds| &mut kinds.skipped,
            now,
            || format!("of the keys at {from} some are not used: {}", skipped.join("; ")),
        );
    }

    fn warn_of_failure(&self, state: &mut State, issuer: usize, problem: &str, now: UnixTime) {
        let from = self.keys_from(issuer);
        let then = match state.keys.get(issuer).and_then(KeySource::keys) {
            Some(_) => "The keys of before stay in use",
            None => "Without keys no token is accepted",
        };
        state.warn(
            |kinds| &mut kinds.keys,
            now,
            || format!("the keys at {from} cannot be had: {problem}. {then}"),
        );
    }

    fn keys_from(&self, issuer: usize) -> String {
        match self.config.issuers.get(issuer).map(|issuer| &issuer.keys) {
            Some(Keys::Fetched { server, .. }) => server.to_string(),
            Some(Keys::Inline(_)) | None => "the configuration".to_owned(),
        }
    }

    /// What the resolver says of a token alone; counted.
    pub(super) fn word(
        &self,
        state: &mut State,
        result: Result<Response, CallError>,
        now: UnixTime,
    ) -> Confirmation {
        let read = match resolver::read(result) {
            resolver::Result::Answered(Answer { session: Session::Valid { user }, .. }) => {
                Ok(Confirmation::Known { user })
            }
            resolver::Result::Answered(Answer { session: Session::None, .. }) => Ok(Confirmation::Unknown),
            resolver::Result::Refused(status) => Err(Fault::Status(status)),
            resolver::Result::Failed(fault) => Err(fault),
        };
        let word = match read {
            Ok(word) => word,
            Err(fault) => {
                let from = self.server_name();
                state.warn(
                    |kinds| &mut kinds.confirm,
                    now,
                    || format!("tokens cannot be confirmed by {from}: {fault}. They stay valid until it can"),
                );
                Confirmation::None
            }
        };
        state.count(match word {
            Confirmation::Known { .. } => Counter::Confirmed,
            Confirmation::Unknown => Counter::Revoked,
            Confirmation::None => Counter::ConfirmFailed,
        });
        word
    }
}

fn read_keys(result: Result<Response, CallError>) -> Result<KeySet, String> {
    let response = result.map_err(|error| Fault::Call(error).to_string())?;
    match response.status {
        200 => KeySet::parse(&response.body).map_err(|problem| problem.to_string()),
        status @ 300..=399 => Err(format!(
            "it answered {status}, a redirect: its host or scheme are not those that it knows itself by"
        )),
        status => Err(Fault::Status(status).to_string()),
    }
}
