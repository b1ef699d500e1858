//! Tokens in other places than `Authorization`: which one decides, where it goes, and what is taken out.

use std::time::Duration;

use authgear_filter::engine::{Decision, Outcome, Step, Verdict};
use authgear_filter::http::{Field, Head, Response};
use authgear_filter::jose::Algorithm;
use serde_json::{Value, json};

use crate::issuer::{self, ISSUER, Issuer};
use crate::world::{APISIX, ENVOY, World, authgear, done, replied, resolved, set, value};

/// All kinds of places, in an order of no meaning.
fn places() -> Value {
    json!([
        {"header": "x-token"}, {"cookie": "t"}, {"header": "authorization", "scheme": "Bearer"},
        {"query": "access token"}, {"websocket_protocol": "bearer."},
    ])
}

fn with_places(mut configuration: Value) -> Value {
    configuration["authgear"]["token_from"] = places();
    configuration
}

/// A request: what follows the `?`, and headers.
type Request<'a> = (&'a str, &'a [(&'a str, &'a str)]);

fn start(world: &mut World, method: &str, request: Request<'_>) -> Step {
    let (query, fields) = request;
    let path = format!("/app{query}");
    let fields: Vec<Field<'_>> =
        fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    world.start_head(&Head {
        method: method.as_bytes(),
        scheme: b"https",
        authority: b"app.example",
        path: path.as_bytes(),
        fields: &fields,
        client_address: &|| None,
    })
}

fn decided(world: &mut World, request: Request<'_>) -> Decision {
    done(start(world, "GET", request))
}

