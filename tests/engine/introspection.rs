//! An authorization server that is asked about tokens: which are asked about, what its answer makes of a request, and
//! how long that is remembered.

use std::time::Duration;

use authgear_filter::engine::{Decision, Outcome, Step};
use authgear_filter::http::{Call, CallError, Fields, Response};
use authgear_filter::jose::Algorithm;
use serde_json::{Value, json};

use crate::issuer::{self, ISSUER, Issuer, NOW, base64url};
use crate::world::{APISIX, Answer, ENVOY, World, body, called, done, parked, replied, set};

/// The issuer of opaque tokens.
const SERVER: &str = "https://login.example";

const OPAQUE: &str = "ory_at_cvTX4uXNB.uh1b2";

/// One issuer, whose tokens are asked about.
fn configuration(more: Value) -> Value {
    let mut configuration = json!({"jwt": [{"issuer": SERVER, "audiences": ["api"],
        "headers": {"x-user": "sub", "x-client": "client_id"}, "roles": ["realm_access", "roles"],
        "introspection": {"url": "https://login.example/introspect", "upstream": "login",
            "client_id": "filter", "client_secret": "hunter2"}}]});
    for (name, value) in more.as_object().unwrap() {
        configuration[name] = value.clone();
    }
    configuration
}

/// The same, and the issuer has keys too.
fn with_keys(issuer: &Issuer) -> Value {
    let mut configuration = configuration(json!({}));
    configuration["jwt"][0]["issuer"] = json!(ISSUER);
    configuration["jwt"][0]["audiences"] = json!([ISSUER]);
    configuration["jwt"][0]["jwks"] = issuer.jwks();
    configuration
}

/// What the server states of a good token, and what else it states.
fn active(more: Value) -> Value {
    let mut answer =
        json!({"active": true, "sub": "alice", "aud": ["api"], "client_id": "shop", "exp": NOW + 3600});
    for (name, value) in more.as_object().unwrap() {
        answer[name] = value.clone();
    }
    answer
}

fn answered(status: u16, body: impl Into<Vec<u8>>) -> Answer {
    Ok(Response { status, fields: Fields::default(), body: body.into() })
}

/// What becomes of a request when its token is asked about and this is the answer.
fn decided(configuration: &Value, answer: Answer) -> Decision {
    let mut world = World::new(APISIX, configuration);
    let (_, waiting) = called(world.bearer(OPAQUE));
    done(world.resume(waiting, answer))
}

fn form(call: &Call) -> &str {
    std::str::from_utf8(call.form.as_ref().unwrap().reveal()).unwrap()
}

fn message(decision: &Decision) -> String {
    let body: Value = serde_json::from_slice(&replied(decision).body).unwrap();
    body["message"].as_str().unwrap().to_owned()
}

#[test]
fn an_active_token_stands_for_whom_the_answer_names() {
    let configuration = configuration(json!({}));
    for (more, user, client) in [
        (json!({}), "alice", "shop"),
        // RFC 7662 requires nothing but `active`.
        (json!({"sub": "bob", "iss": SERVER, "scope": "read write", "token_type": "Bearer"}), "bob", "shop"),
        (json!({"aud": "api", "iat": NOW, "nbf": NOW, "username": "alice@example.com"}), "alice", "shop"),
        // Ory, Keycloak
        (json!({"token_use": "access_token", "ext": {"a": 1}}), "alice", "shop"),
        (json!({"typ": "Bearer", "azp": "shop", "acr": "1"}), "alice", "shop"),
        // A little out of step.
        (json!({"exp": NOW - 29, "nbf": NOW + 29, "iat": NOW + 29}), "alice", "shop"),
        (json!({"client_id": "a b"}), "alice", "a b"),
    ] {
        let decision = decided(&configuration, body(200, &active(more.clone())));
        assert_eq!(decision.outcome, Outcome::Session, "{more}");
        let expected = [("x-client", client), ("x-user", user)];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(set(&decision), expected, "{more}");
    }
    let mut forever = active(json!({}));
    forever.as_object_mut().unwrap().remove("exp");
    assert_eq!(decided(&configuration, body(200, &forever)).outcome, Outcome::Session, "exp may be absent");
}

