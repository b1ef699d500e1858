//! Reads the bytes of a plugin configuration. They are JSON text, or the protobuf encoding of a
//! `google.protobuf.Struct` if Envoy gets one.

use std::borrow::Cow;

use serde::ser::{Error, SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::error::Category;

use super::field::{FieldType, whole_number};
use super::problem::{ConfigError, DocumentError, Problem};
use crate::protobuf::{Wire, WireFields};

/// The deepest nesting of a Struct that is read. More is refused before it can exhaust the stack.
const MAX_DEPTH: u8 = 64;

/// Reads a configuration's bytes.
///
/// # Errors
///
/// Fails with the path of the wrong field, or with the line and column where the text is not JSON.
pub(super) fn read<F: FieldType>(bytes: &[u8]) -> Result<F::Value, ConfigError> {
    let text = text(bytes).map_err(|problem| ConfigError::new("", problem))?;
    let mut json = serde_json::Deserializer::from_str(&text);
    let mut track = serde_path_to_error::Track::new();
    let value = F::read(serde_path_to_error::Deserializer::new(&mut json, &mut track))
        .map_err(|error| refused(&track.path(), error))?;
    json.end().map_err(|error| ConfigError::new("", DocumentError::Json(error)))?;
    Ok(value)
}

/// Converts an error: with the place in the text if that is not JSON, else with the field.
fn refused(path: &serde_path_to_error::Path, error: serde_json::Error) -> ConfigError {
    match error.classify() {
        Category::Data => {
            let path = if path.iter().len() == 0 { String::new() } else { path.to_string() };
            ConfigError::new(path, Problem::Value(error))
        }
        Category::Io | Category::Syntax | Category::Eof => ConfigError::new("", DocumentError::Json(error)),
    }
}

fn text(bytes: &[u8]) -> Result<Cow<'_, str>, DocumentError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(DocumentError::Empty);
    }
    // The first field of a Struct has the tag 0x0a, which is a newline in JSON. But every non-empty Struct contains a
    // 0x12 (the value of an entry), which JSON cannot contain.
    if bytes.first() == Some(&0x0a) && bytes.contains(&0x12) {
        let json = serde_json::to_string(&Struct { bytes, depth: MAX_DEPTH });
        return json.map(Cow::Owned).map_err(|_| DocumentError::Encoding);
    }
    str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| DocumentError::Encoding)
}

// google/protobuf/struct.proto: `Struct { map<string, Value> fields = 1; }`, `ListValue { repeated Value
// values = 1; }`, and `Value`, a oneof of null 1, number 2, string 3, bool 4, struct 5 and list 6.

/// The encoding of a Struct. A duplicate name in it is written twice.
struct Struct<'a> {
    bytes: &'a [u8],
    depth: u8,
}

/// The encoding of a Value.
struct Value<'a> {
    bytes: &'a [u8],
    depth: u8,
}

/// The encoding of a ListValue.
struct ListValue<'a> {
    bytes: &'a [u8],
    depth: u8,
}

/// Reports that the bytes are not the encoding of a Struct.
fn malformed<E: Error>() -> E {
    E::custom("malformed")
}

impl Serialize for Struct<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let depth = self.depth.checked_sub(1).ok_or_else(malformed)?;
        let mut map = serializer.serialize_map(None)?;
        for field in WireFields::new(self.bytes) {
            let Some((1, Wire::Bytes(entry))) = field else { return Err(malformed()) };
            let (mut name, mut value) = (b"".as_slice(), None);
            for field in WireFields::new(entry) {
                match field {
                    Some((1, Wire::Bytes(bytes))) => name = bytes,
                    Some((2, Wire::Bytes(bytes))) => value = Some(Value { bytes, depth }),
                    Some(_) | None => return Err(malformed()),
                }
            }
            let name = str::from_utf8(name).map_err(|_| malformed())?;
            map.serialize_entry(name, &value.ok_or_else(malformed)?)?;
        }
        map.end()
    }
}

