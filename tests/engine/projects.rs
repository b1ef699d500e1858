//! Several projects behind one filter: a request belongs to the project of its host, and nothing of one project is used
//! for another.

use authgear_filter::config::Projects;
use authgear_filter::engine::projects::{Engines, Memory, OfProject, ProjectStep};
use authgear_filter::engine::{
    BackgroundCall, Capabilities, Decision, Outcome, Step, Verdict, WaitKey, Waiting,
};
use authgear_filter::http::{Call, CallError, Field, Head, UnixTime};
use authgear_filter::jose::{Algorithm, Backend};
use serde_json::{Value, json};

use crate::dpop::Client;
use crate::issuer::{self, ISSUER, Issuer};
use crate::world::{APISIX, Answer, ENVOY, body, replied, resolved};

const OTHER: &str = "https://other.authgear.cloud";

/// Two projects with hosts of their own, and none for other hosts.
fn two(mode: &str, change: &Value) -> Value {
    let mut configuration = json!({
        "authgear": [
            {"endpoint": ISSUER, "upstream": "one", "mode": mode, "hosts": ["one.example", "*.one.example"]},
            {"endpoint": OTHER, "upstream": "two", "mode": mode, "hosts": ["two.example"], "cookie_prefix": "b_"},
        ],
        "access": "required",
        "rules": [{"prefix": "/open", "access": "public"}, {"path": "/any", "access": "optional"}],
        "cache": {"ttl": "1h", "negative_ttl": "1h"},
    });
    for (name, value) in change.as_object().unwrap() {
        configuration[name] = value.clone();
    }
    configuration
}

struct World {
    engines: Engines,
    memory: Memory,
    now: UnixTime,
    calls: Vec<(Call, OfProject<BackgroundCall>)>,
    warnings: Vec<String>,
    /// Upstreams that were asked, and what for.
    asked: Vec<(String, String)>,
}

/// What a request came to: its decision, or what it waits for.
enum Came {
    To(Decision),
    Waiting(OfProject<Waiting>),
}

impl World {
    fn new(background: bool, configuration: &Value) -> Self {
        let projects = Projects::parse(configuration.to_string().as_bytes()).unwrap();
        let engines = Engines::new(projects, Capabilities { background, signatures: Backend::Portable });
        let memory = engines.memory(7);
        Self { engines, memory, now: issuer::now(), calls: vec![], warnings: vec![], asked: vec![] }
    }

