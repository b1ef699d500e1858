//! The claims of a token: the registered ones typed, the others by name.

use super::binding::Binding;
use super::members::{Members, string_or_strings, value};
use super::{Refusal, base64url, is_plain};
use crate::http::UnixTime;

/// 9999-12-31T23:59:59Z. A later date is a mistake, such as milliseconds. It does not mean "never".
const LATEST_DATE: i64 = 253_402_300_799;

/// The claims of a token. Those of a [`Token`](super::Token) are unverified; those of a [`Verified`](super::Verified)
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

    /// Takes the claims from a JSON object. Checks the types of `iss`, `sub`, `aud`, `client_id`, `exp`, `nbf` and
    /// `iat`.
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

    /// Returns `iss`.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// Returns `sub`.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// Returns `aud`: none, one, or several.
    #[must_use]
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// Returns `client_id` (RFC 9068 section 2.2).
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    /// Returns `azp`, the party to which the token was issued. Some issuers use it instead of `client_id`.
    ///
    /// # Errors
    /// [`Refusal::Claim`] if it is not a string.
    pub(super) fn authorized_party(&self) -> Result<Option<String>, Refusal> {
        typed(&self.members, "azp", value)
    }

    /// Returns when they expire according to `exp`. Use it only to forget them in time. `None` if they have no `exp`.
    #[must_use]
    pub fn expiry(&self) -> Option<UnixTime> {
        Some(UnixTime::from_secs(u64::try_from(self.expires?).unwrap_or(0)))
    }

    /// Returns `exp`, in seconds since the Unix epoch.
    pub(super) fn expires(&self) -> Option<i64> {
        self.expires
    }

    /// Returns `nbf`, in seconds since the Unix epoch.
    pub(super) fn not_before(&self) -> Option<i64> {
        self.not_before
    }

    /// Returns `iat`, in seconds since the Unix epoch.
    pub(super) fn issued_at(&self) -> Option<i64> {
        self.issued_at
    }

    /// Returns `auth_time`: when the user authenticated. `None` if it is absent or not a date since 1970.
    #[must_use]
    pub fn auth_time(&self) -> Option<UnixTime> {
        let seconds = numeric_date(self.members.get("auth_time")?)?;
        u64::try_from(seconds).ok().map(UnixTime::from_secs)
    }

    /// Returns `amr`: how the user authenticated. Empty if it is absent or not made of strings.
    #[must_use]
    pub fn amr(&self) -> Vec<String> {
        self.strings_at("amr")
    }

    /// Returns the scopes in `scope`: one space-separated string (RFC 8693 section 4.2), or an array, as some issuers
    /// write it. If `scope` is absent, reads `scp` in the same forms. Empty if the claim is not made of strings.
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

    /// Returns whether `typ` names an ID token or a token that renews others, as in Keycloak: `ID`, `Refresh` or
    /// `Offline`.
    #[must_use]
    pub fn typ_is_of_another_token(&self) -> bool {
        let others = ["ID", "Refresh", "Offline"];
        self.strings_at("typ").iter().any(|typ| others.iter().any(|other| other.eq_ignore_ascii_case(typ)))
    }

    /// Returns whether `token_use` is present and neither `access` nor `access_token`. Cognito's ID tokens have `id`.
    #[must_use]
    pub fn token_use_is_not_access(&self) -> bool {
        let is_access =
            |json| value::<String>(json).is_some_and(|word| matches!(&*word, "access" | "access_token"));
        self.get("token_use").is_some_and(|json| !is_access(json))
    }

    /// Returns whether `token_type` is that of an ID token or of a refresh token. Simple JWT's refresh tokens have
    /// `refresh`.
    #[must_use]
    pub fn token_type_is_of_another_token(&self) -> bool {
        let others = ["id", "id_token", "refresh", "refresh_token"];
        self.token_type().is_some_and(|word| others.contains(&word.as_str()))
    }

    /// Returns whether `token_type` is present and is not that of an access token: neither `Bearer` (RFC 7662 section
    /// 2.2, RFC 6749 section 7.1) nor a name for access tokens.
    #[must_use]
    pub fn token_type_is_not_access(&self) -> bool {
        let is_access = |word: &str| matches!(word, "bearer" | "access" | "access_token");
        self.get("token_type").is_some() && !self.token_type().is_some_and(|word| is_access(&word))
    }

    /// Returns `token_type` in lower case, without the beginning of RFC 8693 section 3.
    fn token_type(&self) -> Option<String> {
        let word = value::<String>(self.get("token_type")?)?.to_ascii_lowercase();
        Some(match word.strip_prefix("urn:ietf:params:oauth:token-type:") {
            Some(last) => last.to_owned(),
            None => word,
        })
    }

    /// Returns the roles in a claim: a string is one role, an array of strings several, and an object has one per
    /// name. Empty if the claim is absent or has another form, such as a role that is empty or has white space at an
    /// end.
    ///
    /// # Errors
    /// [`Refusal::Claims`] if the path leads through an object with a duplicate member.
    pub fn roles(&self, path: &ClaimPath) -> Result<Vec<String>, Refusal> {
        let json = self.find(path)?.unwrap_or_default();
        let roles = match json.starts_with('{') {
            true => Members::parse(&json).map(Members::into_names),
            false => string_or_strings(&json),
        };
        let roles = roles.unwrap_or_default();
        Ok(if roles.iter().all(|role| is_plain(role)) { roles } else { Vec::new() })
    }

    /// Returns the key that the bearer must have according to `cnf` (RFC 7800 section 3.1).
    #[must_use]
    pub fn binding(&self) -> Binding {
        Binding::of(self.get("cnf"))
    }

    /// Returns the JSON text of the claim with exactly this name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.members.get(name)
    }

    fn strings_at(&self, name: &str) -> Vec<String> {
        self.members.get(name).and_then(string_or_strings).unwrap_or_default()
    }

    /// Returns the JSON text of the claim at a path.
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

/// The location of a claim: its exact name, or a path through other claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPath {
    first: String,
    rest: Vec<String>,
}

impl ClaimPath {
    /// Locates a top-level claim. Dots and slashes in its name have no special meaning.
    #[must_use]
    pub fn top(name: impl Into<String>) -> Self {
        Self { first: name.into(), rest: Vec::new() }
    }

    /// Locates a nested claim, outermost name first. `None` if there is no name.
    #[must_use]
    pub fn nested(names: impl IntoIterator<Item = String>) -> Option<Self> {
        let mut names = names.into_iter();
        Some(Self { first: names.next()?, rest: names.collect() })
    }

    /// Returns whether it is the top-level claim of this name.
    #[must_use]
    pub fn is_top(&self, name: &str) -> bool {
        self.first == name && self.rest.is_empty()
    }
}

/// Reads a claim of one type. Any other type refuses the token.
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

/// Parses a `NumericDate` (RFC 7519 section 2) in whole seconds, rounded towards 1970. Exponents are refused: no
/// issuer writes dates that way, and 1e999 is not a date.
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
            // An object, as Zitadel writes it
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
