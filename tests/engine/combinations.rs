//! Features that meet in one request: what one of them lets in, another must not let slip.

use authgear_filter::config::Projects;
use authgear_filter::engine::projects::Engines;
use authgear_filter::engine::{Capabilities, Outcome, Step, Verdict};
use authgear_filter::http::{Field, Head};
use authgear_filter::jose::{Algorithm, Backend};
use serde_json::json;

use crate::issuer::{self, ISSUER, Issuer, base64url};
use crate::world::{APISIX, ENVOY, World, authgear, done, replied};

#[test]
fn a_path_that_may_be_two_takes_no_other_token_than_an_access_token_unless_both_rules_name_its_use() {
    let issuer = Issuer::new();
    let named = json!({"claims": [{"claim": "token_use", "any_of": ["id", "access"]}]});
    let configuration = json!({
        "jwt": [{"issuer": ISSUER, "audiences": [ISSUER], "jwks": issuer.jwks()}],
        "rules": [
            {"path": "/id", "require": named},
            {"path": "/also", "require": named},
            {"path": "/optional", "access": "optional"},
            {"path": "/public", "access": "public"},
        ],
    });
    let mut claims = issuer::claims();
    claims["token_use"] = json!("id");
    let bearer = format!("Bearer {}", issuer.token(Algorithm::Rs256, &claims));
    for (path, expected) in [
        ("/id", Outcome::Session),
        ("/other", Outcome::Refused),
        // A path with two readings, one of which matches no rule.
        ("/x/..%2fid", Outcome::Refused),
        ("/id;/", Outcome::Refused),
    ] {
        let mut world = World::new(APISIX, &configuration);
        let step = world.start_head(&Head {
            method: b"GET",
            scheme: b"https",
            authority: b"app.example",
            path: path.as_bytes(),
            fields: &[(b"authorization", bearer.as_bytes())],
            client_address: &|| None,
        });
        assert_eq!(done(step).outcome, expected, "{path}");
    }
}

/// Names of headers that tell an app who asks, by whatever option, in the spellings that some programs fold.
fn forged(names: &[&str]) -> Vec<String> {
    let spelled = names.iter().flat_map(|name| {
        let upper = name.to_uppercase().replace('-', "_");
        [(*name).to_owned(), name.replace('-', "_"), name.replace('-', "."), upper]
    });
    spelled.collect()
}

