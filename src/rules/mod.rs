//! Rules map a request's method, host and path to demands. They read nothing else of the request, and decide nothing
//! about its credentials.
//!
//! The first rule that matches counts. A request that programs read differently ([`readings`]) is matched once per
//! reading, and must meet the demands of all of them together. So an odd spelling of a path never gains anything over
//! the plain one.

mod condition;
pub mod host;
mod path;
pub mod readings;
pub mod redirect;
mod requirement;
mod session;
mod terms;

use std::rc::Rc;

pub use self::condition::{Condition, Method, MethodError};
pub use self::host::{HostPattern, HostPatternError};
pub use self::path::{PathPattern, PathPatternError};
pub use self::requirement::{LEEWAY, Requirement, Unmet};
pub use self::session::{ClaimId, SessionFacts, UseClaims};
pub use self::terms::{Access, CustomBody, CustomReply, OnUnauthenticated, Terms};

use self::condition::{Match, Reading};
use self::readings::Readings;
use crate::http::UnixTime;
use crate::http::authority::Authority;
use crate::http::url::Url;

/// Terms, and the requests that they apply to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The requests.
    pub when: Condition,
    /// The demands on them.
    pub terms: Terms,
}

/// All rules of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    rules: Vec<(Condition, Rc<Terms>)>,
    otherwise: Rc<Terms>,
    /// Whether any rule looks at the host. If none does, the host is not parsed.
    know_hosts: bool,
}

/// All demands on one request. Shares the terms with the rules, so it is cheap to keep while the request waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    strictest: Rc<Terms>,
    others: Vec<Rc<Terms>>,
}

impl Rules {
    /// Creates the rules, in order, with the terms for requests that match none of them.
    #[must_use]
    pub fn new(rules: Vec<Rule>, otherwise: Terms) -> Self {
        let know_hosts = rules.iter().any(|rule| !rule.when.hosts.is_empty());
        let rules = rules.into_iter().map(|rule| (rule.when, Rc::new(rule.terms))).collect();
        Self { rules, otherwise: Rc::new(otherwise), know_hosts }
    }

    /// Returns all terms that can apply to a request.
    pub fn terms(&self) -> impl Iterator<Item = &Terms> {
        self.rules.iter().map(|(_, terms)| terms.as_ref()).chain([self.otherwise.as_ref()])
    }

    /// Returns the demands on a request. `method` and `host` (`Host` or `:authority`) are as sent; `path` may include
    /// its query. A plain request takes one pass over the rules and allocates nothing.
    #[must_use]
    pub fn decide(&self, method: &[u8], host: &[u8], path: &[u8]) -> Demand {
        let host = if self.know_hosts { Authority::parse(host).ok() } else { None };
        let host = host.map(|authority| authority.host);
        let readings = Readings::of(path);
        if let Readings::Plain(path) = readings {
            let reading = Reading { method, host, path: Some(path) };
            if let Some(strictest) = self.first(&reading) {
                return Demand { strictest: Rc::clone(strictest), others: Vec::new() };
            }
        }
        let mut found = FoundRules { rules: vec![false; self.rules.len()], otherwise: false };
        let mut gather = |path| self.gather(&Reading { method, host, path }, &mut found);
        match &readings {
            Readings::Plain(path) => gather(Some(path)),
            Readings::Several(paths) => paths.iter().for_each(|path| gather(Some(path))),
            Readings::Unclear => gather(None),
        }
        self.demand(&found)
    }

    /// Returns which terms apply to each reading of a path: their places among [`Rules::terms`], in order. The path of
    /// a reading is `None` if any program may read anything. For explanations; [`Rules::decide`] combines them.
    #[must_use]
    pub fn applied(&self, method: &[u8], host: &[u8], path: &[u8]) -> Vec<(Option<Vec<u8>>, Vec<usize>)> {
        let host = Authority::parse(host).ok().map(|authority| authority.host);
        let readings = match Readings::of(path) {
            Readings::Plain(path) => vec![Some(path.to_vec())],
            Readings::Several(paths) => paths.into_iter().map(Some).collect(),
            Readings::Unclear => vec![None],
        };
        let applied = readings.into_iter().map(|path| {
            let mut found = FoundRules { rules: vec![false; self.rules.len()], otherwise: false };
            self.gather(&Reading { method, host, path: path.as_deref() }, &mut found);
            let places = found.rules.iter().chain([&found.otherwise]).enumerate();
            (path, places.filter(|(_, is_found)| **is_found).map(|(place, _)| place).collect())
        });
        applied.collect()
    }

