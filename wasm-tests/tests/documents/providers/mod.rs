//! `docs/providers.md`: each configuration serves tokens of its provider's shape, and refuses those that are for
//! something else. Key sets and tokens are made anew with test keys; what else stands in them is as the providers
//! publish it.

mod table;

use std::collections::BTreeSet;

use authgear_filter::config::Config;
use authgear_filter::engine::{Capabilities, Decision, Engine, Outcome, Step, Verdict};
use authgear_filter::http::Head;
use authgear_filter::jose::{Algorithm, Backend};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE;
use serde_json::{Value, json};

use crate::issuer::{self, Issuer, NOW, base64url};
use crate::{configurations, document};

use table::{Provider, providers, with};

const KID: &str = "9338abe1baf2fe492f646a736f25afbf";

impl Provider {
    fn key_set(&self, issuer: &Issuer) -> Value {
        let kid = issuer::kid(self.algorithm);
        let keys = issuer.jwks();
        let own = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == kid).unwrap();
        let mut own = with(own, self.key.clone());
        own["kid"] = json!(KID);
        let mut keys = self.other_keys.as_array().unwrap().clone();
        keys.push(own);
        with(&self.beside, json!({ "keys": keys }))
    }

    fn token(&self, issuer: &Issuer, header: &Value, claims: &Value) -> String {
        let header = with(header, json!({"alg": self.algorithm.name(), "kid": KID}));
        let claims = with(claims, json!({"iat": NOW - 10, "exp": NOW + 600}));
        issuer.signed(self.algorithm, &header.to_string(), &claims.to_string())
    }

    /// The result of a request with a token.
    fn decide(&self, configuration: &Value, token: &str) -> Decision {
        let config = Config::parse(configuration.to_string().as_bytes()).unwrap();
        let engine = Engine::new(config, Capabilities { background: true, signatures: Backend::Portable });
        let (name, value) = match self.header {
            Some(name) => (name, token.to_owned()),
            None => ("authorization", format!("Bearer {token}")),
        };
        let head = Head {
            method: b"GET",
            scheme: b"https",
            authority: b"api.example.com",
            path: b"/",
            fields: &[(name.as_bytes(), value.as_bytes())],
            client_address: &|| None,
        };
        match engine.start(&mut engine.state(1), &head, issuer::now()) {
            Step::Done(decision) => decision,
            step => panic!("{}: {step:?}", self.name),
        }
    }
}

/// The sections of the document that hold a configuration, each with it.
fn documented() -> Vec<(String, Value)> {
    let document = document("docs/providers.md");
    let sections = document.text.split("\n## ").skip(1);
    let configurations = sections.filter_map(|section| {
        let (name, rest) = section.split_once('\n')?;
        let yaml = rest.split_once("```yaml\n")?.1.split_once("```")?.0;
        assert!(yaml.lines().count() <= 12, "{name}: too long to be copied without thinking");
        Some((name.to_owned(), yaml_serde::from_str(yaml).unwrap()))
    });
    configurations.collect()
}

fn body(decision: &Decision) -> (u16, String) {
    match &decision.verdict {
        Verdict::Reply(reply) => (reply.status, String::from_utf8_lossy(&reply.body).into_owned()),
        Verdict::Forward(edits) => panic!("forwarded: {edits:?}"),
    }
}

