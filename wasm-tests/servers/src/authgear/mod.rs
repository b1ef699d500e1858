//! A stand-in for Authgear, for tests and the demo: a test double that answers like the real server.
//!
//! It has the resolver, and those parts of the main server that the filter and the demo need: login at the press of a
//! button, the key set, tokens, logout. It is not an identity provider: anyone can log in as anyone.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tokio::net::TcpListener;

use crate::received::Journal;
use crate::serve::{self, Server};

mod controls;
mod keys;
mod lock;
mod options;
mod origin;
mod pages;
mod resolver;
mod site;
mod tap;
mod tokens;
mod world;

pub use hyper::StatusCode;
pub use keys::Signer;
pub use options::{Authenticated, Client, ClientKind, MachineClient, Options, Status, User};
pub use tap::{Endpoint, Fault};
pub use tokens::Members;

use keys::{Key, Keys};
use lock::Locks;
use origin::Origin;
use tap::Tap;
use tokens::Issue;
use world::{Credential, Part, World};

/// A running stand-in. Dropping it stops both servers.
///
/// Methods that take a user's id panic if there is no such user, so that a misspelt id fails the test.
#[derive(Debug)]
pub struct Authgear {
    project: Arc<Project>,
    main: Server,
    resolver: Server,
}

impl Authgear {
    /// Starts both servers.
    ///
    /// # Errors
    /// If an address cannot be bound (the error says which), or the public origin is malformed.
    pub async fn start(options: Options) -> io::Result<Self> {
        let main = serve::bind(options.main).await?;
        let resolver = serve::bind(options.resolver).await?;
        // Generating keys takes a while; other tasks go on meanwhile.
        let keys = tokio::task::spawn_blocking(Keys::new).await.map_err(io::Error::other)?;
        let project = Arc::new(Project::new(options, &main, keys)?);
        let of_main = project.clone();
        let main = Server::http(main, move |request, peer| site::main(of_main.clone(), request, peer))?;
        let of_resolver = project.clone();
        let resolver =
            Server::http(resolver, move |request, peer| site::resolver(of_resolver.clone(), request, peer))?;
        Ok(Self { project, main, resolver })
    }

    /// Stops both servers, and returns when their addresses are free.
    pub async fn stop(self) {
        self.main.stop().await;
        self.resolver.stop().await;
    }

    /// Where the main server listens.
    pub fn main_address(&self) -> SocketAddr {
        self.main.address()
    }

    /// Where the resolver listens.
    pub fn resolver_address(&self) -> SocketAddr {
        self.resolver.address()
    }

    /// `scheme://host[:port]`: the filter's `authgear.endpoint`.
    pub fn public_origin(&self) -> String {
        self.project.origin.to_string()
    }

    /// Logs in, and returns the value of the `session` cookie.
    pub fn log_in(&self, user: &str) -> String {
        self.grant(user, None, Credential::Session)
    }

    /// The value of an `app_session` cookie.
    pub fn app_session(&self, user: &str) -> String {
        self.grant(user, None, Credential::AppSession)
    }

    /// The value of an `app_session` cookie whose authorization lacks the scope for full access. Authgear ignores it.
    pub fn narrow_app_session(&self, user: &str) -> String {
        let value = self.app_session(user);
        self.project.world().narrow(&Credential::AppSession(value.clone()));
        value
    }

    /// The value of an `app_access_token` cookie: an opaque access token.
    pub fn app_access_token(&self, user: &str) -> String {
        self.opaque_token(user)
    }

    /// Makes this text a user's opaque access token and the value of their `session` cookie, whatever it is to other
    /// stand-ins.
    pub fn know(&self, user: &str, text: &str) {
        for kind in [Credential::Access, Credential::Session] {
            let granted = self.project.world().grant(user, now(), None, |_| kind(text.to_owned()));
            known(granted, user);
        }
    }

    /// An opaque access token: 32 letters and digits.
    pub fn opaque_token(&self, user: &str) -> String {
        known(self.project.opaque_token(user), user)
    }

    /// A JWT access token.
    pub fn jwt(&self, user: &str) -> String {
        self.jwt_with(user, |_, _| {})
    }

    /// A properly signed JWT access token whose header or claims `change` has altered.
    pub fn jwt_with(&self, user: &str, change: impl FnOnce(&mut Members, &mut Members)) -> String {
        known(self.project.jwt(user, change), user)
    }

    /// An ID token.
    pub fn id_token(&self, user: &str) -> String {
        known(self.project.id_token(user), user)
    }

