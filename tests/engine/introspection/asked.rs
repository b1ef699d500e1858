//! Which tokens are asked about.

use authgear_filter::engine::{Outcome, Step};
use authgear_filter::jose::Algorithm;
use serde_json::{Value, json};

use super::{OPAQUE, SERVER, active, answered, configuration, form, with_keys};
use crate::issuer::{self, ISSUER, Issuer, NOW, base64url};
use crate::world::{APISIX, ENVOY, World, body, called, done, replied, set};

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
        // JWTs that name the issuer, with any algorithm.
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
        // A token that is not a JWT is still asked about, and the answer must fit the issuer.
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
