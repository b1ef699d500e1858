//! The field `jwt`: as typed, and checked into issuers whose tokens are verified locally.

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::claims::{HeaderClaimField, RawHeaderClaim};
use super::field::{Bool, FieldType, Given, List, Map, NonEmpty, repeated};
use super::introspection::RawIntrospectionObject;
use super::problem::{ConfigError, IssuerError, ValueError};
use super::token_from::{self, TokenFrom};
use super::typed::{self, NonEmptyText, Span, Upstream, UrlWithQuery};
use super::{ACCESS_TOKEN_TYPE, ClaimHeader, DEFAULT_LEEWAY, Identity, Introspection, Issuer, Keys, Server};
use crate::http::header::{self, Pattern};
use crate::http::url;
use crate::jose::KeySet;
use crate::jose::{Algorithm, MediaType, Policy};

/// An issuer whose tokens are verified locally.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Issuer", extend("required" = ["issuer"])))]
pub(super) struct RawIssuer {
    /// The exact `iss` of its tokens. It may contain one placeholder, such as `{tid}`, for that claim of the token.
    /// Required.
    issuer: Given<typed::IssuerField>,
    /// The accepted `aud`. Not empty. At least one of this and `client_ids` is required.
    audiences: Given<NonEmpty<NonEmptyText>>,
    /// The accepted `client_id`, or `azp` if a token has none. Not empty. Default: any.
    client_ids: Given<NonEmpty<NonEmptyText>>,
    /// The URL of its key set, which may have a query. Either this and `upstream`, or `jwks`.
    jwks_uri: Given<UrlWithQuery>,
    /// Where the call to `jwks_uri` goes: an Envoy cluster, or `host:port` on APISIX.
    upstream: Given<Upstream>,
    /// Its keys, as a JSON Web Key Set. At least one of them must be usable.
    jwks: Given<typed::KeySetField>,
    /// The accepted algorithms: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 and EdDSA. Default:
    /// `[RS256]`.
    algorithms: Given<NonEmpty<typed::AlgorithmField>>,
    /// The accepted `typ`; an empty list accepts any. Default: `[at+jwt]`.
    types: Given<List<NonEmptyText>>,
    /// How far the clocks of the issuer and this machine may differ, for `exp`, `nbf` and `iat`. At most `24h`.
    /// Default: `30s`.
    leeway: Given<Span>,
    /// Whether a token without `exp` is refused. Default: `true`.
    require_expiration: Given<Bool>,
    /// Headers for the app, each with its claim: the claim's exact name, a list of names for a nested one, or one of
    /// the two with a form: `{claim: …, as: json}`. Default: none.
    headers: Given<Headers>,
    /// A header for the app with all claims: the payload in base64url as sent. Default: none.
    payload_header: Given<typed::HeaderName>,
    /// The claim with the roles for `require.roles`: a list, a string, or an object whose names are the roles.
    /// Default: none.
    roles: Given<typed::ClaimPathField>,
    /// The places of its tokens; the first one that holds a token decides. Default: `[{header: authorization, scheme:
    /// Bearer}]`.
    token_from: Given<TokenFrom>,
    /// An authorization server that is asked about tokens that are not JWTs, and without keys about all tokens of
    /// this issuer. At most one issuer may have one, and not together with `forward_auth`. Default: none.
    introspection: Given<RawIntrospectionObject>,
}

/// The checked value of `jwt`.
#[derive(Default)]
pub(super) struct Issuers {
    pub(super) issuers: Vec<Issuer>,
    /// Every header that any of them sets.
    pub(super) headers: Vec<Pattern>,
    /// The authorization server of one of them, if any.
    pub(super) introspection: Option<Introspection>,
}

