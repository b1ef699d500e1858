//! Owns the routes of both servers, and their answers.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::http::{HeaderValue, Method, header, request};
use hyper::{Request, Response, StatusCode};
use serde_json::{Value, json};

use super::options::{Client, MachineClient, Status, User};
use super::origin::Origin;
use super::tap::{Endpoint, Fault};
use super::world::{Credential, Found, Part};
use super::{Project, controls, now, origin, pages, resolver};
use crate::html;
use crate::received::Received;
use crate::serve::{self, Reply};

const RESOLVER: [&str; 2] = ["/_resolver/resolve", "/resolve"];
const DISCOVERY: &str = "/.well-known/openid-configuration";
const JWKS: &str = "/oauth2/jwks";
const HEALTH: &str = "/healthz";
const STATE: &str = "/stand-in/state";

/// The longest form that is read, in bytes.
const MAX_BODY: usize = 64 * 1024;

type Route = (&'static str, Method, fn(&Call<'_>) -> Reply);

/// The main server's pages and endpoints. GET includes HEAD, except for the key set.
const ROUTES: [Route; 18] = [
    ("/", Method::GET, home),
    ("/login", Method::POST, log_in),
    ("/logout", Method::POST, log_out),
    ("/tokens", Method::POST, token_page),
    (DISCOVERY, Method::GET, discovery),
    (JWKS, Method::GET, jwks),
    ("/oauth2/authorize", Method::GET, authorize),
    ("/oauth2/token", Method::POST, token),
    ("/oauth2/revoke", Method::POST, revoke),
    ("/stand-in/token", Method::POST, controls::any_token),
    ("/stand-in/revoke", Method::POST, |call| controls::administer(call, "revoke")),
    ("/stand-in/disable", Method::POST, |call| controls::administer(call, "disable")),
    ("/stand-in/enable", Method::POST, |call| controls::administer(call, "enable")),
    ("/stand-in/delete", Method::POST, |call| controls::administer(call, "delete")),
    ("/stand-in/bar", Method::POST, |call| controls::administer(call, "bar")),
    ("/stand-in/rotate-key", Method::POST, controls::rotate_key),
    ("/stand-in/resolver", Method::POST, controls::switch_resolver),
    (STATE, Method::GET, controls::state),
];

/// Answers a request to the main server.
pub(super) async fn main(project: Arc<Project>, request: Request<Incoming>, peer: SocketAddr) -> Reply {
    let (head, body) = request.into_parts();
    let reply = match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => answer(&project, &head, &body.to_bytes(), peer).await,
        Err(error) => text(StatusCode::PAYLOAD_TOO_LARGE, format!("this body cannot be read: {error}")),
    };
    log(&project, "main", &head, &reply);
    reply
}

/// Answers a request to the resolver.
pub(super) async fn resolver(project: Arc<Project>, request: Request<Incoming>, peer: SocketAddr) -> Reply {
    let (head, mut body) = request.into_parts();
    let mut length = 0;
    while let Some(Ok(frame)) = body.frame().await {
        length += frame.data_ref().map_or(0, |data| data.len() as u64);
    }
    let reply = match head.uri.path() {
        HEALTH => text(StatusCode::OK, "OK"),
        path => match resolver_path(path) {
            Some(Ok(())) => resolve(&project, &head, length, peer).await,
            Some(Err(meant)) => moved(&head, meant),
            None => {
                let known = "the stand-in's resolver knows /_resolver/resolve and /resolve only";
                text(StatusCode::NOT_FOUND, known)
            }
        },
    };
    log(&project, "resolver", &head, &reply);
    reply
}

/// Whether this is a path of the resolver. `Err` holds the proper path if it is misspelt: with a final slash, a
/// double slash, or in another case.
fn resolver_path(path: &str) -> Option<Result<(), &'static str>> {
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
    let plain = format!("/{}", parts.join("/")).to_ascii_lowercase();
    let meant = RESOLVER.into_iter().find(|known| *known == plain)?;
    Some(if meant == path { Ok(()) } else { Err(meant) })
}

