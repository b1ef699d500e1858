//! The bytes of a plugin configuration → one JSON value. They are JSON text, or, where Envoy is given a
//! `google.protobuf.Struct`, that message's protobuf encoding.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The deepest nesting that is read; more is refused before it can exhaust the stack.
const MAX_DEPTH: u8 = 64;

/// Reads a configuration's bytes. A name that stands twice in one object is an error, never one of the two.
///
/// # Errors
///
/// Says what is wrong, with line and column where the bytes are text.
pub fn read(bytes: &[u8]) -> Result<Value, String> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err("it is empty".to_owned());
    }
    // The first field of a Struct has the tag 0x0a, a newline in JSON; but no Struct that says anything is
    // without a 0x12 (the value of an entry), which JSON cannot have.
    if bytes.first() == Some(&0x0a) && bytes.contains(&0x12) {
        return structure(bytes, MAX_DEPTH).map(Value::Object).ok_or_else(|| {
            "it is neither JSON text nor the encoding of a google.protobuf.Struct".to_owned()
        });
    }
    serde_json::from_slice::<Strict>(bytes).map(|strict| strict.0).map_err(|error| error.to_string())
}

/// A JSON value without duplicate names.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some((name, Strict(value))) = map.next_entry::<String, Strict>()? {
            if members.contains_key(&name) {
                return Err(de::Error::custom(format_args!("`{name}` stands twice in one object")));
            }
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

// google/protobuf/struct.proto: `Struct { map<string, Value> fields = 1; }`, `ListValue { repeated Value
// values = 1; }`, and `Value`, a oneof of null 1, number 2, string 3, bool 4, struct 5 and list 6.

fn structure(bytes: &[u8], depth: u8) -> Option<Map<String, Value>> {
    let depth = depth.checked_sub(1)?;
    let mut members = Map::new();
    for field in Fields(bytes) {
        let (1, Wire::Bytes(entry)) = field? else { return None };
        let (mut name, mut value) = (String::new(), None);
        for field in Fields(entry) {
            match field? {
                (1, Wire::Bytes(bytes)) => name = String::from_utf8(bytes.to_vec()).ok()?,
                (2, Wire::Bytes(bytes)) => value = Some(one_value(bytes, depth)?),
                _ => return None,
            }
        }
        if members.insert(name, value?).is_some() {
            return None;
        }
    }
    Some(members)
}

fn one_value(bytes: &[u8], depth: u8) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    let mut fields = Fields(bytes);
    let value = match fields.next()?? {
        (1, Wire::Varint(_)) => Value::Null,
        (2, Wire::Fixed64(bits)) => Value::Number(Number::from_f64(f64::from_le_bytes(bits))?),
        (3, Wire::Bytes(text)) => Value::String(String::from_utf8(text.to_vec()).ok()?),
        (4, Wire::Varint(bit)) => Value::Bool(bit != 0),
        (5, Wire::Bytes(inner)) => Value::Object(structure(inner, depth)?),
        (6, Wire::Bytes(inner)) => {
            let mut items = Vec::new();
            for field in Fields(inner) {
                let (1, Wire::Bytes(item)) = field? else { return None };
                items.push(one_value(item, depth)?);
            }
            Value::Array(items)
        }
        _ => return None,
    };
    fields.next().is_none().then_some(value)
}

/// What a protobuf field holds; the other wire types do not occur in a Struct.
enum Wire<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
}

/// The fields of a protobuf message; `None` inside where the bytes are none.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64u32).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn field(&mut self) -> Option<(u64, Wire<'a>)> {
        let tag = self.varint()?;
        let wire = match tag & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(self.take(8)?.try_into().ok()?),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Wire::Bytes(self.take(length)?)
            }
            _ => return None,
        };
        Some((tag >> 3, wire))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Wire<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The encoder of the other side, for the tests.
    fn encode_struct(value: &Value) -> Vec<u8> {
        fn delimited(tag: u8, bytes: &[u8]) -> Vec<u8> {
            let mut out = vec![tag << 3 | 2];
            let mut length = bytes.len();
            while length >= 0x80 {
                out.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
                length >>= 7;
            }
            out.push(u8::try_from(length).unwrap());
            out.extend(bytes);
            out
        }
        fn encode_value(value: &Value) -> Vec<u8> {
            match value {
                Value::Null => vec![1 << 3, 0],
                Value::Bool(bit) => vec![4 << 3, u8::from(*bit)],
                Value::Number(number) => {
                    [vec![2 << 3 | 1], number.as_f64().unwrap().to_le_bytes().to_vec()].concat()
                }
                Value::String(text) => delimited(3, text.as_bytes()),
                Value::Array(items) => {
                    let inner: Vec<u8> =
                        items.iter().flat_map(|item| delimited(1, &encode_value(item))).collect();
                    delimited(6, &inner)
                }
                Value::Object(_) => delimited(5, &encode_struct(value)),
            }
        }
        value
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(name, value)| {
                delimited(1, &[delimited(1, name.as_bytes()), delimited(2, &encode_value(value))].concat())
            })
            .collect()
    }

    #[test]
    fn text_and_struct_say_the_same() {
        let long = "x".repeat(300);
        for value in [
            json!({"authgear": {"endpoint": "http://a", "upstream": "b"}}),
            json!({"a": 600.0, "b": [true, false, "c", [], {}], "d": {"e": {"f": null}}, "g": long}),
            json!({"": ""}),
        ] {
            assert_eq!(read(value.to_string().as_bytes()).unwrap(), value);
            assert_eq!(read(&encode_struct(&value)).unwrap(), value);
        }
    }

    #[test]
    fn a_leading_newline_does_not_make_text_a_struct() {
        for text in [
            "\n{}",
            "\n\n{\"a\":\n1}",
            "\n{\"key\": \"a longer value so that the length would fit ........\"}",
        ] {
            assert!(read(text.as_bytes()).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let deep = "[".repeat(100_000);
        let cases: &[(&[u8], &str)] = &[
            (b"", "empty"),
            (b" \n ", "empty"),
            (b"{", "line 1 column 1"),
            (b"{\"a\": 1,\n \"a\": 2}", "`a` stands twice in one object at line 2"),
            (b"{\"a\": {\"b\": 1, \"b\": 1}}", "`b` stands twice"),
            (b"{} x", "trailing"),
            (b"\xff\xfe", "line 1"),
            (b"\x0a\x05\x0a\x01a\x12\x00", "neither JSON"),
            (b"\x0a\x12", "neither JSON"),
            (deep.as_bytes(), "recursion"),
        ];
        for (bytes, expected) in cases {
            let problem = read(bytes).unwrap_err();
            assert!(problem.contains(expected), "{}: {problem}", bytes.escape_ascii());
        }
    }

    #[test]
    fn no_struct_however_broken_panics_or_is_read_past_its_end() {
        let mut deep = json!({});
        for _ in 0..200 {
            deep = json!({ "a": deep });
        }
        assert!(read(&encode_struct(&deep)).is_err(), "nested too deep");
        let whole = encode_struct(&json!({"authgear": {"endpoint": "http://a", "list": [1, true, "x"]}}));
        for cut in 1..whole.len() {
            assert!(structure(whole.get(..cut).unwrap(), MAX_DEPTH).is_none(), "cut at {cut}");
        }
        for position in 0..whole.len() {
            for flip in 0..=255 {
                let mut bytes = whole.clone();
                bytes[position] = flip;
                let _ = read(&bytes);
            }
        }
    }
}
