//! How programs may read a path. They decode, fold and resolve it differently, and in different orders. What a rule
//! protects must stay protected whichever of them the backend, or a proxy before it, happens to be.
//!
//! Starting from the path as sent, every step that some program takes is applied again and again until nothing new
//! results. The work is bounded: a path with more than [`MAX_READINGS`] readings, or whose readings exceed
//! [`MAX_BYTES`] together, is [`Readings::Unclear`]. So is a path on which no two programs need agree.

use unicode_normalization::{IsNormalized, is_nfkc_quick};

use crate::http::percent::{decode, has_stray_percent, is_unreserved};

/// The most readings of one path that are matched individually.
pub const MAX_READINGS: usize = 64;

/// The most bytes that all readings of one path may have together. A plain path may have any length.
pub const MAX_BYTES: usize = 32 * 1024;

/// The possible meanings of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readings<'a> {
    /// The same to every program.
    Plain(&'a [u8]),
    /// One of these. The first is the path as sent. Each begins with a slash, and all differ.
    Several(Vec<Vec<u8>>),
    /// Anything.
    Unclear,
}

impl<'a> Readings<'a> {
    /// Returns the readings of a request's path, without its query. Allocates nothing for a plain path.
    #[must_use]
    pub fn of(path: &'a [u8]) -> Self {
        let path = path.split(|&byte| byte == b'?').next().unwrap_or_default();
        if path.first() != Some(&b'/') || path.contains(&b' ') || has_stray_percent(path) {
            return Self::Unclear;
        }
        if is_plain(path) { Self::Plain(path) } else { closure(path).map_or(Self::Unclear, Self::Several) }
    }

    /// Returns whether any reading satisfies `is_such`. An unclear path always does.
    pub fn any(&self, is_such: impl Fn(&[u8]) -> bool) -> bool {
        match self {
            Self::Plain(path) => is_such(path),
            Self::Several(readings) => readings.iter().any(|reading| is_such(reading)),
            Self::Unclear => true,
        }
    }
}

/// Reads a path in one more way; `None` if that changes nothing.
type Transformation = fn(&[u8]) -> Option<Vec<u8>>;

const STEPS: [Transformation; 13] = [
    decoded,
    unreserved_decoded,
    all_but_slashes_decoded,
    slashes_decoded,
    backslashes_as_slashes,
    without_parameters,
    dots_without_parameters,
    cut_at_query,
    without_authority,
    leading_slashes_merged,
    slashes_merged,
    dots_resolved,
    without_final_slash,
];

fn closure(path: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut readings = vec![path.to_vec()];
    let mut bytes = path.len();
    for at in 0..MAX_READINGS {
        let Some(reading) = readings.get(at) else { break };
        if reading.iter().any(u8::is_ascii_control) || !is_stable_text(reading) {
            return None;
        }
        for step in STEPS {
            let Some(new) = readings.get(at).and_then(|reading| step(reading)) else { continue };
            if readings.contains(&new) {
                continue;
            }
            bytes = bytes.saturating_add(new.len());
            if readings.len() == MAX_READINGS || bytes > MAX_BYTES {
                return None;
            }
            readings.push(new);
        }
    }
    Some(readings)
}

/// Returns whether all programs read a path alike.
fn is_plain(path: &[u8]) -> bool {
    let mut after_slash = false;
    for &byte in path {
        if !byte.is_ascii_graphic() || matches!(byte, b'%' | b'\\' | b';' | b'#') {
            return false;
        }
        if after_slash && matches!(byte, b'/' | b'.') {
            return false;
        }
        after_slash = byte == b'/';
    }
    // All programs keep the final slash of the root, but not that of other paths.
    !after_slash || path.len() == 1
}

/// Decodes each escape once.
fn decoded(path: &[u8]) -> Option<Vec<u8>> {
    decode(path, |_| true)
}

/// Decodes the escapes that are equivalent to their characters (RFC 3986 section 6.2.2.2): URL parsers read `%2e%2e`
/// as `..` but keep `%2f`.
fn unreserved_decoded(path: &[u8]) -> Option<Vec<u8>> {
    decode(path, is_unreserved)
}

