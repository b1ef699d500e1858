//! Decides: what a request's head and an auth server's answer make of the request. Pure: whoever calls it
//! carries out the steps that it returns.

use crate::config::{Config, OnErrorAction};
use crate::credential::{Authorization, Credentials};
use crate::denial::Denial;
use crate::identity;
use crate::request::{BadHead, Call, CallError, Head, HeaderEdits, OwnedField, Reply, Response, UnixTime};
use crate::resolver::{self, Answer, Fault, Session};
use crate::warning::Warnings;

/// What to do next.
#[must_use]
#[derive(Debug)]
pub enum Step {
    /// Send the call, and [`Engine::resume`] with what comes of it.
    Call(Call, Waiting),
    /// Carry out the decision; nothing follows.
    Done(Decision),
}

/// What a request whose call is under way needs to go on. Exists only beside a [`Call`], and is used up by
/// the answer. Keeps no credential, and nothing of the head but the headers to remove.
#[derive(Debug)]
pub struct Waiting {
    forged: Vec<Vec<u8>>,
}

/// What becomes of a request, and why.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub struct Decision {
    /// What becomes of it.
    pub verdict: Verdict,
    /// Why; counted.
    pub outcome: Outcome,
    /// A line for the proxy's log, where an operator should know.
    pub warning: Option<String>,
}

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on to the app, with other headers.
    Forward(HeaderEdits),
    /// It is answered here.
    Reply(Reply),
}

/// Why a request was decided as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It has no credential.
    Anonymous,
    /// Its credential belongs to a valid session.
    Session,
    /// The auth server knows no session for its credential.
    NoSession,
    /// Its credential was refused, or is of a kind that is refused without asking.
    Refused,
    /// It cannot be understood.
    BadRequest,
    /// The auth server could not answer, and the request was denied.
    ErrorDenied,
    /// The auth server could not answer, and the operator chose to let requests through then.
    ErrorAllowed,
    /// The host refused what the filter asked of it, and the request was denied.
    Broken,
}

impl Outcome {
    /// All of them, for defining the metrics.
    pub const ALL: [Self; 8] = [
        Self::Anonymous,
        Self::Session,
        Self::NoSession,
        Self::Refused,
        Self::BadRequest,
        Self::ErrorDenied,
        Self::ErrorAllowed,
        Self::Broken,
    ];

    /// The counter of requests that ended so.
    #[must_use]
    pub const fn metric(self) -> &'static str {
        match self {
            Self::Anonymous => "authgear_filter.requests.anonymous",
            Self::Session => "authgear_filter.requests.session",
            Self::NoSession => "authgear_filter.requests.no_session",
            Self::Refused => "authgear_filter.requests.refused",
            Self::BadRequest => "authgear_filter.requests.bad_request",
            Self::ErrorDenied => "authgear_filter.requests.error_denied",
            Self::ErrorAllowed => "authgear_filter.requests.error_allowed",
            Self::Broken => "authgear_filter.requests.broken",
        }
    }
}

/// What lasts from one request to the next in one worker.
#[derive(Debug, Default)]
pub struct State {
    warnings: Warnings,
}

/// Decides about the requests of one configuration.
#[derive(Debug)]
pub struct Engine {
    config: Config,
}

impl Engine {
    /// An engine for a configuration.
    #[must_use]
    pub const fn new(config: Config) -> Self {
        Self { config }
    }

    /// The first step for a request.
    pub fn start(&self, _state: &mut State, head: &Head<'_>, _now: UnixTime) -> Step {
        let forged = identity::forged(head.fields);
        let credentials = Credentials::of(head, &self.config.authgear.cookies);
        match credentials.authorization {
            Authorization::Invalid => Step::Done(forward(forged, identity::refused(), Outcome::Refused)),
            Authorization::NoToken if credentials.cookies.is_empty() => {
                Step::Done(forward(forged, Vec::new(), Outcome::Anonymous))
            }
            Authorization::NoToken | Authorization::Bearer(_) => {
                Step::Call(resolver::call(&self.config, head, &credentials), Waiting { forged })
            }
        }
    }

    /// The next step, once the call of the step before has come to something.
    pub fn resume(
        &self,
        state: &mut State,
        waiting: Waiting,
        result: Result<Response, CallError>,
        now: UnixTime,
    ) -> Step {
        let Waiting { forged } = waiting;
        Step::Done(match resolver::read(result) {
            resolver::Result::Answered(Answer { session, identity, cookies }) => {
                let outcome = match session {
                    Session::Valid => Outcome::Session,
                    Session::None => Outcome::NoSession,
                };
                let respond = cookies.into_iter().map(|cookie| (b"set-cookie".to_vec(), cookie)).collect();
                let edits = HeaderEdits { remove: forged, set: identity, respond };
                Decision { verdict: Verdict::Forward(edits), outcome, warning: None }
            }
            resolver::Result::Refused => forward(forged, identity::refused(), Outcome::Refused),
            resolver::Result::Failed(fault) => self.fail(state, forged, fault, now),
        })
    }

    /// The decision about a request that cannot be understood.
    pub fn refuse(&self, bad: BadHead) -> Decision {
        reply(Denial::BadRequest(bad), 400, Outcome::BadRequest)
    }

