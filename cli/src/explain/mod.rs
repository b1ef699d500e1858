//! `explain`: what the filter makes of one request. It is the filter's own engine that decides; here its calls are
//! answered, with the keys that one gives and with what an auth server may say.

mod call;
mod output;
mod request;
mod token;

use authgear_filter::auth_server::AuthServer;
use authgear_filter::config::{Config, Keys, Projects};
use authgear_filter::engine::projects::Engines;
use authgear_filter::engine::{Capabilities, Decision, Outcome, Step, Verdict};
use authgear_filter::http::{BadHead, Call, CallError, Fields, Head, Response, UnixTime};
use authgear_filter::jose::{Backend, KeySet};
use authgear_filter::rules::Access;
use serde::Serialize;
use serde_json::{Map, Value, json};

use self::call::{Redactor, ToldCall, ToldHeader, lossy};
use self::token::ToldToken;
use crate::check::Configuration;
use crate::tree::Node;

pub(crate) use self::output::{json, text};
pub(crate) use self::request::{Request, RequestError};

/// How many calls one request can take: keys, cookies, and the same once more.
const MAX_CALLS: usize = 8;

/// What is known beside the request.
pub(crate) struct Given {
    /// The keys of every issuer whose keys the filter would fetch; as bytes, because the filter reads them itself.
    pub(crate) keys: Option<Vec<u8>>,
    /// The time.
    pub(crate) now: UnixTime,
}

/// What the filter makes of a request. Fields are added, never taken away or renamed.
#[derive(Debug, Serialize)]
pub(crate) struct Explanation {
    /// Method and URL.
    request: String,
    /// Which of several projects the request belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    /// How programs may read the path, and which rules apply to each reading.
    readings: Vec<Reading>,
    /// Who may pass, of all readings together.
    access: &'static str,
    /// What a session must meet.
    require: Vec<Value>,
    /// The token of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<ToldToken>,
    /// The calls that the request takes, in order.
    calls: Vec<ToldCall>,
    /// What becomes of the request: one for each thing that the auth server may say; one in all where nobody is asked.
    outcomes: Vec<ToldOutcome>,
}

/// One way in which programs may read a path.
#[derive(Debug, Serialize)]
struct Reading {
    /// The path; none where nobody can say how it is read.
    path: Option<String>,
    /// The rules that apply.
    rules: Vec<AppliedRule>,
}

/// A rule that applies.
#[derive(Debug, Serialize)]
struct AppliedRule {
    /// `rules[0]`, or `default` for what holds where no rule matches.
    rule: String,
    /// Who may pass by it.
    access: &'static str,
    /// As it is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    configured: Option<Value>,
}

/// What becomes of the request.
#[derive(Debug, Serialize)]
struct ToldOutcome {
    /// What must be the case.
    #[serde(skip_serializing_if = "Option::is_none")]
    when: Option<String>,
    /// The counter that counts it: `session`, `no_session` and such.
    outcome: &'static str,
    /// Whether it goes on to the app.
    forwarded: bool,
    /// What the client sent and the app does not get.
    removed: Vec<String>,
    /// What is added to them, or has another value.
    set: Vec<ToldHeader>,
    /// The status of the answer to the client, where it is answered here.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// Headers of that answer, or for the app's response.
    response: Vec<ToldHeader>,
    /// The body of that answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
}

/// What a call is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Keys,
    Question,
}

