//! Auth-O-Tron, the real server.

mod filter;
mod server;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::Value;
use wasm_tests::auth_o_tron::SECRET;

/// The claims of a token that Auth-O-Tron signed.
///
/// # Panics
/// If this is not the value of an `Authorization` header with such a token.
fn claims(authorization: &str) -> Value {
    let token = authorization.strip_prefix("Bearer ").expect("a bearer token");
    let (signed, signature) = token.rsplit_once('.').expect("a JWT");
    let (header, claims) = signed.split_once('.').expect("a JWT");
    let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).expect("base64url");
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    hmac::verify(&key, signed.as_bytes(), &decode(signature)).expect("signed by Auth-O-Tron");
    let header: Value = serde_json::from_slice(&decode(header)).expect("JSON");
    assert_eq!(header, serde_json::json!({ "alg": "HS256", "typ": "JWT" }));
    serde_json::from_slice(&decode(claims)).expect("JSON")
}

/// Adds a user to the first realm of a configuration.
fn add_to_staff(configuration: &mut Value, user: &Value) {
    let users = configuration["providers"][0]["users"].as_array_mut();
    users.expect("a plain provider").push(user.clone());
}
