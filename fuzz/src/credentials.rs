//! Headers and URLs with credentials: what is read from them, sent, remembered by, and taken out.

use authgear_filter::auth_server::authgear::resolver;
use authgear_filter::auth_server::forward_auth;
use authgear_filter::cache::Key;
use authgear_filter::config::Config;
use authgear_filter::http::credential::{self, Cookies, Credentials};
use authgear_filter::http::header::is_value;
use authgear_filter::http::place::{self, Found, Place};
use authgear_filter::http::{Field, Head, OwnedField};
use serde_json::json;

use crate::input::Input;
use crate::issuer::ISSUER;

thread_local! {
    static AUTHGEAR: Config = parse(&json!({"authgear": {"endpoint": ISSUER, "upstream": "a", "cookie_prefix": "p_"}}));
    static FORWARD_AUTH: [Config; 3] = [
        parse(&json!({"forward_auth": {"url": "http://a/", "upstream": "a", "identity_headers": ["x-user"],
            "request_headers": ["authorization", "cookie", "x-*"], "extra_headers": {"x-resource": "{url} {client_ip}"}}})),
        parse(&json!({"forward_auth": {"url": "http://a/", "upstream": "a", "identity_headers": ["x-user"],
            "host": "client", "cookies": ["s", "p_*"], "original_request": "x-original"}})),
        parse(&json!({"forward_auth": {"url": "http://a/", "upstream": "a", "identity_headers": ["x-user"],
            "original_request": "none"}})),
    ];
}

fn parse(configuration: &serde_json::Value) -> Config {
    Config::parse(configuration.to_string().as_bytes()).expect("a configuration")
}

const NAMES: [&str; 10] = [
    "authorization",
    "authorization",
    "cookie",
    "cookie",
    "x-token",
    "sec-websocket-protocol",
    "dpop",
    "x-request-id",
    "x_token",
    "traceparent",
];

const PIECES: [&[u8]; 34] = [
    b"Bearer ",
    b"bearer ",
    b"BEARER  ",
    b"Bearer\t",
    b"DPoP ",
    b"Basic ",
    b"alice",
    b"bob",
    b"a.b.c",
    b"=",
    b";",
    b"; ",
    b",",
    b" ",
    b"p_session=",
    b"p_app_session=",
    b"p_app_access_token=",
    b"session=",
    b"p_session",
    b"\"",
    b"\\",
    b"\xff",
    b"%61",
    b"s=",
    b"token.alice",
    b"token.",
    b"t=",
    b"&",
    b"\t",
    b"other=x; ",
    b"p_=",
    b"x",
    b"\0",
    b"Bearer",
];

const QUERY: [&[u8]; 16] = [
    b"?", b"&", b"=", b"t=", b"t", b"%74=", b"alice", b"bob", b"x=1", b"+", b"%20", b"%", b"%26t=", b"%3d",
    b"T=", b"/",
];

const GOOD: [(&str, &str); 5] = [
    ("authorization", "Bearer "),
    ("cookie", "p_session="),
    ("cookie", "x=y; p_app_session="),
    ("cookie", "p_app_access_token="),
    ("x-token", ""),
];

const COOKIES: [&str; 4] = ["p_session=", "p_app_session=", "p_app_access_token=", "Bearer "];

/// The value with one name in the place of another.
fn renamed(value: &[u8], from: &str, to: &str) -> Vec<u8> {
    match value.windows(from.len()).position(|part| part == from.as_bytes()) {
        Some(at) => [&value[..at], to.as_bytes(), &value[at + from.len()..]].concat(),
        None => value.to_vec(),
    }
}

struct Request {
    path: Vec<u8>,
    host: &'static [u8],
    fields: Vec<OwnedField>,
}