/// Decodes each escape except that of a slash. Many servers keep those so that a segment can contain one.
fn all_but_slashes_decoded(path: &[u8]) -> Option<Vec<u8>> {
    decode(path, |byte| byte != b'/')
}

/// Escaped slashes alone decoded, as Envoy does where it is told to unescape them.
fn slashes_decoded(path: &[u8]) -> Option<Vec<u8>> {
    decode(path, |byte| matches!(byte, b'/' | b'\\'))
}

/// Returns whether a reading is UTF-8 text that no program folds: Unicode's compatibility form (NFKC) leaves it
/// unchanged, and it contains none of the characters that best-fit tables turn into a slash or a backslash. A program
/// that folds reads `ⓐdmin` as `admin`.
fn is_stable_text(reading: &[u8]) -> bool {
    std::str::from_utf8(reading).is_ok_and(|text| {
        text.is_ascii()
            || (is_nfkc_quick(text.chars()) == IsNormalized::Yes
                && !text.contains(['\u{2044}', '\u{2215}', '\u{2216}']))
    })
}

fn backslashes_as_slashes(path: &[u8]) -> Option<Vec<u8>> {
    path.contains(&b'\\').then(|| path.iter().map(|&byte| if byte == b'\\' { b'/' } else { byte }).collect())
}

/// Drops parameters: Java's servlets read `/a;x=y/b;z` as `/a/b`.
fn without_parameters(path: &[u8]) -> Option<Vec<u8>> {
    let name = |segment: &'_ [u8]| segment.iter().position(|&byte| byte == b';');
    path.contains(&b';').then(|| {
        let segments = path.split(|&byte| byte == b'/');
        segments
            .map(|segment| segment.get(..name(segment).unwrap_or(segment.len())).unwrap_or_default())
            .collect::<Vec<_>>()
            .join(&b'/')
    })
}

/// `..;x=y` is `..` to Envoy, which leaves all other parameters where they are.
fn dots_without_parameters(path: &[u8]) -> Option<Vec<u8>> {
    let plain = |segment: &'_ [u8]| -> Option<&'static [u8]> {
        match segment {
            [b'.', b';', ..] => Some(b"."),
            [b'.', b'.', b';', ..] => Some(b".."),
            _ => None,
        }
    };
    let segments = || path.split(|&byte| byte == b'/');
    segments()
        .any(|segment| plain(segment).is_some())
        .then(|| segments().map(|segment| plain(segment).unwrap_or(segment)).collect::<Vec<_>>().join(&b'/'))
}

/// Cuts the path at a decoded `?` or `#`, as programs do that decode before they split.
fn cut_at_query(path: &[u8]) -> Option<Vec<u8>> {
    let end = path.iter().position(|byte| b"?#".contains(byte))?;
    path.get(..end).map(<[u8]>::to_vec)
}

/// Drops an authority: `//host/path` is a URL without a scheme (RFC 3986 section 4.2), and its path is `/path`.
/// Parsers that follow the WHATWG standard accept any number of slashes as two.
fn without_authority(path: &[u8]) -> Option<Vec<u8>> {
    let mut authority = path.strip_prefix(b"//")?;
    while let Some(rest) = authority.strip_prefix(b"/") {
        authority = rest;
    }
    let end = authority.iter().position(|&byte| byte == b'/');
    Some(end.and_then(|end| authority.get(end..)).unwrap_or(b"/").to_vec())
}

/// Python's `http.server` merges the slashes at the beginning, and no others.
fn leading_slashes_merged(path: &[u8]) -> Option<Vec<u8>> {
    let mut out = path.strip_prefix(b"/").filter(|rest| rest.first() == Some(&b'/'))?;
    while out.get(1) == Some(&b'/') {
        out = out.get(1..)?;
    }
    Some(out.to_vec())
}

fn slashes_merged(path: &[u8]) -> Option<Vec<u8>> {
    let mut out = path.to_vec();
    out.dedup_by(|byte, before| *byte == b'/' && *before == b'/');
    (out.len() != path.len()).then_some(out)
}

