//! Recognises two kinds of browser requests: a navigation, whose answer a person sees, and a CORS preflight.

use crate::http::Head;

/// Returns whether a person is waiting for a page: a GET or HEAD whose `Accept` lists `text/html` (RFC 9110 section
/// 12.5.1) with a weight above zero. `*/*` does not count, because scripts send it. Neither does a request that says
/// that a script made it: by `Sec-Fetch-Mode` (Fetch Metadata), or by `X-Requested-With`, as many libraries do.
#[must_use]
pub fn is_navigation(head: &Head<'_>) -> bool {
    let is_script =
        head.values(b"sec-fetch-mode").any(|mode| !mode.trim_ascii().eq_ignore_ascii_case(b"navigate"))
            || head
                .values(b"x-requested-with")
                .any(|value| value.trim_ascii().eq_ignore_ascii_case(b"XMLHttpRequest"));
    matches!(head.method, b"GET" | b"HEAD")
        && !is_script
        && head.values(b"accept").flat_map(|value| value.split(|&byte| byte == b',')).any(wants_html)
}

/// Returns whether this is a CORS preflight: OPTIONS with one `Origin` and one `Access-Control-Request-Method` (Fetch
/// standard, "CORS-preflight fetch"). An OPTIONS request without them gets no special treatment.
#[must_use]
pub fn is_cors_preflight(head: &Head<'_>) -> bool {
    head.method == b"OPTIONS"
        && one_word(head, b"origin").is_some()
        && one_word(head, b"access-control-request-method").is_some()
}

/// Returns the value of a header that occurs once, is not empty and is not a list.
fn one_word<'a>(head: &Head<'a>, name: &'static [u8]) -> Option<&'a [u8]> {
    let mut values = head.values(name);
    let value = values.next()?.trim_ascii();
    let is_word = !value.is_empty() && value.iter().all(|&byte| byte.is_ascii_graphic() && byte != b',');
    (is_word && values.next().is_none()).then_some(value)
}

/// Returns whether an element of `Accept` is `text/html` with a weight above zero.
fn wants_html(element: &[u8]) -> bool {
    let mut parts = element.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/html"))
        && parts.all(|parameter| match parameter {
            [b'q' | b'Q', b'=', weight @ ..] => is_positive(weight),
            _ => true,
        })
}

/// Returns whether a weight (RFC 9110 section 12.4.2) is above zero. A malformed weight is not.
fn is_positive(weight: &[u8]) -> bool {
    match weight {
        [b'1'] => true,
        [b'1', b'.', rest @ ..] => rest.len() <= 3 && rest.iter().all(|&byte| byte == b'0'),
        [b'0', b'.', rest @ ..] => {
            rest.len() <= 3 && rest.iter().all(u8::is_ascii_digit) && rest.iter().any(|&byte| byte != b'0')
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Field;

    fn head<'a>(method: &'a str, fields: &'a [Field<'a>]) -> Head<'a> {
        Head {
            method: method.as_bytes(),
            scheme: b"https",
            authority: b"app.example",
            path: b"/",
            fields,
            client_address: &|| None,
        }
    }

    #[test]
    fn only_a_request_for_a_page_is_a_navigation() {
        let cases: &[(&str, &[&str], bool)] = &[
            ("GET", &["text/html"], true),
            ("HEAD", &["text/html"], true),
            ("GET", &["text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"], true),
            ("GET", &["application/json", "Text/HTML ; charset=utf-8; q=0.001"], true),
            ("GET", &["text/html;q=1.000"], true),
            ("POST", &["text/html"], false),
            ("get", &["text/html"], false),
            ("OPTIONS", &["text/html"], false),
            ("GET", &[], false),
            ("GET", &[""], false),
            ("GET", &["*/*"], false),
            ("GET", &["text/*"], false),
            ("GET", &["application/json"], false),
            ("GET", &["application/xhtml+xml"], false),
            ("GET", &["text/htmlx"], false),
            ("GET", &["text/html;q=0"], false),
            ("GET", &["text/html; Q=0.000, */*"], false),
            ("GET", &["text/html;q=x"], false),
            ("GET", &["text/html;q="], false),
            ("GET", &["text/html;q=2"], false),
        ];
        for (method, accept, expected) in cases {
            let fields: Vec<Field<'_>> =
                accept.iter().map(|value| (b"accept".as_slice(), value.as_bytes())).collect();
            assert_eq!(is_navigation(&head(method, &fields)), *expected, "{method} {accept:?}");
        }
    }

    #[test]
    fn what_a_script_sends_is_no_navigation_although_it_accepts_html() {
        let cases: &[(&str, &str, bool)] = &[
            ("sec-fetch-mode", "navigate", true),
            ("sec-fetch-mode", "cors", false),
            ("sec-fetch-mode", "no-cors", false),
            ("sec-fetch-mode", "same-origin", false),
            ("sec-fetch-mode", "", false),
            ("x-requested-with", "XMLHttpRequest", false),
            ("x-requested-with", "xmlhttprequest", false),
            ("x-requested-with", "com.android.browser", true),
        ];
        for (name, value, expected) in cases {
            let fields =
                [(b"accept".as_slice(), b"text/html".as_slice()), (name.as_bytes(), value.as_bytes())];
            assert_eq!(is_navigation(&head("GET", &fields)), *expected, "{name}: {value}");
        }
    }

    #[test]
    fn only_what_a_browser_sends_before_a_cross_origin_request_is_a_preflight() {
        const ORIGIN: Field<'static> = (b"origin", b"https://a.example");
        const METHOD: Field<'static> = (b"access-control-request-method", b"PUT");
        let cases: &[(&str, &[Field<'_>], bool)] = &[
            ("OPTIONS", &[ORIGIN, METHOD], true),
            ("OPTIONS", &[(b"origin", b"null"), METHOD], true),
            ("GET", &[ORIGIN, METHOD], false),
            ("options", &[ORIGIN, METHOD], false),
            ("OPTIONS", &[ORIGIN], false),
            ("OPTIONS", &[METHOD], false),
            ("OPTIONS", &[], false),
            ("OPTIONS", &[ORIGIN, ORIGIN, METHOD], false),
            ("OPTIONS", &[ORIGIN, METHOD, METHOD], false),
            ("OPTIONS", &[(b"origin", b" "), METHOD], false),
            ("OPTIONS", &[ORIGIN, (b"access-control-request-method", b"PUT, GET")], false),
        ];
        for (method, fields, expected) in cases {
            assert_eq!(is_cors_preflight(&head(method, fields)), *expected, "{method} {fields:?}");
        }
    }
}