impl Request {
    fn new(input: &mut Input<'_>) -> Self {
        let field = |input: &mut Input<'_>| {
            if input.one_in(2) {
                // As clients send them.
                let (name, value) = input.pick(&GOOD);
                let whole = [value.as_bytes(), input.pick(&[b"alice".as_slice(), b"bob", b"a.b.c"])].concat();
                return (name.as_bytes().to_vec(), whole);
            }
            let name = input.pick(&NAMES).as_bytes().to_vec();
            (name, input.pieces(7, &PIECES))
        };
        let path = [b"/a".as_slice(), &input.pieces(9, &QUERY)].concat();
        let host: &[u8] = input.pick(&[b"app.example", b"app.example", b"other.example", b"a b"]);
        Self { path, host, fields: (0..input.below(5)).map(|_| field(input)).collect() }
    }

    fn with<T>(&self, then: impl FnOnce(&Head<'_>) -> T) -> T {
        let fields: Vec<Field<'_>> =
            self.fields.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect();
        then(&Head {
            method: b"GET",
            scheme: b"https",
            authority: self.host,
            path: &self.path,
            fields: &fields,
            client_address: &|| Some([192, 0, 2, 1].into()),
        })
    }
}

fn places() -> [Place; 6] {
    [
        Place::bearer(),
        Place::dpop(),
        Place::Header { name: b"x-token".to_vec(), scheme: None },
        Place::Cookie(b"p_session".to_vec()),
        Place::Query(b"t".to_vec()),
        Place::WebSocketProtocol(b"token.".to_vec()),
    ]
}

/// See the crate.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let one = Request::new(&mut input);
    // Another one, or nearly the same.
    let other = if input.one_in(2) {
        Request::new(&mut input)
    } else {
        let mut other = Request { path: one.path.clone(), fields: one.fields.clone(), ..one };
        if !other.fields.is_empty() {
            let at = input.below(other.fields.len());
            let value = other.fields[at].1.clone();
            other.fields[at].1 = if input.one_in(2) {
                renamed(&value, input.pick(&COOKIES), input.pick(&COOKIES))
            } else {
                input.damage(&value, 2, b"ab= ;,\"\t")
            };
        }
        if input.one_in(2) {
            let at = input.below(other.fields.len() + 1);
            other.fields.insert(at, (input.pick(&NAMES).as_bytes().to_vec(), input.pieces(4, &PIECES)));
        }
        other
    };
    AUTHGEAR.with(|config| one.with(|one| other.with(|other| are_known_apart(config, one, other))));
    FORWARD_AUTH.with(|configs| {
        let config = &configs[input.below(3)];
        one.with(|one| other.with(|other| what_differs_is_asked_apart(config, one, other)));
    });
    one.with(taken_out_is_gone);
}

/// What Authgear reads of headers, by its own code: `getSessionTokenFromRequest` and `net/http`'s `readCookies`.
fn authgear_reads(fields: &[Field<'_>]) -> (Option<Vec<u8>>, [Option<Vec<u8>>; 3]) {
    let mut authorizations = fields.iter().filter(|(name, _)| *name == b"authorization");
    let token = authorizations.next().and_then(|(_, value)| {
        let text = value.trim_ascii();
        let at = text.iter().position(|&byte| byte == b' ')?;
        let (word, rest) = (&text[..at], &text[at + 1..]);
        (word.eq_ignore_ascii_case(b"bearer") && !rest.is_empty()).then(|| rest.to_vec())
    });
    let cookie = |wanted: &[u8]| {
        let lines = fields.iter().filter(|(name, _)| *name == b"cookie");
        let pairs = lines.flat_map(|(_, line)| line.split(|&byte| byte == b';')).map(<[u8]>::trim_ascii);
        pairs
            .filter_map(|pair| {
                let at = pair.iter().position(|&byte| byte == b'=')?;
                let (name, value) = (pair[..at].trim_ascii(), pair[at + 1..].trim_ascii());
                let inner = match value {
                    [b'"', inner @ .., b'"'] => inner,
                    value => value,
                };
                let is_good = |&byte: &u8| (0x20..0x7f).contains(&byte) && !b"\";\\".contains(&byte);
                (name == wanted && inner.iter().all(is_good)).then(|| inner.to_vec())
            })
            .next()
    };
    let cookies = [b"p_session".as_slice(), b"p_app_session", b"p_app_access_token"].map(cookie);
    (token, cookies)
}

fn are_known_apart(config: &Config, one: &Head<'_>, other: &Head<'_>) {
    let resolver = config.resolver().expect("Authgear's");
    let place = Place::bearer();
    let read = |head: &Head<'_>| {
        let found = place.find(head);
        let bearer = match &found {
            Found::Token(token) => Some(token.secret()),
            Found::Nothing => None,
            // Nothing is asked.
            Found::Unclear => return None,
        };
        let credentials = Credentials { bearer, cookies: Cookies::of(head, resolver.cookies.all()) };
        let call = resolver::call(resolver, config.timeout, head, credentials);
        let sent: Vec<Field<'_>> = call.fields.iter().collect();
        for (name, value) in &sent {
            assert!(is_value(value), "{}: {}", name.escape_ascii(), value.escape_ascii());
        }
        let said = authgear_reads(&sent);
        assert_eq!(said, authgear_reads(head.fields), "Authgear would know it by something else");
        let mut key = Key::new();
        resolver::key(credentials, &mut key);
        Some((key, said))
    };
    if let (Some((key, said)), Some((other_key, other_said))) = (read(one), read(other)) {
        assert!(key != other_key || said == other_said, "one key: {said:?}, {other_said:?}");
    }
}

