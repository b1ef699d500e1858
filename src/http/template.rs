//! Values with placeholders. They are filled from the request line and the connection, never from headers.

use std::borrow::Cow;
use std::fmt;

use super::{Head, percent};

/// A value with placeholders. Prints without its text, which may be a key that the upstream trusts.
#[derive(Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[template]")
    }
}

/// Why a text is not a [`Template`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It contains a control character.
    #[error("`{}` has a control character", .0.escape_default())]
    ControlCharacter(String),
    /// It contains a brace that belongs to no known placeholder. The known ones are listed.
    #[error("`{}` has a placeholder that is {}", .0.escape_default(), none_of(.1))]
    Placeholder(String, &'static [(&'static str, Piece)]),
}

/// Lists the placeholders in words: `neither {url} nor {path}`, or `none of` if there are more.
fn none_of(known: &[(&str, Piece)]) -> String {
    let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
    match names.as_slice() {
        [one, other] => format!("neither {one} nor {other}"),
        names => format!("none of {}", names.join(" ")),
    }
}

/// A part of a [`Template`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Literal text.
    Text(String),
    /// `{method}`
    Method,
    /// `{scheme}`
    Scheme,
    /// `{host}`: with the port, if the request names one.
    Host,
    /// `{path}`: with the query.
    Path,
    /// `{url}`: scheme, host, path and query.
    Url,
    /// `{client_ip}`: the address of the connection.
    ClientIp,
}

/// The placeholders that a header of a call may use.
const OF_HEADERS: &[(&str, Piece)] = &[
    ("{method}", Piece::Method),
    ("{scheme}", Piece::Scheme),
    ("{host}", Piece::Host),
    ("{path}", Piece::Path),
    ("{url}", Piece::Url),
    ("{client_ip}", Piece::ClientIp),
];

/// The placeholders that the address of a login page may use.
const OF_REDIRECTS: &[(&str, Piece)] = &[("{url}", Piece::Url), ("{path}", Piece::Path)];

impl Template {
    /// Parses the template of a header of a call.
    ///
    /// # Errors
    ///
    /// Fails with what is wrong and what would be right.
    pub fn parse(template: &str) -> Result<Self, TemplateError> {
        Self::with(template, OF_HEADERS)
    }

    /// Parses the template of a redirect, which may use only `{url}` and `{path}`.
    ///
    /// # Errors
    ///
    /// Fails with what is wrong and what would be right.
    pub fn of_redirect(template: &str) -> Result<Self, TemplateError> {
        Self::with(template, OF_REDIRECTS)
    }

    fn with(template: &str, known: &'static [(&'static str, Piece)]) -> Result<Self, TemplateError> {
        if template.chars().any(char::is_control) {
            return Err(TemplateError::ControlCharacter(template.to_owned()));
        }
        let mut pieces = Vec::new();
        let mut rest = template;
        while !rest.is_empty() {
            let found = known.iter().find_map(|(name, piece)| Some((piece, rest.strip_prefix(name)?)));
            if let Some((piece, tail)) = found {
                pieces.push(piece.clone());
                rest = tail;
                continue;
            }
            let end = rest.find(['{', '}']).unwrap_or(rest.len());
            let Some((text, tail)) = rest.split_at_checked(end).filter(|(text, _)| !text.is_empty()) else {
                return Err(TemplateError::Placeholder(template.to_owned(), known));
            };
            pieces.push(Piece::Text(text.to_owned()));
            rest = tail;
        }
        Ok(Self(pieces))
    }

    /// Returns its parts.
    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// Fills in the values of a request; `None` if it uses the client's address and there is none, as on a unix
    /// socket.
    #[must_use]
    pub fn render(&self, head: &Head<'_>) -> Option<Vec<u8>> {
        let mut value = Vec::new();
        for piece in &self.0 {
            value.extend_from_slice(&piece.value(head)?);
        }
        Some(value)
    }

    /// Does the same with each placeholder's value percent-encoded, so that it stays one value anywhere in a URL.
    #[must_use]
    pub fn render_encoded(&self, head: &Head<'_>) -> Option<String> {
        let mut value = String::new();
        for piece in &self.0 {
            if let Piece::Text(text) = piece {
                value.push_str(text);
            } else {
                value.push_str(&percent::encode(&piece.value(head)?).to_string());
            }
        }
        Some(value)
    }
}

impl Piece {
    /// Returns its value for a request.
    fn value<'a>(&'a self, head: &Head<'a>) -> Option<Cow<'a, [u8]>> {
        Some(match self {
            Self::Text(text) => Cow::Borrowed(text.as_bytes()),
            Self::Method => Cow::Borrowed(head.method),
            Self::Scheme => Cow::Borrowed(head.scheme),
            Self::Host => Cow::Borrowed(head.authority),
            Self::Path => Cow::Borrowed(head.path),
            Self::Url => Cow::Owned([head.scheme, b"://", head.authority, head.path].concat()),
            Self::ClientIp => Cow::Owned((head.client_address)()?.to_string().into_bytes()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(template: &str, address: Option<&str>) -> Option<String> {
        let address = address.map(|address| address.parse().unwrap());
        let head = Head {
            method: b"POST",
            scheme: b"https",
            authority: b"app.example:8443",
            path: b"/a%20b?x={host}&y",
            fields: &[],
            client_address: &|| address,
        };
        Template::parse(template).unwrap().render(&head).map(|value| String::from_utf8(value).unwrap())
    }

    #[test]
    fn placeholders_become_what_the_request_itself_says() {
        let cases = [
            ("", ""),
            ("fixed", "fixed"),
            ("{method} {path}", "POST /a%20b?x={host}&y"),
            ("{scheme}|{host}", "https|app.example:8443"),
            ("<{url}>", "<https://app.example:8443/a%20b?x={host}&y>"),
            ("{client_ip}{client_ip}", "2001:db8::12001:db8::1"),
        ];
        for (template, expected) in cases {
            assert_eq!(rendered(template, Some("2001:db8::1")).as_deref(), Some(expected), "{template}");
        }
        assert_eq!(rendered("ip={client_ip}", None), None);
    }

    #[test]
    fn a_template_does_not_print_its_text() {
        assert_eq!(format!("{:?}", Template::parse("hunter2 {path}").unwrap()), "[template]");
    }

    #[test]
    fn an_unknown_placeholder_or_a_lone_brace_is_refused() {
        for template in
            ["{user}", "{Host}", "{host", "host}", "{}", "a{b}c", "{{host}}", "$host{", "a\r\nx: y", "\0"]
        {
            let problem = Template::parse(template).unwrap_err().to_string();
            assert!(problem.contains("{client_ip}") || problem.contains("control"), "{template}: {problem}");
        }
    }
}
