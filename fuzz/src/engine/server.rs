//! A simulated auth server, which publishes keys as well. It knows whose each credential is, and says so or fails.

use std::sync::LazyLock;

use authgear_filter::http::{Call, CallError, Form, Response, UnixTime};
use serde_json::json;

use super::scene::Kind;
use super::{Answer, USERS};
use crate::input::Input;
use crate::issuer::{self, ISSUER, NOW};
use crate::tokens::unsigned;

/// A token that the issuer signed.
pub(super) struct Jwt {
    pub(super) text: String,
    pub(super) user: &'static str,
    pub(super) expires: u64,
}

/// One for each user, end and key.
pub(super) static JWTS: LazyLock<Vec<Jwt>> = LazyLock::new(|| {
    let mut all = Vec::new();
    for user in USERS {
        for expires in [NOW + 5, NOW + 100, NOW + 1790] {
            for kid in ["k", "new"] {
                let mut claims = issuer::claims(user, expires);
                claims["https://authgear.com/claims/user/roles"] = json!(roles(user));
                all.push(Jwt { text: issuer::token(kid, &claims), user, expires });
            }
        }
    }
    all
});

/// One that nobody signed.
pub(super) static UNSIGNED: LazyLock<String> = LazyLock::new(|| {
    let claims = issuer::claims("alice", NOW + 1790).to_string();
    unsigned(r#"{"alg":"RS256","kid":"k","typ":"at+jwt"}"#, &claims)
});

pub(super) fn is_staff(user: &str) -> bool {
    matches!(user, "alice" | "bob")
}

fn roles(user: &str) -> Vec<&'static str> {
    if is_staff(user) { vec!["staff"] } else { vec!["guest"] }
}

pub(super) struct Server {
    kind: Kind,
    /// Users whose sessions have ended.
    revoked: Vec<&'static str>,
    kid: &'static str,
    answers: u64,
}

