//! An issuer whose tokens are signed and verified quickly: its signatures are a checksum, which a stand-in of the proxy's
//! `verify_signature` checks. What is tried here is not cryptography; `tests/tokens` has that, with real signatures.

use authgear_filter::jose::Backend;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// Authgear's endpoint.
pub const ISSUER: &str = "https://myapp.authgear.cloud";

/// When everything begins, in seconds since the Unix epoch.
pub const NOW: u64 = 1_800_000_000;

/// RFC 7515 appendix A.2.1.
pub const RSA_N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";

/// The proxy that checks its signatures.
pub const PROXY: Backend = Backend::Proxy(|hash, _key, signature, message| {
    assert_eq!(hash, "sha256");
    Some(signature == sign(message))
});

/// Base64url without padding.
#[must_use]
pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// As long as the key's modulus, and below it.
#[must_use]
pub fn sign(message: &[u8]) -> Vec<u8> {
    // FNV-1a.
    let sum = message
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    let mut signature = sum.to_be_bytes().repeat(32);
    signature[0] = 0;
    signature
}

/// A token of any header and claims, rightly signed.
#[must_use]
pub fn signed(header: &str, claims: &str) -> String {
    let message = format!("{}.{}", base64url(header), base64url(claims));
    let signature = base64url(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

/// A user's access token.
#[must_use]
pub fn token(kid: &str, claims: &Value) -> String {
    signed(&json!({"alg": "RS256", "kid": kid, "typ": "at+jwt"}).to_string(), &claims.to_string())
}

/// The claims of a user's access token.
#[must_use]
pub fn claims(user: &str, expires: u64) -> Value {
    json!({
        "iss": ISSUER, "aud": [ISSUER], "sub": user, "iat": NOW - 10, "exp": expires, "client_id": "app",
        "scope": "openid", "auth_time": NOW - 100, "amr": ["pwd"],
        "https://authgear.com/claims/user/is_anonymous": false,
        "https://authgear.com/claims/user/is_verified": true,
        "https://authgear.com/claims/user/can_reauthenticate": true,
        "https://authgear.com/claims/user/roles": ["staff"],
    })
}

/// Its key set.
#[must_use]
pub fn jwks(kid: &str) -> Value {
    json!({"keys": [{"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", "n": RSA_N, "e": "AQAB"}]})
}
