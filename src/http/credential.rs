//! The credentials of a request: the bearer token and an auth server's cookies. Parses each header in one place and
//! keeps the result in a type that cannot be printed. Does not judge credentials.

use std::fmt;

use crate::http::Head;
use crate::http::header::split_once;

/// The most bytes of credentials that are read or sent on. An auth server may fail on longer ones, and the client
/// would have caused that error.
pub const MAX_CREDENTIALS: usize = 16 * 1024;

/// A credential. Prints as `[secret]`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret<'a>(&'a [u8]);

impl<'a> Secret<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes. Never pass them to a log, a metric or a message.
    #[must_use]
    pub const fn reveal(self) -> &'a [u8] {
        self.0
    }
}

impl fmt::Debug for Secret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// The most cookies that an auth server may read.
pub const MAX_COOKIES: usize = 3;

/// The cookies of a request that the auth server reads, in the order of the server's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cookies<'a> {
    found: [Option<(&'a [u8], Secret<'a>)>; MAX_COOKIES],
}

impl<'a> Cookies<'a> {
    /// Reads all `Cookie` headers as Go's `net/http` does, because Authgear uses it: the first of several cookies
    /// with one name counts, and a cookie whose value has a forbidden byte is ignored.
    #[must_use]
    pub fn of(head: &Head<'a>, names: &[Vec<u8>; MAX_COOKIES]) -> Self {
        let mut found = [None; MAX_COOKIES];
        for pair in head.values(b"cookie").flat_map(pairs).map(<[u8]>::trim_ascii) {
            for (known, slot) in names.iter().zip(&mut found) {
                if let Some((name, value)) = cookie_named(pair, known)
                    && slot.is_none()
                    && is_cookie_value(value)
                {
                    *slot = Some((name, Secret(value)));
                }
            }
        }
        Self { found }
    }

    /// Returns whether there are no cookies.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.iter().all(Option::is_none)
    }

    /// Returns the name and value of each cookie.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], Secret<'a>)> {
        self.found.into_iter().flatten()
    }
}

/// Returns a request's cookies without the unwanted ones, joined as one header; `None` if it has no unwanted ones.
pub fn cookies_without(head: &Head<'_>, is_unwanted: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
    let pairs = || head.values(b"cookie").flat_map(pairs).map(<[u8]>::trim_ascii);
    // Some programs read a pair without `=` as a name, others as a value.
    let is_unwanted =
        |pair: &[u8]| is_unwanted(split_once(pair, b'=').map_or(pair, |(name, _)| name).trim_ascii());
    let rest: Vec<_> = pairs().filter(|pair| !pair.is_empty() && !is_unwanted(pair)).collect();
    pairs().any(is_unwanted).then(|| rest.join(b"; ".as_slice()))
}

/// Returns each cookie of all `Cookie` headers as sent, whatever its bytes. None is empty.
pub fn cookie_pairs<'a>(head: &Head<'a>) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    head.values(b"cookie").flat_map(pairs).map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty())
}

/// Splits a cookie into name and value; `None` if it has no `=`.
#[must_use]
pub fn split_cookie(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, value) = split_once(pair, b'=')?;
    Some((name.trim_ascii(), value.trim_ascii()))
}

/// Returns the name and value of a cookie that has this name. Most cookies are rejected by one comparison at the
/// place of `=`.
fn cookie_named<'a>(pair: &'a [u8], known: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (name, rest) = pair.split_at_checked(known.len())?;
    let value = rest.trim_ascii_start().strip_prefix(b"=")?;
    (name == known).then(|| (name, value.trim_ascii_start()))
}

/// Splits a `Cookie` header at its semicolons.
fn pairs(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest.take()?;
        let Some((pair, tail)) = split_once(line, b';') else { return Some(line) };
        rest = Some(tail);
        Some(pair)
    })
}

/// Go's `validCookieValueByte` for each byte; one pair of quotes may surround the value.
fn is_cookie_value(value: &[u8]) -> bool {
    let inner = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value);
    inner.iter().all(|&byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b';' | b'\\'))
}

/// Everything that can identify a request's sender to an auth server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Credentials<'a> {
    /// The token that decides, wherever the request carried it.
    pub bearer: Option<Secret<'a>>,
    /// The cookies.
    pub cookies: Cookies<'a>,
}

