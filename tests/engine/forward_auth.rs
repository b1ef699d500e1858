//! A forward-auth server: whose answer serves whom, and what a denial of it becomes.

use std::time::Duration;

use authgear_filter::engine::{Decision, Outcome, Step, Verdict};
use authgear_filter::http::{CallError, Field, Fields, Head, Response};
use authgear_filter::jose::Algorithm;
use serde_json::{Value, json};

use crate::issuer::{self, ISSUER, Issuer};
use crate::world::{APISIX, Answer, ENVOY, World, called, done, parked, replied, set, value};

fn configuration(change: &Value) -> Value {
    let mut configuration = json!({"forward_auth": {"url": "http://auth/check", "upstream": "auth",
        "identity_headers": ["authorization", "x-user"]}, "cache": {"ttl": "60s", "negative_ttl": "60s"}});
    for (name, value) in change.as_object().unwrap() {
        for (inner, value) in value.as_object().unwrap() {
            configuration[name][inner] = value.clone();
        }
    }
    configuration
}

fn answer(status: u16, fields: &[(&str, &str)]) -> Answer {
    Ok(Response { status, fields: fields.iter().copied().collect::<Fields>(), body: vec![] })
}

const COOKIE: Field<'static> = (b"cookie", b"session=s");
const SETS: (&str, &str) = ("set-cookie", "session=new");

/// The cookies that a client is sent.
fn cookies(decision: &Decision) -> usize {
    let fields = match &decision.verdict {
        Verdict::Forward(edits) => edits.respond.add.as_ref(),
        Verdict::Reply(reply) => &reply.fields,
    };
    fields.iter().filter(|(name, _)| name == b"set-cookie").count()
}

