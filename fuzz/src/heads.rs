//! A host's list of headers: read, decided upon, edited as a host edits it, and looked at once more.

use std::sync::LazyLock;

use authgear_filter::config::Projects;
use authgear_filter::engine::projects::Engines;
use authgear_filter::engine::{Capabilities, Step, Verdict};
use authgear_filter::http::{Field, Head, HeaderEdits, OwnedField, UnixTime};
use authgear_filter::proxy::pairs;
use serde_json::{Value, json};

use crate::input::Input;
use crate::issuer::{self, ISSUER, NOW, PROXY, jwks};

/// A configuration, and the names that only the filter may set under it.
struct Scene {
    configuration: Value,
    names: &'static [&'static str],
    prefixes: &'static [&'static str],
}

const OVERRIDES: [&str; 5] =
    ["x-original-url", "x-rewrite-url", "x-http-method", "x-http-method-override", "x-method-override"];

static SCENES: LazyLock<Vec<Scene>> = LazyLock::new(|| {
    let rules = json!([
        {"prefix": "/public", "access": "public"},
        {"prefix": "/optional", "access": "optional"},
        {"prefix": "/required", "access": "required"},
    ]);
    let forward_auth = json!({"url": "http://auth/check", "upstream": "auth", "roles_header": "x-groups",
        "identity_headers": ["authorization", "x-auth-*", {"header": "x-user", "from": "x-auth-request-user"}]});
    let jwt = json!([{"issuer": ISSUER, "audiences": [ISSUER], "jwks": jwks("k"),
        "headers": {"x-user": "sub", "x-mail": "email"}, "payload_header": "x-payload"}]);
    let of = |configuration: Value, names, prefixes| {
        let mut configuration = configuration;
        configuration["rules"] = rules.clone();
        configuration["on_error"] = json!({"action": "allow"});
        Scene { configuration, names, prefixes }
    };
    vec![
        of(json!({"authgear": {"endpoint": ISSUER, "upstream": "authgear"}}), &[], &["x-authgear-"]),
        of(
            json!({"authgear": {"endpoint": ISSUER, "upstream": "a", "mode": "resolver"}, "strip_credentials": true}),
            &[],
            &["x-authgear-"],
        ),
        of(json!({"forward_auth": forward_auth}), &["x-user", "x-groups"], &["x-auth-"]),
        of(json!({"jwt": jwt, "strip_credentials": true}), &["x-user", "x-mail", "x-payload"], &[]),
        of(
            json!({"jwt": jwt, "forward_auth": forward_auth}),
            &["x-user", "x-mail", "x-payload", "x-groups"],
            &["x-auth-"],
        ),
    ]
});

thread_local! {
    /// Without ticks and with them. They keep no state, and there are few of them.
    static ENGINES: Vec<[&'static Engines; 2]> = SCENES.iter().map(|scene| [false, true].map(|background| {
        let projects = Projects::parse(scene.configuration.to_string().as_bytes()).expect("a configuration");
        &*Box::leak(Box::new(Engines::new(projects, Capabilities { background, signatures: PROXY })))
    })).collect();
}

/// As the most lenient app reads a name.
fn folded(name: &[u8]) -> String {
    let fold =
        |byte: &u8| if byte.is_ascii_alphanumeric() { char::from(byte.to_ascii_lowercase()) } else { '-' };
    name.iter().map(fold).collect()
}

impl Scene {
    fn is_managed(&self, name: &[u8]) -> bool {
        let name = folded(name);
        let name = name.as_str();
        self.names.contains(&name)
            || OVERRIDES.contains(&name)
            || self.prefixes.iter().any(|prefix| name.starts_with(prefix))
    }
}

const FORGED: [&str; 22] = [
    "x-authgear-user-id",
    "x_authgear_user_id",
    "x-authgear.session.valid",
    "x-authgear-",
    "x~authgear~user~id",
    "x-authgear_user-roles",
    "x-user",
    "x_user",
    "x-mail",
    "x.mail",
    "x-payload",
    "x_payload",
    "x-auth-request-user",
    "x_auth_x",
    "x-groups",
    "x!groups",
    "x-original-url",
    "x_rewrite_url",
    "x-http-method-override",
    "x_http_method",
    "x-method-override",
    "x-auth-",
];

