//! Which rule is for which request, however its path is spelt.

use std::rc::Rc;

use authgear_filter::http::UnixTime;
use authgear_filter::http::url::Url;
use authgear_filter::rules::{
    Access, Condition, CustomReply, HostPattern, Method, PathPattern, Requirement, Rule, Rules, SessionFacts,
    Terms, TwoUrls, Unmet,
};

fn prefix(path: &str, terms: Terms) -> Rule {
    let path = Some(PathPattern::prefix(path).unwrap());
    Rule { when: Condition { path, ..Condition::default() }, terms }
}

fn role(role: &str) -> Terms {
    Terms::requiring(Requirement { roles: vec![role.to_owned()], ..Requirement::default() })
}

fn decide(rules: &Rules, method: &str, host: &[u8], path: &[u8]) -> (Access, Vec<&'static str>) {
    let demand = rules.decide(method.as_bytes(), host, path);
    let roles = demand.requirements().flat_map(|require| require.roles.clone());
    // Borrowed forever: the demand ends here, but a table compares with literals.
    let roles = roles.map(|role| &*role.leak());
    (demand.access(), roles.collect())
}

const PUBLIC: (Access, &[&str]) = (Access::Public, &[]);
const OPTIONAL: (Access, &[&str]) = (Access::Optional, &[]);
const REQUIRED: (Access, &[&str]) = (Access::Required, &[]);
const ADMIN: (Access, &[&str]) = (Access::Required, &["admin"]);
const ALL: (Access, &[&str]) = (Access::Required, &["admin", "staff"]);

/// Two protected places, one open one, and the rest as authenticated as it likes.
fn rules() -> Rules {
    Rules::new(
        vec![
            prefix("/public", Terms::new(Access::Public)),
            prefix("/admin", role("admin")),
            prefix("/office", role("staff")),
        ],
        Terms::new(Access::Optional),
    )
}

#[test]
fn a_plain_path_meets_the_first_rule_that_matches() {
    let cases = [
        ("/public", PUBLIC),
        ("/public/x?next=/admin", PUBLIC),
        ("/public?/../admin", PUBLIC),
        ("/publicity", OPTIONAL),
        ("/admin", ADMIN),
        ("/admin/", ADMIN),
        ("/admin/x", ADMIN),
        ("/administration", OPTIONAL),
        ("/", OPTIONAL),
        ("/x?/public", OPTIONAL),
    ];
    for (path, expected) in cases {
        assert_eq!(
            decide(&rules(), "GET", b"a", path.as_bytes()),
            (expected.0, expected.1.to_vec()),
            "{path}"
        );
    }
    let shadowed = Rules::new(
        vec![prefix("/", Terms::new(Access::Public)), prefix("/admin", role("admin"))],
        Terms::new(Access::Required),
    );
    assert_eq!(decide(&shadowed, "GET", b"a", b"/admin").0, Access::Public);
}

#[test]
fn no_spelling_of_a_protected_path_is_less_protected() {
    for path in [
        "//admin",
        "///admin",
        "/admin//x",
        "/x//../admin",
        "/%61dmin",
        "/%2561dmin",
        "/%252561dmin",
        "/admin%2Fx",
        "/admin%5Cx",
        "/admin\\x",
        "/\\admin",
        "/x/../admin",
        "/x/%2e%2e/admin",
        "/x/%2e./admin",
        "/x/.%2E/admin",
        "/x%2f..%2fadmin",
        "/x/..%5cadmin",
        "/x/..\\admin",
        "/./admin",
        "/public/../admin",
        "/public/..;/admin",
        "/public/..;x=y/admin",
        "/public;/../admin",
        "/public/%252e%252e/admin",
        "/public/%2e%2e%2fadmin",
        "/public/..%252f..%252fadmin",
        "/public/x/../../admin",
        "/admin;jsessionid=1",
        "/admin;/x",
        "/admin%3bx",
        "/admin%3Fx",
        "/admin%23/public",
        "/admin#/public",
        "//public/admin",
        "//public@evil/admin",
        "/\\public/admin",
        "/%2fpublic/admin",
        "/ａdmin",
        "/%EF%BD%81dmin",
        "/public／..／admin",
        "/public/․․/admin",
        "/public/‥/admin",
        "/public/x%2fy/%2e%2e/%2e%2e/%2e%2e/admin",
        "/public/x%2fy%5c..%5c..%5cadmin",
        "/public/..%3b%2Fpublic/admin",
        "/ⓐdmin",
        "/public/%E2%93%90dmin",
    ] {
        let rules = rules();
        let (access, roles) = decide(&rules, "GET", b"a", path.as_bytes());
        assert!(access == Access::Required && roles.contains(&"admin"), "{path}: {access:?} {roles:?}");
    }
}

