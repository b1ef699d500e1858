//! Owns how the servers write HTML: one look for all pages, nothing from elsewhere, and all input escaped.

mod picture;

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::http::{HeaderValue, header};
use sha2::{Digest as _, Sha256};

use crate::serve::Reply;

pub(crate) use picture::picture;

/// Finished markup.
pub(crate) struct Markup(pub(crate) String);

/// `Content-Type` of a document.
pub(crate) const TYPE: &str = "text/html; charset=utf-8";

/// The one style sheet. It stands in each document, so that a page needs nothing but itself.
const STYLE: &str = include_str!("style.css");

/// A shield with a keyhole.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E\
    %3Cpath fill='%233b5bdb' d='M16 2 4 6v9c0 8 5 12.5 12 15 7-2.5 12-7 12-15V6z'/%3E\
    %3Cpath fill='%23fff' d='M16 10a4 4 0 0 1 2 7.4V22h-4v-4.6A4 4 0 0 1 16 10z'/%3E%3C/svg%3E";

/// The places of the demo, as the navigation of each page shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Authgear's pages, the start page among them.
    Start,
    /// The app, or its part for people who are logged in.
    App,
}

/// A whole document.
pub(crate) struct Document<'a> {
    pub(crate) title: &'a str,
    /// Where it is, if it is a page of the demo: it then has the demo's navigation.
    pub(crate) place: Option<Place>,
    /// The path of its script on this origin, if it has one.
    pub(crate) script: Option<&'a str>,
    pub(crate) body: &'a Markup,
}

impl Document<'_> {
    /// Its markup.
    pub(crate) fn markup(&self) -> String {
        let script = match self.script {
            Some(path) => format!("<script src=\"{}\" defer></script>\n", escape(path)),
            None => String::new(),
        };
        format!(
            r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="{ICON}">
<style>{STYLE}</style>
{script}</head>
<body>
{header}<main id="main">
{body}
</main>
</body>
</html>
"#,
            title = escape(self.title),
            header = self.place.map(header).unwrap_or_default(),
            body = self.body.0
        )
    }

    /// As an answer, with the policy that lets it load nothing from elsewhere.
    pub(crate) fn reply(&self) -> Reply {
        let mut reply = Reply::new(self.markup().into());
        let headers = reply.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::CONTENT_SECURITY_POLICY, policy(self.script.is_some()));
        reply
    }
}

/// `Content-Security-Policy`: its own style, and, with a script, that of this origin, which may ask this origin.
fn policy(has_script: bool) -> HeaderValue {
    static STYLE_HASH: LazyLock<String> = LazyLock::new(|| STANDARD.encode(Sha256::digest(STYLE)));
    let script = match has_script {
        true => {
            " script-src 'self'; connect-src 'self'; require-trusted-types-for 'script'; trusted-types 'none';"
        }
        false => "",
    };
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; img-src data:;{script} base-uri 'none'; frame-ancestors 'none'",
        *STYLE_HASH
    );
    // Text of ours, in ASCII.
    HeaderValue::try_from(policy).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
}

fn header(current: Place) -> String {
    let link = |place: Place, path: &str, text: &str| {
        let here = if place == current { " aria-current=\"true\"" } else { "" };
        format!("<a href=\"{path}\"{here}>{text}</a>")
    };
    format!(
        r##"<a class="skip" href="#main">Skip to the content</a>
<header class="bar">
<a class="brand" href="/"><svg viewBox="0 0 32 32" aria-hidden="true"><path class="shield" d="M16 2 4 6v9c0 8 5 12.5 12 15 7-2.5 12-7 12-15V6z"/><path class="hole" d="M16 10a4 4 0 0 1 2 7.4V22h-4v-4.6A4 4 0 0 1 16 10z"/></svg>authgear-filter <span>demo</span></a>
<nav aria-label="Demo">{} {}</nav>
</header>
"##,
        link(Place::Start, "/", "Start"),
        link(Place::App, "/app", "The app"),
    )
}

/// Escapes text for use in an element or a quoted attribute.
pub(crate) fn escape(text: &str) -> String {
    let mut markup = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => markup.push_str("&amp;"),
            '<' => markup.push_str("&lt;"),
            '>' => markup.push_str("&gt;"),
            '"' => markup.push_str("&quot;"),
            '\'' => markup.push_str("&#39;"),
            other => markup.push(other),
        }
    }
    markup
}
