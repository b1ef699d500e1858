//! Tokens that are bound to a key (RFC 9449): accepted with a new proof for each request, refused as anything else, and
//! never sent to anybody.

use std::cell::Cell;
use std::time::Duration;

use authgear_filter::engine::{Capabilities, Decision, Outcome, Step, Verdict};
use authgear_filter::http::{CallError, Field, Head};
use authgear_filter::jose::{Algorithm, Backend, KeySet};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::issuer::{self, ISSUER, Issuer, base64url};
use crate::world::{APISIX, ENVOY, World, authgear, done, parked, replied, resolved};

const ALGORITHMS: &str = "RS256 PS256 ES256 ES384 EdDSA";

/// A client with a key of its own.
pub(crate) struct Client {
    keys: Issuer,
    jwk: Value,
}

impl Client {
    pub(crate) fn new() -> Self {
        let keys = Issuer::new();
        let jwk = keys.jwks()["keys"][1].clone();
        Self { keys, jwk }
    }

    /// The canonical form, and its hash.
    fn thumbprint(&self) -> String {
        let set = KeySet::parse(json!({"keys": [self.jwk]}).to_string().as_bytes()).unwrap();
        assert_eq!(set.keys().len(), 1);
        let text = |name: &str| self.jwk[name].as_str().unwrap();
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, text("x"), text("y"));
        base64url(Sha256::digest(canonical))
    }

    /// What an issuer says of a user with this key.
    pub(crate) fn claims(&self) -> Value {
        let mut claims = issuer::claims();
        claims["cnf"] = json!({"jkt": self.thumbprint()});
        claims
    }

    pub(crate) fn proof(&self, token: &str, change: impl FnOnce(&mut Value)) -> String {
        let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk});
        let mut claims = json!({
            "htm": "GET", "htu": "https://app.example/app", "iat": issuer::NOW, "jti": "1",
            "ath": base64url(Sha256::digest(token)),
        });
        change(&mut claims);
        self.keys.signed(Algorithm::Es256, &header.to_string(), &claims.to_string())
    }

    fn numbered(&self, token: &str, jti: u64) -> String {
        self.proof(token, |claims| claims["jti"] = json!(jti.to_string()))
    }
}

fn start(world: &mut World, fields: &[(&str, &str)]) -> Step {
    let fields: Vec<Field<'_>> =
        fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    world.start_head(&Head {
        method: b"GET",
        scheme: b"https",
        authority: b"app.example",
        path: b"/app?q=1",
        fields: &fields,
        client_address: &|| None,
    })
}

/// The decision about a request that nothing is asked about.
fn decided(world: &mut World, fields: &[(&str, &str)]) -> Decision {
    let decision = done(start(world, fields));
    assert!(world.background_calls.is_empty(), "{fields:?}");
    decision
}

fn dpop(world: &mut World, token: &str, proof: &str) -> Decision {
    decided(world, &[("authorization", &format!("DPoP {token}")), ("dpop", proof)])
}

/// With another signature.
fn forged(jws: &str) -> String {
    let (signed, _signature) = jws.rsplit_once('.').unwrap();
    format!("{signed}.{}", base64url([1; 64]))
}

fn required(mut configuration: Value) -> Value {
    configuration["access"] = json!("required");
    configuration
}

/// What a denial says is wrong: the value of `WWW-Authenticate`.
fn challenge(decision: &Decision) -> String {
    let reply = replied(decision);
    assert_eq!(reply.status, 401, "{reply:?}");
    let field = reply.fields.iter().find(|(name, _)| name == b"www-authenticate").unwrap();
    String::from_utf8(field.1.clone()).unwrap()
}

fn bad_proof() -> String {
    format!("DPoP error=\"invalid_dpop_proof\", algs=\"{ALGORITHMS}\"")
}

fn bad_token() -> String {
    format!("DPoP error=\"invalid_token\", algs=\"{ALGORITHMS}\"")
}