    /// A token of the first machine client for a resource, which is its audience; opaque if that client's tokens are.
    pub fn machine_token(&self, resource: &str, scopes: &[&str]) -> String {
        let client_id = self.project.options.machines.first().map_or("machine", |machine| &machine.id);
        self.project.machine_token(client_id, resource, &scopes.join(" "))
    }

    /// Signs any header and payload, JSON or not.
    ///
    /// # Panics
    /// If `by` names an unpublished key.
    pub fn sign(&self, header: &str, payload: &str, by: Signer<'_>) -> String {
        let key = match by {
            Signer::Current => Some(self.project.keys().current()),
            Signer::Published(kid) => self.project.keys().published(kid),
            Signer::Stranger => Some(Key::stranger()),
        };
        known(key, "key to sign with").sign(header, payload)
    }

    /// Revokes an access token, opaque or JWT. True if it was one.
    pub fn revoke_token(&self, token: &str) -> bool {
        self.project.revoke_token(token)
    }

    /// Ends the session of a `session` cookie. True if there was one.
    pub fn log_out(&self, session: &str) -> bool {
        self.project.world().revoke(&Credential::Session(session.into()))
    }

    /// Ends every session of a user and revokes all their tokens.
    pub fn revoke_user(&self, user: &str) {
        self.project.world().revoke_user(user);
    }

    /// Disables an account, which ends all its sessions.
    pub fn disable(&self, user: &str) {
        self.set_status(user, Status::Disabled);
    }

    /// Enables an account again. Ended sessions stay ended.
    pub fn enable(&self, user: &str) {
        self.set_status(user, Status::Active);
    }

    /// Deletes an account, which ends all its sessions.
    pub fn delete(&self, user: &str) {
        self.set_status(user, Status::Deleted);
    }

    /// Ends an account's period of validity. Its sessions live on but are refused.
    pub fn bar(&self, user: &str) {
        self.set_status(user, Status::OutOfTime);
    }

    /// Changes a user. JWTs issued before still say what they said.
    pub fn update_user(&self, id: &str, change: impl FnOnce(&mut User)) {
        change(known(self.project.world().user_mut(id), id));
    }

    /// Adds a user, or replaces the one with the same id.
    pub fn add_user(&self, user: User) {
        self.project.world().add_user(user);
    }

    /// Publishes a new key, makes it the signing key, and returns its `kid`. Old keys stay published.
    pub fn rotate_key(&self) -> String {
        let mut keys = self.project.keys();
        let kid = keys.publish().kid.clone();
        keys.sign_with(&kid);
        kid
    }

    /// Publishes a new key that does not sign yet, and returns its `kid`.
    pub fn publish_key(&self) -> String {
        self.project.keys().publish().kid.clone()
    }

    /// Publishes a key as it is, at the head of the set. It may be one that clients cannot use.
    pub fn publish_odd_key(&self, jwk: Value) {
        self.project.keys().publish_odd(jwk);
    }

    /// Makes a published key the signing key.
    ///
    /// # Panics
    /// If it is not published.
    pub fn sign_with(&self, kid: &str) {
        assert!(self.project.keys().sign_with(kid), "{kid} is not published");
    }

    /// Withdraws a key from the key set.
    ///
    /// # Panics
    /// If it is not published, or is the signing key.
    pub fn retire_key(&self, kid: &str) {
        assert!(self.project.keys().retire(kid), "{kid} is not published, or signs");
    }

    /// The `kid` of the signing key.
    pub fn current_key(&self) -> String {
        self.project.keys().current().kid.clone()
    }

    /// The published key set.
    pub fn jwks(&self) -> Value {
        self.project.jwks()
    }

    /// What an endpoint received.
    pub fn received(&self, endpoint: Endpoint) -> &Journal {
        &self.project.tap(endpoint).journal
    }

    /// Forgets what every endpoint received.
    pub fn clear_received(&self) {
        self.project.taps.iter().for_each(|tap| tap.journal.clear());
    }

    /// Makes an endpoint fail. [`Fault::None`] heals it and releases the requests that it holds.
    pub fn fail(&self, endpoint: Endpoint, fault: Fault) {
        self.project.tap(endpoint).set(fault);
    }

    fn set_status(&self, user: &str, status: Status) {
        known(self.project.world().set_status(user, status).then_some(()), user);
    }

    fn grant(&self, user: &str, expires: Option<u64>, kind: fn(String) -> Credential) -> String {
        known(self.project.world().grant(user, now(), expires, kind), user).0
    }
}

/// What both servers share.
#[derive(Debug)]
struct Project {
    options: Options,
    origin: Origin,
    world: Mutex<World>,
    keys: Mutex<Keys>,
    taps: [Tap; 3],
    locks: Locks,
    /// How many lists of roles were sent.
    turn: AtomicUsize,
}

