//! Who judges which credential, in each mode.

use authgear_filter::engine::{Outcome, Step, Verdict};
use authgear_filter::jose::Algorithm;
use serde_json::{Value, json};

use crate::issuer::{self, ISSUER, Issuer};
use crate::world::{
    APISIX, ENVOY, World, asked, assert_refused, assert_user, authgear, done, replied, resolved, set, value,
};

#[test]
fn a_token_that_is_verified_here_gives_the_headers_that_the_resolver_gives() {
    for (background, mode) in [(ENVOY, "auto"), (ENVOY, "local"), (APISIX, "auto"), (APISIX, "local")] {
        let mut world = World::with_keys(background, &authgear(mode));
        let token = world.token();
        let step = world.start(&[
            (b"authorization", format!("Bearer {token}").as_bytes()),
            (b"x-authgear-user-id", b"forged"),
            (b"x_authgear_user_roles", b"forged"),
        ]);
        let decision = done(step);
        let expected = [
            ("x-authgear-session-valid", "true"),
            ("x-authgear-user-id", "8b1f7c0e-user"),
            ("x-authgear-user-anonymous", "false"),
            ("x-authgear-user-verified", "true"),
            ("x-authgear-user-can-reauthenticate", "true"),
            ("x-authgear-user-roles", "admin,staff"),
            ("x-authgear-session-amr", "pwd"),
            ("x-authgear-session-authenticated-at", "1799999900"),
        ];
        assert_eq!(set(&decision), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let Verdict::Forward(edits) = &decision.verdict else { panic!() };
        // And on a host that does not list all headers, what could be hidden.
        let seen = [b"x-authgear-user-id".to_vec(), b"x_authgear_user_roles".to_vec()];
        assert!(edits.remove.starts_with(&seen) && (edits.remove.len() == 2) == (background == ENVOY));
    }
}

#[test]
fn in_auto_what_is_no_jwt_goes_to_the_resolver() {
    let mut world = World::with_keys(ENVOY, &authgear("auto"));
    let (call, _) = asked(&mut world, |world| world.bearer("abcdefghijklmnopqrstuvwxyz012345"));
    assert_eq!(value(&call, "authorization"), Some("Bearer abcdefghijklmnopqrstuvwxyz012345"));
    let (call, _) = asked(&mut world, |world| world.start(&[(b"cookie", b"session=s")]));
    assert_eq!((value(&call, "authorization"), value(&call, "cookie")), (None, Some("session=s")));
    let (call, _) = asked(&mut world, |world| world.bearer_and_cookie("abcdefghijklmnopqrstuvwxyz012345"));
    assert!(value(&call, "authorization").is_some() && value(&call, "cookie").is_some());
}

#[test]
fn in_auto_a_jwt_that_fails_here_says_nothing_about_the_cookies_beside_it() {
    let mut world = World::with_keys(ENVOY, &authgear("auto"));
    let mut claims = issuer::claims();
    claims["exp"] = json!(1);
    let expired = world.issuer.token(Algorithm::Rs256, &claims);
    let (call, waiting) = asked(&mut world, |world| world.bearer_and_cookie(&expired));
    assert_eq!(value(&call, "authorization"), None, "its verdict is not asked for again");
    assert_eq!(value(&call, "cookie"), Some("session=s"));
    let decision = done(world.answer(waiting, resolved(Some("cookie-user"))));
    assert!(set(&decision).contains(&("x-authgear-user-id".into(), "cookie-user".into())));

    assert_refused(world.bearer(&expired));
    let good = world.token();
    assert_user(world.bearer_and_cookie(&good));
}

#[test]
fn in_local_nothing_is_ever_asked() {
    let mut world = World::with_keys(ENVOY, &authgear("local"));
    let good = world.token();
    assert_user(world.bearer_and_cookie(&good));
    assert_refused(world.bearer_and_cookie("abcdefghijklmnopqrstuvwxyz012345"));
    assert_refused(world.bearer_and_cookie("a.b.c"));
    assert_eq!(done(world.start(&[(b"cookie", b"session=s")])).outcome, Outcome::Anonymous);
    assert!(world.background_calls.is_empty());
}

#[test]
fn neither_an_id_token_nor_a_foreign_audience_is_a_user() {
    let mut world = World::with_keys(ENVOY, &authgear("auto"));
    let with = |change: &dyn Fn(&mut Value, &mut Value)| {
        let (mut header, mut claims) = (issuer::header(Algorithm::Rs256), issuer::claims());
        change(&mut header, &mut claims);
        (header.to_string(), claims.to_string())
    };
    let cases: [&dyn Fn(&mut Value, &mut Value); 6] = [
        &|header, _| header["typ"] = json!("JWT"),
        &|_, claims| claims["aud"] = json!("app"),
        &|_, claims| claims["aud"] = json!(["https://api.example.com"]),
        &|_, claims| claims["iss"] = json!("https://other.authgear.cloud"),
        &|header, claims| {
            header["typ"] = json!("JWT");
            claims["aud"] = json!("app");
        },
        &|_, claims| claims["sub"] = json!("user\nx-authgear-user-id: admin"),
    ];
    for change in cases {
        let (header, claims) = with(change);
        let token = world.issuer.signed(Algorithm::Rs256, &header, &claims);
        assert_refused(world.bearer(&token));
    }
}

fn machine(audience: &str) -> Value {
    json!({
        "iss": ISSUER, "aud": [audience], "sub": "client_id_m2m", "client_id": "m2m", "scope": "read write",
        "iat": issuer::NOW, "exp": issuer::NOW + 600, "jti": "2",
    })
}

#[test]
fn a_machine_is_no_user_and_is_known_only_where_its_audience_is_configured() {
    let token = |issuer: &Issuer| issuer.token(Algorithm::Rs256, &machine("https://api.example.com"));
    let mut world = World::with_keys(ENVOY, &authgear("auto"));
    let machine_token = token(&world.issuer);
    assert_refused(world.bearer(&machine_token));

    let mut configuration = authgear("auto");
    configuration["authgear"]["audiences"] = json!([ISSUER, "https://api.example.com"]);
    let mut world = World::with_keys(ENVOY, &configuration);
    let decision = done(world.bearer(&machine_token));
    assert_eq!(decision.outcome, Outcome::Machine);
    assert_eq!(
        set(&decision),
        [("x-authgear-client-id", "m2m"), ("x-authgear-client-scope", "read write")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
}

#[test]
fn only_listed_clients_are_accepted_where_some_are_listed() {
    for (listed, accepted) in [(json!(["app"]), true), (json!(["other"]), false), (json!([]), true)] {
        let mut configuration = authgear("local");
        configuration["authgear"]["client_ids"] = listed;
        let mut world = World::new(ENVOY, &configuration);
        world.tick();
        world.finish_all(World::jwks);
        let token = world.token();
        let outcome = done(world.bearer(&token)).outcome;
        assert_eq!(outcome == Outcome::Session, accepted);
    }
}

fn issuers(world: &Issuer) -> Value {
    json!({"jwt": [
        {"issuer": "other", "audiences": ["api"], "jwks_uri": "https://other.example/keys", "upstream": "other"},
        {
            "issuer": ISSUER, "audiences": [ISSUER], "algorithms": ["RS256", "ES256", "EdDSA"],
            "jwks": world.jwks(),
            "headers": {"x-user": "sub", "x-roles": "https://authgear.com/claims/user/roles", "x-none": "nothing"},
        },
    ]})
}

#[test]
fn a_token_of_a_listed_issuer_becomes_the_headers_that_are_configured() {
    let issuer = Issuer::new();
    let mut world = World::new(ENVOY, &issuers(&issuer));
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        let token = issuer.token(algorithm, &issuer::claims());
        let step = world.start(&[
            (b"authorization", format!("Bearer {token}").as_bytes()),
            (b"x-user", b"forged"),
            (b"X_None", b"forged"),
        ]);
        let decision = done(step);
        assert_eq!(
            set(&decision),
            [("x-roles", "admin,staff"), ("x-user", "8b1f7c0e-user")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        let Verdict::Forward(edits) = &decision.verdict else { panic!() };
        assert_eq!(edits.remove, [b"x-user".to_vec(), b"X_None".to_vec()]);
    }
}

#[test]
fn whatever_a_listed_issuer_did_not_sign_is_denied_with_a_challenge() {
    let issuer = Issuer::new();
    let mut world = World::new(ENVOY, &issuers(&issuer));
    let stranger = Issuer::new().token(Algorithm::Es256, &issuer::claims());
    let challenge = |step: Step| {
        let decision = done(step);
        let reply = replied(&decision);
        assert_eq!(reply.status, 401);
        let field = reply.fields.iter().find(|(name, _)| name == b"www-authenticate").unwrap();
        String::from_utf8(field.1.clone()).unwrap()
    };
    for token in [stranger.as_str(), "opaque", "a.b.c"] {
        assert_eq!(challenge(world.bearer(token)), "Bearer error=\"invalid_token\"");
    }
    assert_eq!(challenge(world.start(&[])), "Bearer");
    assert_eq!(challenge(world.start(&[(b"cookie", b"session=s")])), "Bearer");
    assert_eq!(
        challenge(world.start(&[(b"authorization", b"Bearer a"), (b"authorization", b"Bearer b")])),
        "Bearer error=\"invalid_token\""
    );
}
