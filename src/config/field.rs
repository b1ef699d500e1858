//! How single fields are read: the building blocks of the configuration's typed structures.
//!
//! A structure is derived, with one [`Given`] per field. The parameter of `Given` defines how the field is read,
//! which values it accepts, and (with the feature `schema`) its JSON Schema.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Error, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

use super::problem::ValueError;

/// How a field is read.
pub(super) trait FieldType {
    /// Its meaning.
    type Value;

    /// Reads it. `null` is never a value.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self::Value, D::Error>;

    /// Returns its JSON Schema.
    #[cfg(feature = "schema")]
    fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema;
}

/// A field's value, if the configuration has one.
pub(super) struct Given<F: FieldType>(pub(super) Option<F::Value>);

impl<F: FieldType> Default for Given<F> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, F: FieldType> Deserialize<'de> for Given<F> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        F::read(deserializer).map(|value| Self(Some(value)))
    }
}

#[cfg(feature = "schema")]
impl<F: FieldType> schemars::JsonSchema for Given<F> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        std::any::type_name::<F>().into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        F::schema(generator)
    }
}

/// One element of a list, or one value of a map.
struct Element<F: FieldType>(F::Value);

impl<'de, F: FieldType> Deserialize<'de> for Element<F> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        F::read(deserializer).map(Self)
    }
}

/// A field that is typed as a string.
pub(super) trait Text {
    /// Its meaning.
    type Value;

    /// The expectation that an error states if the value is not a string.
    const EXPECTED: &'static str;

    /// Why a string is refused.
    type Error: std::error::Error;

    /// Parses the string.
    fn parse(text: &str) -> Result<Self::Value, Self::Error>;
}

impl<T: Text> FieldType for T {
    type Value = <T as Text>::Value;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self::Value, D::Error> {
        let text = deserializer.deserialize_str(StringVisitor(T::EXPECTED))?;
        T::parse(&text).map_err(D::Error::custom)
    }

    #[cfg(feature = "schema")]
    fn schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string" })
    }
}

struct StringVisitor(&'static str);

impl Visitor<'_> for StringVisitor {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
}

/// A type with a few named values.
pub(super) trait Choice: Copy + 'static {
    /// The names and their meanings.
    const CHOICES: &'static [(&'static str, Self)];

    /// The expectation that an error states if the value is not a string.
    const EXPECTED: &'static str;
}

/// One of a few names.
pub(super) struct OneOf<T>(PhantomData<T>);

impl<T: Choice> FieldType for OneOf<T> {
    type Value = T;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        let text = deserializer.deserialize_str(StringVisitor(T::EXPECTED))?;
        let choice = T::CHOICES.iter().find(|(name, _)| *name == text);
        let choice = choice.map(|(_, meaning)| *meaning);
        choice.ok_or_else(|| D::Error::custom(ValueError::UnknownVariant(text.into(), T::EXPECTED)))
    }

    #[cfg(feature = "schema")]
    fn schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let names: Vec<_> = T::CHOICES.iter().map(|(name, _)| *name).collect();
        schemars::json_schema!({ "type": "string", "enum": names })
    }
}

/// `true` or `false`.
pub(super) struct Bool;

impl FieldType for Bool {
    type Value = bool;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
        bool::deserialize(deserializer)
    }

    #[cfg(feature = "schema")]
    fn schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "boolean" })
    }
}

/// A boolean that may only be `VALUE`.
pub(super) struct Only<const VALUE: bool>;

impl<const VALUE: bool> FieldType for Only<VALUE> {
    type Value = ();

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
        if bool::deserialize(deserializer)? == VALUE {
            return Ok(());
        }
        Err(D::Error::custom(ValueError::OnlyOther(VALUE)))
    }

    #[cfg(feature = "schema")]
    fn schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "const": VALUE })
    }
}

/// Reads a non-negative whole number. `600.0` is accepted, because a `google.protobuf.Struct` has only doubles.
pub(super) fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    struct Whole;

    impl Visitor<'_> for Whole {
        type Value = u64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a whole number that is not negative")
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<u64, E> {
            Ok(number)
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<u64, E> {
            number.try_into().map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
        }

        fn visit_f64<E: Error>(self, number: f64) -> Result<u64, E> {
            whole_number(number).ok_or_else(|| E::invalid_value(Unexpected::Float(number), &self))
        }
    }

    deserializer.deserialize_u64(Whole)
}

/// Converts a double to a whole number; `None` beyond 2^53, where doubles no longer distinguish neighbours.
pub(super) fn whole_number(number: f64) -> Option<u64> {
    const WHOLE: std::ops::Range<f64> = 0.0..9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, and in that range")]
    (number.fract() == 0.0 && WHOLE.contains(&number)).then_some(number as u64)
}

/// A list.
pub(super) struct List<F>(PhantomData<F>);