#[test]
fn a_rule_for_an_exact_path_protects_it_with_a_slash_at_its_end_too() {
    let exact = |path: &str, terms| Rule {
        when: Condition { path: Some(PathPattern::exact(path).unwrap()), ..Condition::default() },
        terms,
    };
    let rules = Rules::new(
        vec![exact("/x", role("admin")), exact("/open", Terms::new(Access::Public))],
        Terms::new(Access::Optional),
    );
    for path in ["/x", "/x/", "/x//", "/x/?y", "/%78/"] {
        assert_eq!(decide(&rules, "GET", b"a", path.as_bytes()), (ADMIN.0, ADMIN.1.to_vec()), "{path}");
    }
    assert_eq!(decide(&rules, "GET", b"a", b"/open").0, Access::Public);
    assert_eq!(decide(&rules, "GET", b"a", b"/open/").0, Access::Optional, "what is open stays exact");
}

#[test]
fn no_odd_spelling_of_an_open_path_makes_use_of_its_rule() {
    for path in [
        "/%70ublic",
        "//public",
        "/x/../public",
        "/public/..",
        "/public%2f..%2f",
        "/.//public",
        "/public;x",
        "\\public",
    ] {
        assert_ne!(decide(&rules(), "GET", b"a", path.as_bytes()).0, Access::Public, "{path}");
    }
    for path in [
        "/public/hello%20world",
        "/public/caf%C3%A9",
        "/public/a;v=2/b.css",
        "/public/x%2Fy",
        "/public/100%25",
    ] {
        assert_eq!(decide(&rules(), "GET", b"a", path.as_bytes()).0, Access::Public, "{path} stays below it");
    }
}

#[test]
fn readings_of_a_path_that_name_two_urls_of_the_auth_server_are_told() {
    let asking = |path: &str, access, url: Option<&str>| {
        let url = url.map(|url| Rc::new(Url::parse_with_query(url).unwrap()));
        let mut terms = Terms::new(access);
        terms.auth_url = url;
        prefix(path, terms)
    };
    let rules = Rules::new(
        vec![
            asking("/public", Access::Public, None),
            asking("/staff", Access::Required, Some("http://auth/a?groups=staff")),
            asking("/team", Access::Optional, Some("http://auth/a?groups=staff")),
            asking("/admin", Access::Required, Some("http://auth/a?groups=admin")),
        ],
        Terms::new(Access::Required),
    );
    let (staff, admin) = (Ok(Some("/a?groups=staff")), Ok(Some("/a?groups=admin")));
    let cases = [
        ("/", Ok(None)),
        ("/staff/x?y", staff),
        ("/staff//x", staff),
        ("/staff/x%2Fy", staff),
        ("/admin", admin),
        ("/team/..%2fstaff", staff),
        ("/staff/%2e%2e/team", staff),
        ("/public/../admin", admin),
        ("/public", Ok(None)),
        ("/admin/../staff", Err(TwoUrls)),
        ("/staff/..%2fadmin", Err(TwoUrls)),
        ("/staff/..", Err(TwoUrls)),
        ("//admin", Err(TwoUrls)),
        ("/x/..;/admin", Err(TwoUrls)),
        ("/%61dmin", Err(TwoUrls)),
        ("/ⓐdmin", Err(TwoUrls)),
    ];
    for (path, expected) in cases {
        let found = rules.decide(b"GET", b"a", path.as_bytes()).auth_url();
        let found = found.map(|url| url.map(|url| url.path_and_query()));
        assert_eq!(found, expected.map(|url| url.map(str::to_owned)), "{path}");
    }
}

