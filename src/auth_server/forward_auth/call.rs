//! Builds the call that asks about a request from scratch. Only what is configured goes along, and some headers never
//! do.

use std::time::Duration;

use super::{CallHost, CallMethod, ForwardAuth, OriginalRequest, withheld};
use crate::auth_server::forwarded;
use crate::http::authority::Authority;
use crate::http::credential;
use crate::http::header;
use crate::http::url::Url;
use crate::http::{BadHead, Call, Fields, Head, WantedBody};

/// The most bytes from the client that are sent. A server may fail on more, or hang up, and the client would have
/// caused that. (Node.js accepts 16 KiB of headers in total.)
pub const MAX_SENT: usize = 16 * 1024;

/// The longest body of a denial that is relayed, in bytes.
pub const MAX_BODY: usize = 64 * 1024;

/// Builds the call that asks about a request, at `url` if that differs from the server's own.
///
/// # Errors
///
/// Fails if the request contains something that cannot be sent. It is never sent in part, because then the server
/// would judge a different request from the one that the app gets.
pub fn call(
    forward_auth: &ForwardAuth,
    timeout: Duration,
    head: &Head<'_>,
    url: Option<&Url>,
) -> Result<Call, BadHead> {
    let server = &forward_auth.server;
    let url = url.unwrap_or(&server.url);
    let mut fields = Sent { list: Fields::default(), of_client: 0 };
    let method = match forward_auth.method {
        CallMethod::Get => "GET",
        CallMethod::Head => "HEAD",
    };
    fields.own(b":method", method);
    fields.own(b":scheme", url.scheme().as_str());
    check_host(forward_auth, head)?;
    match forward_auth.host {
        CallHost::Url => fields.own(b":authority", url.authority()),
        CallHost::Client => fields.tell(b":authority", head.authority)?,
    }
    fields.own(b":path", url.path_and_query());
    match forward_auth.original_request {
        OriginalRequest::XForwarded => {
            fields.tell(b"x-forwarded-method", head.method)?;
            fields.tell(b"x-forwarded-proto", head.scheme)?;
            fields.tell(b"x-forwarded-host", head.authority)?;
            fields.tell(b"x-forwarded-uri", head.path)?;
            if let Some(address) = forwarded::client_address(head) {
                fields.own(b"x-forwarded-for", address);
            }
        }
        OriginalRequest::XOriginal => {
            fields.tell(b"x-original-method", head.method)?;
            fields.tell(b"x-original-uri", head.path)?;
        }
        OriginalRequest::None => {}
    }
    for (name, template) in &forward_auth.extra_headers {
        if let Some(value) = template.render(head) {
            fields.tell(name.as_bytes(), value)?;
        }
    }
    for (name, value) in copied(forward_auth, head) {
        fields.tell(name, value)?;
    }
    if let Some(value) = cookies(forward_auth, head) {
        fields.tell(b"cookie", value)?;
    }
    let body = match (forward_auth.method, forward_auth.relay_body) {
        (CallMethod::Get, true) => WantedBody::Welcome { limit: MAX_BODY },
        (CallMethod::Get, false) | (CallMethod::Head, _) => WantedBody::None,
    };
    Ok(Call { upstream: server.upstream.clone(), fields: fields.list, form: None, timeout, body })
}

/// Checks whether the request's host may become the host of the call, if it would. A server that is chosen by its
/// host must not be chosen by one that the next program reads differently. This holds for every request, however
/// narrow the cache key is.
///
/// # Errors
///
/// Fails if the host is unclear.
pub fn check_host(forward_auth: &ForwardAuth, head: &Head<'_>) -> Result<(), BadHead> {
    match forward_auth.host {
        CallHost::Client if Authority::parse(head.authority).is_err() => Err(BadHead::UnclearHost),
        CallHost::Client | CallHost::Url => Ok(()),
    }
}

/// Returns the client's headers that are sent unchanged. Cookies are separate.
pub(super) fn copied<'a>(
    forward_auth: &'a ForwardAuth,
    head: &Head<'a>,
) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    head.fields.iter().copied().filter(|(name, _)| {
        forward_auth.request_headers.iter().any(|pattern| pattern.matches(name))
            && !header::is_same(name, b"cookie")
            && withheld(name).is_none()
            // A header that the operator sets is never also taken from the client.
            && !forward_auth.extra_headers.iter().any(|(own, _)| header::is_same(own.as_bytes(), name))
    })
}

