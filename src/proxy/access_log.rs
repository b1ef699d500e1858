//! The values for the proxy's access log about each request (`access_log`), under the names below. Envoy stores them
//! as filter state, for `%FILTER_STATE(wasm.authgear_outcome:PLAIN)%`. wasm-nginx-module writes them to nginx
//! variables of the same names, if these are declared (`set $authgear_outcome "-";`).

use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

/// The names, in the order of the values.
pub const NAMES: [&str; 6] = [
    "authgear_outcome",
    "authgear_reason",
    "authgear_cache_status",
    "authgear_user",
    "authgear_issuer",
    "authgear_time_us",
];

/// The name of the value that distinguishes workers.
pub const WORKER_NAME: &str = "authgear_worker";

/// The characters that are percent-encoded, besides everything outside ASCII.
const UNSAFE: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'\\').add(b'%');

/// Stands for an absent value.
pub const NOTHING: &str = "-";

/// The longest value from a token or an auth server, in bytes. Three dots follow if it is cut.
const MAX_VALUE: usize = 256;

/// Formats a value from a token or an auth server, so that it cannot end a line or look like another value or field:
/// ASCII without spaces, quotes, backslashes and percent signs. Everything else is percent-encoded, and so is a lone
/// `-`. Different values stay different, up to where they are cut.
#[must_use]
pub fn value(bytes: &[u8]) -> String {
    match bytes {
        b"" => return NOTHING.to_owned(),
        b"-" => return "%2D".to_owned(),
        _ => {}
    }
    let mut text = String::new();
    for piece in percent_encode(bytes, UNSAFE) {
        if text.len().saturating_add(piece.len()) > MAX_VALUE {
            // Never cuts inside an escape.
            if !piece.starts_with('%') {
                text.extend(piece.chars().take(MAX_VALUE.saturating_sub(text.len())));
            }
            text.push_str("...");
            break;
        }
        text.push_str(piece);
    }
    text
}

#[cfg(target_arch = "wasm32")]
pub(super) use host::AccessLog;

#[cfg(target_arch = "wasm32")]
mod host {
    use std::cell::{Cell, OnceCell};
    use std::time::Duration;

    use super::{NAMES, NOTHING, WORKER_NAME, value};
    use crate::engine::{CacheStatus, Explanation, Outcome};
    use crate::proxy::{host, raw};

    thread_local! {
        /// The name of this VM, and therefore of the worker.
        static WORKER: OnceCell<String> = const { OnceCell::new() };
    }

    /// Writes to the access log.
    #[derive(Default)]
    pub(crate) struct AccessLog {
        /// Whether the proxy has refused a value. nginx logs each refusal, so no more values are written then.
        is_refused: Cell<bool>,
    }

    impl AccessLog {
        /// Reports the current request, which took the filter this long.
        pub(crate) fn tell(&self, outcome: Outcome, explanation: &Explanation, spent: Duration) {
            if self.is_refused.get() {
                return;
            }
            let Explanation { reason, cache, user, issuer } = explanation;
            let reason = reason.map(|reason| reason.to_string());
            let user = user.as_deref().map(value);
            let issuer = issuer.as_deref().map(|issuer| value(issuer.as_bytes()));
            let spent = u64::try_from(spent.as_micros()).unwrap_or(u64::MAX).to_string();
            let values = [
                Some(outcome.name()),
                reason.as_deref(),
                cache.map(CacheStatus::name),
                user.as_deref(),
                issuer.as_deref(),
                Some(spent.as_str()),
            ];
            let has_taken =
                |name: &str, value: &str| raw::set_property(name.as_bytes(), value.as_bytes()).is_ok();
            let have_taken =
                NAMES.iter().zip(values).all(|(name, value)| has_taken(name, value.unwrap_or(NOTHING)))
                    && WORKER.with(|worker| has_taken(WORKER_NAME, worker.get_or_init(worker_name)));
            self.is_refused.set(!have_taken && !host::has_ticks());
        }
    }

    /// Returns six random digits, so that workers differ.
    fn worker_name() -> String {
        (host::random() % 900_000).saturating_add(100_000).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_ends_a_line_or_looks_like_another() {
        let table: &[(&[u8], &str)] = &[
            (b"7f3a-user_1@example.com", "7f3a-user_1@example.com"),
            (b"a b", "a%20b"),
            (b"a\r\nb\0", "a%0D%0Ab%00"),
            (b"\"a\"", "%22a%22"),
            (b"a\\", "a%5C"),
            (b"100%", "100%25"),
            (b"%20", "%2520"),
            ("zoë".as_bytes(), "zo%C3%AB"),
            (b"\xff\x7f", "%FF%7F"),
            (b"-", "%2D"),
            (b"--", "--"),
            (b"", "-"),
        ];
        for (bytes, expected) in table {
            assert_eq!(value(bytes), *expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_long_value_is_cut() {
        let long = value(&[b'\n'; 10_000]);
        assert!(long.len() <= MAX_VALUE + 5, "{}", long.len());
        assert!(long.ends_with("%0A..."), "{long}");
        assert_eq!(value(&[b'a'; MAX_VALUE]).len(), MAX_VALUE);
    }
}