#[test]
fn each_providers_tokens_pass_and_what_is_no_access_token_of_it_does_not() {
    let issuer = Issuer::new();
    let documented = documented();
    let providers = providers();
    let tried: BTreeSet<_> = providers.iter().map(|provider| provider.name.to_owned()).collect();
    let named: BTreeSet<_> = documented.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(tried, named, "each configuration is tried");
    for provider in &providers {
        let (_, configuration) = documented.iter().find(|(name, _)| name == provider.name).unwrap();
        configurations::parse(configuration).unwrap_or_else(|error| panic!("{}: {error}", provider.name));
        let mut inline = configuration.clone();
        let one = inline["jwt"][0].as_object_mut().unwrap();
        one.retain(|name, _| !matches!(name.as_str(), "jwks_uri" | "upstream"));
        one.insert("jwks".to_owned(), provider.key_set(&issuer));
        for claims in &provider.passes {
            let decision = provider.decide(&inline, &provider.token(&issuer, &provider.typ, claims));
            let Verdict::Forward(edits) = &decision.verdict else {
                panic!("{}: {:?} {claims}", provider.name, body(&decision));
            };
            assert_eq!(decision.outcome, Outcome::Session, "{} {claims}", provider.name);
            assert!(edits.set.iter().count() > 0, "{}: the app is told nobody", provider.name);
        }
        for (what, header, claims) in &provider.refused {
            let decision = provider.decide(&inline, &provider.token(&issuer, header, claims));
            let (status, body) = body(&decision);
            assert!(matches!(status, 401 | 403), "{}, {what}: {status} {body}", provider.name);
        }
        // Nobody else signs such tokens.
        let stranger = Issuer::new();
        let forged = match provider.algorithm {
            Algorithm::Es256 => provider.token(&stranger, &provider.typ, &provider.passes[0]),
            _ => format!("{}A", provider.token(&issuer, &provider.typ, &provider.passes[0])),
        };
        assert_eq!(body(&provider.decide(&inline, &forged)).0, 401, "{}", provider.name);
    }
}

#[test]
fn a_load_balancers_token_is_refused_with_the_reason() {
    let issuer = Issuer::new();
    let header = json!({
        "typ": "JWT", "kid": "99999999-9999-9999-9999-999999999999", "alg": "ES256", "iss": "https://issuer.example",
        "client": "client-id", "exp": NOW + 60,
        "signer": "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/web/50dc6c495c0c9188",
    });
    let claims = json!({"sub": "u", "email": "alice@example.com", "username": "u", "exp": NOW + 60, "iss": "https://issuer.example"});
    let pad = |part: String| BASE64_URL_SAFE.encode(part);
    let message = format!("{}.{}", pad(header.to_string()), pad(claims.to_string()));
    let signature = BASE64_URL_SAFE.encode(issuer.sign(Algorithm::Es256, message.as_bytes()));
    assert!(signature.ends_with("=="));
    let provider = Provider {
        name: "AWS ALB",
        header: Some("x-amzn-oidc-data"),
        algorithm: Algorithm::Es256,
        key: json!({}),
        other_keys: json!([]),
        beside: json!({}),
        typ: json!({}),
        passes: vec![],
        refused: vec![],
    };
    let configuration = json!({"jwt": [{
        "issuer": "https://issuer.example", "audiences": ["client-id"], "algorithms": ["ES256"], "types": [],
        "token_from": [{"header": "x-amzn-oidc-data"}], "jwks": issuer.jwks(),
    }]});
    let reason =
        "it is signed by an AWS load balancer, which pads base64, as no JWT may, and publishes no key set";
    let (status, body) = body(&provider.decide(&configuration, &format!("{message}.{signature}")));
    assert!(status == 401 && body.contains(reason), "{status} {body}");
    // Others that pad are refused for what they do.
    let other = format!("{}.{}.{signature}", base64url(r#"{"alg":"ES256"}"#), base64url("{}"));
    assert!(self::body(&provider.decide(&configuration, &other)).1.contains("not strict base64url"));

    let document = document("docs/providers.md").text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(document.contains(reason), "docs/providers.md says so too");
    for uri in [
        "https://public-keys.auth.elb.eu-central-1.amazonaws.com/",
        "https://public-keys.auth.elb.eu-central-1.amazonaws.com/99999999",
        "https://s3-us-gov-west-1.amazonaws.com/aws-elb-public-keys-prod-us-gov-west-1/x",
    ] {
        let configuration = json!({"jwt": [{
            "issuer": "https://issuer.example", "audiences": ["a"], "jwks_uri": uri, "upstream": "alb",
        }]});
        let error = configurations::parse(&configuration).unwrap_err();
        assert!(error.starts_with("jwt[0].jwks_uri: is that of an AWS load balancer"), "{error}");
    }
}
