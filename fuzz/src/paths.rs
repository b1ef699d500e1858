//! Rules and paths.

use authgear_filter::http::Head;
use authgear_filter::rules::readings::{MAX_BYTES, MAX_READINGS, Readings};
use authgear_filter::rules::redirect::Redirect;
use authgear_filter::rules::{
    Access, Condition, Demand, HostPattern, Method, PathPattern, Requirement, Rule, Rules, Terms,
};

use crate::input::Input;
use crate::programs::PROGRAMS;

const SEGMENTS: [&str; 6] = ["admin", "a", "b", "a.b", "c-d~", "..c"];

const PIECES: [&[u8]; 44] = [
    b"/",
    b"/",
    b"/",
    b"admin",
    b"admin",
    b"a",
    b"b",
    b"..",
    b".",
    b"//",
    b"/../",
    b"/..",
    b"/./",
    b"%2f",
    b"%2F",
    b"%5c",
    b"\\",
    b"%2e",
    b"%2E%2e",
    b"%252f",
    b"%252e",
    b"%25",
    b";",
    b";x=y",
    b"%3b",
    b"%3f",
    b"%23",
    b"%00",
    b"%0a",
    b"?",
    b" ",
    b"%20",
    b"%61",
    b"%64min",
    b"..;/",
    b"%c0%af",
    b"%ef%bd%81",
    b"\xef\xbd\x81",
    b"\xe2\x88\x95",
    b"@",
    b":80",
    b"x",
    b"%",
    b"~",
];

/// A rule as it is written, to be matched to the letter.
struct Written {
    path: Option<PathPattern>,
    terms: Terms,
}

/// See the crate.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    respelled(&mut input);
    as_programs_read_it(&mut input);
    anything(&mut input);
}

fn plain_path(input: &mut Input<'_>) -> String {
    let segments: Vec<_> = (0..input.below(4)).map(|_| input.pick(&SEGMENTS[..5])).collect();
    let path = format!("/{}", segments.join("/"));
    if path.len() > 1 && input.one_in(4) { path + "/" } else { path }
}

fn terms(input: &mut Input<'_>) -> Terms {
    match input.below(4) {
        0 => Terms::new(Access::Public),
        1 => Terms::new(Access::Optional),
        2 => Terms::new(Access::Required),
        _ => {
            let roles = vec![input.pick(&["r1", "r2", "r3", "r4"]).to_owned()];
            Terms::requiring(Requirement { roles, ..Requirement::default() })
        }
    }
}

fn path_pattern(input: &mut Input<'_>) -> Option<PathPattern> {
    let path = plain_path(input);
    match input.below(8) {
        0 => None,
        1..3 => PathPattern::exact(&path).ok(),
        _ => PathPattern::prefix(&path).ok(),
    }
}

fn rules(input: &mut Input<'_>) -> Rules {
    let rule = |input: &mut Input<'_>| {
        let methods = if input.one_in(3) { vec![input.pick(&["GET", "POST"])] } else { vec![] };
        let hosts = ["h.example", "*.example", "other.example"];
        let hosts = if input.one_in(3) { vec![input.pick(&hosts)] } else { vec![] };
        let when = Condition {
            path: path_pattern(input),
            methods: methods.into_iter().filter_map(|method| Method::parse(method).ok()).collect(),
            hosts: hosts.into_iter().filter_map(|host| HostPattern::parse(host).ok()).collect(),
        };
        Rule { when, terms: terms(input) }
    };
    let rules = (0..input.below(7)).map(|_| rule(input)).collect();
    Rules::new(rules, terms(input))
}

/// Another spelling of a path that some program takes for the same.
fn respell(input: &mut Input<'_>, path: &str) -> String {
    let slashes: Vec<_> = path.match_indices('/').map(|(at, _)| at).collect();
    let insert = |at: usize, text: &str| {
        let (before, after) = path.split_at(at);
        [before, text, after].concat()
    };
    let at = if slashes.is_empty() { 0 } else { input.pick(&slashes) };
    match input.below(8) {
        // Escapes of any characters but the first slash, which makes it a path; of old escapes too.
        0 | 1 => {
            let often = input.pick(&[1, 2, 5]);
            let mut out = String::from("/");
            for c in path.chars().skip(1) {
                let mut bytes = [0; 4];
                match input.one_in(often) {
                    true => c.encode_utf8(&mut bytes).bytes().for_each(|byte| out += &format!("%{byte:02x}")),
                    false => out.push(c),
                }
            }
            out
        }
        2 => insert(at, input.pick(&["/", "//"])),
        3 => insert(at, input.pick(&["/.", "/x/..", "/./x/y/../.."])),
        4 => path.to_owned() + input.pick(&["/.", "/x/..", "%2F", "%3Fx", "%23"]),
        5 if at > 0 => {
            let mut out = path.to_owned();
            out.replace_range(at..=at, "\\");
            out
        }
        6 if at > 0 && input.one_in(2) => insert(at, ";p=1"),
        6 => path.to_owned() + ";q",
        _ => path.replace('a', input.pick(&["a", "ａ"])),
    }
}