impl Serialize for ListValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for field in WireFields::new(self.bytes) {
            let Some((1, Wire::Bytes(bytes))) = field else { return Err(malformed()) };
            list.serialize_element(&Value { bytes, depth: self.depth })?;
        }
        list.end()
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let depth = self.depth.checked_sub(1).ok_or_else(malformed)?;
        let mut fields = WireFields::new(self.bytes);
        let (Some(Some(field)), None) = (fields.next(), fields.next()) else { return Err(malformed()) };
        match field {
            (1, Wire::Varint(_)) => serializer.serialize_unit(),
            (2, Wire::Fixed64(bits)) => {
                let number = f64::from_le_bytes(bits);
                match whole_number(number) {
                    Some(whole) => serializer.serialize_u64(whole),
                    None if number.is_finite() => serializer.serialize_f64(number),
                    None => Err(malformed()),
                }
            }
            (3, Wire::Bytes(text)) => {
                serializer.serialize_str(str::from_utf8(text).map_err(|_| malformed())?)
            }
            (4, Wire::Varint(bit)) => serializer.serialize_bool(bit != 0),
            (5, Wire::Bytes(bytes)) => Struct { bytes, depth }.serialize(serializer),
            (6, Wire::Bytes(bytes)) => ListValue { bytes, depth }.serialize(serializer),
            _ => Err(malformed()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_DEPTH, Struct};
    use crate::config::ConfigError;
    use crate::config::field::FieldType;
    use serde::{Deserialize, Deserializer};
    use serde_json::{Value, json};

    /// Any value.
    struct Anything;

    impl FieldType for Anything {
        type Value = Value;

        fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
            Value::deserialize(deserializer)
        }

        #[cfg(feature = "schema")]
        fn schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
            schemars::Schema::default()
        }
    }

    fn read(bytes: &[u8]) -> Result<Value, ConfigError> {
        super::read::<Anything>(bytes)
    }

    fn value(bytes: &[u8]) -> Value {
        read(bytes).unwrap()
    }

    /// Encodes a Struct as the other side does, for tests.
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
        for expected in [
            json!({"authgear": {"endpoint": "http://a", "upstream": "b"}}),
            json!({"a": 600, "b": [true, false, "c\n\"\u{1}ü", [], {}], "d": {"e": {"f": null}}, "g": long}),
            json!({"": "", "\"": 0, "a": 9_007_199_254_740_991_u64}),
        ] {
            assert_eq!(value(expected.to_string().as_bytes()), expected);
            assert_eq!(value(&encode_struct(&expected)), expected);
        }
    }

    #[test]
    fn a_number_of_a_struct_is_the_number_that_it_is() {
        for (number, expected) in [
            (0.0, Some("0")),
            (-0.0, Some("0")),
            (600.0, Some("600")),
            (9_007_199_254_740_991.0, Some("9007199254740991")),
            (9_007_199_254_740_992.0, Some("9007199254740992.0")),
            (1.5, Some("1.5")),
            (-1.0, Some("-1.0")),
            (f64::NAN, None),
            (f64::INFINITY, None),
        ] {
            let bytes = [vec![2 << 3 | 1], number.to_le_bytes().to_vec()].concat();
            let found = serde_json::to_string(&super::Value { bytes: &bytes, depth: 1 }).ok();
            assert_eq!(found.as_deref(), expected, "{number}");
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
            (b"{", "EOF"),
            (b"{\"a\": 1,\n \"a\" 2}", "line 2 column 6"),
            (b"{} x", "line 1 column 4"),
            (b"\xff\xfe", "neither JSON"),
            (b"\x0a\x05\x0a\x01a\x12\x00", "neither JSON"),
            (b"\x0a\x12", "neither JSON"),
            (deep.as_bytes(), "recursion limit"),
        ];
        for (bytes, expected) in cases {
            let problem = read(bytes).unwrap_err().problem.to_string();
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
            let cut_off = Struct { bytes: whole.get(..cut).unwrap(), depth: MAX_DEPTH };
            assert!(serde_json::to_string(&cut_off).is_err(), "cut at {cut}");
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
