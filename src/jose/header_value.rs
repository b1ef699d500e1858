//! A claim as the value of a header: plain text, or its JSON.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::value::RawValue;

use super::members::value;
use super::{ClaimPath, Claims, Refusal};

/// The form of a claim in a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimForm {
    /// Strings, numbers and booleans as they are, and lists of them joined by commas. Anything else yields no header.
    Plain,
    /// The JSON of any claim, without white space between its parts.
    Json,
    /// The same JSON in base64url.
    Base64,
}

impl Claims {
    /// Returns a claim as the value of a header. Strings stay as they are, numbers keep the exact text of the token
    /// (`1e3` and 30 digits included), booleans become `true` or `false`, and the elements of an array are joined by
    /// commas. Returns `None` if the claim is absent or anything else: an object, `null`, an empty array, a string
    /// that is empty or has white space at an end, or an array with an element that is none of these or contains a
    /// comma.
    ///
    /// # Errors
    /// [`Refusal::ControlCharacter`] if the value contains a control character; [`Refusal::WhiteSpace`] if the claim
    /// is `sub` and not plain; [`Refusal::Claims`] if a string in it is malformed, or the path leads through an
    /// object with a duplicate member.
    pub fn header_value(&self, path: &ClaimPath) -> Result<Option<String>, Refusal> {
        let Some(json) = self.find(path)? else {
            return Ok(None);
        };
        let Some(texts) = texts(&json)? else {
            return Ok(None);
        };
        let is_plain = texts.iter().all(|text| is_plain(text));
        let text = text_for_header(texts.join(","))?;
        match is_plain {
            true => Ok(Some(text)),
            false if path.is_top("sub") => Err(Refusal::WhiteSpace),
            false => Ok(None),
        }
    }

    /// Returns a claim as the value of a header, in any form. `None` if the claim is absent or has no such form.
    ///
    /// # Errors
    /// Those of [`Self::header_value`]. JSON can also fail with [`Refusal::ControlCharacter`], because strings may
    /// contain some unescaped.
    pub fn header_in_form(&self, path: &ClaimPath, form: ClaimForm) -> Result<Option<String>, Refusal> {
        let json = || Ok(self.find(path)?.map(|json| compact(&json)));
        match form {
            ClaimForm::Plain => self.header_value(path),
            ClaimForm::Json => json()?.map(text_for_header).transpose(),
            ClaimForm::Base64 => Ok(json()?.map(|json| BASE64_URL_SAFE_NO_PAD.encode(json))),
        }
    }
}

/// Returns whether a text survives as a header: it is not empty, and has no white space at an end, which programs on
/// the way drop.
pub(crate) fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.trim() == text
}

/// Returns a value that may become a header unchanged.
///
/// # Errors
/// [`Refusal::ControlCharacter`], also for Unicode's control characters.
pub(crate) fn text_for_header(value: String) -> Result<String, Refusal> {
    if value.chars().any(char::is_control) { Err(Refusal::ControlCharacter) } else { Ok(value) }
}

/// Returns a string, a number or a boolean as text.
fn scalar(json: &str) -> Result<Option<String>, Refusal> {
    match json.bytes().next() {
        Some(b'"') => value(json).map(Some).ok_or(Refusal::Claims),
        Some(b'-' | b'0'..=b'9' | b't' | b'f') => Ok(Some(json.to_owned())),
        Some(_) | None => Ok(None),
    }
}

/// Returns the texts that a header joins by commas: one scalar, or those of an array.
fn texts(json: &str) -> Result<Option<Vec<String>>, Refusal> {
    if !json.starts_with('[') {
        return Ok(scalar(json)?.map(|text| vec![text]));
    }
    let elements: Vec<&RawValue> = serde_json::from_str(json).map_err(|_| Refusal::Claims)?;
    let mut texts = Vec::with_capacity(elements.len());
    for element in elements {
        match scalar(element.get())? {
            Some(text) if !text.contains(',') => texts.push(text),
            Some(_) | None => return Ok(None),
        }
    }
    Ok((!texts.is_empty()).then_some(texts))
}