    /// Returns the terms of the first rule that matches; `None` if an earlier rule might match.
    fn first(&self, reading: &Reading<'_>) -> Option<&Rc<Terms>> {
        for (when, terms) in &self.rules {
            match when.matches(reading) {
                Match::No => {}
                Match::Maybe => return None,
                Match::Yes => return Some(terms),
            }
        }
        Some(&self.otherwise)
    }

    /// Adds the first rule that matches, and all earlier rules that might.
    fn gather(&self, reading: &Reading<'_>, found: &mut FoundRules) {
        for ((when, _), is_found) in self.rules.iter().zip(&mut found.rules) {
            let matched = when.matches(reading);
            *is_found |= matched != Match::No;
            if matched == Match::Yes {
                return;
            }
        }
        found.otherwise = true;
    }

    fn demand(&self, found: &FoundRules) -> Demand {
        let rules = self.rules.iter().zip(&found.rules).filter(|(_, is_found)| **is_found);
        let otherwise = found.otherwise.then_some(&self.otherwise);
        let mut others: Vec<_> = rules.map(|((_, terms), _)| terms).chain(otherwise).map(Rc::clone).collect();
        let access = others.iter().map(|terms| terms.access()).max();
        match others.iter().position(|terms| Some(terms.access()) == access) {
            Some(at) => Demand { strictest: others.remove(at), others },
            // Unreachable: each pass ends with a rule or with the default terms.
            None => Demand { strictest: Rc::clone(&self.otherwise), others },
        }
    }
}

/// The readings of a request need calls to different URLs of the auth server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TwoUrls;

/// The rules that some reading of a request matched.
struct FoundRules {
    rules: Vec<bool>,
    otherwise: bool,
}

impl Demand {
    /// Creates the demand for terms that no rule states.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        Self { strictest: Rc::new(terms), others: Vec::new() }
    }

    /// Returns who may pass.
    #[must_use]
    pub fn access(&self) -> Access {
        self.strictest.access()
    }

    /// Returns the requirements on a session; it must meet all of them. If there is one, `on_error` never lets the
    /// request through.
    pub fn requirements(&self) -> impl Iterator<Item = &Requirement> {
        std::iter::once(&self.strictest).chain(&self.others).filter_map(|terms| terms.require())
    }

    /// Returns whether a token of another use is admitted. A token that declares itself not to be an access token
    /// passes only if a requirement names the claim that declares it. If several terms apply, each must name it.
    #[must_use]
    pub fn admits(&self, other_use: UseClaims) -> bool {
        let is_named = |claim: fn(&UseClaims) -> bool| {
            let mut all = std::iter::once(&self.strictest).chain(&self.others);
            all.all(|terms| {
                terms.access() == Access::Public
                    || terms.require().is_some_and(|require| claim(&require.names))
            })
        };
        let UseClaims { typ, token_use, token_type } = other_use;
        (!typ || is_named(|names| names.typ))
            && (!token_use || is_named(|names| names.token_use))
            && (!token_type || is_named(|names| names.token_type))
    }

    /// Returns the URL of the auth server for this request; `None` means the common one. Public routes ask nobody.
    ///
    /// # Errors
    ///
    /// Fails if the readings of the request name two URLs.
    pub fn auth_url(&self) -> Result<Option<Rc<Url>>, TwoUrls> {
        let url = &self.strictest.auth_url;
        let mut others = self.others.iter().filter(|terms| terms.access() != Access::Public);
        if others.any(|terms| terms.auth_url != *url) { Err(TwoUrls) } else { Ok(url.clone()) }
    }

    /// Checks a valid session against all requirements.
    ///
    /// # Errors
    ///
    /// Fails with the first requirement that is not met.
    pub fn check(&self, session: &SessionFacts, now: UnixTime) -> Result<(), Unmet> {
        self.requirements().try_for_each(|requirement| requirement.check(session, now))
    }

    /// Returns the configured answer to a request without a valid session. It comes from the first of the strictest
    /// rules.
    #[must_use]
    pub fn on_unauthenticated(&self) -> Option<&OnUnauthenticated> {
        self.strictest.on_unauthenticated.as_ref()
    }

    /// Returns the configured answer to a request that fails a requirement. It comes from the first of the strictest
    /// rules.
    #[must_use]
    pub fn on_forbidden(&self) -> Option<&CustomReply> {
        self.strictest.on_forbidden.as_ref()
    }
}
