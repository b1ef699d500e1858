//! The `iss` of an issuer's tokens: an exact value, or one with a placeholder for a claim of the token, such as its
//! tenant.

use std::fmt;

use super::Claims;
use super::members::value;

/// The longest claim value that can fill a placeholder.
const MAX_VALUE: usize = 128;

/// The `iss` of one issuer's tokens. Displays as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerName(IssuerForm);

#[derive(Debug, Clone, PartialEq, Eq)]
enum IssuerForm {
    Exact(String),
    /// `https://login.example/{tid}/v2.0`
    OfClaim {
        before: String,
        claim: String,
        after: String,
    },
}

/// Why a text is not an [`IssuerName`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IssuerNameError {
    /// It is empty.
    #[error("is empty")]
    Empty,
    /// Wildcards would accept the tokens of strangers.
    #[error(
        "has a `*`, but there are no wildcards: give the exact `iss`, or one placeholder such as `{{tid}}` for a \
         claim of the token"
    )]
    Wildcard,
    /// A brace that belongs to no placeholder, or an empty placeholder.
    #[error(
        "has a `{{` or `}}` that is not a placeholder: one is the name of a claim in braces, such as `{{tid}}`"
    )]
    Brace,
    /// Several placeholders would let a token choose too much of its issuer.
    #[error("has more than one placeholder; list each issuer instead")]
    Several,
    /// Only a placeholder would let any issuer name itself.
    #[error("is nothing but a placeholder, so that any issuer would be this one")]
    Anyone,
}

impl IssuerName {
    /// Creates a name that matches this `iss` exactly, braces included.
    #[must_use]
    pub fn exact(iss: impl Into<String>) -> Self {
        Self(IssuerForm::Exact(iss.into()))
    }

    /// Parses an `iss` that may contain one placeholder.
    ///
    /// # Errors
    ///
    /// Fails with what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, IssuerNameError> {
        if text.is_empty() {
            return Err(IssuerNameError::Empty);
        }
        if text.contains('*') {
            return Err(IssuerNameError::Wildcard);
        }
        let Some((before, rest)) = text.split_once('{') else {
            return if text.contains('}') { Err(IssuerNameError::Brace) } else { Ok(Self::exact(text)) };
        };
        let (claim, after) = rest.split_once('}').ok_or(IssuerNameError::Brace)?;
        if before.contains('}') || claim.is_empty() || claim.contains('{') || claim.trim() != claim {
            return Err(IssuerNameError::Brace);
        }
        if after.contains('{') && after.contains('}') {
            return Err(IssuerNameError::Several);
        }
        if after.contains(['{', '}']) {
            return Err(IssuerNameError::Brace);
        }
        if before.is_empty() && after.is_empty() {
            return Err(IssuerNameError::Anyone);
        }
        let [before, claim, after] = [before, claim, after].map(str::to_owned);
        Ok(Self(IssuerForm::OfClaim { before, claim, after }))
    }

    /// Returns whether an `iss` may be this issuer's. Use it only to choose who judges a token. Of several issuers
    /// that do not [overlap](Self::overlaps), at most one matches.
    #[must_use]
    pub fn may_be(&self, iss: &str) -> bool {
        match &self.0 {
            IssuerForm::Exact(exact) => exact == iss,
            IssuerForm::OfClaim { before, after, .. } => {
                let inner =
                    iss.strip_prefix(before.as_str()).and_then(|rest| rest.strip_suffix(after.as_str()));
                inner.is_some_and(is_value)
            }
        }
    }

    /// Returns whether a token's `iss` is this issuer's, with the token's own claim in place of the placeholder.
    pub(super) fn is_of(&self, claims: &Claims) -> bool {
        let Some(iss) = claims.issuer() else { return false };
        match &self.0 {
            IssuerForm::Exact(exact) => exact == iss,
            IssuerForm::OfClaim { before, claim, after } => {
                let stated = claims.get(claim).and_then(value::<String>).filter(|stated| is_value(stated));
                stated.is_some_and(|stated| {
                    iss.strip_prefix(before.as_str()).and_then(|rest| rest.strip_suffix(after.as_str()))
                        == Some(stated.as_str())
                })
            }
        }
    }

    /// Returns whether some `iss` may be either's.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let both = |length| self.spelling(length).zip(other.spelling(length));
        (0..=self.longest()).filter_map(both).any(|(one, other)| {
            one.iter().zip(&other).all(|pair| match pair {
                (Some(one), Some(other)) => one == other,
                (Some(byte), None) | (None, Some(byte)) => is_value_byte(*byte),
                (None, None) => true,
            })
        })
    }

    /// Returns the bytes of an `iss` of this length that may be this issuer's. The placeholder's bytes are `None`.
    fn spelling(&self, length: usize) -> Option<Vec<Option<u8>>> {
        let (before, gap, after) = match &self.0 {
            IssuerForm::Exact(exact) => (exact, (exact.len() == length).then_some(0)?, ""),
            IssuerForm::OfClaim { before, after, .. } => {
                let gap = length.checked_sub(before.len())?.checked_sub(after.len())?;
                (before, (1..=MAX_VALUE).contains(&gap).then_some(gap)?, after.as_str())
            }
        };
        let gap = std::iter::repeat_n(None, gap);
        Some(before.bytes().map(Some).chain(gap).chain(after.bytes().map(Some)).collect())
    }

    const fn longest(&self) -> usize {
        match &self.0 {
            IssuerForm::Exact(exact) => exact.len(),
            IssuerForm::OfClaim { before, after, .. } => {
                before.len().saturating_add(MAX_VALUE).saturating_add(after.len())
            }
        }
    }
}

