//! The members of a JSON object, each value kept as the text that was sent.
//!
//! So a number reaches a header exactly as its issuer wrote it, and a value that nobody reads is merely skipped,
//! however deeply it nests.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A JSON object with distinct names.
#[derive(Debug)]
pub(crate) struct Members(BTreeMap<Box<str>, Box<RawValue>>);

impl Members {
    /// Parses the text of exactly one object.
    pub(crate) fn parse(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// Returns all names, in byte order.
    pub(crate) fn into_names(self) -> Vec<String> {
        self.0.into_keys().map(String::from).collect()
    }

    /// Returns the text of a member's value.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.get())
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Distinct;
        impl<'de> Visitor<'de> for Distinct {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with distinct names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = map.next_entry()? {
                    if members.insert(name, value).is_some() {
                        return Err(A::Error::custom("a name occurs twice"));
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Distinct)
    }
}

/// Parses a value of one type. Returns `None` for another type, and for a string with an unpaired surrogate.
pub(crate) fn value<T: DeserializeOwned>(json: &str) -> Option<T> {
    serde_json::from_str(json).ok()
}

/// Parses one string, or an array of strings.
pub(crate) fn string_or_strings(json: &str) -> Option<Vec<String>> {
    value(json).map(|one| vec![one]).or_else(|| value(json))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_object_with_distinct_names_is_read() {
        let many: Vec<String> = (0..1000).map(|number| format!("\"{number}\":{number}")).collect();
        for (text, is_read) in [
            ("{}", true),
            (" {\"a\": 1, \"b\": {\"a\": 1, \"a\": 2}} ", true),
            ("{\"a\":1,\"a\":1}", false),
            ("{\"alg\":1,\"\\u0061lg\":1}", false),
            ("{\"\\u0061lg\":1,\"al\\u0067\":1}", false),
            ("{\"\\u0061\":1,\"b\":1,\"\\u0063\":1}", true),
            ("{\"\\ud800\":1}", false),
            ("{\"a\":1}{}", false),
            ("{\"a\":1,}", false),
            ("{\"a\":01}", false),
            ("{\"a\":NaN}", false),
            ("[]", false),
            ("null", false),
            ("", false),
            (&format!("{{{}}}", many.join(",")), true),
            (&format!("{{\"a\":{}{}}}", "[".repeat(4000), "]".repeat(4000)), true),
            (&format!("{{\"a\":{}}}", "[".repeat(4000)), false),
        ] {
            assert_eq!(Members::parse(text).is_some(), is_read, "{text:.60}");
        }
    }

    #[test]
    fn a_value_keeps_the_text_that_was_sent() {
        let members =
            Members::parse(r#"{"n": 1.50e+400 ,"\u0061b":[1 , 2],"s":"\u0041","half":"\ud800"} "#).unwrap();
        assert_eq!(members.get("n"), Some("1.50e+400"));
        assert_eq!(members.get("ab"), Some("[1 , 2]"));
        assert_eq!(members.get("s").and_then(value::<String>).as_deref(), Some("A"));
        assert_eq!(members.get("half").and_then(value::<String>), None);
        assert_eq!(members.get("absent"), None);
    }
}