#[test]
fn a_bound_token_is_accepted_with_a_new_proof_for_each_request() {
    let client = Client::new();
    for (background, mode) in [(ENVOY, "auto"), (ENVOY, "local"), (APISIX, "auto"), (APISIX, "local")] {
        let mut world = World::with_keys(background, &required(authgear(mode)));
        let token = world.issuer.token(Algorithm::Rs256, &client.claims());
        for jti in 0..3 {
            let proof = client.numbered(&token, jti);
            assert_eq!(dpop(&mut world, &token, &proof).outcome, Outcome::Session, "{mode}");
            assert_eq!(challenge(&dpop(&mut world, &token, &proof)), bad_proof(), "{mode}: it was used");
        }
        let wrong: [&dyn Fn(&mut Value); 6] = [
            &|claims| claims["htm"] = json!("POST"),
            &|claims| claims["htu"] = json!("https://app.example/other"),
            &|claims| claims["htu"] = json!("http://app.example/app"),
            &|claims| claims["ath"] = json!(base64url(Sha256::digest("other"))),
            &|claims| claims["iat"] = json!(issuer::NOW - 31),
            &|claims| claims["iat"] = json!(issuer::NOW + 31),
        ];
        for change in wrong {
            let proof = client.proof(&token, |claims| {
                claims["jti"] = json!("wrong");
                change(claims);
            });
            assert_eq!(challenge(&dpop(&mut world, &token, &proof)), bad_proof(), "{mode}");
        }
        // The token is cached, and still needs one proof, with the right key.
        let header = format!("dpop {token}");
        let (one, two) = (client.numbered(&token, 7), client.numbered(&token, 8));
        let another = Client::new().numbered(&token, 9);
        let cases: [&[(&str, &str)]; 4] = [
            &[("authorization", &header)],
            &[("authorization", &header), ("dpop", "")],
            &[("authorization", &header), ("dpop", &one), ("dpop", &two)],
            &[("authorization", &header), ("dpop", &another)],
        ];
        for fields in cases {
            assert_eq!(challenge(&decided(&mut world, fields)), bad_proof(), "{mode} {fields:?}");
        }
        let spelled = client.proof(&token, |claims| {
            claims["jti"] = json!("spelled");
            claims["htu"] = json!("HTTPS://App.Example:443/./%61pp?any#thing");
        });
        assert_eq!(dpop(&mut world, &token, &spelled).outcome, Outcome::Session, "{mode}");
        assert_eq!(
            decided(&mut world, &[("authorization", &header), ("dpop", &one)]).outcome,
            Outcome::Session
        );
    }
}

#[test]
fn a_bound_token_is_refused_anywhere_else_and_nobody_is_asked_about_it_or_the_cookies_beside_it() {
    let client = Client::new();
    let mut configuration = required(authgear("auto"));
    configuration["authgear"]["token_from"] = json!([
        {"header": "authorization", "scheme": "Bearer"}, {"cookie": "t"}, {"header": "x-token"},
    ]);
    let mut world = World::with_keys(ENVOY, &configuration);
    let good = world.issuer.token(Algorithm::Rs256, &client.claims());
    let mut claims = client.claims();
    claims["exp"] = json!(1);
    let expired = world.issuer.token(Algorithm::Rs256, &claims);
    let text = |json: &Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
    let hmac = format!("{}.{}.c2ln", text(&json!({"alg": "HS256"})), text(&client.claims()));
    let mut claims = client.claims();
    claims["cnf"] = json!({"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"});
    let other = world.issuer.token(Algorithm::Rs256, &claims);
    claims["cnf"] = json!(null);
    let null = world.issuer.token(Algorithm::Rs256, &claims);
    claims["cnf"] = json!({"jkt": "short"});
    let short = world.issuer.token(Algorithm::Rs256, &claims);
    let broken: String = good.chars().take(good.len() - 4).collect();
    // Twice, to show that nothing is cached that would let it pass.
    for _ in 0..2 {
        for token in [&good, &expired, &hmac, &other, &null, &short, &broken] {
            let proof = client.proof(token, |_| {});
            let (bearer, cookie) = (format!("Bearer {token}"), format!("t={token}; session=s"));
            let cases: [&[(&str, &str)]; 3] = [
                &[("authorization", &bearer), ("dpop", &proof), ("cookie", "session=s")],
                &[("cookie", &cookie), ("dpop", &proof)],
                &[("x-token", token), ("cookie", "session=s")],
            ];
            for fields in cases {
                assert_eq!(challenge(&decided(&mut world, fields)), bad_token(), "{token} {fields:?}");
            }
        }
        // Behind its own scheme, what is wrong with it is wrong; it says nothing about the cookies either.
        for token in [&expired, &hmac, &other, &null, &short, &broken] {
            let proof = client.proof(token, |_| {});
            let header = format!("DPoP {token}");
            let fields = [("authorization", header.as_str()), ("dpop", &proof), ("cookie", "session=s")];
            assert_eq!(challenge(&decided(&mut world, &fields)), bad_token(), "{token}");
        }
    }
}

