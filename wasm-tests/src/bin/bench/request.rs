//! The request that every contender gets, and the credentials in it.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use serde_json::json;
use wasm_tests::authgear::{Authgear, Signer};
use wasm_tests::scene::ORIGIN;

/// The user of all sessions and tokens. The authorizer names the same one.
pub(crate) const USER: &str = "7a1e3c52-9d4b-4f86-b0a7-5c2d8e6f1b39";

/// The path of every request.
pub(crate) const PATH: &str = "/app";

/// The size of a bearer token: about 1 KB, as from a current Authgear.
const TOKEN_BYTES: usize = 1024;

/// The request: twelve headers such as a script in a browser sends, one of them the bearer token.
const TEMPLATE: &str = "GET /app HTTP/1.1\r\n\
    host: {host}.example.test\r\n\
    user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    accept-language: en-GB,en;q=0.7,de;q=0.3\r\n\
    accept-encoding: gzip, deflate, br, zstd\r\n\
    referer: https://app.example.test/orders?page=2\r\n\
    authorization: Bearer {token}\r\n\
    cookie: theme=dark; session={session}; _ga=GA1.2.1789402915.1756301211\r\n\
    sec-fetch-dest: document\r\n\
    sec-fetch-mode: navigate\r\n\
    sec-fetch-site: same-origin\r\n\
    cache-control: max-age=0\r\n\
    \r\n";

/// What differs from request to request.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) tokens: PathBuf,
    /// How many different `session` cookies there are.
    pub(crate) sessions: usize,
    /// How many different hosts there are.
    pub(crate) hosts: usize,
    pub(crate) order: Order,
    /// The file with the request.
    pub(crate) template: PathBuf,
    /// Where the cycle continues, so that a round does not begin with what the previous one left in a cache.
    pub(crate) at: Cell<usize>,
}

/// The order of the different requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// One after the other: if there are more than a cache holds, it never has the next one.
    Cycle,
    /// At random, so that a large cache is not read in the order of its memory.
    Random,
}

/// Makes loads, and owns their files.
pub(crate) struct Requests {
    directory: PathBuf,
    one_token: PathBuf,
    many_tokens: PathBuf,
    /// The token that [`Requests::one`] sends.
    pub(crate) token: String,
}

impl Requests {
    /// Signs `count` different tokens, and one for the requests that are all the same.
    pub(crate) fn prepare(directory: &Path, authgear: &Authgear, count: usize) -> Result<Self, String> {
        let token = sign(authgear, 0);
        // This takes most of the time before a run, so it uses two threads.
        let halves = thread::scope(|scope| {
            let some = |numbers: std::ops::Range<usize>| {
                scope.spawn(move || numbers.map(|number| sign(authgear, number)).collect::<Vec<_>>())
            };
            [some(1..count / 2 + 1), some(count / 2 + 1..count + 1)].map(thread::ScopedJoinHandle::join)
        });
        let mut tokens = Vec::with_capacity(count);
        for half in halves {
            tokens.extend(half.map_err(|_| "a token could not be signed")?);
        }
        Ok(Self {
            one_token: write(directory, "token", &token)?,
            many_tokens: write(directory, "tokens", &tokens.join("\n"))?,
            directory: directory.to_owned(),
            token,
        })
    }

    /// Always the same request.
    pub(crate) fn one(&self) -> Result<Load, String> {
        self.load(&self.one_token, TEMPLATE, "request")
    }

    /// Another bearer token each time.
    pub(crate) fn distinct_tokens(&self) -> Result<Load, String> {
        self.load(&self.many_tokens, TEMPLATE, "request")
    }

    /// Another session each time, out of this many.
    pub(crate) fn sessions(&self, sessions: usize, order: Order) -> Result<Load, String> {
        Ok(Load { sessions, order, ..self.one()? })
    }

