//! The demand that a claim has one of some values. Defines when two values are equal.

use serde_json::value::RawValue;

use super::members::value;
use super::{ClaimPath, Claims};

/// A demand on one claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimTest {
    /// The claim.
    pub claim: ClaimPath,
    /// It must equal one of these, or be a list that contains one of them.
    pub any_of: Vec<Scalar>,
}

/// A string, a number or a boolean. Values of different types differ: 3 is not "3".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar {
    /// A string, compared exactly.
    Text(String),
    /// A number, compared by value, not by spelling.
    Number(Number),
    /// A boolean.
    Boolean(bool),
}

/// A decimal number of any size: `0.digits × 10^exponent`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number {
    is_negative: bool,
    /// Without zeros at either end; empty for zero.
    digits: String,
    exponent: i64,
}

impl ClaimTest {
    /// Returns whether the claims meet the demand. A claim never meets it if it is absent, an object or `null`, or if
    /// two readers could understand it differently.
    #[must_use]
    pub fn is_met(&self, claims: &Claims) -> bool {
        let Ok(Some(json)) = claims.find(&self.claim) else { return false };
        let is_one = |json: &str| Scalar::parse(json).is_some_and(|scalar| self.any_of.contains(&scalar));
        if !json.starts_with('[') {
            return is_one(&json);
        }
        let elements: Option<Vec<&RawValue>> = serde_json::from_str(&json).ok();
        elements.is_some_and(|elements| elements.iter().any(|element| is_one(element.get())))
    }
}

impl Scalar {
    /// Parses JSON text. Returns `None` for a list, an object, `null`, a string with an unpaired surrogate, and a
    /// number too long to compare.
    #[must_use]
    pub fn parse(json: &str) -> Option<Self> {
        match json.bytes().next()? {
            b'"' => value(json).map(Self::Text),
            b't' | b'f' => value(json).map(Self::Boolean),
            b'-' | b'0'..=b'9' => Number::parse(json).map(Self::Number),
            _ => None,
        }
    }
}

impl Number {
    /// Parses a JSON number (RFC 8259 section 6).
    fn parse(text: &str) -> Option<Self> {
        let (is_negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = [whole, fraction].concat();
        let significant = all.trim_start_matches('0');
        let leading = all.len().checked_sub(significant.len())?;
        let digits = significant.trim_end_matches('0');
        if digits.is_empty() {
            return Some(Self { is_negative: false, digits: String::new(), exponent: 0 });
        }
        let point = i64::try_from(whole.len()).ok()?.checked_sub(i64::try_from(leading).ok()?)?;
        Some(Self { is_negative, digits: digits.to_owned(), exponent: exponent.checked_add(point)? })
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    fn is_met(claim: &str, wanted: &str) -> bool {
        let json = format!(r#"{{"x":{claim}}}"#);
        let segment = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(json);
        let claims = Claims::parse(segment.as_bytes()).unwrap();
        let any_of = vec![Scalar::Text("unlikely".into()), Scalar::parse(wanted).unwrap()];
        ClaimTest { claim: ClaimPath::top("x"), any_of }.is_met(&claims)
    }

    #[test]
    fn a_claim_meets_a_value_of_its_own_type_and_a_list_meets_it_with_any_element() {
        for (claim, wanted, expected) in [
            (r#""a""#, r#""a""#, true),
            (r#""\u0061""#, r#""a""#, true),
            (r#""A""#, r#""a""#, false),
            (r#""a ""#, r#""a""#, false),
            (r#""a b""#, r#""a""#, false),
            (r#""a,b""#, r#""a""#, false),
            (r#""""#, r#""""#, true),
            ("3", "3", true),
            (r#""3""#, "3", false),
            ("3", r#""3""#, false),
            ("true", "true", true),
            ("false", "true", false),
            (r#""true""#, "true", false),
            ("1", "true", false),
            ("true", r#""true""#, false),
            (r#"["b","a"]"#, r#""a""#, true),
            (r#"["b",3,{"c":1},true]"#, "true", true),
            (r#"["b",3,null]"#, "3", true),
            (r#"["3"]"#, "3", false),
            (r#"[["a"]]"#, r#""a""#, false),
            ("[]", r#""a""#, false),
            (r#"{"a":"a"}"#, r#""a""#, false),
            ("null", r#""null""#, false),
            (r#""\ud800""#, r#""a""#, false),
        ] {
            assert_eq!(is_met(claim, wanted), expected, "{claim} {wanted}");
        }
    }

    #[test]
    fn numbers_are_the_same_however_they_are_written_and_however_large() {
        for same in [
            &["3", "3.0", "3e0", "0.3e1", "30E-1", "0.003e+3", "300e-2"][..],
            &["0", "-0", "0.0", "0e9", "-0.0e-3"],
            &["-12.50", "-125e-1"],
            &["123456789012345678901234567890", "1.23456789012345678901234567890e29"],
            &["1e400", "10e399"],
        ] {
            for (one, other) in same.iter().flat_map(|one| same.iter().map(move |other| (one, other))) {
                assert!(is_met(one, other), "{one} {other}");
            }
        }
        for (one, other) in [
            ("3", "-3"),
            ("3", "30"),
            ("3", "0.3"),
            ("9007199254740993", "9007199254740992"),
            ("123456789012345678901234567890", "123456789012345678901234567891"),
            ("1e400", "1e401"),
        ] {
            assert!(!is_met(one, other), "{one} {other}");
        }
        assert_eq!(Scalar::parse("1e99999999999999999999"), None);
    }

    #[test]
    fn a_nested_claim_is_met_and_an_unclear_way_to_it_meets_nothing() {
        let meets = |json: &str, names: &[&str]| {
            let segment = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(json);
            let claims = Claims::parse(segment.as_bytes()).unwrap();
            let claim = ClaimPath::nested(names.iter().map(|name| (*name).to_owned())).unwrap();
            ClaimTest { claim, any_of: vec![Scalar::Boolean(true)] }.is_met(&claims)
        };
        assert!(meets(r#"{"a":{"b":true}}"#, &["a", "b"]));
        assert!(!meets(r#"{"a.b":true}"#, &["a", "b"]));
        assert!(!meets(r#"{"a":{"b":true,"b":false}}"#, &["a", "b"]));
        assert!(!meets(r#"{"a":[{"b":true}]}"#, &["a", "b"]));
        assert!(!meets("{}", &["a"]));
    }
}