impl Project {
    fn new(options: Options, main: &TcpListener, keys: Keys) -> io::Result<Self> {
        let origin = match &options.public_origin {
            Some(origin) => origin.clone(),
            None => format!("http://{}", main.local_addr()?),
        };
        let origin = Origin::parse(&origin).ok_or_else(|| {
            let expected = "the public origin must be scheme://host or scheme://host:port";
            io::Error::new(io::ErrorKind::InvalidInput, format!("{expected}, not {origin:?}"))
        })?;
        Ok(Self {
            world: Mutex::new(World::new(options.users.clone())),
            keys: Mutex::new(keys),
            origin,
            options,
            taps: Default::default(),
            locks: Locks::default(),
            turn: AtomicUsize::new(0),
        })
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key set that is published.
    fn jwks(&self) -> Value {
        let mut set = self.keys().jwks();
        let keys = set["keys"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut);
        for key in keys.filter(|_| self.options.has_bare_keys) {
            key.retain(|name, _| name != "alg" && name != "kid");
        }
        set
    }

    fn tap(&self, endpoint: Endpoint) -> &Tap {
        let [resolver, jwks, discovery] = &self.taps;
        match endpoint {
            Endpoint::Resolver => resolver,
            Endpoint::Jwks => jwks,
            Endpoint::Discovery => discovery,
        }
    }

    fn opaque_token(&self, user: &str) -> Option<String> {
        let issue = self.issue(self.client_id());
        Some(self.world().grant(user, issue.now, Some(issue.expires()), Credential::Access)?.0)
    }

    fn jwt(&self, user: &str, change: impl FnOnce(&mut Members, &mut Members)) -> Option<String> {
        let issue = self.issue(self.client_id());
        let mut claims = {
            let mut world = self.world();
            let (jti, grant) = world.grant(user, issue.now, Some(issue.expires()), Credential::Access)?;
            let user = world.user(user)?.clone();
            let user = world.as_known_to(Part::Tokens, &user, issue.now, self.options.user_info_lifetime);
            tokens::access(&issue, &jti, &grant, &user)
        };
        let key = self.keys().current();
        let mut header = self.header("at+jwt", &key);
        change(&mut claims, &mut header);
        Some(sign(&key, header, claims))
    }

    fn id_token(&self, user: &str) -> Option<String> {
        let issue = self.issue(self.client_id());
        let claims = {
            let mut world = self.world();
            let (grant, user) = (world.log_in(user, issue.now, None)?, world.user(user)?.clone());
            let user = world.as_known_to(Part::Tokens, &user, issue.now, self.options.user_info_lifetime);
            tokens::id(&issue, &grant, &user)
        };
        let key = self.keys().current();
        Some(sign(&key, self.header("JWT", &key), claims))
    }

    /// The header of a token that this key signs.
    fn header(&self, typ: &str, key: &Key) -> Members {
        tokens::header(typ, Some(key.kid.as_str()).filter(|_| !self.options.has_bare_keys))
    }

    fn machine_token(&self, client_id: &str, resource: &str, scope: &str) -> String {
        let machine = self.options.machines.iter().find(|machine| machine.id == client_id);
        if machine.is_some_and(|machine| machine.has_opaque_tokens) {
            return world::secret();
        }
        let key = self.keys().current();
        let jti = world::secret();
        let claims = tokens::machine(&self.issue(client_id), &jti, resource, scope);
        sign(&key, self.header("at+jwt", &key), claims)
    }

    fn revoke_token(&self, token: &str) -> bool {
        let credential = resolver::access_token(token, &self.keys(), &self.origin, now());
        credential.is_some_and(|credential| self.world().revoke(&credential))
    }

    fn client_id(&self) -> &str {
        self.options.clients.first().map_or("app", |client| &client.id)
    }

    fn issue<'a>(&'a self, client_id: &'a str) -> Issue<'a> {
        let client = self.options.clients.iter().find(|client| client.id == client_id);
        Issue {
            origin: &self.origin,
            client_id,
            now: now(),
            lifetime: self.options.token_lifetime,
            kind: client.map_or(ClientKind::Public, |client| client.kind),
        }
    }
}

fn sign(key: &Key, header: Members, claims: Members) -> String {
    key.sign(&Value::Object(header).to_string(), &Value::Object(claims).to_string())
}

/// The time in Unix seconds. This is the only place that reads the clock.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[track_caller]
fn known<T>(found: Option<T>, what: &str) -> T {
    match found {
        Some(found) => found,
        None => panic!("the stand-in knows no {what}"),
    }
}
