//! The tests of nginx's `auth_request`, Traefik's ForwardAuth and APISIX's forward-auth, as requests and answers: the
//! same servers work behind this filter, without the faults of theirs.

use std::time::Duration;

use serde_json::{Value, json};

use authgear_filter::auth_server::fault::Fault;
use authgear_filter::auth_server::forward_auth::{DenialKind, ForwardAuth, call, read};
use authgear_filter::auth_server::{Answer, Inputs, Said};
use authgear_filter::config::Config;
use authgear_filter::http::managed::Managed;
use authgear_filter::http::{CallError, Field, Head, OwnedField, Response};

type Pairs = &'static [(&'static str, &'static str)];

/// A request that meets an auth server's answer.
struct Scene {
    config: Value,
    request: Pairs,
    status: u16,
    answer: Pairs,
    body: &'static str,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// What the app gets of the request's headers and of the identity.
    Passes(Vec<(String, String)>),
    /// Status, headers and body for the client.
    Denied(DenialKind, u16, Vec<(String, String)>, String),
    Failed(Fault),
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn pairs(fields: Pairs) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn config(more: &Value) -> ForwardAuth {
    let mut config = json!({"url": "http://auth/verify", "upstream": "auth",
        "identity_headers": ["x-user-id", "x-user1", "x-auth-*"]});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let config = json!({"forward_auth": config}).to_string();
    Config::parse(config.as_bytes()).unwrap().forward_auth().unwrap().clone()
}

fn with_head<T>(request: Pairs, then: impl FnOnce(&Head<'_>) -> T) -> T {
    let fields: Vec<Field<'_>> =
        request.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    then(&Head {
        method: b"POST",
        scheme: b"http",
        authority: b"app.example",
        path: b"/hello?page=1",
        fields: &fields,
        client_address: &|| Some([192, 0, 2, 1].into()),
    })
}

fn sent(more: &Value, request: Pairs) -> Vec<(String, String)> {
    let call = with_head(request, |head| call(&config(more), Duration::from_secs(1), head, None)).unwrap();
    call.fields.iter().map(|(name, value)| (text(name), text(value))).collect()
}

fn play(scene: &Scene) -> Outcome {
    let forward_auth = config(&scene.config);
    let owned = |fields: Pairs| -> Vec<OwnedField> {
        fields.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
    };
    let response = Response {
        status: scene.status,
        fields: scene.answer.iter().copied().collect(),
        body: scene.body.as_bytes().to_vec(),
    };
    match read(&forward_auth, KNOWN, Ok(response)) {
        Ok(Answer { said: Said::Session(session), .. }) => {
            let managed = Managed::new(forward_auth.managed().collect());
            let forged = with_head(scene.request, |head| managed.forged(head.fields));
            let mut fields = owned(scene.request);
            fields.retain(|(name, _)| !forged.contains(name));
            fields.extend(session.identity.iter().map(|(name, value)| (name.to_vec(), value.to_vec())));
            Outcome::Passes(fields.iter().map(|(name, value)| (text(name), text(value))).collect())
        }
        Ok(Answer { said: Said::Denied(denied), .. }) => {
            let fields = denied.reply.fields.iter().map(|(name, value)| (text(name), text(value))).collect();
            Outcome::Denied(denied.kind, denied.reply.status, fields, text(&denied.reply.body))
        }
        Ok(Answer { said: Said::NoSession(_) | Said::Refused(_), .. }) => {
            panic!("no forward-auth server says that")
        }
        Err(fault) => Outcome::Failed(fault),
    }
}

const KNOWN: Inputs = Inputs { identify: true, hold_credential: true };

fn scene(request: Pairs, status: u16, answer: Pairs) -> Scene {
    Scene { config: json!({}), request, status, answer, body: "" }
}

#[test]
fn an_identity_that_the_answer_omits_is_not_the_clients() {
    const FORGED: Pairs = &[("x-user-id", "admin"), ("x_auth_user", "admin"), ("accept", "*/*")];
    for status in [200, 204] {
        assert_eq!(play(&scene(FORGED, status, &[])), Outcome::Passes(pairs(&[("accept", "*/*")])));
        assert_eq!(
            play(&scene(FORGED, status, &[("x-user-id", "alice"), ("x-other", "no")])),
            Outcome::Passes(pairs(&[("accept", "*/*"), ("x-user-id", "alice")]))
        );
    }
}

#[test]
fn each_status_means_what_it_means_to_nginx_and_a_way_to_log_in_is_one() {
    let kind = |status, answer| match play(&scene(&[], status, answer)) {
        Outcome::Passes(_) => "passes",
        Outcome::Denied(DenialKind::Unauthenticated, 401, ..) => "401",
        Outcome::Denied(DenialKind::Forbidden, 403, ..) => "403",
        Outcome::Denied(DenialKind::Redirected, found, ..) if found == status => "redirected",
        Outcome::Denied(DenialKind::Other, found, ..) if found == status => "denied",
        Outcome::Failed(Fault::Status(found)) if found == status => "failed",
        other @ (Outcome::Denied(..) | Outcome::Failed(_)) => {
            panic!("{status}: {other:?}")
        }
    };
    const LOCATION: Pairs = &[("location", "/login")];
    let cases: &[(u16, Pairs, &str)] = &[
        (200, &[], "passes"),
        (201, &[], "passes"),
        (204, &[], "passes"),
        (401, &[], "401"),
        (403, &[], "403"),
        (404, &[], "denied"),
        (500, &[], "failed"),
        (301, LOCATION, "redirected"),
        (302, LOCATION, "redirected"),
        (303, LOCATION, "redirected"),
        (307, LOCATION, "redirected"),
        (308, LOCATION, "redirected"),
        (302, &[], "failed"),
        (304, &[], "failed"),
        (431, &[], "denied"),
    ];
    for (status, answer, expected) in cases {
        assert_eq!(kind(*status, answer), *expected, "{status}");
    }
}

#[test]
fn two_challenges_two_cookies_and_a_relative_location_reach_the_client() {
    let challenged = Scene {
        body: "who are you?",
        ..scene(
            &[],
            401,
            &[
                ("www-authenticate", "Basic realm=\"one\""),
                ("www-authenticate", "Negotiate"),
                ("content-type", "text/plain"),
                ("content-length", "12"),
                ("connection", "keep-alive"),
            ],
        )
    };
    let expected: Pairs = &[
        ("www-authenticate", "Basic realm=\"one\""),
        ("www-authenticate", "Negotiate"),
        ("content-type", "text/plain"),
        ("cache-control", "no-store"),
    ];
    let Outcome::Denied(_, 401, fields, body) = play(&challenged) else { panic!() };
    assert_eq!((fields, body.as_str()), (pairs(expected), "who are you?"));

    const AWAY: Pairs =
        &[("location", "login?return=/hello"), ("set-cookie", "a=1; Path=/"), ("set-cookie", "b=2")];
    let Outcome::Denied(DenialKind::Redirected, 302, fields, body) = play(&scene(&[], 302, AWAY)) else {
        panic!()
    };
    assert_eq!(fields.get(..3), Some(&pairs(AWAY)[..]));
    assert!(!body.is_empty(), "APISIX would put a page of its own there");
}

#[test]
fn the_call_has_no_body_and_no_word_of_one() {
    const POST: Pairs = &[
        ("content-type", "application/json"),
        ("content-length", "11"),
        ("transfer-encoding", "chunked"),
        ("expect", "100-continue"),
        ("connection", "keep-alive, upgrade"),
        ("upgrade", "websocket"),
        ("trailer", "x"),
        ("authorization", "123"),
    ];
    let expected: Pairs = &[
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "auth"),
        (":path", "/verify"),
        ("x-forwarded-method", "POST"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "app.example"),
        ("x-forwarded-uri", "/hello?page=1"),
        ("x-forwarded-for", "192.0.2.1"),
        ("authorization", "123"),
    ];
    assert_eq!(sent(&json!({}), POST), pairs(expected));
}

#[test]
fn what_the_client_says_of_the_original_request_is_not_believed() {
    const SPOOFED: Pairs = &[
        ("x-forwarded-method", "OPTIONS"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-uri", "/public"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-original-uri", "/public"),
        ("x_forwarded_uri", "/public"),
    ];
    let told = sent(&json!({"request_headers": ["x-*"]}), SPOOFED);
    let expected: Pairs = &[
        ("x-forwarded-method", "POST"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "app.example"),
        ("x-forwarded-uri", "/hello?page=1"),
        ("x-forwarded-for", "192.0.2.1"),
    ];
    assert_eq!(told.get(4..), Some(&pairs(expected)[..]));
}

#[test]
fn extra_headers_say_what_the_request_is_and_cannot_be_split() {
    let more = json!({"original_request": "none", "extra_headers":
        {"x-host": "{host}", "x-method": "{method}", "x-resource": "{path}", "x-static": "a b"}});
    let told = sent(&more, &[("x-host", "evil"), ("x-resource", "/public")]);
    let expected: Pairs = &[
        ("x-host", "app.example"),
        ("x-method", "POST"),
        ("x-resource", "/hello?page=1"),
        ("x-static", "a b"),
    ];
    assert_eq!(told.get(4..), Some(&pairs(expected)[..]));
}

#[test]
fn a_user_name_with_a_line_break_in_it_is_no_second_user() {
    // Encoded it is a name like others; decoded it is nobody's.
    assert_eq!(
        play(&scene(&[("x-user1", "admin")], 200, &[("x-user-id", "guest%0d%0ax-user1:")])),
        Outcome::Passes(pairs(&[("x-user-id", "guest%0d%0ax-user1:")]))
    );
    const SPLIT: [Pairs; 4] = [
        &[("x-user-id", "guest\r\nx-user1: admin")],
        &[("x-user-id", "guest\nx-user1: admin")],
        &[("x-user-id", "guest\rx")],
        &[("x-user-id", "guest\0")],
    ];
    for answer in SPLIT {
        let outcome = play(&scene(&[], 200, answer));
        assert!(matches!(outcome, Outcome::Failed(Fault::Unusable(_))), "{answer:?}: {outcome:?}");
    }
}

#[test]
fn the_answer_is_who_it_is_even_where_it_says_what_the_client_sent() {
    // Auth-O-Tron: the realm is an input and an output, and its token takes the place of the credential.
    let realm = Scene {
        config: json!({"request_headers": ["authorization", "x-auth-realm"],
            "identity_headers": ["authorization", "x-auth-*"]}),
        ..scene(
            &[("authorization", "Basic YTpi"), ("x-auth-realm", "one"), ("x-auth-roles", "admin")],
            200,
            &[("authorization", "Bearer jwt"), ("x-auth-username", "a"), ("x-auth-realm", "one")],
        )
    };
    let asked = sent(&realm.config, realm.request);
    assert_eq!(asked.get(9..), Some(&pairs(&[("authorization", "Basic YTpi"), ("x-auth-realm", "one")])[..]));
    assert_eq!(
        play(&realm),
        Outcome::Passes(pairs(&[
            ("authorization", "Bearer jwt"),
            ("x-auth-username", "a"),
            ("x-auth-realm", "one")
        ]))
    );
}

#[test]
fn a_server_that_hangs_up_says_nothing() {
    let forward_auth = config(&json!({}));
    for error in [CallError::NoAnswer, CallError::NotSent] {
        assert_eq!(read(&forward_auth, KNOWN, Err(error)), Err(Fault::Call(error)));
    }
    let silent = read(&forward_auth, KNOWN, Ok(Response::default()));
    assert_eq!(silent, Err(Fault::Status(0)), "APISIX once let that in");
}
