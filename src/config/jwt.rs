//! What was typed under `jwt`: issuers whose tokens are verified here.

use std::time::Duration;

use super::raw::missing;
use super::typed::{self, span};
use super::value::Value;
use super::{ACCESS_TOKEN_TYPE, ConfigError, DEFAULT_LEEWAY, Identity, Issuer, Keys, Server};
use crate::http::header::{self, Pattern};
use crate::http::url::Url;
use crate::jose::KeySet;
use crate::jose::{Algorithm, ClaimPath, MediaType, Policy};

pub(super) struct RawIssuer {
    issuer: Option<String>,
    audiences: Option<Vec<String>>,
    jwks_uri: Option<Url>,
    upstream: Option<String>,
    jwks: Option<KeySet>,
    algorithms: Option<Vec<Algorithm>>,
    types: Option<Vec<String>>,
    leeway: Option<Duration>,
    /// Name of a header, in lower case → claim.
    headers: Vec<(String, ClaimPath)>,
    roles: Option<ClaimPath>,
}

impl RawIssuer {
    pub(super) fn read(value: &Value) -> Result<Self, ConfigError> {
        let mut fields = value.fields()?;
        let issuer = Self {
            issuer: fields.take("issuer", typed::text),
            audiences: fields.take("audiences", |list| list.non_empty(typed::text)),
            jwks_uri: fields.take("jwks_uri", typed::url),
            upstream: fields.take("upstream", typed::upstream),
            jwks: fields.take("jwks", key_set),
            algorithms: fields.take("algorithms", |list| list.non_empty(typed::algorithm)),
            types: fields.take("types", |list| list.list(typed::text)),
            leeway: fields.take("leeway", span),
            headers: fields.take("headers", headers).unwrap_or_default(),
            roles: fields.take("roles", typed::claim_path),
        };
        fields.end(issuer)
    }

    /// The issuers, and every header that any of them sets.
    pub(super) fn check_all(raw: Vec<Self>) -> Result<(Vec<Issuer>, Vec<Pattern>), ConfigError> {
        let mut issuers: Vec<Issuer> = Vec::with_capacity(raw.len());
        let mut names: Vec<Pattern> = Vec::new();
        for (number, raw) in raw.into_iter().enumerate() {
            let path = |field: &str| format!("jwt[{number}].{field}");
            for (name, _) in &raw.headers {
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
        Ok(Issuer {
            policy: Policy {
                issuer,
                audiences,
                algorithms: self.algorithms.unwrap_or_else(|| vec![Algorithm::Rs256]),
                types: match self.types {
                    Some(types) => types.iter().map(|typ| MediaType::new(typ)).collect(),
                    None => vec![MediaType::new(ACCESS_TOKEN_TYPE)],
                },
                client_ids: vec![],
                leeway: self.leeway.unwrap_or(DEFAULT_LEEWAY),
            },
            keys,
            identity: Identity::Claims {
                headers: self.headers.into_iter().map(|(name, claim)| (name.into_bytes(), claim)).collect(),
                roles: self.roles,
            },
        })
    }
}

/// An inline key set.
fn key_set(value: &Value) -> Result<KeySet, ConfigError> {
    KeySet::parse(value.json().as_bytes()).map_err(|problem| value.wrong(problem.to_string()))
}

/// The claims that become headers, by the headers' names in lower case.
fn headers(value: &Value) -> Result<Vec<(String, ClaimPath)>, ConfigError> {
    let mut headers: Vec<(String, ClaimPath)> = Vec::new();
    for (name, claim) in value.members()? {
        let name = typed::header_name(&name).map_err(|problem| claim.wrong(problem))?;
        if headers.iter().any(|(known, _)| header::is_same(known.as_bytes(), name.as_bytes())) {
            return Err(value.wrong(format!("many apps read `{name}` and another one alike")));
        }
        headers.push((name, typed::claim_path(&claim)?));
    }
    Ok(headers)
}

fn keys(
    inline: Option<KeySet>,
    uri: Option<Url>,
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
