//! The URL of a request as its client saw it, without query and fragment, normalised so that all its spellings are
//! equal (RFC 3986 section 6.2).

use super::Head;
use super::authority::Authority;
use super::percent;
use super::url::Scheme;

/// A normalised URL. Two are equal if the URLs are equivalent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    scheme: Scheme,
    /// In lower case.
    host: String,
    port: u16,
    path: Vec<u8>,
}

impl Target {
    /// Returns the URL of a request; `None` if it has no path, or its host is unclear.
    #[must_use]
    pub fn of(head: &Head<'_>) -> Option<Self> {
        let scheme = match head.scheme {
            b"https" => Scheme::Https,
            _ => Scheme::Http,
        };
        let (path, _) = cut(head.path, |byte| byte == b'?');
        if path.first() != Some(&b'/') {
            return None;
        }
        Self::new(scheme, head.authority, path)
    }

    /// Parses an absolute http or https URL, and drops its query and fragment.
    #[must_use]
    pub fn parse(url: &[u8]) -> Option<Self> {
        let (scheme, rest) = cut(url, |byte| byte == b':');
        let scheme = [Scheme::Http, Scheme::Https]
            .into_iter()
            .find(|known| scheme.eq_ignore_ascii_case(known.as_str().as_bytes()))?;
        let (rest, _) = cut(rest.strip_prefix(b"://")?, |byte| matches!(byte, b'?' | b'#'));
        let (authority, path) = cut(rest, |byte| byte == b'/');
        Self::new(scheme, authority, if path.is_empty() { b"/" } else { path })
    }

    fn new(scheme: Scheme, authority: &[u8], path: &[u8]) -> Option<Self> {
        let authority = Authority::parse(authority).ok()?;
        let port = authority.port.unwrap_or_else(|| scheme.default_port());
        let host = Authority { port: None, ..authority }.to_string();
        Some(Self { scheme, host, port, path: normal(path) })
    }
}

/// Splits before the first byte that satisfies `is_end`.
fn cut(bytes: &[u8], is_end: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|&byte| is_end(byte)).unwrap_or(bytes.len());
    bytes.split_at_checked(end).unwrap_or((bytes, b""))
}

/// Normalises a path that begins with a slash: decodes unreserved characters, writes escapes in capitals, resolves
/// dot segments.
fn normal(path: &[u8]) -> Vec<u8> {
    let decoded = percent::decode(path, percent::is_unreserved);
    let mut path = decoded.unwrap_or_else(|| path.to_vec());
    let mut rest = path.as_mut_slice();
    while let Some(at) = rest.iter().position(|&byte| byte == b'%') {
        let Some((_, after)) = rest.split_at_mut_checked(at.saturating_add(1)) else { break };
        if let Some(digits) = after.first_chunk_mut::<2>()
            && digits.iter().all(u8::is_ascii_hexdigit)
        {
            digits.make_ascii_uppercase();
        }
        rest = after;
    }
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut ends_in_slash = false;
    for segment in path.split(|&byte| byte == b'/').skip(1) {
        ends_in_slash = matches!(segment, b"." | b"..");
        match segment {
            b"." => {}
            b".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    if ends_in_slash {
        segments.push(b"");
    }
    segments.iter().flat_map(|segment| [b"/".as_slice(), segment]).collect::<Vec<_>>().concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_spellings_of_a_url_are_one() {
        let same: &[&[&str]] = &[
            &[
                "https://a.example/x",
                "HTTPS://A.Example:443/x?y=z",
                "https://a.example./x#f",
                "https://a.example/./y/../x",
                "https://a.example/%78",
                "https://a.example/%2e/x?",
            ],
            &[
                "http://a.example/",
                "http://a.example",
                "http://a.example:80?x",
                "http://a.example/x/..",
                "http://a.example/%2E%2e",
            ],
            &["https://a.example:8443/", "https://a.example:8443"],
            &["http://[::1]:80/%c3%BC%2f", "http://[0:0::1]/%C3%bc%2F"],
            &["https://a.example/x/", "https://a.example/x/.", "https://a.example/x/y/.."],
            &["https://a.example/x"],
        ];
        for (number, group) in same.iter().enumerate() {
            let one = |url: &str| Target::parse(url.as_bytes()).unwrap_or_else(|| panic!("{url}"));
            for url in *group {
                assert_eq!(one(url), one(group[0]), "{url}");
                for other in same[number + 1..].iter().filter(|other| other[0] != group[0]) {
                    assert_ne!(one(url), one(other[0]), "{url} {}", other[0]);
                }
            }
        }
        for (one, other) in [
            ("https://a.example/x", "https://a.example/x/"),
            ("https://a.example/x", "https://a.example/X"),
            ("https://a.example/x", "http://a.example/x"),
            ("https://a.example/x", "https://a.example:80/x"),
            ("https://a.example//x", "https://a.example/x"),
            ("https://a.example/a%2Fb", "https://a.example/a/b"),
            ("https://a.example/a;b", "https://a.example/a"),
            ("https://a.example/%", "https://a.example/%25"),
        ] {
            assert_ne!(Target::parse(one.as_bytes()), Target::parse(other.as_bytes()), "{one} {other}");
        }
    }

    #[test]
    fn what_is_no_absolute_url_of_a_clear_host_is_none() {
        for url in [
            "",
            "/x",
            "a.example/x",
            "//a.example/x",
            "ftp://a.example/",
            "https:/a.example/",
            "https:///x",
            "https://u@a.example/",
            "https://u:p@a.example/",
            "https://a b/",
            "https://a.example:x/",
            "https://ü/",
            " https://a.example/",
        ] {
            assert_eq!(Target::parse(url.as_bytes()), None, "{url}");
        }
    }

    #[test]
    fn that_of_a_request_is_what_the_client_saw() {
        let of = |scheme: &'static str, authority: &'static str, path: &'static str| {
            Target::of(&Head {
                method: b"GET",
                scheme: scheme.as_bytes(),
                authority: authority.as_bytes(),
                path: path.as_bytes(),
                fields: &[],
                client_address: &|| None,
            })
        };
        assert_eq!(of("https", "A.example:443", "/x?y"), Target::parse(b"https://a.example/x"));
        assert_eq!(of("http", "a.example:8080", "/"), Target::parse(b"http://a.example:8080"));
        assert_eq!(of("http", "a.example", "*"), None);
        assert_eq!(of("http", "a.example", "http://b.example/"), None);
        assert_eq!(of("http", "a,b", "/"), None);
    }
}