#[test]
fn no_header_that_tells_who_asks_is_the_clients_whatever_option_names_it_and_on_no_route() {
    let issuer = Issuer::new();
    let jwt = json!([
        {"issuer": ISSUER, "audiences": [ISSUER], "jwks": issuer.jwks(), "headers": {"x-user": "sub"},
         "payload_header": "x-jwt-payload"},
        {"issuer": "https://two.example", "client_ids": ["a"], "jwks": issuer.jwks(),
         "headers": {"x-realm-access": {"claim": "realm_access", "as": "json"}}},
    ]);
    let forward_auth = json!({"url": "http://a/", "upstream": "a", "roles_header": "x-auth-groups",
        "identity_headers": [{"header": "x-login", "from": "x-auth-request-user"}, "x-mail"]});
    let mut opaque = jwt.clone();
    opaque[1]["introspection"] = json!({"url": "http://h/", "upstream": "h"});
    let of_jwt = ["x-user", "x-jwt-payload", "x-realm-access"];
    let of_server = ["x-auth-groups", "x-login", "x-auth-request-user", "x-mail"];
    let cases = [
        (json!({"jwt": jwt}), of_jwt.to_vec()),
        (json!({"jwt": opaque}), of_jwt.to_vec()),
        (json!({"forward_auth": forward_auth}), of_server.to_vec()),
        (json!({"jwt": jwt, "forward_auth": forward_auth}), [of_jwt.as_slice(), &of_server].concat()),
    ];
    for (mut configuration, names) in cases {
        configuration["rules"] = json!([{"path": "/public", "access": "public"}]);
        configuration["on_error"] = json!({"action": "allow"});
        let names = forged(&names);
        let mut fields: Vec<Field<'_>> =
            names.iter().map(|name| (name.as_bytes(), b"forged".as_slice())).collect();
        let nominated = names.join(", ");
        fields.push((b"connection", nominated.as_bytes()));
        let preflight =
            [(b"origin".as_slice(), b"https://a".as_slice()), (b"access-control-request-method", b"PUT")];
        fields.extend(preflight);
        let bearer = format!("Bearer {}", issuer.token(Algorithm::Rs256, &issuer::claims()));
        for (method, path, token) in
            [("GET", "/public", None), ("OPTIONS", "/a", None), ("GET", "/a", Some(&bearer))]
        {
            if token.is_some() && configuration.get("jwt").is_none() {
                continue;
            }
            for background in [ENVOY, APISIX] {
                let mut world = World::new(background, &configuration);
                let mut fields = fields.clone();
                fields.extend(token.map(|token| (b"authorization".as_slice(), token.as_bytes())));
                let step = world.start_head(&Head {
                    method: method.as_bytes(),
                    scheme: b"https",
                    authority: b"app.example",
                    path: path.as_bytes(),
                    fields: &fields,
                    client_address: &|| None,
                });
                let Verdict::Forward(edits) = done(step).verdict else { panic!("{method} {path}") };
                for name in &names {
                    assert!(
                        edits.remove.iter().any(|gone| gone == name.as_bytes()),
                        "{name} {method} {path}"
                    );
                }
                assert!(edits.remove.iter().any(|gone| gone == b"connection"));
                assert!(
                    edits.rewrite.iter().all(|(name, _)| *name != b"connection"),
                    "nothing is left of it"
                );
            }
        }
    }
}

