//! The headers that only the filter may set, and which of a client's headers are therefore forged.

use super::Field;
use super::header::{self, Pattern};

/// Some programs take it as an identity, others as a credential.
const AUTHORIZATION: &[u8] = b"authorization";

/// The headers that only the filter may set. A client's headers of these names are removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Managed {
    patterns: Vec<Pattern>,
    /// See [`Managed::unseen`].
    unseen: Vec<Vec<u8>>,
}

impl Managed {
    /// Manages all headers that one of the patterns matches.
    #[must_use]
    pub fn new(patterns: Vec<Pattern>) -> Self {
        Self::with_unseen(patterns, [])
    }

    /// Manages the same headers, and records names that a prefix is known to match.
    #[must_use]
    pub fn with_unseen(patterns: Vec<Pattern>, known: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let named = patterns.iter().filter_map(|pattern| match pattern {
            // The proxy always lists this one, and on public routes it stays.
            Pattern::Name(name) if name.as_bytes() != AUTHORIZATION => Some(name.clone().into_bytes()),
            Pattern::Name(_) | Pattern::Prefix(_) => None,
        });
        let names: Vec<Vec<u8>> = named.chain(known).collect();
        let underscored = names
            .iter()
            .map(|name| name.iter().map(|&byte| if byte == b'-' { b'_' } else { byte }).collect());
        let unseen = names.iter().cloned().chain(underscored).collect();
        Self { patterns, unseen }
    }

    /// Also manages headers of these names, which are in lower case.
    #[must_use]
    pub fn and<const N: usize>(mut self, names: [&str; N]) -> Self {
        let more = Self::new(names.map(|name| Pattern::Name(name.to_owned())).to_vec());
        self.patterns.extend(more.patterns);
        self.unseen.extend(more.unseen);
        self
    }

    /// Returns whether a header is managed, in any spelling.
    #[must_use]
    pub fn contains(&self, name: &[u8]) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(name))
    }

    /// Returns the names that are known without seeing the request, spelled with `-` and with `_`. For proxies that
    /// do not list all headers.
    #[must_use]
    pub fn unseen(&self) -> &[Vec<u8>] {
        &self.unseen
    }

    /// Returns the names of the managed headers that a client sent, each once.
    #[must_use]
    pub fn forged(&self, fields: &[Field<'_>]) -> Vec<Vec<u8>> {
        self.sent(fields, |_name| true)
    }

    /// Returns the same for a public route, where `Authorization` stays: there it is for the app to read, and the
    /// filter does not vouch for it.
    #[must_use]
    pub fn forged_where_public(&self, fields: &[Field<'_>]) -> Vec<Vec<u8>> {
        self.sent(fields, |name| !header::is_same(name, AUTHORIZATION))
    }

    fn sent(&self, fields: &[Field<'_>], is_wanted: impl Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
        let mut names: Vec<Vec<u8>> = Vec::new();
        for (name, _) in fields.iter().filter(|(name, _)| self.contains(name) && is_wanted(name)) {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_vec());
            }
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(patterns: &[&str]) -> Managed {
        Managed::new(patterns.iter().map(|text| Pattern::parse(text).unwrap()).collect())
    }

    #[test]
    fn every_forged_name_is_removed_by_the_name_that_the_client_sent() {
        let fields: [Field<'_>; 5] = [
            (b"x_authgear_user_id", b"a"),
            (b"host", b"b"),
            (b"x-authgear-user-id", b"c"),
            (b"x-authgear-user-id", b"d"),
            (b"accept", b"e"),
        ];
        assert_eq!(
            named(&["x-authgear-*"]).forged(&fields),
            [b"x_authgear_user_id".to_vec(), b"x-authgear-user-id".to_vec()]
        );
    }

    #[test]
    fn headers_that_are_managed_by_name_are_known_in_every_spelling_too() {
        let managed = named(&["x-user", "x-user-role", "x-auth-*"]);
        for name in [b"x-user".as_slice(), b"X_USER", b"x.user.role", b"X-User_Role", b"x_auth_realm"] {
            assert!(managed.contains(name), "{}", name.escape_ascii());
        }
        for name in [b"x-users".as_slice(), b"x-use", b"xuser", b"x-user-roles", b"x-auth", b""] {
            assert!(!managed.contains(name), "{}", name.escape_ascii());
        }
    }

    #[test]
    fn authorization_alone_is_kept_where_nobody_is_authenticated() {
        let fields: [Field<'_>; 3] =
            [(b"authorization", b"Basic x"), (b"x-auth-user", b"admin"), (b"accept", b"*/*")];
        let managed = named(&["authorization", "x-auth-*"]);
        assert_eq!(managed.forged(&fields), [b"authorization".to_vec(), b"x-auth-user".to_vec()]);
        assert_eq!(managed.forged_where_public(&fields), [b"x-auth-user".to_vec()]);
        assert!(named(&["x-user"]).forged(&fields).is_empty(), "it is nobody's identity there");
    }
}
