//! One request on its way through the proxy, as the filter can read and change it: nginx's header lists with their
//! quirks, the reply, the call and its answer.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::wire::Answer;

/// A header: its name in lower case, and its value.
pub(super) type Field = (Vec<u8>, Vec<u8>);

/// How many of the client's headers a list of all headers holds.
const LISTED: usize = 100;

/// nginx has one slot for each of these: a later one replaces an earlier one.
const SINGLE: [&str; 5] = ["authorization", "content-type", "if-none-match", "referer", "user-agent"];

/// Headers in order, with repeated ones kept apart.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields(pub(super) Vec<Field>);

impl Fields {
    /// The first header of this name.
    pub(super) fn first(&self, name: &[u8]) -> Option<&[u8]> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_slice())
    }

    pub(super) fn remove(&mut self, name: &[u8]) {
        self.0.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    }

    /// Replaces all headers of this name with one, in the place of the first. An empty value removes them.
    pub(super) fn set(&mut self, name: &[u8], value: &[u8]) {
        let at = self.0.iter().position(|(known, _)| known.eq_ignore_ascii_case(name));
        self.remove(name);
        if !value.is_empty() {
            let field = (name.to_ascii_lowercase(), value.to_vec());
            self.0.insert(at.unwrap_or(self.0.len()), field);
        }
    }

    /// Adds a header to a request.
    pub(super) fn add_to_request(&mut self, name: &[u8], value: &[u8]) {
        if SINGLE.iter().any(|single| name.eq_ignore_ascii_case(single.as_bytes())) {
            self.set(name, value);
        } else {
            self.add(name, value);
        }
    }

    pub(super) fn add(&mut self, name: &[u8], value: &[u8]) {
        if !value.is_empty() {
            self.0.push((name.to_ascii_lowercase(), value.to_vec()));
        }
    }
}

/// A request, with the filter's changes.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) method: Vec<u8>,
    /// The path and the query as sent.
    pub(super) target: Vec<u8>,
    pub(super) fields: Fields,
    pub(super) peer: SocketAddr,
}

impl Head {
    /// A pseudo header, by name. `Err` if reading it crashes the worker.
    pub(super) fn pseudo(&self, name: &[u8]) -> Result<Option<&[u8]>, NoHost> {
        Ok(Some(match name.to_ascii_lowercase().as_slice() {
            b":scheme" => b"http",
            b":path" => &self.target,
            b":method" => &self.method,
            b":authority" => self.fields.first(b"host").ok_or(NoHost)?,
            _ => return Ok(None),
        }))
    }

    /// All headers: the client's first [`LISTED`], then the pseudo headers.
    pub(super) fn listed(&self) -> Result<Vec<Field>, NoHost> {
        let mut listed: Vec<_> = self.fields.0.iter().take(LISTED).cloned().collect();
        for name in [b":scheme".as_slice(), b":path", b":method", b":authority"] {
            if let Some(value) = self.pseudo(name)? {
                listed.push((name.to_vec(), value.to_vec()));
            }
        }
        Ok(listed)
    }
}

/// The request has no host, and the real worker crashes when the filter asks for it.
#[derive(Debug)]
pub(super) struct NoHost;

/// What the filter answers instead of the upstream.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// A call that the filter wants to make.
#[derive(Debug)]
pub(super) struct Callout {
    pub(super) token: u32,
    pub(super) upstream: String,
    pub(super) fields: Vec<Field>,
    pub(super) body: Vec<u8>,
    /// In milliseconds; 0 means nginx's default.
    pub(super) timeout_milliseconds: u32,
}

/// Variables of nginx and their values.
pub(super) type Variables = BTreeMap<String, String>;

/// The phase of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Request,
    Response,
}

/// A request, and everything that the filter has done to it.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) phase: Phase,
    pub(super) request: Head,
    /// Headers for the client. A reply's headers are set before its status.
    pub(super) response: Fields,
    /// The status for the client, 0 until it is set.
    pub(super) status: u16,
    /// The reply that this callback sent.
    pub(super) reply: Option<Reply>,
    /// The call that this callback made.
    pub(super) callout: Option<Callout>,
    /// The answer to the last call; `None` if it failed.
    pub(super) answer: Option<Answer>,
    /// Whether this callback resumed the request.
    pub(super) resumed: bool,
    /// Whether this callback is about an answer.
    pub(super) in_answer: bool,
    /// Whether this callback's reply was refused, and no other has replaced it.
    pub(super) refused: bool,
    /// The request's context.
    pub(super) context: u32,
    /// The variables of nginx that can be written, by their names.
    pub(super) variables: Variables,
}

impl Exchange {
    pub(super) fn new(request: Head, variables: Variables) -> Self {
        Self {
            phase: Phase::Request,
            request,
            response: Fields::default(),
            status: 0,
            reply: None,
            callout: None,
            answer: None,
            resumed: false,
            in_answer: false,
            refused: false,
            context: 0,
            variables,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(fields: &[(&str, &str)]) -> Fields {
        Fields(
            fields
                .iter()
                .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
                .collect(),
        )
    }

    #[test]
    fn setting_replaces_all_of_a_name_and_only_that_spelling() {
        let mut headers = fields(&[("a", "1"), ("x-a", "2"), ("a", "3"), ("x_a", "4")]);
        headers.set(b"A", b"5");
        headers.remove(b"X-A");
        assert_eq!(headers.0, fields(&[("a", "5"), ("x_a", "4")]).0);
        headers.set(b"x_a", b"");
        assert_eq!(headers.0, fields(&[("a", "5")]).0, "an empty value removes");
    }

    #[test]
    fn adding_appends_but_for_what_nginx_keeps_once() {
        let mut headers = fields(&[("a", "1"), ("authorization", "x")]);
        headers.add_to_request(b"a", b"2");
        headers.add_to_request(b"Authorization", b"y");
        assert_eq!(headers.0, fields(&[("a", "1"), ("authorization", "y"), ("a", "2")]).0);
    }

    #[test]
    fn a_list_ends_after_a_hundred_headers_and_a_name_finds_the_rest() {
        let mut head = Head {
            method: b"GET".to_vec(),
            target: b"/".to_vec(),
            fields: fields(&[("host", "a")]),
            peer: ([127, 0, 0, 1], 1).into(),
        };
        for number in 0..150 {
            head.fields.add(format!("x-{number}").as_bytes(), b"1");
        }
        assert_eq!(head.listed().unwrap().len(), LISTED + 4);
        assert!(head.fields.first(b"x-149").is_some());
        head.fields.remove(b"host");
        assert!(head.listed().is_err() && head.pseudo(b":authority").is_err());
        assert_eq!(head.pseudo(b":path").unwrap(), Some(b"/".as_slice()));
    }
}
