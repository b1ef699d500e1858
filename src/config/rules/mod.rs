//! The fields `rules`, `access`, `require`, `on_unauthenticated` and `on_forbidden`: as typed, and checked into
//! [`Rules`].

mod text;

use std::rc::Rc;
use std::time::Duration;

use serde::Deserialize;

use self::text::{
    Age, AuthMethod, BodyText, ContentType, ExactPath, MethodName, PathPrefix, RedirectTarget, Role,
};
pub(super) use self::text::{HostName, ScopeName};
use super::claims::RawClaimTest;
use super::field::{Given, NonEmpty, Object, OneOf, Only};
use super::problem::{ConfigError, Problem, RuleError};
use super::typed::{NonEmptyText, StatusField};
use crate::http::url::Url;
use crate::jose::ClaimTest;
use crate::rules::{
    Access, ClaimId, Condition, CustomBody, CustomReply, OnUnauthenticated, Requirement, Rule, Rules, Terms,
    UseClaims,
};

/// Whether a real CORS preflight is public by default.
pub const DEFAULT_ALLOW_CORS_PREFLIGHT: bool = true;

/// The default status of the answer to a request without a valid session.
pub const DEFAULT_UNAUTHENTICATED_STATUS: u16 = 401;

/// The default status of the answer if `require` is not met.
pub const DEFAULT_FORBIDDEN_STATUS: u16 = 403;

/// The default `Content-Type` of a `body`.
pub const DEFAULT_CONTENT_TYPE: &str = "text/plain; charset=utf-8";

/// The longest `max_auth_age`. A longer one is a typing mistake.
pub const MAX_AUTH_AGE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The source of sessions. It determines what is known about them, and so what can be required.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sessions {
    /// `authgear` with `mode: resolver`.
    Resolver,
    /// `authgear` with tokens verified locally, with or without the resolver.
    Authgear,
    /// `forward_auth` without `jwt`.
    ForwardAuth {
        /// Whether a header of its answers lists roles.
        roles: bool,
    },
    /// `jwt`.
    Jwt {
        /// Whether an issuer names the claim that holds roles, or a header of the server's answers lists them.
        roles: bool,
        /// Whether there is a `forward_auth` too.
        forward_auth: bool,
    },
}

impl Sessions {
    const fn default_access(self) -> Access {
        match self {
            Self::Resolver | Self::Authgear => Access::Optional,
            Self::ForwardAuth { .. } | Self::Jwt { .. } => Access::Required,
        }
    }

    /// Returns whether the auth server may forbid a request without a `require` here.
    const fn may_be_forbidden_by_a_server(self) -> bool {
        match self {
            Self::Resolver | Self::Authgear => false,
            Self::ForwardAuth { .. } => true,
            Self::Jwt { forward_auth, .. } => forward_auth,
        }
    }
}

/// The fields of a configuration about rules. The terms at the top apply to requests that match no rule, and to rules
/// that omit them.
pub(super) struct RawRules {
    pub(super) rules: Vec<RawRule>,
    pub(super) terms: RawTerms,
}

/// The four fields that a rule and the top of the configuration share.
pub(super) struct RawTerms {
    pub(super) access: Option<Access>,
    pub(super) require: Option<RawRequire>,
    pub(super) on_unauthenticated: Option<RawOnUnauthenticated>,
    pub(super) on_forbidden: Option<RawCustomReply>,
}