impl RawIssuer {
    /// Checks all of them. `asks` states whether a forward-auth server decides about other tokens.
    pub(super) fn check_all(raw: Vec<Self>, asks: bool) -> Result<Issuers, ConfigError> {
        let mut issuers: Vec<Issuer> = Vec::with_capacity(raw.len());
        let mut names: Vec<Pattern> = Vec::new();
        let mut asked: Option<Introspection> = None;
        for (number, mut raw) in raw.into_iter().enumerate() {
            let path = |field: &str| format!("jwt[{number}].{field}");
            if let Some(introspection) = raw.introspection.0.take() {
                let refuse = |why: IssuerError| Err(ConfigError::new(path("introspection"), why));
                if let Some(Introspection { issuer, .. }) = asked {
                    return refuse(IssuerError::SecondIntrospection(issuer));
                }
                if asks {
                    return refuse(IssuerError::IntrospectionBesideForwardAuth);
                }
                asked = Some(introspection.check(number, &|field| path(&format!("introspection.{field}")))?);
            }
            let set = raw.headers.0.iter().flatten().map(|(name, _)| name).chain(&raw.payload_header.0);
            for name in set {
                let name = Pattern::Name(name.clone());
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            let is_asked = asked.as_ref().is_some_and(|asked| asked.issuer == number);
            let issuer = raw.check(is_asked, &path)?;
            if issuers.iter().any(|known| known.policy.issuer == issuer.policy.issuer) {
                return Err(ConfigError::new(path("issuer"), IssuerError::Twice));
            }
            if let Some(other) =
                issuers.iter().position(|known| known.policy.issuer.overlaps(&issuer.policy.issuer))
            {
                return Err(ConfigError::new(path("issuer"), IssuerError::Overlaps(other)));
            }
            issuers.push(issuer);
        }
        Ok(Issuers { issuers, headers: names, introspection: asked })
    }

    /// Checks one issuer. `is_asked` states whether an authorization server is asked about its tokens.
    fn check(self, is_asked: bool, path: &dyn Fn(&str) -> String) -> Result<Issuer, ConfigError> {
        let issuer = self
            .issuer
            .0
            .ok_or_else(|| ConfigError::missing(path("issuer"), "give the exact `iss` of the tokens"))?;
        if self.audiences.0.is_none() && self.client_ids.0.is_none() {
            return Err(ConfigError::missing(
                path("audiences"),
                "list what `aud` may be in `audiences`, or for tokens without it the clients in `client_ids`; \
                 otherwise any token would be accepted",
            ));
        }
        let headers = self.headers.0.unwrap_or_default();
        let payload_header = self.payload_header.0;
        if let Some(name) = &payload_header
            && headers.iter().any(|(other, _)| header::is_same(name.as_bytes(), other.as_bytes()))
        {
            return Err(ConfigError::new(
                path("payload_header"),
                IssuerError::HeaderOfClaim(name.as_str().into()),
            ));
        }
        let headers = headers.into_iter().map(|(name, raw)| {
            let (claim, form) = raw.check(&path(&format!("headers.{name}")))?;
            Ok(ClaimHeader { name: name.into_bytes(), claim, form })
        });
        let headers = headers.collect::<Result<_, _>>()?;
        let keys = keys(self.jwks.0, self.jwks_uri.0, self.upstream.0, is_asked, path)?;
        if let Keys::Absent = keys {
            for (field, is_given) in [
                ("algorithms", self.algorithms.0.is_some()),
                ("types", self.types.0.is_some()),
                ("require_expiration", self.require_expiration.0.is_some()),
            ] {
                if is_given {
                    return Err(ConfigError::new(path(field), IssuerError::NothingVerified));
                }
            }
        }
        let token_from = token_from::checked(self.token_from.0, &path("token_from"))?;
        Ok(Issuer {
            token_from,
            policy: Policy {
                issuer,
                audiences: self.audiences.0.unwrap_or_default(),
                algorithms: self.algorithms.0.unwrap_or_else(|| vec![Algorithm::Rs256]),
                types: match self.types.0 {
                    Some(types) => types.iter().map(|typ| MediaType::new(typ)).collect(),
                    None => vec![MediaType::new(ACCESS_TOKEN_TYPE)],
                },
                client_ids: self.client_ids.0.unwrap_or_default(),
                reads_azp: true,
                leeway: self.leeway.0.unwrap_or(DEFAULT_LEEWAY),
                requires_expiration: self.require_expiration.0.unwrap_or(true),
            },
            keys,
            identity: Identity::Claims {
                headers,
                payload_header: payload_header.map(String::into_bytes),
                roles: self.roles.0,
            },
        })
    }
}

/// The claims that become headers, by the header's name in lower case.
struct Headers;

impl FieldType for Headers {
    type Value = Vec<(String, RawHeaderClaim)>;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self::Value, D::Error> {
        let headers = Map::<typed::HeaderName, HeaderClaimField>::read(deserializer)?;
        let is_same = |(one, _): &(String, _), (other, _): &(String, _)| {
            header::is_same(one.as_bytes(), other.as_bytes())
        };
        match repeated(&headers, is_same) {
            Some((_, (name, _))) => Err(D::Error::custom(ValueError::ReadAlike(name.as_str().into()))),
            None => Ok(headers),
        }
    }

    #[cfg(feature = "schema")]
    fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Map::<typed::HeaderName, HeaderClaimField>::schema(generator)
    }
}

fn keys(
    inline: Option<KeySet>,
    uri: Option<url::Url>,
    upstream: Option<String>,
    is_asked: bool,
    path: &dyn Fn(&str) -> String,
) -> Result<Keys, ConfigError> {
    match (inline, uri, upstream) {
        (Some(keys), None, None) => Ok(Keys::Inline(keys)),
        (None, Some(url), _) if is_load_balancers(&url) => {
            Err(ConfigError::new(path("jwks_uri"), IssuerError::LoadBalancer))
        }
        (None, Some(url), Some(upstream)) => {
            Ok(Keys::Fetched { public: url.clone(), server: Server { url, upstream } })
        }
        (None, Some(_), None) => Err(ConfigError::missing(
            path("upstream"),
            "give the Envoy cluster that reaches `jwks_uri`, or host:port on APISIX",
        )),
        (Some(_), Some(_), _) => Err(ConfigError::new(path("jwks"), IssuerError::BesideKeysUrl)),
        (Some(_), None, Some(_)) => {
            Err(ConfigError::new(path("upstream"), IssuerError::UpstreamOfInlineKeys))
        }
        (None, None, None) if is_asked => Ok(Keys::Absent),
        (None, None, Some(_)) if is_asked => {
            Err(ConfigError::new(path("upstream"), IssuerError::UpstreamOfNoKeys))
        }
        (None, None, _) => Err(ConfigError::missing(
            path("jwks_uri"),
            "give `jwks_uri` and `upstream`, or the keys in `jwks`",
        )),
    }
}

/// Returns whether a URL serves the keys of an Application Load Balancer, each as a PEM of its own.
fn is_load_balancers(url: &url::Url) -> bool {
    url.authority().starts_with("public-keys.auth.elb.")
        || url.authority().contains("amazonaws.com") && url.path().contains("aws-elb-public-keys")
}
