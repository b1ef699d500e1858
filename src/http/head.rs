//! The head of a request as the proxy received it, and the requests whose heads cannot be decided upon.

use std::net::IpAddr;

use super::Field;

/// Tells the address of the client's connection. A function, because asking the proxy costs more than most
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
    /// Splits a proxy's list of headers, which has the pseudo headers among the others, into a head.
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
    pub fn values<'n>(&self, name: &'n [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
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
    /// The proxy's list of headers cannot be read.
    Unreadable,
    /// More headers than the proxy shows: what it hides could be forged.
    TooManyHeaders,
    /// The auth server would have to be sent a control byte, which proxies refuse to send.
    ControlByte,
    /// The auth server would have to be sent more than servers take.
    TooLarge,
    /// The auth server would have to be sent the host, which programs could read differently.
    UnclearHost,
    /// Programs could read the path differently, and about each reading another URL would have to be asked.
    UnclearPath,
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
            | Self::ControlByte
            | Self::UnclearHost
            | Self::UnclearPath => 400,
            Self::TooManyHeaders | Self::TooLarge => 431,
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
            Self::UnclearHost => "the host of the request is not clear",
            Self::UnclearPath => "the path can be read in ways that are guarded differently",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: [Field<'static>; 3] = [(b":method", b"GET"), (b":authority", b"a"), (b":path", b"/x?y")];

    fn read(listed: &[Field<'_>]) -> Result<(), BadHead> {
        Head::new(listed, &mut Vec::new(), &|| None).map(|_head| ())
    }

    #[test]
    fn a_head_is_what_a_proxy_lists() {
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
