//! Logging in at Authgear: who is sent there, and where those go on who come back.

use authgear_filter::engine::{Decision, Outcome, Verdict};
use authgear_filter::http::{CallError, Field, Head, Reply};
use serde_json::{Value, json};

use crate::issuer::ISSUER;
use crate::world::{APISIX, Answer, ENVOY, World, authgear, decide, replied, resolved};

/// Everything needs a session, but for `/open` (public), `/rest` (optional) and what has rules of its own.
fn configuration(mode: &str, change: &Value) -> Value {
    let mut configuration = authgear(mode);
    configuration["authgear"]["login"] = json!({"client_id": "web app"});
    configuration["access"] = json!("required");
    configuration["rules"] = json!([
        {"prefix": "/open", "access": "public"},
        {"prefix": "/rest", "access": "optional"},
        {"prefix": "/own", "access": "required", "on_unauthenticated": {"redirect": "/elsewhere?to={path}"}},
        {"prefix": "/hidden", "access": "required", "on_unauthenticated": {"status": 404, "body": "no such page"}},
        {"prefix": "/admin", "require": {"roles": ["admin"]}},
    ]);
    for (name, value) in change.as_object().unwrap() {
        configuration[name] = value.clone();
    }
    configuration
}

const PAGE: Field<'static> = (b"accept", b"text/html,*/*;q=0.8");
const COOKIE: Field<'static> = (b"cookie", b"session=s");

fn get<'a>(path: &'a [u8], fields: &'a [Field<'a>]) -> Head<'a> {
    Head {
        method: b"GET",
        scheme: b"https",
        authority: b"shop.example",
        path,
        fields,
        client_address: &|| None,
    }
}

fn header<'r>(reply: &'r Reply, name: &str) -> Option<&'r str> {
    let field = reply.fields.iter().find(|(known, _)| known == name.as_bytes());
    field.map(|(_, value)| std::str::from_utf8(value).unwrap())
}

/// Where a request leads, if it is redirected.
fn location(decision: &Decision) -> Option<&str> {
    let Verdict::Reply(reply) = &decision.verdict else { return None };
    let location = header(reply, "location");
    assert_eq!(location.is_some(), reply.status == 302, "{reply:?}");
    assert!(!reply.body.is_empty());
    assert_eq!(header(reply, "cache-control"), Some("no-store"));
    location
}

/// The status that the client gets; 200 where the app answers.
fn status(decision: &Decision) -> u16 {
    match &decision.verdict {
        Verdict::Forward(_) => 200,
        Verdict::Reply(reply) => reply.status,
    }
}

/// The parameters of the address that people log in at, decoded, in their order.
fn parameters(location: &str) -> Vec<(String, String)> {
    let (page, query) = location.split_once('?').unwrap();
    assert_eq!(page, format!("{ISSUER}/oauth2/authorize"));
    assert!(query.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%&=".contains(&byte)), "{query}");
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap());
    pairs.map(|(name, value)| (name.to_owned(), percent_decoded(value))).collect()
}

fn percent_decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut out = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at(2);
        out.push(u8::from_str_radix(digits, 16).unwrap());
        out.extend(rest.bytes());
    }
    String::from_utf8(out).unwrap()
}

/// Whether a browser that gets this as a `Location` stays on the origin that it asked, and at a path that no program
/// takes for another host: it drops tabs and newlines, and white space and controls at both ends, takes a backslash
/// for a slash, and reads a scheme before a colon and a host after two slashes (WHATWG URL, "basic URL parser").
fn stays(location: &str) -> bool {
    let seen = location.trim_matches(|c: char| c <= ' ').replace(['\t', '\r', '\n'], "").replace('\\', "/");
    let Some(rest) = seen.strip_prefix('/') else { return false };
    let path = rest.split(['?', '#']).next().unwrap();
    let mut resolved: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment.to_ascii_lowercase().as_str() {
            "." | "%2e" => {}
            ".." | ".%2e" | "%2e." | "%2e%2e" => drop(resolved.pop()),
            _ => resolved.push(segment),
        }
    }
    let is_another_host = rest.starts_with('/') || (resolved.len() > 1 && resolved.first() == Some(&""));
    !is_another_host
}

