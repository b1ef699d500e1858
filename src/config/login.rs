//! The field `authgear.login`: as typed, and checked into a [`Login`].

use serde::Deserialize;

use super::field::{Given, NonEmpty};
use super::problem::{CallbackError, ConfigError, LoginError};
use super::rules::ScopeName;
use super::typed::{NonEmptyText, texts};
use super::{DEFAULT_CALLBACK, Login, OPENID};
use crate::http::url::Url;
use crate::rules::PathPattern;

/// How people log in at Authgear and come back.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Login", extend("required" = ["client_id"])))]
pub(super) struct RawLogin {
    /// The client of the project that people log in for. Required.
    client_id: Given<NonEmptyText>,
    /// The path to which Authgear sends people back; the filter answers GET there itself. Each origin of the app with
    /// this path must be among the client's redirect URIs. Default: `/.authgear/login`.
    callback: Given<CallbackPath>,
    /// The requested scopes; must contain `openid`. Default: `[openid]`.
    scope: Given<NonEmpty<ScopeName>>,
}

texts! {
    /// A path that needs no escapes, and is not `/`.
    CallbackPath: String | CallbackError, "a path such as \"/.authgear/login\"", callback;
}

fn callback(path: &str) -> Result<String, CallbackError> {
    if path.contains(['?', '#']) {
        return Err(CallbackError::NotAlone(path.into()));
    }
    PathPattern::exact(path)?;
    if path == "/" {
        return Err(CallbackError::Root);
    }
    match path.chars().find(|c| !c.is_ascii_graphic() || "\"%<>^`|".contains(*c)) {
        Some(odd) => Err(CallbackError::UnclearCharacter { path: path.into(), odd }),
        None => Ok(path.to_owned()),
    }
}

impl RawLogin {
    pub(super) fn check(self, at: &str, endpoint: &Url) -> Result<Login, ConfigError> {
        let client_id = self.client_id.0.ok_or_else(|| {
            ConfigError::missing(
                format!("{at}.client_id"),
                "give the id of the client that people log in for",
            )
        })?;
        let scopes = self.scope.0.unwrap_or_else(|| vec![OPENID.to_owned()]);
        if !scopes.iter().any(|scope| scope == OPENID) {
            return Err(ConfigError::new(format!("{at}.scope"), LoginError::NoOpenId));
        }
        let callback = self.callback.0.unwrap_or_else(|| DEFAULT_CALLBACK.to_owned());
        Ok(Login::new(endpoint, &client_id, callback, &scopes))
    }
}