#[test]
fn large_and_deep_input_is_decided_like_any_other() {
    let places: Vec<_> = (0..20).map(|number| json!({"query": format!("q{number}")})).collect();
    let mut configuration = authgear("local");
    configuration["authgear"]["token_from"] = json!(places);
    configuration["strip_credentials"] = json!(true);
    let mut world = World::with_keys(ENVOY, &authgear("local"));
    let token = world.token();
    let pairs: String = (0..10_000).map(|number| format!("p%3{}={number}&", number % 10)).collect();
    let many = "&".repeat(60_000);
    for (query, expected) in [
        (format!("{pairs}q19={token}"), Outcome::NoKeysDenied),
        (format!("{many}q1={}", "a".repeat(1 << 20)), Outcome::Refused),
        (pairs.clone(), Outcome::Anonymous),
        (format!("q1={token}&{many}&q1={token}"), Outcome::Refused),
    ] {
        let mut world = World::new(APISIX, &configuration);
        let path = format!("/?{query}");
        let step = world.start_head(&Head {
            method: b"GET",
            scheme: b"https",
            authority: b"app.example",
            path: path.as_bytes(),
            fields: &[],
            client_address: &|| None,
        });
        match step {
            Step::Call(call, _) => {
                assert_eq!(expected, Outcome::NoKeysDenied, "keys are fetched: {call:.100?}");
            }
            step @ (Step::Done(_) | Step::Park(..)) => {
                assert_eq!(done(step).outcome, expected, "{path:.60}");
            }
        }
    }
    // Proofs and bound tokens of all sizes and depths are refused, and nothing else happens.
    let deep = format!("{}1{}", "[".repeat(3000), "]".repeat(3000));
    let jwks = [
        json!({"kty": "RSA", "e": "AQAB", "n": base64url(vec![0xff; 8000])}).to_string(),
        json!({"kty": "RSA", "e": base64url(vec![0xff; 6000]), "n": base64url(vec![0xff; 256])}).to_string(),
        json!({"kty": "EC", "crv": "P-256", "x": base64url(vec![1; 8000]), "y": "AQ"}).to_string(),
        format!(r#"{{"kty":"EC","crv":{deep}}}"#),
        deep.clone(),
    ];
    for jwk in &jwks {
        for jti in ["1".to_owned(), "j".repeat(1 << 20), "\u{0}".repeat(3000)] {
            let header = format!(r#"{{"typ":"dpop+jwt","alg":"RS256","jwk":{jwk}}}"#);
            let claims = json!({"jti": jti, "iat": issuer::NOW, "htm": "GET", "htu": "https://app.example/"});
            let proof =
                format!("{}.{}.{}", base64url(&header), base64url(claims.to_string()), base64url([0; 8000]));
            let cnf = format!(r#"{{"iss":"{ISSUER}","cnf":{{"jkt":{deep}}},"x":{deep}}}"#);
            let bound = format!("{}.{}.c2ln", base64url(r#"{"alg":"RS256","typ":"at+jwt"}"#), base64url(cnf));
            let named = json!({"iss": ISSUER, "cnf": {"jkt": base64url([7; 32])}}).to_string();
            let named =
                format!("{}.{}.c2ln", base64url(r#"{"alg":"RS256","typ":"at+jwt"}"#), base64url(named));
            for token in [&token, &bound, &named, &"a".repeat(1 << 20), &".".repeat(1 << 16)] {
                let authorization = format!("DPoP {token}");
                let fields: [Field<'_>; 2] =
                    [(b"authorization", authorization.as_bytes()), (b"dpop", proof.as_bytes())];
                assert_eq!(done(world.start(&fields)).outcome, Outcome::Refused, "{jwk:.60}");
            }
        }
    }
}

#[test]
fn on_a_host_of_no_project_the_tokens_of_all_of_them_are_stripped() {
    let configuration = json!({
        "authgear": [
            {"endpoint": ISSUER, "upstream": "a", "mode": "resolver", "hosts": ["a.example"]},
            {"endpoint": "https://b.example", "upstream": "b", "mode": "local", "hosts": ["b.example"],
             "token_from": [{"query": "t"}, {"header": "authorization", "scheme": "Bearer"}, {"cookie": "tok"}]},
        ],
        "strip_credentials": true,
        "rules": [{"prefix": "/public", "access": "public"}],
    });
    let projects = Projects::parse(configuration.to_string().as_bytes()).unwrap();
    let engines = Engines::new(projects, Capabilities { background: ENVOY, signatures: Backend::Portable });
    let mut memory = engines.memory(7);
    let mut start = |path: &[u8]| {
        let head = Head {
            method: b"GET",
            scheme: b"https",
            authority: b"other.example",
            path,
            fields: &[
                (b"x-authgear-user-id", b"forged"),
                (b"authorization", b"DPoP a.b.c"),
                (b"dpop", b"proof"),
                (b"cookie", b"tok=1; z=2; session=s"),
            ],
            client_address: &|| None,
        };
        match engines.start(&mut memory, &head, issuer::now()) {
            Step::Done(decision) => decision,
            step @ (Step::Call(..) | Step::Park(..)) => panic!("{step:?}"),
        }
    };
    let Verdict::Forward(edits) = start(b"/public?t=secret&x=1").verdict else { panic!() };
    for name in ["x-authgear-user-id", "authorization", "dpop", "cookie"] {
        assert!(edits.remove.iter().any(|gone| gone == name.as_bytes()), "{name}: {edits:?}");
    }
    let rewritten = |name: &[u8]| edits.rewrite.iter().find(|(known, _)| *known == name).map(|(_, to)| &**to);
    assert_eq!(rewritten(b":path"), Some(b"/public?x=1".as_slice()));
    assert_eq!(rewritten(b"cookie"), Some(b"z=2".as_slice()));
    assert_eq!(replied(&start(b"/other")).status, 421);
}