/// The demands on the requests that it matches. A rule without conditions matches everything.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Rule"))]
pub(super) struct RawRule {
    /// Matches exactly this path. Not together with `prefix`.
    path: Given<ExactPath>,
    /// Matches this path and everything below it, by whole segments.
    prefix: Given<PathPrefix>,
    /// Matches these methods, which are written in upper case; `GET` includes `HEAD`. Not empty. Default: any.
    methods: Given<NonEmpty<MethodName>>,
    /// Matches these hosts, which are written without a port: `example.com`, `*.example.com` (any name below
    /// it), `192.0.2.1`, `[2001:db8::1]`. Not empty. Default: any.
    hosts: Given<NonEmpty<HostName>>,
    /// Who may pass: `public`, `optional` or `required`. Default: the top-level `access`.
    access: Given<OneOf<Access>>,
    /// What a session must meet. Implies `access: required`. Default: the top-level `require`.
    require: Given<Object<RawRequire>>,
    /// The answer to a request without a valid session. Default: the top-level `on_unauthenticated`.
    on_unauthenticated: Given<Object<RawOnUnauthenticated>>,
    /// The answer to a request whose session does not meet `require`. Default: the top-level `on_forbidden`.
    on_forbidden: Given<Object<RawCustomReply>>,
    /// The auth server's URL for these requests. Default: that of the top-level `forward_auth`.
    forward_auth: Given<Object<RawAsked>>,
}

/// The auth server's URL for the requests of a rule. `url` is required.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(rename = "RuleForwardAuth", extend("required" = ["url"]))
)]
pub(super) struct RawAsked {
    /// Another URL of the same server, such as `/oauth2/auth?allowed_groups=x`: scheme, host and port are those of
    /// `forward_auth.url`, and may be left out.
    url: Given<NonEmptyText>,
}

/// What a session must meet, all of it. Facts that a session does not state are not met.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Require"))]
pub(super) struct RawRequire {
    /// The user has at least one of these roles. Not empty.
    roles: Given<NonEmpty<Role>>,
    /// The token has all of these scopes. Not empty. Refused with `authgear.mode: resolver`.
    scopes: Given<NonEmpty<ScopeName>>,
    /// `true`: the user is verified. With `authgear` only.
    verified: Given<Only<true>>,
    /// `false`: the user is not anonymous. With `authgear` only.
    anonymous: Given<Only<false>>,
    /// The session was authenticated by all of these methods (RFC 8176). Not empty.
    amr: Given<NonEmpty<AuthMethod>>,
    /// The user authenticated no longer ago than this: `1s` to `8760h`.
    max_auth_age: Given<Age>,
    /// The token has all of these claims. Not empty. With `jwt`, and with `authgear` in modes that verify tokens.
    claims: Given<NonEmpty<Object<RawClaimTest>>>,
}

/// The answer to a request without a valid session: a redirect, or a status with a body.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "OnUnauthenticated"))]
pub(super) struct RawOnUnauthenticated {
    /// The status: 400 to 599, but not 444 and 499. Default: 401.
    status: Given<StatusField>,
    /// The body; not empty. Default: the filter's own JSON.
    body: Given<BodyText>,
    /// The media type of `body`. Default: `text/plain; charset=utf-8`.
    content_type: Given<ContentType>,
    /// Where navigations are sent instead, with 302: an absolute URL, or a path. `{url}` and `{path}` are replaced by
    /// those of the request, percent-encoded. Other requests get 401. Not together with the other fields.
    redirect: Given<RedirectTarget>,
}

/// The answer to a request whose session does not meet `require`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "OnForbidden"))]
pub(super) struct RawCustomReply {
    /// The status: 400 to 599, but not 444 and 499. Default: 403.
    status: Given<StatusField>,
    /// The body; not empty. Default: the filter's own JSON.
    body: Given<BodyText>,
    /// The media type of `body`. Default: `text/plain; charset=utf-8`.
    content_type: Given<ContentType>,
}

impl RawRules {
    /// Returns whether a rule names a path, a prefix or methods, so that headers that override them would evade it.
    pub(super) fn name_path_or_method(&self) -> bool {
        let mut rules = self.rules.iter();
        rules.any(|rule| rule.path.0.is_some() || rule.prefix.0.is_some() || rule.methods.0.is_some())
    }