#[test]
fn a_token_that_is_bound_to_nothing_is_refused_behind_the_scheme_of_bound_ones() {
    let client = Client::new();
    for mode in ["auto", "local"] {
        let mut world = World::with_keys(ENVOY, &required(authgear(mode)));
        let plain = world.token();
        for token in [plain.as_str(), "abcdefghijklmnopqrstuvwxyz012345", "a.b.c", "a b"] {
            let proof = client.proof(token, |_| {});
            let header = format!("DPoP {token}");
            let fields = [("authorization", header.as_str()), ("dpop", &proof), ("cookie", "session=s")];
            assert_eq!(challenge(&decided(&mut world, &fields)), bad_token(), "{mode}: {token}");
        }
        // A proof beside a plain bearer token is ignored, and so is a broken one.
        for proof in [client.proof(&plain, |_| {}).as_str(), "nonsense"] {
            let fields = [("authorization", format!("Bearer {plain}")), ("dpop", proof.to_owned())];
            let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
            assert_eq!(decided(&mut world, &fields).outcome, Outcome::Session, "{mode}");
        }
        let two = [("authorization", "DPoP a,DPoP b")];
        assert_eq!(decided(&mut world, &two).outcome, Outcome::Refused, "{mode}");
    }
}

#[test]
fn where_tokens_are_not_read_there_is_no_scheme_of_bound_ones() {
    let mut world = World::new(ENVOY, &authgear("resolver"));
    let step = start(&mut world, &[("authorization", "DPoP a.b.c"), ("cookie", "session=s")]);
    let (call, waiting) = world.question(step);
    assert_eq!(crate::world::value(&call, "authorization"), None);
    assert_eq!(done(world.answer(waiting, resolved(Some("u")))).outcome, Outcome::Session);

    let forward_auth =
        json!({"forward_auth": {"url": "http://a/", "upstream": "a", "identity_headers": ["x-user"]}});
    let mut world = World::new(ENVOY, &forward_auth);
    let step = start(&mut world, &[("authorization", "DPoP a.b.c")]);
    let (call, _) = world.question(step);
    assert_eq!(crate::world::value(&call, "authorization"), Some("DPoP a.b.c"), "that server decides");
}

#[test]
fn beside_a_forward_auth_server_a_bound_token_is_never_asked_about_whose_ever_it_is() {
    let client = Client::new();
    let issuer = Issuer::new();
    let configuration = json!({
        "jwt": [{"issuer": ISSUER, "audiences": [ISSUER], "jwks": issuer.jwks(), "headers": {"x-user": "sub"}}],
        "forward_auth": {"url": "http://a/", "upstream": "a", "identity_headers": ["x-user"],
            "request_headers": ["authorization", "cookie", "x-*"]},
    });
    let mut claims = client.claims();
    claims["iss"] = json!("https://other.example");
    let other = issuer.token(Algorithm::Rs256, &claims);
    let own = issuer.token(Algorithm::Rs256, &client.claims());
    let mut places = configuration.clone();
    places["jwt"][0]["token_from"] =
        json!([{"cookie": "t"}, {"header": "authorization", "scheme": "Bearer"}, {"header": "x-token"}]);
    for configuration in [configuration, places] {
        let mut world = World::new(ENVOY, &configuration);
        for token in [&other, &own] {
            let bearer = format!("Bearer {token}");
            assert_eq!(challenge(&decided(&mut world, &[("authorization", &bearer)])), bad_token());
        }
        let proof = client.proof(&other, |_| {});
        assert_eq!(challenge(&dpop(&mut world, &other, &proof)), bad_token(), "of no listed issuer");
        let proof = client.proof(&own, |_| {});
        assert_eq!(dpop(&mut world, &own, &proof).outcome, Outcome::Session);
        let step = start(&mut world, &[("authorization", "Bearer opaque")]);
        let _asked = world.question(step);
    }
    // Nor is it sent along with a token that is asked about.
    let mut configuration = json!({"jwt": [{"issuer": ISSUER, "audiences": [ISSUER], "jwks": issuer.jwks()}],
        "forward_auth": {"url": "http://a/", "upstream": "a", "identity_headers": ["x-user"]}});
    configuration["jwt"][0]["token_from"] = json!([{"header": "x-token"}, {"cookie": "t"}]);
    let (cookie, bearer, bound) = (format!("t={other}"), format!("Bearer {other}"), format!("DPoP {other}"));
    for fields in [
        &[("x-token", "opaque"), ("cookie", &*cookie)] as &[(&str, &str)],
        &[("x-token", "opaque"), ("authorization", &bearer)],
        &[("authorization", &bound)],
    ] {
        let mut world = World::new(ENVOY, &configuration);
        assert_eq!(challenge(&decided(&mut world, fields)), bad_token(), "{fields:?}");
    }
}