    fn start(&mut self, host: &str, path: &str, fields: &[Field<'_>]) -> ProjectStep {
        let head = Head {
            method: b"GET",
            scheme: b"https",
            authority: host.as_bytes(),
            path: path.as_bytes(),
            fields,
            client_address: &|| None,
        };
        let step = self.engines.start(&mut self.memory, &head, self.now);
        self.collect();
        step
    }

    fn collect(&mut self) {
        let effects = self.memory.effects();
        self.calls.extend(effects.background_calls);
        self.warnings.extend(effects.warnings);
    }

    fn note(&mut self, call: &Call) {
        let value =
            |name: &str| String::from_utf8(call.fields.value(name.as_bytes()).unwrap().to_vec()).unwrap();
        self.asked.push((call.upstream.clone(), value(":authority")));
    }

    /// Goes on until there is a decision; each call is answered so.
    fn decide(&mut self, host: &str, fields: &[Field<'_>], answer: &dyn Fn(&Call) -> Answer) -> Decision {
        self.decide_path(host, "/", fields, answer)
    }

    fn decide_path(
        &mut self,
        host: &str,
        path: &str,
        fields: &[Field<'_>],
        answer: &dyn Fn(&Call) -> Answer,
    ) -> Decision {
        let mut step = self.start(host, path, fields);
        loop {
            step = match self.settle(step, answer) {
                Came::To(decision) => return decision,
                Came::Waiting(waiting) => {
                    let told = self.answer_all(answer);
                    let step = self.engines.wake(&mut self.memory, waiting, self.now);
                    for key in told {
                        self.engines.told(&mut self.memory, key);
                    }
                    self.collect();
                    step
                }
            };
        }
    }

    fn settle(&mut self, mut step: ProjectStep, answer: &dyn Fn(&Call) -> Answer) -> Came {
        loop {
            step = match step {
                Step::Done(decision) => return Came::To(decision),
                Step::Park(_, waiting) => return Came::Waiting(waiting),
                Step::Call(call, waiting) => {
                    self.note(&call);
                    let step = self.engines.resume(&mut self.memory, waiting, answer(&call), self.now);
                    self.collect();
                    step
                }
            };
        }
    }

    fn answer_all(&mut self, answer: &dyn Fn(&Call) -> Answer) -> Vec<OfProject<WaitKey>> {
        let calls = std::mem::take(&mut self.calls);
        let mut told = Vec::new();
        for (call, background) in calls {
            self.note(&call);
            told.extend(self.engines.finish(&mut self.memory, background, answer(&call), self.now));
        }
        self.collect();
        told
    }
}

fn user(decision: &Decision) -> Option<String> {
    match &decision.verdict {
        Verdict::Forward(edits) => {
            edits.set.value(b"x-authgear-user-id").map(|user| String::from_utf8(user.to_vec()).unwrap())
        }
        Verdict::Reply(_) => None,
    }
}

fn status(decision: &Decision) -> u16 {
    match &decision.verdict {
        Verdict::Forward(_) => 200,
        Verdict::Reply(reply) => reply.status,
    }
}

/// Each project's resolver says that everybody is its one user.
fn of_each(call: &Call) -> Answer {
    resolved(Some(if call.upstream == "one" { "alice" } else { "bob" }))
}

const OPAQUE: Field<'static> = (b"authorization", b"Bearer same-text");

#[test]
fn one_credential_is_another_session_at_each_project() {
    for background in [ENVOY, APISIX] {
        for mode in ["auto", "resolver"] {
            let mut world = World::new(background, &two(mode, &json!({})));
            for _ in 0..3 {
                for (host, expected) in
                    [("one.example", "alice"), ("two.example", "bob"), ("x.One.Example.:443", "alice")]
                {
                    let decision = world.decide(host, &[OPAQUE], &of_each);
                    assert_eq!(user(&decision).as_deref(), Some(expected), "{host}");
                }
            }
            let mut asked = world.asked.clone();
            asked.retain(|(_, host)| !host.is_empty());
            asked.sort();
            asked.dedup();
            assert_eq!(
                asked,
                [
                    ("one".to_owned(), "myapp.authgear.cloud".to_owned()),
                    ("two".to_owned(), "other.authgear.cloud".to_owned())
                ]
            );
        }
    }
}

#[test]
fn no_session_at_one_project_says_nothing_about_another() {
    let nobody_at_one =
        |call: &Call| if call.upstream == "one" { resolved(None) } else { resolved(Some("bob")) };
    for background in [ENVOY, APISIX] {
        let mut world = World::new(background, &two("resolver", &json!({})));
        for _ in 0..2 {
            assert_eq!(status(&world.decide("one.example", &[OPAQUE], &nobody_at_one)), 401);
            assert_eq!(user(&world.decide("two.example", &[OPAQUE], &nobody_at_one)).as_deref(), Some("bob"));
        }
        assert_eq!(world.asked.len(), 2, "both are remembered: {:?}", world.asked);
    }
}

#[test]
fn a_question_in_flight_at_one_project_is_not_joined_at_another() {
    let mut world = World::new(ENVOY, &two("resolver", &json!({})));
    let Step::Park(one, at_one) = world.start("one.example", "/", &[OPAQUE]) else { panic!("it waits") };
    let Step::Park(two, at_two) = world.start("two.example", "/", &[OPAQUE]) else { panic!("it waits") };
    let Step::Park(again, also_at_one) = world.start("one.example", "/", &[OPAQUE]) else {
        panic!("it waits")
    };
    assert_ne!(one, two);
    assert_eq!(one, again);
    assert_eq!(world.calls.len(), 2);
    // The later one is answered first.
    world.calls.reverse();
    let keys = world.answer_all(&of_each);
    assert_eq!(keys, [two, one]);
    for (waiting, expected) in [(at_one, "alice"), (at_two, "bob"), (also_at_one, "alice")] {
        let Step::Done(decision) = world.engines.wake(&mut world.memory, waiting, world.now) else {
            panic!("it is decided")
        };
        assert_eq!(user(&decision).as_deref(), Some(expected));
    }
}

#[test]
fn a_token_of_one_project_is_no_session_at_another_and_keys_are_each_ones_own() {
    let issuer = Issuer::new();
    let token = issuer.token(Algorithm::Rs256, &issuer::claims());
    let bearer = format!("Bearer {token}");
    let bearer: Field<'_> = (b"authorization", bearer.as_bytes());
    // Both publish the same keys, as a server with one key for all its projects would.
    let answer = |call: &Call| match call.fields.value(b":path") {
        Some(b"/oauth2/jwks") => body(200, &issuer.jwks()),
        _ => of_each(call),
    };
    for background in [ENVOY, APISIX] {
        for mode in ["auto", "local"] {
            let mut configuration = two(mode, &json!({}));
            if mode == "local" {
                configuration["authgear"][1].as_object_mut().unwrap().remove("cookie_prefix");
                configuration["cache"] = json!({});
            }
            let mut world = World::new(background, &configuration);
            for _ in 0..2 {
                let decision = world.decide("one.example", &[bearer], &answer);
                assert_eq!(user(&decision).as_deref(), Some("8b1f7c0e-user"), "{mode}");
                let decision = world.decide("two.example", &[bearer], &answer);
                assert_eq!((status(&decision), decision.outcome), (401, Outcome::Refused), "{mode}");
            }
            let keys = world.asked.iter().filter(|(upstream, _)| upstream == "one").count();
            assert_eq!(keys, 1, "one fetch of keys: {:?}", world.asked);
        }
    }
}

#[test]
fn keys_that_one_project_lacks_are_not_taken_from_another() {
    let issuer = Issuer::new();
    let token = |project: &str| {
        let mut claims = issuer::claims();
        (claims["iss"], claims["aud"]) = (json!(project), json!([project]));
        format!("Bearer {}", issuer.token(Algorithm::Rs256, &claims))
    };
    let (at_one, at_two) = (token(ISSUER), token(OTHER));
    let answer = |call: &Call| match (call.upstream.as_str(), call.fields.value(b":path")) {
        ("one", Some(b"/oauth2/jwks")) => body(200, &issuer.jwks()),
        _ => Err(CallError::NoAnswer),
    };
    let mut configuration = two("auto", &json!({}));
    configuration["on_error"] = json!({"status": 502});
    for background in [ENVOY, APISIX] {
        let mut world = World::new(background, &configuration);
        let with = |token: &'_ str| -> Vec<(Vec<u8>, Vec<u8>)> {
            vec![(b"authorization".to_vec(), token.as_bytes().to_vec())]
        };
        for _ in 0..2 {
            for (host, token, expected) in [("one.example", &at_one, 200), ("two.example", &at_two, 502)] {
                let owned = with(token);
                let fields: Vec<Field<'_>> =
                    owned.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect();
                assert_eq!(status(&world.decide(host, &fields, &answer)), expected, "{host}");
            }
        }
        assert!(!world.warnings.is_empty());
        for warning in &world.warnings {
            assert!(warning.starts_with(&format!("project {OTHER}: ")), "{warning}");
        }
    }
}

#[test]
fn a_cookie_counts_under_the_name_of_the_hosts_project() {
    let mut world = World::new(ENVOY, &two("resolver", &json!({"strip_credentials": true})));
    const A: Field<'static> = (b"cookie", b"session=s; theme=dark");
    const B: Field<'static> = (b"cookie", b"b_session=s; theme=dark");
    for (host, cookie, expected) in [
        ("one.example", A, Some("alice")),
        ("two.example", B, Some("bob")),
        ("one.example", B, None),
        ("two.example", A, None),
    ] {
        let decision = world.decide_path(host, "/any", &[cookie], &of_each);
        assert_eq!(user(&decision).as_deref(), expected, "{host}");
        // No app sees a session of any project.
        let Verdict::Forward(edits) = &decision.verdict else { panic!("{decision:?}") };
        assert!(format!("{edits:?}").contains(&format!("{:?}", b"theme=dark".to_vec())), "{edits:?}");
    }
}

#[test]
fn a_host_of_no_project_gets_421_but_on_public_routes() {
    let mut world = World::new(ENVOY, &two("auto", &json!({})));
    const FORGED: Field<'static> = (b"x-authgear-user-id", b"admin");
    for host in
        ["three.example", "example", "one.example.evil", "two.example,x", "evil@two.example", "x.two.example"]
    {
        for path in ["/", "/any", "/.authgear/login"] {
            let decision = world.decide_path(host, path, &[OPAQUE, FORGED], &of_each);
            let reply = replied(&decision);
            let body: Value = serde_json::from_slice(&reply.body).unwrap();
            assert_eq!((reply.status, body["error"].as_str()), (421, Some("misdirected")), "{host} {path}");
            assert!(body["message"].as_str().is_some_and(|message| !message.is_empty()));
        }
        let decision = world.decide_path(host, "/open/x", &[OPAQUE, FORGED], &of_each);
        let Verdict::Forward(edits) = &decision.verdict else { panic!("{decision:?}") };
        assert_eq!((decision.outcome, edits.set.iter().count()), (Outcome::Public, 0), "{host}");
        assert!(edits.remove.contains(&b"x-authgear-user-id".to_vec()), "{host}");
    }
    assert_eq!(world.asked, [], "nobody is asked");
}

#[test]
fn a_project_without_hosts_gets_all_other_hosts_that_are_clear() {
    let mut configuration = two("resolver", &json!({}));
    configuration["authgear"][0].as_object_mut().unwrap().remove("hosts");
    let mut world = World::new(ENVOY, &configuration);
    for (host, expected) in
        [("three.example", 200), ("one.example", 200), ("three.example,x", 421), ("a:1:2", 421)]
    {
        assert_eq!(status(&world.decide(host, &[OPAQUE], &of_each)), expected, "{host}");
    }
    assert_eq!(user(&world.decide("three.example", &[OPAQUE], &of_each)).as_deref(), Some("alice"));
    assert_eq!(user(&world.decide("two.example", &[OPAQUE], &of_each)).as_deref(), Some("bob"));
}

#[test]
fn a_single_project_may_have_hosts_too() {
    let mut configuration = two("resolver", &json!({}));
    configuration["authgear"] = configuration["authgear"][0].clone();
    let mut world = World::new(ENVOY, &configuration);
    assert_eq!(user(&world.decide("one.example", &[OPAQUE], &of_each)).as_deref(), Some("alice"));
    assert_eq!(status(&world.decide("two.example", &[OPAQUE], &of_each)), 421);
}

#[test]
fn max_entries_is_for_all_projects_together() {
    let cache = json!({"ttl": "1h", "max_entries": 2});
    for background in [ENVOY, APISIX] {
        let mut world = World::new(background, &two("resolver", &json!({"cache": cache})));
        let mut asked = |host: &str, token: &str| {
            let before = world.asked.len();
            let bearer = format!("Bearer {token}");
            let decision = world.decide(host, &[(b"authorization", bearer.as_bytes())], &of_each);
            assert_eq!(status(&decision), 200);
            world.asked.len() > before
        };
        assert!(asked("one.example", "a"));
        assert!(asked("two.example", "a"));
        assert!(!asked("one.example", "a"), "both fit");
        assert!(asked("two.example", "b"), "and take the place of the least recently used");
        assert!(!asked("one.example", "a"));
        assert!(!asked("two.example", "b"));
        assert!(asked("two.example", "a"), "which was this one");
        assert!(asked("one.example", "a"), "and now one of the other project's");
    }
}

#[test]
fn proofs_of_possession_are_remembered_for_each_project_within_max_entries_for_all() {
    let (issuer, client) = (Issuer::new(), Client::new());
    let answer = |_: &Call| body(200, &issuer.jwks());
    let token = |project: &str| {
        let mut claims = client.claims();
        (claims["iss"], claims["aud"]) = (json!(project), json!([project]));
        issuer.token(Algorithm::Rs256, &claims)
    };
    let (at_one, at_two) = (token(ISSUER), token(OTHER));
    let mut configuration =
        two("local", &json!({"cache": {"max_entries": 4}, "on_error": {"action": "allow"}}));
    configuration["authgear"][1].as_object_mut().unwrap().remove("cookie_prefix");
    for background in [ENVOY, APISIX] {
        let mut world = World::new(background, &configuration);
        let mut send = |host: &str, jti: &str| {
            let token = if host == "one.example" { &at_one } else { &at_two };
            let proof = client.proof(token, |claims| {
                (claims["htu"], claims["jti"]) = (json!(format!("https://{host}/")), json!(jti));
            });
            let authorization = format!("DPoP {token}");
            let fields =
                [(b"authorization".as_slice(), authorization.as_bytes()), (b"dpop", proof.as_bytes())];
            status(&world.decide(host, &fields, &answer))
        };
        // One project's proofs leave the other its share, and the same number is new there.
        assert_eq!(["a", "b", "c", "d", "a"].map(|jti| send("one.example", jti)), [200, 200, 503, 503, 401]);
        assert_eq!(["a", "b", "c", "a"].map(|jti| send("two.example", jti)), [200, 200, 503, 401]);
        assert_eq!(send("one.example", "b"), 401, "none is forgotten for another project's");
    }
}

#[test]
fn what_was_revoked_at_one_project_is_not_revoked_at_another() {
    // One server with one key, two endpoints that accept each other's audience: the same token at both.
    let issuer = Issuer::new();
    let token = format!("Bearer {}", issuer.token(Algorithm::Rs256, &issuer::claims()));
    let bearer: Field<'_> = (b"authorization", token.as_bytes());
    let mut configuration = two("auto", &json!({}));
    configuration["authgear"][1]["endpoint"] = json!(ISSUER);
    let answer = |call: &Call| match (call.upstream.as_str(), call.fields.value(b":path")) {
        (_, Some(b"/oauth2/jwks")) => body(200, &issuer.jwks()),
        ("one", _) => resolved(None),
        _ => resolved(Some("8b1f7c0e-user")),
    };
    let mut world = World::new(APISIX, &configuration);
    for host in ["one.example", "two.example"] {
        assert_eq!(status(&world.decide(host, &[bearer], &answer)), 200);
    }
    world.now = world.now.after(std::time::Duration::from_secs(61));
    for _ in 0..2 {
        assert_eq!(status(&world.decide("one.example", &[bearer], &answer)), 401, "revoked there");
        assert_eq!(status(&world.decide("two.example", &[bearer], &answer)), 200);
    }
}

#[test]
fn people_log_in_at_the_project_of_their_host() {
    let mut configuration = two("resolver", &json!({}));
    configuration["authgear"][0]["login"] = json!({"client_id": "first"});
    configuration["authgear"][1]["login"] = json!({"client_id": "second", "callback": "/in"});
    let mut world = World::new(ENVOY, &configuration);
    const PAGE: Field<'static> = (b"accept", b"text/html");
    for (host, project, client, callback) in [
        ("one.example", ISSUER, "first", "one.example%2F.authgear%2Flogin&"),
        ("two.example", OTHER, "second", "two.example%2Fin&"),
    ] {
        let decision = world.decide(host, &[PAGE], &of_each);
        let reply = replied(&decision);
        let location = reply.fields.iter().find(|(name, _)| name == b"location").unwrap();
        let location = std::str::from_utf8(&location.1).unwrap();
        assert!(location.starts_with(&format!("{project}/oauth2/authorize?")), "{location}");
        assert!(
            location.contains(&format!("client_id={client}&")) && location.contains(callback),
            "{location}"
        );
    }
    // The callback of one is a page like any other at the other.
    let decision = world.decide_path("two.example", "/.authgear/login?state=/a", &[PAGE, OPAQUE], &of_each);
    assert_eq!(user(&decision).as_deref(), Some("bob"));
}