const OTHERS: [&str; 18] = [
    "accept",
    "cookie",
    "authorization",
    "connection",
    "host",
    "user-agent",
    "origin",
    "access-control-request-method",
    "content-type",
    "content-length",
    "transfer-encoding",
    "te",
    "x-forwarded-proto",
    "x-forwarded-for",
    "dpop",
    "x-users",
    "xauthgear-user-id",
    "sec-websocket-protocol",
];

const VALUES: [&[u8]; 24] = [
    b"",
    b"forged",
    b"true",
    b"x-authgear-user-id",
    b"close, x-authgear-user-id",
    b"X_User , upgrade",
    b"keep-alive",
    b"x-payload,x-mail,,",
    b"\xff",
    b"a\0b",
    b"Bearer abc",
    b"Bearer a.b.c",
    b"DPoP a.b.c",
    b"Basic YTpi",
    b"session=s",
    b"session=s; other=x",
    b"https",
    b"http, https",
    b"text/html",
    b"https://a",
    b"PUT",
    b"app.example",
    b"application/grpc",
    b"x!authgear!user!id",
];

fn list(input: &mut Input<'_>) -> Vec<OwnedField> {
    let mut list: Vec<OwnedField> = Vec::new();
    let pseudo: [(&[u8], &[&[u8]]); 4] = [
        (b":method", &[b"GET", b"POST", b"OPTIONS", b"get", b""]),
        (b":authority", &[b"app.example", b"", b"a b", b"[::1]:80"]),
        (
            b":path",
            &[
                b"/required/a",
                b"/optional",
                b"/public/x",
                b"/",
                b"/public/../required",
                b"/public%2f..%2frequired",
                b"/a#b",
                b"*",
                b"",
            ],
        ),
        (b":scheme", &[b"http", b"https", b"gopher"]),
    ];
    for (name, values) in pseudo {
        if !input.one_in(40) {
            // The first ones mostly.
            let values = if input.one_in(4) { values } else { &values[..values.len().min(4)] };
            list.push((name.to_vec(), input.pick(values).to_vec()));
        }
        if input.one_in(60) {
            list.push((name.to_vec(), b"twice".to_vec()));
        }
    }
    let often = if input.one_in(40) { 200 } else { 10 };
    for _ in 0..input.below(often) {
        let name = match input.below(5) {
            0 => input.pieces(4, &[b"x", b"-", b"_", b"authgear", b"user", b"id", b"auth", b"."]),
            1 => input.pick(&OTHERS).as_bytes().to_vec(),
            2 => b"connection".to_vec(),
            _ => input.pick(&FORGED).as_bytes().to_vec(),
        };
        let value = match input.below(5) {
            0 => input.bytes(20),
            _ => input.pick(&VALUES).to_vec(),
        };
        let at = input.below(list.len() + 1);
        list.insert(at, (name, value));
    }
    list
}