#[test]
fn a_cookie_goes_to_the_one_client_that_was_asked_about() {
    let by_path = json!({"cache": {"key": ["path"]}});
    let by_cookie = json!({"forward_auth": {"cookies": ["session"]}, "cache": {"key": ["cookie:session"]}});
    let none = json!({});
    #[rustfmt::skip]
    let cases: &[(&Value, &[Field<'_>], u16, &[(&str, &str)], bool, bool)] = &[
        // Configuration, request, answer; whether those that joined are served by it, whether it is remembered.
        (&none, &[COOKIE], 200, &[], true, true),
        (&none, &[COOKIE], 200, &[SETS], true, true),
        (&none, &[], 200, &[], true, true),
        (&none, &[], 200, &[SETS], false, false),
        (&none, &[COOKIE], 401, &[], true, true),
        (&none, &[COOKIE], 401, &[SETS], false, false),
        (&by_cookie, &[COOKIE], 200, &[SETS], true, true),
        (&by_cookie, &[], 401, &[SETS], false, false),
    ];
    for (change, fields, status, answered, shared, remembered) in cases {
        let context = format!("{change} {fields:?} {status} {answered:?}");
        let mut world = World::new(ENVOY, &configuration(change));
        let (_, first) = parked(world.start(fields));
        let joined: Vec<_> = (0..3).map(|_| parked(world.start(fields))).collect();
        let calls = world.background_calls.len();
        if calls > 1 {
            // Not even asked together: the key says nothing about who asks.
            assert!(!shared && !remembered, "{context}");
            continue;
        }
        let key = world.finish(answer(*status, answered)).unwrap();
        assert_eq!(cookies(&done(world.wake(first))), answered.len(), "{context}");
        let mut alone = Vec::new();
        for (its, waiting) in joined {
            assert_eq!(its, key);
            match world.wake(waiting) {
                Step::Done(decision) => {
                    assert!(*shared, "{context}");
                    assert_eq!(cookies(&decision), 0, "{context}");
                }
                step @ (Step::Park(..) | Step::Call(..)) => {
                    assert!(!shared, "{context}");
                    alone.push(parked(step));
                }
            }
        }
        world.told(key);
        assert_eq!(world.background_calls.len(), alone.len(), "each asks for itself: {context}");
        world.finish_all(|_| answer(*status, answered));
        for (_, waiting) in alone {
            assert_eq!(cookies(&done(world.wake(waiting))), answered.len(), "{context}");
        }
        match world.start(fields) {
            Step::Done(decision) => {
                assert!(*remembered, "{context}");
                assert_eq!(cookies(&decision), 0, "{context}");
            }
            Step::Park(..) | Step::Call(..) => assert!(!remembered, "{context}"),
        }
    }
    let mut world = World::new(ENVOY, &configuration(&by_path));
    let _both = (parked(world.start(&[COOKIE])), parked(world.start(&[])));
    assert_eq!(world.background_calls.len(), 2, "a key that names no client is nobody's");
}

#[test]
fn an_accept_of_a_request_without_credentials_opens_nothing_else() {
    let change = json!({"cache": {"key": ["header:cookie", "header:authorization"]}});
    for background in [ENVOY, APISIX] {
        let mut world = World::new(background, &configuration(&change));
        for _ in 0..2 {
            let step = world.start(&[]);
            let (_, waiting) = world.question(step);
            assert_eq!(done(world.answer(waiting, answer(200, &[]))).outcome, Outcome::Session);
        }
    }
}

#[test]
fn a_denial_is_relayed_with_its_status_whatever_on_error_says() {
    for (status, relayed) in
        [(400, 400), (404, 404), (413, 413), (429, 429), (431, 431), (444, 403), (499, 403)]
    {
        let mut configuration = configuration(&json!({}));
        configuration["on_error"] = json!({"action": "allow"});
        let mut world = World::new(APISIX, &configuration);
        let (_, waiting) = called(world.start(&[COOKIE]));
        let decision =
            done(world.resume(waiting, answer(status, &[("retry-after", "5"), ("x-user", "admin")])));
        assert_eq!((decision.outcome, replied(&decision).status), (Outcome::Refused, relayed));
        let warning = world.warnings.concat();
        assert!(warning.contains(&format!("with {status}")), "{warning}");
        assert!(replied(&decision).fields.iter().all(|(name, _)| name != b"x-user"));
    }
    for status in [401, 403] {
        let mut world = World::new(APISIX, &configuration(&json!({})));
        let (_, waiting) = called(world.start(&[COOKIE]));
        assert_eq!(replied(&done(world.resume(waiting, answer(status, &[])))).status, status);
        assert!(world.warnings.is_empty(), "{:?}", world.warnings);
    }
}

#[test]
fn what_is_too_large_for_the_auth_server_is_a_431_wherever_it_stands() {
    let large = "a".repeat(16 * 1024);
    let half = "a".repeat(8 * 1024);
    let of = |scheme: &str, rest: &str| format!("{scheme} {rest}");
    let (bearer, basic, bare) = (of("Bearer", &large), of("basic", &large), large.clone());
    let (dpop, list) = (of("DPoP", &large), of("Digest a=", &format!("{half},{half}")));
    let (bearer_half, cookie, cookie_half) = (of("Bearer", &half), format!("s={large}"), format!("s={half}"));
    let cases: [&[(&str, &str)]; 8] = [
        &[("authorization", &bearer)],
        &[("authorization", &basic)],
        &[("authorization", &bare)],
        &[("authorization", &dpop)],
        &[("authorization", &list)],
        &[("cookie", &cookie)],
        &[("cookie", &cookie_half), ("cookie", &cookie_half)],
        &[("authorization", &bearer_half), ("cookie", &cookie_half)],
    ];
    for background in [ENVOY, APISIX] {
        for access in ["required", "optional"] {
            for fields in cases {
                let mut configuration = configuration(&json!({}));
                (configuration["access"], configuration["on_error"]) =
                    (json!(access), json!({"action": "allow"}));
                let mut world = World::new(background, &configuration);
                let fields: Vec<Field<'_>> =
                    fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
                let decision = done(world.start(&fields));
                let what = String::from_utf8_lossy(fields[0].1.get(..12).unwrap());
                assert_eq!(
                    (decision.outcome, replied(&decision).status),
                    (Outcome::BadRequest, 431),
                    "{what}"
                );
                assert!(String::from_utf8_lossy(&replied(&decision).body).contains("too_large"), "{what}");
                assert!(world.background_calls.is_empty());
            }
        }
        // Two are a 400 however large, and what is not sent may be anything.
        let mut world = World::new(background, &configuration(&json!({})));
        let two = [(b"authorization".as_slice(), bearer.as_bytes()), (b"authorization", b"Bearer a")];
        assert_eq!(replied(&done(world.start(&two))).status, 400);
        let unsent = configuration(&json!({"forward_auth": {"request_headers": ["x-key"]}}));
        let mut world = World::new(background, &unsent);
        let step = world.start(&[(b"authorization", bearer.as_bytes()), (b"cookie", cookie.as_bytes())]);
        let _asked = world.question(step);
    }
}

#[test]
fn a_proxy_s_407_is_on_error_and_never_lets_pass() {
    let mut configuration = configuration(&json!({}));
    configuration["on_error"] = json!({"action": "allow"});
    for (answer, outcome) in [
        (answer(407, &[]), Outcome::ErrorDenied),
        (answer(500, &[]), Outcome::ErrorAllowed),
        (Err(CallError::NoAnswer), Outcome::ErrorAllowed),
    ] {
        let mut world = World::new(APISIX, &configuration);
        let (_, waiting) = called(world.start(&[COOKIE]));
        assert_eq!(done(world.resume(waiting, answer)).outcome, outcome);
    }
}

#[test]
fn an_answer_for_one_address_is_not_another_one_s() {
    let mut world = World::new(APISIX, &configuration(&json!({})));
    let ask = |world: &mut World, address: [u8; 4]| {
        let address = Some(address.into());
        let head = Head {
            method: b"GET",
            scheme: b"https",
            authority: b"app.example",
            path: b"/",
            fields: &[COOKIE],
            client_address: &move || address,
        };
        world.start_head(&head)
    };
    let (_, waiting) = called(ask(&mut world, [192, 0, 2, 1]));
    let _accepted = done(world.resume(waiting, answer(200, &[("x-user", "trusted")])));
    assert_eq!(done(ask(&mut world, [192, 0, 2, 1])).outcome, Outcome::Session);
    let (_, waiting) = called(ask(&mut world, [192, 0, 2, 2]));
    assert_eq!(done(world.resume(waiting, answer(401, &[]))).outcome, Outcome::NoSession);
}

#[test]
fn two_authorizations_are_a_400() {
    let two: [&[Field<'_>]; 2] = [
        &[(b"authorization", b"Basic a"), (b"authorization", b"Bearer b")],
        &[(b"authorization", b"Basic a,Bearer b")],
    ];
    for fields in two {
        let mut world = World::new(ENVOY, &configuration(&json!({})));
        let decision = done(world.start(fields));
        assert_eq!((decision.outcome, replied(&decision).status), (Outcome::BadRequest, 400));
        assert!(world.background_calls.is_empty());
    }
}

#[test]
fn a_preflight_keeps_no_authorization_that_would_be_an_identity() {
    let preflight: [Field<'_>; 3] = [
        (b"authorization", b"Bearer forged"),
        (b"origin", b"https://shop.example"),
        (b"access-control-request-method", b"POST"),
    ];
    for (access, is_removed) in [("required", true), ("optional", true), ("public", false)] {
        let mut configuration = configuration(&json!({}));
        configuration["access"] = json!(access);
        let mut world = World::new(ENVOY, &configuration);
        let head = Head {
            method: b"OPTIONS",
            scheme: b"https",
            authority: b"app.example",
            path: b"/",
            fields: &preflight,
            client_address: &|| None,
        };
        let decision = done(world.start_head(&head));
        let Verdict::Forward(edits) = &decision.verdict else { panic!() };
        assert_eq!(edits.remove.contains(&b"authorization".to_vec()), is_removed, "{access}");
    }
}

#[test]
fn a_token_of_a_listed_issuer_is_never_asked_about_whatever_its_header_says() {
    let issuer = Issuer::new();
    let mut configuration = configuration(&json!({}));
    configuration["jwt"] = json!([{"issuer": ISSUER, "audiences": [ISSUER], "jwks": issuer.jwks(), "headers": {"x-sub": "sub"}}]);
    let foreign = json!({"iss": "https://other.example", "exp": issuer::NOW + 60});
    let headers = [
        json!({"alg": "none", "typ": "at+jwt"}),
        json!({"alg": "HS256", "typ": "at+jwt"}),
        json!({"alg": "ES512", "typ": "at+jwt"}),
        json!({"alg": "RS256", "typ": "at+jwt", "crit": ["x"]}),
        json!({"alg": 7}),
    ];
    for header in headers {
        let mut world = World::new(ENVOY, &configuration);
        let token = issuer.signed(Algorithm::Rs256, &header.to_string(), &issuer::claims().to_string());
        for _ in 0..2 {
            let decision = done(world.bearer(&token));
            assert_eq!((decision.outcome, replied(&decision).status), (Outcome::Refused, 401), "{header}");
        }
        assert!(world.background_calls.is_empty(), "{header}");

        let token = issuer.signed(Algorithm::Rs256, &header.to_string(), &foreign.to_string());
        let (_, waiting) = parked(world.bearer(&token));
        let key = world.finish(answer(200, &[("x-user", "alice")])).unwrap();
        assert_eq!(done(world.wake(waiting)).outcome, Outcome::Session);
        world.told(key);
        world.pass(Duration::from_secs(50));
        assert_eq!(done(world.bearer(&token)).outcome, Outcome::Session);
        world.pass(Duration::from_secs(10));
        let _asked = parked(world.bearer(&token));
    }
}

#[test]
fn a_grpc_client_reads_its_denial_in_headers_where_the_host_tells_it_nothing() {
    for (background, count) in [(ENVOY, 0), (APISIX, 1)] {
        let mut world = World::new(background, &configuration(&json!({})));
        let step = world.start(&[(b"content-type", b"application/grpc"), COOKIE]);
        let (_, waiting) = world.question(step);
        let decision = done(world.answer(waiting, answer(401, &[])));
        let reply = replied(&decision);
        for (name, value) in [("grpc-status", Some("16")), ("grpc-message", None)] {
            let found: Vec<_> = reply.fields.iter().filter(|(known, _)| known == name.as_bytes()).collect();
            assert_eq!(found.len(), count, "{name}");
            let is_expected =
                |(_, found): &&(Vec<u8>, Vec<u8>)| value.is_none_or(|value| found == value.as_bytes());
            assert!(found.iter().all(is_expected), "{found:?}");
        }
        assert!(reply.grpc.is_some());
    }
}

/// A request for a path, from a client with a session's cookie.
fn request<'a>(path: &'a str, fields: &'a [Field<'a>]) -> Head<'a> {
    Head {
        method: b"GET",
        scheme: b"https",
        authority: b"app.example",
        path: path.as_bytes(),
        fields,
        client_address: &|| None,
    }
}

