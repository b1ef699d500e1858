//! One worker: its engine, its memory, and a clock that a test moves.

use std::time::Duration;

use authgear_filter::config::Config;
use authgear_filter::engine::{
    BackgroundCall, Capabilities, Decision, Engine, Outcome, State, Step, Verdict, WaitKey, Waiting,
};
use authgear_filter::http::{Call, CallError, Field, Fields, Head, Reply, Response, UnixTime};
use authgear_filter::jose::{Algorithm, Backend};
use serde_json::{Value, json};

use crate::issuer::{self, ISSUER, Issuer};

/// A host that keeps requests and calls for itself, as Envoy does.
pub(crate) const ENVOY: bool = true;

/// A host whose calls are each a request's own, as APISIX does.
pub(crate) const APISIX: bool = false;

pub(crate) type Answer = Result<Response, CallError>;

pub(crate) struct World {
    pub(crate) issuer: Issuer,
    engine: Engine,
    state: State,
    pub(crate) now: UnixTime,
    /// Sent and not answered.
    pub(crate) background_calls: Vec<(Call, BackgroundCall)>,
    pub(crate) warnings: Vec<String>,
}

impl World {
    /// With `authgear`, and what else is configured.
    pub(crate) fn new(background: bool, configuration: &Value) -> Self {
        Self::on(Capabilities { background, signatures: Backend::Portable }, configuration)
    }

    /// The same, on any host.
    pub(crate) fn on(host: Capabilities, configuration: &Value) -> Self {
        let config = Config::parse(configuration.to_string().as_bytes()).unwrap();
        let engine = Engine::new(config, host);
        let state = engine.state(7);
        Self {
            issuer: Issuer::new(),
            engine,
            state,
            now: issuer::now(),
            background_calls: vec![],
            warnings: vec![],
        }
    }

    /// The same, with its keys fetched.
    pub(crate) fn with_keys(background: bool, configuration: &Value) -> Self {
        let mut world = Self::new(background, configuration);
        if background {
            world.tick();
            world.finish_all(|world| world.jwks());
        } else {
            let token = world.token();
            let (_, waiting) = called(world.bearer(&token));
            let jwks = world.jwks();
            let _accepted = done(world.resume(waiting, jwks));
        }
        world
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
    }

    /// A user's good token.
    pub(crate) fn token(&self) -> String {
        self.issuer.token(Algorithm::Rs256, &issuer::claims())
    }

    pub(crate) fn jwks(&self) -> Answer {
        body(200, &self.issuer.jwks())
    }

