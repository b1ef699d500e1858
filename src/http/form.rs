//! A form as the body of a call (`application/x-www-form-urlencoded`).

use std::fmt;

/// Encoded names and values. Prints as `[secret]`, because values are tokens.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Form(String);

impl Form {
    /// The media type of a form.
    pub const CONTENT_TYPE: &'static str = "application/x-www-form-urlencoded";

    /// Appends a name and its value.
    #[must_use]
    pub fn with(mut self, name: &str, value: &[u8]) -> Self {
        let separator = if self.0.is_empty() { "" } else { "&" };
        let (name, value) = (encoded(name.as_bytes()), encoded(value));
        self.0.reserve(name.len().saturating_add(value.len()).saturating_add(2));
        for part in [separator, &name, "=", &value] {
            self.0.push_str(part);
        }
        self
    }

    /// Returns the bytes to send. Never pass them to a log or a message.
    #[must_use]
    pub const fn reveal(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Encodes one name or value.
#[must_use]
pub fn encoded(bytes: &[u8]) -> String {
    form_urlencoded::byte_serialize(bytes).collect()
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_can_become_another_one_or_a_name() {
        for (value, expected) in [
            (b"abc-._*~".as_slice(), "token=abc-._*%7E&hint=x"),
            (b"a&admin=1", "token=a%26admin%3D1&hint=x"),
            (b"a+b c%20", "token=a%2Bb+c%2520&hint=x"),
            (b"\r\n\0#;", "token=%0D%0A%00%23%3B&hint=x"),
            ("ä\u{1f511}".as_bytes(), "token=%C3%A4%F0%9F%94%91&hint=x"),
            (b"\xff", "token=%FF&hint=x"),
            (b"", "token=&hint=x"),
        ] {
            let form = Form::default().with("token", value).with("hint", b"x");
            assert_eq!(std::str::from_utf8(form.reveal()), Ok(expected));
            let read: Vec<_> = form_urlencoded::parse(form.reveal()).map(|(name, _)| name).collect();
            assert_eq!(read, ["token", "hint"]);
        }
    }

    #[test]
    fn a_form_does_not_print() {
        let form = Form::default().with("token", b"hunter2");
        assert_eq!(format!("{form:?}"), "[secret]");
    }
}