/// What is done to the app's response, as text: what replaces its headers, and how many cookies are added.
fn responded(decision: &Decision) -> (Vec<(String, String)>, usize) {
    let Verdict::Forward(edits) = &decision.verdict else { panic!("{decision:?}") };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let replace = edits.respond.replace.iter().map(|(name, value)| (text(name), text(value)));
    (replace.collect(), edits.respond.add.len())
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

const ACCEPTS: [(&str, &str); 4] =
    [("x-user", "alice"), ("x-session-ends", "60"), ("x-session-ends", "61"), SETS];
const FOR_CLIENT: [(&str, &str); 2] = [("x-session-ends", "60"), ("x-session-ends", "61")];

#[test]
fn headers_for_the_client_come_with_a_remembered_and_a_shared_answer_too_and_cookies_do_not() {
    let change = json!({"forward_auth": {"client_headers_on_success": ["x-session-*", "set-cookie"]},
        "cache": {"stale_if_error": "60s"}});
    let mut world = World::new(ENVOY, &configuration(&change));
    let (_, first) = parked(world.start(&[COOKIE]));
    let (key, joined) = parked(world.start(&[COOKIE]));
    assert_eq!(world.finish(answer(200, &ACCEPTS)), Some(key));
    assert_eq!(responded(&done(world.wake(first))), (pairs(&FOR_CLIENT), 1));
    assert_eq!(responded(&done(world.wake(joined))), (pairs(&FOR_CLIENT), 0), "one who waited");
    world.told(key);
    assert_eq!(responded(&done(world.start(&[COOKIE]))), (pairs(&FOR_CLIENT), 0), "remembered");
    world.pass(Duration::from_secs(61));
    let (_, waiting) = parked(world.start(&[COOKIE]));
    let stale = done(world.answer(waiting, Err(CallError::NoAnswer)));
    assert_eq!(responded(&stale), (pairs(&FOR_CLIENT), 0), "past its time");
}

#[test]
fn a_denial_of_the_filters_own_gets_the_cookies_and_nothing_else_of_an_accepting_answer() {
    let mut configuration = configuration(&json!({"forward_auth": {"roles_header": "x-groups",
        "client_headers_on_success": ["x-session-*", "cache-control", "set-cookie"]}}));
    configuration["require"] = json!({"roles": ["admin"]});
    let mut world = World::new(APISIX, &configuration);
    let (_, waiting) = called(world.start(&[COOKIE]));
    let fields = [ACCEPTS.as_slice(), &[("cache-control", "public")]].concat();
    let decision = done(world.resume(waiting, answer(200, &fields)));
    let reply = replied(&decision);
    assert_eq!((reply.status, cookies(&decision)), (403, 1));
    let names = ["x-session-ends", "cache-control"];
    let found = reply.fields.iter().filter(|(name, _)| names.iter().any(|known| name == known.as_bytes()));
    assert_eq!(found.collect::<Vec<_>>(), [&(b"cache-control".to_vec(), b"no-store".to_vec())]);
}

#[test]
fn roles_of_an_answer_meet_what_a_rule_requires_as_long_as_it_is_remembered() {
    let mut configuration = configuration(&json!({"forward_auth": {"roles_header": "x-groups"}}));
    configuration["rules"] = json!([
        {"prefix": "/admin", "require": {"roles": ["admin", "owner"]}},
        {"prefix": "/office", "require": {"roles": ["staff"]}},
    ]);
    configuration["forward_auth"]["original_request"] = json!("none");
    let fields = [COOKIE, (b"x-groups", b"admin,owner,staff"), (b"X_Groups", b"owner")];
    #[rustfmt::skip]
    let cases: &[(&[&str], u16, u16)] = &[
        // The lines of the answer; what /admin and /office answer, 200 for the app.
        (&[], 403, 403),
        (&[""], 403, 403),
        (&["staff"], 403, 200),
        (&["guest , staff"], 403, 200),
        (&["guest", "staff,admin"], 200, 200),
        (&["Admin", "administrator", "ad min"], 403, 403),
        (&["owner"], 200, 403),
    ];
    for (lines, admin, office) in cases {
        for background in [ENVOY, APISIX] {
            let mut world = World::new(background, &configuration);
            let answered: Vec<_> =
                lines.iter().map(|line| ("x-groups", *line)).chain([("x-user", "a")]).collect();
            for (count, (path, expected)) in
                [("/", 200), ("/admin", *admin), ("/office", *office), ("/admin/x", *admin)]
                    .into_iter()
                    .enumerate()
            {
                let decision = match world.start_head(&request(path, &fields)) {
                    Step::Done(decision) => {
                        assert!(count > 0, "asked once");
                        decision
                    }
                    step @ (Step::Park(..) | Step::Call(..)) => {
                        assert_eq!(count, 0, "remembered with its roles");
                        let (_, waiting) = world.question(step);
                        done(world.answer(waiting, answer(200, &answered)))
                    }
                };
                let context = format!("{lines:?} {path}");
                match &decision.verdict {
                    Verdict::Forward(edits) => {
                        assert_eq!(expected, 200, "{context}");
                        assert_eq!(set(&decision), pairs(&[("x-user", "a")]), "{context}");
                        for forged in [b"x-groups".as_slice(), b"X_Groups"] {
                            assert!(edits.remove.iter().any(|name| name == forged), "{context}");
                        }
                    }
                    Verdict::Reply(reply) => {
                        assert_eq!(
                            (reply.status, decision.outcome),
                            (expected, Outcome::Forbidden),
                            "{context}"
                        );
                        let challenge =
                            (b"www-authenticate".to_vec(), b"Bearer error=\"insufficient_scope\"".to_vec());
                        assert!(reply.fields.contains(&challenge), "{context}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_required_role_is_required_also_while_the_server_cannot_answer() {
    let mut configuration = configuration(&json!({"forward_auth": {"roles_header": "x-groups"}}));
    configuration["require"] = json!({"roles": ["admin"]});
    configuration["on_error"] = json!({"action": "allow"});
    let mut world = World::new(APISIX, &configuration);
    let (_, waiting) = called(world.start(&[COOKIE]));
    assert_eq!(done(world.resume(waiting, Err(CallError::NoAnswer))).outcome, Outcome::ErrorDenied);
}

#[test]
fn each_rule_asks_its_own_url_and_no_answer_of_one_serves_for_another() {
    let mut configuration = configuration(&json!({"forward_auth": {"original_request": "none",
        "cookies": ["session"]}, "cache": {"key": ["cookie:session"]}}));
    configuration["rules"] = json!([
        {"prefix": "/open", "access": "public"},
        {"prefix": "/staff", "forward_auth": {"url": "http://auth/check?groups=staff"}},
        {"prefix": "/team", "forward_auth": {"url": "/check?groups=staff"}},
        {"prefix": "/admin", "forward_auth": {"url": "/admin"}},
        {"prefix": "/same", "forward_auth": {"url": "http://auth/check"}},
    ]);
    #[rustfmt::skip]
    let cases = [
        // A path, what is asked at, and whether that was asked before.
        ("/", "/check", false), ("/staff", "/check?groups=staff", false), ("/admin", "/admin", false),
        ("/team", "/check?groups=staff", true), ("/same", "/check", true), ("/staff/x", "/check?groups=staff", true),
        ("/admin/../admin", "/admin", true), ("/open/../admin", "/admin", true), ("/open/..;/admin", "/admin", true),
    ];
    for background in [ENVOY, APISIX] {
        let mut world = World::new(background, &configuration);
        for (path, asked, remembered) in cases {
            match world.start_head(&request(path, &[COOKIE])) {
                Step::Done(decision) => {
                    assert!(remembered, "{path}");
                    assert_eq!(set(&decision), pairs(&[("x-user", asked)]), "{path}");
                }
                step @ (Step::Park(..) | Step::Call(..)) => {
                    assert!(!remembered, "{path}");
                    let (call, waiting) = world.question(step);
                    assert_eq!(value(&call, ":path"), Some(asked), "{path}");
                    assert_eq!(value(&call, ":authority"), Some("auth"), "{path}");
                    let _accepted = done(world.answer(waiting, answer(200, &[("x-user", asked)])));
                }
            }
        }
        for path in ["/staff/../admin", "/staff/..%2fadmin", "//admin", "/%61dmin", "/staff/.."] {
            let decision = done(world.start_head(&request(path, &[COOKIE])));
            assert_eq!((decision.outcome, replied(&decision).status), (Outcome::BadRequest, 400), "{path}");
        }
    }
    // Those that ask at two URLs at once do not wait for one answer.
    let mut world = World::new(ENVOY, &configuration);
    let _both = (
        parked(world.start_head(&request("/staff", &[COOKIE]))),
        parked(world.start_head(&request("/admin", &[COOKIE]))),
    );
    assert_eq!(world.background_calls.len(), 2);
}

#[test]
fn the_clients_host_is_asked_and_in_the_key_and_an_unclear_one_is_a_400_that_on_error_does_not_open() {
    let mut configuration =
        configuration(&json!({"forward_auth": {"original_request": "none", "host": "client"}}));
    configuration["on_error"] = json!({"action": "allow"});
    for background in [ENVOY, APISIX] {
        let mut world = World::new(background, &configuration);
        for _ in 0..2 {
            for host in ["a.example", "b.example", "a.example:8443"] {
                let head = Head { authority: host.as_bytes(), ..request("/", &[COOKIE]) };
                let decision = match world.start_head(&head) {
                    Step::Done(decision) => decision,
                    step @ (Step::Park(..) | Step::Call(..)) => {
                        let (call, waiting) = world.question(step);
                        assert_eq!(value(&call, ":authority"), Some(host));
                        done(world.answer(waiting, answer(200, &[("x-user", host)])))
                    }
                };
                assert_eq!(set(&decision), pairs(&[("x-user", host)]));
            }
        }
        for host in ["a.example,b.example", "user@a.example", "a.example:1:2", "a..example", "a b"] {
            let head = Head { authority: host.as_bytes(), ..request("/", &[COOKIE]) };
            let decision = done(world.start_head(&head));
            assert_eq!((decision.outcome, replied(&decision).status), (Outcome::BadRequest, 400), "{host}");
        }
    }
}

#[test]
fn an_unclear_host_is_a_400_also_where_the_key_leaves_the_host_out_and_an_answer_is_remembered() {
    let configuration = configuration(&json!({"forward_auth": {"host": "client", "cookies": ["session"]},
        "cache": {"key": ["cookie:session"]}}));
    let mut world = World::new(APISIX, &configuration);
    let ask = |world: &mut World, host: &str| {
        world.start_head(&Head { authority: host.as_bytes(), ..request("/", &[COOKIE]) })
    };
    let (_, waiting) = called(ask(&mut world, "a.example"));
    let _accepted = done(world.resume(waiting, answer(200, &[("x-user", "alice")])));
    assert_eq!(done(ask(&mut world, "b.example")).outcome, Outcome::Session, "the operator says so");
    assert_eq!(done(ask(&mut world, "a.example,b.example")).outcome, Outcome::BadRequest);
}

#[test]
fn neither_name_of_a_renamed_header_is_ever_the_clients() {
    let mut configuration = configuration(&json!({"forward_auth": {"roles_header": "x-groups",
        "identity_headers": [{"header": "x-login", "from": "x-auth-request-user"}]}}));
    configuration["rules"] = json!([{"prefix": "/open", "access": "public"}]);
    let fields: [Field<'_>; 6] = [
        (b"x-login", b"forged"),
        (b"X_Auth_Request_User", b"forged"),
        (b"x-auth-request-user", b"forged"),
        (b"x.groups", b"forged"),
        (b"accept", b"*/*"),
        (b"connection", b"close, X-Login, x_groups, x-auth-request-user"),
    ];
    let forged = ["x-login", "X_Auth_Request_User", "x-auth-request-user", "x.groups"];
    for background in [ENVOY, APISIX] {
        for path in ["/", "/open"] {
            let mut world = World::new(background, &configuration);
            let decision = match world.start_head(&request(path, &fields)) {
                Step::Done(decision) => decision,
                step @ (Step::Park(..) | Step::Call(..)) => {
                    let (_, waiting) = world.question(step);
                    done(world.answer(waiting, answer(200, &[("x-auth-request-user", "alice")])))
                }
            };
            let Verdict::Forward(edits) = &decision.verdict else { panic!("{decision:?}") };
            for name in forged {
                assert!(edits.remove.iter().any(|removed| removed == name.as_bytes()), "{path} {name}");
            }
            assert!(!edits.remove.iter().any(|removed| removed == b"accept"), "{path}");
            assert_eq!(edits.rewritten(b"connection"), Some(b"close".as_slice()), "{path}");
            let expected = if path == "/" { pairs(&[("x-login", "alice")]) } else { vec![] };
            assert_eq!(set(&decision), expected, "{path}");
        }
    }
}
