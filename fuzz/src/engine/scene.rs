//! The configurations under which the engine is tried.

use std::sync::LazyLock;

use authgear_filter::config::Projects;
use authgear_filter::engine::Capabilities;
use authgear_filter::engine::projects::Engines;
use serde_json::{Value, json};

use super::USERS;
use crate::issuer::{ISSUER, PROXY};

/// How many entries of each kind are remembered.
pub(super) const MAX_ENTRIES: usize = 4;

/// What the auth server is, and who judges tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Authgear, in this mode.
    Authgear(&'static str),
    /// Two projects of Authgear.
    Projects,
    ForwardAuth,
    /// The same with a key of the cookie alone, by which alone the server goes.
    Narrow,
    Jwt,
    JwtAndForwardAuth,
    Introspection,
}

pub(super) struct Scene {
    pub(super) kind: Kind,
    /// Whether an outage lets requests through.
    pub(super) allows: bool,
    configuration: Value,
    at: usize,
}

impl Kind {
    pub(super) const fn is_authgears(self) -> bool {
        matches!(self, Self::Authgear(_) | Self::Projects)
    }

    pub(super) fn reads_cookies(self) -> bool {
        !matches!(self, Self::Jwt | Self::Introspection | Self::Authgear("local"))
    }

    pub(super) const fn ignores_bearer(self) -> bool {
        matches!(self, Self::Narrow)
    }

    /// How long after its `exp` a token is good.
    pub(super) const fn leeway(self) -> u64 {
        match self {
            Self::Authgear(_) | Self::Jwt | Self::JwtAndForwardAuth | Self::Introspection => 30,
            Self::Projects | Self::ForwardAuth | Self::Narrow => 0,
        }
    }

    /// The user whom the app is told of by this name.
    pub(super) fn own_name(self, host: &str, user: &str) -> Option<&'static str> {
        let plain = match (self, host) {
            (Self::Projects, "b.example") => user.strip_prefix("b-")?,
            _ => user,
        };
        USERS.into_iter().find(|known| *known == plain)
    }
}

impl Scene {
    pub(super) fn engines(&self, background: bool) -> &'static Engines {
        thread_local! {
            /// They are the same for all inputs, and keep no state. There are few of them.
            static ENGINES: Vec<[&'static Engines; 2]> = scenes().iter().map(|scene| {
                [false, true].map(|background| {
                    let projects = Projects::parse(scene.configuration.to_string().as_bytes()).expect("a configuration");
                    let engines = Engines::new(projects, Capabilities { background, signatures: PROXY });
                    &*Box::leak(Box::new(engines))
                })
            }).collect();
        }
        ENGINES.with(|engines| engines[self.at][usize::from(background)])
    }
}

pub(super) fn scenes() -> &'static [Scene] {
    static SCENES: LazyLock<Vec<Scene>> = LazyLock::new(all);
    &SCENES
}

const ROLES: &str = "https://authgear.com/claims/user/roles";

fn all() -> Vec<Scene> {
    let authgear = |mode: &str| {
        json!({"authgear": {"endpoint": ISSUER, "upstream": "authgear", "mode": mode},
            "cache": {"ttl": "10s", "stale_if_error": "20s", "max_entries": MAX_ENTRIES}})
    };
    let forward_auth = json!({"url": "http://auth/check", "upstream": "auth", "identity_headers": ["x-user"], "roles_header": "x-groups"});
    let mut narrow = json!({"forward_auth": forward_auth, "cache": {"ttl": "10s", "key": ["cookie:session"], "max_entries": MAX_ENTRIES}});
    narrow["forward_auth"]["cookies"] = json!(["session"]);
    let jwt = json!([{"issuer": ISSUER, "audiences": [ISSUER], "jwks_uri": "https://idp/oauth2/jwks", "upstream": "idp",
        "headers": {"x-user": "sub"}, "roles": ROLES}]);
    let mut introspection = json!({ "jwt": jwt, "cache": {"max_entries": MAX_ENTRIES} });
    introspection["jwt"][0]["introspection"] = json!({"url": "http://h/introspect", "upstream": "h"});
    let cache = json!({"ttl": "10s", "stale_if_error": "20s", "max_entries": MAX_ENTRIES});
    let projects = json!({
        "authgear": [
            {"endpoint": ISSUER, "upstream": "authgear", "mode": "resolver", "hosts": ["a.example"]},
            {"endpoint": "https://b.example", "upstream": "b", "mode": "resolver", "hosts": ["b.example"]},
        ],
        "cache": cache,
    });
    let kinds = [
        (Kind::Authgear("auto"), authgear("auto")),
        (Kind::Authgear("resolver"), authgear("resolver")),
        (
            Kind::Authgear("local"),
            json!({"authgear": {"endpoint": ISSUER, "upstream": "authgear", "mode": "local"}, "cache": {"max_entries": MAX_ENTRIES}}),
        ),
        (Kind::Projects, projects),
        (Kind::ForwardAuth, json!({"forward_auth": forward_auth, "cache": cache})),
        (Kind::Narrow, narrow),
        (Kind::Jwt, json!({"jwt": jwt, "cache": {"max_entries": MAX_ENTRIES}})),
        (Kind::JwtAndForwardAuth, json!({"jwt": jwt, "forward_auth": forward_auth, "cache": cache})),
        (Kind::Introspection, introspection),
    ];
    let mut scenes = Vec::new();
    for (kind, mut configuration) in kinds {
        configuration["rules"] = json!([
            {"prefix": "/public", "access": "public"},
            {"prefix": "/optional", "access": "optional"},
            {"prefix": "/required", "access": "required"},
            {"prefix": "/role", "require": {"roles": ["staff"]}},
        ]);
        for allows in [false, true] {
            let mut configuration = configuration.clone();
            if allows {
                configuration["on_error"] = json!({"action": "allow"});
            }
            scenes.push(Scene { kind, allows, configuration, at: scenes.len() });
        }
    }
    scenes
}