#[test]
fn an_unclear_path_must_meet_every_rule() {
    let paths: &[&[u8]] = &[
        b"",
        b"*",
        b"admin",
        b"http://a/public",
        b"/public/\xff",
        b"/public/%c0%ae%c0%ae/admin",
        b"/public/%00",
        b"/public/\0",
        b"/public%0d%0a/x",
        b"/public/%u002e%u002e/admin",
        b"/public/%",
        b"/public/a b",
    ];
    for path in paths {
        assert_eq!(decide(&rules(), "GET", b"a", path), (ALL.0, ALL.1.to_vec()), "{}", path.escape_ascii());
    }
}

#[test]
fn a_rule_is_for_its_methods_and_hosts() {
    let of = |methods: &[&str], hosts: &[&str], terms| Rule {
        when: Condition {
            path: None,
            methods: methods.iter().map(|text| Method::parse(text).unwrap()).collect(),
            hosts: hosts.iter().map(|text| HostPattern::parse(text).unwrap()).collect(),
        },
        terms,
    };
    let rules = Rules::new(
        vec![
            of(&["POST", "PUT"], &["*.example.com"], role("admin")),
            of(&["GET"], &[], Terms::new(Access::Public)),
            of(&[], &["other.example"], Terms::new(Access::Optional)),
        ],
        Terms::new(Access::Required),
    );
    let cases: &[(&str, &[u8], (Access, &[&str]))] = &[
        ("POST", b"a.example.com", ADMIN),
        ("PUT", b"A.EXAMPLE.COM.:8443", ADMIN),
        ("POST", b"example.com", REQUIRED),
        ("GET", b"a.example.com", PUBLIC),
        ("HEAD", b"other.example", PUBLIC),
        ("DELETE", b"other.example", OPTIONAL),
        ("DELETE", b"x", REQUIRED),
        // A method or a host that programs read differently: all that could be meant.
        ("post", b"a.example.com", ADMIN),
        ("get", b"x", REQUIRED),
        ("get", b"other.example", OPTIONAL),
        ("POST", b"evil@a.example.com", ADMIN),
        ("DELETE", b"other.example, x", REQUIRED),
        ("DELETE", b"", REQUIRED),
        ("GET", b"??", PUBLIC),
    ];
    for (method, host, (access, roles)) in cases {
        let found = decide(&rules, method, host, b"/");
        assert_eq!(found, (*access, roles.to_vec()), "{method} {}", host.escape_ascii());
    }
}

#[test]
fn the_answers_are_those_of_the_first_of_the_strictest_rules() {
    let answer = |status| Some(CustomReply { status, body: None });
    let with = |status, mut terms: Terms| {
        terms.on_forbidden = answer(status);
        terms
    };
    let required = |status| with(status, Terms::new(Access::Required));
    let rules = Rules::new(
        vec![
            prefix("/a", Terms::new(Access::Public)),
            prefix("/b", required(410)),
            prefix("/c", required(411)),
        ],
        with(412, Terms::new(Access::Optional)),
    );
    let forbidden = |path: &[u8]| rules.decide(b"GET", b"a", path).on_forbidden().map(|answer| answer.status);
    assert_eq!(forbidden(b"/a"), None);
    assert_eq!(forbidden(b"/x"), Some(412));
    assert_eq!(forbidden(b"/a/../c"), Some(411));
    assert_eq!(forbidden(b"/c/../b"), Some(410));
}

#[test]
fn a_session_must_meet_every_rule_that_was_found() {
    let rules = rules();
    let demand = rules.decide(b"GET", b"a", b"/office/../admin");
    let session = |roles: &[&str]| SessionFacts {
        roles: roles.iter().map(|role| role.as_bytes().to_vec()).collect(),
        ..SessionFacts::default()
    };
    let now = UnixTime::default();
    assert_eq!(demand.check(&session(&["admin"]), now), Err(Unmet::Roles));
    assert_eq!(demand.check(&session(&["staff"]), now), Err(Unmet::Roles));
    assert_eq!(demand.check(&session(&["staff", "admin"]), now), Ok(()));
}