    pub(crate) fn start(&mut self, fields: &[Field<'_>]) -> Step {
        let head = Head {
            method: b"GET",
            scheme: b"https",
            authority: b"app.example",
            path: b"/",
            fields,
            client_address: &|| None,
        };
        self.start_head(&head)
    }

    pub(crate) fn start_head(&mut self, head: &Head<'_>) -> Step {
        let step = self.engine.start(&mut self.state, head, self.now);
        self.collect();
        step
    }

    pub(crate) fn bearer(&mut self, token: &str) -> Step {
        self.start(&[(b"authorization", format!("Bearer {token}").as_bytes())])
    }

    pub(crate) fn bearer_and_cookie(&mut self, token: &str) -> Step {
        let authorization = format!("Bearer {token}");
        self.start(&[(b"authorization", authorization.as_bytes()), (b"cookie", b"session=s")])
    }

    pub(crate) fn resume(&mut self, waiting: Waiting, answer: Answer) -> Step {
        let step = self.engine.resume(&mut self.state, waiting, answer, self.now);
        self.collect();
        step
    }

    pub(crate) fn wake(&mut self, waiting: Waiting) -> Step {
        let step = self.engine.wake(&mut self.state, waiting, self.now);
        self.collect();
        step
    }

    pub(crate) fn abandon(&mut self, waiting: Waiting) {
        self.engine.abandon(&mut self.state, waiting, self.now);
    }

    pub(crate) fn tick(&mut self) {
        self.engine.tick(&mut self.state, self.now);
        self.collect();
    }

    /// Answers the one background_call that is under way.
    pub(crate) fn finish(&mut self, answer: Answer) -> Option<WaitKey> {
        let (_, background_call) = self.background_calls.pop().expect("an background_call under way");
        assert!(self.background_calls.is_empty(), "more than one: {:?}", self.background_calls);
        let topic = self.engine.finish(&mut self.state, background_call, answer, self.now);
        self.collect();
        topic
    }

    pub(crate) fn finish_all(&mut self, answer: impl Fn(&Self) -> Answer) {
        for (_, background_call) in std::mem::take(&mut self.background_calls) {
            let answer = answer(self);
            self.engine.finish(&mut self.state, background_call, answer, self.now);
        }
        self.collect();
    }

    /// What the resolver is asked for a request, whether by the request itself or for all with its credential.
    pub(crate) fn question(&mut self, step: Step) -> (Call, Waiting) {
        match step {
            Step::Call(call, waiting) => (call, waiting),
            Step::Park(WaitKey::Answer(_), waiting) => {
                let (call, _) = self.background_calls.last().expect("a question under way");
                (call.clone(), waiting)
            }
            step @ (Step::Park(WaitKey::Keys(_), _) | Step::Done(_)) => panic!("nothing is asked: {step:?}"),
        }
    }

    /// Answers it.
    pub(crate) fn answer(&mut self, waiting: Waiting, answer: Answer) -> Step {
        if self.background_calls.is_empty() {
            return self.resume(waiting, answer);
        }
        let topic = self.finish(answer).expect("somebody waits for it");
        let step = self.wake(waiting);
        self.engine.told(&mut self.state, topic);
        step
    }

    pub(crate) fn told(&mut self, topic: WaitKey) {
        self.engine.told(&mut self.state, topic);
    }

    fn collect(&mut self) {
        let effects = self.state.effects();
        self.background_calls.extend(effects.background_calls);
        self.warnings.extend(effects.warnings);
    }
}

/// The configuration of a project in a mode.
pub(crate) fn authgear(mode: &str) -> Value {
    json!({"authgear": {"endpoint": ISSUER, "upstream": "authgear", "mode": mode}})
}

pub(crate) fn body(status: u16, body: &Value) -> Answer {
    Ok(Response { status, fields: Fields::default(), body: body.to_string().into_bytes() })
}

/// Goes on until there is a decision; the resolver answers this.
pub(crate) fn decide(world: &mut World, head: &Head<'_>, answer: &Answer) -> Decision {
    match world.start_head(head) {
        Step::Done(decision) => decision,
        step @ (Step::Call(..) | Step::Park(..)) => {
            let (_, waiting) = world.question(step);
            done(world.answer(waiting, answer.clone()))
        }
    }
}

/// What the resolver answers of a user, or of nobody.
pub(crate) fn resolved(user: Option<&str>) -> Answer {
    let fields = user.map(|user| [("x-authgear-session-valid", "true"), ("x-authgear-user-id", user)]);
    Ok(Response { status: 200, fields: fields.into_iter().flatten().collect(), body: vec![] })
}

pub(crate) fn done(step: Step) -> Decision {
    match step {
        Step::Done(decision) => decision,
        step @ (Step::Call(..) | Step::Park(..)) => panic!("no decision: {step:?}"),
    }
}

pub(crate) fn called(step: Step) -> (Call, Waiting) {
    match step {
        Step::Call(call, waiting) => (call, waiting),
        step @ (Step::Done(_) | Step::Park(..)) => panic!("no call: {step:?}"),
    }
}

/// What the resolver is asked about a request.
pub(crate) fn asked(world: &mut World, request: impl FnOnce(&mut World) -> Step) -> (Call, Waiting) {
    let step = request(world);
    world.question(step)
}

pub(crate) fn parked(step: Step) -> (WaitKey, Waiting) {
    match step {
        Step::Park(topic, waiting) => (topic, waiting),
        step @ (Step::Done(_) | Step::Call(..)) => panic!("not parked: {step:?}"),
    }
}

/// The headers that the app receives, as text.
pub(crate) fn set(decision: &Decision) -> Vec<(String, String)> {
    match &decision.verdict {
        Verdict::Forward(edits) => {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            edits.set.iter().map(|(name, value)| (text(name), text(value))).collect()
        }
        Verdict::Reply(reply) => panic!("a reply: {reply:?}"),
    }
}

pub(crate) fn replied(decision: &Decision) -> &Reply {
    match &decision.verdict {
        Verdict::Reply(reply) => reply,
        Verdict::Forward(edits) => panic!("forwarded: {edits:?}"),
    }
}

/// Refused in a way that the app decides about.
pub(crate) fn assert_refused(step: Step) {
    let decision = done(step);
    assert_eq!(decision.outcome, Outcome::Refused);
    assert_eq!(set(&decision), [("x-authgear-session-valid".to_owned(), "false".to_owned())]);
}

pub(crate) fn assert_user(step: Step) {
    let decision = done(step);
    assert_eq!(decision.outcome, Outcome::Session);
    assert!(set(&decision).contains(&("x-authgear-user-id".to_owned(), "8b1f7c0e-user".to_owned())));
}

pub(crate) fn value<'c>(call: &'c Call, name: &str) -> Option<&'c str> {
    call.fields.value(name.as_bytes()).map(|value| std::str::from_utf8(value).unwrap())
}