/// Headers by which no server answers, so that they are in no key.
const TRACING: [&[u8]; 2] = [b"x-request-id", b"traceparent"];

fn what_differs_is_asked_apart(config: &Config, one: &Head<'_>, other: &Head<'_>) {
    let server = config.forward_auth().expect("a forward-auth server");
    let read = |head: &Head<'_>| {
        let call = forward_auth::call(server, config.timeout, head, None).ok()?;
        let mut key = Key::new();
        let _inputs = forward_auth::key(server, head, None, &mut key);
        for (name, value) in call.fields.iter() {
            assert!(is_value(value), "{}: {}", name.escape_ascii(), value.escape_ascii());
        }
        let sent: Vec<OwnedField> = call
            .fields
            .iter()
            .filter(|(name, _)| !TRACING.contains(name))
            .map(|(name, value)| (name.to_vec(), value.to_vec()))
            .collect();
        Some((key, sent))
    };
    if let (Some((key, sent)), Some((other_key, other_sent))) = (read(one), read(other)) {
        assert!(key != other_key || sent == other_sent, "one key: {sent:?}, {other_sent:?}");
    }
}

fn taken_out_is_gone(head: &Head<'_>) {
    let places = places();
    for place in &places {
        let _ = place.find(head);
    }
    let path = place::path_without_tokens(head.path, &places);
    let rest = Head { path: &path, ..*head };
    assert_eq!(places[4].find(&rest), Found::Nothing, "{}", path.escape_ascii());
    assert_eq!(place::path_without_tokens(&path, &places), path, "the same once more");
    let end = |path: &[u8]| path.iter().position(|&byte| byte == b'?').unwrap_or(path.len());
    assert_eq!(head.path[..end(head.path)], path[..end(&path)], "the path itself stays");

    let names = ["p_session", "p_app_session", "p_app_access_token"].map(|name| name.as_bytes().to_vec());
    if let Some(cookies) = credential::cookies_without(head, |name| names.iter().any(|known| known == name)) {
        let fields = [(b"cookie".as_slice(), cookies.as_slice())];
        let rest = Head { fields: &fields, ..*head };
        assert!(Cookies::of(&rest, &names).is_empty(), "{}", cookies.escape_ascii());
        let (_, read) = authgear_reads(&fields);
        assert_eq!(read, [None, None, None], "{}", cookies.escape_ascii());
        assert_eq!(places[3].find(&rest), Found::Nothing);
        let others = |head: &Head<'_>| -> Vec<Vec<u8>> {
            let pairs = credential::cookie_pairs(head);
            pairs
                .filter(|pair| {
                    let name = pair.split(|&byte| byte == b'=').next().unwrap_or_default().trim_ascii();
                    !names.iter().any(|known| known == name)
                })
                .map(<[u8]>::to_vec)
                .collect()
        };
        assert_eq!(others(head), others(&rest), "another cookie was lost");
    }
    if let Some(protocols) = place::protocols_without_tokens(head, &places) {
        let fields = [(b"sec-websocket-protocol".as_slice(), protocols.as_slice())];
        let rest = Head { fields: &fields, ..*head };
        assert_eq!(places[5].find(&rest), Found::Nothing, "{}", protocols.escape_ascii());
    }
}
