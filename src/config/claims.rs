//! Claims as typed: their form in a header, and the values that they must have.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::field::{Choice, FieldType, Given, NonEmpty, OneOf};
use super::problem::{ConfigError, ValueError};
use super::typed;
use crate::jose::{self, ClaimForm, ClaimPath, ClaimTest};

impl Choice for ClaimForm {
    const CHOICES: &'static [(&'static str, Self)] = &[("json", Self::Json), ("base64", Self::Base64)];
    const EXPECTED: &'static str = "`json` or `base64`";
}

/// A claim in a form other than plain.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "ClaimInForm", extend("required" = ["claim", "as"])))]
pub(super) struct RawClaimInForm {
    /// The claim's exact name, or a list of names for a nested one. Required.
    claim: Given<typed::ClaimPathField>,
    /// `json`: the claim's JSON. `base64`: the JSON in base64url. Required.
    r#as: Given<OneOf<ClaimForm>>,
}

/// The claim of a header: plain, or in another form.
pub(super) enum RawHeaderClaim {
    Plain(ClaimPath),
    InForm(RawClaimInForm),
}

impl RawHeaderClaim {
    /// Returns the claim and its form.
    pub(super) fn check(self, path: &str) -> Result<(ClaimPath, ClaimForm), ConfigError> {
        match self {
            Self::Plain(claim) => Ok((claim, ClaimForm::Plain)),
            Self::InForm(RawClaimInForm { claim, r#as }) => {
                let claim =
                    claim.0.ok_or_else(|| ConfigError::missing(format!("{path}.claim"), "name the claim"))?;
                let form = r#as.0.ok_or_else(|| {
                    let right = "`json` or `base64`; to tell the claim plainly, give its name alone";
                    ConfigError::missing(format!("{path}.as"), right)
                })?;
                Ok((claim, form))
            }
        }
    }
}

/// See [`RawHeaderClaim`].
pub(super) struct HeaderClaimField;

impl FieldType for HeaderClaimField {
    type Value = RawHeaderClaim;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RawHeaderClaim, D::Error> {
        struct PlainOrInForm;

        impl<'de> Visitor<'de> for PlainOrInForm {
            type Value = RawHeaderClaim;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "the name of a claim, a list of the names that lead to a nested one, or {claim: …, as: json}",
                )
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<RawHeaderClaim, E> {
                Ok(RawHeaderClaim::Plain(ClaimPath::top(name)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, names: A) -> Result<RawHeaderClaim, A::Error> {
                typed::ClaimPathField::read(SeqAccessDeserializer::new(names)).map(RawHeaderClaim::Plain)
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<RawHeaderClaim, A::Error> {
                let claim = RawClaimInForm::deserialize(MapAccessDeserializer::new(members))?;
                Ok(RawHeaderClaim::InForm(claim))
            }
        }

        deserializer.deserialize_any(PlainOrInForm)
    }

    #[cfg(feature = "schema")]
    fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let plain = typed::ClaimPathField::schema(generator);
        let in_form = generator.subschema_for::<RawClaimInForm>();
        schemars::json_schema!({ "anyOf": [plain, in_form] })
    }
}

/// A demand on a claim of the token.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "ClaimDemand", extend("required" = ["claim", "any_of"])))]
pub(super) struct RawClaimTest {
    /// The claim's exact name, or a list of names for a nested one. Required.
    claim: Given<typed::ClaimPathField>,
    /// The claim is one of these strings, numbers and booleans, or a list that contains one of them. Not empty.
    /// Required.
    any_of: Given<NonEmpty<ScalarField>>,
}

impl RawClaimTest {
    pub(super) fn check(self, path: &str) -> Result<ClaimTest, ConfigError> {
        let claim =
            self.claim.0.ok_or_else(|| ConfigError::missing(format!("{path}.claim"), "name the claim"))?;
        let any_of = self.any_of.0.ok_or_else(|| {
            ConfigError::missing(format!("{path}.any_of"), "list the values that the claim may have")
        })?;
        Ok(ClaimTest { claim, any_of })
    }
}

/// A value that a claim may have. Numbers are kept as typed.
struct ScalarField;

impl FieldType for ScalarField {
    type Value = jose::Scalar;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<jose::Scalar, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        jose::Scalar::parse(json.get()).ok_or_else(|| D::Error::custom(ValueError::NoScalar))
    }

    #[cfg(feature = "schema")]
    fn schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["string", "number", "boolean"] })
    }
}
