//! Each step of a request that only the resolver decides about.

use authgear_filter::auth_server::authgear::identity;
use authgear_filter::config::Config;
use authgear_filter::engine::denial::Denial;
use authgear_filter::engine::{Capabilities, Decision, Engine, Outcome, State, Step, Verdict, Waiting};
use authgear_filter::http::{CallError, Field, Head, HeaderEdits, OwnedField, Response, UnixTime};
use authgear_filter::jose::Backend;

use crate::world::done;

const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);

fn engine(on_error: &str) -> Engine {
    let config = format!(
        r#"{{"authgear": {{"endpoint": "https://a.example", "upstream": "authgear", "mode": "resolver"}},
            "on_error": {on_error}}}"#
    );
    let host = Capabilities { background: false, signatures: Backend::Portable };
    Engine::new(Config::parse(config.as_bytes()).unwrap(), host)
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

fn waiting(step: Step) -> Waiting {
    match step {
        Step::Call(_, waiting) => waiting,
        step @ (Step::Done(_) | Step::Park(..)) => panic!("no call: {step:?}"),
    }
}

fn owned(fields: &[(&str, &str)]) -> Vec<OwnedField> {
    fields.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
}

fn answered(status: u16, fields: &[(&str, &str)]) -> Result<Response, CallError> {
    Ok(Response { status, fields: owned(fields).into_iter().collect(), body: vec![] })
}

/// What the client sends in each test beside its credentials, and what must be gone whatever happens.
const FORGED: [Field<'static>; 3] =
    [(b"x-authgear-user-id", b"admin"), (b"x_authgear_user_roles", b"root"), (b"x-authgear-new", b"1")];

/// All of it: what was sent, and what could have been hidden by a host that does not list everything.
fn assert_removed(decision: &Decision) {
    let forged = FORGED.iter().map(|(name, _)| name.to_vec()).chain(identity::managed().unseen().to_vec());
    assert_eq!(edits(decision).remove, forged.collect::<Vec<_>>());
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
        let engine = engine("{}");
        let decision = done(start(&engine, &mut engine.state(1), &with_forged(credentials)));
        assert_eq!(decision.outcome, *outcome, "{credentials:?}");
        assert_eq!(*edits(&decision).set, set.iter().copied().collect(), "{credentials:?}");
        assert_removed(&decision);
    }
}

#[test]
fn connection_never_nominates_an_identity_header() {
    let cases: &[(&[&[u8]], Option<&[u8]>, bool)] = &[
        (&[b"keep-alive, Upgrade"], None, false),
        (&[b"Upgrade, X-Authgear-User-Id"], Some(b"Upgrade"), true),
        (&[b"x_authgear_user_id"], None, true),
        (&[b"Upgrade,", b" X-AUTHGEAR-of-tomorrow ,close"], Some(b"Upgrade, close"), true),
    ];
    for (lines, left, is_removed) in cases {
        let engine = engine("{}");
        let fields: Vec<Field<'_>> = lines.iter().map(|line| (b"connection".as_slice(), *line)).collect();
        let decision = done(start(&engine, &mut engine.state(1), &fields));
        let edits = edits(&decision);
        assert_eq!(edits.rewritten(b"connection"), *left, "{lines:?}");
        assert_eq!(edits.remove.contains(&b"connection".to_vec()), *is_removed, "{lines:?}");
    }
}

#[test]
fn a_request_with_a_credential_is_asked_about() {
    for credential in
        [BEARER, (b"cookie", b"session=a"), (b"cookie", b"app_session=a"), (b"cookie", b"app_access_token=a")]
    {
        let engine = engine("{}");
        let Step::Call(call, _) = start(&engine, &mut engine.state(1), &[credential]) else {
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
        let engine = engine("{}");
        let mut state = engine.state(1);
        let waiting = waiting(start(&engine, &mut state, &with_forged(&[BEARER])));
        let mut fields = vec![("server", "authgear"), ("set-cookie", "session=; Max-Age=0")];
        fields.extend_from_slice(answer);
        let decision = done(engine.resume(&mut state, waiting, answered(200, &fields), NOW));
        assert_eq!(decision.outcome, *outcome);
        assert_eq!(*edits(&decision).set, answer.iter().copied().collect());
        assert_removed(&decision);
        assert_eq!(edits(&decision).respond.add.to_vec(), owned(&[("set-cookie", "session=; Max-Age=0")]));
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
        let engine = engine(r#"{"status": 502}"#);
        let mut state = engine.state(1);
        let waiting = waiting(start(&engine, &mut state, &with_forged(&[BEARER])));
        let decision = done(engine.resume(&mut state, waiting, fault.clone(), NOW));
        assert_eq!(decision.outcome, Outcome::ErrorDenied, "{fault:?}");
        assert_eq!(decision.verdict, Verdict::Reply(Denial::Unavailable(502).reply()));
        let warning = state.effects().warnings.concat();
        assert!(warning.contains("https://a.example/_resolver/resolve"), "{warning}");
        assert!(warning.contains("`authgear`") && warning.contains("denied with 502"), "{warning}");
    }
}

#[test]
fn where_the_operator_chose_so_a_request_without_an_answer_goes_on_as_nobody() {
    for fault in faults() {
        let may_be_provoked = fault.as_ref().is_ok_and(|response| response.status == 404);
        let engine = engine(r#"{"action": "allow"}"#);
        let mut state = engine.state(1);
        let waiting = waiting(start(&engine, &mut state, &with_forged(&[BEARER])));
        let decision = done(engine.resume(&mut state, waiting, fault.clone(), NOW));
        let warning = state.effects().warnings.concat();
        if may_be_provoked {
            assert_eq!(decision.outcome, Outcome::ErrorDenied, "{fault:?}");
            assert!(warning.contains("denied with 503"), "{warning}");
            continue;
        }
        assert_eq!(decision.outcome, Outcome::ErrorAllowed, "{fault:?}");
        assert_removed(&decision);
        assert!(edits(&decision).set.is_empty() && edits(&decision).respond.is_empty());
        assert!(warning.contains("let through"), "{warning}");
    }
}

#[test]
fn what_the_client_may_have_provoked_is_denied_whatever_on_error_says() {
    for action in [r#"{"action": "allow"}"#, r#"{"action": "deny"}"#] {
        let engine = engine(action);
        let mut state = engine.state(1);
        for status in [400, 401, 403, 404, 413, 414, 429, 431] {
            let waiting = waiting(start(&engine, &mut state, &with_forged(&[BEARER])));
            let decision = done(engine.resume(&mut state, waiting, answered(status, &[]), NOW));
            assert_eq!(decision.outcome, Outcome::ErrorDenied, "{status}");
            assert_eq!(decision.verdict, Verdict::Reply(Denial::Unavailable(503).reply()));
        }
    }
}

#[test]
fn a_failing_auth_server_does_not_fill_the_log() {
    let engine = engine("{}");
    let mut state = engine.state(1);
    let mut warnings = 0;
    for _ in 0..1_000 {
        let waiting = waiting(start(&engine, &mut state, &[BEARER]));
        let _denied = done(engine.resume(&mut state, waiting, Err(CallError::NoAnswer), NOW));
        warnings += state.effects().warnings.len();
    }
    assert_eq!(warnings, 1);
}
