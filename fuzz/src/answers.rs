//! Answers of a resolver, a forward-auth server and an introspection endpoint.

use authgear_filter::auth_server::{
    Answer, AuthServer, Holder, Inputs, Judged, Said, Scope, Session, authgear::resolver, forward_auth,
    introspection,
};
use authgear_filter::config::Config;
use authgear_filter::http::header::{is_hop_by_hop, is_value};
use authgear_filter::http::{CallError, Fields, OwnedField, Response};
use serde_json::{Value, json};
use std::rc::Rc;

use crate::input::Input;

thread_local! {
    static FORWARD_AUTH: [Config; 3] = [
        parse(&json!({"identity_headers": ["x-user", "x-auth-*", "authorization"], "roles_header": "x-groups"})),
        parse(&json!({"identity_headers": [{"header": "x-login", "from": "x-user"}], "relay_body": false,
            "client_headers": ["x-client"], "client_headers_on_success": ["x-fresh-*"]})),
        parse(&json!({"identity_headers": ["x-user"], "client_headers": ["location", "www-authenticate", "content-type", "set-cookie"],
            "client_headers_on_success": ["set-cookie", "x-client"]})),
    ];
}

fn parse(more: &Value) -> Config {
    let mut config = json!({"url": "http://auth/", "upstream": "auth"});
    if let (Value::Object(config), Value::Object(more)) = (&mut config, more) {
        config.extend(more.clone());
    }
    let config = json!({ "forward_auth": config }).to_string();
    Config::parse(config.as_bytes()).expect("a configuration")
}

const STATUSES: [u16; 30] = [
    200, 200, 200, 201, 204, 299, 401, 401, 403, 302, 301, 307, 304, 300, 400, 404, 407, 429, 431, 444, 499,
    500, 503, 504, 0, 1, 100, 103, 600, 65535,
];

const NAMES: [&str; 36] = [
    "x-authgear-session-valid",
    "x-authgear-session-valid",
    "x-authgear-user-id",
    "x-authgear-user-id",
    "x_authgear_user_id",
    "x-authgear.session.valid",
    "x-authgear-user-roles",
    "x-authgear-",
    "x-authgear-new",
    "x-user",
    "x-user",
    "x_user",
    "x.user",
    "x-auth-name",
    "x_auth_name",
    "authorization",
    "x-groups",
    "x_groups",
    "set-cookie",
    "set-cookie",
    "set_cookie",
    "location",
    "location",
    "www-authenticate",
    "content-type",
    "content-length",
    "content-encoding",
    "transfer-encoding",
    "connection",
    "x-client",
    "x-fresh-token",
    "cache-control",
    "",
    ":status",
    "x-login",
    "grpc-status",
];

const VALUES: [&[u8]; 26] = [
    b"true",
    b"true",
    b"false",
    b"alice",
    b"alice",
    b"bob",
    b"",
    b"TRUE",
    b" true",
    b"alice\r\nx-user: admin",
    b"a\nb",
    b"a\0",
    b"\xff",
    b"a,b",
    b",",
    b" a , b ",
    b"s=1; Path=/",
    b"/login",
    b"https://login.example/",
    b"gzip",
    b"text/html",
    b"12",
    b"chunked",
    b"close",
    b"staff",
    b"\t",
];

const BODY: [&[u8]; 24] = [
    b"{",
    b"}",
    b"\"active\":true",
    b"\"active\":false",
    b"\"active\":\"true\"",
    b"\"active\":1",
    b",",
    b"\"sub\":\"alice\"",
    b"\"sub\":\"\"",
    b"\"sub\":1",
    b"\"exp\":1800000100",
    b"\"exp\":\"x\"",
    b"\"exp\":-1",
    b"\"iss\":\"https://a\"",
    b"\"cnf\":{}",
    b"\"token_type\":\"DPoP\"",
    b"\"token_type\":\"Bearer\"",
    b"\xef\xbb\xbf",
    b"null",
    b"[",
    b"]",
    b" ",
    b"\"aud\":[\"a\"]",
    b"<html>",
];

fn response(input: &mut Input<'_>) -> Response {
    let status = if input.one_in(10) { u16::from(input.byte()) * 3 } else { input.pick(&STATUSES) };
    let fields: Vec<OwnedField> = (0..input.below(8))
        .map(|_| {
            let value = if input.one_in(10) { input.bytes(12) } else { input.pick(&VALUES).to_vec() };
            (input.pick(&NAMES).as_bytes().to_vec(), value)
        })
        .collect();
    let body = match input.below(4) {
        0 => vec![],
        1 => input.bytes(40),
        _ => [b"{".to_vec(), input.pieces(8, &BODY), b"}".to_vec()].concat(),
    };
    Response { status, fields: fields.into_iter().collect(), body }
}

fn folded(name: &[u8]) -> String {
    let fold =
        |byte: &u8| if byte.is_ascii_alphanumeric() { char::from(byte.to_ascii_lowercase()) } else { '-' };
    name.iter().map(fold).collect()
}

fn values<'f>(fields: &'f Fields, wanted: &str) -> Vec<&'f [u8]> {
    fields.iter().filter(|(name, _)| folded(name) == wanted).map(|(_, value)| value).collect()
}

/// See the crate.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let response = response(&mut input);
    for error in [CallError::NotSent, CallError::NoAnswer, CallError::TooLarge, CallError::Quarantined] {
        assert!(resolver::read(Err(error)).is_err(), "an error says nothing");
    }
    of_the_resolver(&response);
    let inputs = Inputs { identify: input.one_in(2), hold_credential: input.one_in(2) };
    FORWARD_AUTH.with(|configs| {
        let config = &configs[input.below(3)];
        assert!(matches!(config.server, Some(AuthServer::ForwardAuth(_))));
        of_a_forward_auth_server(config, inputs, &response);
    });
    of_an_introspection_endpoint(&response);
}

