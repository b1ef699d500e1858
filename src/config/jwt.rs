//! What is typed under `jwt`, and what becomes of it: issuers whose tokens are verified locally.

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::field::{Field, Given, List, Map, NonEmpty};
use super::raw::{missing, repeated};
use super::token_from::{self, TokenFrom};
use super::typed::{self, NonEmptyText, Span, Upstream, UrlWithQuery};
use super::{ACCESS_TOKEN_TYPE, ConfigError, DEFAULT_LEEWAY, Identity, Issuer, Keys, Server};
use crate::http::header::{self, Pattern};
use crate::http::url;
use crate::jose::KeySet;
use crate::jose::{Algorithm, ClaimPath, MediaType, Policy};

/// An issuer whose tokens are verified locally.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Issuer", extend("required" = ["issuer", "audiences"])))]
pub(super) struct RawIssuer {
    /// The exact `iss` of its tokens. Required.
    issuer: Given<typed::Issuer>,
    /// The accepted `aud`. Required, and not empty.
    audiences: Given<NonEmpty<NonEmptyText>>,
    /// The URL of its key set, which may have a query. Either this and `upstream`, or `jwks`.
    jwks_uri: Given<UrlWithQuery>,
    /// Where `jwks_uri` is reached: an Envoy cluster, or `host:port` on APISIX.
    upstream: Given<Upstream>,
    /// Its keys, as a JSON Web Key Set. At least one of them must be usable.
    jwks: Given<typed::KeySet>,
    /// The accepted algorithms: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 and EdDSA. Default:
    /// `[RS256]`.
    algorithms: Given<NonEmpty<typed::Algorithm>>,
    /// The accepted `typ`; an empty list accepts any. Default: `[at+jwt]`.
    types: Given<List<NonEmptyText>>,
    /// How far the clocks of the issuer and this machine may differ, for `exp`, `nbf` and `iat`. At most `24h`.
    /// Default: `30s`.
    leeway: Given<Span>,
    /// Headers for the app, each with the claim that it tells: the claim's exact name, or a list of names for a
    /// nested one. Default: none.
    headers: Given<Headers>,
    /// The claim that holds the roles, which `require.roles` looks at. Default: none.
    roles: Given<typed::ClaimPath>,
    /// Where its tokens may stand; the first place that holds one decides. Default:
    /// `[{header: authorization, scheme: Bearer}]`.
    token_from: Given<TokenFrom>,
}

impl RawIssuer {
    /// The issuers, and every header that any of them sets.
    pub(super) fn check_all(raw: Vec<Self>) -> Result<(Vec<Issuer>, Vec<Pattern>), ConfigError> {
        let mut issuers: Vec<Issuer> = Vec::with_capacity(raw.len());
        let mut names: Vec<Pattern> = Vec::new();
        for (number, raw) in raw.into_iter().enumerate() {
            let path = |field: &str| format!("jwt[{number}].{field}");
            for (name, _) in raw.headers.0.iter().flatten() {
                let name = Pattern::Name(name.clone());
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            let issuer = raw.check(&path)?;
            if issuers.iter().any(|known| known.policy.issuer == issuer.policy.issuer) {
                return Err(ConfigError::new(
                    path("issuer"),
                    "is listed twice; one entry must hold all of it",
                ));
            }
            issuers.push(issuer);
        }
        Ok((issuers, names))
    }

    fn check(self, path: &dyn Fn(&str) -> String) -> Result<Issuer, ConfigError> {
        let issuer = self
            .issuer
            .0
            .ok_or_else(|| missing(path("issuer"), "give the `iss` of the tokens, to the letter"))?;
        let audiences = self.audiences.0.ok_or_else(|| {
            missing(path("audiences"), "list what `aud` may be, or any token would be accepted")
        })?;
        let keys = keys(self.jwks.0, self.jwks_uri.0, self.upstream.0, path)?;
        let token_from = token_from::checked(self.token_from.0, &path("token_from"))?;
        Ok(Issuer {
            token_from,
            policy: Policy {
                issuer,
                audiences,
                algorithms: self.algorithms.0.unwrap_or_else(|| vec![Algorithm::Rs256]),
                types: match self.types.0 {
                    Some(types) => types.iter().map(|typ| MediaType::new(typ)).collect(),
                    None => vec![MediaType::new(ACCESS_TOKEN_TYPE)],
                },
                client_ids: vec![],
                leeway: self.leeway.0.unwrap_or(DEFAULT_LEEWAY),
            },
            keys,
            identity: Identity::Claims {
                headers: self
                    .headers
                    .0
                    .unwrap_or_default()
                    .into_iter()
                    .map(|(name, claim)| (name.into_bytes(), claim))
                    .collect(),
                roles: self.roles.0,
            },
        })
    }
}

/// The claims that become headers, each by the header's name in lower case.
struct Headers;

impl Field for Headers {
    type Value = Vec<(String, ClaimPath)>;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self::Value, D::Error> {
        let headers = Map::<typed::HeaderName, typed::ClaimPath>::read(deserializer)?;
        let is_same = |(one, _): &(String, _), (other, _): &(String, _)| {
            header::is_same(one.as_bytes(), other.as_bytes())
        };
        match repeated(&headers, is_same) {
            Some((_, (name, _))) => {
                Err(D::Error::custom(format_args!("many apps read `{name}` and another one alike")))
            }
            None => Ok(headers),
        }
    }

    #[cfg(feature = "schema")]
    fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Map::<typed::HeaderName, typed::ClaimPath>::schema(generator)
    }
}

fn keys(
    inline: Option<KeySet>,
    uri: Option<url::Url>,
    upstream: Option<String>,
    path: &dyn Fn(&str) -> String,
) -> Result<Keys, ConfigError> {
    match (inline, uri, upstream) {
        (Some(keys), None, None) => Ok(Keys::Inline(keys)),
        (None, Some(url), Some(upstream)) => {
            Ok(Keys::Fetched { public: url.clone(), server: Server { url, upstream } })
        }
        (None, Some(_), None) => Err(missing(
            path("upstream"),
            "give the Envoy cluster that reaches `jwks_uri`, or host:port on APISIX",
        )),
        (Some(_), Some(_), _) => Err(ConfigError::new(path("jwks"), "cannot stand beside `jwks_uri`")),
        (Some(_), None, Some(_)) => {
            Err(ConfigError::new(path("upstream"), "does nothing with `jwks`, which is not asked for"))
        }
        (None, None, _) => {
            Err(missing(path("jwks_uri"), "give `jwks_uri` and `upstream`, or the keys in `jwks`"))
        }
    }
}
