//! Owns the stand-in's pages.

use super::options::{Status, User};
use crate::html::{Markup, escape, picture};

/// What stands on each page.
const NOTICE: &str = "This is a <strong>stand-in for Authgear</strong>, a test double: anyone can log in as anyone. \
                      Never let it guard anything.";

/// A page with this heading, and a note that this is not Authgear.
pub(super) fn page(title: &str, body: &Markup) -> Markup {
    Markup(format!("<h1>{}</h1>\n{}\n<p class=\"note end\">{NOTICE}</p>", escape(title), body.0))
}

/// The start page of whoever is not logged in: what this is, and the login.
pub(super) fn start(users: &[User], app_path: &str, is_resolver_down: bool) -> Markup {
    Markup(format!(
        r#"{down}<h1>Who is asking? The proxy knows.</h1>
<p class="lead">The filter authenticates each request inside Envoy, before the app sees it. Log in as somebody, then look
at <a href="{app}">what the app receives</a>.</p>
<section class="card" aria-labelledby="log-in">
<h2 id="log-in">Log in</h2>
{users}
</section>
<section class="card end" aria-labelledby="way">
<h2 id="way">The way of a request</h2>
{picture}
</section>
<p class="note end">{NOTICE}</p>"#,
        down = down(is_resolver_down),
        app = escape(app_path),
        users = log_in(users, "").0,
        picture = picture().0,
    ))
}

/// A button for each user. `query` is the authorization request to continue.
pub(super) fn log_in(users: &[User], query: &str) -> Markup {
    let next = escape(query);
    let button = |user: &User| {
        let (id, about) = (escape(&user.id), escape(&user.about));
        format!(
            r#"<li><form method="post" action="/login"><input type="hidden" name="next" value="{next}"><button name="user" value="{id}">{avatar}<span>Log in as {id} <small>{about}</small></span></button></form></li>"#,
            avatar = avatar(&user.id),
        )
    };
    let buttons: Vec<_> = users.iter().filter(|user| user.status == Status::Active).map(button).collect();
    Markup(format!("<ul class=\"users\">\n{}\n</ul>", buttons.join("\n")))
}

/// Who is logged in, and what they can do.
pub(super) fn account(user: &User, app_path: &str, is_resolver_down: bool) -> Markup {
    let list =
        |values: &[String]| if values.is_empty() { "none".to_owned() } else { escape(&values.join(", ")) };
    let kinds = [
        ("opaque", "Get an opaque access token"),
        ("jwt", "Get a JWT access token"),
        ("id", "Get an ID token"),
        ("machine", "Get a machine-to-machine token"),
    ];
    let buttons =
        kinds.map(|(kind, label)| format!(r#"<li><button name="kind" value="{kind}">{label}</button></li>"#));
    Markup(format!(
        r#"{down}<h1>You are logged in</h1>
<p class="lead">Authgear has given this browser a session cookie. With it, the filter tells the app who you are.</p>
<section class="card" aria-labelledby="you">
<h2 id="you" class="hidden">You</h2>
<div class="who">{avatar}<div><strong>{id}</strong><span class="quiet">{about}</span></div></div>
<dl class="facts">
<dt>Verified</dt><dd>{verified}</dd>
<dt>Anonymous</dt><dd>{anonymous}</dd>
<dt>Roles</dt><dd>{roles}</dd>
<dt>Authenticated by</dt><dd>{amr}</dd>
</dl>
<div class="row end">
<a class="button primary" href="{app_path}">Go to the app</a>
<form method="post" action="/logout"><button>Log out</button></form>
</div>
</section>
<section class="card end" aria-labelledby="tokens">
<h2 id="tokens">Tokens, for a command line</h2>
<form method="post" action="/tokens">
<ul class="plain">
{buttons}
</ul>
</form>
</section>
<section class="card end" aria-labelledby="way">
<h2 id="way">The way of a request</h2>
{picture}
</section>
<p class="note end">{NOTICE}</p>"#,
        down = down(is_resolver_down),
        avatar = avatar(&user.id),
        id = escape(&user.id),
        about = escape(&user.about),
        verified = yes_no(user.verified),
        anonymous = yes_no(user.anonymous),
        roles = list(&user.roles),
        amr = list(&user.amr),
        app_path = escape(app_path),
        buttons = buttons.join("\n"),
        picture = picture().0,
    ))
}

/// A token, and how to use it; `app` is the app's address.
pub(super) fn token(kind: &str, token: &str, app: &str) -> Markup {
    let (name, remark) = match kind {
        "jwt" => ("JWT access token", ""),
        "id" => ("ID token", "<p>It is for the app itself: as an access token it must be refused.</p>"),
        "machine" => {
            ("Machine-to-machine token", "<p>It is a program's, not yours, and for one resource only.</p>")
        }
        _ => ("Opaque access token", ""),
    };
    Markup(format!(
        r#"<section class="card">
<p><label for="token">{name}</label></p>
<textarea id="token" rows="6" readonly>{token}</textarea>
{remark}
<p class="end">Try it:</p>
<pre>curl -H 'Authorization: Bearer {token}' {app}</pre>
<p><a href="/">Back</a></p>
</section>"#,
        token = escape(token),
        app = escape(app),
    ))
}

/// What went wrong.
pub(super) fn problem(message: &str) -> Markup {
    Markup(format!("<p>{}</p>\n<p><a href=\"/\">Back to the start</a></p>", escape(message)))
}

/// Whoever took the resolver down finds here how to bring it up: the app may not answer them.
fn down(is_resolver_down: bool) -> &'static str {
    match is_resolver_down {
        true => {
            "<div class=\"note row apart\"><span>The resolver is down, because somebody took it down.</span>\
             <form method=\"post\" action=\"/stand-in/resolver\"><button name=\"state\" value=\"up\">Bring it up</button></form></div>\n"
        }
        false => "",
    }
}

/// The first letter of a name.
fn avatar(id: &str) -> String {
    let initial: String = id.chars().take(1).flat_map(char::to_uppercase).collect();
    format!(r#"<span class="avatar" aria-hidden="true">{}</span>"#, escape(&initial))
}

fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_put_into_a_page_becomes_markup() {
        let evil = r#""><script>'&"#;
        let user =
            User { about: evil.into(), roles: vec![evil.into()], amr: vec![evil.into()], ..User::new(evil) };
        let users = [user.clone()];
        for body in [
            log_in(&users, evil),
            start(&users, evil, true),
            account(&user, evil, true),
            token("jwt", evil, evil),
            problem(evil),
        ] {
            let page = page(evil, &body).0;
            assert!(!page.contains("<script>"), "{page}");
            assert!(!page.contains(evil), "{page}");
        }
    }
}