fn of_the_resolver(response: &Response) {
    let Ok(Answer { said, respond, ends, .. }) = resolver::read(Ok(response.clone())) else { return };
    assert_eq!((response.status, ends), (200, None));
    let told = match &said {
        Said::Session(Session { identity, holder, .. }) => {
            // Whatever spelling an app reads, it reads this one.
            assert_eq!(values(&response.fields, "x-authgear-session-valid"), [b"true"]);
            let users = values(&response.fields, "x-authgear-user-id");
            assert!(
                matches!((holder, &users[..]), (Holder::User(user), [only]) if **user == **only && !user.is_empty())
            );
            identity
        }
        Said::NoSession(identity) => {
            assert!(values(identity, "x-authgear-user-id").is_empty(), "nobody has no name");
            assert!(values(identity, "x-authgear-session-valid").iter().all(|valid| *valid == b"false"));
            identity
        }
        Said::Denied(_) | Said::Refused(_) => panic!("no resolver says that"),
    };
    for (name, value) in told.iter() {
        assert!(folded(name).starts_with("x-authgear-") && is_value(value), "{}", name.escape_ascii());
        assert_eq!(values(told, &folded(name)).len(), 1, "two of {}", name.escape_ascii());
    }
    assert!(respond.replace.is_empty());
    assert!(respond.add.iter().all(|(name, value)| name == b"set-cookie" && is_value(value)));
}

fn of_a_forward_auth_server(config: &Config, inputs: Inputs, response: &Response) {
    let server = config.forward_auth().expect("a forward-auth server");
    let Ok(answer) = forward_auth::read(server, inputs, Ok(response.clone())) else { return };
    match &answer.said {
        Said::Session(session) => {
            assert!((200..300).contains(&response.status));
            for (name, value) in session.identity.iter() {
                assert!(is_value(value) && config.managed.contains(name), "{}", name.escape_ascii());
                assert!(name != b"set-cookie" && !is_hop_by_hop(name));
                // It was said, under this name or the one that it is renamed from.
                let is_said = |(_, said): (&[u8], &[u8])| said == value;
                assert!(response.fields.iter().any(is_said), "nobody said so");
            }
            let mut spellings: Vec<(String, Vec<u8>)> = Vec::new();
            for (name, _) in session.identity.iter() {
                let known = spellings.iter().find(|(folded_name, _)| *folded_name == folded(name));
                assert!(
                    known.is_none_or(|(_, spelled)| spelled == name),
                    "two spellings of {}",
                    name.escape_ascii()
                );
                spellings.push((folded(name), name.to_vec()));
            }
            for (name, value) in
                answer.respond.replace.iter().chain(answer.respond.add.iter().map(|(n, v)| (&n[..], &v[..])))
            {
                assert!(is_value(value) && !is_hop_by_hop(name), "{}", name.escape_ascii());
                assert!(server.client_headers_on_success.iter().any(|pattern| pattern.matches(name)));
            }
            let has_cookie = response.fields.iter().any(|(name, _)| name == b"set-cookie");
            if has_cookie {
                assert_ne!(answer.scope, Scope::Everyone, "a cookie is one client's");
            }
        }
        Said::Denied(denied) => {
            assert!((300..500).contains(&response.status), "{}", response.status);
            let reply = &denied.reply;
            assert!(
                (300..=599).contains(&reply.status) && ![444, 499].contains(&reply.status),
                "{}",
                reply.status
            );
            assert!(!reply.body.is_empty());
            if reply.status < 400 {
                let locations: Vec<_> = reply.fields.iter().filter(|(name, _)| name == b"location").collect();
                assert!(
                    matches!(&locations[..], [(_, to)] if !to.is_empty()),
                    "a redirect to nowhere, or to two places"
                );
            }
            for (name, value) in &reply.fields {
                assert!(is_value(value) && !is_hop_by_hop(name), "{}", name.escape_ascii());
            }
            if reply.fields.iter().any(|(name, _)| name == b"set-cookie") {
                assert_eq!(answer.scope, Scope::AskerAlone, "a cookie is one client's");
            }
        }
        Said::NoSession(_) | Said::Refused(_) => panic!("no forward-auth server says that"),
    }
}

fn of_an_introspection_endpoint(response: &Response) {
    let mut was_judged = false;
    let answer = introspection::read(Ok(response.clone()), |claims, payload| {
        was_judged = true;
        assert!(payload.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)));
        let session = Session {
            identity: Rc::default(),
            facts: Rc::default(),
            holder: Holder::Named(None),
            issuer: None,
        };
        Ok(Judged { session, ends: claims.expiry() })
    });
    let text = String::from_utf8_lossy(&response.body).into_owned();
    match answer {
        Ok(Answer { said: Said::Session(_), respond, .. }) => {
            assert!(was_judged && response.status == 200 && respond.is_empty());
            let text = text.trim_start_matches('\u{feff}');
            let stated: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
            assert_eq!(stated["active"], true, "{text}");
            assert!(stated.get("cnf").is_none(), "it is bound: {text}");
        }
        Ok(Answer { said: Said::Refused(_), .. }) => assert_eq!(response.status, 200),
        Ok(Answer { said: Said::NoSession(_) | Said::Denied(_), .. }) => panic!("no such endpoint says that"),
        Err(_) => assert!(!was_judged),
    }
}
