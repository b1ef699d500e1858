//! A forward-auth server: whose answer serves whom, and what a denial of it becomes.

mod answers;
mod questions;

use authgear_filter::http::{Field, Fields, Head, Response};
use serde_json::{Value, json};

use crate::world::Answer;

pub(super) fn configuration(change: &Value) -> Value {
    let mut configuration = json!({"forward_auth": {"url": "http://auth/check", "upstream": "auth",
        "identity_headers": ["authorization", "x-user"]}, "cache": {"ttl": "60s", "negative_ttl": "60s"}});
    for (name, value) in change.as_object().unwrap() {
        for (inner, value) in value.as_object().unwrap() {
            configuration[name][inner] = value.clone();
        }
    }
    configuration
}

pub(super) fn answer(status: u16, fields: &[(&str, &str)]) -> Answer {
    Ok(Response { status, fields: fields.iter().copied().collect::<Fields>(), body: vec![] })
}

pub(super) const COOKIE: Field<'static> = (b"cookie", b"session=s");
pub(super) const SETS: (&str, &str) = ("set-cookie", "session=new");

/// A request for a path, from a client with a session's cookie.
pub(super) fn request<'a>(path: &'a str, fields: &'a [Field<'a>]) -> Head<'a> {
    Head {
        method: b"GET",
        scheme: b"https",
        authority: b"app.example",
        path: path.as_bytes(),
        fields,
        client_address: &|| None,
    }
}

pub(super) fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
