//! What the providers' key sets and tokens look like, as they publish and document it.
//!
//! Compared with their documents or sources in November 2026:
//! - Entra v1 and v2: `typ` is always `JWT`; v1 has `appid`, `appidacr`, `acr`, `amr`, `unique_name`, v2 `azp`, `azpacr`,
//!   `preferred_username`; `scp` is one string. <https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference>
//! - Firebase: `iss`, `aud`, `user_id` (equal to `sub`) and `firebase.sign_in_provider`.
//!   <https://firebase.google.com/docs/reference/js/v8/firebase.FirebaseIdToken>; algorithm and key:
//!   <https://firebase.google.com/docs/auth/admin/verify-id-tokens>
//! - Google: <https://developers.google.com/identity/openid-connect/reference>
//! - Ory Hydra: `aud` is `[]` where none was granted, `scp` a list by default, `ext`, `client_id`, `nbf`.
//!   <https://github.com/ory/hydra/blob/master/oauth2/session.go>,
//!   <https://github.com/ory/fosite/blob/master/token/jwt/claims_jwt.go>
//! - Authelia: `typ` `at+jwt`, `client_id`, and `aud` as Hydra's; scopes by version in `scp`, in `scope`, or in both.
//!   <https://github.com/authelia/authelia/blob/master/internal/oidc/session.go>
//!
//! Not compared: Auth0, Okta, Entra B2C, Cognito, Keycloak, Zitadel, authentik, Cloudflare Access and Google IAP.

use authgear_filter::jose::Algorithm;
use serde_json::{Value, json};

use crate::issuer::{self, NOW};

