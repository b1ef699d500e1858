//! The headers of an accepting answer that identify the user to the app, and their names there.

use std::fmt;

use crate::http::header::{self, Pattern};

/// A header of an accepting answer that identifies the user to the app. Displays as in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityHeader {
    /// The app uses the server's name for it.
    Same(Pattern),
    /// The app uses another name.
    Renamed {
        /// The app's name, in lower case.
        header: String,
        /// The server's name, in lower case.
        from: String,
    },
}

impl IdentityHeader {
    /// Returns the app's name for a header of an answer; `None` if this entry does not cover it.
    #[must_use]
    pub fn name_of<'a>(&'a self, answered: &'a [u8]) -> Option<&'a [u8]> {
        match self {
            Self::Same(pattern) => pattern.matches(answered).then_some(answered),
            Self::Renamed { header, from } => {
                header::is_same(from.as_bytes(), answered).then_some(header.as_bytes())
            }
        }
    }

    /// Returns the headers that no client may send to the app. They include the server's name, which the app may know
    /// too. The exception is `authorization`: it is primarily a credential, so it stays unless the app gets it from
    /// the server.
    pub fn managed(&self) -> impl Iterator<Item = Pattern> {
        let named = |name: &String| Pattern::Name(name.clone());
        let (known, origin) = match self {
            Self::Same(pattern) => (pattern.clone(), None),
            Self::Renamed { header, from } => {
                (named(header), Some(from).filter(|from| from.as_str() != "authorization").map(named))
            }
        };
        std::iter::once(known).chain(origin)
    }
}

impl fmt::Display for IdentityHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same(pattern) => pattern.fmt(f),
            Self::Renamed { header, from } => write!(f, "{header} (its {from})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(header: &str, from: &str) -> IdentityHeader {
        IdentityHeader::Renamed { header: header.to_owned(), from: from.to_owned() }
    }

    #[test]
    fn a_renamed_header_is_known_in_every_spelling_and_reaches_the_app_by_the_apps_name() {
        let header = renamed("x-user", "x-auth-request-user");
        for (answered, expected) in [
            (b"x-auth-request-user".as_slice(), Some(b"x-user".as_slice())),
            (b"x_auth_request_user", Some(b"x-user")),
            (b"x-auth-request-users", None),
            (b"x-user", None),
        ] {
            assert_eq!(header.name_of(answered), expected, "{}", answered.escape_ascii());
        }
        assert_eq!(header.to_string(), "x-user (its x-auth-request-user)");
    }

    #[test]
    fn no_client_may_send_either_name_of_a_renamed_header() {
        let named =
            |header: &IdentityHeader| header.managed().map(|name| name.to_string()).collect::<Vec<_>>();
        assert_eq!(named(&renamed("x-user", "x-auth-request-user")), ["x-user", "x-auth-request-user"]);
        assert_eq!(named(&renamed("x-token", "authorization")), ["x-token"], "a credential, unless listed");
        assert_eq!(named(&renamed("authorization", "x-token")), ["authorization", "x-token"]);
        assert_eq!(named(&IdentityHeader::Same(Pattern::parse("x-auth-*").unwrap())), ["x-auth-*"]);
    }
}