/// Resolves `.` and `..` (RFC 3986 section 5.2.4). `..` at the root stays at the root.
fn dots_resolved(path: &[u8]) -> Option<Vec<u8>> {
    let mut segments = path.strip_prefix(b"/")?.split(|&byte| byte == b'/').peekable();
    let mut out = Vec::with_capacity(path.len());
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        if segment == b".." {
            out.truncate(out.iter().rposition(|&byte| byte == b'/').unwrap_or(0));
        }
        if segment != b"." && segment != b".." {
            out.push(b'/');
            out.extend_from_slice(segment);
        } else if is_last {
            out.push(b'/');
        }
    }
    (out != path).then_some(out)
}

/// Drops the final slash, as Go's `path.Clean` and Node's `normalize` often do when they resolve a path.
fn without_final_slash(path: &[u8]) -> Option<Vec<u8>> {
    let mut out = path;
    while let Some(shorter) = out.strip_suffix(b"/").filter(|shorter| !shorter.is_empty()) {
        out = shorter;
    }
    (out.len() != path.len()).then(|| out.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(path: &str) -> Vec<String> {
        match Readings::of(path.as_bytes()) {
            Readings::Plain(path) => vec![String::from_utf8(path.to_vec()).unwrap()],
            Readings::Several(all) => all.into_iter().map(|one| String::from_utf8(one).unwrap()).collect(),
            Readings::Unclear => vec!["?".to_owned()],
        }
    }

    #[test]
    fn a_plain_path_has_one_reading_and_nothing_is_allocated_for_it() {
        for path in [
            "/",
            "/a",
            "/a.b/c..d/e.",
            "/users/@me:activate,now/!$&'()*+=~_-",
            "/a?b=//../%2f;\\#",
            "/{}|^`\"<>[]",
        ] {
            let plain = path.split('?').next().unwrap();
            assert_eq!(Readings::of(path.as_bytes()), Readings::Plain(plain.as_bytes()), "{path}");
        }
    }

    #[test]
    fn what_any_program_could_make_of_a_path_is_among_its_readings() {
        #[rustfmt::skip]
        let cases: &[(&str, &[&str])] = &[
            ("/a/.well-known", &["/a/.well-known"]),
            ("/hello%20world", &["/hello%20world", "/hello world"]),
            ("/M%C3%BCnchen", &["/M%C3%BCnchen", "/München"]),
            ("/wiki/What%3F", &["/wiki/What%3F", "/wiki/What?", "/wiki/What"]),
            ("/100%25", &["/100%25", "/100%"]),
            ("/a%2fb", &["/a%2fb", "/a/b"]),
            ("/a%252fb", &["/a%252fb", "/a%2fb", "/a/b"]),
            ("/a%25252fb", &["/a%25252fb", "/a%252fb", "/a%2fb", "/a/b"]),
            ("/%61dmin", &["/%61dmin", "/admin"]),
            ("/a\\b", &["/a\\b", "/a/b"]),
            ("/a;v=1/b", &["/a;v=1/b", "/a/b"]),
            ("/a//b", &["/a//b", "/a/b"]),
            ("//a/b", &["//a/b", "/b", "/a/b"]),
            ("///a/b", &["///a/b", "/b", "/a/b"]),
            ("/\\a/b", &["/\\a/b", "//a/b", "/b", "/a/b"]),
            ("//a", &["//a", "/", "/a"]),
            ("///a//b", &["///a//b", "/a//b", "/a/b", "//b", "/b", "/"]),
            ("/a/..;x/b;y", &["/a/..;x/b;y", "/a/../b", "/a/../b;y", "/b;y", "/b"]),
            ("/a/./b", &["/a/./b", "/a/b"]),
            ("/a/../b", &["/a/../b", "/b"]),
            ("/../../b", &["/../../b", "/b"]),
            ("/a/b/..", &["/a/b/..", "/a/", "/a"]),
            ("/a/.", &["/a/.", "/a/", "/a"]),
            ("/a//../b", &["/a//../b", "/a/../b", "/a/b", "/b"]),
            ("/a/..;/b", &["/a/..;/b", "/a/../b", "/b"]),
            ("/a/%2e%2e/b", &["/a/%2e%2e/b", "/a/../b", "/b"]),
            // Decoded except for the slash, then resolved: only a URL parser does that.
            ("/b%2f%62", &["/b%2f%62", "/b/%62", "/b/b", "/b%2fb"]),
            ("/p/x%2fy/%2e%2e/b", &["/p/x%2fy/%2e%2e/b", "/p/x/y/%2e%2e/b", "/p/x/y/../b", "/p/x%2fy/../b", "/p/x/b", "/p/b"]),
            ("/a#b", &["/a#b", "/a"]),
            ("/a%23b", &["/a%23b", "/a#b", "/a"]),
            ("/a/", &["/a/", "/a"]),
            ("/日本/%E6%97%A5", &["/日本/%E6%97%A5", "/日本/日"]),
            (
                "/public/x%2fy%5c..%5c..%5cadmin",
                &[
                    "/public/x%2fy%5c..%5c..%5cadmin",
                    "/public/x/y\\..\\..\\admin",
                    "/public/x%2fy\\..\\..\\admin",
                    "/public/x/y/../../admin",
                    "/public/x%2fy/../../admin",
                    "/public/admin",
                    "/admin",
                ],
            ),
            (
                "/public/..%3b%2Fpublic/admin",
                &[
                    "/public/..%3b%2Fpublic/admin",
                    "/public/..%3b/public/admin",
                    "/public/..;/public/admin",
                    "/public/..;%2Fpublic/admin",
                    "/public/../public/admin",
                    "/public/../admin",
                    "/public/admin",
                    "/admin",
                ],
            ),
        ];
        for (path, expected) in cases {
            let mut found = readings(path);
            assert_eq!(found[0], *path);
            let mut expected = expected.to_vec();
            found.sort();
            expected.sort_unstable();
            assert_eq!(found, expected, "{path}");
        }
    }

    #[test]
    fn a_path_that_is_no_path_or_that_nothing_decent_sends_is_unclear() {
        let paths: &[&[u8]] = &[
            b"",
            b"?a",
            b"*",
            b"a",
            b"http://a/b",
            b"\\a",
            b"/a b",
            b"/a\tb",
            b"/a\0",
            b"/a%00.html",
            b"/a%0d%0ab",
            b"/a%2500",
            b"/%",
            b"/%2",
            b"/adm%in",
            b"/a%u002fb",
            b"/a%zz",
            b"/\xff",
            b"/%ff",
            b"/caf\xe9",
            b"/a\xc0\xafb",
            b"/a%c0%afb",
            b"/a%e0%80%afb",
            b"/%25c0%25ae",
            "/ａｄｍｉｎ".as_bytes(),
            "/ⓐdmin".as_bytes(),
            b"/%E2%93%90dmin",
            "/a／․․／b".as_bytes(),
            "/a‥/".as_bytes(),
            "/ﬁle".as_bytes(),
            "/a\u{2215}b".as_bytes(),
            "/cafe\u{301}".as_bytes(),
        ];
        for path in paths {
            assert_eq!(Readings::of(path), Readings::Unclear, "{}", path.escape_ascii());
        }
    }

    #[test]
    fn the_work_for_one_path_is_bounded_however_long_or_odd_it_is() {
        let unit = [
            "/",
            "//",
            "%25",
            "%2f",
            "%252f",
            "/..",
            "/.",
            "/%2e%2e",
            ";a/",
            "\\",
            "%5c",
            "%61",
            "ａ",
            "%ef%bd%81",
            "/%3b",
            "%3f",
            "a",
        ];
        for first in unit {
            for second in unit {
                for length in [0, 1, 7, 100, 8 * 1024] {
                    let path = format!("/{}", [first, second].concat().repeat(length));
                    let Readings::Several(all) = Readings::of(path.as_bytes()) else { continue };
                    let bytes: usize = all.iter().map(Vec::len).sum();
                    assert!(all.len() <= MAX_READINGS && bytes <= MAX_BYTES, "{first}{second} {length}");
                }
            }
        }
        let escapes = format!("/{}", "%25".repeat(2_700));
        let Readings::Several(all) = Readings::of(escapes.as_bytes()) else { panic!("unclear") };
        assert_eq!(all.len(), 2, "8 KiB of escapes: as it is, and decoded");
        let nested = format!("/%{}", "25".repeat(4_000));
        assert_eq!(Readings::of(nested.as_bytes()), Readings::Unclear);
    }
}