impl fmt::Display for IssuerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            IssuerForm::Exact(exact) => f.write_str(exact),
            IssuerForm::OfClaim { before, claim, after } => write!(f, "{before}{{{claim}}}{after}"),
        }
    }
}

/// Returns whether a claim's value may fill a placeholder. Such a value cannot add a slash, a dot or a host.
fn is_value(text: &str) -> bool {
    (1..=MAX_VALUE).contains(&text.len()) && text.bytes().all(is_value_byte)
}

const fn is_value_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use serde_json::json;

    use super::*;

    fn name(text: &str) -> IssuerName {
        IssuerName::parse(text).unwrap()
    }

    #[test]
    fn an_issuer_has_at_most_one_placeholder_and_no_other_brace_or_wildcard() {
        for text in [
            "https://a.example",
            "https://a.example/{tid}/v2.0",
            "https://{t}.example",
            "{t}/",
            "a{https://x/y}",
        ] {
            assert_eq!(name(text).to_string(), text);
        }
        for (text, expected) in [
            ("", IssuerNameError::Empty),
            ("https://*.example", IssuerNameError::Wildcard),
            ("https://a.example/{tid}/*", IssuerNameError::Wildcard),
            ("https://a.example/{}", IssuerNameError::Brace),
            ("https://a.example/{ tid }", IssuerNameError::Brace),
            ("https://a.example/{tid", IssuerNameError::Brace),
            ("https://a.example/tid}", IssuerNameError::Brace),
            ("https://a.example/}tid{", IssuerNameError::Brace),
            ("https://a.example/}{tid}", IssuerNameError::Brace),
            ("https://a.example/{tid}}", IssuerNameError::Brace),
            ("https://a.example/{{tid}}", IssuerNameError::Brace),
            ("https://a.example/{tid}{", IssuerNameError::Brace),
            ("https://a.example/{a}/{b}", IssuerNameError::Several),
            ("https://a.example/{a}/{}", IssuerNameError::Several),
            ("{iss}", IssuerNameError::Anyone),
        ] {
            assert_eq!(IssuerName::parse(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn a_placeholder_stands_for_a_plain_word_that_the_token_itself_states() {
        let long = "x".repeat(MAX_VALUE);
        let longer = "x".repeat(MAX_VALUE + 1);
        let guid = "9188040d-6c67-4c5b-b112-36a304b66dad";
        let of = |value: &str| format!("https://login.example/{value}/v2.0");
        for (iss, tid, expected) in [
            (of(guid), json!(guid), true),
            (of("a_B-9"), json!("a_B-9"), true),
            (of(&long), json!(long), true),
            (of(&longer), json!(longer), false),
            (of(""), json!(""), false),
            (of(guid), json!("other"), false),
            (of(guid), json!(guid.to_uppercase()), false),
            (of(guid), json!([guid]), false),
            (of(guid), json!(null), false),
            (of("42"), json!(42), false),
            (of("true"), json!(true), false),
            (of("a/b"), json!("a/b"), false),
            (of("a.b"), json!("a.b"), false),
            (of("a%2fb"), json!("a%2fb"), false),
            (of("a b"), json!("a b"), false),
            (of("ä"), json!("ä"), false),
            (of("evil.example/x/v2.0?"), json!("evil.example/x/v2.0?"), false),
            (format!("{}/", of(guid)), json!(guid), false),
            (format!("x{}", of(guid)), json!(guid), false),
            ("https://login.example/v2.0".to_owned(), json!(""), false),
            ("https://login.example/{tid}/v2.0".to_owned(), json!("{tid}"), false),
        ] {
            let segment =
                base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(json!({"iss": iss, "tid": tid}).to_string());
            let claims = Claims::parse(segment.as_bytes()).unwrap();
            assert_eq!(name("https://login.example/{tid}/v2.0").is_of(&claims), expected, "{iss} {tid}");
        }
    }

    #[test]
    fn whether_two_issuers_may_be_one_is_known_exactly() {
        for (one, other, expected) in [
            ("https://a", "https://a", true),
            ("https://a", "https://a/", false),
            ("https://a/{tid}/v2.0", "https://a/{tid}/v2.0", true),
            ("https://a/{tid}/v2.0", "https://a/{other}/v2.0", true),
            ("https://a/{tid}/v2.0", "https://a/common/v2.0", true),
            ("https://a/{tid}/v2.0", "https://a//v2.0", false),
            ("https://a/{tid}/v2.0", "https://a/x.y/v2.0", false),
            ("https://a/{tid}/v2.0", "https://a/{tid}/", false),
            ("https://a/{tid}/v2.0/", "https://a/tfp/{tid}/b2c/v2.0/", false),
            ("https://a/{tid}", "https://{host}/b", true),
            ("https://a/{tid}", "https://{host}.b/c", false),
            ("https://a/{tid}/v2", "https://a/t/{x}", true),
            ("https://a-{t}", "https://a-b-{t}", true),
        ] {
            assert_eq!(name(one).overlaps(&name(other)), expected, "{one} {other}");
            assert_eq!(name(other).overlaps(&name(one)), expected, "{other} {one}");
        }
        let long = format!("https://a/{}", "x".repeat(MAX_VALUE + 1));
        assert!(!name("https://a/{tid}").overlaps(&name(&long)));
    }
}