/// Explains a request.
pub(crate) fn explain(
    configuration: &Configuration<'_>,
    projects: &Projects,
    request: &Request,
    given: &Given,
) -> Explanation {
    let fields = request.listed();
    let mut others = Vec::new();
    let address = || request.client_address;
    let head = Head::new(&fields, &mut others, &address);
    let engines =
        Engines::new(projects.clone(), Capabilities { background: false, signatures: Backend::Portable });
    let project = head.as_ref().ok().and_then(|head| {
        let (_, hosts) = projects.clone().into_parts();
        hosts.project(head.authority)
    });
    let config = project.and_then(|project| projects.configs().get(project));
    let values = configuration.values();
    let told = Told { config, values, engines: &engines, given };
    let (readings, access, require) = told.rules(&request.method, &request.authority, &request.path);
    let mut explanation = Explanation {
        request: request.told(config.map(|config| config.token_from.as_slice()).unwrap_or_default()),
        project: config.and_then(|config| config.project.clone()),
        readings,
        access,
        require,
        token: None,
        calls: Vec::new(),
        outcomes: Vec::new(),
    };
    match head {
        Err(bad) => {
            let outcome = told.outcome(None, &told.refused(bad), &Redactor::new(request, None));
            explanation.outcomes.push(outcome);
        }
        Ok(head) => {
            let keys = given.keys.as_deref();
            let token = config.and_then(|config| token::judge(config, &head, keys, given.now));
            let (told_token, bytes) = token.unzip();
            let redactor = Redactor::new(request, bytes.as_deref());
            explanation.token = told_token;
            told.decide(&head, &redactor, &mut explanation);
        }
    }
    explanation
}

/// What everything is told from.
struct Told<'a> {
    config: Option<&'a Config>,
    values: Option<&'a Node>,
    engines: &'a Engines,
    given: &'a Given,
}

