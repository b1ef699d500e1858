//! Owns what a stand-in is started with: its project, users and clients.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// How the stand-in behaves. The default is what tests want: free ports, the demo's users, no log.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the main server (login, `/oauth2/*`) listens; port 0 takes a free one.
    pub main: SocketAddr,
    /// Where the resolver listens; port 0 takes a free one.
    pub resolver: SocketAddr,
    /// `scheme://host[:port]` as users see it. It is `iss`, `aud`, and the project's host. `None` means `http://` and
    /// the main server's address.
    pub public_origin: Option<String>,
    /// Further hosts, with their port if any, by which the resolver knows the project. A login may redirect to them.
    pub other_hosts: Vec<String>,
    /// Whether the project comes from a directory (`local_fs`), so that the resolver answers for any host.
    pub is_any_host_known: bool,
    /// Authgear's `TRUST_PROXY`: trust `X-Forwarded-Host`, `X-Original-Host`, `X-Forwarded-Proto` and
    /// `X-Forwarded-For`. Without it, a resolver behind plain HTTP accepts no JWT issued by an https endpoint.
    pub trust_proxy: bool,
    /// The project's `network_protection.ip_filter`: these addresses get no keys (403). The resolver ignores it.
    pub denied_addresses: Vec<IpAddr>,
    /// User agents that get no keys (403), by part of their name.
    pub denied_user_agents: Vec<String>,
    /// How long the server remembers whether a user is verified and can reauthenticate, for the resolver and for tokens
    /// apart. A change reaches neither before.
    pub user_info_lifetime: Duration,
    /// Whether the project's keys, made before Authgear gave them these, have neither `alg` nor `kid`. The resolver then
    /// takes every JWT for nobody's.
    pub has_bare_keys: bool,
    /// How long a request to the resolver locks its session; `None` takes no lock. Other requests with the session
    /// try five times, then get a 500.
    pub session_lock: Option<Duration>,
    /// The hosted layout: the main server serves the resolver's paths too.
    pub resolver_on_main: bool,
    /// The project's `http.cookie_prefix`.
    pub cookie_prefix: String,
    /// `Domain` of its cookies; `None` makes them host-only.
    pub cookie_domain: Option<String>,
    /// Whether to send `x-authgear-session-acr` too, as older servers do.
    pub session_acr: bool,
    /// Whether to rotate the list of roles from answer to answer, because their order is unspecified. Otherwise they
    /// come in the user's order, as in a JWT.
    pub vary_role_order: bool,
    /// How long access and ID tokens live.
    pub token_lifetime: Duration,
    /// Who can log in.
    pub users: Vec<User>,
    /// The apps that users log in to. Tokens carry the first one's `client_id`.
    pub clients: Vec<Client>,
    /// Programs with their own identity (client credentials).
    pub machines: Vec<MachineClient>,
    /// Where the home page links to the app.
    pub app_path: String,
    /// Whether to print a line per request.
    pub log: bool,
}

impl Default for Options {
    fn default() -> Self {
        let free_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            main: free_port,
            resolver: free_port,
            public_origin: None,
            other_hosts: vec![],
            is_any_host_known: false,
            trust_proxy: true,
            denied_addresses: vec![],
            denied_user_agents: vec![],
            user_info_lifetime: Duration::from_secs(300),
            has_bare_keys: false,
            session_lock: None,
            resolver_on_main: false,
            cookie_prefix: String::new(),
            cookie_domain: None,
            session_acr: false,
            vary_role_order: false,
            token_lifetime: Duration::from_secs(1800),
            users: User::demo(),
            clients: vec![Client::default()],
            machines: vec![MachineClient::default()],
            app_path: "/app".into(),
            log: false,
        }
    }
}