/// Returns the client's cookies that are sent, unchanged and in order. All cookies of one name are sent: the app gets
/// them all too, and the server decides which one counts. A cookie that no call can contain (with a control byte, or
/// not UTF-8) is left out; the others are sent.
pub(super) fn sent_cookies<'a>(
    forward_auth: &'a ForwardAuth,
    head: &Head<'a>,
) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let is_chosen = |pair: &[u8]| match &forward_auth.cookies {
        Some(patterns) => credential::split_cookie(pair)
            .is_some_and(|(name, _)| patterns.iter().any(|pattern| pattern.matches(name))),
        None => true,
    };
    credential::cookie_pairs(head)
        .filter(move |pair| forward_auth.sends_cookies() && can_be_sent(pair) && is_chosen(pair))
}

/// Returns the values of the client's headers that are sent, each cookie separately and without its name.
pub fn sent_values<'a>(forward_auth: &'a ForwardAuth, head: &Head<'a>) -> impl Iterator<Item = &'a [u8]> {
    let cookies = sent_cookies(forward_auth, head);
    let cookies = cookies.map(|pair| credential::split_cookie(pair).map_or(pair, |(_name, value)| value));
    copied(forward_auth, head).map(|(_name, value)| value).chain(cookies)
}

/// Returns the `Cookie` header: one line, as in HTTP/1 (RFC 9113 section 8.2.3).
fn cookies(forward_auth: &ForwardAuth, head: &Head<'_>) -> Option<Vec<u8>> {
    let pairs: Vec<_> = sent_cookies(forward_auth, head).collect();
    (!pairs.is_empty()).then(|| pairs.join(b"; ".as_slice()))
}

/// Returns whether a call can contain these bytes. APISIX refuses control bytes, including tabs, and the SDK sends
/// only UTF-8.
fn can_be_sent(bytes: &[u8]) -> bool {
    !header::has_control(bytes) && std::str::from_utf8(bytes).is_ok()
}

/// The headers of a call.
struct Sent {
    list: Fields,
    of_client: usize,
}

impl Sent {
    fn own(&mut self, name: &[u8], value: impl AsRef<[u8]>) {
        self.list.push(name, value.as_ref());
    }

