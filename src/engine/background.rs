//! Background calls, on proxies that support them. A worker makes each for all its requests, and it outlives the
//! request that caused it.

use super::effects::{BackgroundCall, Purpose};
use super::tokens::Standing;
use super::{Engine, State, WaitKey, keys};
use crate::auth_server::authgear::resolver::{self, Confirmation};
use crate::http::{CallError, Response, UnixTime};
use crate::jose::Need;

impl Engine {
    /// Fetches keys that are due. Call it regularly if the proxy has ticks. A VM that has never served a request
    /// fetches only until it has keys.
    pub fn tick(&self, state: &mut State, now: UnixTime) {
        for issuer in 0..state.keys.len() {
            if state.served || state.keys.get(issuer).is_none() {
                self.send_for_keys(state, issuer, Need::Fresh, now);
            }
        }
    }

    /// Takes the result of a background call. Returns the key that requests may have waited for.
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

    /// Starts a fetch, if one is allowed now.
    pub(super) fn send_for_keys(&self, state: &mut State, issuer: usize, need: Need, now: UnixTime) {
        if let Some(ticket) = state.keys.start(issuer, need, now)
            && let Some(call) = keys::call(&self.config, issuer)
        {
            state.outbox.send(call, BackgroundCall(Purpose::Keys { issuer, ticket }));
        }
    }

    /// Starts to confirm a token in the background, unless too many confirmations are in flight.
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