#[test]
fn without_keys_a_bound_token_waits_for_them_or_is_on_error_and_is_not_asked_about() {
    let client = Client::new();
    let mut world = World::new(ENVOY, &required(authgear("auto")));
    let token = world.issuer.token(Algorithm::Rs256, &client.claims());
    let request = |world: &mut World, proof: &str| {
        let header = format!("DPoP {token}");
        start(world, &[("authorization", &header), ("dpop", proof), ("cookie", "session=s")])
    };
    let proof = client.numbered(&token, 1);
    // Two with one proof wait at once; one of them gets in.
    let (_, first) = parked(request(&mut world, &proof));
    let (_, second) = parked(request(&mut world, &proof));
    let jwks = world.jwks();
    world.finish(jwks);
    assert_eq!(done(world.wake(first)).outcome, Outcome::Session);
    assert_eq!(challenge(&done(world.wake(second))), bad_proof());

    let mut world = World::new(ENVOY, &required(authgear("auto")));
    let (_, waiting) = parked(request(&mut world, &client.numbered(&token, 2)));
    world.finish(Ok(authgear_filter::http::Response { status: 500, ..Default::default() }));
    let decision = done(world.wake(waiting));
    assert_eq!((decision.outcome, replied(&decision).status), (Outcome::NoKeysDenied, 503));
    assert!(world.background_calls.is_empty());

    // A proof that grew old while its request waited is not recent.
    let mut world = World::new(ENVOY, &required(authgear("auto")));
    let (_, waiting) = parked(request(&mut world, &client.numbered(&token, 3)));
    world.pass(Duration::from_secs(31));
    let jwks = world.jwks();
    world.finish(jwks);
    assert_eq!(challenge(&done(world.wake(waiting))), bad_proof());
}

#[test]
fn without_keys_nobody_goes_on_with_a_bad_proof_or_a_token_that_no_key_could_make_good() {
    let client = Client::new();
    let mut configuration = authgear("local");
    configuration["on_error"] = json!({"action": "allow"});
    let decided = |background: bool, token: &dyn Fn(&World) -> String, proof: &dyn Fn(&str) -> String| {
        let mut world = World::new(background, &configuration);
        let token = token(&world);
        let (header, proof) = (format!("DPoP {token}"), proof(&token));
        match start(&mut world, &[("authorization", &header), ("dpop", &proof)]) {
            Step::Done(decision) => decision,
            Step::Park(_, waiting) => {
                world.finish(Err(CallError::NoAnswer));
                done(world.wake(waiting))
            }
            Step::Call(_, waiting) => done(world.resume(waiting, Err(CallError::NoAnswer))),
        }
    };
    let good = |world: &World| world.issuer.token(Algorithm::Rs256, &client.claims());
    let expired = |world: &World| {
        let mut claims = client.claims();
        claims["exp"] = json!(1);
        world.issuer.token(Algorithm::Rs256, &claims)
    };
    let forged = |token: &str| forged(&client.numbered(token, 1));
    for background in [ENVOY, APISIX] {
        let decision = decided(background, &good, &|token| client.numbered(token, 1));
        assert_eq!(decision.outcome, Outcome::NoKeysAllowed, "nobody can tell");
        let old = |token: &str| client.proof(token, |claims| claims["iat"] = json!(issuer::NOW - 31));
        let others = |token: &str| Client::new().numbered(token, 1);
        let bad: [&dyn Fn(&str) -> String; 4] = [&forged, &old, &others, &|_| String::new()];
        for proof in bad {
            assert_eq!(decided(background, &good, proof).outcome, Outcome::Refused);
        }
        let decision = decided(background, &expired, &|token| client.numbered(token, 1));
        assert_eq!(decision.outcome, Outcome::Refused, "expired");
    }
}