    /// Adds a header that contains bytes from the client. If it cannot be sent, the request itself is at fault.
    fn tell(&mut self, name: &[u8], value: impl AsRef<[u8]>) -> Result<(), BadHead> {
        let value = value.as_ref();
        if !can_be_sent(name) || !can_be_sent(value) {
            return Err(BadHead::ControlByte);
        }
        self.of_client = self.of_client.saturating_add(name.len()).saturating_add(value.len());
        if self.of_client > MAX_SENT {
            return Err(BadHead::TooLarge);
        }
        self.own(name, value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::http::Field;

    fn head<'a>(fields: &'a [Field<'a>]) -> Head<'a> {
        Head {
            method: b"POST",
            scheme: b"https",
            authority: b"app.example:8443",
            path: b"/a?x=y",
            fields,
            client_address: &|| Some(std::net::Ipv4Addr::new(192, 0, 2, 1).into()),
        }
    }

    fn forward_auth(more: Value) -> ForwardAuth {
        let mut config = json!({"url": "http://auth.example:9091/verify?group=x", "upstream": "auth",
            "identity_headers": ["x-user"]});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ForwardAuth::for_tests(config)
    }

    fn sent(more: Value, fields: &[Field<'_>]) -> Vec<(String, String)> {
        let call = call(&forward_auth(more), Duration::from_secs(2), &head(fields), None).unwrap();
        assert_eq!((call.upstream.as_str(), call.timeout), ("auth", Duration::from_secs(2)));
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        call.fields.iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    fn is_sent(more: Value, fields: &[Field<'_>], expected: &[(&str, &str)]) {
        let own = [
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "auth.example:9091"),
            (":path", "/verify?group=x"),
        ];
        let expected: Vec<_> = own
            .iter()
            .chain(expected)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(sent(more.clone(), fields), expected, "{more}");
    }

    /// Headers with which a client may try to pass for another request, or to break the call.
    const HOSTILE: [Field<'static>; 27] = [
        (b"content-length", b"5"),
        (b"content_length", b"6"),
        (b"transfer-encoding", b"chunked"),
        (b"connection", b"upgrade, authorization"),
        (b"keep-alive", b"x"),
        (b"te", b"trailers"),
        (b"trailer", b"x"),
        (b"upgrade", b"websocket"),
        (b"expect", b"100-continue"),
        (b"proxy-connection", b"x"),
        (b"proxy-authorization", b"x"),
        (b"http2-settings", b"x"),
        (b"host", b"evil.example"),
        (b"forwarded", b"for=evil"),
        (b"x-real-ip", b"10.0.0.1"),
        (b"x-forwarded-host", b"evil.example"),
        (b"x-forwarded-uri", b"/public"),
        (b"x_forwarded_method", b"GET"),
        (b"x-forwarded-port", b"1"),
        (b"x-original-uri", b"/public"),
        (b"x.original.method", b"GET"),
        (b"if-none-match", b"*"),
        (b"range", b"bytes=0-0"),
        (b"x-envoy-upstream-rq-timeout-ms", b"200"),
        (b"X_Envoy_Upstream.Rq-Timeout-Alt-Response", b"1"),
        (b"x.envoy.original.path", b"/public"),
        (b"accept", b"*/*"),
    ];

    #[test]
    fn the_call_describes_the_request_itself_and_never_what_the_client_says_of_it() {
        let described = [
            ("x-forwarded-method", "POST"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "app.example:8443"),
            ("x-forwarded-uri", "/a?x=y"),
            ("x-forwarded-for", "192.0.2.1"),
        ];
        is_sent(json!({}), &HOSTILE, &described);
        let original = [("x-original-method", "POST"), ("x-original-uri", "/a?x=y")];
        is_sent(json!({"original_request": "x-original"}), &HOSTILE, &original);
        is_sent(json!({"original_request": "none"}), &HOSTILE, &[]);
    }

    #[test]
    fn framing_and_forged_descriptions_are_not_sent_even_where_a_beginning_of_names_means_them() {
        let more = json!({"original_request": "none", "request_headers":
            ["x-*", "content-*", "proxy-*", "transfer-*", "keep-*", "if-*", "http2-*", "accept"]});
        is_sent(more, &HOSTILE, &[("accept", "*/*")]);
    }

    #[test]
    fn the_clients_headers_are_sent_as_they_are_and_repeated_ones_apart() {
        let fields: &[Field<'_>] = &[
            (b"authorization", b"Basic a"),
            (b"x-auth-realm", b"one"),
            (b"accept", b"*/*"),
            (b"authorization", b"Bearer b"),
            (b"x-auth-", b""),
            (b"x-author", b"no"),
            (b"cookie", b"a=b; c=d"),
            (b"cookie", b"e=f"),
        ];
        let none = |more: Value| {
            let mut all = json!({"original_request": "none"});
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            all
        };
        let authorization = [("authorization", "Basic a"), ("authorization", "Bearer b")];
        let cookie = ("cookie", "a=b; c=d; e=f");
        is_sent(none(json!({})), fields, &[authorization.as_slice(), &[cookie]].concat());
        is_sent(
            none(json!({"request_headers": ["Authorization", "X-Auth-*"]})),
            fields,
            &[authorization[0], ("x-auth-realm", "one"), authorization[1], ("x-auth-", "")],
        );
        is_sent(none(json!({"request_headers": ["cookie"]})), fields, &[cookie]);
        is_sent(none(json!({"request_headers": []})), fields, &[]);
        is_sent(none(json!({"method": "GET"})), &[], &[]);
    }

    #[test]
    fn bytes_that_are_no_text_are_not_sent_and_a_cookie_with_them_does_not_stop_the_others() {
        let ask = |field: Field<'static>, more| {
            call(&forward_auth(more), Duration::ZERO, &head(&[field]), None)
                .map(|call| call.fields.value(b"cookie").map(<[u8]>::to_vec))
        };
        for field in [(b"authorization".as_slice(), b"Basic \xff".as_slice()), (b"x-\xff", b"1")] {
            let all = json!({"request_headers": ["authorization", "x-*"]});
            assert_eq!(ask(field, all), Err(BadHead::ControlByte), "{field:?}");
        }
        for more in [json!({}), json!({"cookies": ["a", "b", "c"]})] {
            let cookie = (b"cookie".as_slice(), b"a=1; b=\xff; c=3".as_slice());
            assert_eq!(ask(cookie, more), Ok(Some(b"a=1; c=3".to_vec())));
        }
    }

    #[test]
    fn of_the_cookies_only_the_chosen_ones_are_sent_whichever_line_they_stand_in() {
        let more = || json!({"original_request": "none", "cookies": ["session", "csrf"]});
        #[rustfmt::skip]
        let cases: &[(&[&[u8]], Option<&str>)] = &[
            (&[b"session=a"], Some("session=a")),
            (&[b"x=1;csrf=b ; session=a=b==", b"y=2", b"session=\"c\""], Some("csrf=b; session=a=b==; session=\"c\"")),
            (&[b"Session=a; xsession=b; session2=c; session-csrf=d"], None),
            (&[b"other=\"a; session=b\""], Some("session=b\"")),
            (&[b"session="], Some("session=")),
            (&[b"session"], None),
            (&[b"other=\x01"], None),
            (&[b""], None),
            (&[], None),
        ];
        for (lines, expected) in cases {
            let fields: Vec<Field<'_>> = lines.iter().map(|line| (b"cookie".as_slice(), *line)).collect();
            let expected: Vec<_> = expected.iter().map(|value| ("cookie", *value)).collect();
            is_sent(more(), &fields, &expected);
        }
    }

    #[test]
    fn what_the_operator_sets_is_made_of_the_request_and_never_also_said_by_the_client() {
        let more = json!({"original_request": "none", "request_headers": ["x-*"],
            "extra_headers": {"X-Key": "secret", "x-url": "{url}", "x-ip": "{client_ip}", "X-Forwarded-Uri": "{path}"}});
        let fields: &[Field<'_>] =
            &[(b"x-key", b"forged"), (b"X_Key", b"forged"), (b"x_ip", b"10.0.0.1"), (b"x-other", b"kept")];
        let expected = [
            ("x-forwarded-uri", "/a?x=y"),
            ("x-key", "secret"),
            ("x-ip", "192.0.2.1"),
            ("x-url", "https://app.example:8443/a?x=y"),
            ("x-other", "kept"),
        ];
        is_sent(more, fields, &expected);
    }

    #[test]
    fn a_control_byte_in_what_would_be_sent_is_the_requests_own_fault() {
        let forward_auth = forward_auth(json!({"request_headers": ["authorization", "cookie", "x-*"],
            "cookies": ["session"], "extra_headers": {"x-who": "{host}"}}));
        let called = |head: &Head<'_>| call(&forward_auth, Duration::ZERO, head, None).map(|_call| ());
        for odd in [b"a\r\nx-user1: admin".as_slice(), b"a\nb", b"a\0", b"\x7f", b"a\tb"] {
            for name in [b"authorization".as_slice(), b"x-tenant"] {
                assert_eq!(called(&head(&[(name, odd)])), Err(BadHead::ControlByte));
            }
            for head in [
                Head { authority: odd, ..head(&[]) },
                Head { method: odd, ..head(&[]) },
                Head { path: odd, ..head(&[]) },
            ] {
                assert_eq!(called(&head), Err(BadHead::ControlByte));
            }
            assert_eq!(called(&head(&[(b"accept", odd), (b"x-forwarded-for", odd)])), Ok(()), "not sent");
        }
    }

    #[test]
    fn a_cookie_that_cannot_be_sent_does_not_keep_the_others_back() {
        let chosen = || json!({"original_request": "none", "cookies": ["a", "b", "c"]});
        for odd in ["b=1\t2", "b=\u{1}", "b\u{7f}=1", "\t"] {
            let line = format!("a=1; {odd}; c=3");
            for more in [json!({"original_request": "none"}), chosen()] {
                is_sent(more, &[(b"cookie", line.as_bytes())], &[("cookie", "a=1; c=3")]);
            }
            is_sent(chosen(), &[(b"cookie", odd.as_bytes())], &[]);
        }
        let prefix = json!({"original_request": "none", "cookies": ["_oauth2_proxy*"]});
        let line = b"_oauth2_proxy_0=a; other=b; _oauth2_proxy=c".as_slice();
        is_sent(prefix, &[(b"cookie", line)], &[("cookie", "_oauth2_proxy_0=a; _oauth2_proxy=c")]);
    }

    #[test]
    fn more_than_servers_take_is_the_requests_own_fault() {
        let forward_auth = forward_auth(json!({}));
        let half = vec![b'a'; MAX_SENT / 2];
        let called = |fields: &[Field<'_>], path: &[u8]| {
            call(&forward_auth, Duration::ZERO, &Head { path, ..head(fields) }, None).map(|_call| ())
        };
        assert_eq!(called(&[(b"cookie", &half)], b"/"), Ok(()));
        assert_eq!(called(&[(b"cookie", &half), (b"cookie", &half)], b"/"), Err(BadHead::TooLarge));
        assert_eq!(called(&[(b"cookie", &half)], &half), Err(BadHead::TooLarge));
        assert_eq!(called(&[(b"accept", &half), (b"x", &half), (b"y", &half)], b"/"), Ok(()), "not sent");
    }

    #[test]
    fn a_body_is_taken_only_where_one_may_be_relayed() {
        let body = |more| call(&forward_auth(more), Duration::ZERO, &head(&[]), None).unwrap().body;
        assert_eq!(body(json!({})), WantedBody::Welcome { limit: MAX_BODY });
        assert_eq!(body(json!({"relay_body": false})), WantedBody::None);
        assert_eq!(body(json!({"method": "HEAD"})), WantedBody::None);
    }

    #[test]
    fn the_host_of_the_call_is_the_clients_where_that_is_configured_and_clear() {
        let asked = |host: &str, authority: &[u8]| {
            let forward_auth = forward_auth(json!({"host": host}));
            call(&forward_auth, Duration::ZERO, &Head { authority, ..head(&[]) }, None)
        };
        let told = |call: Call, name: &[u8]| call.fields.value(name).map(<[u8]>::to_vec);
        for host in [
            "app.example",
            "App.Example:8443",
            "app.example.",
            "localhost",
            "192.0.2.1:80",
            "[2001:db8::1]:443",
        ] {
            for (configured, expected) in [("client", host), ("url", "auth.example:9091")] {
                let call = asked(configured, host.as_bytes()).unwrap();
                assert_eq!(told(call.clone(), b":authority").unwrap(), expected.as_bytes());
                assert_eq!(
                    told(call.clone(), b"x-forwarded-host").unwrap(),
                    host.as_bytes(),
                    "of the request"
                );
                assert_eq!(told(call, b"host"), None, "said once");
            }
        }
        let unclear: [&[u8]; 9] = [
            b"app.example,evil.example",
            b"evil@app.example",
            b"app.example/evil",
            b"app.example:80:443",
            b"app..example",
            b"app.example\\evil",
            b"app example",
            b"app%2eexample",
            b"app.example:",
        ];
        for host in unclear {
            let is_clear = Authority::parse(host).is_ok();
            let found = asked("client", host).map(|_call| ());
            let expected = if is_clear { Ok(()) } else { Err(BadHead::UnclearHost) };
            assert_eq!(found, expected, "{}", host.escape_ascii());
            assert!(asked("url", host).is_ok(), "only told");
        }
    }

    #[test]
    fn another_url_is_asked_at_the_same_upstream() {
        let url = Url::parse_with_query("http://auth.example:9091/other?allowed_groups=a,b").unwrap();
        let call = call(&forward_auth(json!({})), Duration::ZERO, &head(&[]), Some(&url)).unwrap();
        let told = |name: &str| call.fields.value(name.as_bytes()).unwrap();
        assert_eq!(told(":path"), b"/other?allowed_groups=a,b");
        assert_eq!((told(":authority"), call.upstream.as_str()), (b"auth.example:9091".as_slice(), "auth"));
    }
}