fn state(location: &str) -> String {
    parameters(location).into_iter().find(|(name, _)| name == "state").unwrap().1
}

#[test]
fn a_person_without_a_session_is_sent_to_authgear_and_comes_back_to_the_page() {
    for (background, mode) in [(ENVOY, "auto"), (ENVOY, "resolver"), (APISIX, "auto"), (APISIX, "resolver")] {
        let mut world = World::new(background, &configuration(mode, &json!({})));
        let sent = decide(&mut world, &get(b"/a/b?x=1&y=%20+2", &[PAGE]), &resolved(None));
        assert_eq!(sent.outcome, Outcome::Anonymous);
        assert_eq!(
            location(&sent),
            Some(
                "https://myapp.authgear.cloud/oauth2/authorize?response_type=none&client_id=web%20app&scope=openid\
                 &redirect_uri=https%3A%2F%2Fshop.example%2F.authgear%2Flogin&state=%2Fa%2Fb%3Fx%3D1%26y%3D%2520%2B2"
            )
        );
        // Authgear encodes a space as `+`, and the rest of a `state` as it likes.
        let back = get(b"/.authgear/login?state=%2Fa%2fb?x%3D1%26y%3D%2520%2B2", &[PAGE, COOKIE]);
        let back = decide(&mut world, &back, &resolved(Some("alice")));
        assert_eq!(location(&back), Some("/a/b?x=1&y=%20+2"));
        assert_eq!(back.outcome, Outcome::Session);
        let page = decide(&mut world, &get(b"/a/b", &[PAGE, COOKIE]), &resolved(Some("alice")));
        assert_eq!(status(&page), 200);
    }
}

