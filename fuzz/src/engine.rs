//! The whole engine as a state machine. One worker, one configuration; requests, answers, errors, ticks, clients that
//! leave and steps of the clock come in any order, as a proxy would bring them; a simulated auth server knows whose each
//! credential is. The simulated proxy does what `proxy::plugin` does.

mod scene;
mod server;

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use authgear_filter::engine::projects::{Engines, Memory, OfProject, ProjectStep};
use authgear_filter::engine::{BackgroundCall, Decision, Outcome, Step, Verdict, WaitKey, Waiting};
use authgear_filter::http::header::{is_hop_by_hop, is_value};
use authgear_filter::http::{Call, CallError, Field, Fields, Head, Response, UnixTime};

use self::scene::{MAX_ENTRIES, Scene, scenes};
use self::server::{JWTS, Server};
use crate::input::Input;
use crate::issuer::NOW;

/// The most calls that one request may cause.
const MAX_CALLS: usize = 6;

/// Weighs more than what so few entries can: each is a token of at most 1.5 KB, or an answer about one.
const MAX_BYTES: usize = 64 * 1024;

const FORGED: [&str; 4] = ["x-authgear-user-id", "x_authgear_user_id", "x-user", "x.user"];

const USERS: [&str; 4] = ["alice", "bob", "carol", "dave"];

type Key = OfProject<WaitKey>;
type Answer = Result<Response, CallError>;

enum Stage {
    Calling(OfProject<Waiting>, Call),
    Parked(OfProject<Waiting>),
    /// Its client has left, and its call is still under way.
    Left(OfProject<Waiting>, Call),
    Done,
}

struct Request {
    stage: Stage,
    path: &'static str,
    host: &'static str,
    /// The users that its credentials are of.
    own: Vec<&'static str>,
    cookies: Vec<String>,
    /// The names of forged headers.
    forged: Vec<&'static str>,
    /// When its token ends, where that is a JWT, and whose it is.
    jwt: Option<(&'static str, u64)>,
    calls: usize,
    is_preflight: bool,
}

struct Proxy<'i, 'd> {
    input: &'i mut Input<'d>,
    scene: &'static Scene,
    engines: &'static Engines,
    memory: Memory,
    now: UnixTime,
    server: Server,
    requests: Vec<Request>,
    /// Sent and not answered, each with its number.
    background: Vec<(Call, OfProject<BackgroundCall>)>,
    parked: HashMap<Key, Vec<usize>>,
    ready: VecDeque<(Key, Vec<usize>)>,
    /// When what is being told came.
    settled_at: HashMap<Key, UnixTime>,
    /// The cookies that were given to a client.
    given: HashSet<Vec<u8>>,
}

/// See the crate.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let scenes = scenes();
    let scene = &scenes[input.below(scenes.len())];
    let background = input.one_in(2);
    let engines = scene.engines(background);
    let memory = engines.memory(input.number());
    let mut proxy = Proxy {
        scene,
        engines,
        memory,
        now: UnixTime::from_secs(NOW),
        server: Server::new(scene.kind),
        requests: vec![],
        background: vec![],
        parked: HashMap::new(),
        ready: VecDeque::new(),
        settled_at: HashMap::new(),
        given: HashSet::new(),
        input: &mut input,
    };
    let mut events = 0;
    while !proxy.input.is_over() && events < 400 {
        events += 1;
        proxy.event(background);
        proxy.is_bounded();
    }
    // Sometimes the configuration ends with everything that is under way.
    if proxy.input.below(8) != 7 {
        proxy.nobody_is_left(background);
    }
}

impl Proxy<'_, '_> {
    fn event(&mut self, background: bool) {
        match self.input.below(16) {
            0..5 => self.arrives(background),
            5..9 => self.answers(background),
            9 | 10 => self.wakes(background),
            11 => {
                let step =
                    Duration::from_millis(self.input.pick(&[1, 900, 1_100, 5_000, 11_000, 61_000, 700_000]));
                self.now = self.now.after(step);
            }
            12 if self.input.one_in(3) => {
                let step = Duration::from_secs(self.input.pick(&[1, 20, 3_000]));
                self.now = UnixTime::new(self.now.since(UnixTime::default()).saturating_sub(step));
            }
            12 | 13 if background => {
                self.engines.tick(&mut self.memory, self.now);
                self.carry_out(None);
            }
            14 => self.leaves(background),
            _ => self.server.changes(self.input),
        }
    }