thread_local! {
    /// How many signatures of proofs, and of anything, the host was asked about.
    static ASKED: Cell<(u32, u32)> = const { Cell::new((0, 0)) };
}

/// A host that counts what it is asked, and leaves the answer to the filter.
fn counting(_hash: &str, _key: &[u8], _signature: &[u8], message: &[u8]) -> Option<bool> {
    let header = message.split(|byte| *byte == b'.').next().unwrap();
    let is_proof =
        String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap().contains("dpop+jwt");
    let (proofs, all) = ASKED.get();
    ASKED.set((proofs + u32::from(is_proof), all + 1));
    None
}

#[test]
fn strangers_have_no_signature_of_a_proof_verified() {
    let client = Client::new();
    for background in [ENVOY, APISIX] {
        let host = Capabilities { background, signatures: Backend::Proxy(counting) };
        let issuer = Issuer::new();
        let configuration = required(json!({"jwt": [{"issuer": ISSUER, "audiences": [ISSUER],
            "algorithms": ["RS256", "EdDSA"], "jwks": issuer.jwks(), "headers": {"x-user": "sub"}}]}));
        let mut world = World::on(host, &configuration);
        let token = issuer.token(Algorithm::Rs256, &client.claims());
        let changed = |change: &dyn Fn(&mut Value)| {
            let mut claims = client.claims();
            change(&mut claims);
            issuer.token(Algorithm::Rs256, &claims)
        };
        let strangers = Issuer::new().token(Algorithm::EdDsa, &client.claims());
        let unknown = json!({"alg": "RS256", "kid": "unknown", "typ": "at+jwt"}).to_string();
        for (what, token) in [
            ("with a forged signature", forged(&token)),
            ("by another issuer's key", strangers),
            ("by an unknown key", issuer.signed(Algorithm::Rs256, &unknown, &client.claims().to_string())),
            ("expired", changed(&|claims| claims["exp"] = json!(1))),
            ("of another audience", changed(&|claims| claims["aud"] = json!("other"))),
            ("of another issuer", changed(&|claims| claims["iss"] = json!("other"))),
            ("bound to something else", changed(&|claims| claims["cnf"] = json!({"x5t#S256": "a"}))),
            ("no token", "a.b.c".to_owned()),
        ] {
            ASKED.set((0, 0));
            for jti in 0..3 {
                let proof = client.numbered(&token, jti);
                assert_eq!(challenge(&dpop(&mut world, &token, &proof)), bad_token(), "{what}");
            }
            let (proofs, all) = ASKED.get();
            assert_eq!(proofs, 0, "{what}");
            assert!(all <= 1, "{what}: a rejected token is remembered");
        }
        // Nor who has a token and no proof of now by its key.
        ASKED.set((0, 0));
        let good = client.numbered(&token, 1);
        assert_eq!(dpop(&mut world, &token, &good).outcome, Outcome::Session);
        assert_eq!(ASKED.get(), (1, 2));
        for (what, proof) in [
            ("used", good),
            ("old", client.proof(&token, |claims| claims["iat"] = json!(issuer::NOW - 31))),
            ("another key's", Client::new().numbered(&token, 2)),
            ("of another request", client.proof(&token, |claims| claims["htm"] = json!("PUT"))),
        ] {
            assert_eq!(challenge(&dpop(&mut world, &token, &proof)), bad_proof(), "{what}");
            assert_eq!(ASKED.get(), (1, 2), "{what}");
        }
        assert_eq!(challenge(&dpop(&mut world, &token, &forged(&client.numbered(&token, 3)))), bad_proof());
        assert_eq!(ASKED.get(), (2, 2 + 1));
        // What failed is not taken for used.
        assert_eq!(dpop(&mut world, &token, &client.numbered(&token, 3)).outcome, Outcome::Session);
    }
}