fn moved(head: &request::Parts, meant: &str) -> Reply {
    let query = head.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    redirect(StatusCode::MOVED_PERMANENTLY, &format!("{meant}{query}"))
}

async fn resolve(project: &Project, head: &request::Parts, body_length: u64, peer: SocketAddr) -> Reply {
    let tap = project.tap(Endpoint::Resolver);
    tap.journal.add(Received::new(head, body_length, peer));
    if let Some(status) = tap.suffer().await {
        return text(status, "a fault that a test has set");
    }
    if !origin::is_known(head, &project.origin, &project.options) {
        let host = origin::host(head, project.options.trust_proxy);
        return text(
            StatusCode::NOT_FOUND,
            format!("no project at host {host:?}; the stand-in's is {}", project.origin.authority()),
        );
    }
    if !matches!(head.method, Method::GET | Method::HEAD) {
        return not_allowed("GET, HEAD");
    }
    let asked = Origin::of(head, project.options.trust_proxy);
    let resolution = {
        let (mut world, keys, now) = (project.world(), project.keys(), now());
        let resolution = resolver::resolve(&head.headers, &world, &keys, &asked, &project.options, now);
        let lifetime = project.options.user_info_lifetime;
        resolution.of_user(|user| world.as_known_to(Part::Resolver, user, now, lifetime))
    };
    if let (resolver::Resolution::Valid(_, _, credential), Some(time)) =
        (&resolution, project.options.session_lock)
        && project.locks.hold(credential.clone(), time).await.is_err()
    {
        return text(StatusCode::INTERNAL_SERVER_ERROR, "the session is locked");
    }
    let headers = resolution.headers(&project.options, &asked, &project.turn);
    noted(with_headers(Reply::default(), headers), resolution.summary())
}

async fn answer(project: &Project, head: &request::Parts, body: &Bytes, peer: SocketAddr) -> Reply {
    let path = head.uri.path();
    match resolver_path(path).filter(|_| project.options.resolver_on_main) {
        Some(Ok(())) => return resolve(project, head, body.len() as u64, peer).await,
        Some(Err(meant)) => return moved(head, meant),
        None => {}
    }
    if path == HEALTH {
        return text(StatusCode::OK, "OK");
    }
    let tapped = match path {
        JWKS => Some(Endpoint::Jwks),
        DISCOVERY => Some(Endpoint::Discovery),
        _ => None,
    };
    if let Some(endpoint) = tapped {
        let tap = project.tap(endpoint);
        tap.journal.add(Received::new(head, body.len() as u64, peer));
        if let Some(status) = tap.suffer().await {
            return text(status, "a fault that a test has set");
        }
    }
    // What only the test double has is served under any host.
    let asked = Origin::of(head, project.options.trust_proxy);
    if !path.starts_with("/stand-in/") && asked != project.origin {
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        return redirect(StatusCode::TEMPORARY_REDIRECT, &format!("{}{target}", project.origin));
    }
    if path == JWKS && is_filtered(project, head, peer) {
        return text(StatusCode::FORBIDDEN, "the project's network protection");
    }
    let method = if head.method == Method::HEAD && path != JWKS { &Method::GET } else { &head.method };
    let Some((_, expected, handler)) = ROUTES.iter().find(|(known, ..)| *known == path) else {
        return page(StatusCode::NOT_FOUND, "Not found", &pages::problem("The stand-in has no such page."));
    };
    if method != expected {
        return not_allowed(match (path, expected) {
            (JWKS, _) => "GET",
            (_, &Method::GET) => "GET, HEAD",
            _ => "POST",
        });
    }
    let fields = [body.as_ref(), head.uri.query().unwrap_or_default().as_bytes()];
    let fields = fields.into_iter().flat_map(form_urlencoded::parse).collect();
    handler(&Call { project, head, fields })
}

/// Whether the project refuses its keys to this client.
fn is_filtered(project: &Project, head: &request::Parts, peer: SocketAddr) -> bool {
    let options = &project.options;
    let address = origin::client_address(head, peer, options.trust_proxy);
    let agent =
        head.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    address.is_some_and(|address| options.denied_addresses.contains(&address))
        || options.denied_user_agents.iter().any(|denied| agent.contains(denied))
}