impl Told<'_> {
    fn rules(&self, method: &str, host: &str, path: &str) -> (Vec<Reading>, &'static str, Vec<Value>) {
        let Some(config) = self.config else { return (Vec::new(), "required", Vec::new()) };
        let (method, host, path) = (method.as_bytes(), host.as_bytes(), path.as_bytes());
        let terms: Vec<_> = config.rules.terms().collect();
        let rules = self.values.and_then(|values| values.get("rules")).map(Node::items).unwrap_or_default();
        let readings = config.rules.applied(method, host, path).into_iter().map(|(path, applied)| Reading {
            path: path.as_deref().map(lossy),
            rules: applied
                .into_iter()
                .map(|place| {
                    let configured = rules.get(place);
                    AppliedRule {
                        rule: configured.map_or_else(|| "default".to_owned(), |_| format!("rules[{place}]")),
                        access: terms.get(place).map_or("required", |terms| named(terms.access())),
                        configured: configured.and_then(|rule| serde_json::from_str(&rule.to_json()).ok()),
                    }
                })
                .collect(),
        });
        let demand = config.rules.decide(method, host, path);
        let require = demand.requirements().map(|requirement| {
            let mut told = Map::new();
            let mut list = |name: &str, list: &[String]| {
                if !list.is_empty() {
                    told.insert(name.to_owned(), json!(list));
                }
            };
            list("roles", &requirement.roles);
            list("scopes", &requirement.scopes);
            list("amr", &requirement.amr);
            if requirement.verified {
                told.insert("verified".to_owned(), true.into());
            }
            if requirement.not_anonymous {
                told.insert("anonymous".to_owned(), false.into());
            }
            if let Some(age) = requirement.max_auth_age {
                told.insert("max_auth_age".to_owned(), format!("{}s", age.as_secs()).into());
            }
            if !requirement.claims.is_empty() {
                told.insert("claims".to_owned(), requirement.claims.len().into());
            }
            Value::Object(told)
        });
        (readings.collect(), named(demand.access()), require.collect())
    }

    fn refused(&self, bad: BadHead) -> Decision {
        self.engines.bad_request(bad)
    }

    /// Has the engine decide, once for each thing that the auth server may say.
    fn decide(&self, head: &Head<'_>, redactor: &Redactor<'_>, explanation: &mut Explanation) {
        let (calls, decision) = self.run(head, &Err(CallError::NoAnswer));
        let is_asked = calls.iter().any(|call| self.purpose(call) == Purpose::Question);
        for call in &calls {
            let told = redactor.call(call, self.purpose(call) == Purpose::Keys);
            if !explanation.calls.contains(&told) {
                explanation.calls.push(told);
            }
        }
        let wants_keys = calls.iter().any(|call| self.purpose(call) == Purpose::Keys);
        let keyless = (wants_keys && self.given.keys.is_none())
            .then(|| "without keys (give them with --jwks)".to_owned());
        if !is_asked {
            explanation.outcomes.push(self.outcome(keyless, &decision, redactor));
            return;
        }
        for (when, answer) in self.answers(head) {
            let (_, decision) = self.run(head, &Ok(answer));
            explanation.outcomes.push(self.outcome(Some(when), &decision, redactor));
        }
        let when = Some("the auth server cannot answer".to_owned());
        explanation.outcomes.push(self.outcome(when, &decision, redactor));
    }

    /// One run of the engine from the beginning: with the keys that are given, and this answer to each question.
    fn run(&self, head: &Head<'_>, answer: &Result<Response, CallError>) -> (Vec<Call>, Decision) {
        let mut memory = self.engines.memory(1);
        let mut calls = Vec::new();
        let mut step = self.engines.start(&mut memory, head, self.given.now);
        loop {
            match step {
                Step::Done(decision) => return (calls, decision),
                Step::Call(call, waiting) if calls.len() < MAX_CALLS => {
                    let result = match (self.purpose(&call), &self.given.keys) {
                        (Purpose::Keys, Some(keys)) => {
                            Ok(Response { status: 200, fields: Fields::default(), body: keys.clone() })
                        }
                        (Purpose::Keys, None) => Err(CallError::NoAnswer),
                        (Purpose::Question, _) => answer.clone(),
                    };
                    calls.push(call);
                    step = self.engines.resume(&mut memory, waiting, result, self.given.now);
                }
                // Nobody parks on a proxy without background calls.
                Step::Call(..) | Step::Park(..) => {
                    return (calls, authgear_filter::engine::Engine::broken());
                }
            }
        }
    }

    /// Keys are fetched with a GET of their URL.
    fn purpose(&self, call: &Call) -> Purpose {
        let path = call.fields.value(b":path");
        let is_of_keys = self.config.is_some_and(|config| {
            config.issuers.iter().any(|issuer| match &issuer.keys {
                Keys::Fetched { server, .. } => {
                    server.upstream == call.upstream
                        && path == Some(server.url.path_and_query().as_bytes())
                        && call.fields.value(b"authorization").is_none()
                        && call.fields.value(b"cookie").is_none()
                        && call.form.is_none()
                }
                Keys::Inline(_) | Keys::Absent => false,
            })
        });
        if is_of_keys { Purpose::Keys } else { Purpose::Question }
    }

    /// What the auth server may say, each with what it means. A session has what the rules demand of it, as far as this
    /// server can say so.
    fn answers(&self, head: &Head<'_>) -> Vec<(String, Response)> {
        let Some(config) = self.config else { return Vec::new() };
        let demand = config.rules.decide(head.method, head.authority, head.path);
        let all = |of: fn(&authgear_filter::rules::Requirement) -> &Vec<String>| -> Vec<String> {
            demand.requirements().flat_map(of).cloned().collect()
        };
        let (roles, scopes, amr) = (all(|r| &r.roles), all(|r| &r.scopes), all(|r| &r.amr));
        let answer = |status, fields: &[(&str, &str)], body: String| Response {
            status,
            fields: fields.iter().copied().collect(),
            body: body.into_bytes(),
        };
        match &config.server {
            Some(AuthServer::Resolver(_)) => {
                let (roles, amr, now) =
                    (roles.join(","), amr.join(" "), self.given.now.as_secs().to_string());
                let session = [
                    ("x-authgear-session-valid", "true"),
                    ("x-authgear-user-id", "<the user's id>"),
                    ("x-authgear-user-anonymous", "false"),
                    ("x-authgear-user-verified", "true"),
                    ("x-authgear-session-amr", &amr),
                    ("x-authgear-user-roles", &roles),
                    ("x-authgear-session-authenticated-at", &now),
                ];
                let session: Vec<_> = session.into_iter().filter(|(_, value)| !value.is_empty()).collect();
                vec![
                    ("the resolver knows a session".to_owned(), answer(200, &session, String::new())),
                    (
                        "the resolver knows none".to_owned(),
                        answer(200, &[("x-authgear-session-valid", "false")], String::new()),
                    ),
                ]
            }
            Some(AuthServer::ForwardAuth(_)) => {
                let fields = self.forward_auth_fields(&roles);
                let fields: Vec<_> =
                    fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                vec![
                    ("the auth server accepts (200)".to_owned(), answer(200, &fields, String::new())),
                    ("the auth server denies (401)".to_owned(), answer(401, &[], String::new())),
                ]
            }
            Some(AuthServer::Introspection(server)) => {
                let mut said = json!({ "active": true, "sub": "<the subject>" });
                if let (Value::Object(said), Some(issuer)) = (&mut said, config.issuers.get(server.issuer)) {
                    let first = |list: &[String]| list.first().map(|first| Value::from(first.clone()));
                    said.extend(first(&issuer.policy.audiences).map(|aud| ("aud".to_owned(), aud)));
                    said.extend(first(&issuer.policy.client_ids).map(|id| ("client_id".to_owned(), id)));
                    if !scopes.is_empty() {
                        said.insert("scope".to_owned(), scopes.join(" ").into());
                    }
                }
                let json = [("content-type", "application/json")];
                vec![
                    ("the token is active".to_owned(), answer(200, &json, said.to_string())),
                    ("it is not".to_owned(), answer(200, &json, json!({ "active": false }).to_string())),
                ]
            }
            None => Vec::new(),
        }
    }

    /// An accepting answer with each identity header that the configuration names; of a prefix, with none.
    fn forward_auth_fields(&self, roles: &[String]) -> Vec<(String, String)> {
        let Some(server) = self.values.and_then(|values| values.get("forward_auth")) else {
            return Vec::new();
        };
        let roles_header = server.get("roles_header").and_then(Node::text);
        let mut fields: Vec<_> =
            roles_header.map(|name| (name.to_ascii_lowercase(), roles.join(","))).into_iter().collect();
        for header in server.get("identity_headers").map(Node::items).unwrap_or_default() {
            let name =
                header.text().or_else(|| header.get("from")?.text()).or_else(|| header.get("header")?.text());
            if let Some(name) = name.filter(|name| !name.ends_with('*')).map(str::to_ascii_lowercase)
                && fields.iter().all(|(known, _)| *known != name)
            {
                let value = format!("<{name} of the auth server>");
                fields.push((name, value));
            }
        }
        fields
    }

    fn outcome(&self, when: Option<String>, decision: &Decision, redactor: &Redactor<'_>) -> ToldOutcome {
        let outcome = counted(decision.outcome);
        match &decision.verdict {
            Verdict::Forward(edits) => {
                let rewritten = edits.rewrite.iter().map(|(name, value)| redactor.rewritten(name, value));
                let added = edits.respond.replace.iter().map(|(name, value)| (name.to_vec(), value.to_vec()));
                let cookies = edits.respond.add.iter().cloned();
                ToldOutcome {
                    when,
                    outcome,
                    forwarded: true,
                    removed: redactor.removed(&edits.remove),
                    set: edits
                        .set
                        .iter()
                        .map(|(name, value)| redactor.identity(name, value))
                        .chain(rewritten)
                        .collect(),
                    status: None,
                    response: added
                        .chain(cookies)
                        .map(|(name, value)| redactor.identity(&name, &value))
                        .collect(),
                    body: None,
                }
            }
            Verdict::Reply(reply) => ToldOutcome {
                when,
                outcome,
                forwarded: false,
                removed: Vec::new(),
                set: Vec::new(),
                status: Some(reply.status),
                response: reply.fields.iter().map(|(name, value)| redactor.identity(name, value)).collect(),
                body: Some(lossy(&reply.body)),
            },
        }
    }
}

/// The name of an access, as it is configured.
fn named(access: Access) -> &'static str {
    match access {
        Access::Public => "public",
        Access::Optional => "optional",
        Access::Required => "required",
    }
}

/// The name of an outcome, as its counter has it.
fn counted(outcome: Outcome) -> &'static str {
    let name = authgear_filter::telemetry::Counter::from(outcome).name();
    name.rsplit('.').next().unwrap_or(name)
}

/// Reads a key set.
///
/// # Errors
///
/// In the filter's words.
pub(crate) fn check_keys(json: &[u8]) -> Result<(), authgear_filter::jose::KeySetError> {
    KeySet::parse(json).map(|_keys| ())
}