#[test]
fn a_bound_token_of_an_issuer_without_keys_is_refused_whatever_on_error_says() {
    let client = Client::new();
    let configuration = required(json!({"jwt": [{"issuer": ISSUER, "audiences": [ISSUER],
        "introspection": {"url": "http://i/", "upstream": "i"}}], "on_error": {"action": "allow"}}));
    for background in [ENVOY, APISIX] {
        let mut world = World::new(background, &configuration);
        let token = world.issuer.token(Algorithm::Rs256, &client.claims());
        assert_eq!(challenge(&dpop(&mut world, &token, &client.numbered(&token, 1))), bad_token());
        let bearer = format!("Bearer {token}");
        assert_eq!(challenge(&decided(&mut world, &[("authorization", &bearer)])), bad_token());
    }
}

#[test]
fn a_bound_token_is_not_confirmed_with_the_resolver() {
    let client = Client::new();
    let mut world = World::with_keys(ENVOY, &required(authgear("auto")));
    let token = world.issuer.token(Algorithm::Rs256, &client.claims());
    for minute in 0..3 {
        let now = issuer::NOW + 61 * minute;
        let proof = client.proof(&token, |claims| claims["iat"] = json!(now));
        assert_eq!(dpop(&mut world, &token, &proof).outcome, Outcome::Session, "{minute}");
        world.pass(Duration::from_secs(61));
    }
}

#[test]
fn a_full_store_of_proofs_denies_whatever_on_error_says_and_forgets_none() {
    let client = Client::new();
    let mut configuration = authgear("local");
    configuration["cache"] = json!({"max_entries": 2});
    configuration["on_error"] = json!({"action": "allow", "status": 500});
    let mut world = World::with_keys(ENVOY, &configuration);
    let token = world.issuer.token(Algorithm::Rs256, &client.claims());
    for jti in [1, 2] {
        assert_eq!(dpop(&mut world, &token, &client.numbered(&token, jti)).outcome, Outcome::Session);
    }
    for jti in [3, 4] {
        let decision = dpop(&mut world, &token, &client.numbered(&token, jti));
        assert_eq!((decision.outcome, replied(&decision).status), (Outcome::ErrorDenied, 500));
    }
    assert_eq!(world.warnings.len(), 1, "{:?}", world.warnings);
    assert!(world.warnings[0].contains("cache.max_entries"), "{:?}", world.warnings);
    assert_eq!(
        dpop(&mut world, &token, &client.numbered(&token, 1)).outcome,
        Outcome::Refused,
        "not forgotten"
    );
    world.pass(Duration::from_secs(31));
    let later = |jti: &str| {
        client.proof(&token, |claims| (claims["iat"], claims["jti"]) = (json!(issuer::NOW + 31), json!(jti)))
    };
    assert_eq!(dpop(&mut world, &token, &later("3")).outcome, Outcome::Session, "there is room again");
    assert_eq!(dpop(&mut world, &token, &client.numbered(&token, 1)).outcome, Outcome::Refused, "too old");
}

#[test]
fn a_proof_is_of_now_by_the_leeway_of_the_issuer() {
    let client = Client::new();
    let issuer = Issuer::new();
    let configuration = json!({"access": "optional", "jwt": [{"issuer": ISSUER, "audiences": [ISSUER],
        "jwks": issuer.jwks(), "leeway": "5s", "algorithms": ["EdDSA"], "headers": {"x-user": "sub"}}]});
    let token = issuer.token(Algorithm::EdDsa, &client.claims());
    for (iat, is_good) in [(0, true), (5, true), (6, false), (-5, true), (-6, false)] {
        let mut world = World::new(APISIX, &configuration);
        let iat = issuer::NOW.saturating_add_signed(iat);
        let proof = client.proof(&token, |claims| claims["iat"] = json!(iat));
        let decision = dpop(&mut world, &token, &proof);
        assert_eq!(decision.outcome == Outcome::Session, is_good, "{iat}");
    }
}

#[test]
fn a_proof_is_stripped_with_its_token() {
    let client = Client::new();
    for (mode, strips, removed) in [
        ("local", true, &["authorization", "dpop"] as &[&str]),
        ("auto", true, &["authorization", "dpop"]),
        ("local", false, &[]),
    ] {
        let mut configuration = authgear(mode);
        configuration["strip_credentials"] = json!(strips);
        let mut world = World::with_keys(ENVOY, &configuration);
        let token = world.issuer.token(Algorithm::Rs256, &client.claims());
        let decision = dpop(&mut world, &token, &client.proof(&token, |_| {}));
        assert_eq!(decision.outcome, Outcome::Session);
        let Verdict::Forward(edits) = decision.verdict else { panic!() };
        assert_eq!(edits.remove, removed.iter().map(|name| name.as_bytes().to_vec()).collect::<Vec<_>>());
    }
}

