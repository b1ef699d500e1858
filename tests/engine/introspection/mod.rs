//! An authorization server that is asked about tokens: about which ones, what its answer means for a request, and how
//! long the answer is cached.

mod answers;
mod asked;
mod remembered;

use authgear_filter::engine::Decision;
use authgear_filter::http::{Call, Fields, Response};
use serde_json::{Value, json};

use crate::issuer::{ISSUER, Issuer, NOW};
use crate::world::{APISIX, Answer, World, called, done, replied};

/// The issuer of opaque tokens.
pub(super) const SERVER: &str = "https://login.example";

pub(super) const OPAQUE: &str = "ory_at_cvTX4uXNB.uh1b2";

/// One issuer, whose tokens are asked about.
pub(super) fn configuration(more: Value) -> Value {
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
pub(super) fn with_keys(issuer: &Issuer) -> Value {
    let mut configuration = configuration(json!({}));
    configuration["jwt"][0]["issuer"] = json!(ISSUER);
    configuration["jwt"][0]["audiences"] = json!([ISSUER]);
    configuration["jwt"][0]["jwks"] = issuer.jwks();
    configuration
}

/// What the server states of a good token, and what else it states.
pub(super) fn active(more: Value) -> Value {
    let mut answer =
        json!({"active": true, "sub": "alice", "aud": ["api"], "client_id": "shop", "exp": NOW + 3600});
    for (name, value) in more.as_object().unwrap() {
        answer[name] = value.clone();
    }
    answer
}

pub(super) fn answered(status: u16, body: impl Into<Vec<u8>>) -> Answer {
    Ok(Response { status, fields: Fields::default(), body: body.into() })
}

/// Returns the decision about a request whose token is asked about and gets this answer.
pub(super) fn decided(configuration: &Value, answer: Answer) -> Decision {
    let mut world = World::new(APISIX, configuration);
    let (_, waiting) = called(world.bearer(OPAQUE));
    done(world.resume(waiting, answer))
}

pub(super) fn form(call: &Call) -> &str {
    std::str::from_utf8(call.form.as_ref().unwrap().reveal()).unwrap()
}

pub(super) fn message(decision: &Decision) -> String {
    let body: Value = serde_json::from_slice(&replied(decision).body).unwrap();
    body["message"].as_str().unwrap().to_owned()
}
