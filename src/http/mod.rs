//! Plain data that crosses the edge: what the core is asked, and what it answers.
//!
//! Names and values of headers are bytes, because that is what hosts and clients send; nothing here
//! assumes UTF-8. Nothing here calls the host.

pub mod browser;
pub(crate) mod bytes;
pub mod credential;
pub mod grpc;
pub mod header;
pub mod url;

use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::http::bytes::is_equal;

/// A moment, as the time since the Unix epoch. The core never reads a clock: every function that needs
/// the time takes it as an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixTime(Duration);

impl UnixTime {
    /// A moment `since_epoch` after 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn new(since_epoch: Duration) -> Self {
        Self(since_epoch)
    }

    /// A moment in whole seconds, the unit of JWT's `NumericDate` (RFC 7519 section 2).
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0.as_secs()
    }

    /// The moment `later` after this one; the end of time where that cannot be told.
    #[must_use]
    pub const fn after(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later))
    }

    /// How long ago `earlier` was; zero where it lies in the future, as after a clock was set back.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// A header: its name in lower case, as every host gives it, and its value.
pub type Field<'a> = (&'a [u8], &'a [u8]);

/// A header that owns its bytes.
pub type OwnedField = (Vec<u8>, Vec<u8>);

/// A list of headers that owns their bytes, all together: two pieces of memory, however many headers. Prints without
/// their values, some of which let their bearer in.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Fields {
    /// Of each name and of its value.
    lengths: Vec<(usize, usize)>,
    /// Each name, and its value behind it.
    bytes: Vec<u8>,
}

impl Fields {
    /// An empty list with room for as many headers and bytes.
    #[must_use]
    pub fn with_room(headers: usize, bytes: usize) -> Self {
        Self { lengths: Vec::with_capacity(headers), bytes: Vec::with_capacity(bytes) }
    }

    /// Adds a header behind the others.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        self.push_parts(name, [value]);
    }

    /// The same, the value in parts.
    pub fn push_parts<'a>(&mut self, name: &[u8], value: impl IntoIterator<Item = &'a [u8]>) {
        self.bytes.extend_from_slice(name);
        let start = self.bytes.len();
        for part in value {
            self.bytes.extend_from_slice(part);
        }
        self.lengths.push((name.len(), self.bytes.len().saturating_sub(start)));
    }

    /// Adds a header behind the others, its name in lower case.
    pub fn push_lowercase(&mut self, name: &[u8], value: &[u8]) {
        let start = self.bytes.len();
        self.push(name, value);
        if !header::is_surely_lowercase(name)
            && let Some(name) = self.bytes.get_mut(start..start.saturating_add(name.len()))
        {
            name.make_ascii_lowercase();
        }
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Field<'_>> + Clone {
        let mut rest = self.bytes.as_slice();
        self.lengths.iter().map_while(move |&(name, value)| {
            let (name, values) = rest.split_at_checked(name)?;
            let (value, after) = values.split_at_checked(value)?;
            rest = after;
            Some((name, value))
        })
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// The value of the first of that name.
    #[must_use]
    pub fn value(&self, name: &[u8]) -> Option<&[u8]> {
        let mut start = 0usize;
        for &(name_length, value_length) in &self.lengths {
            let middle = start.saturating_add(name_length);
            let end = middle.saturating_add(value_length);
            // Most names differ in length, and then nothing else is looked at.
            if name_length == name.len()
                && self.bytes.get(start..middle).is_some_and(|known| is_equal(known, name))
            {
                return self.bytes.get(middle..end);
            }
            start = end;
        }
        None
    }

    /// The memory that it owns, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        size_of_val(self.lengths.as_slice()).saturating_add(self.bytes.len())
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for Fields {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(fields: I) -> Self {
        let fields = fields.into_iter();
        let mut list = Self::with_room(fields.size_hint().1.unwrap_or_default(), 512);
        for (name, value) in fields {
            list.push(name.as_ref(), value.as_ref());
        }
        list
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, _)| String::from_utf8_lossy(name))).finish()
    }
}

/// Tells the address of the client's connection. A function, because asking the host costs more than most
/// requests need: only a call to the auth server wants it.
pub type ClientAddress<'a> = &'a dyn Fn() -> Option<IpAddr>;

/// The head of a request, as the proxy received it.
#[derive(Clone, Copy)]
pub struct Head<'a> {
    /// `GET` and such, as sent.
    pub method: &'a [u8],
    /// `http` or `https`: how the client's connection was made, in the word of the proxy (`x-forwarded-proto`).
    pub scheme: &'a [u8],
    /// `Host` or `:authority`, as sent: host and perhaps a port.
    pub authority: &'a [u8],
    /// The path and the query, as sent.
    pub path: &'a [u8],
    /// All headers but the pseudo headers, in order, repeated ones apart.
    pub fields: &'a [Field<'a>],
    /// The peer of the connection, never what a header says.
    pub client_address: ClientAddress<'a>,
}

