//! As much of the Kubernetes API as Istio's control plane asks: it lists and watches the objects that a test applies.
//! What a client creates is kept; nothing else ever changes an object.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A group and the plural of a kind.
type Resource = (String, String);
/// A namespace and a name.
type Key = (String, String);

/// Kinds that no definition among the custom ones names: group, plural, kind.
const BUILT_IN: [(&str, &str, &str); 18] = [
    ("", "namespaces", "Namespace"),
    ("", "services", "Service"),
    ("", "pods", "Pod"),
    ("", "nodes", "Node"),
    ("", "configmaps", "ConfigMap"),
    ("", "secrets", "Secret"),
    ("discovery.k8s.io", "endpointslices", "EndpointSlice"),
    ("", "serviceaccounts", "ServiceAccount"),
    ("networking.k8s.io", "ingresses", "Ingress"),
    ("networking.k8s.io", "ingressclasses", "IngressClass"),
    ("coordination.k8s.io", "leases", "Lease"),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration"),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations", "ValidatingWebhookConfiguration"),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies", "ValidatingAdmissionPolicy"),
    ("apps", "deployments", "Deployment"),
    ("apps", "replicasets", "ReplicaSet"),
    ("apps", "daemonsets", "DaemonSet"),
    ("apiextensions.k8s.io", "customresourcedefinitions", "CustomResourceDefinition"),
];

/// A running API server. Dropping it stops it.
pub(crate) struct Kubernetes {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    state: Mutex<State>,
    /// The number of the last change.
    version: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    kinds: BTreeMap<Resource, String>,
    objects: BTreeMap<Resource, BTreeMap<Key, Value>>,
    /// Every change: its number, what it is, and to what.
    log: Vec<(u64, &'static str, Resource, Value)>,
}

impl Kubernetes {
    /// Starts it with these definitions of custom resources.
    pub(crate) async fn start(definitions: Vec<Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let mut state = State::default();
        for (group, plural, kind) in BUILT_IN {
            state.kinds.insert((group.to_owned(), plural.to_owned()), kind.to_owned());
        }
        for definition in &definitions {
            let spec = &definition["spec"];
            let resource = (text(&spec["group"]), text(&spec["names"]["plural"]));
            state.kinds.insert(resource, text(&spec["names"]["kind"]));
        }
        let shared = Arc::new(Shared { state: Mutex::new(state), version: watch::Sender::new(1) });
        let of_task = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&of_task);
                tokio::spawn(async move { drop(serve(stream, &shared).await) });
            }
        });
        let api = Self { address, shared, task };
        for definition in definitions {
            api.apply(definition);
        }
        api
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Creates an object, or replaces it.
    pub(crate) fn apply(&self, object: Value) {
        let resource = self.shared.state().resource(&object);
        self.shared.put(resource, object);
    }

    /// Deletes an object.
    pub(crate) fn delete(&self, object: &Value) {
        let mut state = self.shared.state();
        let resource = state.resource(object);
        let old = state.objects.get_mut(&resource).and_then(|objects| objects.remove(&key(object)));
        let mut old = old.expect("it was applied");
        let number = *self.shared.version.borrow() + 1;
        old["metadata"]["resourceVersion"] = number.to_string().into();
        state.log.push((number, "DELETED", resource, old));
        self.shared.version.send_replace(number);
    }
}

impl Drop for Kubernetes {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, resource: Resource, mut object: Value) -> Value {
        let mut state = self.state();
        let number = *self.version.borrow() + 1;
        let objects = state.objects.entry(resource.clone()).or_default();
        let old = objects.get(&key(&object)).map(|old| old["metadata"].clone());
        let generation = old.as_ref().and_then(|old| old["generation"].as_u64()).unwrap_or(0) + 1;
        let metadata = &mut object["metadata"];
        metadata["resourceVersion"] = number.to_string().into();
        metadata["generation"] = generation.into();
        metadata["uid"] =
            old.as_ref().map_or_else(|| json!(format!("uid-{number}")), |old| old["uid"].clone());
        metadata["creationTimestamp"] = "2026-01-01T00:00:00Z".into();
        objects.insert(key(&object), object.clone());
        let kind = if old.is_some() { "MODIFIED" } else { "ADDED" };
        state.log.push((number, kind, resource, object.clone()));
        // While nobody else can take the same number.
        self.version.send_replace(number);
        object
    }
}

