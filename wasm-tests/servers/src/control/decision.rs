//! Owns the demo's access log: the format that Envoy writes, and what is read from it.

use std::collections::VecDeque;

use serde_json::{Value, json};

/// How many decisions are kept.
const KEPT: usize = 50;

/// The fields of a line, and what Envoy puts there. What it does not know is `null`.
const FIELDS: [(&str, &str); 14] = [
    ("demo", "decision"),
    ("id", "%REQ(X-REQUEST-ID)%"),
    ("time", "%START_TIME(%s.%3f)%"),
    ("method", "%REQ(:METHOD)%"),
    // Without its query, which may carry secrets of a login.
    ("path", "%PATH(NQ)%"),
    ("status", "%RESPONSE_CODE%"),
    ("duration", "%DURATION%"),
    ("outcome", "%FILTER_STATE(wasm.authgear_outcome:PLAIN)%"),
    ("reason", "%FILTER_STATE(wasm.authgear_reason:PLAIN)%"),
    ("cache", "%FILTER_STATE(wasm.authgear_cache:PLAIN)%"),
    ("user", "%FILTER_STATE(wasm.authgear_user:PLAIN)%"),
    ("issuer", "%FILTER_STATE(wasm.authgear_issuer:PLAIN)%"),
    ("micros", "%FILTER_STATE(wasm.authgear_time_us:PLAIN)%"),
    ("worker", "%FILTER_STATE(wasm.authgear_worker:PLAIN)%"),
];

/// The `json_format` of the access log that [`Control::note`](super::Control::note) reads.
pub fn log_format() -> Value {
    FIELDS.iter().map(|(name, format)| ((*name).to_owned(), Value::from(*format))).collect()
}

/// The latest decisions, each with its number, which counts from 1.
#[derive(Debug, Default)]
pub(super) struct Decisions {
    kept: VecDeque<Value>,
    count: u64,
    /// The workers as the filter names them, in the order in which they appeared.
    workers: Vec<Value>,
}

impl Decisions {
    /// Takes a line of the log. False if it is none.
    pub(super) fn note(&mut self, line: &str) -> bool {
        let Some(mut decision) = read(line) else { return false };
        // Elsewhere the filter is off.
        if !decision["path"].as_str().is_some_and(|path| path.starts_with("/app")) {
            return true;
        }
        self.count += 1;
        decision["number"] = self.count.into();
        decision["worker"] = self.worker(&decision["worker"]);
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(decision);
        true
    }

    /// Those after the one of this number, oldest first. If there is none of this number yet, it is of another run.
    pub(super) fn after(&self, number: u64) -> Value {
        let number = if number > self.count { 0 } else { number };
        self.kept.iter().filter(|decision| decision["number"].as_u64() > Some(number)).cloned().collect()
    }

    /// Workers have names that say nothing to people; they get numbers.
    fn worker(&mut self, name: &Value) -> Value {
        if name.is_null() {
            return Value::Null;
        }
        let known = self.workers.iter().position(|known| known == name);
        let index = known.unwrap_or_else(|| {
            self.workers.push(name.clone());
            self.workers.len() - 1
        });
        json!(index + 1)
    }
}

/// The filter says `-` where there is nothing to say, and Envoy `null`.
fn read(line: &str) -> Option<Value> {
    let mut line: Value = line.starts_with('{').then(|| serde_json::from_str(line).ok())??;
    for (_, value) in line.as_object_mut()? {
        if *value == "-" {
            *value = Value::Null;
        }
    }
    (line["demo"] == "decision").then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_of_its_own_format_are_decisions() {
        let mut decisions = Decisions::default();
        for line in ["GET /app 200 - 1ms", "{\"demo\":\"other\"}", "{\"demo\":", "", "[info] {}"] {
            assert!(!decisions.note(line), "{line}");
        }
        assert!(decisions.note(r#"{"demo":"decision","path":"/app","worker":null}"#));
        assert_eq!(decisions.after(0)[0]["path"], "/app");
        assert_eq!(decisions.after(0)[0]["worker"], Value::Null);
    }

    #[test]
    fn the_latest_are_kept_and_workers_are_numbered_as_they_appear() {
        let mut decisions = Decisions::default();
        for number in 0..KEPT + 3 {
            let worker = if number % 2 == 0 { "b" } else { "a" };
            decisions.note(&format!(r#"{{"demo":"decision","path":"/app","worker":"{worker}"}}"#));
        }
        let all = decisions.after(0);
        assert_eq!(all.as_array().map(Vec::len), Some(KEPT));
        assert_eq!((&all[0]["number"], &all[0]["worker"]), (&json!(4), &json!(2)));
        assert_eq!(decisions.after(52).as_array().map(Vec::len), Some(1));
        assert_eq!(decisions.after(53), json!([]));
        assert_eq!(decisions.after(1000), all, "a console of an earlier run gets all");
    }
}
