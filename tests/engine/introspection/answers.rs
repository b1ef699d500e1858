//! What an answer states, and what is no answer.

use authgear_filter::engine::Outcome;
use authgear_filter::http::{CallError, Fields, Response};
use serde_json::{Value, json};

use super::{OPAQUE, SERVER, active, answered, configuration, decided, message};
use crate::issuer::{NOW, base64url};
use crate::world::{APISIX, World, body, called, done, replied, set};

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