    /// The decision where the host refused what an earlier decision needed: a request whose headers could not
    /// be edited must not go on.
    pub fn broken() -> Decision {
        reply(Denial::Broken, 503, Outcome::Broken)
    }

    fn fail(&self, state: &mut State, forged: Vec<Vec<u8>>, fault: Fault, now: UnixTime) -> Decision {
        let on_error = self.config.on_error;
        let (decision, then) = match on_error.action {
            OnErrorAction::Deny => (
                reply(Denial::Unavailable, on_error.status, Outcome::ErrorDenied),
                format!("denied with {}", on_error.status),
            ),
            OnErrorAction::Allow => (
                forward(forged, Vec::new(), Outcome::ErrorAllowed),
                "let through without identity headers (on_error.action is allow)".to_owned(),
            ),
        };
        let resolver = &self.config.authgear.resolver;
        let warning = state.warnings.limit(now, || {
            format!(
                "the resolver {} (upstream `{}`) is no help: {fault}. Requests are {then}",
                resolver.url, resolver.upstream
            )
        });
        Decision { warning, ..decision }
    }
}

fn forward(remove: Vec<Vec<u8>>, set: Vec<OwnedField>, outcome: Outcome) -> Decision {
    let edits = HeaderEdits { remove, set, respond: Vec::new() };
    Decision { verdict: Verdict::Forward(edits), outcome, warning: None }
}