impl<'a> Head<'a> {
    /// Splits a host's list of headers, which has the pseudo headers among the others, into a head.
    /// `fields` receives the others, so that the head can borrow them.
    ///
    /// # Errors
    ///
    /// Names the first thing that makes the request one that cannot be decided upon.
    pub fn new(
        listed: &[Field<'a>],
        fields: &'a mut Vec<Field<'a>>,
        client_address: ClientAddress<'a>,
    ) -> Result<Self, BadHead> {
        fields.reserve(listed.len());
        let (mut method, mut authority, mut path) = (None, None, None);
        for &(name, value) in listed {
            let pseudo = match name {
                b":method" => &mut method,
                b":authority" => &mut authority,
                b":path" => &mut path,
                _ if name.first() == Some(&b':') => continue,
                _ => {
                    fields.push((name, value));
                    continue;
                }
            };
            if pseudo.replace(value).is_some() {
                return Err(BadHead::Repeated);
            }
        }
        let path = path.ok_or(BadHead::NoPath)?;
        // Programs read what follows differently: some cut the path there, some do not.
        if path.iter().any(|&byte| byte == b'#' || byte.is_ascii_control()) {
            return Err(BadHead::Path);
        }
        Ok(Self {
            method: method.ok_or(BadHead::NoMethod)?,
            scheme: original_scheme(fields),
            authority: authority.filter(|host| !host.is_empty()).ok_or(BadHead::NoHost)?,
            path,
            fields,
            client_address,
        })
    }

    /// The values of a header, in order; `name` in lower case.
    pub fn values(&self, name: &'static [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.fields.iter().filter(move |field| field.0 == name).map(|field| field.1)
    }
}

/// How the client's connection was made, in the word of the proxy: Envoy and APISIX both write `x-forwarded-proto`
/// themselves, or let through that of a proxy which they were told to trust. `:scheme` is what a client of
/// cleartext HTTP/2 says, and is never looked at. `http` where the proxy says nothing, or nothing clear.
fn original_scheme<'a>(fields: &[Field<'a>]) -> &'a [u8] {
    let mut told = fields.iter().filter(|(name, _)| *name == b"x-forwarded-proto").map(|(_, value)| *value);
    match (told.next(), told.next()) {
        (Some(b"https"), None) => b"https",
        _ => b"http",
    }
}

/// Why a request is answered with 400 or 431: the filter cannot tell what it asks for, or cannot ask the auth
/// server about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadHead {
    /// No method.
    NoMethod,
    /// No path, as in `CONNECT`.
    NoPath,
    /// A `#` or a control byte in the path.
    Path,
    /// Neither `Host` nor `:authority`.
    NoHost,
    /// A pseudo header twice.
    Repeated,
    /// The host's list of headers cannot be read.
    Unreadable,
    /// More headers than the host shows: what it hides could be forged.
    TooManyHeaders,
    /// The auth server would have to be sent a control byte, which proxies refuse to send.
    ControlByte,
    /// The auth server would have to be sent more than servers take.
    TooLarge,
}

impl BadHead {
    /// The status of the answer.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::NoMethod
            | Self::NoPath
            | Self::Path
            | Self::NoHost
            | Self::Repeated
            | Self::Unreadable
            | Self::ControlByte => 400,
            Self::TooManyHeaders | Self::TooLarge => 431,
        }
    }

    /// What the client is told, in a word.
    #[must_use]
    pub const fn error(self) -> &'static str {
        match self {
            Self::NoMethod
            | Self::NoPath
            | Self::Path
            | Self::NoHost
            | Self::Repeated
            | Self::Unreadable
            | Self::ControlByte => "bad_request",
            Self::TooManyHeaders | Self::TooLarge => "too_large",
        }
    }

    /// What the client is told.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::NoMethod => "the request has no method",
            Self::NoPath => "the request has no path",
            Self::Path => "the path holds a '#' or a control character",
            Self::NoHost => "the request names no host",
            Self::Repeated => "the request repeats what it can say only once",
            Self::Unreadable => "the headers of the request cannot be read",
            Self::TooManyHeaders => "the request has too many headers",
            Self::ControlByte => "a header of the request holds a control character",
            Self::TooLarge => "the headers of the request are too large",
        }
    }
}

/// A request of the filter's own to the auth server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Where to: an Envoy cluster, or `host:port` on APISIX.
    pub upstream: String,
    /// All headers, with `:method`, `:scheme`, `:authority` and `:path` in front: hosts need all four.
    pub fields: Fields,
    /// How long to wait for the whole answer, in whole milliseconds.
    pub timeout: Duration,
    /// What is taken of the answer's body.
    pub body: WantedBody,
}

/// What is taken of an answer's body. Limits are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedBody {
    /// Nothing.
    None,
    /// All of it; a longer one is no answer ([`CallError::TooLarge`]).
    Needed {
        /// The longest that is taken.
        limit: usize,
    },
    /// All of it; of a longer one nothing, and the answer is as good without.
    Welcome {
        /// The longest that is taken.
        limit: usize,
    },
}

/// What the auth server answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// All headers but the pseudo headers.
    pub fields: Fields,
    /// The body; empty where the call did not want it, or not such a long one.
    pub body: Vec<u8>,
}

