//! The issuers' key sets: which ones are present, how they are fetched, and what is logged about them.

use std::fmt;
use std::time::Duration;

use super::effects::Outbox;
use crate::auth_server::fault::Fault;
use crate::auth_server::{Server, USER_AGENT};
use crate::config::{Config, Keys};
use crate::http::{Call, CallError, Response, UnixTime, WantedBody};
use crate::jose::{FetchTicket, KeySet, KeySetError, KeySource, MAX_KEY_SET_BYTES, Need};
use crate::telemetry::Counter;

/// The key sets of all issuers, in the order of the configuration.
pub(super) struct KeySets(Vec<KeySource>);

impl KeySets {
    pub(super) fn new(config: &Config) -> Self {
        let source = |keys: &Keys| match keys {
            Keys::Absent => KeySource::absent(),
            Keys::Inline(keys) => KeySource::inline(keys.clone()),
            Keys::Fetched { .. } => KeySource::fetched(config.timeout),
        };
        Self(config.issuers.iter().map(|issuer| source(&issuer.keys)).collect())
    }

    /// Returns the number of issuers.
    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns an issuer's keys, if it has any yet.
    pub(super) fn get(&self, issuer: usize) -> Option<&KeySet> {
        self.0.get(issuer)?.keys()
    }

    /// Returns the first issuer whose keys are present but old.
    pub(super) fn due(&self, now: UnixTime) -> Option<usize> {
        self.0.iter().position(|source| source.keys().is_some() && source.is_due(now))
    }

    /// The age of the oldest keys that are fetched.
    pub(super) fn age(&self, now: UnixTime) -> Option<Duration> {
        self.0.iter().filter_map(|source| source.age(now)).max()
    }

    /// Returns whether an issuer's keys are being fetched.
    pub(super) fn is_fetching(&self, issuer: usize, now: UnixTime) -> bool {
        self.0.get(issuer).is_some_and(|source| source.is_fetching(now))
    }

    /// Returns a ticket to fetch an issuer's keys, if they may be fetched now.
    pub(super) fn start(&mut self, issuer: usize, need: Need, now: UnixTime) -> Option<FetchTicket> {
        self.0.get_mut(issuer)?.start(need, now)
    }

    /// Gives a ticket back, because its request is gone.
    pub(super) fn abandon(&mut self, issuer: usize, ticket: FetchTicket, now: UnixTime) {
        if let Some(source) = self.0.get_mut(issuer) {
            source.abandon(ticket, now);
        }
    }

    /// Takes the result of a fetch. There is no ticket if the request fetched because it could not wait for another
    /// one's fetch.
    pub(super) fn arrive(
        &mut self,
        config: &Config,
        issuer: usize,
        ticket: Option<FetchTicket>,
        result: Result<Response, CallError>,
        outbox: &mut Outbox,
        now: UnixTime,
    ) {
        let keys = match read(result) {
            Ok(keys) => {
                outbox.count(Counter::KeysFetched);
                warn_of_skipped(config, issuer, &keys, outbox, now);
                Some(keys)
            }
            Err(problem) => {
                outbox.count(Counter::KeysFailed);
                let then = match self.get(issuer) {
                    Some(_) => "The keys of before stay in use",
                    None => "Without keys no token is verified here",
                };
                let from = origin(config, issuer);
                outbox.warn(
                    |limits| &mut limits.keys,
                    now,
                    || format!("the keys at {from} cannot be fetched: {problem}. {then}"),
                );
                None
            }
        };
        let random = outbox.random();
        let Some(source) = self.0.get_mut(issuer) else { return };
        match (ticket, keys) {
            (Some(ticket), keys) => source.finish(ticket, keys, now, random),
            (None, Some(keys)) => source.adopt(keys, now),
            (None, None) => {}
        }
    }
}

/// Returns the call for an issuer's keys; `None` if they are inline.
pub(super) fn call(config: &Config, issuer: usize) -> Option<Call> {
    let Keys::Fetched { server: Server { url, upstream }, public } = &config.issuers.get(issuer)?.keys else {
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
        ("user-agent", USER_AGENT),
    ];
    Some(Call {
        upstream: upstream.clone(),
        fields: fields.into_iter().collect(),
        form: None,
        timeout: config.timeout,
        body: WantedBody::Needed { limit: MAX_KEY_SET_BYTES },
    })
}

/// Why there is no key set.
enum FetchFailure {
    Fault(Fault),
    Redirect(u16),
    KeySet(KeySetError),
}

impl fmt::Display for FetchFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(fault) => fault.fmt(f),
            Self::Redirect(status) => write!(
                f,
                "it answered {status}, a redirect: its host or scheme are not those that it knows itself by"
            ),
            Self::KeySet(error) => error.fmt(f),
        }
    }
}

fn read(result: Result<Response, CallError>) -> Result<KeySet, FetchFailure> {
    let response = result.map_err(|error| FetchFailure::Fault(Fault::Call(error)))?;
    match response.status {
        200 => KeySet::parse(&response.body).map_err(FetchFailure::KeySet),
        status @ 300..=399 => Err(FetchFailure::Redirect(status)),
        status => Err(FetchFailure::Fault(Fault::Status(status))),
    }
}

fn warn_of_skipped(config: &Config, issuer: usize, keys: &KeySet, outbox: &mut Outbox, now: UnixTime) {
    if let Some(warning) = skipped_keys(config, issuer, keys) {
        outbox.warn(|limits| &mut limits.skipped, now, || warning);
    }
}

/// Returns the log line about unused keys; `None` if all are used.
fn skipped_keys(config: &Config, issuer: usize, keys: &KeySet) -> Option<String> {
    if keys.skipped().is_empty() {
        return None;
    }
    let skipped: Vec<_> = keys.skipped().iter().map(ToString::to_string).collect();
    let from = origin(config, issuer);
    Some(format!("some of the keys at {from} are not used: {}", skipped.join("; ")))
}

/// Returns the log lines about unused keys in the configuration, one per issuer.
pub(super) fn skipped_inline_keys(config: &Config) -> Vec<String> {
    let issuers = config.issuers.iter().enumerate();
    issuers
        .filter_map(|(number, issuer)| match &issuer.keys {
            Keys::Inline(keys) => skipped_keys(config, number, keys),
            Keys::Fetched { .. } | Keys::Absent => None,
        })
        .collect()
}

/// Returns where an issuer's keys come from, for the log.
fn origin(config: &Config, issuer: usize) -> String {
    match config.issuers.get(issuer).map(|issuer| &issuer.keys) {
        Some(Keys::Fetched { server, .. }) => server.to_string(),
        Some(Keys::Inline(_) | Keys::Absent) | None => "the configuration".to_owned(),
    }
}
