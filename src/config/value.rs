//! One value of a configuration: where it stands, and its JSON text. It is read as one type or another, and
//! an error names it by its path.

use super::ConfigError;
use crate::json::{self, MAX_MEMBERS, Malformed, Object};

/// A value that stands in the configuration; a field that is left out has none.
pub(super) struct Value {
    /// `rules[0].access`; empty for the document.
    path: String,
    json: Box<str>,
}

impl Value {
    /// The whole document.
    pub(super) fn document(json: Box<str>) -> Self {
        Self { path: String::new(), json }
    }

    /// An error of this value.
    pub(super) fn wrong(&self, problem: impl Into<String>) -> ConfigError {
        ConfigError::new(self.path.as_str(), problem)
    }

    /// An error of this value, which is of another type: `right` would be right.
    pub(super) fn mistyped(&self, right: &str) -> ConfigError {
        let found = match self.json().bytes().next() {
            Some(b'n') => "null",
            Some(b't' | b'f') => "a boolean",
            Some(b'"') => "a string",
            Some(b'[') => "a list",
            Some(b'{') => "an object",
            // It says more than its type would.
            Some(b'0'..=b'9') if self.json().bytes().all(|byte| byte.is_ascii_digit()) => self.json(),
            // What a Struct says here is not what was written.
            Some(_) | None => "a number that is negative or not of digits alone",
        };
        self.wrong(format!("found {found}, expected {right}"))
    }

    /// Its JSON text.
    pub(super) fn json(&self) -> &str {
        &self.json
    }

    /// A string, as `parse` reads it, which says what is wrong otherwise; `right` is what would be right
    /// where it is no string.
    pub(super) fn parse<T, E: ToString>(
        &self,
        right: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<T, ConfigError> {
        parse(&self.string(right)?).map_err(|problem| self.wrong(problem.to_string()))
    }

    fn string(&self, right: &str) -> Result<String, ConfigError> {
        json::string(self.json()).ok_or_else(|| match self.json().starts_with('"') {
            true => self.wrong("is no text: half a surrogate pair stands alone in it"),
            false => self.mistyped(right),
        })
    }

    /// One of a few names, and what each of them means.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&'static str, T)]) -> Result<T, ConfigError> {
        let text = self.string("a string")?;
        choices.iter().find(|(name, _)| *name == text).map(|(_, meaning)| *meaning).ok_or_else(|| {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            self.wrong(format!(
                "unknown variant `{}`, expected {}",
                text.escape_default(),
                alternatives(&names)
            ))
        })
    }

    /// A boolean.
    pub(super) fn boolean(&self) -> Result<bool, ConfigError> {
        json::boolean(self.json()).ok_or_else(|| self.mistyped("a boolean"))
    }

    /// A whole number that is not negative; `600.0` is one, since a `google.protobuf.Struct` has only doubles.
    pub(super) fn whole(&self) -> Result<u64, ConfigError> {
        let (digits, fraction) = self.json().split_once('.').unwrap_or((self.json(), ""));
        let number = digits.parse().ok().filter(|_| fraction.bytes().all(|digit| digit == b'0'));
        number.ok_or_else(|| self.mistyped("a whole number"))
    }

    /// The elements of a list.
    pub(super) fn elements(&self) -> Result<Vec<Self>, ConfigError> {
        let elements = json::elements(self.json()).ok_or_else(|| self.mistyped("a list"))?;
        let element = |(number, json): (usize, &str)| Self {
            path: format!("{}[{number}]", self.path),
            json: json.into(),
        };
        Ok(elements.into_iter().enumerate().map(element).collect())
    }

    /// A list, each element as `read` reads it.
    pub(super) fn list<T>(&self, read: fn(&Self) -> Result<T, ConfigError>) -> Result<Vec<T>, ConfigError> {
        let mut list = Vec::new();
        for element in self.elements()? {
            list.push(read(&element)?);
        }
        Ok(list)
    }

    /// A list with something in it.
    pub(super) fn non_empty<T>(
        &self,
        read: fn(&Self) -> Result<T, ConfigError>,
    ) -> Result<Vec<T>, ConfigError> {
        let list = self.list(read)?;
        if list.is_empty() {
            return Err(self.wrong("is an empty list, which nothing could ever match; leave it out"));
        }
        Ok(list)
    }

    /// The members of an object, in their order.
    pub(super) fn members(&self) -> Result<Vec<(Box<str>, Self)>, ConfigError> {
        if !self.json().starts_with('{') {
            return Err(self.mistyped("an object"));
        }
        let object = Object::read(self.json()).map_err(|malformed| match malformed {
            Malformed::Repeated(name) => self.wrong(format!("`{name}` stands twice in one object")),
            Malformed::Text => self.wrong(format!("has more than {MAX_MEMBERS} members")),
        })?;
        let member = |(name, json): (&str, &str)| {
            let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
            (name.into(), Self { path, json: json.into() })
        };
        Ok(object.iter().map(member).collect())
    }

    /// An object whose fields are known.
    pub(super) fn fields(&self) -> Result<Fields, ConfigError> {
        Ok(Fields { members: self.members()?, known: Vec::new(), error: None })
    }
}

/// The fields of an object, which are taken one by one; what nobody takes is unknown.
pub(super) struct Fields {
    members: Vec<(Box<str>, Value)>,
    known: Vec<&'static str>,
    error: Option<ConfigError>,
}

impl Fields {
    /// Takes a field as `read` reads it; `None` where it is left out, and where it is wrong, which
    /// [`Fields::end`] tells.
    pub(super) fn take<T>(
        &mut self,
        name: &'static str,
        read: fn(&Value) -> Result<T, ConfigError>,
    ) -> Option<T> {
        match read(&self.value(name)?) {
            Ok(value) => Some(value),
            Err(error) => {
                self.error.get_or_insert(error);
                None
            }
        }
    }

    fn value(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        let at = self.members.iter().position(|(member, _)| **member == *name)?;
        Some(self.members.remove(at).1)
    }

    /// What was made of the fields, unless one of them is wrong, or was not taken: a field that means nothing
    /// would be believed to mean something.
    pub(super) fn end<T>(self, made: T) -> Result<T, ConfigError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        match self.members.first() {
            Some((name, value)) => {
                let known = alternatives(&self.known);
                Err(value.wrong(format!("unknown field `{}`, expected {known}", name.escape_default())))
            }
            None => Ok(made),
        }
    }
}

fn alternatives(names: &[&str]) -> String {
    match names {
        [one, other] => format!("`{one}` or `{other}`"),
        names => format!("one of `{}`", names.join("`, `")),
    }
}

/// What a test wrote.
#[cfg(test)]
pub(super) fn for_tests(typed: &serde_json::Value) -> Value {
    Value::document(typed.to_string().into())
}