/// A request to one of [`ROUTES`].
pub(super) struct Call<'a> {
    pub(super) project: &'a Project,
    pub(super) head: &'a request::Parts,
    /// The parameters of the form, then those of the query.
    fields: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl Call<'_> {
    /// The first field of this name. An empty one counts as missing.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_ref()).filter(|value| !value.is_empty())
    }

    /// The user that the `session` cookie belongs to.
    fn user(&self) -> Option<User> {
        let name = format!("{}session", self.project.options.cookie_prefix);
        let session = resolver::cookie(&self.head.headers, &name)?;
        match self.project.world().find(&Credential::Session(session.into()), now()) {
            Found::Session(session) => Some(session.1),
            Found::Barred | Found::Nothing => None,
        }
    }

    /// `next` is the query of the authorization request to continue.
    fn login_page(&self, title: &str, next: &str) -> Reply {
        let body = format!(
            "<section class=\"card end\">\n<p>Choose who you are.</p>\n{}\n</section>",
            pages::log_in(self.project.world().users(), next).0
        );
        page(StatusCode::OK, title, &html::Markup(body))
    }

    pub(super) fn is_resolver_down(&self) -> bool {
        self.project.tap(Endpoint::Resolver).fault() != Fault::None
    }
}

fn home(call: &Call<'_>) -> Reply {
    let (app, is_down) = (&call.project.options.app_path, call.is_resolver_down());
    match call.user() {
        Some(user) => whole_page(StatusCode::OK, "Logged in", &pages::account(&user, app, is_down)),
        None => {
            let body = pages::start(call.project.world().users(), app, is_down);
            whole_page(StatusCode::OK, "authgear-filter, the demo", &body)
        }
    }
}

/// Logs in whoever was chosen, and continues the authorization request that led here, if any.
fn log_in(call: &Call<'_>) -> Reply {
    let project = call.project;
    let id = call.field("user").unwrap_or_default();
    let granted = {
        let mut world = project.world();
        let active = world.user(id).is_some_and(|user| user.status == Status::Active);
        active.then(|| world.grant(id, now(), None, Credential::Session)).flatten()
    };
    let Some((session, _)) = granted else {
        let message = "There is no such user, or the account is disabled.";
        return page(StatusCode::FORBIDDEN, "Not logged in", &pages::problem(message));
    };
    let next = match call.field("next") {
        Some(query) => format!("/oauth2/authorize?{query}"),
        None => "/".into(),
    };
    let cookie = resolver::set_cookie("session", &session, &project.options, &project.origin);
    noted(
        with_headers(redirect(StatusCode::SEE_OTHER, &next), [cookie]),
        format!("{} logged in", id.escape_debug()),
    )
}

fn log_out(call: &Call<'_>) -> Reply {
    let project = call.project;
    let name = format!("{}session", project.options.cookie_prefix);
    if let Some(session) = resolver::cookie(&call.head.headers, &name) {
        project.world().revoke(&Credential::Session(session.into()));
    }
    let cookie = resolver::clearing("session", &project.options, &project.origin);
    with_headers(redirect(StatusCode::SEE_OTHER, "/"), [cookie])
}

/// Login for cookie sessions: with `response_type=none` there is no code.
fn authorize(call: &Call<'_>) -> Reply {
    let refuse = |why: &str| page(StatusCode::BAD_REQUEST, "Cannot log in", &pages::problem(why));
    if call.field("response_type") != Some("none") {
        return refuse("The stand-in knows response_type=none only.");
    }
    let clients = &call.project.options.clients;
    let Some(client) = clients.iter().find(|client| Some(client.id.as_str()) == call.field("client_id"))
    else {
        return refuse("There is no client with this client_id.");
    };
    let allowed = |uri: &&str| is_allowed(uri, client, call.project);
    let Some(uri) = call.field("redirect_uri").filter(allowed) else {
        return refuse("This redirect_uri is not one of the client's.");
    };
    let state = call.field("state").map(|state| ("state", state));
    if !call.field("scope").unwrap_or_default().split(' ').any(|scope| scope == "openid") {
        let error = [("error", "invalid_request"), ("error_description", "scope must contain 'openid'")];
        return redirect(StatusCode::SEE_OTHER, &with_query(uri, error.into_iter().chain(state)));
    }
    if call.user().is_none() {
        return call.login_page("Log in to go on", call.head.uri.query().unwrap_or_default());
    }
    redirect(StatusCode::FOUND, &with_query(uri, state))
}

