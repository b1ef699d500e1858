//! JSON, strictly: objects with distinct names, whose values are kept as the text that was sent.
//!
//! Keeping the text has three uses: a number reaches a header exactly as the issuer wrote it, however
//! large; a claim that nobody asks for costs no parsing; and skipping over a value needs no stack,
//! however deeply it nests. No library does only that, and serde_json, of which this would take little, brings
//! all that it can do with numbers: with it the module was 60 KB larger. The tests hold the two side by side.

mod text;

use std::ops::Range;

use text::Text;

/// Members of one object; far more than any real token or key has. Checking that names are distinct
/// is quadratic.
pub(crate) const MAX_MEMBERS: usize = 256;

/// A JSON object with distinct member names.
pub(crate) struct Object {
    /// The object, and behind it those names that hold an escape, without it.
    text: String,
    members: Vec<Member>,
}

/// A member: where in the text its name stands, without quotes, and where its value.
struct Member {
    name: Range<usize>,
    value: Range<usize>,
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
    pub(crate) fn read(text: impl Into<String>) -> Result<Self, Malformed> {
        let mut text = text.into();
        let members = members(&mut text).ok_or(Malformed::Text)?;
        let object = Self { text, members };
        let names = || object.members.iter().map(|member| member.name.clone());
        for (at, name) in names().enumerate() {
            // The lengths first: they tell most names apart.
            let is_same = |earlier: &Range<usize>| {
                earlier.len() == name.len() && object.at(earlier.clone()) == object.at(name.clone())
            };
            if names().take(at).any(|earlier| is_same(&earlier)) {
                return Err(Malformed::Repeated(object.at(name).into()));
            }
        }
        Ok(object)
    }

    /// The same, where it does not matter why not.
    #[cfg(test)]
    pub(crate) fn parse(text: impl Into<String>) -> Option<Self> {
        Self::read(text).ok()
    }

    /// The JSON text of a member's value.
    #[cfg(test)]
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let is_named =
            |member: &&Member| member.name.len() == name.len() && self.at(member.name.clone()) == name;
        self.members.iter().find(is_named).map(|member| self.at(member.value.clone()))
    }

    /// The name of each member and the JSON text of its value, in their order.
    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.members.iter().map(|member| (self.at(member.name.clone()), self.at(member.value.clone())))
    }

    fn at(&self, range: Range<usize>) -> &str {
        self.text.get(range).unwrap_or_default()
    }
}

/// Reads the members of an object, and adds what [`Object`] wants behind it.
fn members(whole: &mut String) -> Option<Vec<Member>> {
    let mut text = Text::new(whole);
    let mut unescaped = String::new();
    let mut members = Vec::with_capacity(16);
    text.expect(b'{')?;
    if !text.takes(b'}') {
        loop {
            let quoted = text.string()?;
            let mut name = quoted.start.checked_add(1)?..quoted.end.checked_sub(1)?;
            if whole.get(name.clone())?.contains('\\') {
                let start = whole.len().checked_add(unescaped.len())?;
                unescaped.push_str(&string(whole.get(quoted)?)?);
                name = start..whole.len().checked_add(unescaped.len())?;
            }
            text.expect(b':')?;
            if members.len() == MAX_MEMBERS {
                return None;
            }
            members.push(Member { name, value: text.value()? });
            match text.token()? {
                b',' => {}
                b'}' => break,
                _ => return None,
            }
        }
    }
    let is_over = text.is_over();
    whole.push_str(&unescaped);
    is_over.then_some(members)
}

/// The elements of an array's text, each as text; `None` for another type.
pub(crate) fn elements(json: &str) -> Option<Vec<&str>> {
    let mut text = Text::new(json);
    let mut elements = Vec::new();
    text.expect(b'[')?;
    if !text.takes(b']') {
        loop {
            elements.push(json.get(text.value()?)?);
            match text.token()? {
                b',' => {}
                b']' => break,
                _ => return None,
            }
        }
    }
    text.is_over().then_some(elements)
}

/// A text with exactly one value in it, of any type, without the white space around it.
///
/// # Errors
///
/// Where it is none, by line and column.
#[cfg(test)]
pub(crate) fn one_value(json: &str) -> Result<&str, String> {
    let mut text = Text::new(json);
    if let Some(value) = text.value()
        && text.is_over()
    {
        return Ok(json.get(value).unwrap_or_default());
    }
    let (problem, read) = match text.read() {
        Some(read) => ("is wrong", read),
        None => ("ends too early", json.as_bytes()),
    };
    let lines = read.iter().filter(|byte| **byte == b'\n').count();
    let column = read.iter().rev().take_while(|byte| **byte != b'\n').count();
    Err(format!("it is no JSON: it {problem} at line {} column {column}", lines.saturating_add(1)))
}

/// The string that a value's text is; `None` for another type, and for half a surrogate pair.
pub(crate) fn string(json: &str) -> Option<String> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        text.push_str(plain);
        let mut after = escaped.chars();
        text.push(match after.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let (unit, unread) = code_unit(after.as_str())?;
                let (character, unread) = match char::from_u32(unit) {
                    Some(character) => (character, unread),
                    None => {
                        let (low, unread) = code_unit(unread.strip_prefix("\\u")?)?;
                        (
                            char::decode_utf16([u16::try_from(unit).ok()?, u16::try_from(low).ok()?])
                                .next()?
                                .ok()?,
                            unread,
                        )
                    }
                };
                after = unread.chars();
                character
            }
            plain @ ('"' | '\\' | '/') => plain,
            _ => return None,
        });
        rest = after.as_str();
    }
    text.push_str(rest);
    Some(text)
}

