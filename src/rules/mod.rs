//! Rules: a request's method, host and path → what is demanded of it. Reads nothing else of the request, and
//! decides nothing about its credentials.
//!
//! Of the rules the first that matches counts. A request that programs read differently ([`readings`]) is
//! matched once for each reading, and everything found is demanded of it together: an odd spelling of a path
//! never makes more of it than the plain one.

mod condition;
pub mod host;
mod path;
pub mod readings;
pub mod redirect;
mod requirement;
mod session;

use std::rc::Rc;

pub use self::condition::{Condition, Method, MethodError};
pub use self::host::{HostPattern, HostPatternError};
pub use self::path::{PathPattern, PathPatternError};
pub use self::requirement::{LEEWAY, Requirement, Unmet};
pub use self::session::SessionFacts;

use self::condition::{Match, Target};
use self::readings::Readings;
use crate::http::UnixTime;
use crate::http::authority::Authority;
use crate::rules::redirect::Redirect;

/// Who may pass; in the order of strictness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Everyone; nothing is authenticated.
    Public,
    /// Everyone; who it is is told where that is known.
    Optional,
    /// Those with a valid session.
    Required,
}

/// What is demanded of a request, and what it is answered where it does not meet that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    access: Access,
    require: Option<Requirement>,
    /// The answer to a request without a valid session, where the configuration gives one.
    pub on_unauthenticated: Option<OnUnauthenticated>,
    /// The answer where the requirement is not met, where the configuration gives one.
    pub on_forbidden: Option<Answer>,
}

impl Terms {
    /// The terms of `access`, with the filter's own answers.
    #[must_use]
    pub const fn new(access: Access) -> Self {
        Self { access, require: None, on_unauthenticated: None, on_forbidden: None }
    }

    /// Those that demand a valid session that meets `require`.
    #[must_use]
    pub const fn requiring(require: Requirement) -> Self {
        Self {
            access: Access::Required,
            require: Some(require),
            on_unauthenticated: None,
            on_forbidden: None,
        }
    }

    /// Who may pass; `Required` wherever there is a requirement.
    #[must_use]
    pub const fn access(&self) -> Access {
        self.access
    }

    /// What a session must be beyond valid.
    #[must_use]
    pub const fn require(&self) -> Option<&Requirement> {
        self.require.as_ref()
    }
}

/// What a request without a valid session is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnUnauthenticated {
    /// This.
    Answer(Answer),
    /// A navigation is sent to log in; others, and where [`Redirect::location`] has none, get a plain 401.
    Redirect(Redirect),
}

/// A denial as the operator wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status, 400 to 599.
    pub status: u16,
    /// Its body in place of the filter's JSON.
    pub body: Option<Body>,
}

/// The body of an [`Answer`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// The text; never empty.
    pub text: String,
    /// Its `Content-Type`; visible ASCII and spaces.
    pub content_type: String,
}

/// Terms, and the requests that they are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Which requests.
    pub when: Condition,
    /// What is demanded of them.
    pub terms: Terms,
}

/// All rules of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    rules: Vec<(Condition, Rc<Terms>)>,
    otherwise: Rc<Terms>,
    /// Whether any rule asks for the host. Where none does it is not read.
    know_hosts: bool,
}

/// Everything that is demanded of one request. Shares the terms with the rules, so that it can be kept for as
/// long as the request waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    strictest: Rc<Terms>,
    others: Vec<Rc<Terms>>,
}

impl Rules {
    /// Rules in their order, and the terms for requests that none of them matches.
    #[must_use]
    pub fn new(rules: Vec<Rule>, otherwise: Terms) -> Self {
        let know_hosts = rules.iter().any(|rule| !rule.when.hosts.is_empty());
        let rules = rules.into_iter().map(|rule| (rule.when, Rc::new(rule.terms))).collect();
        Self { rules, otherwise: Rc::new(otherwise), know_hosts }
    }

    /// All terms that a request can meet with.
    pub fn terms(&self) -> impl Iterator<Item = &Terms> {
        self.rules.iter().map(|(_, terms)| terms.as_ref()).chain([self.otherwise.as_ref()])
    }