#[test]
fn a_place_may_take_nothing_but_bound_tokens() {
    let client = Client::new();
    let mut configuration = required(authgear("local"));
    configuration["authgear"]["token_from"] = json!([{"header": "authorization", "scheme": "DPoP"}]);
    let mut world = World::new(ENVOY, &configuration);
    world.tick();
    world.finish_all(World::jwks);
    let token = world.issuer.token(Algorithm::Rs256, &client.claims());
    assert_eq!(dpop(&mut world, &token, &client.proof(&token, |_| {})).outcome, Outcome::Session);
    let plain = format!("Bearer {}", world.token());
    assert_eq!(decided(&mut world, &[("authorization", &plain)]).outcome, Outcome::Anonymous);
}

#[test]
fn nothing_that_is_sent_to_a_server_holds_a_bound_token_wherever_it_stands() {
    let client = Client::new();
    let issuer = Issuer::new();
    let bound = issuer.token(Algorithm::Rs256, &client.claims());
    let configuration = json!({
        "jwt": [{"issuer": ISSUER, "audiences": [ISSUER], "jwks": issuer.jwks(),
            "token_from": [{"header": "authorization", "scheme": "Bearer"}, {"cookie": "t"}]}],
        "forward_auth": {"url": "http://a/", "upstream": "a", "identity_headers": ["x-user"],
            "request_headers": ["authorization", "cookie", "x-*", "sec-websocket-protocol"]},
    });
    let (other, twice) = (format!("a=b; other=\"{bound}\""), format!("t={bound}; t={bound}"));
    let (parameter, list) = (format!("Token token=\"{bound}\""), format!("a, {bound}"));
    let (protocols, behind) = (format!("chat, bearer.{bound}"), format!("Bearer v1.{bound}.x"));
    let (behind_cookie, url) = (format!("u=s:a.{bound}"), format!("https://a/?t={bound}#x"));
    let cases: [&[(&str, &str)]; 12] = [
        &[("sec-websocket-protocol", &protocols)],
        &[("sec-websocket-protocol", "chat"), ("sec-websocket-protocol", &protocols)],
        &[("authorization", "Bearer opaque"), ("sec_websocket_protocol", &protocols)],
        &[("authorization", &behind)],
        &[("cookie", &behind_cookie)],
        &[("x-any", &url)],
        &[("cookie", &other)],
        &[("authorization", "Bearer opaque"), ("cookie", &twice)],
        &[("authorization", "Bearer opaque"), ("cookie", &other)],
        &[("authorization", &parameter)],
        &[("x-any", &bound)],
        &[("authorization", "Bearer opaque"), ("x-any", &list)],
    ];
    for fields in cases {
        let mut world = World::new(ENVOY, &configuration);
        assert_eq!(challenge(&decided(&mut world, fields)), bad_token(), "{fields:?}");
    }
    // Anything may be in headers that are not sent.
    let mut world = World::new(ENVOY, &configuration);
    let step = start(&mut world, &[("accept", &bound), ("cookie", "a=b.c.d")]);
    let _asked = world.question(step);

    // Authgear's cookie holds an access token too.
    let mut world = World::with_keys(ENVOY, &required(authgear("auto")));
    let bound = world.issuer.token(Algorithm::Rs256, &client.claims());
    let mut claims = issuer::claims();
    claims["exp"] = json!(1);
    let expired = format!("Bearer {}", world.issuer.token(Algorithm::Rs256, &claims));
    let cookies = format!("session=s; app_access_token={bound}");
    for authorization in ["", "Bearer opaque", "Basic eDp5", &expired] {
        let fields = [("authorization", authorization), ("cookie", cookies.as_str())];
        let fields = if authorization.is_empty() { &fields[1..] } else { &fields };
        assert_eq!(decided(&mut world, fields).outcome, Outcome::Refused, "{authorization}");
    }
    let mut world = World::new(ENVOY, &required(authgear("resolver")));
    let step = start(&mut world, &[("cookie", &cookies)]);
    let _asked = world.question(step);
}
