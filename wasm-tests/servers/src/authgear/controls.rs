//! Owns what only the stand-in has, below `/stand-in/`: any token of anybody, and the switches of tests and the demo.

use hyper::StatusCode;
use hyper::http::header;
use serde_json::{Value, json};

use super::options::{Status, User};
use super::site::{Call, json_reply, noted, redirect, secret, text};
use super::tap::{Endpoint, Fault};
use super::world::Credential;
use super::{Project, now};
use crate::serve::Reply;

/// Any credential of any user, for use on a command line.
pub(super) fn any_token(call: &Call<'_>) -> Reply {
    let (user, kind) = (call.field("user").unwrap_or_default(), call.field("kind").unwrap_or("opaque"));
    match issue(call.project, user, kind) {
        Some(token) => {
            noted(secret(text(StatusCode::OK, token)), format!("{kind} for {}", user.escape_debug()))
        }
        None => {
            let ids: Vec<String> = call.project.world().users().iter().map(|user| user.id.clone()).collect();
            text(
                StatusCode::BAD_REQUEST,
                format!(
                    "send user=<one of {}> and kind=<opaque, jwt, expired, id, machine, session or app_session>",
                    ids.join(", ")
                ),
            )
        }
    }
}

pub(super) fn issue(project: &Project, user: &str, kind: &str) -> Option<String> {
    let granted = |kind: fn(String) -> Credential| Some(project.world().grant(user, now(), None, kind)?.0);
    match kind {
        "opaque" => project.opaque_token(user),
        "jwt" => project.jwt(user, |_, _| {}),
        "expired" => project.jwt(user, |claims, _| {
            let issued = now().saturating_sub(2 * project.options.token_lifetime.as_secs());
            let expired = issued.saturating_add(project.options.token_lifetime.as_secs());
            claims.extend([("iat".to_owned(), issued.into()), ("exp".to_owned(), expired.into())]);
        }),
        "id" => project.id_token(user),
        "session" => granted(Credential::Session),
        "app_session" => granted(Credential::AppSession),
        "machine" => {
            let machine = project.options.machines.first()?;
            Some(project.machine_token(&machine.id, machine.resources.first()?, &machine.scopes.join(" ")))
        }
        _ => None,
    }
}

pub(super) fn administer(call: &Call<'_>, action: &str) -> Reply {
    let id = call.field("user").unwrap_or_default();
    let mut world = call.project.world();
    let done = match action {
        "disable" => world.set_status(id, Status::Disabled),
        "enable" => world.set_status(id, Status::Active),
        "delete" => world.set_status(id, Status::Deleted),
        "bar" => world.set_status(id, Status::OutOfTime),
        _ => {
            world.revoke_user(id);
            world.user(id).is_some()
        }
    };
    match done {
        true => noted(text(StatusCode::OK, "done"), format!("{action} {}", id.escape_debug())),
        false => text(StatusCode::NOT_FOUND, "there is no such user: send user=<id>"),
    }
}

pub(super) fn rotate_key(call: &Call<'_>) -> Reply {
    let mut keys = call.project.keys();
    let kid = keys.publish().kid.clone();
    keys.sign_with(&kid);
    text(StatusCode::OK, format!("signing with {kid}"))
}

/// Takes the resolver down, or brings it up again.
pub(super) fn switch_resolver(call: &Call<'_>) -> Reply {
    let tap = call.project.tap(Endpoint::Resolver);
    let wants_page = call
        .head
        .headers
        .get(header::ACCEPT)
        .is_some_and(|accept| accept.to_str().is_ok_and(|list| list.contains("text/html")));
    match call.field("state") {
        Some("down") => tap.set(Fault::Status(StatusCode::SERVICE_UNAVAILABLE)),
        Some("up") => tap.set(Fault::None),
        _ => return text(StatusCode::BAD_REQUEST, "send state=down or state=up"),
    }
    if wants_page { redirect(StatusCode::SEE_OTHER, "/") } else { text(StatusCode::OK, "done") }
}

/// Who can log in, and whether the resolver answers.
pub(super) fn state(call: &Call<'_>) -> Reply {
    let user = |user: &User| {
        let is_active = user.status == Status::Active;
        json!({"id": user.id, "about": user.about, "active": is_active})
    };
    let users: Vec<Value> = call.project.world().users().iter().map(user).collect();
    let resolver = if call.is_resolver_down() { "down" } else { "up" };
    secret(json_reply(StatusCode::OK, &json!({"resolver": resolver, "users": users})))
}