#[test]
fn the_token_that_decides_is_the_only_one_that_the_resolver_is_sent() {
    #[rustfmt::skip]
    let cases: &[(Request<'_>, Option<&str>)] = &[
        // The request, and the token that decides; `None` if no call is made.
        (("", &[("x-token", "a")]), Some("a")),
        (("", &[("cookie", "x=y; t=a")]), Some("a")),
        (("", &[("cookie", "x=y"), ("cookie", "t=a")]), Some("a")),
        (("", &[("authorization", "Bearer a")]), Some("a")),
        (("?x&access+token=%61", &[]), Some("a")),
        (("", &[("sec-websocket-protocol", "chat, bearer.a")]), Some("a")),
        (("", &[("x-token", "a"), ("cookie", "t=b"), ("authorization", "Bearer c")]), Some("a")),
        (("?access+token=c", &[("cookie", "t=a"), ("authorization", "Bearer b")]), Some("a")),
        (("?access+token=b", &[("authorization", "bearer a"), ("x-token", "")]), Some("a")),
        (("?access+token=a", &[("sec-websocket-protocol", "bearer.b"), ("authorization", "Basic b")]), Some("a")),
        // The first place that holds something decides, also where that is two.
        (("?access+token=b&access+token=b", &[("x-token", "a")]), Some("a")),
        (("", &[("x-token", "a"), ("x-token", "a"), ("cookie", "t=b")]), None),
        (("", &[("x-token", "a,b"), ("cookie", "t=b")]), None),
        (("", &[("cookie", "t=a; t=a"), ("authorization", "Bearer b")]), None),
        (("", &[("cookie", "t=a"), ("cookie", "t=b")]), None),
        (("?access+token=a&access%20token=a", &[]), None),
        (("", &[("sec-websocket-protocol", "bearer.a"), ("sec-websocket-protocol", "bearer.a")]), None),
        (("", &[("authorization", "Bearer a,Bearer b"), ("sec-websocket-protocol", "bearer.a")]), None),
        (("", &[("authorization", "Bearer a"), ("authorization", "Bearer a")]), None),
    ];
    for background in [ENVOY, APISIX] {
        for (request, expected) in cases {
            let mut world = World::new(background, &with_places(authgear("resolver")));
            let step = start(&mut world, "GET", *request);
            let Some(token) = expected else {
                assert_eq!(done(step).outcome, Outcome::Refused, "{request:?}");
                assert!(world.background_calls.is_empty());
                continue;
            };
            let (call, waiting) = world.question(step);
            assert_eq!(value(&call, "authorization"), Some(&*format!("Bearer {token}")), "{request:?}");
            assert_eq!(value(&call, "cookie"), None, "{request:?}");
            let sent: Vec<_> = call.fields.iter().filter(|(name, _)| *name == b"authorization").collect();
            assert_eq!(sent.len(), 1);
            let told = format!("{:?}", call.fields.iter().map(|(_, value)| value).collect::<Vec<_>>());
            assert!(!told.contains("access"), "nothing else of the request is sent: {told}");
            assert_eq!(done(world.answer(waiting, resolved(Some("u")))).outcome, Outcome::Session);
        }
    }
}

#[test]
fn an_answer_is_remembered_for_the_token_wherever_it_stood() {
    let mut world = World::new(ENVOY, &with_places(authgear("resolver")));
    let (_, waiting) = {
        let step = start(&mut world, "GET", ("?access+token=a", &[]));
        world.question(step)
    };
    assert_eq!(done(world.answer(waiting, resolved(Some("u")))).outcome, Outcome::Session);
    assert_eq!(decided(&mut world, ("", &[("x-token", "a")])).outcome, Outcome::Session, "the same token");
    for other in [("", [("x-token", "b")].as_slice()), ("?access+token=aa", &[])] {
        let step = start(&mut world, "GET", other);
        let (call, _) = world.question(step);
        assert_ne!(value(&call, "authorization"), Some("Bearer a"), "{other:?}");
    }
}

#[test]
fn an_answer_about_a_jwt_is_forgotten_at_its_end_wherever_the_token_stood() {
    let mut configuration = with_places(authgear("resolver"));
    configuration["cache"] = json!({"ttl": "1h"});
    for background in [ENVOY, APISIX] {
        let world = World::new(background, &configuration);
        let mut claims = issuer::claims();
        claims["exp"] = json!(issuer::NOW + 100);
        let token = world.issuer.token(Algorithm::Rs256, &claims);
        let (cookie, query) = (format!("t={token}"), format!("?access+token={}", token.replace('.', "%2E")));
        let (bearer, protocol) = (format!("Bearer {token}"), format!("bearer.{token}"));
        let requests: [Request<'_>; 5] = [
            ("", &[("x-token", &token)]),
            ("", &[("cookie", &cookie)]),
            ("", &[("authorization", &bearer)]),
            (&query, &[]),
            ("", &[("sec-websocket-protocol", &protocol)]),
        ];
        for request in requests {
            let mut world = World::new(background, &configuration);
            let step = start(&mut world, "GET", request);
            let (_, waiting) = world.question(step);
            assert_eq!(done(world.answer(waiting, resolved(Some("u")))).outcome, Outcome::Session);
            world.pass(Duration::from_secs(89));
            assert_eq!(decided(&mut world, request).outcome, Outcome::Session, "{request:?}");
            world.pass(Duration::from_secs(12));
            let step = start(&mut world, "GET", request);
            let _asked_again = world.question(step);
        }
    }
}

#[test]
fn a_token_is_verified_wherever_it_stands_and_nowhere_else() {
    for (background, mode) in [(ENVOY, "auto"), (ENVOY, "local"), (APISIX, "auto"), (APISIX, "local")] {
        let mut world = World::with_keys(background, &with_places(authgear(mode)));
        let token = world.token();
        let (cookie, query) = (format!("t={token}"), format!("?access+token={token}"));
        let (bearer, protocol) = (format!("Bearer {token}"), format!("bearer.{token}, chat"));
        let good: [Request<'_>; 5] = [
            ("", &[("x-token", &token)]),
            ("", &[("cookie", &cookie)]),
            ("", &[("authorization", &bearer)]),
            (&query, &[]),
            ("", &[("sec-websocket-protocol", &protocol)]),
        ];
        for request in good {
            assert_eq!(decided(&mut world, request).outcome, Outcome::Session, "{mode}: {request:?}");
        }
        let (other_cookie, other_query) = (format!("T={token}"), format!("?access_token={token}"));
        let elsewhere: [Request<'_>; 4] = [
            ("", &[("x-tokens", &token)]),
            ("", &[("cookie", &other_cookie)]),
            (&other_query, &[]),
            ("", &[("sec-websocket-protocol", &token)]),
        ];
        for request in elsewhere {
            assert_eq!(decided(&mut world, request).outcome, Outcome::Anonymous, "{mode}: {request:?}");
        }
        // If `Authorization` is not a place, a token in it is ignored, but two of them are still unclear.
        let mut configuration = authgear(mode);
        configuration["authgear"]["token_from"] = json!([{"cookie": "t"}]);
        let mut world = World::new(ENVOY, &configuration);
        world.tick();
        world.finish_all(|world| world.jwks());
        assert_eq!(decided(&mut world, ("", &[("authorization", &bearer)])).outcome, Outcome::Anonymous);
        let both = [("authorization", "Basic eDp5"), ("cookie", &cookie)];
        assert_eq!(decided(&mut world, ("", &both)).outcome, Outcome::Session, "{mode}");
        for two in ["Basic eDp5,Bearer a", "Basic \u{fc}"] {
            let fields = [("authorization", two), ("cookie", cookie.as_str())];
            assert_eq!(decided(&mut world, ("", &fields)).outcome, Outcome::Refused, "{mode}: {two}");
        }
    }
}

const OTHER: &str = "https://other.example";
const THIRD: &str = "https://third.example";

/// Two issuers with the same keys: the first reads a header and the query, the second a cookie and the query.
fn two_issuers(issuer: &Issuer, more: Value) -> Value {
    let one = |name: &str, token_from: Value| {
        json!({"issuer": name, "audiences": [ISSUER], "jwks": issuer.jwks(), "headers": {"x-user": "iss"},
               "token_from": token_from})
    };
    let mut configuration = json!({"access": "optional", "jwt": [
        one(ISSUER, json!([{"header": "authorization", "scheme": "Bearer"}, {"query": "t"}])),
        one(OTHER, json!([{"cookie": "t"}, {"query": "t"}])),
    ]});
    configuration.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    configuration
}

fn token_of(issuer: &Issuer, name: &str) -> String {
    let mut claims = issuer::claims();
    claims["iss"] = json!(name);
    issuer.token(Algorithm::Rs256, &claims)
}

#[test]
fn of_several_issuers_the_first_place_that_holds_a_token_of_its_own_decides() {
    let issuer = Issuer::new();
    let tokens = [ISSUER, OTHER, THIRD].map(|name| token_of(&issuer, name));
    let [first, second, third] = &tokens;
    let (bearer, cookie, query) = (
        |token: &str| format!("Bearer {token}"),
        |token: &str| format!("t={token}"),
        |token: &str| format!("?t={token}"),
    );
    #[rustfmt::skip]
    let cases: [(String, Vec<(&str, String)>, Result<&str, Outcome>); 14] = [
        (String::new(), vec![("authorization", bearer(first))], Ok(ISSUER)),
        (String::new(), vec![("cookie", cookie(second))], Ok(OTHER)),
        (query(first), vec![], Ok(ISSUER)),
        (query(second), vec![], Ok(OTHER)),
        (String::new(), vec![("cookie", cookie(second)), ("authorization", bearer(first))], Ok(ISSUER)),
        (query(second), vec![("authorization", bearer("opaque"))], Ok(OTHER)),
        (query(first), vec![("authorization", bearer(third)), ("cookie", cookie(second))], Ok(ISSUER)),
        // In a place of the other issuer alone it is nobody's.
        (String::new(), vec![("authorization", bearer(second))], Err(Outcome::Refused)),
        (String::new(), vec![("cookie", cookie(first))], Err(Outcome::Refused)),
        (String::new(), vec![("authorization", bearer(second)), ("cookie", cookie(second))], Ok(OTHER)),
        // Of no issuer, and unclear.
        (query(third), vec![], Err(Outcome::Refused)),
        (String::new(), vec![("authorization", bearer("opaque"))], Err(Outcome::Refused)),
        (format!("{}&t={first}", query(first)), vec![("cookie", cookie(second))], Err(Outcome::Refused)),
        (String::new(), vec![("x-token", bearer(first))], Err(Outcome::Anonymous)),
    ];
    let mut world = World::new(ENVOY, &two_issuers(&issuer, json!({})));
    // Twice, to show that a cached token is not accepted in another place.
    for _ in 0..2 {
        for (query, fields, expected) in &cases {
            let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let decision = decided(&mut world, (query, &fields));
            let name = set(&decision).into_iter().find(|(name, _)| name == "x-user").map(|(_, value)| value);
            match expected {
                Ok(issuer) => assert_eq!(name.as_deref(), Some(*issuer), "{query} {fields:?}"),
                Err(outcome) => assert_eq!((decision.outcome, name), (*outcome, None), "{query} {fields:?}"),
            }
        }
    }
}

#[test]
fn a_token_that_no_issuer_names_goes_on_as_it_came_but_never_one_in_a_query() {
    let issuer = Issuer::new();
    let [first, second, third] = [ISSUER, OTHER, THIRD].map(|name| token_of(&issuer, name));
    let more = json!({"forward_auth": {
        "url": "http://auth/check", "upstream": "auth", "identity_headers": ["authorization", "x-user"],
        "request_headers": ["authorization", "cookie", "x-token"],
        "extra_headers": {"x-where": "{path} {url}"},
    }});
    let cookie = format!("t={third}");
    let query = format!("?a=b&t={third}&c=d");
    let cases: [(Request<'_>, &[(&str, Option<&str>)]); 4] = [
        (("", &[("authorization", "Bearer opaque")]), &[("authorization", Some("Bearer opaque"))]),
        (("", &[("cookie", &cookie)]), &[("cookie", Some(&cookie)), ("authorization", None)]),
        (("", &[("authorization", "Basic eDp5")]), &[("authorization", Some("Basic eDp5"))]),
        (
            (&query, &[]),
            &[
                ("x-forwarded-uri", Some("/app?a=b&c=d")),
                ("x-where", Some("/app?a=b&c=d https://app.example/app?a=b&c=d")),
                ("authorization", None),
            ],
        ),
    ];
    for (request, expected) in cases {
        let mut world = World::new(ENVOY, &two_issuers(&issuer, more.clone()));
        let step = start(&mut world, "GET", request);
        let (call, _) = world.question(step);
        for (name, expected) in expected {
            assert_eq!(value(&call, name), *expected, "{request:?}");
        }
    }
    // A token of a listed issuer is decided here, whatever stands elsewhere.
    let mut world = World::new(ENVOY, &two_issuers(&issuer, more));
    for (token, name) in [(&first, "authorization"), (&second, "cookie")] {
        let (wrong, value) = match name {
            "cookie" => ("authorization", format!("Bearer {token}")),
            _ => ("cookie", format!("t={token}")),
        };
        assert_eq!(decided(&mut world, ("", &[(wrong, &value)])).outcome, Outcome::Refused, "{name}");
    }
    assert!(world.background_calls.is_empty());
}

#[test]
fn a_token_in_a_query_is_in_nothing_that_is_made_of_the_url() {
    let rules = json!({
        "authgear": {"endpoint": ISSUER, "upstream": "a", "mode": "local", "token_from": [{"query": "t"}]},
        "access": "required",
        "on_unauthenticated": {"redirect": "https://login.example/?to={url}&path={path}"},
    });
    let mut world = World::new(ENVOY, &rules);
    for query in ["?a=1&t=hunter2&b=2", "?a=1&%74=hunter2&t=hunter2&b=2", "?a=1&b=2&t=hunter%32"] {
        let decision = decided(&mut world, (query, &[("accept", "text/html")]));
        let location = replied(&decision).fields.iter().find(|(name, _)| name == b"location").unwrap();
        let location = String::from_utf8(location.1.clone()).unwrap();
        assert_eq!(
            location,
            "https://login.example/?to=https%3A%2F%2Fapp.example%2Fapp%3Fa%3D1%26b%3D2\
             &path=%2Fapp%3Fa%3D1%26b%3D2"
        );
        assert!(!format!("{decision:?} {:?}", world.warnings).contains("hunter"));
    }
}

#[test]
fn answers_of_a_forward_auth_server_are_shared_by_requests_that_differ_in_the_tokens_of_their_query_alone() {
    let issuer = Issuer::new();
    let more = json!({"forward_auth": {
        "url": "http://auth/check", "upstream": "auth", "identity_headers": ["x-user"],
    }, "cache": {"ttl": "60s"}});
    let mut world = World::new(ENVOY, &two_issuers(&issuer, more));
    let step = start(&mut world, "GET", ("?x=1&t=opaque", &[("cookie", "s=1")]));
    let (_, waiting) = world.question(step);
    let answer = Response { status: 200, fields: [("x-user", "u")].into_iter().collect(), body: vec![] };
    assert_eq!(done(world.answer(waiting, Ok(answer))).outcome, Outcome::Session);
    let decision = decided(&mut world, ("?x=1&t=other", &[("cookie", "s=1")]));
    assert_eq!(decision.outcome, Outcome::Session, "the server could not tell them apart");
}

#[test]
fn a_token_that_is_too_large_is_refused_in_every_place_and_nobody_is_asked() {
    let large = "a".repeat(16 * 1024 + 1);
    let (cookie, bearer) = (format!("t={large}; session=s"), format!("Bearer {large}"));
    let (query, protocol) = (format!("?access+token={large}"), format!("bearer.{large}"));
    let requests: [Request<'_>; 5] = [
        ("", &[("x-token", &large)]),
        ("", &[("cookie", &cookie)]),
        ("", &[("authorization", &bearer)]),
        (&query, &[]),
        ("", &[("sec-websocket-protocol", &protocol)]),
    ];
    let mut asked = json!({"jwt": [{"issuer": ISSUER, "audiences": [ISSUER], "token_from": places(),
        "introspection": {"url": "http://i/", "upstream": "i"}}]});
    asked["access"] = json!("optional");
    let modes = ["resolver", "auto", "local"].map(|mode| with_places(authgear(mode)));
    for configuration in modes.iter().chain([&asked]) {
        for background in [ENVOY, APISIX] {
            for request in requests {
                let mut world = World::new(background, configuration);
                let outcome = decided(&mut world, request).outcome;
                assert_eq!(outcome, Outcome::Refused, "{configuration}: {:.20?}", request);
                assert!(world.background_calls.is_empty());
            }
        }
    }
}

#[test]
fn tokens_are_stripped_from_every_place_on_every_route() {
    #[rustfmt::skip]
    let cases: &[(Request<'_>, &[&str], &[(&str, &str)])] = &[
        // The request; which headers are removed, and which get another value.
        (("", &[("x-token", "a"), ("accept", "b")]), &["x-token"], &[]),
        (("", &[("x-token", "a"), ("x-token", "b")]), &["x-token"], &[]),
        (("", &[("x_token", "a")]), &["x_token"], &[]),
        (("", &[("authorization", "Bearer a"), ("x-token", "b")]), &["authorization", "x-token"], &[]),
        (("", &[("authorization", "Basic a")]), &[], &[]),
        (("", &[("authorization", "Basic a,Bearer b")]), &["authorization"], &[]),
        (("", &[("cookie", "x=y; t=a; session=s"), ("cookie", "t=b; z")]), &["cookie"], &[("cookie", "x=y; z")]),
        (("?x=%20&access+token=a&&y", &[]), &[], &[(":path", "/app?x=%20&&y")]),
        (("?access%20token=a&access+token=b", &[]), &[], &[(":path", "/app")]),
        (("?access+token=", &[]), &[], &[]),
        (("", &[("sec-websocket-protocol", "a, bearer.b,c")]), &["sec-websocket-protocol"], &[("sec-websocket-protocol", "a, c")]),
        (("", &[("sec-websocket-protocol", "bearer.b")]), &["sec-websocket-protocol"], &[]),
        (("", &[("sec-websocket-protocol", "a, b")]), &[], &[]),
        // Spellings that programs behind may take for the same name.
        (("", &[("sec_websocket_protocol", "a, bearer.b")]), &["sec_websocket_protocol"], &[]),
        (("", &[("sec.websocket-protocol", "bearer.b"), ("sec_websocket_protocol", "a")]), &["sec.websocket-protocol"], &[]),
        (("", &[("sec-websocket-protocol", "bearer.b, a"), ("sec-websocket_protocol", "bearer.b")]),
            &["sec-websocket_protocol", "sec-websocket-protocol"], &[("sec-websocket-protocol", "a")]),
        (("", &[("sec_websocket_protocols", "bearer.b"), ("sec_websocket_protocol", "bearer.")]), &[], &[]),
        (("", &[("x.token", "a"), ("x-token", "")]), &["x.token"], &[]),
        (("", &[("cookie", "t=a"), ("cookie", "u=b"), ("cookie", "T=c; t=\"d\"; t")]), &["cookie"], &[("cookie", "u=b; T=c")]),
        (("?%61ccess%20toke%6E=a&access+token%3D=b&Access+token=c", &[]), &[], &[(":path", "/app?access+token%3D=b&Access+token=c")]),
    ];
    let mut configuration = with_places(authgear("auto"));
    configuration["strip_credentials"] = json!(true);
    let mut public = configuration.clone();
    public["access"] = json!("public");
    for (method, configuration) in [("GET", &public), ("OPTIONS", &configuration), ("GET", &configuration)] {
        for ((query, fields), removed, rewritten) in cases {
            let mut world = World::with_keys(ENVOY, configuration);
            let mut fields = fields.to_vec();
            if method == "OPTIONS" {
                fields.extend([("origin", "https://a.example"), ("access-control-request-method", "PUT")]);
            }
            let decision = match start(&mut world, method, (query, &fields)) {
                Step::Done(decision) => decision,
                step @ (Step::Call(..) | Step::Park(..)) => {
                    let (_, waiting) = world.question(step);
                    done(world.answer(waiting, resolved(None)))
                }
            };
            let Verdict::Forward(edits) = decision.verdict else { panic!("{fields:?}: {decision:?}") };
            let removed: Vec<_> = removed.iter().map(|name| name.as_bytes().to_vec()).collect();
            assert_eq!(edits.remove, removed, "{method} {query} {fields:?}");
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let found: Vec<_> = edits.rewrite.iter().map(|(name, value)| (text(name), text(value))).collect();
            let expected: Vec<_> =
                rewritten.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(found, expected, "{method} {query} {fields:?}");
        }
    }
    let mut world = World::new(ENVOY, &with_places(authgear("local")));
    let decision = decided(&mut world, ("?access+token=", &[("sec-websocket-protocol", "bearer.")]));
    assert_eq!(decision.outcome, Outcome::Anonymous, "what is empty is none");
}