/// Four hexadecimal digits, and what follows them.
fn code_unit(text: &str) -> Option<(u32, &str)> {
    let (digits, rest) = text.split_at_checked(4)?;
    // The parser of numbers would take a sign.
    let is_hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some((u32::from_str_radix(digits, 16).ok().filter(|_| is_hexadecimal)?, rest))
}

/// The boolean that a value's text is; `None` for another type.
pub(crate) fn boolean(json: &str) -> Option<bool> {
    match json {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
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

    /// Whether both readers take a text for the same. They differ in what nobody can use: numbers beyond a double,
    /// and halves of surrogate pairs, which only make a string unreadable here.
    fn agree(text: &str) -> bool {
        let theirs = serde_json::from_str::<serde_json::Value>(text).ok();
        let is_value = serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok();
        let ours = one_value(text).ok();
        ours.is_some() == is_value
            && theirs.is_none_or(|theirs| match &theirs {
                serde_json::Value::String(string) => super::string(ours.unwrap()).as_ref() == Some(string),
                serde_json::Value::Array(items) => {
                    elements(text).is_some_and(|ours| ours.len() == items.len())
                }
                serde_json::Value::Object(members) => {
                    members.iter().all(|(name, value)| match Object::read(text) {
                        Ok(object) => object
                            .get(name)
                            .and_then(|ours| serde_json::from_str::<serde_json::Value>(ours).ok())
                            .is_some_and(|ours| ours == *value),
                        Err(malformed) => matches!(malformed, Malformed::Repeated(_)),
                    })
                }
                serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {
                    ours.unwrap().trim() == text.trim()
                }
            })
    }

    #[test]
    fn every_text_is_read_as_serde_json_reads_it() {
        #[rustfmt::skip]
        let texts = [
            r#"{"alg":"RS256","kid":"a\u00e9\ud83d\ude00\"\\\/\b\f\n\r\t","n":[1,-0,0.5,1e9,-1.5E+07,2e-3,[],{}]}"#,
            r#" { "a" : { "b" : [ true , false , null ] } , "" : "é😀" } "#,
            r#"["a",[["b"]],{"c":{}}]"#, r#""\ud800\udc00""#, r#""\ud800""#, r#""\udc00\ud800""#, r#""\ud800\u0041""#,
            "01", "-", "-01", "1.", ".5", "1e", "1e+", "1.5e3", "+1", "0x1", "NaN", "1e999", "tru", "nul", "[1,]", "{,}",
            "{\"a\" 1}", "{\"a\":1,}", "{a:1}", "'a'", "\"\u{1}\"", "\"\\x\"", "\"\\u12g4\"", "[1 2]", "[}", "{]", "", " ",
        ];
        for text in texts {
            assert!(agree(text), "{text}");
            // Each text cut short, and with each byte replaced by each that means something.
            for position in (0..text.len()).filter(|position| text.is_char_boundary(*position)) {
                let (before, after) = text.split_at(position);
                assert!(agree(before), "{before}");
                let mut rest = after.chars();
                rest.next();
                for odd in "{}[]\",:\\/ \n\t\u{1}0-+.eEu1atfnd\u{e9}".chars() {
                    let text = format!("{before}{odd}{}", rest.as_str());
                    assert!(agree(&text), "{text}");
                }
            }
        }
    }

    #[test]
    fn a_byte_that_no_string_has_is_found_wherever_it_stands() {
        for length in [1, 7, 8, 9, 20] {
            for at in 0..length {
                for byte in 0..0x80 {
                    for around in ["a", "\u{7f}", "\u{ffff}", " ", "!"] {
                        let text: String = (0..length)
                            .map(|i| if i == at { char::from(byte).to_string() } else { around.to_owned() })
                            .collect();
                        let text = format!("{{\"{text}\":\"{text}\"}}");
                        assert!(agree(&text), "{text:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_no_json_is_told_by_line_and_column() {
        for (text, expected) in [
            ("{", "it ends too early at line 1 column 1"),
            ("{\n\"a\": [", "it ends too early at line 2 column 6"),
            ("{\n \"a\" 1}", "it is wrong at line 2 column 6"),
            ("{} x", "line 1 column 4"),
            ("[1,]", "line 1 column 4"),
        ] {
            assert!(one_value(text).unwrap_err().contains(expected), "{text}: {:?}", one_value(text));
        }
    }

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
            ("{\"\\u0061lg\":1,\"alg\":1}", false),
            ("{\"\\u0061lg\":1,\"al\\u0067\":1}", false),
            ("{\"\\u0061\":1,\"b\":1,\"\\u0063\":1}", true),
            ("{\"\\ud800\":1}", false),
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
        // Names behind the text are members' names, and nothing else there is.
        let object = Object::parse(r#"{"\u0061b":1,"c":"x","\u0064\"":[2]} "#).unwrap();
        let members: Vec<_> = object.iter().collect();
        assert_eq!(members, [("ab", "1"), ("c", "\"x\""), ("d\"", "[2]")]);
        assert_eq!((object.get("ab"), object.get("d\""), object.get("")), (Some("1"), Some("[2]"), None));
    }
}