/// Removes the white space between the parts of JSON text, which may contain line ends. Numbers and strings stay as
/// sent.
fn compact(json: &str) -> String {
    let (mut in_string, mut is_escaped) = (false, false);
    let is_kept = |c: &char| {
        let is_end = *c == '"' && !is_escaped;
        is_escaped = in_string && *c == '\\' && !is_escaped;
        in_string ^= is_end;
        in_string || !matches!(c, ' ' | '\t' | '\n' | '\r')
    };
    json.chars().filter(is_kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(json: &str) -> Claims {
        Claims::parse(BASE64_URL_SAFE_NO_PAD.encode(json).as_bytes()).unwrap()
    }

    #[test]
    fn a_claim_becomes_a_header_as_it_stands_in_the_token_or_not_at_all() {
        for (json, expected) in [
            // Scalars
            (r#""Zoë""#, Ok(Some("Zoë"))),
            (r#""a b""#, Ok(Some("a b"))),
            // Programs on the way drop white space. A value that this would change yields no header.
            (r#""""#, Ok(None)),
            (r#"" ""#, Ok(None)),
            (r#"" a""#, Ok(None)),
            (r#""a ""#, Ok(None)),
            (r#""\u00a0a""#, Ok(None)),
            (r#""a\u2003""#, Ok(None)),
            (r#"["a","b "]"#, Ok(None)),
            (r#"["a",""]"#, Ok(None)),
            (r#""a,b""#, Ok(Some("a,b"))),
            (r#""\u0041\/\"""#, Ok(Some("A/\""))),
            ("0", Ok(Some("0"))),
            ("-0", Ok(Some("-0"))),
            ("1e3", Ok(Some("1e3"))),
            ("1.50", Ok(Some("1.50"))),
            ("123456789012345678901234567890", Ok(Some("123456789012345678901234567890"))),
            ("1e999", Ok(Some("1e999"))),
            ("true", Ok(Some("true"))),
            ("false", Ok(Some("false"))),
            ("null", Ok(None)),
            // Arrays
            (r#"["a"]"#, Ok(Some("a"))),
            (r#"[ "a" , 1.0, true , "b c" ]"#, Ok(Some("a,1.0,true,b c"))),
            ("[]", Ok(None)),
            (r#"["a","b,c"]"#, Ok(None)),
            (r#"["a",null]"#, Ok(None)),
            (r#"["a",["b"]]"#, Ok(None)),
            (r#"["a",{}]"#, Ok(None)),
            // Objects
            ("{}", Ok(None)),
            (r#"{"a":1}"#, Ok(None)),
            // Control characters, and bytes that are not text
            (r#""a\r\nb""#, Err(Refusal::ControlCharacter)),
            (r#""\u0000""#, Err(Refusal::ControlCharacter)),
            (r#""a\tb""#, Err(Refusal::ControlCharacter)),
            (r#""\u007f""#, Err(Refusal::ControlCharacter)),
            (r#""\u0085""#, Err(Refusal::ControlCharacter)),
            (r#"["a","\n"]"#, Err(Refusal::ControlCharacter)),
            (r#""\ud800""#, Err(Refusal::Claims)),
            (r#"["\ud800"]"#, Err(Refusal::Claims)),
            // Yields no header anyway
            (r#"[null,"\n"]"#, Ok(None)),
            (r#"{"a":"\n"}"#, Ok(None)),
        ] {
            let claims = claims(&format!(r#"{{"x":{json}}}"#));
            let value = claims.header_value(&ClaimPath::top("x"));
            assert_eq!(value, expected.map(|text| text.map(str::to_owned)), "{json}");
        }
    }

    #[test]
    fn a_subject_that_may_become_another_one_refuses_the_token() {
        for (json, expected) in [
            (r#"{"sub":"admin"}"#, Ok(Some("admin"))),
            (r#"{"sub":"ad min"}"#, Ok(Some("ad min"))),
            (r#"{"sub":"admin "}"#, Err(Refusal::WhiteSpace)),
            (r#"{"sub":" admin"}"#, Err(Refusal::WhiteSpace)),
            (r#"{"sub":"\u3000admin"}"#, Err(Refusal::WhiteSpace)),
            (r#"{"sub":" "}"#, Err(Refusal::WhiteSpace)),
            (r#"{"sub":""}"#, Err(Refusal::WhiteSpace)),
            (r#"{"sub":"admin\t"}"#, Err(Refusal::ControlCharacter)),
            ("{}", Ok(None)),
        ] {
            let value = claims(json).header_value(&ClaimPath::top("sub"));
            assert_eq!(value, expected.map(|text| text.map(str::to_owned)), "{json}");
        }
    }

    #[test]
    fn a_path_is_an_exact_name_or_a_list_of_names() {
        let claims = claims(
            r#"{"a.b":"dotted","a":{"b":"nested","c":{"d":1}},"https://x.example/r":"url","s":"{\"b\":1}",
                "twice":{"b":1,"b":2}}"#,
        );
        let nested = |names: &[&str]| ClaimPath::nested(names.iter().map(|name| (*name).to_owned())).unwrap();
        for (path, expected) in [
            (ClaimPath::top("a.b"), Ok(Some("dotted"))),
            (nested(&["a.b"]), Ok(Some("dotted"))),
            (nested(&["a", "b"]), Ok(Some("nested"))),
            (nested(&["a", "c", "d"]), Ok(Some("1"))),
            (ClaimPath::top("https://x.example/r"), Ok(Some("url"))),
            (ClaimPath::top("a"), Ok(None)),
            (ClaimPath::top("A"), Ok(None)),
            (nested(&["a", "x"]), Ok(None)),
            (nested(&["a", "b", "c"]), Ok(None)),
            (nested(&["s", "b"]), Ok(None)),
            (nested(&["twice", "b"]), Err(Refusal::Claims)),
        ] {
            let value = claims.header_value(&path);
            assert_eq!(value, expected.map(|text| text.map(str::to_owned)), "{path:?}");
        }
        assert_eq!(ClaimPath::nested([]), None);
    }

    #[test]
    fn a_claim_becomes_its_json_whatever_it_is() {
        for (json, expected) in [
            (r#""a""#, Ok(r#""a""#)),
            (r#"" a ""#, Ok(r#"" a ""#)),
            (r#""""#, Ok(r#""""#)),
            ("1.50", Ok("1.50")),
            ("true", Ok("true")),
            ("null", Ok("null")),
            ("[]", Ok("[]")),
            (r#"[ "a, b" ,  null, {"c" : 1e3} ]"#, Ok(r#"["a, b",null,{"c":1e3}]"#)),
            ("{\r\n\t\"a\\\\\" : \"b \\\" c\"\n}", Ok(r#"{"a\\":"b \" c"}"#)),
            (r#"{"a":"\r\nx-user: admin"}"#, Ok(r#"{"a":"\r\nx-user: admin"}"#)),
            ("\"Zoë\"", Ok("\"Zoë\"")),
            // JSON strings may contain these unescaped.
            ("\"\u{7f}\"", Err(Refusal::ControlCharacter)),
            ("[\"\u{85}\"]", Err(Refusal::ControlCharacter)),
        ] {
            let claims = claims(&format!(r#"{{"x":{json}}}"#));
            let path = ClaimPath::top("x");
            let value = claims.header_in_form(&path, ClaimForm::Json);
            assert_eq!(value, expected.map(|text| Some(text.to_owned())), "{json}");
            if let Ok(text) = expected {
                let value = claims.header_in_form(&path, ClaimForm::Base64).unwrap().unwrap();
                assert_eq!(BASE64_URL_SAFE_NO_PAD.decode(&value).unwrap(), text.as_bytes(), "{json}");
            }
            assert_eq!(claims.header_in_form(&path, ClaimForm::Plain), claims.header_value(&path));
        }
        for form in [ClaimForm::Plain, ClaimForm::Json, ClaimForm::Base64] {
            assert_eq!(claims("{}").header_in_form(&ClaimPath::top("x"), form), Ok(None));
        }
    }
}