    /// Sessions without a bearer token, so that a cache holds as many as it can.
    pub(crate) fn sessions_alone(&self, sessions: usize) -> Result<Load, String> {
        let template = TEMPLATE.replace("authorization: Bearer {token}\r\n", "");
        let load = self.load(&self.one_token, &template, "request-of-a-session")?;
        Ok(Load { sessions, order: Order::Random, ..load })
    }

    /// Another host each time, out of this many.
    pub(crate) fn hosts(&self, hosts: usize) -> Result<Load, String> {
        Ok(Load { hosts, order: Order::Random, ..self.one()? })
    }

    /// A cookie header of this many bytes, if it is not longer anyway.
    pub(crate) fn cookie(&self, bytes: usize) -> Result<Load, String> {
        let value = TEMPLATE.lines().find_map(|line| line.strip_prefix("cookie: ")).unwrap_or_default();
        let length = value.len() - "{session}".len() + session(0).len();
        let padding = bytes.saturating_sub(length + "; padding=".len());
        let filler = match padding {
            0 => String::new(),
            padding => format!("; padding={}", "x".repeat(padding)),
        };
        let template = TEMPLATE.replace(value, &format!("{value}{filler}"));
        self.load(&self.one_token, &template, &format!("request-with-{bytes}-bytes-of-cookies"))
    }

    fn load(&self, tokens: &Path, template: &str, name: &str) -> Result<Load, String> {
        Ok(Load {
            tokens: tokens.to_owned(),
            sessions: 1,
            hosts: 1,
            order: Order::Cycle,
            template: write(&self.directory, name, template)?,
            at: Cell::new(0),
        })
    }
}

/// The value of a session cookie, as in `load.lua`.
pub(crate) fn session(number: usize) -> String {
    format!("{number:032}")
}

impl Load {
    /// The first requests, as bytes, for a client that is not wrk.
    pub(crate) fn requests(&self, at_most: usize) -> Result<Vec<Vec<u8>>, String> {
        let text = |path: &Path| fs::read_to_string(path).map_err(|error| error.to_string());
        let (template, tokens) = (text(&self.template)?, text(&self.tokens)?);
        let tokens: Vec<_> = tokens.lines().collect();
        let count = tokens.len().max(self.sessions).max(self.hosts).min(at_most);
        let request = |number: usize| {
            template
                .replace("{token}", tokens[number % tokens.len()])
                .replace("{session}", &session(number % self.sessions))
                .replace("{host}", &format!("app-{}", number % self.hosts))
                .into_bytes()
        };
        Ok((0..count).map(request).collect())
    }
}

/// An access token of Authgear (RFC 9068 and its own claims). The number makes it unique.
fn sign(authgear: &Authgear, number: usize) -> String {
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
    let header = json!({ "alg": "RS256", "kid": authgear.current_key(), "typ": "at+jwt" }).to_string();
    let claims = |padding: usize| {
        json!({
            "iss": ORIGIN,
            "aud": [ORIGIN],
            "sub": USER,
            "iat": now,
            "exp": now + 24 * 3600,
            "client_id": "web-app",
            "scope": "openid offline_access https://authgear.com/scopes/full-access",
            "jti": format!("{number:032}"),
            "auth_time": now - 600,
            "amr": ["pwd", "otp"],
            "https://authgear.com/claims/user/is_anonymous": false,
            "https://authgear.com/claims/user/is_verified": true,
            "https://authgear.com/claims/user/can_reauthenticate": true,
            "https://authgear.com/claims/user/roles": ["admin", "editor"],
            "padding": "x".repeat(padding),
        })
        .to_string()
    };
    let length = |text: &str| text.len() * 4 / 3;
    let signature = 343;
    let missing = TOKEN_BYTES.saturating_sub(length(&header) + length(&claims(0)) + signature);
    authgear.sign(&header, &claims(missing * 3 / 4), Signer::Current)
}

fn write(directory: &Path, name: &str, text: &str) -> Result<PathBuf, String> {
    let path = directory.join(name);
    fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}