/// Whether the one demand asks for all that the other does.
fn asks_no_less(one: &Demand, other: &Demand) -> bool {
    let mine: Vec<_> = one.requirements().collect();
    one.access() >= other.access() && other.requirements().all(|requirement| mine.contains(&requirement))
}

fn respelled(input: &mut Input<'_>) {
    let rules = rules(input);
    let plain = plain_path(input);
    let mut odd = plain.clone();
    for _ in 0..=input.below(4) {
        odd = respell(input, &odd);
    }
    let method = input.pick(&["GET", "POST"]);
    let expected = rules.decide(method.as_bytes(), b"h.example", plain.as_bytes());
    let method = if input.one_in(8) { method.to_lowercase() } else { method.to_owned() };
    let host: &[u8] = input.pick(&[b"h.example", b"H.Example.:80", b"h.example:8080", b"x@h.example", b""]);
    let found = rules.decide(method.as_bytes(), host, odd.as_bytes());
    assert!(
        asks_no_less(&found, &expected),
        "{method} {plain} asks for {expected:?}, as {odd} at {} for {found:?}, of {rules:?}",
        host.escape_ascii()
    );
}

/// A path that may be odd in any way; without query and control bytes.
#[must_use]
pub fn odd_path(input: &mut Input<'_>) -> Vec<u8> {
    let mut path = if input.one_in(3) {
        let mut path = plain_path(input);
        for _ in 0..input.below(4) {
            path = respell(input, &path);
        }
        let path = path.into_bytes();
        input.damage(&path, 2, b"/\\.;%25fFeE")
    } else {
        [b"/".to_vec(), input.pieces(14, &PIECES)].concat()
    };
    path.retain(|&byte| byte != b'?' && byte != b'#' && !byte.is_ascii_control());
    // No program takes another one, and to the filter it is unclear.
    if path.first() != Some(&b'/') {
        path.insert(0, b'/');
    }
    path
}

fn as_programs_read_it(input: &mut Input<'_>) {
    let written: Vec<Written> =
        (0..input.below(6)).map(|_| Written { path: path_pattern(input), terms: terms(input) }).collect();
    let otherwise = terms(input);
    let rules = written.iter().map(|rule| Rule {
        when: Condition { path: rule.path.clone(), ..Condition::default() },
        terms: rule.terms.clone(),
    });
    let rules = Rules::new(rules.collect(), otherwise.clone());
    let path = odd_path(input);
    let found = rules.decide(b"GET", b"h.example", &path);
    for program in PROGRAMS {
        for seen in (program.reads)(&path) {
            let is_met = |rule: &&Written| rule.path.as_ref().is_none_or(|pattern| pattern.is_met_by(&seen));
            let terms = written.iter().find(is_met).map_or(&otherwise, |rule| &rule.terms);
            let expected = Demand::new(terms.clone());
            assert!(
                asks_no_less(&found, &expected),
                "{} is {} to {}, which asks for {expected:?}; decided as {found:?}, of {rules:?}",
                path.escape_ascii(),
                seen.escape_ascii(),
                program.name,
            );
        }
    }
}

fn anything(input: &mut Input<'_>) {
    let rules = rules(input);
    let mut bytes = if input.one_in(2) { input.bytes(60) } else { input.pieces(24, &PIECES) };
    if input.one_in(50) {
        bytes = bytes.repeat(1 + 8_000 / bytes.len().max(1));
    }
    if input.one_in(2) {
        bytes.insert(0, b'/');
    }
    if let Readings::Several(all) = Readings::of(&bytes) {
        let total: usize = all.iter().map(Vec::len).sum();
        assert!(all.len() <= MAX_READINGS && total <= MAX_BYTES);
        assert!(all.iter().all(|reading| reading.first() == Some(&b'/')), "{}", bytes.escape_ascii());
    }
    let _ = rules.decide(&bytes, &bytes, &bytes);
    let templates = ["https://h.example/login/{path}?to={url}", "/login?{url}", "https://h.example/{path}"];
    let Ok(redirect) = Redirect::parse(input.pick(&templates)) else { return };
    let fields = [(b"accept".as_slice(), b"text/html".as_slice())];
    let head = Head {
        method: b"GET",
        scheme: b"https",
        authority: b"h.example",
        path: &bytes,
        fields: &fields,
        client_address: &|| None,
    };
    for head in [head, Head { authority: &bytes, ..head }] {
        if let Some(location) = redirect.location(&head) {
            assert!(location.bytes().all(|byte| byte.is_ascii_graphic()), "{location}");
            assert!(
                location.starts_with("https://h.example/") || location.starts_with("/login?"),
                "it leads elsewhere: {location}"
            );
        }
    }
}
