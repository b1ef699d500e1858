//! What holds for any rules and any request, tried on many that a seed makes.

use authgear_filter::http::Head;
use authgear_filter::rules::readings::{MAX_BYTES, MAX_READINGS, Readings};
use authgear_filter::rules::redirect::Redirect;
use authgear_filter::rules::{
    Access, Condition, Demand, HostPattern, Method, PathPattern, Requirement, Rule, Rules, Terms,
};
use fastrand::Rng;

/// A series of numbers that is the same everywhere.
fn seeded(seed: u64) -> Rng {
    Rng::with_seed(seed)
}

fn one_in(random: &mut Rng, n: usize) -> bool {
    random.usize(..n) == 0
}

fn pick<T: Copy>(random: &mut Rng, of: &[T]) -> T {
    of[random.usize(..of.len())]
}

const SEGMENTS: [&str; 6] = ["a", "b", "admin", "a.b", "c-d~", "..c"];

fn plain_path(random: &mut Rng) -> String {
    let segments: Vec<_> = (0..random.usize(..4)).map(|_| pick(random, &SEGMENTS[..5])).collect();
    let path = format!("/{}", segments.join("/"));
    if path.len() > 1 && one_in(random, 4) { path + "/" } else { path }
}

fn terms(random: &mut Rng) -> Terms {
    match random.usize(..4) {
        0 => Terms::new(Access::Public),
        1 => Terms::new(Access::Optional),
        2 => Terms::new(Access::Required),
        _ => {
            let roles = vec![pick(random, &["r1", "r2", "r3", "r4"]).to_owned()];
            Terms::requiring(Requirement { roles, ..Requirement::default() })
        }
    }
}

fn rules(random: &mut Rng) -> Rules {
    let rules = (0..random.usize(..8)).map(|_| {
        let path = plain_path(random);
        let path = match random.usize(..4) {
            0 => None,
            1 => Some(PathPattern::exact(&path).unwrap()),
            _ => Some(PathPattern::prefix(&path).unwrap()),
        };
        let methods = if one_in(random, 3) {
            vec![Method::parse(pick(random, &["GET", "POST"])).unwrap()]
        } else {
            vec![]
        };
        let hosts = ["h.example", "*.example", "other.example"];
        let hosts =
            if one_in(random, 3) { vec![HostPattern::parse(pick(random, &hosts)).unwrap()] } else { vec![] };
        Rule { when: Condition { path, methods, hosts }, terms: terms(random) }
    });
    let rules = rules.collect();
    Rules::new(rules, terms(random))
}

/// Another spelling of a path that some program takes for the same.
fn respelled(random: &mut Rng, path: &str) -> String {
    let slashes: Vec<_> = path.match_indices('/').map(|(at, _)| at).collect();
    let insert = |at: usize, text: &str| {
        let (before, after) = path.split_at(at);
        [before, text, after].concat()
    };
    let at = if slashes.is_empty() { 0 } else { pick(random, &slashes) };
    match random.usize(..8) {
        // Escapes of any characters but the first slash, which makes it a path; of old escapes too.
        0 | 1 => {
            let often = pick(random, &[1, 2, 5]);
            let mut out = String::from("/");
            for c in path.chars().skip(1) {
                let mut bytes = [0; 4];
                match one_in(random, often) {
                    true => c.encode_utf8(&mut bytes).bytes().for_each(|byte| out += &format!("%{byte:02x}")),
                    false => out.push(c),
                }
            }
            out
        }
        2 => insert(at, pick(random, &["/", "//"])),
        3 => insert(at, pick(random, &["/.", "/x/..", "/./x/y/../.."])),
        4 => path.to_owned() + pick(random, &["/.", "/x/..", "%2F", "%3Fx", "%23"]),
        5 => {
            let mut out = path.to_owned();
            if at > 0 {
                out.replace_range(at..=at, "\\");
            }
            out
        }
        6 => {
            if at > 0 && one_in(random, 2) {
                insert(at, ";p=1")
            } else {
                path.to_owned() + ";q"
            }
        }
        _ => path.replace('a', pick(random, &["a", "ａ"])),
    }
}

/// Whether the one demand asks for all that the other does.
fn asks_no_less(one: &Demand, other: &Demand) -> bool {
    let mine: Vec<_> = one.requirements().collect();
    one.access() >= other.access() && other.requirements().all(|requirement| mine.contains(&requirement))
}

#[test]
fn no_respelling_of_a_request_gives_more_access_than_its_plain_form() {
    let mut random = seeded(1);
    let (mut read, mut differing) = (0_u32, 0_u32);
    for round in 0..60_000 {
        let rules = rules(&mut random);
        let plain = plain_path(&mut random);
        let mut odd = plain.clone();
        for _ in 0..=random.usize(..4) {
            odd = respelled(&mut random, &odd);
        }
        let method = pick(&mut random, &["GET", "POST"]);
        let expected = rules.decide(method.as_bytes(), b"h.example", plain.as_bytes());
        let method = if one_in(&mut random, 8) { method.to_lowercase() } else { method.to_owned() };
        let host: &[u8] =
            pick(&mut random, &[b"h.example", b"H.Example.:80", b"h.example:8080", b"x@h.example", b""]);
        let found = rules.decide(method.as_bytes(), host, odd.as_bytes());
        assert!(
            asks_no_less(&found, &expected),
            "{round}: {method} {plain} asks for {expected:?}, as {odd} at {} for {found:?}, of {rules:?}",
            host.escape_ascii()
        );
        read = read.saturating_add(u32::from(Readings::of(odd.as_bytes()) != Readings::Unclear));
        differing = differing.saturating_add(u32::from(found != expected));
    }
    assert!(read > 40_000, "most were read, not given up: {read}");
    assert!(differing > 10_000, "many asked for more: {differing}");
}

#[test]
fn no_bytes_make_a_request_that_panics_or_costs_more_than_the_bound() {
    let mut random = seeded(2);
    let redirect = Redirect::parse("https://h.example/login/{path}?to={url}").unwrap();
    let odd = b"/\\.;%?#2ef5c0aA:@[] \x00\x09\x7f\xc0\xaf\xef\xbc\x8f";
    for round in 0..30_000 {
        let rules = rules(&mut random);
        let length = if round % 100 == 0 { 8_000 } else { random.usize(..40) };
        let mut bytes: Vec<u8> = (0..length)
            .map(|_| {
                if one_in(&mut random, 10) {
                    u8::try_from(random.usize(..256)).unwrap()
                } else {
                    pick(&mut random, odd)
                }
            })
            .collect();
        if one_in(&mut random, 2) {
            bytes.insert(0, b'/');
        }
        if let Readings::Several(all) = Readings::of(&bytes) {
            let total: usize = all.iter().map(Vec::len).sum();
            assert!(all.len() <= MAX_READINGS && total <= MAX_BYTES);
            assert!(all.iter().all(|reading| reading.first() == Some(&b'/')), "{}", bytes.escape_ascii());
        }
        let _ = rules.decide(&bytes, &bytes, &bytes);
        let fields = [(b"accept".as_slice(), b"text/html".as_slice()), (b"accept", bytes.as_slice())];
        let head = Head {
            method: b"GET",
            scheme: b"https",
            authority: b"h.example",
            path: &bytes,
            fields: &fields,
            client_address: &|| None,
        };
        if let Some(location) = redirect.location(&head) {
            assert!(location.bytes().all(|byte| byte.is_ascii_graphic()), "{location}");
        }
        let _ = redirect.location(&Head { authority: &bytes, ..head });
    }
}
