//! The field `jwt[].introspection`: as typed, and checked into an authorization server that is asked about tokens. No
//! message shows a value in the place of a secret.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::field::{FieldType, Given};
use super::problem::{ConfigError, IntrospectionError, SecretError};
use super::typed::{NonEmptyText, Upstream, UrlWithQuery};
use super::{Introspection, Server};
use crate::auth_server::introspection::basic;
use crate::http::SecretText;
use crate::http::header::has_control;
use crate::jose;

/// An authorization server that is asked about tokens that cannot be verified locally (RFC 7662).
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(rename = "Introspection", extend("required" = ["url", "upstream"]))
)]
pub(super) struct RawIntrospection {
    /// Its introspection endpoint, which may have a query. Required.
    url: Given<UrlWithQuery>,
    /// Where calls go: an Envoy cluster, or `host:port` on APISIX. Required.
    upstream: Given<Upstream>,
    /// The filter's client id at the server; sent with `client_secret` by HTTP Basic. Default: none.
    client_id: Given<NonEmptyText>,
    /// Its secret. Default: empty.
    client_secret: Given<SecretField>,
    /// The `Authorization` of each call, sent unchanged, in place of `client_id`. Default: none.
    authorization: Given<AuthorizationValue>,
    /// The kind of token that the server should look for first, such as `access_token`. Default: none.
    token_type_hint: Given<NonEmptyText>,
}

impl RawIntrospection {
    /// Checks the fields. `issuer` is the index of the issuer that it belongs to; `path` builds the paths of its
    /// fields.
    pub(super) fn check(
        self,
        issuer: usize,
        path: &dyn Fn(&str) -> String,
    ) -> Result<Introspection, ConfigError> {
        let url = self.url.0.ok_or_else(|| {
            ConfigError::missing(
                path("url"),
                "give the introspection endpoint, as http://hydra:4445/admin/oauth2/introspect",
            )
        })?;
        let upstream = self.upstream.0.ok_or_else(|| {
            ConfigError::missing(
                path("upstream"),
                "give the Envoy cluster that reaches `url`, or host:port on APISIX",
            )
        })?;
        let authorization = match (self.client_id.0, self.client_secret.0, self.authorization.0) {
            (Some(_), _, Some(_)) => {
                return Err(ConfigError::new(path("authorization"), IntrospectionError::BesideClient));
            }
            (None, Some(_), _) => {
                return Err(ConfigError::new(path("client_secret"), IntrospectionError::SecretOfNobody));
            }
            (Some(id), secret, None) => Some(basic(&id, &secret.unwrap_or_else(|| SecretText::new("")))),
            (None, None, authorization) => authorization,
        };
        let token_type_hint = self.token_type_hint.0;
        Ok(Introspection { server: Server { url, upstream }, authorization, token_type_hint, issuer })
    }
}

/// The typed `introspection`. (An [`Object`](super::field::Object) would show the value that it refuses.)
pub(super) struct RawIntrospectionObject;

impl FieldType for RawIntrospectionObject {
    type Value = RawIntrospection;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RawIntrospection, D::Error> {
        deserializer.deserialize_any(UnshownVisitor)
    }

    #[cfg(feature = "schema")]
    fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        generator.subschema_for::<RawIntrospection>()
    }
}

struct UnshownVisitor;

impl UnshownVisitor {
    fn refuse<E: Error>(self) -> Result<RawIntrospection, E> {
        Err(E::invalid_type(Unexpected::Other("something that is not shown here"), &self))
    }
}

impl<'de> Visitor<'de> for UnshownVisitor {
    type Value = RawIntrospection;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<RawIntrospection, A::Error> {
        RawIntrospection::deserialize(MapAccessDeserializer::new(members))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<RawIntrospection, E> {
        self.refuse()
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<RawIntrospection, E> {
        self.refuse()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<RawIntrospection, E> {
        self.refuse()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<RawIntrospection, E> {
        self.refuse()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<RawIntrospection, E> {
        self.refuse()
    }
}

/// Reads a secret. A value of another type may be a secret without its quotation marks, so it is not shown either.
fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let json = Box::<RawValue>::deserialize(deserializer)?;
    let text = jose::value::<String>(json.get()).ok_or_else(|| D::Error::custom(SecretError::NoText))?;
    if text.is_empty() { Err(D::Error::custom(SecretError::Empty)) } else { Ok(text) }
}

/// A secret: any text that is not empty.
struct SecretField;

impl FieldType for SecretField {
    type Value = SecretText;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretText, D::Error> {
        secret(deserializer).map(SecretText::new)
    }

    #[cfg(feature = "schema")]
    fn schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "minLength": 1 })
    }
}

/// The value of an `Authorization`, which must reach the server as typed.
struct AuthorizationValue;

impl FieldType for AuthorizationValue {
    type Value = SecretText;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretText, D::Error> {
        let text = secret(deserializer)?;
        if has_control(text.as_bytes()) {
            return Err(D::Error::custom(SecretError::ControlCharacter));
        }
        if text.trim() != text {
            return Err(D::Error::custom(SecretError::WhiteSpace));
        }
        Ok(SecretText::new(text))
    }

    #[cfg(feature = "schema")]
    fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        SecretField::schema(generator)
    }
}