/// A provider as its tokens show it.
pub(super) struct Provider {
    /// The heading of its section.
    pub(super) name: &'static str,
    /// The place of its token, if that is not `Authorization: Bearer`.
    pub(super) header: Option<&'static str>,
    pub(super) algorithm: Algorithm,
    /// The members beside the parameters of the signing key.
    pub(super) key: Value,
    /// The other keys of the set.
    pub(super) other_keys: Value,
    /// The members of the set beside `keys`.
    pub(super) beside: Value,
    /// The header of access tokens, without `alg` and `kid`.
    pub(super) typ: Value,
    /// The claims of access tokens that pass, without times.
    pub(super) passes: Vec<Value>,
    /// Refused tokens: a description, the header and the claims, without times.
    pub(super) refused: Vec<(&'static str, Value, Value)>,
}

fn entra_key() -> Value {
    json!({"use": "sig", "x5t": "kg2LYs2T0CTjIfj4rt6JIynen38", "x5c": ["MIIC/TCCAeWgAwIBAgIIUd7j/OIahkYwDQYJKoZIhvcNAQELBQAw"],
        "cloud_instance_name": "microsoftonline.com", "issuer": "https://login.microsoftonline.com/{tenantid}/v2.0"})
}

/// The claims over others; `null` removes.
pub(super) fn with(base: &Value, changes: Value) -> Value {
    let mut claims = base.clone();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

pub(super) fn providers() -> Vec<Provider> {
    let jwt = json!({"typ": "JWT"});
    let rs256 = json!({"use": "sig", "alg": "RS256"});
    let plain = |name, key: &Value, typ: &Value, passes, refused| Provider {
        name,
        header: None,
        algorithm: Algorithm::Rs256,
        key: key.clone(),
        other_keys: json!([]),
        beside: json!({}),
        typ: typ.clone(),
        passes,
        refused,
    };

    let auth0 = json!({
        "iss": "https://example.eu.auth0.com/", "sub": "auth0|6553da60a54af58e29493993",
        "aud": ["https://api.example.com", "https://example.eu.auth0.com/userinfo"], "azp": "K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja",
        "scope": "openid profile read:orders", "permissions": ["read:orders"],
    });
    let auth0_id = json!({
        "iss": "https://example.eu.auth0.com/", "sub": "auth0|6553da60a54af58e29493993",
        "aud": "K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja", "nickname": "alice", "sid": "x", "nonce": "n",
    });
    let okta = json!({
        "ver": 1, "jti": "AT.0wMxViLUPG0jZYKJbScQOHw9", "iss": "https://example.okta.com/oauth2/default",
        "aud": "api://default", "cid": "0oa3wuq8smhwCciv41d2", "uid": "00u7eb49xxovmQpID1d2",
        "scp": ["openid", "orders.read"], "auth_time": NOW - 100, "sub": "alice@example.com", "groups": ["Everyone"],
    });
    let okta_id = json!({
        "ver": 1, "jti": "ID.4eAWJOCMB3SX8XewDfVR", "iss": "https://example.okta.com/oauth2/default",
        "aud": "0oa3wuq8smhwCciv41d2", "sub": "00u7eb49xxovmQpID1d2", "amr": ["pwd"], "idp": "00o1", "at_hash": "x",
    });
    let tid = "33333333-cccc-4ccc-8ccc-333333333333";
    let (api, client) = ("11111111-aaaa-4aaa-8aaa-111111111111", "22222222-bbbb-4bbb-8bbb-222222222222");
    let entra2 = json!({
        "aud": api, "iss": format!("https://login.microsoftonline.com/{tid}/v2.0"), "nbf": NOW - 10, "aio": "x",
        "azp": client, "azpacr": "0", "name": "Alice", "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474",
        "preferred_username": "alice@example.com", "rh": "x", "scp": "Orders.Read Orders.Write",
        "sub": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ", "tid": tid, "uti": "x", "ver": "2.0",
    });
    let entra2_id = with(&entra2, json!({"aud": client, "scp": null, "azp": null, "azpacr": null}));
    let entra1 = json!({
        "aud": "api://orders.example.com", "iss": format!("https://sts.windows.net/{tid}/"), "nbf": NOW - 10, "acr": "1",
        "amr": ["pwd", "mfa"], "appid": client, "appidacr": "0", "ipaddr": "192.0.2.1", "name": "Alice",
        "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474", "scp": "Orders.Read", "sub": "x", "tid": tid,
        "unique_name": "alice@example.com", "upn": "alice@example.com", "uti": "x", "ver": "1.0",
    });
    let entra1_id = with(&entra1, json!({"aud": client, "appid": null, "appidacr": null, "scp": null}));
    let b2c = json!({
        "iss": format!("https://example.b2clogin.com/{tid}/v2.0/"), "nbf": NOW - 10, "aud": api,
        "oid": "1558f87f-452b-4757-bcd1-883a0b3a1a1a", "sub": "1558f87f-452b-4757-bcd1-883a0b3a1a1a", "name": "Alice",
        "tfp": "B2C_1_signin", "nonce": "n", "scp": "orders.read", "azp": client, "ver": "1.0",
    });
    let b2c_id = with(&b2c, json!({"aud": client, "scp": null, "azp": null, "auth_time": NOW - 100}));
    let google = json!({
        "iss": "https://accounts.google.com", "azp": "103234567890123456789", "aud": "https://orders.example.com",
        "sub": "103234567890123456789", "email": "caller@my-project.iam.gserviceaccount.com", "email_verified": true,
    });
    let google_id = json!({
        "iss": "https://accounts.google.com", "azp": "1234-abc.apps.googleusercontent.com",
        "aud": "1234-abc.apps.googleusercontent.com", "sub": "110169484474386276334", "at_hash": "x",
        "hd": "example.com", "email": "alice@example.com", "email_verified": true,
    });
    let pool = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Example";
    let cognito = json!({
        "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "cognito:groups": ["admin"], "iss": pool, "version": 2,
        "client_id": "4lb1exampleclientid", "origin_jti": "x", "event_id": "x", "token_use": "access",
        "scope": "openid aws.cognito.signin.user.admin", "auth_time": NOW - 100, "jti": "x", "username": "alice",
    });
    let cognito_id = json!({
        "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "cognito:groups": ["admin"], "email_verified": true, "iss": pool,
        "cognito:username": "alice", "aud": "4lb1exampleclientid", "event_id": "x", "token_use": "id",
        "auth_time": NOW - 100, "email": "alice@example.com", "at_hash": "x",
    });
    let keycloak = json!({
        "jti": "x", "iss": "https://sso.example.com/realms/shop", "aud": "account", "sub": "36fa0f91-f94d-4a0c-afed",
        "typ": "Bearer", "azp": "shop-web", "sid": "x", "acr": "1", "allowed-origins": ["https://shop.example.com"],
        "realm_access": {"roles": ["admin", "offline_access"]},
        "resource_access": {"account": {"roles": ["view-profile"]}},
        "scope": "openid profile", "email_verified": true, "preferred_username": "alice",
    });
    let keycloak_id = json!({
        "jti": "x", "iss": "https://sso.example.com/realms/shop", "aud": "shop-web", "sub": "36fa0f91-f94d-4a0c-afed",
        "typ": "ID", "azp": "shop-web", "sid": "x", "at_hash": "x", "acr": "1", "preferred_username": "alice",
    });
    let firebase = json!({
        "iss": "https://securetoken.google.com/my-project", "aud": "my-project", "auth_time": NOW - 100,
        "user_id": "GbtLmEGoPzZ1", "sub": "GbtLmEGoPzZ1", "email": "alice@example.com", "email_verified": true,
        "firebase": {"identities": {"email": ["alice@example.com"]}, "sign_in_provider": "password"},
    });
    let zitadel = json!({
        "iss": "https://example.zitadel.cloud", "sub": "163840776835432345", "aud": ["170079991923474689@shop", "201982826478953724"],
        "nbf": NOW - 10, "jti": "V1_170080", "client_id": "170079991923474689@shop",
        "urn:zitadel:iam:org:project:roles": {"admin": {"178204173316174381": "example.zitadel.cloud"}},
    });
    let zitadel_id = json!({
        "iss": "https://example.zitadel.cloud", "sub": "163840776835432345", "aud": ["170079991923474689@shop", "201982826478953724"],
        "azp": "170079991923474689@shop", "client_id": "170079991923474689@shop", "amr": ["pwd"], "auth_time": NOW - 100,
        "at_hash": "x", "nonce": "n",
    });
    let hydra = json!({
        "aud": [], "client_id": "shop-web", "ext": {"plan": "pro"}, "iss": "https://hydra.example.com", "jti": "x",
        "nbf": NOW - 10, "scp": ["openid", "orders.read"], "sub": "alice",
    });
    let hydra_id = json!({
        "acr": "0", "at_hash": "x", "aud": ["shop-web"], "auth_time": NOW - 100, "iss": "https://hydra.example.com",
        "jti": "x", "nonce": "n", "rat": NOW - 100, "sid": "x", "sub": "alice",
    });
    let authelia = json!({
        "aud": ["https://api.example.com"], "client_id": "shop-web", "iss": "https://auth.example.com", "jti": "x",
        "nbf": NOW - 10, "scope": "openid orders.read", "scp": ["openid", "orders.read"], "sub": "8b1f7c0e",
    });
    let authelia_id = json!({
        "amr": ["pwd"], "at_hash": "x", "aud": ["shop-web"], "auth_time": NOW - 100, "azp": "shop-web",
        "client_id": "shop-web", "iss": "https://auth.example.com", "jti": "x", "sub": "8b1f7c0e",
    });
    let authentik_id = json!({
        "iss": "https://auth.example.com/application/o/shop/", "sub": "4d1a", "aud": "shop-client-id",
        "auth_time": NOW - 100, "acr": "goauthentik.io/providers/oauth2/default", "amr": ["pwd"], "sid": "x",
        "email": "alice@example.com", "preferred_username": "alice", "groups": ["admin"], "at_hash": "x", "nonce": "n",
    });
    let authentik = with(
        &authentik_id,
        json!({"azp": "shop-client-id", "uid": "LRQ6", "at_hash": null, "scope": "openid profile"}),
    );
    let cloudflare = json!({
        "aud": ["32eafc7626e974616deaf0dc3ce63d7bcbed58a2731e84d06bc3cdf1b53c4228"], "email": "user@example.com",
        "nbf": NOW - 10, "iss": "https://example.cloudflareaccess.com", "type": "app", "identity_nonce": "6ei69kawdKzMIAPF",
        "sub": "7335d417-61da-459d-899c-0a01c76a2f94", "country": "US",
    });
    let iap = json!({
        "iss": "https://cloud.google.com/iap", "sub": "accounts.google.com:118133858486581853996",
        "aud": "/projects/123456789/global/backendServices/987654321", "email": "alice@example.com", "hd": "example.com",
        "google": {"access_levels": ["accessPolicies/518551280924/accessLevels/recent"]},
    });

    vec![
        Provider {
            key: json!({"use": "sig", "alg": "RS256", "x5t": "x", "x5c": ["MIIDBzCCAe+gAwIBAgIJ"]}),
            ..plain(
                "Auth0",
                &rs256,
                &jwt,
                vec![
                    auth0.clone(),
                    // A machine
                    with(
                        &auth0,
                        json!({"sub": "K1AUPhZq8@clients", "aud": "https://api.example.com", "gty": "client-credentials"}),
                    ),
                ],
                vec![
                    ("its ID token", jwt.clone(), auth0_id),
                    (
                        "a token for userinfo",
                        jwt.clone(),
                        with(&auth0, json!({"aud": "https://example.eu.auth0.com/userinfo"})),
                    ),
                    (
                        "another tenant",
                        jwt.clone(),
                        with(&auth0, json!({"iss": "https://other.eu.auth0.com/"})),
                    ),
                ],
            )
        },
        plain(
            "Okta",
            &json!({"use": "sig", "alg": "RS256"}),
            &json!({}),
            vec![
                okta.clone(),
                with(&okta, json!({"uid": null, "sub": "0oa3wuq8smhwCciv41d2", "scp": ["orders.read"]})),
            ],
            vec![
                ("its ID token", json!({}), okta_id),
                (
                    "a token of the org server",
                    json!({}),
                    with(
                        &okta,
                        json!({"iss": "https://example.okta.com", "aud": "https://example.okta.com"}),
                    ),
                ),
                ("a token without the scope", json!({}), with(&okta, json!({"scp": ["openid"]}))),
            ],
        ),
        plain(
            "Entra v2",
            &entra_key(),
            &jwt,
            vec![entra2.clone()],
            vec![
                ("its ID token", jwt.clone(), entra2_id),
                (
                    "the ID token of an app that is the API too",
                    jwt.clone(),
                    with(&entra2, json!({"scp": null, "azp": null})),
                ),
                (
                    "a stranger's tenant",
                    jwt.clone(),
                    with(
                        &entra2,
                        json!({
                            "tid": "f8cdef31-a31e-4b4a-93e4-5f571e91255a",
                            "iss": "https://login.microsoftonline.com/f8cdef31-a31e-4b4a-93e4-5f571e91255a/v2.0",
                        }),
                    ),
                ),
                (
                    "a tenant in iss alone",
                    jwt.clone(),
                    with(
                        &entra2,
                        json!({
                            "iss": "https://login.microsoftonline.com/f8cdef31-a31e-4b4a-93e4-5f571e91255a/v2.0",
                        }),
                    ),
                ),
                ("a v1 token", jwt.clone(), with(&entra1, json!({"aud": api}))),
            ],
        ),
        plain(
            "Entra v1",
            &entra_key(),
            &jwt,
            vec![entra1.clone()],
            vec![
                ("its ID token", jwt.clone(), entra1_id),
                ("a v2 token", jwt.clone(), entra2),
                (
                    "another tenant",
                    jwt.clone(),
                    with(
                        &entra1,
                        json!({"iss": "https://sts.windows.net/f8cdef31-a31e-4b4a-93e4-5f571e91255a/"}),
                    ),
                ),
            ],
        ),
        plain(
            "Entra B2C",
            &json!({"use": "sig", "nbf": 1_493_763_266}),
            &jwt,
            vec![b2c.clone()],
            vec![
                ("its ID token", jwt.clone(), b2c_id),
                (
                    "the ID token of an app that is the API too",
                    jwt.clone(),
                    with(&b2c, json!({"scp": null, "azp": null})),
                ),
                ("another policy", jwt.clone(), with(&b2c, json!({"tfp": "B2C_1_password_reset"}))),
            ],
        ),
        plain(
            "Google",
            &rs256,
            &jwt,
            vec![google.clone()],
            vec![
                ("the ID token of a login", jwt.clone(), google_id),
                (
                    "the issuer of old clients",
                    jwt.clone(),
                    with(&google, json!({"iss": "accounts.google.com"})),
                ),
                (
                    "somebody else's service account",
                    jwt.clone(),
                    with(&google, json!({"email": "x@evil.iam.gserviceaccount.com"})),
                ),
                (
                    "an address that is not verified",
                    jwt.clone(),
                    with(&google, json!({"email_verified": false})),
                ),
                (
                    "an address that is verified in a string",
                    jwt.clone(),
                    with(&google, json!({"email_verified": "true"})),
                ),
            ],
        ),
        plain(
            "Cognito",
            &rs256,
            &json!({}),
            vec![cognito.clone()],
            vec![
                ("its ID token", json!({}), cognito_id),
                ("another client", json!({}), with(&cognito, json!({"client_id": "other"}))),
                (
                    "another pool",
                    json!({}),
                    with(
                        &cognito,
                        json!({"iss": "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Other"}),
                    ),
                ),
            ],
        ),
        Provider {
            other_keys: json!([{
                "kid": "enc", "kty": "RSA", "alg": "RSA-OAEP", "use": "enc", "n": issuer::RSA_N, "e": "AQAB",
                "x5c": ["MIICmzCCAYMCBgGAAAAA"], "x5t": "x",
            }]),
            ..plain(
                "Keycloak",
                &json!({"use": "sig", "alg": "RS256", "x5c": ["MIICmzCCAYMCBgGAAAAA"], "x5t": "x", "x5t#S256": "x"}),
                &jwt,
                vec![keycloak.clone(), with(&keycloak, json!({"aud": null}))],
                vec![
                    ("its ID token", jwt.clone(), keycloak_id),
                    (
                        "its refresh token",
                        jwt.clone(),
                        with(
                            &keycloak,
                            json!({"typ": "Refresh", "aud": "https://sso.example.com/realms/shop"}),
                        ),
                    ),
                    ("its offline token", jwt.clone(), with(&keycloak, json!({"typ": "Offline"}))),
                    ("another client", jwt.clone(), with(&keycloak, json!({"azp": "other"}))),
                    (
                        "another realm",
                        jwt.clone(),
                        with(&keycloak, json!({"iss": "https://sso.example.com/realms/master"})),
                    ),
                ],
            )
        },
        plain(
            "Firebase",
            &rs256,
            &jwt,
            vec![firebase.clone()],
            vec![
                (
                    "another project",
                    jwt.clone(),
                    with(&firebase, json!({"iss": "https://securetoken.google.com/other", "aud": "other"})),
                ),
                (
                    "a session cookie",
                    jwt.clone(),
                    with(&firebase, json!({"iss": "https://session.firebase.google.com/my-project"})),
                ),
            ],
        ),
        plain(
            "Zitadel",
            &rs256,
            &json!({}),
            vec![zitadel.clone()],
            vec![
                ("its ID token", json!({}), zitadel_id),
                (
                    "a role that is not asked for",
                    json!({}),
                    with(&zitadel, json!({"urn:zitadel:iam:org:project:roles": {"guest": {}}})),
                ),
                ("another project", json!({}), with(&zitadel, json!({"aud": ["170079991923474689@shop"]}))),
            ],
        ),
        plain(
            "Ory Hydra",
            &rs256,
            &jwt,
            vec![
                hydra.clone(),
                with(&hydra, json!({"aud": ["https://api.example.com"]})),
                with(&hydra, json!({"scope": "openid orders.read"})),
                with(&hydra, json!({"scope": "openid orders.read", "scp": null})),
            ],
            vec![
                ("its ID token", jwt.clone(), hydra_id.clone()),
                (
                    "an ID token that names its client",
                    jwt.clone(),
                    with(&hydra_id, json!({"client_id": "shop-web", "scp": ["orders.read"]})),
                ),
                ("another client", jwt.clone(), with(&hydra, json!({"client_id": "other"}))),
                ("a token without the scope", jwt.clone(), with(&hydra, json!({"scp": ["openid"]}))),
            ],
        ),
        plain(
            "Authelia",
            &rs256,
            &json!({"typ": "at+jwt"}),
            vec![
                authelia.clone(),
                with(&authelia, json!({"scope": null})),
                with(&authelia, json!({"scp": null})),
            ],
            vec![
                ("its ID token", jwt.clone(), authelia_id),
                (
                    "a token without an audience",
                    json!({"typ": "at+jwt"}),
                    with(&authelia, json!({"aud": []})),
                ),
            ],
        ),
        Provider {
            key: json!({"use": "sig", "alg": "RS256", "x5c": ["MIIFUjCCAzqgAwIBAgIR"], "x5t": "x", "x5t#S256": "x"}),
            ..plain(
                "authentik",
                &rs256,
                &jwt,
                vec![authentik.clone()],
                vec![
                    ("its ID token", jwt.clone(), authentik_id),
                    (
                        "another provider",
                        jwt.clone(),
                        with(&authentik, json!({"aud": "other", "azp": "other"})),
                    ),
                ],
            )
        },
        Provider {
            header: Some("cf-access-jwt-assertion"),
            beside: json!({
                "public_cert": {"kid": "x", "cert": "-----BEGIN CERTIFICATE-----\n"},
                "public_certs": [{"kid": "x", "cert": "-----BEGIN CERTIFICATE-----\n"}],
            }),
            ..plain(
                "Cloudflare Access",
                &json!({"use": "sig", "alg": "RS256"}),
                &jwt,
                vec![cloudflare.clone()],
                vec![
                    (
                        "another application",
                        jwt.clone(),
                        with(&cloudflare, json!({"aud": ["97e2aae120121f902df8bc99fc345913"]})),
                    ),
                    (
                        "a service token, which is nobody",
                        jwt.clone(),
                        with(&cloudflare, json!({"sub": "", "common_name": "x.access", "email": null})),
                    ),
                ],
            )
        },
        Provider {
            header: Some("x-goog-iap-jwt-assertion"),
            algorithm: Algorithm::Es256,
            ..plain(
                "Google IAP",
                &json!({"use": "sig", "alg": "ES256"}),
                &jwt,
                vec![iap.clone()],
                vec![
                    (
                        "another backend",
                        jwt.clone(),
                        with(&iap, json!({"aud": "/projects/1/global/backendServices/2"})),
                    ),
                    (
                        "a token of Google's accounts",
                        jwt.clone(),
                        with(&iap, json!({"iss": "https://accounts.google.com"})),
                    ),
                ],
            )
        },
    ]
}