fn with_query<'a>(uri: &str, fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    match (query.is_empty(), uri.contains('?')) {
        (true, _) => uri.to_owned(),
        (false, true) => format!("{uri}&{query}"),
        (false, false) => format!("{uri}?{query}"),
    }
}

fn is_allowed(uri: &str, client: &Client, project: &Project) -> bool {
    let below =
        |base: &str| uri.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let listed = |pattern: &String| match pattern.strip_suffix('*') {
        Some(beginning) => uri.starts_with(beginning),
        None => uri == pattern,
    };
    below(&project.origin.to_string())
        || project.options.other_hosts.iter().any(|host| below(&format!("https://{host}")))
        || client.redirect_uris.iter().any(listed)
}

fn discovery(call: &Call<'_>) -> Reply {
    let origin = &call.project.origin;
    let at = |path: &str| format!("{origin}{path}");
    json_reply(
        StatusCode::OK,
        &json!({
            "issuer": origin.to_string(),
            "authorization_endpoint": at("/oauth2/authorize"),
            "token_endpoint": at("/oauth2/token"),
            "revocation_endpoint": at("/oauth2/revoke"),
            "jwks_uri": at(JWKS),
            "response_types_supported": ["none"],
            "grant_types_supported": ["client_credentials"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }),
    )
}

fn jwks(call: &Call<'_>) -> Reply {
    json_reply(StatusCode::OK, &call.project.jwks())
}

/// Client credentials (RFC 6749, section 4.4) for a resource (RFC 8707).
fn token(call: &Call<'_>) -> Reply {
    let refuse = |status, error: &str, why: &str| {
        secret(json_reply(status, &json!({"error": error, "error_description": why})))
    };
    if call.field("grant_type") != Some("client_credentials") {
        return refuse(
            StatusCode::BAD_REQUEST,
            "unsupported_grant_type",
            "the stand-in knows client_credentials only",
        );
    }
    let Some(machine) = authenticated_machine(call) else {
        return refuse(
            StatusCode::UNAUTHORIZED,
            "invalid_client",
            "no machine client has this id and secret",
        );
    };
    let Some(resource) =
        call.field("resource").filter(|uri| machine.resources.iter().any(|known| known == uri))
    else {
        return refuse(StatusCode::BAD_REQUEST, "invalid_target", "resource must be one of the client's");
    };
    let all = || machine.scopes.join(" ");
    let scope = call.field("scope").map_or_else(all, str::to_owned);
    if !scope.split(' ').all(|asked| machine.scopes.iter().any(|known| known == asked)) {
        return refuse(StatusCode::BAD_REQUEST, "invalid_scope", "a scope is not one of the client's");
    }
    let token = call.project.machine_token(&machine.id, resource, &scope);
    let lifetime = call.project.options.token_lifetime.as_secs();
    secret(json_reply(
        StatusCode::OK,
        &json!({"access_token": token, "token_type": "Bearer", "expires_in": lifetime, "scope": scope}),
    ))
}

/// The client's credentials, from `Authorization: Basic` or the form (RFC 6749, section 2.3.1).
fn authenticated_machine<'a>(call: &Call<'a>) -> Option<&'a MachineClient> {
    let basic = call.head.headers.get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, text) = value.to_str().ok()?.split_once(' ')?;
        let text = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
        let (id, secret) = text.split_once(':').filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
        Some((id.to_owned(), secret.to_owned()))
    });
    let sent = || Some((call.field("client_id")?.to_owned(), call.field("client_secret")?.to_owned()));
    let (id, secret) = basic.or_else(sent)?;
    call.project.options.machines.iter().find(|machine| machine.id == id && machine.secret == secret)
}