    /// A request.
    fn arrives(&mut self, background: bool) {
        let mut fields: Vec<(&str, String)> = Vec::new();
        let (mut own, mut jwt, mut cookies) = (Vec::new(), None, Vec::new());
        if !self.scene.kind.ignores_bearer() || self.input.one_in(4) {
            let counts = !self.scene.kind.ignores_bearer();
            match self.input.below(8) {
                0 | 1 => {
                    let user = self.input.pick(&USERS);
                    fields.push(("authorization", format!("Bearer opaque-{user}")));
                    own.extend(counts.then_some(user));
                }
                2..5 => {
                    let token = &JWTS[self.input.below(JWTS.len())];
                    fields.push(("authorization", format!("Bearer {}", token.text)));
                    own.extend(counts.then_some(token.user));
                    jwt = counts.then_some((token.user, token.expires));
                }
                5 => fields.push(("authorization", format!("Bearer {}", server::UNSIGNED.as_str()))),
                6 => fields.push(("authorization", "Bearer opaque-nobody".to_owned())),
                _ => {}
            }
        }
        if self.input.one_in(2) {
            let cookie = match self.input.below(5) {
                0 => "s-nobody".to_owned(),
                _ => {
                    let user = self.input.pick(&USERS);
                    own.extend(self.scene.kind.reads_cookies().then_some(user));
                    format!("s-{user}")
                }
            };
            fields.push(("cookie", format!("other=1; session={cookie}")));
            cookies.push(cookie);
        }
        let forged: Vec<_> = FORGED.into_iter().filter(|_| self.input.one_in(3)).collect();
        fields.extend(forged.iter().map(|name| (*name, "mallory".to_owned())));
        let is_preflight = self.input.one_in(20);
        if is_preflight {
            fields.push(("origin", "https://a".to_owned()));
            fields.push(("access-control-request-method", "GET".to_owned()));
        }
        let host = self.input.pick(&["a.example", "b.example"]);
        let path = self.input.pick(&["/optional", "/required", "/role", "/public", "/public/..%2frole"]);
        let number = self.requests.len();
        self.requests.push(Request {
            stage: Stage::Done,
            path,
            host,
            own,
            cookies,
            forged,
            jwt,
            calls: 0,
            is_preflight,
        });
        let fields: Vec<Field<'_>> =
            fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let head = Head {
            method: if is_preflight { b"OPTIONS" } else { b"GET" },
            scheme: b"https",
            authority: host.as_bytes(),
            path: path.as_bytes(),
            fields: &fields,
            client_address: &|| None,
        };
        let step = self.engines.start(&mut self.memory, &head, self.now);
        self.run(number, step, self.now, background);
    }

    /// Carries out steps until the request waits or is decided. `known_at` is when what is decided by was learnt.
    fn run(&mut self, number: usize, mut step: ProjectStep, known_at: UnixTime, background: bool) {
        let mut settled = Vec::new();
        loop {
            settled.extend(self.carry_out(Some(number)));
            step = match step {
                Step::Call(call, waiting) => {
                    self.count_call(number);
                    if !self.input.one_in(20) {
                        self.requests[number].stage = Stage::Calling(waiting, call);
                        return;
                    }
                    self.engines.resume(&mut self.memory, waiting, Err(CallError::NotSent), self.now)
                }
                Step::Park(key, waiting) => {
                    assert!(background, "a host that cannot keep a request was told to");
                    let has_room = !self.input.one_in(30);
                    if !settled.contains(&key) && has_room {
                        self.parked.entry(key).or_default().push(number);
                        self.requests[number].stage = Stage::Parked(waiting);
                        return;
                    }
                    self.engines.wake(&mut self.memory, waiting, self.now)
                }
                Step::Done(decision) => return self.decided(number, decision, known_at),
            };
        }
    }

    fn count_call(&mut self, number: usize) {
        self.requests[number].calls += 1;
        assert!(self.requests[number].calls <= MAX_CALLS, "a request makes call after call");
    }

    /// Sends the calls that no request waits for by itself. Gives what is settled because one could not be sent.
    fn carry_out(&mut self, of: Option<usize>) -> Vec<Key> {
        let mut settled = Vec::new();
        loop {
            let calls = self.memory.effects().background_calls;
            if calls.is_empty() {
                return settled;
            }
            for (call, what) in calls {
                if let Some(number) = of {
                    self.count_call(number);
                }
                if self.input.one_in(20) {
                    settled.extend(self.finish(what, Err(CallError::NotSent)));
                } else {
                    self.background.push((call, what));
                }
            }
        }
    }

