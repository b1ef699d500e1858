//! Owns what the console reads of Envoy's access log: the lines of `envoy.yaml`'s format, with two more fields.

use std::collections::VecDeque;

use serde_json::{Map, Value, json};

/// How many decisions are kept.
const KEPT: usize = 50;

/// What the console needs beside what `envoy.yaml` logs: which request it is, and what kind of credential it has.
pub fn log_fields() -> Map<String, Value> {
    const CREDENTIAL: &str = "%CEL('authorization' in request.headers \
        ? (request.headers['authorization'].contains('.') ? 'jwt' : 'opaque') \
        : ('cookie' in request.headers ? 'cookie' : 'none'))%";
    let fields = [("request_id", "%REQ(X-REQUEST-ID)%"), ("credential", CREDENTIAL)];
    fields.into_iter().map(|(name, format)| (name.to_owned(), format.into())).collect()
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
    /// Takes a line of the log, and returns it in words for people; `None` if it is none.
    pub(super) fn note(&mut self, line: &str) -> Option<String> {
        let mut decision = read(line)?;
        // Elsewhere the filter is off.
        if decision["outcome"].is_string() {
            self.count += 1;
            decision["number"] = self.count.into();
            decision["worker"] = self.worker(&decision["worker"]);
            if self.kept.len() == KEPT {
                self.kept.pop_front();
            }
            self.kept.push_back(decision.clone());
        }
        Some(in_words(&decision))
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
    let fields = line.as_object_mut()?;
    fields.values_mut().filter(|value| **value == "-").for_each(|value| *value = Value::Null);
    fields.contains_key("request_id").then_some(line)
}

/// `GET /app 200: session, hit, alice, 85 µs, worker 1`, as far as it is known.
fn in_words(decision: &Value) -> String {
    let text = |name: &str| match &decision[name] {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let known = |name: &str| text(name).unwrap_or_default();
    let request = format!("{} {} {}", known("method"), known("path"), known("status"));
    let facts = [
        text("outcome"),
        text("cache_status"),
        text("user"),
        text("reason"),
        text("time_us").map(|time| format!("{time} µs")),
        text("worker").map(|worker| format!("worker {worker}")),
    ];
    let facts: Vec<_> = facts.into_iter().flatten().collect();
    if facts.is_empty() { request } else { format!("{request}: {}", facts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_of_the_log_are_decisions_and_only_where_the_filter_decided() {
        let mut decisions = Decisions::default();
        for line in ["GET /app 200 - 1ms", "{\"other\":1}", "{\"request_id\":", "", "[info] {}", "{}"] {
            assert_eq!(decisions.note(line), None, "{line}");
        }
        let filter_off = r#"{"request_id":"1","method":"GET","path":"/","status":200,"outcome":null}"#;
        assert_eq!(decisions.note(filter_off).as_deref(), Some("GET / 200"));
        assert_eq!(decisions.after(0), json!([]));
        let decided = r#"{"request_id":"2","method":"GET","path":"/app","status":200,"outcome":"session",
            "cache_status":"hit","user":"alice","reason":"-","time_us":"85","worker":"123456"}"#;
        let words = "GET /app 200: session, hit, alice, 85 µs, worker 1";
        assert_eq!(decisions.note(decided).as_deref(), Some(words));
        let kept = decisions.after(0);
        assert_eq!((&kept[0]["request_id"], &kept[0]["reason"]), (&json!("2"), &Value::Null));
    }

    #[test]
    fn the_latest_are_kept_and_workers_are_numbered_as_they_appear() {
        let mut decisions = Decisions::default();
        for number in 0..KEPT + 3 {
            let worker = if number % 2 == 0 { "b" } else { "a" };
            let line = json!({"request_id": "1", "outcome": "session", "worker": worker}).to_string();
            assert!(decisions.note(&line).is_some());
        }
        let all = decisions.after(0);
        assert_eq!(all.as_array().map(Vec::len), Some(KEPT));
        assert_eq!((&all[0]["number"], &all[0]["worker"]), (&json!(4), &json!(2)));
        assert_eq!(decisions.after(52).as_array().map(Vec::len), Some(1));
        assert_eq!(decisions.after(53), json!([]));
        assert_eq!(decisions.after(1000), all, "a console of an earlier run gets all");
    }
}
