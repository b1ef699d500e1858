//! Reads a token from each place, and checks what remains of the request without it.

use super::*;

fn head<'a>(path: &'a [u8], fields: &'a [Field<'a>]) -> Head<'a> {
    Head { method: b"GET", scheme: b"http", authority: b"app", path, fields, client_address: &|| None }
}

fn token(token: &[u8]) -> Found<'_> {
    Found::Token(Carried(token.into()))
}

fn in_fields<'a>(place: &Place, fields: &'a [Field<'a>]) -> Found<'a> {
    place.find(&head(b"/", fields))
}

#[test]
fn authorization_is_read_as_authgear_reads_it() {
    let cases: &[(&[u8], Found<'_>)] = &[
        (b"Bearer abc", token(b"abc")),
        (b"bEARER abc", token(b"abc")),
        (b"Bearer   abc  ", token(b"  abc")),
        (b"Bearer abc def", token(b"abc def")),
        (b"Bearer", Found::Nothing),
        (b"Bearer ", Found::Nothing),
        (b"Bearer\tabc", Found::Nothing),
        (b"Bearer a\tb", Found::Unclear),
        (b"", Found::Nothing),
        (b"Basic dXNlcjpwYXNz", Found::Nothing),
        (b"DPoP abc", Found::Nothing),
        (b"Digest username=\"a\", realm=\"b\", nc = 1", Found::Nothing),
        (b"Bearer abc,Bearer def", Found::Unclear),
        (b"Bearer abc, def", Found::Unclear),
        (b"Bearer abc,", Found::Unclear),
        (b"Basic dXNlcjpwYXNz,Bearer abc", Found::Unclear),
        (b"Digest a=b, bearer abc", Found::Unclear),
        (b"Bearer a\xffb", Found::Unclear),
        (b"Basic \xff", Found::Unclear),
        (b"Bearer a\x01b", Found::Unclear),
    ];
    for (value, expected) in cases {
        let fields = [(b"authorization".as_slice(), *value)];
        assert_eq!(in_fields(&Place::bearer(), &fields), *expected, "{}", value.escape_ascii());
    }
}

#[test]
fn a_byte_that_no_credential_has_is_found_wherever_it_stands() {
    for byte in 0..=255 {
        for at in 1..19 {
            let mut bytes = [b'a'; 20];
            bytes[at] = byte;
            let value = [b"Bearer ".as_slice(), &bytes].concat();
            let fields = [(b"authorization".as_slice(), value.as_slice())];
            let is_invalid = byte.is_ascii_control() || !byte.is_ascii() || byte == b',';
            let expected = if is_invalid { Found::Unclear } else { token(&bytes) };
            assert_eq!(in_fields(&Place::bearer(), &fields), expected, "{byte} at {at}");
        }
    }
}

#[test]
fn two_authorization_headers_are_invalid_whatever_they_hold() {
    for second in [b"Bearer b".as_slice(), b"Basic eDp5", b"", b"Bearer a"] {
        let fields = [(b"authorization".as_slice(), b"Bearer a".as_slice()), (b"authorization", second)];
        assert_eq!(in_fields(&Place::bearer(), &fields), Found::Unclear);
    }
}

/// The name and the value of each header.
type Lines = &'static [(&'static [u8], &'static [u8])];

#[test]
fn a_header_holds_one_token_behind_its_scheme_or_as_a_whole() {
    let whole = Place::Header { name: b"x-token".to_vec(), scheme: None };
    let scheme = Place::Header { name: b"x-token".to_vec(), scheme: Some(b"Token".to_vec()) };
    let cases: &[(&Place, Lines, Found<'_>)] = &[
        (&whole, &[(b"x-token", b"abc")], token(b"abc")),
        (&whole, &[(b"x-token", b" Bearer abc ")], token(b"Bearer abc")),
        (&whole, &[(b"x-token", b"")], Found::Nothing),
        (&whole, &[(b"x-token", b" ")], Found::Nothing),
        (&whole, &[(b"x-token", b"abc"), (b"x-token", b"")], token(b"abc")),
        (&whole, &[(b"x-token", b"abc,")], token(b"abc")),
        (&whole, &[(b"x-token", b"abc"), (b"x-token", b"def")], Found::Unclear),
        (&whole, &[(b"x-token", b"abc"), (b"x-token", b"abc")], Found::Unclear),
        (&whole, &[(b"x-token", b"abc,def")], Found::Unclear),
        (&whole, &[(b"x-token", b"abc, abc")], Found::Unclear),
        (&whole, &[(b"x-token", b"a\xff")], Found::Unclear),
        (&whole, &[(b"x-token", b"a\tb")], Found::Unclear),
        (&whole, &[(b"x_token", b"abc"), (b"authorization", b"Bearer abc")], Found::Nothing),
        (&scheme, &[(b"x-token", b"token abc")], token(b"abc")),
        (&scheme, &[(b"x-token", b"abc")], Found::Nothing),
        (&scheme, &[(b"x-token", b"Bearer abc")], Found::Nothing),
        (&scheme, &[(b"x-token", b"Bearer abc"), (b"x-token", b"Token d")], token(b"d")),
        (&scheme, &[(b"x-token", b"Token a,Token b")], Found::Unclear),
        (&scheme, &[(b"x-token", b"Token a"), (b"x-token", b"Token a")], Found::Unclear),
    ];
    for (place, lines, expected) in cases {
        assert_eq!(in_fields(place, lines), *expected, "{lines:?}");
    }
}

#[test]
fn of_cookies_with_one_name_there_may_be_one() {
    let place = Place::Cookie(b"t".to_vec());
    let cases: &[(Lines, Found<'_>)] = &[
        (&[(b"cookie", b"t=abc")], token(b"abc")),
        (&[(b"cookie", b"a=b; t=abc;c=d")], token(b"abc")),
        (&[(b"cookie", b"t=\"abc\"")], token(b"abc")),
        (&[(b"cookie", b"t=a=b==")], token(b"a=b==")),
        (&[(b"cookie", b"a=b"), (b"cookie", b"t=abc")], token(b"abc")),
        (&[(b"cookie", b"t="), (b"cookie", b"t=\"\"; t")], Found::Nothing),
        (&[(b"cookie", b"t=; t=abc")], token(b"abc")),
        (&[(b"cookie", b"t=abc; t=abc")], Found::Unclear),
        (&[(b"cookie", b"t=abc"), (b"cookie", b"t=def")], Found::Unclear),
        (&[(b"cookie", b"t=a\xff")], Found::Unclear),
        (&[(b"cookie", b"t=a,b")], Found::Unclear),
        (&[(b"cookie", b"T=abc; tt=abc; at=abc")], Found::Nothing),
    ];
    for (lines, expected) in cases {
        assert_eq!(in_fields(&place, lines), *expected, "{lines:?}");
    }
}

#[test]
fn a_query_is_read_as_a_form_is() {
    let place = Place::Query(b"access token".to_vec());
    let cases: &[(&[u8], Found<'_>)] = &[
        (b"/a?access+token=abc", token(b"abc")),
        (b"/a?x=1&access%20token=a%2Db%2ec&y", token(b"a-b.c")),
        (b"/a?%61ccess+%74oken=abc", token(b"abc")),
        (b"/a?access+token=a=b", token(b"a=b")),
        (b"/a?access+token=a%zz%4", token(b"a%zz%4")),
        (b"/a?access+token=a+b", token(b"a b")),
        (b"/a?access+token=+a", Found::Unclear),
        (b"/a?access+token=", Found::Nothing),
        (b"/a?access+token", Found::Nothing),
        (b"/a?access+token=&access+token=abc", token(b"abc")),
        (b"/a?access+token=abc&access+token=abc", Found::Unclear),
        (b"/a?access+token=abc&access%20token=d", Found::Unclear),
        (b"/a?access+token=a%00", Found::Unclear),
        (b"/a?access+token=%ff", Found::Unclear),
        (b"/a?access+token=a%2cb", Found::Unclear),
        (b"/a?Access+token=abc&access_token=abc&xaccess+token=abc", Found::Nothing),
        (b"/a?x;access+token=abc", Found::Nothing),
        (b"/access+token=abc", Found::Nothing),
        (b"/a%3Faccess+token=abc", Found::Nothing),
        (b"/a?b?access+token=abc", Found::Nothing),
        (b"/a?", Found::Nothing),
        (b"/a", Found::Nothing),
    ];
    for (path, expected) in cases {
        assert_eq!(place.find(&head(path, &[])), *expected, "{}", path.escape_ascii());
    }
}

#[test]
fn a_subprotocol_that_begins_so_holds_the_token() {
    let place = Place::WebSocketProtocol(b"bearer.".to_vec());
    let name = WEBSOCKET_PROTOCOL;
    let cases: &[(&[&[u8]], Found<'_>, Option<&[u8]>)] = &[
        // Lines, their content, and what remains of them.
        (&[b"bearer.abc"], token(b"abc"), Some(b"")),
        (&[b"chat, bearer.a.b.c ,json"], token(b"a.b.c"), Some(b"chat, json")),
        (&[b"chat", b"bearer.abc"], token(b"abc"), Some(b"chat")),
        (&[b"chat, json"], Found::Nothing, None),
        (&[b"bearer."], Found::Nothing, None),
        (&[b"Bearer.abc, xbearer.abc"], Found::Nothing, None),
        (&[b"bearer.abc, bearer.abc"], Found::Unclear, Some(b"")),
        (&[b"bearer.abc, chat", b"bearer.def"], Found::Unclear, Some(b"chat")),
        (&[b"bearer., bearer.abc, chat"], token(b"abc"), Some(b"bearer., chat")),
        (&[], Found::Nothing, None),
    ];
    for (lines, expected, rest) in cases {
        let fields: Vec<Field<'_>> = lines.iter().map(|line| (name, *line)).collect();
        assert_eq!(in_fields(&place, &fields), *expected, "{lines:?}");
        let left = protocols_without_tokens(&head(b"/", &fields), std::slice::from_ref(&place));
        assert_eq!(left.as_deref(), *rest, "{lines:?}");
    }
}

#[test]
fn a_token_is_cut_out_of_a_path_and_nothing_else_of_it_changes() {
    let places = [Place::bearer(), Place::Query(b"t".to_vec()), Place::Query(b"u v".to_vec())];
    let cases: &[(&[u8], &[u8])] = &[
        (b"/a", b"/a"),
        (b"/a?", b"/a?"),
        (b"/a?t=abc", b"/a"),
        (b"/a?t=abc&", b"/a?"),
        (b"/a?&t=abc", b"/a?"),
        (b"/a?x=1&t=abc&y=2", b"/a?x=1&y=2"),
        (b"/a?t=abc&x=%7e+%zz&&=&x=1&t=def", b"/a?x=%7e+%zz&&=&x=1"),
        (b"/a?%74=abc&u%20v=abc&u+v=abc", b"/a"),
        (b"/a?t=&t&x", b"/a?t=&t&x"),
        (b"/a?T=abc&tt=abc&t;=abc", b"/a?T=abc&tt=abc&t;=abc"),
        (b"//x/../y;t=abc/%2e?t=abc?", b"//x/../y;t=abc/%2e"),
        (b"/a?x=t&t=abc&x=t=abc", b"/a?x=t&x=t=abc"),
        (b"/\xff?t=\xff&x=\xff", b"/\xff?x=\xff"),
    ];
    for (path, expected) in cases {
        let cut = path_without_tokens(path, &places);
        assert_eq!(&*cut, *expected, "{}", path.escape_ascii());
        assert_eq!(matches!(cut, Cow::Owned(_)), path != expected, "{}", path.escape_ascii());
        let untouched = path_without_tokens(path, &places[..1]);
        assert!(matches!(untouched, Cow::Borrowed(whole) if whole == *path));
    }
}

#[test]
fn a_token_is_known_in_every_spelling_of_its_headers_name() {
    let place = Place::Header { name: b"x-token".to_vec(), scheme: Some(b"Token".to_vec()) };
    for (name, value, is_in) in [
        ("x-token", "Token a", true),
        ("x_token", "token a", true),
        ("x.token", "Token a,Token b", true),
        ("x-token", "Basic a", false),
        ("x-token", "Token ", false),
        ("x-tokens", "Token a", false),
    ] {
        assert_eq!(place.is_in((name.as_bytes(), value.as_bytes())), is_in, "{name}: {value}");
    }
}

#[test]
fn a_token_does_not_print() {
    let fields: [Field<'_>; 1] = [(b"authorization", b"Bearer hunter2")];
    let printed = format!("{:?}", in_fields(&Place::bearer(), &fields));
    assert!(printed.contains("[secret]") && !printed.contains("hunter2"), "{printed}");
}
