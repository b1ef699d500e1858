//! The bytes of a plugin configuration → one JSON value. They are JSON text, or, where Envoy is given a
//! `google.protobuf.Struct`, that message's protobuf encoding, which is the same in other bytes.

use crate::json::{self, quote};

/// The deepest nesting of a Struct that is read; more is refused before it can exhaust the stack.
const MAX_DEPTH: u8 = 64;

/// Reads a configuration's bytes.
///
/// # Errors
///
/// Says what is wrong, with line and column where the bytes are text.
pub fn read(bytes: &[u8]) -> Result<Box<str>, String> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err("it is empty".to_owned());
    }
    // The first field of a Struct has the tag 0x0a, a newline in JSON; but no Struct that says anything is
    // without a 0x12 (the value of an entry), which JSON cannot have.
    let text = if bytes.first() == Some(&0x0a) && bytes.contains(&0x12) {
        structure(bytes, MAX_DEPTH)
    } else {
        String::from_utf8(bytes.to_vec()).ok()
    };
    let text = text.ok_or("it is neither JSON text nor the encoding of a google.protobuf.Struct")?;
    json::one_value(&text).map(Into::into)
}

// google/protobuf/struct.proto: `Struct { map<string, Value> fields = 1; }`, `ListValue { repeated Value
// values = 1; }`, and `Value`, a oneof of null 1, number 2, string 3, bool 4, struct 5 and list 6.

/// A Struct as JSON text. Of names that stand twice in it, both are written.
fn structure(bytes: &[u8], depth: u8) -> Option<String> {
    let depth = depth.checked_sub(1)?;
    let mut members = Vec::new();
    for field in Fields(bytes) {
        let (1, Wire::Bytes(entry)) = field? else { return None };
        let (mut name, mut value) = ("", None);
        for field in Fields(entry) {
            match field? {
                (1, Wire::Bytes(bytes)) => name = str::from_utf8(bytes).ok()?,
                (2, Wire::Bytes(bytes)) => value = Some(one_value(bytes, depth)?),
                _ => return None,
            }
        }
        members.push(format!("{}:{}", quote(name), value?));
    }
    Some(format!("{{{}}}", members.join(",")))
}

fn one_value(bytes: &[u8], depth: u8) -> Option<String> {
    let depth = depth.checked_sub(1)?;
    let mut fields = Fields(bytes);
    let value = match fields.next()?? {
        (1, Wire::Varint(_)) => "null".to_owned(),
        (2, Wire::Fixed64(bits)) => number(f64::from_le_bytes(bits))?,
        (3, Wire::Bytes(text)) => quote(str::from_utf8(text).ok()?),
        (4, Wire::Varint(bit)) => (bit != 0).to_string(),
        (5, Wire::Bytes(inner)) => structure(inner, depth)?,
        (6, Wire::Bytes(inner)) => {
            let mut items = Vec::new();
            for field in Fields(inner) {
                let (1, Wire::Bytes(item)) = field? else { return None };
                items.push(one_value(item, depth)?);
            }
            format!("[{}]", items.join(","))
        }
        _ => return None,
    };
    fields.next().is_none().then_some(value)
}

/// A number as JSON text; no JSON has infinities, or what is no number.
fn number(value: f64) -> Option<String> {
    // Beyond 2^53 a double no longer tells neighbours apart.
    const WHOLE: std::ops::Range<f64> = 0.0..9_007_199_254_740_992.0;
    if value.fract() == 0.0 && WHOLE.contains(&value) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole, and in that range"
        )]
        return Some((value as u64).to_string());
    }
    // No field takes any other number, so that it does not matter which one it is. (To write it as it is takes
    // as much code as all else here together.)
    value.is_finite().then(|| "-0.5".to_owned())
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
    use serde_json::{Value, json};

    fn value(bytes: &[u8]) -> Value {
        serde_json::from_str(&read(bytes).unwrap()).unwrap()
    }

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
    fn a_number_of_a_struct_is_whole_or_no_number_that_a_field_takes() {
        for (value, expected) in [
            (0.0, Some("0")),
            (-0.0, Some("0")),
            (600.0, Some("600")),
            (9_007_199_254_740_991.0, Some("9007199254740991")),
            (9_007_199_254_740_992.0, Some("-0.5")),
            (1.5, Some("-0.5")),
            (-1.0, Some("-0.5")),
            (f64::NAN, None),
            (f64::INFINITY, None),
        ] {
            assert_eq!(number(value).as_deref(), expected, "{value}");
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
            (b"{", "ends too early"),
            (b"{\"a\": 1,\n \"a\" 2}", "line 2 column 6"),
            (b"{} x", "line 1 column 4"),
            (b"\xff\xfe", "neither JSON"),
            (b"\x0a\x05\x0a\x01a\x12\x00", "neither JSON"),
            (b"\x0a\x12", "neither JSON"),
            (deep.as_bytes(), "ends too early"),
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
