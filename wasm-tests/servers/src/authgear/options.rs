//! Owns what a stand-in is started with: its project, users and clients.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// How the stand-in behaves. The default is what tests want: free ports, the demo's users, no log.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the main server listens (login, `/oauth2/*`); port 0 takes a free one.
    pub main: SocketAddr,
    /// Where the resolver listens; port 0 takes a free one.
    pub resolver: SocketAddr,
    /// `scheme://host[:port]`, as users see it: `iss`, `aud`, and the host of the project.
    /// `None`: `http://` and the main server's address.
    pub public_origin: Option<String>,
    /// Further hosts (with their port, if any) that the resolver knows the project by.
    pub other_hosts: Vec<String>,
    /// The project comes from a directory (`local_fs`): the resolver answers for any host.
    pub is_any_host_known: bool,
    /// Authgear's `TRUST_PROXY`: believe `X-Forwarded-Host`, `X-Original-Host`, `X-Forwarded-Proto`,
    /// `X-Forwarded-For`. Without it a resolver that is reached over plain HTTP accepts no JWT of an https endpoint.
    pub trust_proxy: bool,
    /// The project's `network_protection.ip_filter`: these get no keys (403). The resolver does not care.
    pub denied_addresses: Vec<IpAddr>,
    /// User agents that get no keys (403), by a part of their name.
    pub denied_user_agents: Vec<String>,
    /// How long each resolve holds the lock on its session; `None` takes no lock. Another one tries five times, and is a
    /// 500 then.
    pub session_lock: Option<Duration>,
    /// The hosted layout: the resolver's paths on the main server too.
    pub resolver_on_main: bool,
    /// The project's `http.cookie_prefix`.
    pub cookie_prefix: String,
    /// `Domain` of its cookies; `None` keeps them to the one host.
    pub cookie_domain: Option<String>,
    /// Send `x-authgear-session-acr` too, as older servers do.
    pub session_acr: bool,
    /// Turn the list of roles from answer to answer: their order is unspecified. Otherwise it is that of the
    /// user, as in a JWT.
    pub vary_role_order: bool,
    /// How long access and ID tokens live.
    pub token_lifetime: Duration,
    /// Who can log in.
    pub users: Vec<User>,
    /// The apps that users log in to. The first one is the `client_id` of tokens.
    pub clients: Vec<Client>,
    /// Programs with an identity of their own (client credentials).
    pub machines: Vec<MachineClient>,
    /// Where the home page's link to the app goes.
    pub app_path: String,
    /// Print a line per request.
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
    /// Said on the login page.
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
    /// When sessions of this user say that they were authenticated.
    pub authenticated: Authenticated,
    /// Standard claims of the user (`email`, …), which only some clients' tokens state.
    pub attributes: Vec<(String, String)>,
    /// Whether the user still is one.
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

    /// The users of the demo: `alice` has all, `bob` little, `carol` neither roles nor amr, `guest` is
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
    /// Disabled by an administrator, which has ended all sessions.
    Disabled,
    /// Gone, with all sessions.
    Deleted,
    /// Outside the time that was set for it (valid until, disabled from): sessions stay, and are refused.
    OutOfTime,
}

/// An app that users log in to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// Where a login may lead back to, exact, or a beginning and `*`. Besides, everything below the public
    /// origin is allowed.
    pub redirect_uris: Vec<String>,
    /// Its kind, `x_application_type`.
    pub kind: ClientKind,
}

/// What kind of app a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientKind {
    /// `spa`, `traditional_webapp`, `native`.
    Public,
    /// `confidential`: its tokens state the user's attributes too.
    Confidential,
    /// `third_party_app`: likewise.
    ThirdParty,
}

impl Default for Client {
    fn default() -> Self {
        Self { id: "demo-app".into(), redirect_uris: vec![], kind: ClientKind::Public }
    }
}

/// A program that gets tokens by its own secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineClient {
    /// `client_id`.
    pub id: String,
    /// `client_secret`: a test double has no secret worth keeping.
    pub secret: String,
    /// The resource URIs that it may ask tokens for.
    pub resources: Vec<String>,
    /// The scopes that it may have; all of them unless it asks for less.
    pub scopes: Vec<String>,
}

impl Default for MachineClient {
    fn default() -> Self {
        Self {
            id: "demo-machine".into(),
            secret: "demo-machine-secret".into(),
            resources: vec!["https://api.example.com".into()],
            scopes: vec!["read:orders".into(), "write:orders".into()],
        }
    }
}
