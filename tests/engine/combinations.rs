//! Features that meet in one request: what one of them lets in, another must not let slip.

use authgear_filter::engine::Outcome;
use authgear_filter::http::Head;
use authgear_filter::jose::Algorithm;
use serde_json::json;

use crate::issuer::{self, ISSUER, Issuer};
use crate::world::{APISIX, World, done};

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
        // Read in two ways, one of which is no rule's.
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