impl<F: FieldType> FieldType for List<F> {
    type Value = Vec<F::Value>;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(ListVisitor::<F>(PhantomData))
    }

    #[cfg(feature = "schema")]
    fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let items = F::schema(generator);
        schemars::json_schema!({ "type": "array", "items": items })
    }
}

struct ListVisitor<F>(PhantomData<F>);

impl<'de, F: FieldType> Visitor<'de> for ListVisitor<F> {
    type Value = Vec<F::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Element(element)) = elements.next_element::<Element<F>>()? {
            list.push(element);
        }
        Ok(list)
    }
}

/// A list that is not empty.
pub(super) struct NonEmpty<F>(PhantomData<F>);

impl<F: FieldType> FieldType for NonEmpty<F> {
    type Value = Vec<F::Value>;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self::Value, D::Error> {
        let list = List::<F>::read(deserializer)?;
        if list.is_empty() {
            return Err(D::Error::custom(ValueError::EmptyList));
        }
        Ok(list)
    }

    #[cfg(feature = "schema")]
    fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let items = F::schema(generator);
        schemars::json_schema!({ "type": "array", "items": items, "minItems": 1 })
    }
}

/// Returns the first element that repeats an earlier one, with its position.
pub(super) fn repeated<T>(list: &[T], is_same: impl Fn(&T, &T) -> bool) -> Option<(usize, &T)> {
    list.iter().enumerate().find(|(number, one)| list.iter().take(*number).any(|other| is_same(one, other)))
}

/// An object with known fields. (The derived code would also accept a list of their values.)
pub(super) struct Object<T>(PhantomData<T>);

#[cfg(not(feature = "schema"))]
pub(super) trait Structure: DeserializeOwned {}
#[cfg(not(feature = "schema"))]
impl<T: DeserializeOwned> Structure for T {}

#[cfg(feature = "schema")]
pub(super) trait Structure: DeserializeOwned + schemars::JsonSchema {}
#[cfg(feature = "schema")]
impl<T: DeserializeOwned + schemars::JsonSchema> Structure for T {}

impl<T: Structure> FieldType for Object<T> {
    type Value = T;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }

    #[cfg(feature = "schema")]
    fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        generator.subschema_for::<T>()
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: DeserializeOwned> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members))
    }
}

/// An object with known fields, or a list of such objects.
pub(super) struct OneOrMany<T>(PhantomData<T>);

/// The value of a field that may be one object or a list.
pub(super) enum Typed<T> {
    /// The thing itself.
    One(T),
    /// A list of them.
    Many(Vec<T>),
}

impl<T: Structure> FieldType for OneOrMany<T> {
    type Value = Typed<T>;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self::Value, D::Error> {
        struct OneOrManyVisitor<T>(PhantomData<T>);

        impl<'de, T: Structure> Visitor<'de> for OneOrManyVisitor<T> {
            type Value = Typed<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object, or a list of objects")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
                ObjectVisitor(PhantomData).visit_map(members).map(Typed::One)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<Self::Value, A::Error> {
                ListVisitor::<Object<T>>(PhantomData).visit_seq(elements).map(Typed::Many)
            }
        }

        deserializer.deserialize_any(OneOrManyVisitor(PhantomData))
    }

    #[cfg(feature = "schema")]
    fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let one = generator.subschema_for::<T>();
        schemars::json_schema!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
    }
}

/// An object whose names the operator chooses, in its order. Names must be distinct.
pub(super) struct Map<K, F>(PhantomData<(K, F)>);

impl<K: Text, F: FieldType> FieldType for Map<K, F> {
    type Value = Vec<(<K as Text>::Value, F::Value)>;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(MapVisitor::<K, F>(PhantomData))
    }

    #[cfg(feature = "schema")]
    fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let values = F::schema(generator);
        schemars::json_schema!({ "type": "object", "additionalProperties": values })
    }
}

struct MapVisitor<K, F>(PhantomData<(K, F)>);

impl<'de, K: Text, F: FieldType> Visitor<'de> for MapVisitor<K, F> {
    type Value = Vec<(<K as Text>::Value, F::Value)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut map = Vec::new();
        let mut names: Vec<String> = Vec::new();
        while let Some(Name { typed, meaning }) = members.next_key::<Name<K>>()? {
            if names.contains(&typed) {
                return Err(A::Error::custom(ValueError::DuplicateName(typed.into())));
            }
            names.push(typed);
            let Element(value) = members.next_value::<Element<F>>()?;
            map.push((meaning, value));
        }
        Ok(map)
    }
}

/// A name in a [`Map`].
struct Name<K: Text> {
    typed: String,
    meaning: <K as Text>::Value,
}

impl<'de, K: Text> Deserialize<'de> for Name<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let typed = deserializer.deserialize_str(StringVisitor(K::EXPECTED))?;
        let meaning = K::parse(&typed).map_err(D::Error::custom)?;
        Ok(Self { typed, meaning })
    }
}