fn reply(denial: Denial, status: u16, outcome: Outcome) -> Decision {
    Decision { verdict: Verdict::Reply(denial.reply(status)), outcome, warning: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Field;

    const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);

    fn engine(on_error: &str) -> Engine {
        let config = format!(
            r#"{{"authgear": {{"endpoint": "https://a.example", "upstream": "authgear", "mode": "resolver"}},
                "on_error": {on_error}}}"#
        );
        Engine::new(Config::parse(config.as_bytes()).unwrap())
    }

    fn start(engine: &Engine, state: &mut State, fields: &[Field<'_>]) -> Step {
        let head = Head {
            method: b"GET",
            scheme: b"https",
            authority: b"app.example",
            path: b"/",
            fields,
            client_address: &|| None,
        };
        engine.start(state, &head, NOW)
    }

    fn done(step: Step) -> Decision {
        match step {
            Step::Done(decision) => decision,
            Step::Call(call, _) => panic!("a call instead of a decision: {call:?}"),
        }
    }

    fn waiting(step: Step) -> Waiting {
        match step {
            Step::Call(_, waiting) => waiting,
            Step::Done(decision) => panic!("a decision instead of a call: {decision:?}"),
        }
    }

    fn owned(fields: &[(&str, &str)]) -> Vec<OwnedField> {
        fields.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
    }

    fn answered(status: u16, fields: &[(&str, &str)]) -> Result<Response, CallError> {
        Ok(Response { status, fields: owned(fields) })
    }

    /// What the client sends in each test beside its credentials, and what must be gone whatever happens.
    const FORGED: [Field<'static>; 3] =
        [(b"x-authgear-user-id", b"admin"), (b"x_authgear_user_roles", b"root"), (b"x-authgear-new", b"1")];

    fn removed() -> Vec<Vec<u8>> {
        FORGED.iter().map(|(name, _)| name.to_vec()).collect()
    }

    fn with_forged<'a>(credentials: &[Field<'a>]) -> Vec<Field<'a>> {
        FORGED.iter().chain(credentials).copied().collect()
    }

    fn edits(decision: &Decision) -> &HeaderEdits {
        match &decision.verdict {
            Verdict::Forward(edits) => edits,
            Verdict::Reply(reply) => panic!("a reply: {reply:?}"),
        }
    }

    const BEARER: Field<'static> = (b"authorization", b"Bearer abc");

    #[test]
    fn a_request_is_decided_at_once_where_nothing_could_be_learnt_by_asking() {
        let refused: &[(&str, &str)] = &[("x-authgear-session-valid", "false")];
        let cases: &[(&[Field<'_>], Outcome, &[(&str, &str)])] = &[
            (&[], Outcome::Anonymous, &[]),
            (&[(b"authorization", b"Basic eDp5")], Outcome::Anonymous, &[]),
            (&[(b"cookie", b"theme=dark; xsession=a")], Outcome::Anonymous, &[]),
            (&[BEARER, BEARER], Outcome::Refused, refused),
            (&[BEARER, BEARER, (b"cookie", b"session=good")], Outcome::Refused, refused),
            (&[(b"authorization", b"Bearer a,Bearer b")], Outcome::Refused, refused),
            (&[(b"authorization", b"Bearer \xff")], Outcome::Refused, refused),
        ];
        for (credentials, outcome, set) in cases {
            let decision = done(start(&engine("{}"), &mut State::default(), &with_forged(credentials)));
            assert_eq!(decision.outcome, *outcome, "{credentials:?}");
            assert_eq!(edits(&decision).set, owned(set), "{credentials:?}");
            assert_eq!(edits(&decision).remove, removed(), "{credentials:?}");
        }
    }

    #[test]
    fn a_request_with_a_credential_is_asked_about() {
        for credential in [
            BEARER,
            (b"cookie", b"session=a"),
            (b"cookie", b"app_session=a"),
            (b"cookie", b"app_access_token=a"),
        ] {
            let Step::Call(call, _) = start(&engine("{}"), &mut State::default(), &[credential]) else {
                panic!("{credential:?} was not asked about");
            };
            assert_eq!(call.upstream, "authgear");
        }
    }

    #[test]
    fn what_the_resolver_says_is_what_the_app_receives_and_nothing_of_the_client() {
        let cases: &[(&[(&str, &str)], Outcome)] = &[
            (
                &[("x-authgear-session-valid", "true"), ("x-authgear-user-id", "u"), ("x-authgear-x", "y")],
                Outcome::Session,
            ),
            (&[("x-authgear-session-valid", "false")], Outcome::NoSession),
            (&[], Outcome::NoSession),
        ];
        for (answer, outcome) in cases {
            let (engine, mut state) = (engine("{}"), State::default());
            let waiting = waiting(start(&engine, &mut state, &with_forged(&[BEARER])));
            let mut fields = vec![("server", "authgear"), ("set-cookie", "session=; Max-Age=0")];
            fields.extend_from_slice(answer);
            let decision = done(engine.resume(&mut state, waiting, answered(200, &fields), NOW));
            assert_eq!(decision.outcome, *outcome);
            assert_eq!(edits(&decision).set, owned(answer));
            assert_eq!(edits(&decision).remove, removed());
            assert_eq!(edits(&decision).respond, owned(&[("set-cookie", "session=; Max-Age=0")]));
        }
    }

    /// Everything that an auth server, or the way to it, can do wrong.
    fn faults() -> Vec<Result<Response, CallError>> {
        let user = [("x-authgear-session-valid", "true"), ("x-authgear-user-id", "u")];
        vec![
            Err(CallError::NotSent),
            Err(CallError::NoAnswer),
            answered(500, &user),
            answered(404, &user),
            answered(307, &user),
            answered(204, &user),
            answered(200, &user[..1]),
            answered(200, &user[1..]),
            answered(200, &[("x-authgear-session-valid", "yes")]),
        ]
    }

    #[test]
    fn without_an_answer_a_request_is_denied() {
        for fault in faults() {
            let (engine, mut state) = (engine(r#"{"status": 502}"#), State::default());
            let waiting = waiting(start(&engine, &mut state, &with_forged(&[BEARER])));
            let decision = done(engine.resume(&mut state, waiting, fault.clone(), NOW));
            assert_eq!(decision.outcome, Outcome::ErrorDenied, "{fault:?}");
            assert_eq!(decision.verdict, Verdict::Reply(Denial::Unavailable.reply(502)));
            let warning = decision.warning.unwrap();
            assert!(warning.contains("https://a.example/_resolver/resolve"), "{warning}");
            assert!(warning.contains("`authgear`") && warning.contains("denied with 502"), "{warning}");
        }
    }

    #[test]
    fn where_the_operator_chose_so_a_request_without_an_answer_goes_on_as_nobody() {
        for fault in faults() {
            let (engine, mut state) = (engine(r#"{"action": "allow"}"#), State::default());
            let waiting = waiting(start(&engine, &mut state, &with_forged(&[BEARER])));
            let decision = done(engine.resume(&mut state, waiting, fault.clone(), NOW));
            assert_eq!(decision.outcome, Outcome::ErrorAllowed, "{fault:?}");
            assert_eq!(*edits(&decision), HeaderEdits { remove: removed(), ..HeaderEdits::default() });
            assert!(decision.warning.unwrap().contains("let through"));
        }
    }

    #[test]
    fn what_the_client_caused_is_refused_and_never_falls_under_on_error() {
        for action in [r#"{"action": "allow"}"#, r#"{"action": "deny"}"#] {
            let (engine, mut state) = (engine(action), State::default());
            for status in [400, 413, 414, 431] {
                let waiting = waiting(start(&engine, &mut state, &with_forged(&[BEARER])));
                let decision = done(engine.resume(&mut state, waiting, answered(status, &[]), NOW));
                assert_eq!(decision.outcome, Outcome::Refused, "{status}");
                assert_eq!(edits(&decision).set, owned(&[("x-authgear-session-valid", "false")]));
                assert_eq!(edits(&decision).remove, removed());
            }
        }
    }

    #[test]
    fn a_failing_auth_server_does_not_fill_the_log() {
        let (engine, mut state) = (engine("{}"), State::default());
        let mut warnings = 0;
        for _ in 0..1_000 {
            let waiting = waiting(start(&engine, &mut state, &[BEARER]));
            let decision = done(engine.resume(&mut state, waiting, Err(CallError::NoAnswer), NOW));
            warnings += usize::from(decision.warning.is_some());
        }
        assert_eq!(warnings, 1);
    }

    #[test]
    fn every_outcome_has_a_counter_of_its_own() {
        let mut names: Vec<_> = Outcome::ALL.iter().map(|outcome| outcome.metric()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Outcome::ALL.len());
    }
}
