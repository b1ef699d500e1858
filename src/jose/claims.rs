//! The claims of a token: the registered ones, typed; any other by name, and as a header's value.

use serde_json::value::RawValue;

use super::members::{Members, string_or_strings, value};
use super::{Refusal, base64url};
use crate::http::UnixTime;

/// 9999-12-31T23:59:59Z. A date beyond it is a mistake, such as milliseconds, and not for ever.
const LATEST_DATE: i64 = 253_402_300_799;

/// The claims of a token. Those of a [`Token`](super::Token) are unverified; those of a
/// [`Verified`](super::Verified) are what the issuer says.
pub struct Claims {
    members: Members,
    issuer: Option<String>,
    subject: Option<String>,
    audiences: Vec<String>,
    client_id: Option<String>,
    expires: Option<i64>,
    not_before: Option<i64>,
    issued_at: Option<i64>,
}

impl Claims {
    /// Parses the claims segment. The types of `iss`, `sub`, `aud`, `client_id`, `exp`, `nbf` and `iat`
    /// are checked here.
    pub(crate) fn parse(segment: &[u8]) -> Result<Self, Refusal> {
        let json = base64url(segment).ok_or(Refusal::Base64)?;
        let json = String::from_utf8(json).map_err(|_| Refusal::Claims)?;
        let members = Members::parse(&json).ok_or(Refusal::Claims)?;
        Ok(Self {
            issuer: typed(&members, "iss", value)?,
            subject: typed(&members, "sub", value)?,
            audiences: typed(&members, "aud", string_or_strings)?.unwrap_or_default(),
            client_id: typed(&members, "client_id", value)?,
            expires: typed(&members, "exp", numeric_date)?,
            not_before: typed(&members, "nbf", numeric_date)?,
            issued_at: typed(&members, "iat", numeric_date)?,
            members,
        })
    }

    /// `iss`.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// `sub`.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// `aud`: empty, one, or several.
    #[must_use]
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// `client_id` (RFC 9068 section 2.2).
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    /// `exp`, in seconds since the Unix epoch.
    pub(super) fn expires(&self) -> Option<i64> {
        self.expires
    }

    /// `nbf`, in seconds since the Unix epoch.
    pub(super) fn not_before(&self) -> Option<i64> {
        self.not_before
    }

    /// `iat`, in seconds since the Unix epoch.
    pub(super) fn issued_at(&self) -> Option<i64> {
        self.issued_at
    }

    /// `auth_time`: when the user authenticated. `None` where the token does not say it, or says
    /// something that is no date since 1970.
    #[must_use]
    pub fn auth_time(&self) -> Option<UnixTime> {
        let seconds = numeric_date(self.members.get("auth_time")?)?;
        u64::try_from(seconds).ok().map(UnixTime::from_secs)
    }

    /// `amr`: how the user authenticated. Empty where the token does not say it in strings.
    #[must_use]
    pub fn amr(&self) -> Vec<String> {
        self.strings_at("amr")
    }

    /// `scope`: space-separated in one string (RFC 8693 section 4.2), or an array as some issuers have
    /// it. Empty where the token does not say it in strings.
    #[must_use]
    pub fn scopes(&self) -> Vec<String> {
        let words = self.strings_at("scope");
        words
            .iter()
            .flat_map(|words| words.split(' '))
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// The roles that a claim holds: a string is one role, an array of strings several. Empty where the
    /// claim is absent or holds anything else, such as a role that is empty or has white space at an end.
    ///
    /// # Errors
    /// [`Refusal::Claims`] where the path leads through an object with a member twice.
    pub fn roles(&self, path: &ClaimPath) -> Result<Vec<String>, Refusal> {
        let json = self.find(path)?;
        let roles = json.as_deref().and_then(string_or_strings).unwrap_or_default();
        Ok(if roles.iter().all(|role| is_plain(role)) { roles } else { Vec::new() })
    }

    /// A claim as the value of a header: strings and numbers as they are (a number as the very text in
    /// the token, `1e3` and 30 digits included), booleans as `true` and `false`, arrays of them joined by
    /// commas. `None` where the claim is absent or holds anything else: an object, `null`, an empty
    /// array, a string that is empty or has white space at an end, an array with an element that is none
    /// of these or that holds a comma.
    ///
    /// # Errors
    /// [`Refusal::ControlCharacter`] where the value holds a control character; [`Refusal::WhiteSpace`]
    /// where the claim is `sub` and not plain; [`Refusal::Claims`] where a string in it is malformed, or
    /// the path leads through an object with a member twice.
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
            false if path.is_subject() => Err(Refusal::WhiteSpace),
            false => Ok(None),
        }
    }

    /// The JSON text of a claim by its exact name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.members.get(name)
    }

    fn strings_at(&self, name: &str) -> Vec<String> {
        self.members.get(name).and_then(string_or_strings).unwrap_or_default()
    }

    /// The JSON text of a claim. What is not an object has no members.
    fn find(&self, path: &ClaimPath) -> Result<Option<String>, Refusal> {
        let Some(mut json) = self.members.get(&path.first).map(str::to_owned) else {
            return Ok(None);
        };
        for name in &path.rest {
            if !json.starts_with('{') {
                return Ok(None);
            }
            let members = Members::parse(&json).ok_or(Refusal::Claims)?;
            match members.get(name) {
                Some(member) => json = member.to_owned(),
                None => return Ok(None),
            }
        }
        Ok(Some(json))
    }
}

