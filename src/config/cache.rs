//! The field `cache`: as typed, and checked.

use std::time::Duration;

use serde::Deserialize;

use super::field::{Given, NonEmpty};
use super::forward_auth::KeyPartText;
use super::problem::{CacheError, ConfigError};
use super::typed::{Count, Span};
use super::{Cache, DEFAULT_MAX_ENTRIES, DEFAULT_NEGATIVE_TTL};

/// What is cached, and for how long.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Cache"))]
pub(super) struct RawCache {
    /// How long an accepting answer of the auth server is reused, never past the token's own expiry: at most `24h`;
    /// `0s` means not at all. Default: `10s` with `authgear` or `introspection`, else `0s`.
    ttl: Given<Span>,
    /// How long "no session" or a denial is reused: at most `24h`. Default: `1s`.
    negative_ttl: Given<Span>,
    /// How long past its `ttl` an accepting answer may still serve while the auth server cannot answer: at most
    /// `24h`. Default: `0s`.
    stale_if_error: Given<Span>,
    /// How many entries of each kind a worker caches: 1 to 10,000,000. Default: 10,000.
    max_entries: Given<Count>,
    /// What requests must have in common to share an answer of `forward_auth`: `header:<name>`, `cookie:<name>`
    /// or `cookie:<prefix>*` (which need `forward_auth.cookies`), `method`, `host`, `path`, `client_ip`. Default:
    /// everything that is sent to the auth server.
    pub(super) key: Given<NonEmpty<KeyPartText>>,
}

impl RawCache {
    /// Checks the fields, and refuses those without effect: answers exist only if an auth server is asked (`default`
    /// is their `ttl` then), and none is cached with a `ttl` of zero. `verifies` states whether tokens are verified
    /// locally.
    pub(super) fn check(self, default: Option<Duration>, verifies: bool) -> Result<Cache, ConfigError> {
        let (ttl, negative, stale) = (self.ttl.0, self.negative_ttl.0, self.stale_if_error.0);
        let idle = |field: &str, why: CacheError| Err(ConfigError::new(format!("cache.{field}"), why));
        let Some(default) = default else {
            if ttl.is_some() {
                return idle("ttl", CacheError::NoAnswers);
            }
            if stale.is_some() {
                return idle("stale_if_error", CacheError::NoStaleAnswers);
            }
            return Ok(self.cache(Duration::ZERO, negative.unwrap_or(DEFAULT_NEGATIVE_TTL), Duration::ZERO));
        };
        let ttl = ttl.unwrap_or(default);
        let is_positive = |span: Option<Duration>| span.is_some_and(|span| !span.is_zero());
        if ttl.is_zero() && is_positive(stale) {
            return idle("stale_if_error", CacheError::NothingRemembered);
        }
        if ttl.is_zero() && is_positive(negative) && !verifies {
            return idle("negative_ttl", CacheError::NothingRemembered);
        }
        let default_negative = if ttl.is_zero() { Duration::ZERO } else { DEFAULT_NEGATIVE_TTL };
        Ok(self.cache(ttl, negative.unwrap_or(default_negative), stale.unwrap_or_default()))
    }

    fn cache(self, ttl: Duration, negative_ttl: Duration, stale_if_error: Duration) -> Cache {
        let max_entries = self.max_entries.0.unwrap_or(DEFAULT_MAX_ENTRIES);
        Cache { ttl, negative_ttl, stale_if_error, max_entries }
    }
}
