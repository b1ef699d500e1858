//! Owns the app's page: who somebody is to the app, and in the demo the console, which `console.js` fills with what
//! became of requests.

use hyper::http::HeaderMap;

use super::latin1;
use crate::html::{Document, Markup, Place, escape};
use crate::received::Received;
use crate::serve::Reply;

/// The headers in which Authgear and Auth-O-Tron name the user.
const USER_HEADERS: [&str; 2] = ["x-authgear-user-id", "x-auth-username"];

/// The prefixes of identity headers.
const IDENTITY_PREFIXES: [&str; 2] = ["x-authgear-", "x-auth-"];

/// Where the demo serves the console's script.
const SCRIPT: &str = "/demo/console.js";

/// What a request is named by, in Envoy's access log too.
const REQUEST_ID: &str = "x-request-id";

/// Whom the identity headers name.
pub(super) fn user(headers: &HeaderMap) -> Option<String> {
    let found = USER_HEADERS.iter().find_map(|name| headers.get(*name));
    found.map(|value| latin1(value.as_bytes()))
}

/// The page that says who asked.
pub(super) fn simple(received: &Received) -> Reply {
    let body = format!(
        "{}\n<div class=\"grid\">\n{}\n{}\n</div>",
        heading(received),
        identity(received, false),
        other_headers(received),
    );
    Document { title: "The app", place: None, script: None, body: &Markup(body) }.reply()
}

/// The demo's page.
pub(super) fn console(received: &Received) -> Reply {
    let text = |name: &str| received.header(name).map(latin1).unwrap_or_default();
    let user = USER_HEADERS.iter().map(|name| text(name)).find(|user| !user.is_empty()).unwrap_or_default();
    let body = format!(
        "<div id=\"console\" data-request=\"{id}\" data-user=\"{user}\">\n{heading}\n\
         <div class=\"grid halves\">\n{identity}\n<div class=\"stack\">\n{DECISION}\n{PLOT}\n</div>\n</div>\n\
         <div class=\"stack\">\n{TRY}\n{LOG}\n{others}\n</div>\n</div>",
        id = escape(&text(REQUEST_ID)),
        user = escape(&user),
        heading = heading(received),
        identity = identity(received, true),
        others = other_headers(received),
    );
    let place = Some(Place::App);
    Document { title: "The app behind the filter", place, script: Some(SCRIPT), body: &Markup(body) }.reply()
}

fn heading(received: &Received) -> String {
    format!(
        "<h1>What the app received</h1>\n<p class=\"lead\">This page is the app's answer to <code>{} {}</code>.</p>",
        escape(&received.method),
        escape(&received.target),
    )
}

/// Who it is to the app, and the headers that say so.
fn identity(received: &Received, is_console: bool) -> String {
    let user = USER_HEADERS.iter().find_map(|name| received.header(name)).map(latin1);
    let refused = received.header("x-authgear-session-valid") == Some(b"false");
    let (avatar, name, about) = match &user {
        Some(user) => {
            let initial: String = user.chars().take(1).flat_map(char::to_uppercase).collect();
            let avatar = format!("<span class=\"avatar\" aria-hidden=\"true\">{}</span>", escape(&initial));
            (avatar, escape(user), "The filter says so; the app checked nothing.")
        }
        None if refused => (nobody(), "Nobody".to_owned(), "A credential was sent and refused."),
        None => (nobody(), "Nobody".to_owned(), "No identity header: nobody is logged in."),
    };
    let headers = table(&rows(received, true));
    let links = match (is_console, &user) {
        (false, _) => "",
        (true, Some(_)) => {
            "<form class=\"row end\" method=\"post\" action=\"/logout\"><button>Log out</button>\
             <a class=\"button\" href=\"/app/account\">Members’ page</a></form>"
        }
        (true, None) => {
            "<div class=\"row end\"><a class=\"button primary\" href=\"/app/account\">Log in</a>\
             <span class=\"quiet\">by opening the members’ page</span></div>"
        }
    };
    format!(
        "<section class=\"card\" aria-labelledby=\"who\">\n<h2 id=\"who\">Who you are to the app</h2>\n\
         <div class=\"who\">{avatar}<div><strong>{name}</strong><span class=\"quiet\">{about}</span></div></div>\n\
         {headers}\n{links}\n</section>"
    )
}