#[test]
fn what_the_answer_states_is_judged_like_the_claims_of_a_jwt() {
    for (more, expected) in [
        (json!({"aud": ["other"]}), "wrong audience"),
        (json!({"aud": null}), "aud is malformed"),
        (json!({"aud": []}), "wrong audience"),
        (json!({"iss": "https://other.example"}), "wrong issuer"),
        (json!({"iss": "https://login.example/"}), "wrong issuer"),
        (json!({"iss": ""}), "wrong issuer"),
        (json!({"iss": 7}), "iss is malformed"),
        (json!({"exp": NOW - 30}), "expired"),
        (json!({"exp": 0}), "expired"),
        (json!({"exp": "soon"}), "exp is malformed"),
        (json!({"exp": (NOW + 60).to_string()}), "exp is malformed"),
        (json!({"exp": (NOW + 60) * 1000}), "exp is malformed"),
        (json!({"nbf": NOW + 31}), "not valid yet"),
        (json!({"iat": NOW + 31}), "in the future"),
        (json!({"token_use": "refresh_token"}), "no access token"),
        (json!({"token_use": "id"}), "no access token"),
        (json!({"token_use": true}), "no access token"),
        (json!({"typ": "ID"}), "no access token"),
        (json!({"typ": "Refresh"}), "no access token"),
        (json!({"typ": "Offline"}), "no access token"),
        (json!({"token_type": "refresh_token"}), "no access token"),
        (json!({"token_type": "Refresh_Token"}), "no access token"),
        (json!({"token_type": "refresh"}), "no access token"),
        (json!({"token_type": "id_token"}), "no access token"),
        (json!({"token_type": "urn:ietf:params:oauth:token-type:refresh_token"}), "no access token"),
        (json!({"token_type": "urn:ietf:params:oauth:token-type:id_token"}), "no access token"),
        (json!({"token_type": "N_A"}), "no access token"),
        (json!({"token_type": "mac"}), "no access token"),
        (json!({"token_type": "PoP"}), "no access token"),
        (json!({"token_type": ""}), "no access token"),
        (json!({"token_type": null}), "no access token"),
        (json!({"token_type": ["Bearer"]}), "no access token"),
        (json!({"token_type": "DPoP"}), "bound to a key"),
        (json!({"token_type": "dpop"}), "bound to a key"),
        (json!({"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}), "bound to a key"),
        (json!({"cnf": {"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}}), "bound to a key"),
        (json!({"cnf": {}}), "bound to a key"),
        (json!({"cnf": "x"}), "bound to a key"),
        (json!({"sub": " alice"}), "white space"),
        (json!({"sub": ""}), "white space"),
        (json!({"sub": "alice\r\nx-user: admin"}), "control character"),
        (json!({"sub": 7}), "sub is malformed"),
        (json!({"client_id": "a\u{0}"}), "control character"),
        (json!({"client_id": ["shop"]}), "client_id is malformed"),
    ] {
        let refused = configuration(json!({"on_error": {"action": "allow"}}));
        let decision = decided(&refused, body(200, &active(more.clone())));
        let reply = replied(&decision);
        assert_eq!((decision.outcome, reply.status), (Outcome::Refused, 401), "{more}");
        let challenge = (b"www-authenticate".to_vec(), b"Bearer error=\"invalid_token\"".to_vec());
        assert!(reply.fields.contains(&challenge), "{more}");
        assert!(message(&decision).contains(expected), "{more}: {}", message(&decision));

        let optional = configuration(json!({"access": "optional"}));
        let decision = decided(&optional, body(200, &active(more.clone())));
        assert_eq!((decision.outcome, set(&decision)), (Outcome::Refused, vec![]), "nobody: {more}");
    }
}

#[test]
fn a_token_type_says_how_an_access_token_is_sent_unless_a_rule_names_it() {
    for token_type in
        ["Bearer", "bearer", "access_token", "access", "urn:ietf:params:oauth:token-type:access_token"]
    {
        let answer = active(json!({"token_type": token_type}));
        let decision = decided(&configuration(json!({})), body(200, &answer));
        assert_eq!(decision.outcome, Outcome::Session, "{token_type}");
    }
    let named = configuration(json!({"rules": [{"prefix": "/", "require":
        {"claims": [{"claim": "token_type", "any_of": ["N_A", "Bearer"]}]}}]}));
    for (token_type, expected) in [
        (json!("N_A"), Outcome::Session),
        (json!("Bearer"), Outcome::Session),
        (json!("refresh_token"), Outcome::Forbidden),
        (json!("DPoP"), Outcome::Refused),
    ] {
        let decision = decided(&named, body(200, &active(json!({"token_type": token_type}))));
        assert_eq!(decision.outcome, expected, "{token_type}");
    }
}

#[test]
fn a_token_that_is_not_active_is_refused() {
    for answer in [
        json!({"active": false}),
        json!({"active": false, "sub": "alice", "aud": "api", "exp": NOW + 3600}),
        json!({"active": false, "exp": "soon", "cnf": 7}),
    ] {
        let decision = decided(&configuration(json!({"on_error": {"action": "allow"}})), body(200, &answer));
        assert_eq!((decision.outcome, replied(&decision).status), (Outcome::Refused, 401), "{answer}");
        assert!(message(&decision).contains("not active"), "{}", message(&decision));
    }
}

/// Bodies that are no answer: nobody can tell what two readers make of them.
fn no_answers() -> Vec<(&'static str, Vec<u8>)> {
    let good = active(json!({})).to_string();
    let with = |member: &str| format!("{},{member}}}", good.strip_suffix('}').unwrap()).into_bytes();
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        ("nothing", text("")),
        ("null", text("null")),
        ("a list", format!("[{good}]").into_bytes()),
        ("a string", Value::from(good.clone()).to_string().into_bytes()),
        ("true", text("true")),
        ("no active", text(r#"{"sub":"alice","aud":"api"}"#)),
        ("active in another case", text(r#"{"Active":true,"sub":"alice","aud":"api"}"#)),
        ("active deeper", text(r#"{"token":{"active":true},"sub":"alice","aud":"api"}"#)),
        ("active as a string", text(r#"{"active":"true","sub":"alice","aud":"api"}"#)),
        ("active as a number", text(r#"{"active":1,"sub":"alice","aud":"api"}"#)),
        ("active as a list", text(r#"{"active":[true],"sub":"alice","aud":"api"}"#)),
        ("active as null", text(r#"{"active":null,"sub":"alice","aud":"api"}"#)),
        ("inactive as a string", text(r#"{"active":"false"}"#)),
        ("active twice", with("\"active\":false")),
        ("active twice the same", with("\"active\":true")),
        ("active twice, once escaped", with("\"\\u0061ctive\":true")),
        ("sub twice", with("\"sub\":\"admin\"")),
        ("inactive, and sub twice", text(r#"{"active":false,"sub":"a","sub":"b"}"#)),
        ("cut off", good.as_bytes()[..good.len() - 1].to_vec()),
        ("two objects", [good.as_bytes(), good.as_bytes()].concat()),
        ("something behind it", format!("{good} ok").into_bytes()),
        ("a comment", format!("/**/{good}").into_bytes()),
        ("not UTF-8", with("\"a\":\"\u{e9}\"").into_iter().filter(|byte| *byte != 0xa9).collect()),
        ("UTF-16", good.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("a JWT", format!("e30.{}.c2ln", base64url(&good)).into_bytes()),
        ("a page", text("<html><body>Log in</body></html>")),
        ("a form", text("active=true&sub=alice")),
        ("nested without end", [b"{\"active\":true,\"a\":".as_slice(), &[b'['; 60_000]].concat()),
    ]
}

#[test]
fn a_body_that_is_no_clear_answer_is_an_error_of_the_server() {
    for (what, bytes) in no_answers() {
        for (action, outcome) in [("deny", Outcome::ErrorDenied), ("allow", Outcome::ErrorAllowed)] {
            let configuration = configuration(json!({"on_error": {"action": action}}));
            let decision = decided(&configuration, answered(200, bytes.clone()));
            assert_eq!(decision.outcome, outcome, "{what}");
        }
        let demanding = configuration(json!({"on_error": {"action": "allow"}, "require": {"scopes": ["a"]}}));
        assert_eq!(decided(&demanding, answered(200, bytes)).outcome, Outcome::ErrorDenied, "{what}");
    }
}

#[test]
fn an_answer_is_read_however_it_is_written() {
    let good = active(json!({"nested": "x"})).to_string();
    let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
    for (what, text) in [
        ("as it is", good.clone()),
        ("with a BOM", format!("\u{feff}{good}")),
        ("in white space", format!("\r\n\t {good} \n")),
        ("with escapes", good.replace("active", "\\u0061ctive")),
        ("with what nobody asks for, however deep", good.replace("\"x\"", &deep)),
        ("large", good.replace("\"x\"", &format!("\"{}\"", "x".repeat(60_000)))),
        ("a nested object with a name twice", good.replace("\"x\"", r#"{"a":1,"a":2}"#)),
    ] {
        let decision = decided(&configuration(json!({})), answered(200, text));
        assert_eq!(decision.outcome, Outcome::Session, "{what}");
    }
}

#[test]
fn any_other_status_is_on_error_and_one_that_a_client_may_provoke_never_lets_pass() {
    let good = || active(json!({})).to_string();
    for status in [0, 100, 199, 201, 202, 204, 206, 301, 302, 303, 307, 308, 500, 501, 502, 503, 504, 599] {
        let allow = configuration(json!({"on_error": {"action": "allow"}}));
        assert_eq!(decided(&allow, answered(status, good())).outcome, Outcome::ErrorAllowed, "{status}");
        let deny = configuration(json!({"on_error": {"status": 502}}));
        let decision = decided(&deny, answered(status, good()));
        assert_eq!((decision.outcome, replied(&decision).status), (Outcome::ErrorDenied, 502), "{status}");
    }
    for status in [400, 401, 403, 404, 405, 407, 408, 413, 415, 429, 444, 499] {
        for access in ["required", "optional"] {
            let allow = configuration(json!({"on_error": {"action": "allow"}, "access": access}));
            let decision = decided(&allow, answered(status, good()));
            let found = (decision.outcome, replied(&decision).status);
            assert_eq!(found, (Outcome::ErrorDenied, 503), "{status} {access}");
        }
    }
    for error in [CallError::NotSent, CallError::NoAnswer, CallError::TooLarge, CallError::Quarantined] {
        let allow = configuration(json!({"on_error": {"action": "allow"}}));
        assert_eq!(decided(&allow, Err(error)).outcome, Outcome::ErrorAllowed);
        assert_eq!(decided(&configuration(json!({})), Err(error)).outcome, Outcome::ErrorDenied);
    }
}

#[test]
fn a_server_that_does_not_know_the_filter_is_told_in_the_log_without_the_secret() {
    for status in [401, 403] {
        let mut world = World::new(APISIX, &configuration(json!({})));
        let (call, waiting) = called(world.bearer(OPAQUE));
        let printed = format!("{call:?} {waiting:?}");
        let _denied = done(world.resume(waiting, answered(status, "hunter2 is wrong")));
        let warning = world.warnings.concat();
        assert!(warning.contains("the filter's own credentials"), "{warning}");
        assert!(warning.contains("https://login.example/introspect (upstream `login`)"), "{warning}");
        for hidden in ["hunter2", OPAQUE, &base64url("filter:hunter2"), "ZmlsdGVyOmh1bnRlcjI"] {
            assert!(!warning.contains(hidden) && !printed.contains(hidden), "{hidden}");
        }
    }
}

#[test]
fn nothing_of_an_answer_but_its_claims_reaches_anybody() {
    let fields: Fields =
        [("set-cookie", "admin=1"), ("x-user", "admin"), ("www-authenticate", "Basic")].into_iter().collect();
    for answer in [active(json!({})), json!({"active": false})] {
        let response =
            Response { status: 200, fields: fields.clone(), body: answer.to_string().into_bytes() };
        let decision = decided(&configuration(json!({})), Ok(response));
        let printed = format!("{:?}", decision.verdict);
        assert!(!printed.contains("admin") && !printed.contains("Basic"), "{printed}");
    }
}

/// Whether a token is asked about, or else what is said of it.
fn asks(world: &mut World, token: &str) -> Result<String, Outcome> {
    match world.bearer(token) {
        Step::Call(call, _) => Ok(form(&call).to_owned()),
        Step::Done(decision) => Err(decision.outcome),
        step @ Step::Park(..) => panic!("{step:?}"),
    }
}

#[test]
fn a_token_is_asked_about_if_it_is_no_jwt_or_names_the_issuer_that_has_no_keys() {
    let issuer = Issuer::new();
    let of = |iss: Value| json!({"iss": iss, "aud": "api", "exp": NOW + 60, "sub": "a"}).to_string();
    let signed = |header: &str, claims: &str| issuer.signed(Algorithm::Rs256, header, claims);
    let rs256 = issuer::header(Algorithm::Rs256).to_string();
    let named = of(json!(SERVER));
    let twice = format!(r#"{{"iss":"https://other.example","iss":"{SERVER}"}}"#);
    let last_is_other = format!(r#"{{"iss":"{SERVER}","iss":"https://other.example"}}"#);
    let unsigned = |header: &str, claims: &str| format!("{}.{}.", base64url(header), base64url(claims));
    for (token, is_asked) in [
        (OPAQUE.to_owned(), true),
        ("a".to_owned(), true),
        ("2YotnFZFEjr1zCsicMWpAA".to_owned(), true),
        ("Zm9v+/~_-.bar==".to_owned(), true),
        ("ya29.a0AfH6SM.x.y".to_owned(), true),
        ("v4.public.eyJzdWIiOiJhIn0".to_owned(), true),
        ("1|dkc3".to_owned(), true),
        // Whatever a server reads after dropping white space is not for it alone to judge.
        (format!(" {}", signed(&rs256, &of(json!("https://other.example")))), false),
        ("opaque token".to_owned(), false),
        // JWTs that name the issuer, whatever its server signs with.
        (signed(&rs256, &named), true),
        (signed(r#"{"alg":"HS256"}"#, &named), true),
        (signed(r#"{"alg":"ES512","crit":["x"]}"#, &named), true),
        (signed(r#"{"typ":"JWT"}"#, &named), true),
        (signed(&rs256, &twice), true),
        // All others.
        (signed(&rs256, &of(json!("https://other.example"))), false),
        (signed(&rs256, &of(json!("https://login.example/"))), false),
        (signed(&rs256, &of(json!(["https://login.example"]))), false),
        (signed(&rs256, &last_is_other), false),
        (signed(&rs256, r#"{"sub":"a"}"#), false),
        (signed(r#"{"alg":"none"}"#, &of(json!("https://other.example"))), false),
        (unsigned(r#"{"alg":"none"}"#, r#"{"sub":"a"}"#), false),
        (format!("{}.{}", base64url(&rs256), base64url(&named)), false),
        (format!("{}.a.b.c.d", base64url(r#"{"alg":"dir","enc":"A128GCM"}"#)), false),
        (format!("{}.x", signed(&rs256, &of(json!("https://other.example")))), false),
    ] {
        let mut world = World::new(APISIX, &configuration(json!({"on_error": {"action": "allow"}})));
        let encoded: String = form_urlencoded::byte_serialize(token.as_bytes()).collect();
        let expected = if is_asked { Ok(format!("token={encoded}")) } else { Err(Outcome::Refused) };
        assert_eq!(asks(&mut world, &token), expected, "{token}");
    }
}

#[test]
fn a_jwt_of_an_issuer_with_keys_is_decided_by_them_refusals_included() {
    let issuer = Issuer::new();
    let claims = |change: &dyn Fn(&mut Value)| {
        let mut claims = issuer::claims();
        change(&mut claims);
        claims.to_string()
    };
    let good = claims(&|_| ());
    let rs256 = issuer::header(Algorithm::Rs256).to_string();
    let tokens = [
        (issuer.signed(Algorithm::Rs256, &rs256, &good), Outcome::Session),
        (issuer.signed(Algorithm::Rs384, &rs256, &good), Outcome::Refused),
        (issuer.signed(Algorithm::Rs256, r#"{"alg":"none"}"#, &good), Outcome::Refused),
        (issuer.signed(Algorithm::Rs256, r#"{"alg":"HS256","typ":"at+jwt"}"#, &good), Outcome::Refused),
        (
            issuer.signed(Algorithm::Rs256, r#"{"alg":"RS256","typ":"JWT","kid":"rsa"}"#, &good),
            Outcome::Refused,
        ),
        (
            issuer.signed(Algorithm::Rs256, r#"{"alg":"RS256","typ":"at+jwt","kid":"new"}"#, &good),
            Outcome::Refused,
        ),
        (
            issuer.signed(Algorithm::Rs256, &rs256, &claims(&|claims| claims["exp"] = json!(NOW - 60))),
            Outcome::Refused,
        ),
        (
            issuer.signed(Algorithm::Rs256, &rs256, &claims(&|claims| claims["aud"] = json!("x"))),
            Outcome::Refused,
        ),
        (
            issuer.signed(Algorithm::Rs256, &rs256, &claims(&|claims| claims["iss"] = json!("x"))),
            Outcome::Refused,
        ),
        (format!("{}x", issuer.signed(Algorithm::Rs256, &rs256, &good)), Outcome::Refused),
    ];
    for background in [ENVOY, APISIX] {
        let mut world = World::new(background, &with_keys(&issuer));
        for (token, outcome) in &tokens {
            for _ in 0..2 {
                assert_eq!(done(world.bearer(token)).outcome, *outcome, "{token}");
            }
        }
        assert!(world.background_calls.is_empty());
        // What is no JWT is asked about all the same, and the answer must fit the issuer.
        let step = world.bearer(OPAQUE);
        let (call, waiting) = world.question(step);
        assert_eq!(form(&call), format!("token={OPAQUE}"));
        let answer = active(json!({"aud": ISSUER, "iss": ISSUER}));
        assert_eq!(done(world.answer(waiting, body(200, &answer))).outcome, Outcome::Session);
    }
}

#[test]
fn a_jwt_whose_keys_cannot_be_fetched_is_not_asked_about() {
    let issuer = Issuer::new();
    let mut configuration = with_keys(&issuer);
    let one = configuration["jwt"][0].as_object_mut().unwrap();
    one.remove("jwks");
    one.extend(
        json!({"jwks_uri": "https://login.example/keys", "upstream": "login"}).as_object().unwrap().clone(),
    );
    let mut world = World::new(APISIX, &configuration);
    let token = world.token();
    let (call, waiting) = called(world.bearer(&token));
    assert!(call.form.is_none(), "{call:?}");
    assert_eq!(done(world.resume(waiting, answered(500, ""))).outcome, Outcome::NoKeysDenied);
}

#[test]
fn a_second_issuer_with_keys_judges_its_own_tokens() {
    let issuer = Issuer::new();
    let mut configuration = configuration(json!({}));
    let other =
        json!({"issuer": ISSUER, "audiences": [ISSUER], "jwks": issuer.jwks(), "headers": {"x-user": "sub"}});
    configuration["jwt"].as_array_mut().unwrap().insert(0, other);
    let mut world = World::new(APISIX, &configuration);
    let token = world.token();
    assert_eq!(done(world.bearer(&token)).outcome, Outcome::Session);
    let (_, waiting) = called(world.bearer(OPAQUE));
    let stated_of_other = active(json!({"iss": ISSUER, "aud": ISSUER}));
    assert_eq!(done(world.resume(waiting, body(200, &stated_of_other))).outcome, Outcome::Refused);
    let mut world = World::new(APISIX, &configuration);
    let (_, waiting) = called(world.bearer(OPAQUE));
    let decision = done(world.resume(waiting, body(200, &active(json!({"iss": SERVER})))));
    assert!(set(&decision).contains(&("x-user".to_owned(), "alice".to_owned())));
}

#[test]
fn an_answer_is_remembered_for_ttl_and_never_past_the_token_s_end() {
    let forever = {
        let mut answer = active(json!({}));
        answer.as_object_mut().unwrap().remove("exp");
        answer
    };
    let inactive = json!({"active": false});
    let seconds = |seconds: u64| active(json!({"exp": NOW + seconds}));
    for (cache, answer, known, unknown) in [
        // The default is 10 s, and up to a tenth less.
        (json!({}), &seconds(3600), 8_999, 10_000),
        (json!({}), &forever, 8_999, 10_000),
        (json!({}), &seconds(5), 4_999, 5_000),
        (json!({"ttl": "1m"}), &seconds(3600), 53_999, 60_000),
        (json!({"ttl": "1m"}), &seconds(20), 19_999, 20_000),
        (json!({"ttl": "1m", "stale_if_error": "1h"}), &seconds(20), 19_999, 20_000),
        (json!({"ttl": "1m"}), &inactive, 899, 1_000),
        (json!({"ttl": "1m", "negative_ttl": "20s"}), &inactive, 17_999, 20_000),
        (json!({"ttl": "1m", "negative_ttl": "20s"}), &active(json!({"aud": "x"})), 17_999, 20_000),
    ] {
        for background in [ENVOY, APISIX] {
            let mut world = World::new(background, &configuration(json!({"cache": cache})));
            let step = world.bearer(OPAQUE);
            let (_, waiting) = world.question(step);
            let first = done(world.answer(waiting, body(200, answer)));
            world.pass(Duration::from_millis(known));
            let again = done(world.bearer(OPAQUE));
            assert_eq!((&again.verdict, again.outcome), (&first.verdict, first.outcome), "{cache} {answer}");
            world.pass(Duration::from_millis(unknown - known));
            let step = world.bearer(OPAQUE);
            assert!(!matches!(step, Step::Done(_)), "{cache} {answer}");
        }
    }
    for (cache, answer) in [
        (json!({"ttl": "0s"}), &forever),
        (json!({"ttl": "0s"}), &inactive),
        (json!({"negative_ttl": "0s"}), &inactive),
        // Good for its leeway only.
        (json!({}), &active(json!({"exp": NOW - 10}))),
        (json!({"stale_if_error": "1h"}), &active(json!({"exp": NOW}))),
    ] {
        let mut world = World::new(APISIX, &configuration(json!({"cache": cache})));
        for _ in 0..2 {
            let (_, waiting) = called(world.bearer(OPAQUE));
            let _decided = done(world.resume(waiting, body(200, answer)));
        }
    }
}

#[test]
fn a_jwt_that_is_asked_about_is_not_remembered_past_its_own_exp_either() {
    let issuer = Issuer::new();
    let claims = json!({"iss": SERVER, "exp": NOW + 5});
    let token = issuer.token(Algorithm::Rs256, &claims);
    let mut world = World::new(APISIX, &configuration(json!({})));
    let (_, waiting) = called(world.bearer(&token));
    let _accepted = done(world.resume(waiting, body(200, &active(json!({})))));
    world.pass(Duration::from_millis(4_999));
    assert_eq!(done(world.bearer(&token)).outcome, Outcome::Session);
    world.pass(Duration::from_millis(1));
    let _asked = called(world.bearer(&token));
}

#[test]
fn an_old_answer_serves_while_the_server_cannot_answer_but_not_where_a_client_may_have_provoked_it() {
    let configuration = configuration(json!({"cache": {"ttl": "10s", "stale_if_error": "1m"}}));
    for (answer, outcome) in [
        (answered(500, ""), Outcome::Session),
        (answered(200, "?"), Outcome::Session),
        (answered(302, ""), Outcome::Session),
        (Err(CallError::NoAnswer), Outcome::Session),
        (answered(400, ""), Outcome::ErrorDenied),
        (answered(401, ""), Outcome::ErrorDenied),
        (answered(429, ""), Outcome::ErrorDenied),
        (body(200, &json!({"active": false})), Outcome::Refused),
        (body(200, &active(json!({"aud": "x"}))), Outcome::Refused),
    ] {
        let mut world = World::new(APISIX, &configuration);
        let (_, waiting) = called(world.bearer(OPAQUE));
        let _accepted = done(world.resume(waiting, body(200, &active(json!({})))));
        world.pass(Duration::from_secs(20));
        let (_, waiting) = called(world.bearer(OPAQUE));
        assert_eq!(done(world.resume(waiting, answer.clone())).outcome, outcome, "{answer:?}");
    }
}

#[test]
fn requests_with_one_token_wait_for_one_answer_and_those_with_another_do_not() {
    for ttl in ["10s", "0s"] {
        let mut world = World::new(ENVOY, &configuration(json!({"cache": {"ttl": ttl}})));
        let waiting: Vec<_> = (0..10).map(|_| parked(world.bearer(OPAQUE)).1).collect();
        assert_eq!(world.background_calls.len(), 1);
        let key = world.finish(body(200, &active(json!({})))).unwrap();
        for waiting in waiting {
            assert_eq!(done(world.wake(waiting)).outcome, Outcome::Session);
        }
        world.told(key);
        let _first = (parked(world.bearer("one")), parked(world.bearer("other")));
        assert_eq!(world.background_calls.len(), 2, "each its own");
    }
}

#[test]
fn a_request_without_a_bearer_token_is_nobodys_and_nothing_is_asked() {
    let mut world = World::new(ENVOY, &configuration(json!({})));
    for fields in [
        &[][..],
        &[(b"cookie".as_slice(), b"session=s".as_slice())],
        &[(b"authorization", b"Basic YTpi")],
        &[(b"authorization", b"Bearer ")],
    ] {
        let decision = done(world.start(fields));
        assert_eq!((decision.outcome, replied(&decision).status), (Outcome::Anonymous, 401), "{fields:?}");
    }
    for fields in [
        &[(b"authorization".as_slice(), b"Bearer a".as_slice()), (b"authorization", b"Bearer b")][..],
        &[(b"authorization", b"Bearer a,Bearer b")],
        &[(b"authorization", b"Bearer a\xffb")],
    ] {
        assert_eq!(done(world.start(fields)).outcome, Outcome::Refused, "{fields:?}");
    }
    assert!(world.background_calls.is_empty());
}

#[test]
fn rules_may_demand_scopes_roles_and_claims_of_what_the_answer_states() {
    let stated = active(json!({"scope": "read write", "realm_access": {"roles": ["staff"]}, "org": "acme",
        "amr": ["pwd", "otp"], "auth_time": NOW - 60}));
    for (require, is_met) in [
        (json!({"scopes": ["read"]}), true),
        (json!({"scopes": ["read", "admin"]}), false),
        (json!({"roles": ["admin", "staff"]}), true),
        (json!({"roles": ["admin"]}), false),
        (json!({"claims": [{"claim": "org", "any_of": ["acme"]}]}), true),
        (json!({"claims": [{"claim": "org", "any_of": ["other"]}]}), false),
        (json!({"amr": ["otp"]}), true),
        (json!({"amr": ["hwk"]}), false),
        (json!({"max_auth_age": "2m"}), true),
        (json!({"max_auth_age": "30s"}), false),
    ] {
        let decision = decided(&configuration(json!({"require": require})), body(200, &stated));
        let expected = if is_met { Outcome::Session } else { Outcome::Forbidden };
        assert_eq!(decision.outcome, expected, "{require}");
    }
}

#[test]
fn tokens_without_an_audience_are_known_by_their_client() {
    let mut configuration = configuration(json!({}));
    let issuer = configuration["jwt"][0].as_object_mut().unwrap();
    issuer.remove("audiences");
    issuer.insert("client_ids".to_owned(), json!(["shop"]));
    for (more, outcome) in [
        (json!({"aud": []}), Outcome::Session),
        (json!({"aud": "other"}), Outcome::Session),
        (json!({"aud": [], "client_id": "other"}), Outcome::Refused),
        (json!({"aud": [], "client_id": "other", "azp": "shop"}), Outcome::Refused),
        (json!({"aud": "shop"}), Outcome::Refused),
        (json!({"aud": [], "at_hash": "x"}), Outcome::Refused),
    ] {
        let decision = decided(&configuration, body(200, &active(more.clone())));
        assert_eq!(decision.outcome, outcome, "{more}");
    }
}

#[test]
fn the_whole_answer_reaches_the_app_where_it_is_wanted_as_it_was_answered() {
    let mut configuration = configuration(json!({}));
    configuration["jwt"][0]["payload_header"] = json!("x-token");
    let answer = r#"{"active": true,  "aud":"api", "sub":"Zoë", "n": 1.50e3, "exp": 1900000000}"#;
    for text in [answer.to_owned(), format!("\u{feff}{answer}"), format!("\n{answer}\r\n")] {
        let decision = decided(&configuration, answered(200, text));
        let headers = set(&decision);
        assert!(headers.contains(&("x-token".to_owned(), base64url(answer))), "{headers:?}");
    }
}

#[test]
fn an_opaque_token_that_is_presented_as_bound_to_a_key_is_refused_and_not_asked_about() {
    let mut world = World::new(ENVOY, &configuration(json!({"on_error": {"action": "allow"}})));
    for fields in [
        &[(b"authorization".as_slice(), b"DPoP ory_at_a.b".as_slice())][..],
        &[(b"authorization", b"DPoP ory_at_a.b"), (b"dpop", b"e30.e30.x")],
    ] {
        assert_eq!(done(world.start(fields)).outcome, Outcome::Refused, "{fields:?}");
    }
    assert!(world.background_calls.is_empty());
}

#[test]
fn of_opaque_tokens_that_in_a_place_of_the_issuer_that_is_asked_goes_first() {
    let issuer = Issuer::new();
    let mut configuration = configuration(json!({}));
    let other = json!({"issuer": ISSUER, "audiences": [ISSUER], "jwks": issuer.jwks(),
        "token_from": [{"cookie": "other"}]});
    configuration["jwt"].as_array_mut().unwrap().insert(0, other);
    let fields: &[(&[u8], &[u8])] = &[(b"cookie", b"other=junk"), (b"authorization", b"Bearer opaque")];
    let mut world = World::new(APISIX, &configuration);
    assert_eq!(form(&called(world.start(fields)).0), "token=opaque");
    assert_eq!(form(&called(world.start(&fields[..1])).0), "token=junk", "as it came");
    let token = world.token();
    let cookie = format!("other={token}");
    let fields: &[(&[u8], &[u8])] = &[(b"cookie", cookie.as_bytes()), (b"authorization", b"Bearer opaque")];
    assert_eq!(done(world.start(fields)).outcome, Outcome::Session, "its own issuer's goes before both");
}