/// Where a claim is found: by its exact name, or below other claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPath {
    first: String,
    rest: Vec<String>,
}

impl ClaimPath {
    /// A claim at the top. A name is taken as it is, with whatever dots and slashes it has.
    #[must_use]
    pub fn top(name: impl Into<String>) -> Self {
        Self { first: name.into(), rest: Vec::new() }
    }

    /// A nested claim, the outermost name first; `None` for no name at all.
    #[must_use]
    pub fn nested(names: impl IntoIterator<Item = String>) -> Option<Self> {
        let mut names = names.into_iter();
        Some(Self { first: names.next()?, rest: names.collect() })
    }

    fn is_subject(&self) -> bool {
        self.first == "sub" && self.rest.is_empty()
    }
}

/// Whether a text stays the same text in a header: it is not empty, and neither begins nor ends with white
/// space, which programs on the way drop.
pub(crate) fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.trim() == text
}

/// A value that may go into a header as it is.
///
/// # Errors
/// [`Refusal::ControlCharacter`], for those of Unicode too.
pub(crate) fn text_for_header(value: String) -> Result<String, Refusal> {
    if value.chars().any(char::is_control) { Err(Refusal::ControlCharacter) } else { Ok(value) }
}

/// A claim of one type; another type refuses the token.
fn typed<T>(
    members: &Members,
    name: &'static str,
    parse: fn(&str) -> Option<T>,
) -> Result<Option<T>, Refusal> {
    match members.get(name) {
        Some(json) => parse(json).map(Some).ok_or(Refusal::Claim(name)),
        None => Ok(None),
    }
}

/// A string, a number or a boolean as text.
fn scalar(json: &str) -> Result<Option<String>, Refusal> {
    match json.bytes().next() {
        Some(b'"') => value(json).map(Some).ok_or(Refusal::Claims),
        Some(b'-' | b'0'..=b'9' | b't' | b'f') => Ok(Some(json.to_owned())),
        Some(_) | None => Ok(None),
    }
}

/// What a header joins by commas: one scalar, or those of an array.
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

/// A `NumericDate` (RFC 7519 section 2) in whole seconds, rounded towards 1970. Exponents are refused:
/// nobody writes dates so, and 1e999 is not a date.
fn numeric_date(json: &str) -> Option<i64> {
    let (seconds, fraction) = json.split_once('.').unwrap_or((json, ""));
    let digits_only = fraction.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = seconds.parse().ok().filter(|_| digits_only)?;
    (seconds <= LATEST_DATE).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    fn claims(json: &str) -> Claims {
        Claims::parse(base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(json).as_bytes()).unwrap()
    }

    #[test]
    fn a_claim_becomes_a_header_as_it_stands_in_the_token_or_not_at_all() {
        for (json, expected) in [
            // Scalars
            (r#""Zoë""#, Ok(Some("Zoë"))),
            (r#""a b""#, Ok(Some("a b"))),
            // Programs on the way drop white space: what they would make another value of is none.
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
            // Control characters, and what is no text
            (r#""a\r\nb""#, Err(Refusal::ControlCharacter)),
            (r#""\u0000""#, Err(Refusal::ControlCharacter)),
            (r#""a\tb""#, Err(Refusal::ControlCharacter)),
            (r#""\u007f""#, Err(Refusal::ControlCharacter)),
            (r#""\u0085""#, Err(Refusal::ControlCharacter)),
            (r#"["a","\n"]"#, Err(Refusal::ControlCharacter)),
            (r#""\ud800""#, Err(Refusal::Claims)),
            (r#"["\ud800"]"#, Err(Refusal::Claims)),
            // Becomes no header anyway
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
    fn what_a_token_does_not_state_plainly_is_not_stated() {
        let of =
            |json: &str| claims(&format!(r#"{{"x":{json},"scope":{json},"amr":{json},"auth_time":{json}}}"#));
        for (json, words, scopes, time) in [
            (r#""a b""#, &["a b"][..], &["a", "b"][..], None),
            (r#"["a","b c"]"#, &["a", "b c"], &["a", "b", "c"], None),
            (r#"["a",1]"#, &[], &[], None),
            ("1800000000", &[], &[], Some(1_800_000_000)),
            ("1800000000.9", &[], &[], Some(1_800_000_000)),
            ("-62135596800", &[], &[], None),
            ("1e9", &[], &[], None),
            ("1800000000000", &[], &[], None),
            ("null", &[], &[], None),
            ("{}", &[], &[], None),
        ] {
            let claims = of(json);
            assert_eq!(claims.roles(&ClaimPath::top("x")).unwrap(), words, "{json}");
            assert_eq!(claims.amr(), words, "{json}");
            assert_eq!(claims.scopes(), scopes, "{json}");
            assert_eq!(claims.auth_time(), time.map(UnixTime::from_secs), "{json}");
        }
    }

    #[test]
    fn roles_of_which_one_may_become_another_are_none() {
        for (json, expected) in [
            (r#"["admin","two words"]"#, &["admin", "two words"][..]),
            (r#"["a","admin "]"#, &[]),
            (r#""\tadmin""#, &[]),
            (r#"["a",""]"#, &[]),
            (r#""""#, &[]),
        ] {
            let claims = claims(&format!(r#"{{"x":{json}}}"#));
            assert_eq!(claims.roles(&ClaimPath::top("x")).unwrap(), expected, "{json}");
        }
    }
}