    /// Checks the rules, for sessions that come from `sessions`. `asked` is the URL of the forward-auth server.
    ///
    /// # Errors
    ///
    /// Fails with the first field that is wrong, and what would be right.
    pub(super) fn check(
        self,
        sessions: Sessions,
        asked: Option<&Url>,
    ) -> Result<(Rules, Vec<ClaimTest>), ConfigError> {
        let mut claims = ClaimTests::default();
        let defaults = self.terms.check(&FieldPath(String::new()), sessions, &mut claims)?;
        let otherwise = defaults.over(&OwnTerms::default(), sessions);
        let rules = self.rules.into_iter().enumerate();
        let rules = rules
            .map(|(index, rule)| {
                rule.check(&FieldPath(format!("rules[{index}].")), &defaults, sessions, &mut claims, asked)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let terms = || rules.iter().map(|rule| &rule.terms).chain([&otherwise]);
        if defaults.on_unauthenticated.is_some() && terms().all(|terms| terms.access() != Access::Required) {
            return Err(ConfigError::new("on_unauthenticated", RuleError::NothingDenied));
        }
        let is_required = || terms().any(|terms| terms.require().is_some());
        if defaults.on_forbidden.is_some() && !sessions.may_be_forbidden_by_a_server() && !is_required() {
            return Err(ConfigError::new("on_forbidden", RuleError::NothingForbidden));
        }
        Ok((Rules::new(rules, otherwise), claims.0))
    }
}

impl RawRule {
    fn check(
        self,
        at: &FieldPath,
        defaults: &OwnTerms,
        sessions: Sessions,
        claims: &mut ClaimTests,
        asked: Option<&Url>,
    ) -> Result<Rule, ConfigError> {
        let path = match (self.path.0, self.prefix.0) {
            (Some(_), Some(_)) => {
                return Err(at.wrong("prefix", RuleError::BesidePath));
            }
            (Some(path), None) | (None, Some(path)) => Some(path),
            (None, None) => None,
        };
        let terms = RawTerms {
            access: self.access.0,
            require: self.require.0,
            on_unauthenticated: self.on_unauthenticated.0,
            on_forbidden: self.on_forbidden.0,
        };
        let said = terms.check(at, sessions, claims)?;
        let mut terms = defaults.over(&said, sessions);
        terms.auth_url = match self.forward_auth.0 {
            Some(_) if terms.access() == Access::Public => {
                return Err(at.wrong("forward_auth", RuleError::NobodyAsked));
            }
            Some(url) => url.check(at, asked)?.map(Rc::new),
            None => None,
        };
        if said.on_unauthenticated.is_some() && terms.access() != Access::Required {
            return Err(at.wrong("on_unauthenticated", RuleError::NothingDeniedHere));
        }
        if said.on_forbidden.is_some()
            && terms.require().is_none()
            && (terms.access() == Access::Public || !sessions.may_be_forbidden_by_a_server())
        {
            return Err(at.wrong("on_forbidden", RuleError::NothingForbidden));
        }
        let when = Condition {
            path,
            methods: self.methods.0.unwrap_or_default(),
            hosts: self.hosts.0.unwrap_or_default(),
        };
        Ok(Rule { when, terms })
    }
}

impl RawAsked {
    /// Returns the URL of the calls, if it differs from `asked`, which serves all requests.
    fn check(self, at: &FieldPath, asked: Option<&Url>) -> Result<Option<Url>, ConfigError> {
        const FIELD: &str = "forward_auth.url";
        let Some(asked) = asked else {
            return Err(at.wrong("forward_auth", RuleError::NoServer));
        };
        let Some(text) = self.url.0 else {
            let right = "give another URL of the server, as /oauth2/auth?allowed_groups=x";
            return Err(at.wrong(FIELD, Problem::Missing(right)));
        };
        let is_path = text.starts_with('/') && !text.starts_with("//");
        let text = if is_path { format!("{}{text}", asked.origin()) } else { text };
        let url = Url::parse_with_query(&text).map_err(|problem| at.wrong(FIELD, RuleError::Url(problem)))?;
        if url.origin() != asked.origin() {
            return Err(at.wrong(FIELD, RuleError::OtherServer(asked.origin())));
        }
        Ok((url != *asked).then_some(url))
    }
}

/// The demands on claims of all rules.
#[derive(Default)]
struct ClaimTests(Vec<ClaimTest>);

impl ClaimTests {
    /// Returns the index of a demand. Equal demands share one.
    fn place(&mut self, test: ClaimTest) -> ClaimId {
        let known = self.0.iter().position(|known| *known == test);
        ClaimId(known.unwrap_or_else(|| {
            self.0.push(test);
            self.0.len().saturating_sub(1)
        }))
    }
}

/// The beginning of an error's path, before the field's name.
struct FieldPath(String);

impl FieldPath {
    fn wrong(&self, field: &str, problem: impl Into<Problem>) -> ConfigError {
        ConfigError::new(format!("{}{field}", self.0), problem)
    }
}

/// The terms of a rule, or the top-level ones, each checked on its own.
#[derive(Default)]
struct OwnTerms {
    access: Option<Access>,
    require: Option<Requirement>,
    on_unauthenticated: Option<OnUnauthenticated>,
    on_forbidden: Option<CustomReply>,
}

impl RawTerms {
    /// Returns whether people without a session are redirected.
    pub(super) fn redirects(&self) -> bool {
        self.on_unauthenticated.as_ref().is_some_and(|answer| answer.redirect.0.is_some())
    }

    fn check(
        self,
        at: &FieldPath,
        sessions: Sessions,
        claims: &mut ClaimTests,
    ) -> Result<OwnTerms, ConfigError> {
        let access = self.access;
        if self.require.is_some() && access.is_some_and(|access| access != Access::Required) {
            return Err(at.wrong("access", RuleError::BesideRequire));
        }
        let require = self.require.map(|require| require.check(at, sessions, claims)).transpose()?;
        let on_unauthenticated = self.on_unauthenticated.map(|answer| answer.check(at)).transpose()?;
        let on_forbidden =
            self.on_forbidden.map(|answer| answer.check(at, "on_forbidden", DEFAULT_FORBIDDEN_STATUS));
        Ok(OwnTerms { access, require, on_unauthenticated, on_forbidden: on_forbidden.transpose()? })
    }
}

impl OwnTerms {
    /// Returns the terms of a rule that states `said` and inherits the rest. It inherits the requirement unless it
    /// states its own, or is public or optional.
    fn over(&self, said: &Self, sessions: Sessions) -> Terms {
        let inherited = match said.access.or(self.access) {
            Some(Access::Public | Access::Optional) => None,
            Some(Access::Required) | None => self.require.as_ref(),
        };
        let mut terms = match said.require.as_ref().or(inherited) {
            Some(require) => Terms::requiring(require.clone()),
            None => Terms::new(said.access.or(self.access).unwrap_or(sessions.default_access())),
        };
        terms.on_unauthenticated =
            said.on_unauthenticated.as_ref().or(self.on_unauthenticated.as_ref()).cloned();
        terms.on_forbidden = said.on_forbidden.as_ref().or(self.on_forbidden.as_ref()).cloned();
        terms
    }
}

impl RawRequire {
    fn check(
        self,
        at: &FieldPath,
        sessions: Sessions,
        claims: &mut ClaimTests,
    ) -> Result<Requirement, ConfigError> {
        let is_jwt = matches!(sessions, Sessions::Jwt { .. });
        let refused = |field: &str, problem: RuleError| Err(at.wrong(field, problem));
        if let Sessions::ForwardAuth { roles } = sessions {
            let others = [
                ("require.scopes", self.scopes.0.is_some()),
                ("require.claims", self.claims.0.is_some()),
                ("require.verified", self.verified.0.is_some()),
                ("require.anonymous", self.anonymous.0.is_some()),
                ("require.amr", self.amr.0.is_some()),
                ("require.max_auth_age", self.max_auth_age.0.is_some()),
            ];
            let other = others.iter().find(|(_, is_given)| *is_given);
            match (roles, &self.roles.0, other) {
                (true, _, Some((field, _))) => return refused(field, RuleError::ServerDecides),
                // If there is none, only a valid session is needed.
                (true, _, None) => {}
                (false, Some(_), _) => return refused("require.roles", RuleError::NoRolesHeader),
                (false, None, _) => return refused("require", RuleError::ServerDecides),
            }
        }
        if self.scopes.0.is_some() && sessions == Sessions::Resolver {
            return refused("require.scopes", RuleError::NoScopes);
        }
        if self.claims.0.is_some() && sessions == Sessions::Resolver {
            return refused("require.claims", RuleError::NoClaims);
        }
        if self.verified.0.is_some() && is_jwt {
            return refused("require.verified", RuleError::OnlyAuthgear);
        }
        if self.anonymous.0.is_some() && is_jwt {
            return refused("require.anonymous", RuleError::OnlyAuthgear);
        }
        if self.roles.0.is_some() && matches!(sessions, Sessions::Jwt { roles: false, .. }) {
            return refused("require.roles", RuleError::NoRolesClaim);
        }
        let roles = self.roles.0.unwrap_or_default();
        if let Some(index) = roles.iter().position(|role| !is_jwt && role.contains(',')) {
            return Err(at.wrong(&format!("require.roles[{index}]"), RuleError::RoleWithComma));
        }
        let (mut ids, mut names) = (Vec::new(), UseClaims::default());
        for (index, raw) in self.claims.0.unwrap_or_default().into_iter().enumerate() {
            let test = raw.check(&format!("{}require.claims[{index}]", at.0))?;
            names.typ |= test.claim.is_top("typ");
            names.token_use |= test.claim.is_top("token_use");
            names.token_type |= test.claim.is_top("token_type");
            ids.push(claims.place(test));
        }
        Ok(Requirement {
            roles,
            scopes: self.scopes.0.unwrap_or_default(),
            verified: self.verified.0.is_some(),
            not_anonymous: self.anonymous.0.is_some(),
            amr: self.amr.0.unwrap_or_default(),
            max_auth_age: self.max_auth_age.0,
            claims: ids,
            names,
        })
    }
}

impl RawOnUnauthenticated {
    fn check(self, at: &FieldPath) -> Result<OnUnauthenticated, ConfigError> {
        let Self { status, body, content_type, redirect } = self;
        let answer = RawCustomReply { status, body, content_type };
        let Some(redirect) = redirect.0 else {
            let answer = answer.check(at, "on_unauthenticated", DEFAULT_UNAUTHENTICATED_STATUS)?;
            return Ok(OnUnauthenticated::Reply(answer));
        };
        if answer.status.0.is_some() || answer.body.0.is_some() || answer.content_type.0.is_some() {
            return Err(at.wrong("on_unauthenticated.redirect", RuleError::RedirectAlone));
        }
        Ok(OnUnauthenticated::Redirect(redirect))
    }
}

impl RawCustomReply {
    fn check(self, at: &FieldPath, field: &str, default_status: u16) -> Result<CustomReply, ConfigError> {
        let status = self.status.0.unwrap_or(default_status);
        let body = match (self.body.0, self.content_type.0) {
            (Some(text), Some(content_type)) => Some(CustomBody { text, content_type }),
            (Some(text), None) => Some(CustomBody { text, content_type: DEFAULT_CONTENT_TYPE.to_owned() }),
            (None, Some(_)) => {
                return Err(at.wrong(&format!("{field}.content_type"), RuleError::NoBody));
            }
            (None, None) => None,
        };
        Ok(CustomReply { status, body })
    }
}

#[cfg(test)]
mod tests;