    fn finish(&mut self, what: OfProject<BackgroundCall>, answer: Answer) -> Option<Key> {
        let key = self.engines.finish(&mut self.memory, what, answer, self.now)?;
        self.settled_at.insert(key, self.now);
        let waiters = self.parked.remove(&key).unwrap_or_default();
        self.ready.push_back((key, waiters));
        Some(key)
    }

    /// An answer comes, or will not.
    fn answers(&mut self, background: bool) {
        let calling: Vec<usize> = self
            .requests
            .iter()
            .enumerate()
            .filter(|(_, request)| matches!(request.stage, Stage::Calling(..) | Stage::Left(..)))
            .map(|(number, _)| number)
            .collect();
        let count = self.background.len() + calling.len();
        if count == 0 {
            return;
        }
        let at = self.input.below(count);
        let fault = self.input.below(16);
        self.answer(at, &calling, fault, background);
    }

    fn answer(&mut self, at: usize, calling: &[usize], fault: usize, background: bool) {
        if at < self.background.len() {
            let (call, what) = self.background.swap_remove(at);
            let answer = self.server.answer(&call, fault, self.now);
            self.finish(what, answer);
            self.carry_out(None);
            return;
        }
        let number = calling[at - self.background.len()];
        match std::mem::replace(&mut self.requests[number].stage, Stage::Done) {
            Stage::Calling(waiting, call) => {
                let answer = self.server.answer(&call, fault, self.now);
                let step = self.engines.resume(&mut self.memory, waiting, answer, self.now);
                self.run(number, step, self.now, background);
            }
            Stage::Left(waiting, call) => {
                let answer = self.server.answer(&call, fault, self.now);
                match self.engines.resume(&mut self.memory, waiting, answer, self.now) {
                    Step::Call(_, waiting) | Step::Park(_, waiting) => {
                        self.engines.abandon(&mut self.memory, waiting, self.now);
                    }
                    Step::Done(_) => {}
                }
                self.carry_out(None);
            }
            Stage::Parked(_) | Stage::Done => unreachable!("it was calling"),
        }
    }

    /// Some of those whose wait is over go on.
    fn wakes(&mut self, background: bool) {
        for _ in 0..1 + self.input.below(4) {
            let Some((key, waiters)) = self.ready.front_mut() else { return };
            let key = *key;
            let Some(number) = waiters.pop() else {
                self.ready.pop_front();
                self.engines.told(&mut self.memory, key);
                continue;
            };
            if let Stage::Parked(waiting) = std::mem::replace(&mut self.requests[number].stage, Stage::Done) {
                let known_at = self.settled_at[&key].min(self.now);
                let step = self.engines.wake(&mut self.memory, waiting, self.now);
                self.run(number, step, known_at, background);
            }
        }
    }

    /// A client leaves.
    fn leaves(&mut self, background: bool) {
        if self.requests.is_empty() {
            return;
        }
        let number = self.input.below(self.requests.len());
        let request = &mut self.requests[number];
        match std::mem::replace(&mut request.stage, Stage::Done) {
            Stage::Calling(waiting, call) if background => request.stage = Stage::Left(waiting, call),
            Stage::Calling(waiting, _) | Stage::Parked(waiting) => {
                self.engines.abandon(&mut self.memory, waiting, self.now);
            }
            stage @ (Stage::Left(..) | Stage::Done) => request.stage = stage,
        }
    }

    fn decided(&mut self, number: usize, decision: Decision, known_at: UnixTime) {
        self.requests[number].stage = Stage::Done;
        let Decision { verdict, outcome, .. } = decision;
        let request = &self.requests[number];
        let (host, path) = (request.host, request.path);
        let cookies: Vec<Vec<u8>> = match &verdict {
            Verdict::Reply(reply) => {
                assert!((300..=599).contains(&reply.status) && !reply.body.is_empty());
                assert!(reply.fields.iter().all(|(name, value)| is_value(value) && !is_hop_by_hop(name)));
                self.is_own_denial(request, &reply.body);
                cookies_of(reply.fields.iter().map(|(name, value)| (name.as_slice(), value.as_slice())))
            }
            Verdict::Forward(edits) => {
                for name in &request.forged {
                    let is_managed = name.contains("authgear") == self.scene.kind.is_authgears();
                    let is_gone = edits.remove.iter().any(|gone| gone == name.as_bytes());
                    assert!(!is_managed || is_gone, "{name} survives");
                }
                self.is_own_identity(request, &edits.set, outcome, known_at);
                self.may_pass(request, &edits.set, outcome);
                let add = edits.respond.add.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
                cookies_of(add)
            }
        };
        let cleared = format!("session=; cleared={}", request.cookies.join(","));
        for cookie in cookies {
            if cookie.starts_with(b"session=;") {
                assert_eq!(String::from_utf8_lossy(&cookie), cleared, "another one's cookie is cleared");
            } else {
                assert!(
                    self.given.insert(cookie.clone()),
                    "one cookie, two clients: {host}{path} {}",
                    cookie.escape_ascii()
                );
            }
        }
    }

