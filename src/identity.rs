//! The headers that tell an app who asks: which names are ours alone, and which values they may have.

use crate::request::{Field, OwnedField};

/// What every identity header of Authgear begins with. The set grows with the server's versions, so it is
/// known by its prefix, never by a list.
const PREFIX: &[u8] = b"x-authgear-";

/// Whether a session was found, and is valid: `true` or `false`; absent without a session.
pub const SESSION_VALID: &[u8] = b"x-authgear-session-valid";

/// Whose session it is; only of a valid one.
pub const USER_ID: &[u8] = b"x-authgear-user-id";

/// Whether a header is one that only the filter may set. Some apps and gateways read `X_Authgear_User.Id`
/// as `x-authgear-user-id` (CGI turns all but letters and digits into `_`), so names are compared after
/// folding case, and all but letters and digits to `-`.
#[must_use]
pub fn is_identity(name: &[u8]) -> bool {
    name.len() >= PREFIX.len() && name.iter().zip(PREFIX).all(|(byte, expected)| fold(*byte) == *expected)
}

/// The names of those identity headers that a client sent, each once.
#[must_use]
pub fn forged(fields: &[Field<'_>]) -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = Vec::new();
    for (name, _) in fields.iter().filter(|(name, _)| is_identity(name)) {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_vec());
        }
    }
    names
}

/// Whether a value may become a header of a request or a response: no control byte but the tab
/// (RFC 9110 section 5.5), so that it cannot end the header and begin another one.
#[must_use]
pub fn is_value(value: &[u8]) -> bool {
    value.iter().all(|&byte| byte == b'\t' || !byte.is_ascii_control())
}

/// What the app is told of a credential that was refused without asking.
#[must_use]
pub fn refused() -> Vec<OwnedField> {
    vec![(SESSION_VALID.to_vec(), b"false".to_vec())]
}

const fn fold(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_headers_are_known_in_every_spelling() {
        let ours: &[&[u8]] = &[
            b"x-authgear-user-id",
            b"X-Authgear-User-Id",
            b"x_authgear_user_id",
            b"X.AUTHGEAR.session.valid",
            b"x-authgear_user.roles",
            b"x~authgear!anything",
            b"x-authgear-",
            b"x-authgear-of-tomorrow",
        ];
        let others: &[&[u8]] = &[
            b"x-authgear",
            b"xauthgear-user-id",
            b"x-authgea-user-id",
            b"authorization",
            b"ax-authgear-user-id",
            b"",
        ];
        for name in ours {
            assert!(is_identity(name), "{}", name.escape_ascii());
        }
        for name in others {
            assert!(!is_identity(name), "{}", name.escape_ascii());
        }
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
        assert_eq!(forged(&fields), [b"x_authgear_user_id".to_vec(), b"x-authgear-user-id".to_vec()]);
    }

    #[test]
    fn a_value_cannot_become_two_headers() {
        for value in [b"a\r\nx: y".as_slice(), b"a\nb", b"a\0", b"\x7f"] {
            assert!(!is_value(value), "{}", value.escape_ascii());
        }
        for value in [b"".as_slice(), b"a b\tc", "größe".as_bytes(), b"\xff"] {
            assert!(is_value(value), "{}", value.escape_ascii());
        }
    }
}
