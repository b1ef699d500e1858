//! Lines for the proxy's log. They are escaped and bounded, because some proxies write them unchanged.

/// The longest line, in bytes. wasm-nginx-module cuts lines at 4,096 bytes, including its own prefix.
const MAX_LINE: usize = 3_000;

/// Formats a line: adds the filter's name, escapes control characters, and cuts it if it is too long.
#[must_use]
pub fn line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().saturating_add(20));
    line.push_str("authgear-filter: ");
    for c in text.chars() {
        if line.len() >= MAX_LINE {
            line.push('…');
            break;
        }
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

#[cfg(target_arch = "wasm32")]
pub(super) use host::set_up;

#[cfg(target_arch = "wasm32")]
mod host {
    use std::panic;

    use log::{Level, LevelFilter, Log, Metadata, Record};
    use proxy_wasm::types::LogLevel;

    use super::line;
    use crate::proxy::raw;

    struct ProxyLog;

    impl Log for ProxyLog {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.level() <= log::max_level()
        }

        fn log(&self, record: &Record<'_>) {
            if !self.enabled(record.metadata()) {
                return;
            }
            let level = match record.level() {
                Level::Trace => LogLevel::Trace,
                Level::Debug => LogLevel::Debug,
                Level::Info => LogLevel::Info,
                Level::Warn => LogLevel::Warn,
                Level::Error => LogLevel::Error,
            };
            // There is nowhere to report that a line could not be written.
            let _ = raw::log(level, &line(&record.args().to_string()));
        }

        fn flush(&self) {}
    }

    /// Sends log lines and panic messages to the proxy's log. The SDK's own logger would panic if the proxy refuses a
    /// line.
    pub(crate) fn set_up() {
        static LOG: ProxyLog = ProxyLog;
        // It fails if a logger is set, which can only be this one.
        let _ = log::set_logger(&LOG);
        log::set_max_level(LevelFilter::Info);
        panic::set_hook(Box::new(|panic| {
            let _ = raw::log(LogLevel::Critical, &line(&panic.to_string()));
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_control_character() {
        assert_eq!(line("a\r\nb\0\u{85}"), "authgear-filter: a\\r\\nb\\u{0}\\u{85}");
    }

    #[test]
    fn a_long_line_is_cut() {
        let long = line(&"é\n".repeat(MAX_LINE));
        assert!(long.len() <= MAX_LINE + 16, "{}", long.len());
        assert!(long.ends_with('…'));
        assert_eq!(line("short"), "authgear-filter: short");
    }
}
