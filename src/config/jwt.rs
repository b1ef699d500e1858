//! What was typed under `jwt`: issuers whose tokens are verified here.

use serde::Deserialize;
use serde_json::Value;

use super::raw::missing;
use super::typed::{Entries, HeaderName, NonEmpty, Object, Span, Text, Typed, Upstream, present};
use super::url::Url;
use super::{ACCESS_TOKEN_TYPE, ConfigError, DEFAULT_LEEWAY, Identity, Issuer, Keys, Server};
use crate::header::{self, Pattern};
use crate::jwks::KeySet;
use crate::jwt::{Algorithm, ClaimPath, MediaType, Policy};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIssuer {
    #[serde(default, deserialize_with = "present")]
    issuer: Option<Text>,
    #[serde(default, deserialize_with = "present")]
    audiences: Option<NonEmpty<Text>>,
    #[serde(default, deserialize_with = "present")]
    jwks_uri: Option<Typed<Url>>,
    #[serde(default, deserialize_with = "present")]
    upstream: Option<Upstream>,
    #[serde(default, deserialize_with = "present")]
    jwks: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    algorithms: Option<NonEmpty<Typed<Algorithm>>>,
    #[serde(default, deserialize_with = "present")]
    types: Option<Vec<Text>>,
    #[serde(default, deserialize_with = "present")]
    leeway: Option<Span>,
    /// Name of a header → claim.
    #[serde(default)]
    headers: Entries<HeaderName, Typed<ClaimPath>>,
    #[serde(default, deserialize_with = "present")]
    roles: Option<Typed<ClaimPath>>,
}

impl RawIssuer {
    /// The issuers, and every header that any of them sets.
    pub(super) fn check_all(raw: Vec<Object<Self>>) -> Result<(Vec<Issuer>, Vec<Pattern>), ConfigError> {
        let mut issuers: Vec<Issuer> = Vec::with_capacity(raw.len());
        let mut names: Vec<Pattern> = Vec::new();
        for (number, Object(raw)) in raw.into_iter().enumerate() {
            let path = |field: &str| format!("jwt[{number}].{field}");
            for HeaderName(name) in raw.headers.0.iter().map(|(name, _)| name) {
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
            .ok_or_else(|| missing(path("issuer"), "give the `iss` of the tokens, to the letter"))?;
        let audiences = self.audiences.ok_or_else(|| {
            missing(path("audiences"), "list what `aud` may be, or any token would be accepted")
        })?;
        let keys = keys(self.jwks, self.jwks_uri, self.upstream, path)?;
        let mut headers: Vec<(Vec<u8>, ClaimPath)> = Vec::with_capacity(self.headers.0.len());
        for (HeaderName(name), Typed(claim)) in self.headers.0 {
            if headers.iter().any(|(known, _)| header::is_same(known, name.as_bytes())) {
                return Err(ConfigError::new(
                    path("headers"),
                    format!("many apps read `{name}` and another one alike"),
                ));
            }
            headers.push((name.into_bytes(), claim));
        }
        Ok(Issuer {
            policy: Policy {
                issuer: issuer.0,
                audiences: audiences.0.into_iter().map(|audience| audience.0).collect(),
                algorithms: match self.algorithms {
                    Some(algorithms) => algorithms.0.into_iter().map(|algorithm| algorithm.0).collect(),
                    None => vec![Algorithm::Rs256],
                },
                types: match self.types {
                    Some(types) => types.iter().map(|typ| MediaType::new(&typ.0)).collect(),
                    None => vec![MediaType::new(ACCESS_TOKEN_TYPE)],
                },
                client_ids: vec![],
                leeway: self.leeway.map_or(DEFAULT_LEEWAY, |span| span.0),
            },
            keys,
            identity: Identity::Claims { headers, roles: self.roles.map(|claim| claim.0) },
        })
    }
}

fn keys(
    inline: Option<Value>,
    uri: Option<Typed<Url>>,
    upstream: Option<Upstream>,
    path: &dyn Fn(&str) -> String,
) -> Result<Keys, ConfigError> {
    match (inline, uri, upstream) {
        (Some(keys), None, None) => KeySet::parse(keys.to_string().as_bytes())
            .map(Keys::Inline)
            .map_err(|problem| ConfigError::new(path("jwks"), problem.to_string())),
        (None, Some(Typed(url)), Some(Upstream(upstream))) => {
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
