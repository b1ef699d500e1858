//! The claims of a token: the registered ones, typed; any other by name.

use super::dpop::Binding;
use super::members::{Members, string_or_strings, value};
use super::{Refusal, base64url, is_plain};
use crate::http::UnixTime;

/// 9999-12-31T23:59:59Z. A later date is a mistake, such as milliseconds; it does not mean "for ever".
const LATEST_DATE: i64 = 253_402_300_799;

/// The claims of a token. A [`Token`](super::Token) has unverified claims; those of a [`Verified`](super::Verified)
/// token come from the issuer.
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
    /// Parses the claims segment.
    pub(crate) fn parse(segment: &[u8]) -> Result<Self, Refusal> {
        let json = base64url(segment).ok_or(Refusal::Base64)?;
        let json = String::from_utf8(json).map_err(|_| Refusal::Claims)?;
        Self::of(Members::parse(&json).ok_or(Refusal::Claims)?)
    }

    /// The claims that a JSON object states. The types of `iss`, `sub`, `aud`, `client_id`, `exp`, `nbf` and `iat` are
    /// checked here.
    pub(crate) fn of(members: Members) -> Result<Self, Refusal> {
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

    /// `azp`: to whom the token was issued, as issuers say it that state no `client_id`.
    ///
    /// # Errors
    /// [`Refusal::Claim`] where it is no string.
    pub(super) fn authorized_party(&self) -> Result<Option<String>, Refusal> {
        typed(&self.members, "azp", value)
    }

    /// When they expire by `exp`: good for forgetting them no later than then. `None` where they do not say it.
    #[must_use]
    pub fn expiry(&self) -> Option<UnixTime> {
        Some(UnixTime::from_secs(u64::try_from(self.expires?).unwrap_or(0)))
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

    /// `auth_time`: when the user authenticated. `None` if it is absent or no date since 1970.
    #[must_use]
    pub fn auth_time(&self) -> Option<UnixTime> {
        let seconds = numeric_date(self.members.get("auth_time")?)?;
        u64::try_from(seconds).ok().map(UnixTime::from_secs)
    }

    /// `amr`: how the user authenticated. Empty if it is absent or not made of strings.
    #[must_use]
    pub fn amr(&self) -> Vec<String> {
        self.strings_at("amr")
    }

    /// `scope`: space-separated in one string (RFC 8693 section 4.2), or an array as some issuers have it. Where it
    /// is absent `scp`, in the same forms. Empty where the token does not say it in strings.
    #[must_use]
    pub fn scopes(&self) -> Vec<String> {
        let words = self.strings_at(if self.get("scope").is_some() { "scope" } else { "scp" });
        words
            .iter()
            .flat_map(|words| words.split(' '))
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// Whether `typ` says that it is an ID token or one that renews others, as Keycloak has it: `ID`, `Refresh` or
    /// `Offline`.
    #[must_use]
    pub fn typ_is_of_another_token(&self) -> bool {
        let others = ["ID", "Refresh", "Offline"];
        self.strings_at("typ").iter().any(|typ| others.iter().any(|other| other.eq_ignore_ascii_case(typ)))
    }

    /// Whether `token_use` says anything but `access` or `access_token`, as Cognito does of an ID token: `id`.
    #[must_use]
    pub fn token_use_is_not_access(&self) -> bool {
        let is_access =
            |json| value::<String>(json).is_some_and(|word| matches!(&*word, "access" | "access_token"));
        self.get("token_use").is_some_and(|json| !is_access(json))
    }

    /// The roles that a claim holds: a string is one role, an array of strings several, and of an object each name is
    /// one. Empty where the claim is absent or holds anything else, such as a role that is empty or has white space at
    /// an end.
    ///
    /// # Errors
    /// [`Refusal::Claims`] where the path leads through an object with a member twice.
    pub fn roles(&self, path: &ClaimPath) -> Result<Vec<String>, Refusal> {
        let json = self.find(path)?.unwrap_or_default();
        let roles = match json.starts_with('{') {
            true => Members::parse(&json).map(Members::into_names),
            false => string_or_strings(&json),
        };
        let roles = roles.unwrap_or_default();
        Ok(if roles.iter().all(|role| is_plain(role)) { roles } else { Vec::new() })
    }

    /// `cnf`: which key the bearer must have (RFC 7800 section 3.1).
    #[must_use]
    pub fn binding(&self) -> Binding {
        Binding::of(self.get("cnf"))
    }

    /// The JSON text of a claim by its exact name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.members.get(name)
    }

    fn strings_at(&self, name: &str) -> Vec<String> {
        self.members.get(name).and_then(string_or_strings).unwrap_or_default()
    }

    /// The JSON text of a claim.
    pub(super) fn find(&self, path: &ClaimPath) -> Result<Option<String>, Refusal> {
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
    /// A claim at the top level. Dots and slashes in its name have no meaning.
    #[must_use]
    pub fn top(name: impl Into<String>) -> Self {
        Self { first: name.into(), rest: Vec::new() }
    }

    /// A nested claim, the outermost name first. `None` if there is no name.
    #[must_use]
    pub fn nested(names: impl IntoIterator<Item = String>) -> Option<Self> {
        let mut names = names.into_iter();
        Some(Self { first: names.next()?, rest: names.collect() })
    }

    /// Whether it is a claim at the top, of this name.
    #[must_use]
    pub fn is_top(&self, name: &str) -> bool {
        self.first == name && self.rest.is_empty()
    }
}

/// A claim of one type. Any other type refuses the token.
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

/// A `NumericDate` (RFC 7519 section 2) in whole seconds, rounded towards 1970. Exponents are refused: no issuer writes
/// dates that way, and 1e999 is not a date.
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
            // An object, as Zitadel has it
            (r#"{"staff":{"1":"a.example"},"admin":{}}"#, &["admin", "staff"]),
            (r#"{"a,b":1}"#, &["a,b"]),
            ("{}", &[]),
            (r#"{"admin":{},"":{}}"#, &[]),
            (r#"{"admin ":{}}"#, &[]),
            (r#"{"admin":1,"admin":2}"#, &[]),
            (r#"[{"admin":1}]"#, &[]),
            ("true", &[]),
        ] {
            let claims = claims(&format!(r#"{{"x":{json}}}"#));
            assert_eq!(claims.roles(&ClaimPath::top("x")).unwrap(), expected, "{json}");
        }
    }

    #[test]
    fn scp_states_the_scopes_where_scope_is_absent() {
        for (json, expected) in [
            (r#"{"scp":"a b"}"#, &["a", "b"][..]),
            (r#"{"scp":["a","b c"]}"#, &["a", "b", "c"]),
            (r#"{"scp":["a",1]}"#, &[]),
            (r#"{"scp":{"a":1}}"#, &[]),
            (r#"{"scope":"x","scp":"a"}"#, &["x"]),
            (r#"{"scope":"","scp":"a"}"#, &[]),
            (r#"{"scope":[],"scp":["a"]}"#, &[]),
            (r#"{"scope":null,"scp":"a"}"#, &[]),
            (r#"{"Scope":"x","scp":"a"}"#, &["a"]),
        ] {
            assert_eq!(claims(json).scopes(), expected, "{json}");
        }
    }
}