/// RFC 7009: 200, whether the token exists or not. It does not know JWTs.
fn revoke(call: &Call<'_>) -> Reply {
    let token = call.field("token").filter(|token| !token.contains('.'));
    let revoked = token.is_some_and(|token| call.project.revoke_token(token));
    noted(Reply::default(), if revoked { "revoked a token" } else { "nothing to revoke" })
}

/// The page that shows a token of the user who is logged in.
fn token_page(call: &Call<'_>) -> Reply {
    let Some(user) = call.user() else { return redirect(StatusCode::SEE_OTHER, "/") };
    let kind = call.field("kind").unwrap_or_default();
    match controls::issue(call.project, &user.id, kind) {
        Some(token) => {
            let app = format!("{}{}", call.project.origin, call.project.options.app_path);
            secret(page(StatusCode::OK, "Your token", &pages::token(kind, &token, &app)))
        }
        None => {
            page(StatusCode::BAD_REQUEST, "No such token", &pages::problem("There is no such kind of token."))
        }
    }
}

/// How the log describes a reply.
#[derive(Clone)]
struct Note(String);

pub(super) fn noted(mut reply: Reply, note: impl Into<String>) -> Reply {
    reply.extensions_mut().insert(Note(note.into()));
    reply
}

/// Logs the path without its query, which may hold secrets. The demo asks for the state all the time.
fn log(project: &Project, server: &str, head: &request::Parts, reply: &Reply) {
    if project.options.log && head.uri.path() != STATE {
        let note = reply.extensions().get::<Note>().map_or(String::new(), |note| format!(" {}", note.0));
        let (method, path, status) = (&head.method, head.uri.path(), reply.status().as_u16());
        serve::log(format_args!("{server} {status} {method} {path}{note}"));
    }
}

fn with_headers(mut reply: Reply, headers: impl IntoIterator<Item = (String, String)>) -> Reply {
    for (name, value) in headers {
        let (Ok(name), Ok(value)) = (header::HeaderName::try_from(name), HeaderValue::try_from(value)) else {
            return text(StatusCode::INTERNAL_SERVER_ERROR, "a configured value cannot stand in a header");
        };
        reply.headers_mut().append(name, value);
    }
    reply
}

fn content(status: StatusCode, kind: &'static str, body: String) -> Reply {
    let mut reply = Response::new(body.into());
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    reply
}

pub(super) fn text(status: StatusCode, body: impl Into<String>) -> Reply {
    content(status, "text/plain; charset=utf-8", body.into() + "\n")
}

pub(super) fn json_reply(status: StatusCode, body: &Value) -> Reply {
    content(status, "application/json", body.to_string())
}

/// A page with the title as its heading.
fn page(status: StatusCode, title: &str, body: &html::Markup) -> Reply {
    whole_page(status, title, &pages::page(title, body))
}

fn whole_page(status: StatusCode, title: &str, body: &html::Markup) -> Reply {
    let place = Some(html::Place::Start);
    let mut reply = html::Document { title, place, script: None, body }.reply();
    *reply.status_mut() = status;
    reply
}

pub(super) fn secret(mut reply: Reply) -> Reply {
    reply.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

pub(super) fn redirect(status: StatusCode, location: &str) -> Reply {
    match HeaderValue::try_from(location) {
        Ok(location) => {
            let mut reply = Reply::default();
            *reply.status_mut() = status;
            reply.headers_mut().insert(header::LOCATION, location);
            reply
        }
        Err(_) => text(StatusCode::BAD_REQUEST, "this address cannot be redirected to"),
    }
}

fn not_allowed(allowed: &'static str) -> Reply {
    let mut reply = text(StatusCode::METHOD_NOT_ALLOWED, format!("the methods here: {allowed}"));
    reply.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    reply
}