/// Why a call has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallError {
    /// The host refused to send it: the upstream is not known to it, or a call is under way already.
    NotSent,
    /// No connection, no answer in time, or one that is not HTTP.
    NoAnswer,
    /// The body of the answer is needed, and longer than the call takes.
    TooLarge,
    /// The proxy may give the answer to another call: a status below 200 came from the upstream a short while ago.
    Quarantined,
}

/// What becomes of a request that is let through.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderEdits {
    /// Headers of the client to remove, by the very names that it sent.
    pub remove: Vec<Vec<u8>>,
    /// Headers to set after that, one value a name; none that the client sent and that is not removed. Shared with
    /// whoever remembers them.
    pub set: Rc<Fields>,
    /// The `Cookie` header to set after that; `None` leaves it as it is by then.
    pub cookie: Option<Vec<u8>>,
    /// Headers to add to the response to the client, repeated ones apart.
    pub respond: Vec<OwnedField>,
}

/// An answer of the filter's own to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status code, 400 to 599 or a redirect's.
    pub status: u16,
    /// Headers, repeated ones apart; no framing.
    pub fields: Vec<OwnedField>,
    /// Never empty: APISIX would put an HTML page of its own in its place.
    pub body: Vec<u8>,
    /// What a gRPC client is told instead, where the host can; `None` for a client that is none.
    pub grpc: Option<grpc::Status>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: [Field<'static>; 3] = [(b":method", b"GET"), (b":authority", b"a"), (b":path", b"/x?y")];

    fn read(listed: &[Field<'_>]) -> Result<(), BadHead> {
        Head::new(listed, &mut Vec::new(), &|| None).map(|_head| ())
    }

    #[test]
    fn a_header_is_found_by_its_whole_name_and_no_other() {
        let name = b"x-authgear-user-id";
        for at in 0..name.len() {
            let (mut capital, mut other) = (*name, *name);
            capital[at] = capital[at].to_ascii_uppercase();
            other[at] = b'_';
            let mut fields = Fields::with_room(3, 64);
            fields.push(&other, b"other");
            fields.push(&name[..at], b"shorter");
            assert_eq!(fields.value(name), None, "{at}");
            fields.push_lowercase(&capital, b"Found");
            assert_eq!(fields.value(name), Some(b"Found".as_slice()), "{at}");
        }
    }

    #[test]
    fn a_head_is_what_a_host_lists() {
        let listed: Vec<_> = WHOLE
            .iter()
            .chain(&[(b"a".as_slice(), b"1".as_slice()), (b":new", b"x"), (b"a", b"\xff")])
            .chain(&[(b"x-forwarded-proto".as_slice(), b"https".as_slice()), (b":scheme", b"ftp")])
            .copied()
            .collect();
        let mut fields = Vec::new();
        let head = Head::new(&listed, &mut fields, &|| None).unwrap();
        assert_eq!(
            (head.method, head.scheme, head.authority, head.path),
            (b"GET".as_slice(), b"https".as_slice(), b"a".as_slice(), b"/x?y".as_slice())
        );
        assert_eq!(head.values(b"a").collect::<Vec<_>>(), [b"1".as_slice(), b"\xff"]);
        assert_eq!(head.fields.len(), 3, "pseudo headers are no headers");
    }

    #[test]
    fn the_scheme_is_the_word_of_the_proxy_and_never_the_clients_pseudo_header() {
        let cases: &[(&[&str], &str)] = &[
            (&["https"], "https"),
            (&["http"], "http"),
            (&[], "http"),
            (&["https", "https"], "http"),
            (&["https,http"], "http"),
            (&["ftp"], "http"),
            (&["HTTPS"], "http"),
        ];
        for scheme in ["https", "http", "ftp"] {
            for (told, expected) in cases {
                let told = told.iter().map(|value| (b"x-forwarded-proto".as_slice(), value.as_bytes()));
                let listed: Vec<_> = WHOLE
                    .into_iter()
                    .chain([(b":scheme".as_slice(), scheme.as_bytes())])
                    .chain(told)
                    .collect();
                let mut fields = Vec::new();
                let head = Head::new(&listed, &mut fields, &|| None).unwrap();
                assert_eq!(head.scheme, expected.as_bytes(), "{listed:?}");
            }
        }
    }

    #[test]
    fn a_request_that_cannot_be_decided_upon_is_refused() {
        let without = |name: &[u8]| WHOLE.into_iter().filter(|field| field.0 != name).collect::<Vec<_>>();
        assert_eq!(read(&without(b":method")), Err(BadHead::NoMethod));
        assert_eq!(read(&without(b":path")), Err(BadHead::NoPath));
        assert_eq!(read(&without(b":authority")), Err(BadHead::NoHost));
        for extra in WHOLE {
            assert_eq!(read(&[WHOLE.as_slice(), &[extra]].concat()), Err(BadHead::Repeated));
        }
        for path in [b"/a#b".as_slice(), b"/a\tb", b"/a\0", b"/\x7f"] {
            assert_eq!(read(&[without(b":path"), vec![(b":path", path)]].concat()), Err(BadHead::Path));
        }
    }
}