    /// A relayed denial names the credential that it is of.
    fn is_own_denial(&self, request: &Request, body: &[u8]) {
        let Some(of) = body.strip_prefix(b"denied ") else { return };
        let of = String::from_utf8_lossy(of).into_owned();
        let is_own = of == "nobody" || request.own.iter().any(|user| *user == of);
        assert!(is_own, "the denial of {of} for one of {:?}", request.own);
    }

    fn is_own_identity(&self, request: &Request, set: &Fields, outcome: Outcome, known_at: UnixTime) {
        let user = set.value(b"x-authgear-user-id").or_else(|| set.value(b"x-user"));
        let user = user.map(|user| String::from_utf8_lossy(user).into_owned());
        let Some(user) = user else {
            assert!(outcome != Outcome::Session, "a session of nobody");
            return;
        };
        assert_eq!(outcome, Outcome::Session, "{user} without a session");
        let plain = self.scene.kind.own_name(request.host, &user);
        assert!(
            plain.is_some_and(|plain| request.own.contains(&plain)),
            "{user} at {}, by credentials of {:?}",
            request.host,
            request.own
        );
        // Whose other credential says the same is not known by the token alone.
        if let Some((of, expires)) = request.jwt
            && plain == Some(of)
            && request.own.len() == 1
        {
            assert!(
                known_at.as_secs() < expires + self.scene.kind.leeway(),
                "{user} {} s after the end of the token",
                known_at.as_secs() - expires
            );
        }
    }

    /// Where somebody has to be somebody, nobody else passes.
    fn may_pass(&self, request: &Request, set: &Fields, outcome: Outcome) {
        if request.is_preflight || request.path == "/public" {
            assert_eq!(outcome, Outcome::Public);
            assert!(set.is_empty(), "nobody was asked about");
            return;
        }
        let is_session = outcome == Outcome::Session;
        match request.path {
            "/optional" => {}
            "/required" => {
                let is_let_in = matches!(outcome, Outcome::ErrorAllowed | Outcome::NoKeysAllowed);
                assert!(is_session || is_let_in && self.scene.allows, "{outcome:?} passes");
            }
            _ => {
                assert!(is_session, "{outcome:?} passes where a role is required");
                let user =
                    set.value(b"x-authgear-user-id").or_else(|| set.value(b"x-user")).unwrap_or_default();
                let user = String::from_utf8_lossy(user);
                let plain = self.scene.kind.own_name(request.host, &user);
                assert!(plain.is_some_and(server::is_staff), "{user} is no staff");
            }
        }
    }

    fn is_bounded(&mut self) {
        let size = self.memory.size();
        assert!(size.entries <= 4 * MAX_ENTRIES && size.bytes <= MAX_BYTES, "{size:?}");
    }

    /// Every call comes to something; then every request has its answer.
    fn nobody_is_left(&mut self, background: bool) {
        for _ in 0..40 {
            while let Some(at) = (self.background.len() + self.calling().len()).checked_sub(1) {
                let calling = self.calling();
                self.answer(at, &calling, 0, background);
            }
            while !self.ready.is_empty() {
                self.wakes(background);
            }
        }
        for (number, request) in self.requests.iter().enumerate() {
            assert!(matches!(request.stage, Stage::Done), "request {number} waits for ever");
        }
        assert!(
            self.parked.values().flatten().all(|number| matches!(self.requests[*number].stage, Stage::Done))
        );
    }

    fn calling(&self) -> Vec<usize> {
        let is_calling = |request: &Request| matches!(request.stage, Stage::Calling(..) | Stage::Left(..));
        let numbers = self.requests.iter().enumerate().filter(|(_, request)| is_calling(request));
        numbers.map(|(number, _)| number).collect()
    }
}

fn cookies_of<'f>(fields: impl Iterator<Item = Field<'f>>) -> Vec<Vec<u8>> {
    fields.filter(|(name, _)| *name == b"set-cookie").map(|(_, value)| value.to_vec()).collect()
}