impl State {
    fn resource(&self, object: &Value) -> Resource {
        let (api, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
        let group = api.rsplit_once('/').map_or("", |(group, _)| group);
        let found = self.kinds.iter().find(|((known, _), name)| known == group && **name == kind);
        found.unwrap_or_else(|| panic!("no kind {kind} of {api}")).0.clone()
    }
}

fn key(object: &Value) -> Key {
    let metadata = &object["metadata"];
    (metadata["namespace"].as_str().unwrap_or_default().to_owned(), text(&metadata["name"]))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// What a path and a query ask for.
struct Question {
    resource: Resource,
    version: String,
    namespace: String,
    name: Option<String>,
    query: BTreeMap<String, String>,
    /// Whether only the metadata are wanted.
    is_partial: bool,
}

impl Question {
    fn parse(path: &str, is_partial: bool) -> Option<Self> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        let group = match parts.next()? {
            "api" => String::new(),
            "apis" => parts.next()?.to_owned(),
            _ => return None,
        };
        let version = parts.next()?.to_owned();
        let rest: Vec<_> = parts.collect();
        let (namespace, rest) = match rest[..] {
            ["namespaces", namespace, ref rest @ ..] if !rest.is_empty() => (namespace, rest),
            ref rest => ("", rest),
        };
        let plural = (*rest.first()?).to_owned();
        let name = rest.get(1).map(|name| (*name).to_owned());
        Some(Self {
            resource: (group, plural),
            version,
            namespace: namespace.to_owned(),
            name,
            query,
            is_partial,
        })
    }

    /// `apiVersion` of its answers.
    fn api(&self) -> String {
        let Self { resource: (group, _), version, .. } = self;
        if group.is_empty() { version.clone() } else { format!("{group}/{version}") }
    }

    fn shaped(&self, object: &Value) -> Value {
        if self.is_partial {
            return json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"] });
        }
        let mut object = object.clone();
        object["apiVersion"] = self.api().into();
        object
    }

    /// Whether an object is in the namespace, and meets the selectors, of which Istio uses only `=` and `!=`, and names.
    fn selects(&self, object: &Value) -> bool {
        let metadata = &object["metadata"];
        let is = |name: &str| match name {
            "metadata.name" => metadata["name"].as_str(),
            "metadata.namespace" => metadata["namespace"].as_str(),
            "type" => object["type"].as_str(),
            label => metadata["labels"][label].as_str(),
        };
        let terms = ["fieldSelector", "labelSelector"].into_iter().filter_map(|name| self.query.get(name));
        let meets = |term: &str| match (term.split_once("!="), term.split_once('=')) {
            _ if term.contains(" in ") || term.contains(" notin ") => false,
            (Some((name, value)), _) => is(name).unwrap_or_default() != value,
            (None, Some((name, value))) => is(name.trim_end_matches('=')) == Some(value),
            (None, None) => match term.strip_prefix('!') {
                Some(name) => is(name).is_none(),
                None => is(term).is_some(),
            },
        };
        (self.namespace.is_empty() || metadata["namespace"] == *self.namespace)
            && terms.flat_map(|terms| terms.split(',')).filter(|term| !term.is_empty()).all(meets)
    }
}

/// Serves a connection until it ends.
async fn serve(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut line, mut length, mut is_partial) = (String::new(), 0, false);
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        loop {
            let mut header = String::new();
            stream.read_line(&mut header).await?;
            let header = header.trim_end().to_ascii_lowercase();
            match header.split_once(": ") {
                Some(("content-length", value)) => length = value.parse().unwrap_or(0),
                Some(("accept", value)) => is_partial = value.contains("partialobjectmetadata"),
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let mut words = line.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let question = Question::parse(path, is_partial);
        let (status, answer) = match question {
            Some(question)
                if method == "GET" && question.query.get("watch").is_some_and(|watch| watch != "false") =>
            {
                return watch(stream.into_inner(), shared, &question).await;
            }
            Some(question) => answer(shared, method, &question, &body),
            None if path.starts_with("/version") => {
                (200, json!({ "major": "1", "minor": "34", "gitVersion": "v1.34.0" }))
            }
            None => (404, failure(404, "NotFound")),
        };
        let answer = answer.to_string();
        let mut head = format!("HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\n");
        write!(head, "content-length: {}\r\n\r\n{answer}", answer.len()).map_err(std::io::Error::other)?;
        stream.write_all(head.as_bytes()).await?;
    }
}

fn failure(code: u16, reason: &str) -> Value {
    json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": reason, "code": code })
}

fn answer(shared: &Shared, method: &str, question: &Question, body: &[u8]) -> (u16, Value) {
    let object: Option<Value> = serde_json::from_slice(body).ok();
    match (method, object, &question.name) {
        ("GET", _, Some(name)) => {
            let state = shared.state();
            let objects = state.objects.get(&question.resource);
            match objects.and_then(|objects| objects.get(&(question.namespace.clone(), name.clone()))) {
                Some(object) => (200, question.shaped(object)),
                None => (404, failure(404, "NotFound")),
            }
        }
        ("GET", _, None) => {
            let state = shared.state();
            let objects = state.objects.get(&question.resource).into_iter().flat_map(BTreeMap::values);
            let items: Vec<_> = objects
                .filter(|object| question.selects(object))
                .map(|object| question.shaped(object))
                .collect();
            let kind = state.kinds.get(&question.resource).map_or("Unknown", String::as_str);
            let (kind, api) = match question.is_partial {
                true => ("PartialObjectMetadata", "meta.k8s.io/v1".to_owned()),
                false => (kind, question.api()),
            };
            let metadata = json!({ "resourceVersion": shared.version.borrow().to_string() });
            (
                200,
                json!({ "kind": format!("{kind}List"), "apiVersion": api, "metadata": metadata, "items": items }),
            )
        }
        ("POST" | "PUT", Some(mut object), _) if object["metadata"]["name"].is_string() => {
            if !question.namespace.is_empty() {
                object["metadata"]["namespace"] = question.namespace.clone().into();
            }
            let kept = shared.put(question.resource.clone(), object);
            (if method == "POST" { 201 } else { 200 }, question.shaped(&kept))
        }
        ("DELETE", ..) => (200, json!({ "kind": "Status", "apiVersion": "v1", "status": "Success" })),
        _ => (415, failure(415, "UnsupportedMediaType")),
    }
}

/// Tells of every change, until the connection ends.
async fn watch(mut stream: TcpStream, shared: &Shared, question: &Question) -> std::io::Result<()> {
    stream
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
        .await?;
    let mut versions = shared.version.subscribe();
    let since =
        question.query.get("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0_u64);
    let mut told = since;
    if question.query.get("sendInitialEvents").is_some_and(|initial| initial == "true") {
        let (mut events, kind) = (Vec::new(), {
            let state = shared.state();
            told = *shared.version.borrow();
            state.kinds.get(&question.resource).cloned().unwrap_or_else(|| "Unknown".into())
        });
        {
            let state = shared.state();
            let objects = state.objects.get(&question.resource).into_iter().flat_map(BTreeMap::values);
            events.extend(
                objects
                    .filter(|object| question.selects(object))
                    .map(|object| ("ADDED", question.shaped(object))),
            );
        }
        let (kind, api) = match question.is_partial {
            true => ("PartialObjectMetadata".to_owned(), "meta.k8s.io/v1".to_owned()),
            false => (kind, question.api()),
        };
        let end = json!({ "k8s.io/initial-events-end": "true" });
        events.push((
            "BOOKMARK",
            json!({ "kind": kind, "apiVersion": api,
            "metadata": { "resourceVersion": told.to_string(), "annotations": end } }),
        ));
        for (kind, object) in events {
            event(&mut stream, kind, &object).await?;
        }
    }
    loop {
        versions.borrow_and_update();
        let news: Vec<_> = {
            let state = shared.state();
            let after = state.log.iter().filter(|(number, _, resource, object)| {
                *number > told && *resource == question.resource && question.selects(object)
            });
            let news = after.map(|(_, kind, _, object)| (*kind, question.shaped(object))).collect();
            told = state.log.last().map_or(told, |(number, ..)| told.max(*number));
            news
        };
        for (kind, object) in news {
            event(&mut stream, kind, &object).await?;
        }
        versions.changed().await.map_err(std::io::Error::other)?;
    }
}

async fn event(stream: &mut TcpStream, kind: &str, object: &Value) -> std::io::Result<()> {
    let line = format!("{}\n", json!({ "type": kind, "object": object }));
    stream.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes()).await
}
