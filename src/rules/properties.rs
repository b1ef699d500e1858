//! What holds for any rules and any request, tried on many that a seed makes.

use super::readings::{MAX_BYTES, MAX_READINGS, Readings};
use super::*;
use crate::http::Head;

/// SplitMix64: small, seeded, the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next().checked_rem(u64::try_from(bound).unwrap()).unwrap()).unwrap()
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

const SEGMENTS: [&str; 6] = ["a", "b", "admin", "a.b", "c-d~", "..c"];

fn plain_path(random: &mut Random) -> String {
    let segments: Vec<_> = (0..random.below(4)).map(|_| random.pick(&SEGMENTS[..5])).collect();
    let path = format!("/{}", segments.join("/"));
    if path.len() > 1 && random.one_in(4) { path + "/" } else { path }
}

fn terms(random: &mut Random) -> Terms {
    match random.below(4) {
        0 => Terms::new(Access::Public),
        1 => Terms::new(Access::Optional),
        2 => Terms::new(Access::Required),
        _ => {
            let roles = vec![random.pick(&["r1", "r2", "r3", "r4"]).to_owned()];
            Terms::requiring(Requirement { roles, ..Requirement::default() })
        }
    }
}

fn rules(random: &mut Random) -> Rules {
    let rules = (0..random.below(8)).map(|_| {
        let path = plain_path(random);
        let path = match random.below(4) {
            0 => None,
            1 => Some(PathPattern::exact(&path).unwrap()),
            _ => Some(PathPattern::prefix(&path).unwrap()),
        };
        let methods = if random.one_in(3) {
            vec![Method::parse(random.pick(&["GET", "POST"])).unwrap()]
        } else {
            vec![]
        };
        let hosts = ["h.example", "*.example", "other.example"];
        let hosts =
            if random.one_in(3) { vec![HostPattern::parse(random.pick(&hosts)).unwrap()] } else { vec![] };
        Rule { when: Condition { path, methods, hosts }, terms: terms(random) }
    });
    let rules = rules.collect();
    Rules::new(rules, terms(random))
}

/// Another spelling of a path that some program takes for the same.
fn respelled(random: &mut Random, path: &str) -> String {
    let slashes: Vec<_> = path.match_indices('/').map(|(at, _)| at).collect();
    let insert = |at: usize, text: &str| {
        let (before, after) = path.split_at(at);
        [before, text, after].concat()
    };
    let at = if slashes.is_empty() { 0 } else { random.pick(&slashes) };
    match random.below(8) {
        // Escapes of any characters but the first slash, which makes it a path; of old escapes too.
        0 | 1 => {
            let often = random.pick(&[1, 2, 5]);
            let mut out = String::from("/");
            for c in path.chars().skip(1) {
                let mut bytes = [0; 4];
                match random.one_in(often) {
                    true => c.encode_utf8(&mut bytes).bytes().for_each(|byte| out += &format!("%{byte:02x}")),
                    false => out.push(c),
                }
            }
            out
        }
        2 => insert(at, random.pick(&["/", "//"])),
        3 => insert(at, random.pick(&["/.", "/x/..", "/./x/y/../.."])),
        4 => path.to_owned() + random.pick(&["/.", "/x/..", "%2F", "%3Fx", "%23"]),
        5 => {
            let mut out = path.to_owned();
            if at > 0 {
                out.replace_range(at..=at, "\\");
            }
            out
        }
        6 => {
            if at > 0 && random.one_in(2) {
                insert(at, ";p=1")
            } else {
                path.to_owned() + ";q"
            }
        }
        _ => path.replace('a', random.pick(&["a", "ａ"])),
    }
}

/// Whether the one demand asks for all that the other does.
fn asks_no_less(one: &Demand, other: &Demand) -> bool {
    let mine: Vec<_> = one.requirements().collect();
    one.access() >= other.access() && other.requirements().all(|requirement| mine.contains(&requirement))
}

#[test]
fn no_respelling_of_a_request_gives_more_access_than_its_plain_form() {
    let mut random = Random(1);
    let (mut read, mut differing) = (0_u32, 0_u32);
    for round in 0..60_000 {
        let rules = rules(&mut random);
        let plain = plain_path(&mut random);
        let mut odd = plain.clone();
        for _ in 0..=random.below(4) {
            odd = respelled(&mut random, &odd);
        }
        let method = random.pick(&["GET", "POST"]);
        let expected = rules.decide(method.as_bytes(), b"h.example", plain.as_bytes());
        let method = if random.one_in(8) { method.to_lowercase() } else { method.to_owned() };
        let host: &[u8] =
            random.pick(&[b"h.example", b"H.Example.:80", b"h.example:8080", b"x@h.example", b""]);
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
    let mut random = Random(2);
    let redirect = Redirect::parse("https://h.example/login/{path}?to={url}").unwrap();
    let odd = b"/\\.;%?#2ef5c0aA:@[] \x00\x09\x7f\xc0\xaf\xef\xbc\x8f";
    for round in 0..30_000 {
        let rules = rules(&mut random);
        let length = if round % 100 == 0 { 8_000 } else { random.below(40) };
        let mut bytes: Vec<u8> =
            (0..length)
                .map(|_| {
                    if random.one_in(10) {
                        u8::try_from(random.below(256)).unwrap()
                    } else {
                        random.pick(odd)
                    }
                })
                .collect();
        if random.one_in(2) {
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