#[test]
fn only_a_navigation_that_needs_a_session_and_has_none_is_sent_to_log_in() {
    const BAD: Field<'static> = (b"authorization", b"Bearer a,Bearer b");
    const FETCH: Field<'static> = (b"sec-fetch-mode", b"cors");
    const XHR: Field<'static> = (b"x-requested-with", b"XMLHttpRequest");
    let none = resolved(None);
    let down = Err(CallError::NoAnswer);
    #[rustfmt::skip]
    let cases: &[(&str, &str, &[Field<'_>], &Answer, u16)] = &[
        ("GET", "/", &[PAGE], &none, 302),
        ("HEAD", "/", &[PAGE], &none, 302),
        ("GET", "/", &[PAGE, COOKIE], &none, 302),
        ("GET", "/", &[PAGE, BAD], &none, 302),
        ("GET", "/", &[], &none, 401),
        ("GET", "/", &[(b"accept", b"application/json")], &none, 401),
        ("GET", "/", &[PAGE, FETCH], &none, 401),
        ("GET", "/", &[PAGE, XHR], &none, 401),
        ("POST", "/", &[PAGE], &none, 401),
        ("GET", "/open", &[PAGE], &none, 200),
        ("GET", "/rest", &[PAGE], &none, 200),
        ("GET", "/rest", &[PAGE, BAD], &none, 200),
        ("GET", "/hidden", &[PAGE], &none, 302),
        ("GET", "/hidden", &[], &none, 404),
        ("GET", "/admin", &[PAGE], &none, 302),
        // A session that lacks something would lack it again.
        ("GET", "/admin", &[PAGE, COOKIE], &resolved(Some("bob")), 403),
        ("GET", "/", &[PAGE, COOKIE], &down, 503),
        ("GET", "/", &[PAGE, COOKIE], &resolved(Some("bob")), 200),
    ];
    for background in [ENVOY, APISIX] {
        for (method, path, fields, answer, expected) in cases {
            let mut world = World::new(background, &configuration("auto", &json!({})));
            let head = Head { method: method.as_bytes(), ..get(path.as_bytes(), fields) };
            let decision = decide(&mut world, &head, answer);
            assert_eq!(status(&decision), *expected, "{method} {path} {fields:?}");
            if let Some(location) = location(&decision) {
                assert_eq!(state(location), *path);
            }
        }
    }
}

#[test]
fn a_redirect_of_a_rules_own_wins() {
    let mut world = World::new(ENVOY, &configuration("auto", &json!({})));
    let decision = decide(&mut world, &get(b"/own/x", &[PAGE]), &resolved(None));
    assert_eq!(location(&decision), Some("/elsewhere?to=%2Fown%2Fx"));
}

#[test]
fn the_way_back_begins_with_the_origin_that_the_browser_asked() {
    #[rustfmt::skip]
    let cases: &[(&str, &str, Option<&str>)] = &[
        ("https", "shop.example", Some("https://shop.example")),
        ("http", "shop.example", Some("http://shop.example")),
        ("https", "Shop.Example:443", Some("https://shop.example")),
        ("http", "shop.example:80", Some("http://shop.example")),
        ("http", "localhost:8080", Some("http://localhost:8080")),
        ("https", "shop.example:8443", Some("https://shop.example:8443")),
        ("https", "[2001:DB8::1]:8443", Some("https://[2001:db8::1]:8443")),
        // Hosts that programs read differently.
        ("https", "shop.example@evil.example", None),
        ("https", "evil.example/.shop.example", None),
        ("https", "shop.example,evil.example", None),
        ("https", "shop.example:1:2", None),
        ("https", "evil.example?", None),
        ("https", "evil.example#", None),
        ("https", "evil.example\\", None),
    ];
    for (scheme, host, expected) in cases {
        let mut world = World::new(ENVOY, &configuration("auto", &json!({})));
        let head = Head { scheme: scheme.as_bytes(), authority: host.as_bytes(), ..get(b"/", &[PAGE]) };
        let decision = decide(&mut world, &head, &resolved(None));
        let redirect_uri = location(&decision).map(|location| parameters(location)[3].1.clone());
        assert_eq!(redirect_uri, expected.map(|origin| format!("{origin}/.authgear/login")), "{host}");
        assert!(expected.is_some() || status(&decision) == 401);
    }
}

#[test]
fn authgears_own_login_page_is_never_sent_to_itself() {
    for (host, path, expected) in [
        ("myapp.authgear.cloud", "/oauth2/authorize?x=y", 401),
        ("MyApp.Authgear.Cloud.:443", "/oauth2/%61uthorize", 401),
        ("myapp.authgear.cloud", "/", 302),
        ("shop.example", "/oauth2/authorize", 302),
    ] {
        let mut world = World::new(ENVOY, &configuration("auto", &json!({})));
        let head = Head { authority: host.as_bytes(), ..get(path.as_bytes(), &[PAGE]) };
        assert_eq!(status(&decide(&mut world, &head, &resolved(None))), expected, "{host} {path}");
    }
}

#[test]
fn who_comes_back_without_a_session_is_told_so_and_never_sent_on() {
    const BAD: Field<'static> = (b"authorization", b"Bearer a,Bearer b");
    let queries = [
        "",
        "?",
        "?state=%2Fa",
        "?error=access_denied&error_description=%3Cscript%3Ecanary%3C%2Fscript%3E&state=/canary",
        "?error=invalid_request&state=//canary.example",
        "?code=canary",
    ];
    let credentials: &[&[Field<'_>]] =
        &[&[PAGE], &[PAGE, COOKIE], &[PAGE, BAD], &[], &[COOKIE], &[(b"accept", b"application/json")]];
    for background in [ENVOY, APISIX] {
        for query in queries {
            for fields in credentials {
                let mut world = World::new(background, &configuration("auto", &json!({})));
                let path = format!("/.authgear/login{query}");
                let decision = decide(&mut world, &get(path.as_bytes(), fields), &resolved(None));
                let reply = replied(&decision);
                let body = std::str::from_utf8(&reply.body).unwrap();
                assert_eq!((reply.status, header(reply, "location")), (401, None), "{query}");
                assert_eq!(header(reply, "content-type"), Some("application/json"));
                assert!(body.contains("the login did not finish"), "{body}");
                assert!(!format!("{reply:?}{body}").contains("canary"), "{reply:?}");
            }
        }
    }
}

#[test]
fn while_authgear_cannot_answer_who_comes_back_gets_the_status_of_on_error_whatever_its_action() {
    for action in ["deny", "allow"] {
        for background in [ENVOY, APISIX] {
            let change =
                json!({"on_error": {"action": action, "status": 502}, "access": "optional", "rules": []});
            let mut world = World::new(background, &configuration("auto", &change));
            let back = get(b"/.authgear/login?state=/a", &[PAGE, COOKIE]);
            let decision = decide(&mut world, &back, &Err(CallError::NoAnswer));
            assert_eq!((status(&decision), decision.outcome), (502, Outcome::ErrorDenied), "{action}");
            assert_eq!(location(&decision), None);
        }
    }
}

#[test]
fn the_callback_is_its_exact_path_by_get_and_comes_before_all_rules() {
    let every_access = [
        json!({"access": "public", "rules": []}),
        json!({"access": "optional", "rules": []}),
        json!({"access": "required", "rules": [{"path": "/.authgear/login", "access": "public"}]}),
        json!({"rules": [{"prefix": "/", "require": {"roles": ["nobody"]}}]}),
    ];
    for change in every_access {
        let mut world = World::new(ENVOY, &configuration("auto", &change));
        let back = get(b"/.authgear/login?state=/a", &[PAGE, COOKIE]);
        let decision = decide(&mut world, &back, &resolved(Some("alice")));
        assert_eq!(location(&decision), Some("/a"), "{change}");
    }
    #[rustfmt::skip]
    let others: &[(&str, &str)] = &[
        ("GET", "/.authgear/login/"), ("GET", "/.authgear/login;x?state=/a"), ("GET", "/.authgear//login"),
        ("GET", "//.authgear/login"), ("GET", "/.authgear/%6cogin"), ("GET", "/.authgear%2Flogin"),
        ("GET", "/x/../.authgear/login"), ("GET", "/.Authgear/login"), ("GET", "/.authgear/login%3Fstate=/a"),
        ("GET", "/.authgear/login/x"), ("HEAD", "/.authgear/login?state=/a"), ("POST", "/.authgear/login?state=/a"),
        ("OPTIONS", "/.authgear/login"), ("get", "/.authgear/login?state=/a"),
    ];
    for (method, path) in others {
        let mut world = World::new(ENVOY, &configuration("auto", &json!({})));
        let head = Head { method: method.as_bytes(), ..get(path.as_bytes(), &[PAGE, COOKIE]) };
        let decision = decide(&mut world, &head, &resolved(Some("alice")));
        assert_eq!(status(&decision), 200, "{method} {path} is the app's");
    }
}

#[test]
fn a_callback_of_ones_own_is_the_one_that_authgear_is_told_and_that_is_answered() {
    let mut configuration = configuration("auto", &json!({}));
    configuration["authgear"]["login"] =
        json!({"client_id": "a&b", "callback": "/after~login", "scope": ["openid", "offline_access"]});
    let mut world = World::new(ENVOY, &configuration);
    let decision = decide(&mut world, &get(b"/x", &[PAGE]), &resolved(None));
    let expected = [
        ("response_type", "none"),
        ("client_id", "a&b"),
        ("scope", "openid offline_access"),
        ("redirect_uri", "https://shop.example/after~login"),
        ("state", "/x"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(parameters(location(&decision).unwrap()), expected);
    let back = get(b"/after~login?state=%2Fx", &[COOKIE]);
    assert_eq!(location(&decide(&mut world, &back, &resolved(Some("alice")))), Some("/x"));
    let default = decide(&mut world, &get(b"/.authgear/login", &[COOKIE]), &resolved(Some("alice")));
    assert_eq!(status(&default), 200, "the app's");
}

/// Where somebody with a session goes on who comes back with a query.
fn back(query: &[u8]) -> String {
    let mut world = World::new(ENVOY, &configuration("resolver", &json!({})));
    let path = [b"/.authgear/login?", query].concat();
    let decision = decide(&mut world, &get(&path, &[PAGE, COOKIE]), &resolved(Some("alice")));
    assert_eq!(decision.outcome, Outcome::Session, "{}", query.escape_ascii());
    location(&decision).expect("a redirect").to_owned()
}

#[test]
fn who_comes_back_goes_on_to_the_page_that_was_wanted() {
    let long = format!("/{}", "a".repeat(2048));
    #[rustfmt::skip]
    let cases = [
        ("state=/", "/"),
        ("state=%2F", "/"),
        ("state=/a/b%3Fx%3D1%26y%3D%2520", "/a/b?x=1&y=%20"),
        ("state=/a%3Freturn%3Dhttps%3A%2F%2Fother.example%2F%2Fx", "/a?return=https://other.example//x"),
        ("x=y&state=/a", "/a"),
        ("state=/a&iss=https://myapp.authgear.cloud", "/a"),
        ("state=/a+b", "/a%20b"),
        ("state=/a%2Bb", "/a+b"),
        ("state=/caf%25C3%25A9", "/caf%C3%A9"),
        ("state=/100%25", "/100%"),
        ("state=/a//b", "/a//b"),
        ("state=/a;v=1/b", "/a;v=1/b"),
        ("state=/@a:b/~c", "/@a:b/~c"),
        (&*format!("state={long}"), &*long),
        // None, or two.
        ("", "/"),
        ("state", "/"),
        ("state=", "/"),
        ("State=/a", "/"),
        ("state=/a&state=/b", "/"),
        ("state=/a&state=/a", "/"),
    ];
    for (query, expected) in cases {
        assert_eq!(back(query.as_bytes()), expected, "{query}");
    }
}

/// What could be another site to some program, as it stands in a decoded `state`.
const HOSTILE: &[&[u8]] = &[
    b"//evil.example",
    b"///evil.example",
    b"/\\evil.example",
    b"\\/evil.example",
    b"\\\\evil.example",
    b"/%5cevil.example",
    b"/%2fevil.example",
    b"/%2f/evil.example",
    b"/%252fevil.example",
    b"/%09/evil.example",
    b"/%0a/evil.example",
    b"/\t/evil.example",
    b"\t//evil.example",
    b"/\n/evil.example",
    b"/\r/evil.example",
    b" //evil.example",
    b"/\0/evil.example",
    b"\x01//evil.example",
    b"/\x7f/evil.example",
    b"/;//evil.example",
    b"/;/evil.example",
    b"/.//evil.example",
    b"/..//evil.example",
    b"/./\\evil.example",
    b"/a/../..//evil.example",
    b"/%2e//evil.example",
    b"https:evil.example",
    b"https:/evil.example",
    b"https://evil.example",
    b"https:\\\\evil.example",
    b"HTTPS://evil.example",
    b"http://evil.example",
    b"javascript:alert(1)",
    b"data:text/html,x",
    b"evil.example",
    b".evil.example",
    b"@evil.example",
    b":443@evil.example",
    b"?//evil.example",
    b"#//evil.example",
    b"/a#//evil.example",
    b"/a\\..\\evil",
    b"/a?x=\\",
    b"/a\r\nset-cookie: canary=1",
    b"/a\nlocation: https://evil.example",
    b"/a?x=\r\n\r\n<script>",
    b"/\xe2\x88\x95evil.example",
    b"/\xef\xbc\x8fevil.example",
    b"/\xc2\x85/evil.example",
    b"/\xff/evil.example",
    b"\xef\xbb\xbf//evil.example",
    b"",
];

fn percent_encoded(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("%{byte:02x}")).collect()
}

#[test]
fn no_state_leads_to_another_site_however_it_is_written() {
    let corpus = include_str!("../data/open-redirects.txt").lines();
    let corpus = corpus.filter_map(|line| line.strip_prefix("path ")).map(|path| path.as_bytes().to_vec());
    let hostile: Vec<_> = HOSTILE.iter().map(|state| state.to_vec()).chain(corpus).collect();
    assert!(hostile.len() > 150, "the corpus was read");
    for state in hostile {
        // Raw where a query can hold it, encoded, and encoded twice.
        let once = percent_encoded(&state);
        for written in
            [state.clone(), once.clone().into_bytes(), percent_encoded(once.as_bytes()).into_bytes()]
        {
            let shown = written.escape_ascii().to_string();
            if written.iter().any(|&byte| byte == b'#' || byte.is_ascii_control()) {
                continue; // Refused before anybody looks at it.
            }
            let location = back(&[b"state=", written.as_slice()].concat());
            assert!(location.is_ascii() && !location.contains(char::is_control), "{shown}: {location:?}");
            assert!(location.starts_with('/') && !location.contains('\\'), "{shown}: {location}");
            assert!(stays(&location), "{shown}: {location}");
            // A program that decodes it once more, and sends the client on.
            let decoded =
                ["%2f", "%2F", "%5c", "%5C"].iter().fold(location, |path, slash| path.replace(slash, "/"));
            assert!(stays(&decoded), "{shown}: {decoded}");
        }
    }
}

#[test]
fn no_request_makes_a_state_that_would_lead_to_another_site() {
    for path in HOSTILE.iter().filter(|path| path.starts_with(b"/")) {
        let mut world = World::new(ENVOY, &configuration("resolver", &json!({"rules": []})));
        let decision = decide(&mut world, &get(path, &[PAGE]), &resolved(None));
        let location = location(&decision).expect("a redirect");
        assert_eq!(state(location), "/", "{}", path.escape_ascii());
        assert!(!location.contains("evil"), "{location}");
    }
}

#[test]
fn a_page_of_two_kilobytes_is_found_again_and_a_longer_one_than_servers_take_is_the_root() {
    let mut world = World::new(ENVOY, &configuration("resolver", &json!({})));
    for (length, is_kept) in [(2048, true), (100_000, false)] {
        let path = format!("/a?x={}", "/".repeat(length));
        let decision = decide(&mut world, &get(path.as_bytes(), &[PAGE]), &resolved(None));
        let location = location(&decision).unwrap();
        assert!(location.len() <= 8 * 1024, "{}", location.len());
        assert_eq!(state(location), if is_kept { &*path } else { "/" });
        assert_eq!(back(format!("state={path}").as_bytes()), if is_kept { &*path } else { "/" });
    }
}

#[test]
fn no_state_holds_a_token_that_stood_in_the_query() {
    let mut configuration = configuration("resolver", &json!({}));
    configuration["authgear"]["token_from"] = json!([{"query": "access_token"}]);
    let mut world = World::new(ENVOY, &configuration);
    for path in ["/a?x=1&access_token=canary&y=2", "/a?access%5ftoken=canary&x=1&y=2"] {
        let decision = decide(&mut world, &get(path.as_bytes(), &[PAGE]), &resolved(None));
        let location = location(&decision).expect("a redirect");
        assert!(!location.contains("canary"), "{location}");
        assert_eq!(state(location), "/a?x=1&y=2");
    }
}
