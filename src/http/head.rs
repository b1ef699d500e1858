//! The head of a request as the proxy received it, and the heads that are refused.

use std::net::IpAddr;

use super::Field;

/// Returns the address of the client's connection. A function, because only calls to an auth server need the address
/// and asking the proxy for it is expensive.
pub type ClientAddress<'a> = &'a dyn Fn() -> Option<IpAddr>;

/// The head of a request, as the proxy received it.
#[derive(Clone, Copy)]
pub struct Head<'a> {
    /// The method, as sent.
    pub method: &'a [u8],
    /// `http` or `https`: how the client connected, according to the proxy (`x-forwarded-proto`).
    pub scheme: &'a [u8],
    /// `Host` or `:authority`, as sent: a host, perhaps with a port.
    pub authority: &'a [u8],
    /// The path and the query, as sent.
    pub path: &'a [u8],
    /// All headers except pseudo headers, in order. Repeated headers are separate.
    pub fields: &'a [Field<'a>],
    /// The peer of the connection, never the content of a header.
    pub client_address: ClientAddress<'a>,
}

impl<'a> Head<'a> {
    /// Builds a head from the proxy's list of headers, in which pseudo headers stand among the others. `fields`
    /// receives the others, so that the head can borrow them.
    ///
    /// # Errors
    ///
    /// Fails with the first reason why the request cannot be judged.
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
        // Programs disagree here: some cut the path at such a byte, some do not.
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

    /// Returns the values of a header, in order. `name` is in lower case.
    pub fn values<'n>(&self, name: &'n [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.fields.iter().filter(move |field| field.0 == name).map(|field| field.1)
    }
}

/// Returns how the client connected, according to the proxy. Envoy and APISIX both write `x-forwarded-proto`
/// themselves, or pass on that of a trusted proxy. `:scheme` is ignored: over cleartext HTTP/2 the client chooses it.
/// Returns `http` if the proxy says nothing clear.
fn original_scheme<'a>(fields: &[Field<'a>]) -> &'a [u8] {
    let mut told = fields.iter().filter(|(name, _)| *name == b"x-forwarded-proto").map(|(_, value)| *value);
    match (told.next(), told.next()) {
        (Some(b"https"), None) => b"https",
        _ => b"http",
    }
}

/// Why a request gets 400 or 431: the filter cannot determine what it asks for, or cannot ask the auth server about
/// it.
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
    /// A pseudo header that occurs twice.
    Repeated,
    /// The proxy's list of headers is malformed.
    Unreadable,
    /// More headers than the proxy shows. The hidden ones could be forged.
    TooManyHeaders,
    /// A call would contain a control byte, which proxies refuse to send.
    ControlByte,
    /// A call would be larger than servers accept.
    TooLarge,
    /// A call would contain the host, which programs could read differently.
    UnclearHost,
    /// Programs could read the path differently, and each reading would need a call about another URL.
    UnclearPath,
}

impl BadHead {
    /// Returns the status of the denial.
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

    /// Returns the message for the client.
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