impl Server {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, revoked: vec![], kid: "k", answers: 0 }
    }

    pub(super) fn changes(&mut self, input: &mut Input<'_>) {
        match input.below(4) {
            0 => self.kid = if self.kid == "k" { "new" } else { "k" },
            1 => self.revoked.clear(),
            _ => self.revoked.push(input.pick(&USERS)),
        }
    }

    /// What it answers. `fault` is one of some, or 0 and any other number for the truth.
    pub(super) fn answer(&mut self, call: &Call, fault: usize, now: UnixTime) -> Answer {
        self.answers += 1;
        let path = call.fields.value(b":path").unwrap_or_default();
        let is_keys = path.ends_with(b"/jwks");
        match fault {
            1 => return Err(CallError::NoAnswer),
            2 => return Err(CallError::NotSent),
            3 => return Ok(Response { status: 500, ..Response::default() }),
            4 => return Ok(Response { status: 404, body: b"not here".to_vec(), ..Response::default() }),
            5 if is_keys => return body(200, "<html>"),
            5 => {
                // It contradicts itself.
                let fields = [
                    ("x-authgear-session-valid", "true"),
                    ("x-authgear-user-id", "alice"),
                    ("x_authgear_user_id", "bob"),
                    ("x-user", "alice"),
                    ("x_user", "bob"),
                ];
                return Ok(Response {
                    status: 200,
                    fields: fields.into_iter().collect(),
                    body: b"{".to_vec(),
                });
            }
            6 if is_keys => return Err(CallError::TooLarge),
            6 => return Ok(Response { status: 103, ..Response::default() }),
            _ => {}
        }
        if is_keys {
            return body(200, &issuer::jwks(self.kid).to_string());
        }
        match self.kind {
            Kind::Authgear(_) => self.resolve(call, "", now),
            Kind::Projects => self.resolve(call, if call.upstream == "b" { "b-" } else { "" }, now),
            Kind::Introspection => self.introspect(call, now),
            Kind::ForwardAuth | Kind::Narrow | Kind::Jwt | Kind::JwtAndForwardAuth => {
                self.forward_auth(call, now)
            }
        }
    }

    /// Whose a call's credentials are; the bearer token's first.
    fn user(&self, call: &Call, now: UnixTime) -> Option<&'static str> {
        let text =
            |name: &[u8]| call.fields.value(name).map(|value| String::from_utf8_lossy(value).into_owned());
        let bearer = text(b"authorization").filter(|_| !self.kind.ignores_bearer());
        let of_bearer = bearer.and_then(|value| self.user_of_token(value.strip_prefix("Bearer ")?, now));
        let of_cookie = || {
            let cookies = text(b"cookie")?;
            let mut pairs = cookies.split("; ");
            let user = pairs.find_map(|pair| pair.strip_prefix("session=s-"))?;
            self.living(USERS.into_iter().find(|known| *known == user)?)
        };
        of_bearer.or_else(of_cookie)
    }

    fn user_of_token(&self, token: &str, now: UnixTime) -> Option<&'static str> {
        if let Some(user) = token.strip_prefix("opaque-") {
            return self.living(USERS.into_iter().find(|known| *known == user)?);
        }
        let jwt = JWTS.iter().find(|jwt| jwt.text == token && now.as_secs() < jwt.expires)?;
        self.living(jwt.user)
    }

    fn living(&self, user: &'static str) -> Option<&'static str> {
        (!self.revoked.contains(&user)).then_some(user)
    }

    fn resolve(&self, call: &Call, prefix: &str, now: UnixTime) -> Answer {
        let user = self.user(call, now);
        let mut fields: Vec<(String, String)> = Vec::new();
        let mut add = |name: &str, value: String| fields.push((name.to_owned(), value));
        match user {
            Some(user) => {
                add("x-authgear-session-valid", "true".to_owned());
                add("x-authgear-user-id", format!("{prefix}{user}"));
                add("x-authgear-user-roles", roles(user).join(","));
            }
            None => {
                let cookies =
                    call.fields.value(b"cookie").map(|value| String::from_utf8_lossy(value).into_owned());
                if let Some(session) = cookies.as_deref().and_then(|cookies| cookies.strip_prefix("session="))
                {
                    add("x-authgear-session-valid", "false".to_owned());
                    add("set-cookie", format!("session=; cleared={session}"));
                }
            }
        }
        Ok(Response { status: 200, fields: fields.into_iter().collect(), body: vec![] })
    }

    fn forward_auth(&self, call: &Call, now: UnixTime) -> Answer {
        let number = self.answers;
        let mut fields: Vec<(&str, String)> = Vec::new();
        if number.is_multiple_of(3) {
            fields.push(("set-cookie", format!("c={number}")));
        }
        let Some(user) = self.user(call, now) else {
            let status = if number.is_multiple_of(2) { 401 } else { 403 };
            let fields = fields.into_iter().collect();
            return Ok(Response { status, fields, body: b"denied nobody".to_vec() });
        };
        if user == "dave" && number.is_multiple_of(4) {
            let fields = fields.into_iter().collect();
            return Ok(Response { status: 403, fields, body: format!("denied {user}").into_bytes() });
        }
        fields.push(("x-user", user.to_owned()));
        fields.push(("x-groups", roles(user).join(", ")));
        Ok(Response { status: 200, fields: fields.into_iter().collect(), body: vec![] })
    }

    fn introspect(&self, call: &Call, now: UnixTime) -> Answer {
        let form = call.form.as_ref().map(Form::reveal).unwrap_or_default();
        let form = String::from_utf8_lossy(form).into_owned();
        let token = form.split('&').find_map(|pair| pair.strip_prefix("token=")).unwrap_or_default();
        let Some(user) = self.user_of_token(&token.replace("%2E", "."), now) else {
            return body(200, r#"{"active":false}"#);
        };
        let mut claims = issuer::claims(user, NOW + 200);
        claims["active"] = json!(true);
        claims["iss"] = json!(ISSUER);
        claims["https://authgear.com/claims/user/roles"] = json!(roles(user));
        body(200, &claims.to_string())
    }
}

fn body(status: u16, body: &str) -> Answer {
    Ok(Response { status, body: body.as_bytes().to_vec(), ..Response::default() })
}
