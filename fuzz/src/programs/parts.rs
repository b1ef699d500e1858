//! The steps that programs have in common, written anew: what is tried is not used to try it.

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn escape_at(path: &[u8], at: usize) -> Option<u8> {
    match path.get(at..at + 3)? {
        [b'%', high, low] => Some(hex(*high)? * 16 + hex(*low)?),
        _ => None,
    }
}

/// Each escape decoded once, of the bytes that are wanted; none where a `%` begins no escape.
pub(super) fn decode(path: &[u8], wanted: impl Fn(u8) -> bool) -> Option<Vec<u8>> {
    let (mut out, mut at) = (Vec::with_capacity(path.len()), 0);
    while at < path.len() {
        match (path[at], escape_at(path, at)) {
            (b'%', None) => return None,
            (_, Some(byte)) if wanted(byte) => {
                out.push(byte);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    Some(out)
}

/// The same; what is no escape stays.
pub(super) fn decode_some(path: &[u8], wanted: impl Fn(u8) -> bool) -> Vec<u8> {
    let (mut out, mut at) = (Vec::with_capacity(path.len()), 0);
    while at < path.len() {
        match escape_at(path, at) {
            Some(byte) if wanted(byte) => {
                out.push(byte);
                at += 3;
            }
            _ => {
                out.push(path[at]);
                at += 1;
            }
        }
    }
    out
}

pub(super) fn decode_leniently(path: &[u8]) -> Vec<u8> {
    decode_some(path, |_| true)
}

pub(super) fn decode_leniently_but(path: &[u8], kept: u8) -> Vec<u8> {
    decode_some(path, |byte| byte != kept)
}

/// The escapes of these bytes decoded.
pub(super) fn replace_escapes(path: &[u8], of: &[u8]) -> Vec<u8> {
    decode_some(path, |byte| of.contains(&byte))
}

pub(super) fn merge(path: &[u8]) -> Vec<u8> {
    let mut out = path.to_vec();
    out.dedup_by(|byte, before| *byte == b'/' && *before == b'/');
    out
}

/// Dot segments resolved; none where they lead above the root.
pub(super) fn resolve(path: &[u8]) -> Option<Vec<u8>> {
    walk(path, true)
}

/// The same; above the root there is nothing.
pub(super) fn resolve_leniently(path: &[u8]) -> Vec<u8> {
    walk(path, false).unwrap_or_default()
}

fn walk(path: &[u8], is_strict: bool) -> Option<Vec<u8>> {
    let segments: Vec<&[u8]> = path.strip_prefix(b"/").unwrap_or(path).split(|&byte| byte == b'/').collect();
    let mut kept: Vec<&[u8]> = Vec::new();
    for (at, segment) in segments.iter().enumerate() {
        let is_last = at + 1 == segments.len();
        match *segment {
            b"." if is_last => kept.push(b""),
            b"." => {}
            b".." => {
                if kept.pop().is_none() && is_strict {
                    return None;
                }
                if is_last {
                    kept.push(b"");
                }
            }
            segment => kept.push(segment),
        }
    }
    Some([b"/".as_slice(), &kept.join(&b'/')].concat())
}

pub(super) fn without_final_slash(path: &[u8]) -> Vec<u8> {
    let mut path = path;
    while path.len() > 1 && path.ends_with(b"/") {
        path = &path[..path.len() - 1];
    }
    path.to_vec()
}

pub(super) fn without_parameters(path: &[u8]) -> Vec<u8> {
    let segments = path.split(|&byte| byte == b'/');
    let names = segments.map(|segment| segment.split(|&byte| byte == b';').next().unwrap_or_default());
    names.collect::<Vec<_>>().join(&b'/')
}

/// The path of a URL: backslashes are slashes, and a dot may be written as its escape.
pub(super) fn whatwg_path(path: &[u8]) -> Vec<u8> {
    let slashed: Vec<u8> = path.iter().map(|&byte| if byte == b'\\' { b'/' } else { byte }).collect();
    let dots = |segment: &[u8]| -> Vec<u8> {
        let plain = replace_escapes(segment, b".");
        if plain == b"." || plain == b".." { plain } else { segment.to_vec() }
    };
    let segments: Vec<Vec<u8>> = slashed.split(|&byte| byte == b'/').map(dots).collect();
    resolve_leniently(&segments.join(&b'/'))
}

/// As Rack does it: empty segments go too.
pub(super) fn rack_clean(path: &[u8], keeps_slash: bool) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    for segment in path.split(|&byte| byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let mut clean = [b"/".as_slice(), &kept.join(&b'/')].concat();
    let ends_so = [b"/".as_slice(), b"/.", b"/.."].iter().any(|end| path.ends_with(end));
    if keeps_slash && ends_so && !kept.is_empty() {
        clean.push(b'/');
    }
    clean
}

/// `..;x=y` as `..`, and `.;x=y` as `.`.
pub(super) fn dots_without_parameters(path: &[u8]) -> Vec<u8> {
    let segments = path.split(|&byte| byte == b'/' || byte == b'\\').map(|segment| {
        let name = segment.split(|&byte| byte == b';').next().unwrap_or_default();
        if name == b"." || name == b".." { name } else { segment }
    });
    segments.collect::<Vec<_>>().join(&b'/')
}