/// Someone who can log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// `sub`, `x-authgear-user-id`, and the name to log in with.
    pub id: String,
    /// A description for the login page.
    pub about: String,
    /// `is_anonymous`.
    pub anonymous: bool,
    /// `is_verified`.
    pub verified: bool,
    /// `can_reauthenticate`.
    pub can_reauthenticate: bool,
    /// In the order in which they are sent.
    pub roles: Vec<String>,
    /// How sessions of this user are authenticated (RFC 8176).
    pub amr: Vec<String>,
    /// The time of authentication that sessions of this user state.
    pub authenticated: Authenticated,
    /// The user's standard claims (`email`, …). Only some clients' tokens carry them.
    pub attributes: Vec<(String, String)>,
    /// The state of the account.
    pub status: Status,
}

impl User {
    /// An unverified user without roles, who logs in with a password.
    pub fn new(id: &str) -> Self {
        Self {
            id: id.into(),
            about: "not verified, no roles".into(),
            anonymous: false,
            verified: false,
            can_reauthenticate: true,
            roles: vec![],
            amr: vec!["pwd".into()],
            authenticated: Authenticated::AtLogin,
            attributes: vec![("email".into(), format!("{id}@example.com")), ("name".into(), id.into())],
            status: Status::Active,
        }
    }

    /// The demo's users: `alice` has everything, `bob` little, `carol` neither roles nor amr, and `guest` is
    /// anonymous.
    pub fn demo() -> Vec<Self> {
        let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let alice = Self {
            about: "verified, roles admin and editor, two factors".into(),
            verified: true,
            roles: texts(&["admin", "editor"]),
            amr: texts(&["pwd", "otp", "mfa"]),
            ..Self::new("alice")
        };
        let bob = Self::new("bob");
        let carol = Self {
            about: "verified, no roles, no amr".into(),
            verified: true,
            amr: vec![],
            ..Self::new("carol")
        };
        let guest = Self {
            about: "anonymous".into(),
            anonymous: true,
            can_reauthenticate: false,
            amr: vec![],
            ..Self::new("guest")
        };
        vec![alice, bob, carol, guest]
    }
}

/// The time of authentication that a session states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authenticated {
    /// When the session or token was made.
    AtLogin,
    /// The server's zero time: no header, and a negative `auth_time` in a JWT.
    Never,
    /// Unix seconds.
    At(i64),
}

/// The account's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// May log in.
    Active,
    /// Disabled by an administrator. That ended all sessions.
    Disabled,
    /// Deleted, with all sessions.
    Deleted,
    /// Outside its period of validity (valid until, disabled from). Its sessions live on but are refused.
    OutOfTime,
}

/// An app that users log in to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// Where a login may redirect to: exact URLs, or prefixes that end in `*`. Everything below the public origin and
    /// at the project's other hosts is allowed too.
    pub redirect_uris: Vec<String>,
    /// Its `x_application_type`.
    pub kind: ClientKind,
}

/// What kind of app a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientKind {
    /// `spa`, `traditional_webapp`, `native`.
    Public,
    /// `confidential`. Its tokens carry the user's attributes too.
    Confidential,
    /// `third_party_app`. Likewise.
    ThirdParty,
}

impl Default for Client {
    fn default() -> Self {
        Self { id: "demo-app".into(), redirect_uris: vec![], kind: ClientKind::Public }
    }
}

/// A program that gets tokens with its own secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineClient {
    /// `client_id`.
    pub id: String,
    /// `client_secret`: a test double has no secret worth keeping.
    pub secret: String,
    /// The resource URIs for which it may request tokens.
    pub resources: Vec<String>,
    /// The scopes that it may have. It gets all of them unless it asks for fewer.
    pub scopes: Vec<String>,
    /// Whether its tokens are opaque, as a `confidential` client's may be. Then nobody can verify them.
    pub has_opaque_tokens: bool,
}

impl Default for MachineClient {
    fn default() -> Self {
        Self {
            id: "demo-machine".into(),
            secret: "demo-machine-secret".into(),
            resources: vec!["https://api.example.com".into()],
            scopes: vec!["read:orders".into(), "write:orders".into()],
            has_opaque_tokens: false,
        }
    }
}