fn nobody() -> String {
    "<span class=\"avatar nobody\" aria-hidden=\"true\">?</span>".to_owned()
}

fn other_headers(received: &Received) -> String {
    format!(
        "<section class=\"card\"><details>\n<summary>All other headers of this request</summary>\n{}\n</details></section>",
        table(&rows(received, false))
    )
}

fn rows(received: &Received, ours: bool) -> String {
    let is_ours = |name: &str| IDENTITY_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let chosen = received.headers.iter().filter(|(name, _)| is_ours(name) == ours);
    let row = |(name, value): &(String, Vec<u8>)| {
        format!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", escape(name), escape(&latin1(value)))
    };
    chosen.map(row).collect()
}

fn table(rows: &str) -> String {
    match rows.is_empty() {
        true => String::new(),
        false => format!("<table class=\"headers\">\n<tbody>\n{rows}</tbody>\n</table>"),
    }
}

/// How the request for this page was decided.
const DECISION: &str = r#"<section class="card" aria-labelledby="how">
<h2 id="how">How the filter decided about this request</h2>
<div id="decision"><p class="quiet">Waiting for Envoy’s access log…</p></div>
<noscript><p>This part needs JavaScript, from this origin only.</p></noscript>
</section>"#;

const TRY: &str = r#"<section class="card" aria-labelledby="try">
<h2 id="try">Try it</h2>
<div class="grid halves flush">
<fieldset><legend>Ask for</legend>
<div class="choice">
<label><input type="radio" name="path" value="/app" checked> <span><code>/app</code> <small>anyone</small></span></label>
<label><input type="radio" name="path" value="/app/account"> <span><code>/app/account</code> <small>members</small></span></label>
<label><input type="radio" name="path" value="/app/static"> <span><code>/app/static</code> <small>public</small></span></label>
</div></fieldset>
<div class="field"><label for="user">Tokens of, and Authgear’s user</label>
<select id="user"></select></div>
</div>
<h3 id="ask-title">Ask the app</h3>
<div class="buttons" role="group" aria-labelledby="ask-title">
<button data-ask="plain">As this browser</button>
<button data-ask="forged-header">With a forged header</button>
<button data-ask="forged-trailer">With a forged trailer</button>
<button data-ask="jwt">With a JWT</button>
<button data-ask="opaque">With an opaque token</button>
<button data-ask="expired">With an expired JWT</button>
</div>
<div class="row apart"><h3 id="authgear-title">Meanwhile, at Authgear</h3>
<span class="status" id="resolver">…</span></div>
<div class="buttons" role="group" aria-labelledby="authgear-title">
<button data-do="revoke">End all sessions</button>
<button data-do="disable">Disable the user</button>
<button data-do="resolver">Take the resolver down</button>
</div>
<p id="said" class="end quiet" role="status"></p>
<div id="result" class="result"></div>
</section>"#;

const LOG: &str = r#"<section class="card" aria-labelledby="last">
<h2 id="last">The last decisions</h2>
<table class="log"><thead><tr><th scope="col">When</th><th scope="col">Request</th><th scope="col">Decision</th><th scope="col">Who</th><th scope="col">Worker</th><th scope="col" class="number">In the filter</th></tr></thead>
<tbody id="log"></tbody></table>
</section>"#;

const PLOT: &str = r#"<section class="card plot fill" aria-labelledby="plot-title">
<h2 id="plot-title">Decisions, the last five minutes</h2>
<div id="plot"></div>
<ul class="legend" id="legend"></ul>
<p class="quiet small">From the filter’s counters, which Envoy shows to operators.</p>
</section>"#;
