//! Background calls: made for all requests of a worker, on proxies that can. They outlive the request that caused
//! them.

use std::fmt;

use super::answers::About;
use super::tokens::Standing;
use super::{Engine, State, WaitKey, keys};
use crate::auth_server::authgear::resolver::{self, Confirmation};
use crate::http::{Call, CallError, Response, UnixTime};
use crate::jose::{FetchTicket, Need};

/// What a call is for. Whoever sends the call gives this back with what came of it.
pub struct BackgroundCall(Purpose);

enum Purpose {
    /// Fetches an issuer's keys. `issuer` is its index in the configuration.
    Keys { issuer: usize, ticket: FetchTicket },
    /// Asks the auth server the question of this number.
    Ask { number: u64, about: About },
    /// Has the resolver confirm a token. `plain` is the call that is tried next.
    Confirm { token: Vec<u8>, plain: Option<Call> },
}

impl BackgroundCall {
    pub(super) const fn ask(number: u64, about: About) -> Self {
        Self(Purpose::Ask { number, about })
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
    /// To be called now and then where the proxy can: fetches keys that are due. A VM that never served a request does
    /// so only until it has some.
    pub fn tick(&self, state: &mut State, now: UnixTime) {
        for issuer in 0..state.keys.len() {
            if state.served || state.keys.get(issuer).is_none() {
                self.send_for_keys(state, issuer, Need::Fresh, now);
            }
        }
    }

    /// Takes the result of a background call. Returns what requests may have waited for.
    pub fn finish(
        &self,
        state: &mut State,
        background_call: BackgroundCall,
        result: Result<Response, CallError>,
        now: UnixTime,
    ) -> Option<WaitKey> {
        match background_call.0 {
            Purpose::Keys { issuer, ticket } => {
                let State { keys, outbox, .. } = state;
                keys.arrive(&self.config, issuer, Some(ticket), result, outbox, now);
                Some(WaitKey::Keys(issuer))
            }
            Purpose::Ask { number, about } => {
                let arrived = self.read(state, &about, result, now);
                state.answers.arrive(number, &about, arrived);
                Some(WaitKey::Answer(number))
            }
            Purpose::Confirm { token, plain } => {
                let standing = Standing::of(resolver::read(result));
                if standing.may_be_provoked()
                    && let Some(call) = plain
                {
                    state.outbox.send(call, BackgroundCall(Purpose::Confirm { token, plain: None }));
                    return None;
                }
                let State { tokens, outbox, .. } = state;
                tokens.end_confirming();
                tokens.confirmation_arrived(&self.config, &token, &standing, outbox, now);
                None
            }
        }
    }

    /// Starts a fetch, if one may be made now.
    pub(super) fn send_for_keys(&self, state: &mut State, issuer: usize, need: Need, now: UnixTime) {
        if let Some(ticket) = state.keys.start(issuer, need, now)
            && let Some(call) = keys::call(&self.config, issuer)
        {
            state.outbox.send(call, BackgroundCall(Purpose::Keys { issuer, ticket }));
        }
    }

    /// Has a token confirmed in the background, if not too many are being confirmed already.
    pub(super) fn send_for_confirmation(
        &self,
        state: &mut State,
        confirmation: Confirmation,
        token: &[u8],
        now: UnixTime,
    ) {
        if state.tokens.begin_confirming() {
            state.tokens.confirmation_sent(&self.config, token, now);
            let Confirmation { call, plain } = confirmation;
            state.outbox.send(call, BackgroundCall(Purpose::Confirm { token: token.to_vec(), plain }));
        }
    }
}