impl Credentials<'_> {
    /// Returns whether they exceed [`MAX_CREDENTIALS`] bytes.
    #[must_use]
    pub fn are_too_large(&self) -> bool {
        let token = self.bearer.map_or(0, |token| token.reveal().len());
        let size = self.cookies.iter().fold(token, |sum, (name, value)| {
            sum.saturating_add(name.len()).saturating_add(value.reveal().len())
        });
        size > MAX_CREDENTIALS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head<'a>(fields: &'a [(&'a [u8], &'a [u8])]) -> Head<'a> {
        Head {
            method: b"GET",
            scheme: b"http",
            authority: b"app",
            path: b"/",
            fields,
            client_address: &|| None,
        }
    }

    fn names(prefix: &str) -> [Vec<u8>; MAX_COOKIES] {
        ["session", "app_session", "app_access_token"].map(|name| format!("{prefix}{name}").into_bytes())
    }

    fn cookies(lines: &[&[u8]], prefix: &str) -> Vec<(String, String)> {
        let fields: Vec<_> = lines.iter().map(|line| (b"cookie".as_slice(), *line)).collect();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Cookies::of(&head(&fields), &names(prefix))
            .iter()
            .map(|(name, value)| (text(name), text(value.reveal())))
            .collect()
    }

    #[test]
    fn cookies_are_read_as_authgear_reads_them() {
        #[rustfmt::skip]
        let cases: &[(&[&[u8]], &str, &[(&str, &str)])] = &[
            (&[b"session=a"], "", &[("session", "a")]),
            (&[b"a=b; app_session=c;session=d ;x"], "", &[("session", "d"), ("app_session", "c")]),
            (&[b"app_access_token=t", b"session=s"], "", &[("session", "s"), ("app_access_token", "t")]),
            (&[b"session=a=b=="], "", &[("session", "a=b==")]),
            (&[b"session=\"a\""], "", &[("session", "\"a\"")]),
            (&[b"session=first; session=second"], "", &[("session", "first")]),
            (&[b"session=\xff; session=second"], "", &[("session", "second")]),
            (&[b"other=\xff; session=a"], "", &[("session", "a")]),
            (&[b"session="], "", &[("session", "")]),
            (&[b"session"], "", &[]),
            (&[b"Session=a; xsession=b; session2=c; session =d"], "", &[("session", "d")]),
            (&[b"session=a\"b"], "", &[]),
            (&[b"session=a\\b"], "", &[]),
            (&[b"session=a"], "p_", &[]),
            (&[b"session=a; p_session=b; p_app_session=c"], "p_", &[("p_session", "b"), ("p_app_session", "c")]),
            (&[b""], "", &[]),
            (&[b";;; = ;"], "", &[]),
        ];
        for (lines, prefix, expected) in cases {
            let expected: Vec<_> =
                expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(cookies(lines, prefix), expected, "{}", lines.concat().escape_ascii());
        }
    }

    #[test]
    fn credentials_too_long_for_any_auth_server_are_invalid() {
        let half = MAX_CREDENTIALS / 2;
        for (token, cookie, valid) in [(half, 10, true), (half, half, false), (MAX_CREDENTIALS + 1, 0, false)]
        {
            let token = vec![b'a'; token];
            let cookie = [b"session=".as_slice(), &vec![b'a'; cookie]].concat();
            let fields = [(b"cookie".as_slice(), cookie.as_slice())];
            let cookies = Cookies::of(&head(&fields), &names(""));
            let bearer = Some(Secret::new(&token)).filter(|token| !token.reveal().is_empty());
            assert_eq!(!Credentials { bearer, cookies }.are_too_large(), valid);
        }
    }

    #[test]
    fn a_secret_does_not_print() {
        let fields = [(b"cookie".as_slice(), b"session=hunter2".as_slice())];
        let cookies = Cookies::of(&head(&fields), &names(""));
        let printed = format!("{:?}", Credentials { bearer: Some(Secret::new(b"hunter2")), cookies });
        assert!(printed.contains("[secret]") && !printed.contains("hunter2"), "{printed}");
    }
}