    /// What is demanded of a request: `method` and `host` (`Host` or `:authority`) as sent, `path` with or
    /// without its query. Of a plain request that takes one pass over the rules, and allocates nothing.
    #[must_use]
    pub fn decide(&self, method: &[u8], host: &[u8], path: &[u8]) -> Demand {
        let host = if self.know_hosts { Authority::parse(host).ok() } else { None };
        let host = host.map(|authority| authority.host);
        let readings = Readings::of(path);
        if let Readings::Plain(path) = readings {
            let target = Target { method, host, path: Some(path) };
            if let Some(strictest) = self.first(&target) {
                return Demand { strictest: Rc::clone(strictest), others: Vec::new() };
            }
        }
        let mut found = Found { rules: vec![false; self.rules.len()], otherwise: false };
        let mut gather = |path| self.gather(&Target { method, host, path }, &mut found);
        match &readings {
            Readings::Plain(path) => gather(Some(path)),
            Readings::Several(paths) => paths.iter().for_each(|path| gather(Some(path))),
            Readings::Unclear => gather(None),
        }
        self.demand(&found)
    }

    /// The terms of the first rule that matches; none where a rule before it might.
    fn first(&self, target: &Target<'_>) -> Option<&Rc<Terms>> {
        for (when, terms) in &self.rules {
            match when.matches(target) {
                Match::No => {}
                Match::Maybe => return None,
                Match::Yes => return Some(terms),
            }
        }
        Some(&self.otherwise)
    }

    /// Adds the first rule that matches, and all before it that might.
    fn gather(&self, target: &Target<'_>, found: &mut Found) {
        for ((when, _), is_found) in self.rules.iter().zip(&mut found.rules) {
            let matched = when.matches(target);
            *is_found |= matched != Match::No;
            if matched == Match::Yes {
                return;
            }
        }
        found.otherwise = true;
    }

    fn demand(&self, found: &Found) -> Demand {
        let rules = self.rules.iter().zip(&found.rules).filter(|(_, is_found)| **is_found);
        let otherwise = found.otherwise.then_some(&self.otherwise);
        let mut others: Vec<_> = rules.map(|((_, terms), _)| terms).chain(otherwise).map(Rc::clone).collect();
        let access = others.iter().map(|terms| terms.access).max();
        match others.iter().position(|terms| Some(terms.access) == access) {
            Some(at) => Demand { strictest: others.remove(at), others },
            // Not reached: each pass ends with a rule or with the terms for the rest.
            None => Demand { strictest: Rc::clone(&self.otherwise), others },
        }
    }
}

/// Which rules were found for any reading of a request.
struct Found {
    rules: Vec<bool>,
    otherwise: bool,
}

impl Demand {
    /// Who may pass.
    #[must_use]
    pub fn access(&self) -> Access {
        self.strictest.access
    }

    /// What a session must be; all of these. Where there is one, `on_error` never lets the request through.
    pub fn requirements(&self) -> impl Iterator<Item = &Requirement> {
        std::iter::once(&self.strictest).chain(&self.others).filter_map(|terms| terms.require())
    }

    /// Checks a valid session against all requirements.
    ///
    /// # Errors
    ///
    /// The first thing that is not met.
    pub fn check(&self, session: &SessionFacts, now: UnixTime) -> Result<(), Unmet> {
        self.requirements().try_for_each(|requirement| requirement.check(session, now))
    }

    /// The answer to a request without a valid session; none where the configuration gives none. That of the
    /// first rule among the strictest.
    #[must_use]
    pub fn on_unauthenticated(&self) -> Option<&OnUnauthenticated> {
        self.strictest.on_unauthenticated.as_ref()
    }

    /// The answer where a requirement is not met; likewise.
    #[must_use]
    pub fn on_forbidden(&self) -> Option<&Answer> {
        self.strictest.on_forbidden.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        // Lent for ever: the demand ends here, and a table compares with literals.
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
            assert_eq!(
                decide(&rules(), "GET", b"a", path.as_bytes()).0,
                Access::Public,
                "{path} stays below it"
            );
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
            assert_eq!(
                decide(&rules(), "GET", b"a", path),
                (ALL.0, ALL.1.to_vec()),
                "{}",
                path.escape_ascii()
            );
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
        let answer = |status| Some(Answer { status, body: None });
        let with = |status| Terms { on_forbidden: answer(status), ..Terms::new(Access::Required) };
        let rules = Rules::new(
            vec![prefix("/a", Terms::new(Access::Public)), prefix("/b", with(410)), prefix("/c", with(411))],
            Terms { on_forbidden: answer(412), ..Terms::new(Access::Optional) },
        );
        let forbidden =
            |path: &[u8]| rules.decide(b"GET", b"a", path).on_forbidden().map(|answer| answer.status);
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
}
