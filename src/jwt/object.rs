//! One JSON object, strictly: its members in order, values kept as the text that was sent.
//!
//! Keeping the text has three uses: a number reaches a header exactly as the issuer wrote it, however
//! large; a claim that nobody asks for costs no parsing; and skipping over a value needs no stack,
//! however deeply it nests.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Members of one object; far more than any real token or key has. Checking that names are distinct
/// is quadratic.
pub(crate) const MAX_MEMBERS: usize = 256;

/// A member: its name and its value.
pub(crate) type Member = (Box<str>, Box<RawValue>);

/// A JSON object with distinct member names.
pub(crate) struct Object {
    members: Vec<Member>,
}

/// Why a text is not taken for an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// It is not the text of exactly one object, or of one with more than [`MAX_MEMBERS`] members.
    Text,
    /// This name occurs twice.
    Repeated(Box<str>),
}

impl Object {
    /// Parses the text of exactly one object.
    pub(crate) fn read(text: &str) -> Result<Self, Malformed> {
        let Members(members) = serde_json::from_str(text).map_err(|_| Malformed::Text)?;
        let mut earlier = members.as_slice();
        while let Some(((name, _), rest)) = earlier.split_last() {
            if rest.iter().any(|(member, _)| member == name) {
                return Err(Malformed::Repeated(name.clone()));
            }
            earlier = rest;
        }
        Ok(Self { members })
    }

    /// The same, where it does not matter why not.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::read(text).ok()
    }

    /// The JSON text of a member's value.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.members.iter().find(|(member, _)| **member == *name).map(|(_, value)| value.get())
    }

    /// Its members, in their order.
    pub(crate) fn into_members(self) -> Vec<Member> {
        self.members
    }
}

/// The members of an object, whatever their names.
struct Members(Vec<Member>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::with_capacity(16);
                while let Some(member) = map.next_entry()? {
                    if members.len() == MAX_MEMBERS {
                        return Err(A::Error::custom("too many members"));
                    }
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

/// The string that a value's text is; `None` for another type.
pub(crate) fn string(json: &str) -> Option<String> {
    serde_json::from_str(json).ok()
}

/// The strings that an array's text holds; `None` for another type, or for an element of another one.
pub(crate) fn strings(json: &str) -> Option<Vec<String>> {
    serde_json::from_str(json).ok()
}

/// The elements of an array's text, each as text; `None` for another type.
pub(crate) fn elements(json: &str) -> Option<Vec<Box<RawValue>>> {
    serde_json::from_str(json).ok()
}

/// One string, or an array of strings.
pub(crate) fn string_or_strings(json: &str) -> Option<Vec<String>> {
    string(json).map(|one| vec![one]).or_else(|| strings(json))
}

/// The boolean that a value's text is; `None` for another type.
pub(crate) fn boolean(json: &str) -> Option<bool> {
    serde_json::from_str(json).ok()
}

/// A text as a JSON string.
pub(crate) fn quote(text: &str) -> String {
    let mut json = String::with_capacity(text.len().saturating_add(2));
    json.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            '\0'..='\x1f' => json.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => json.push(c),
        }
    }
    json.push('"');
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_object_with_distinct_members_is_parsed() {
        let many = |n: usize| {
            let members: Vec<String> = (0..n).map(|i| format!("\"{i}\":{i}")).collect();
            format!("{{{}}}", members.join(","))
        };
        for (text, parsed) in [
            ("{}", true),
            (" {\"a\": 1, \"b\": {\"a\": 1}} ", true),
            ("{\"a\":1,\"a\":1}", false),
            ("{\"alg\":1,\"\\u0061lg\":1}", false),
            ("{\"a\":1}{}", false),
            ("{\"a\":1,}", false),
            ("[]", false),
            ("null", false),
            ("", false),
            (&many(MAX_MEMBERS), true),
            (&many(MAX_MEMBERS + 1), false),
            (&format!("{{\"a\":{}{}}}", "[".repeat(4000), "]".repeat(4000)), true),
            (&format!("{{\"a\":{}}}", "[".repeat(4000)), false),
        ] {
            assert_eq!(Object::parse(text).is_some(), parsed, "{text:.60}");
        }
    }

    #[test]
    fn a_name_that_occurs_twice_is_told() {
        assert_eq!(Object::read("{\"a\":1,\"b\":1,\"a\":1}").err(), Some(Malformed::Repeated("a".into())));
        assert_eq!(Object::read("[]").err(), Some(Malformed::Text));
    }

    #[test]
    fn a_quoted_text_is_read_as_it_was() {
        let all: String = ('\0'..='\u{100}').chain(['"', '\\', '\u{2028}', '😀']).collect();
        assert_eq!(string(&quote(&all)), Some(all));
    }

    #[test]
    fn a_value_keeps_the_text_that_was_sent() {
        let object = Object::parse(r#"{"n": 1.50e+400 , "s":"\u0041"}"#).unwrap();
        assert_eq!(object.get("n"), Some("1.50e+400"));
        assert_eq!(object.get("s"), Some(r#""\u0041""#));
        assert_eq!(object.get("absent"), None);
        assert_eq!(string(object.get("s").unwrap()).as_deref(), Some("A"));
    }
}