/// What a host makes of the list: removes, adds, replaces.
fn edited(listed: &[Field<'_>], edits: &HeaderEdits) -> Vec<OwnedField> {
    let mut list: Vec<OwnedField> = listed
        .iter()
        .filter(|(name, _)| !edits.remove.iter().any(|gone| gone == name))
        .map(|(name, value)| (name.to_vec(), value.to_vec()))
        .collect();
    list.extend(edits.set.iter().map(|(name, value)| (name.to_vec(), value.to_vec())));
    for (name, value) in &edits.rewrite {
        list.retain(|(known, _)| known != name);
        list.push((name.to_vec(), value.clone()));
    }
    list
}

/// See the crate.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let _ = pairs::decode(data);
    let at = input.below(SCENES.len());
    let scene = &SCENES[at];
    let background = input.one_in(2);
    let list = list(&mut input);
    let encoded =
        pairs::encode(list.iter().map(|(name, value)| (name.as_slice(), value.as_slice()))).expect("short");
    let listed = pairs::decode(&encoded).expect("what was encoded");
    assert!(listed.iter().map(|(n, v)| (n.to_vec(), v.to_vec())).eq(list.iter().cloned()));
    let damaged = input.damage(&encoded, 3, b"\0\x01\xff");
    if let Some(fields) = pairs::decode(&damaged) {
        let total: usize = fields.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
        assert!(total <= damaged.len(), "more than there is");
    }

    let engines = ENGINES.with(|engines| engines[at][usize::from(background)]);
    let trailers: Vec<Field<'_>> =
        listed.iter().filter(|(name, _)| name.first() != Some(&b':')).copied().collect();
    let forged = engines.forged_trailers(&trailers);
    for (name, _) in &trailers {
        let is_gone = forged.iter().any(|gone| gone == name);
        assert_eq!(
            is_gone,
            scene.is_managed(name) || is_authorization(scene, name),
            "trailer {}",
            name.escape_ascii()
        );
    }

    let mut fields = Vec::new();
    let Ok(head) = Head::new(&listed, &mut fields, &|| None) else { return };
    let mut memory = engines.memory(input.number());
    let now = UnixTime::from_secs(NOW);
    let mut step = engines.start(&mut memory, &head, now);
    let mut rounds = 0;
    let decision = loop {
        rounds += 1;
        assert!(rounds < 10, "no end");
        let calls = memory.effects().background_calls;
        let answer = || answer(&scene.configuration, rounds);
        step = match step {
            Step::Done(decision) => break decision,
            Step::Call(_, waiting) => engines.resume(&mut memory, waiting, answer(), now),
            Step::Park(_, waiting) => {
                for (_, call) in calls {
                    if let Some(key) = engines.finish(&mut memory, call, answer(), now) {
                        let _ = key;
                    }
                }
                engines.wake(&mut memory, waiting, now)
            }
        };
    };
    match decision.verdict {
        Verdict::Reply(reply) => {
            assert!(
                (300..=599).contains(&reply.status) && ![444, 499].contains(&reply.status),
                "{}",
                reply.status
            );
            assert!(!reply.body.is_empty());
            for (name, value) in &reply.fields {
                assert!(authgear_filter::http::header::is_value(value), "{}", name.escape_ascii());
                assert!(!authgear_filter::http::header::is_hop_by_hop(name), "{}", name.escape_ascii());
            }
        }
        Verdict::Forward(edits) => {
            for (name, value) in edits.set.iter() {
                assert!(scene.is_managed(name) || is_authorization(scene, name), "{}", name.escape_ascii());
                assert!(authgear_filter::http::header::is_value(value));
            }
            for (name, value) in edited(&listed, &edits) {
                let set = edits.set.iter().filter(|(known, _)| *known == name).any(|(_, ours)| ours == value);
                assert!(!scene.is_managed(&name) || set, "{} survives: {listed:?}", name.escape_ascii());
                if name == b"connection" {
                    for option in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                        assert!(!scene.is_managed(option), "nominated: {}", value.escape_ascii());
                    }
                }
            }
        }
    }
}

/// With `forward_auth` here `authorization` is an identity header too, but on public routes.
fn is_authorization(scene: &Scene, name: &[u8]) -> bool {
    scene.configuration.get("forward_auth").is_some() && folded(name) == "authorization"
}

fn answer(
    configuration: &Value,
    round: usize,
) -> Result<authgear_filter::http::Response, authgear_filter::http::CallError> {
    let fields: &[(&str, &str)] = match (configuration.get("forward_auth").is_some(), round % 3) {
        (true, 1) => {
            &[("x-auth-request-user", "alice"), ("x-groups", "staff"), ("authorization", "Bearer y")]
        }
        (false, 1) => &[("x-authgear-session-valid", "true"), ("x-authgear-user-id", "alice")],
        _ => &[],
    };
    let body = if round.is_multiple_of(2) { issuer::jwks("k").to_string().into_bytes() } else { vec![] };
    Ok(authgear_filter::http::Response { status: 200, fields: fields.iter().copied().collect(), body })
}
