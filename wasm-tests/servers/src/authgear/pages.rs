//! Owns the stand-in's pages.

use super::options::{Status, User};
use crate::html::{Markup, document, escape};

/// A whole document, with a note that this is not Authgear.
pub(super) fn page(title: &str, body: &Markup) -> String {
    let notice = "This is a <strong>stand-in for Authgear</strong>, a test double: anyone can log in as anyone. \
                  Never let it guard anything.";
    document(
        title,
        &Markup(format!("<p class=\"note\">{notice}</p>\n<h1>{}</h1>\n{}", escape(title), body.0)),
    )
}

/// A button for each user. `query` is the authorization request to continue.
pub(super) fn log_in(users: &[User], query: &str) -> Markup {
    let next = escape(query);
    let button = |user: &User| {
        let (id, about) = (escape(&user.id), escape(&user.about));
        format!(
            r#"<li><form method="post" action="/login"><input type="hidden" name="next" value="{next}"><button name="user" value="{id}">Log in as {id}</button></form> {about}</li>"#
        )
    };
    let buttons: Vec<_> = users.iter().filter(|user| user.status == Status::Active).map(button).collect();
    Markup(format!("<p>Choose who you are.</p>\n<ul>\n{}\n</ul>", buttons.join("\n")))
}

/// Who is logged in, and what they can do.
pub(super) fn account(user: &User, app_path: &str) -> Markup {
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
        r#"<p>You are logged in as <strong>{id}</strong>.</p>
<dl>
<dt>Verified</dt><dd>{verified}</dd>
<dt>Anonymous</dt><dd>{anonymous}</dd>
<dt>Roles</dt><dd>{roles}</dd>
<dt>Authenticated by</dt><dd>{amr}</dd>
</dl>
<p><a href="{app_path}">Go to the app</a></p>
<form method="post" action="/logout"><button>Log out</button></form>
<h2>Tokens</h2>
<form method="post" action="/tokens">
<ul>
{buttons}
</ul>
</form>"#,
        id = escape(&user.id),
        verified = yes_no(user.verified),
        anonymous = yes_no(user.anonymous),
        roles = list(&user.roles),
        amr = list(&user.amr),
        app_path = escape(app_path),
        buttons = buttons.join("\n"),
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
        r#"<p><label for="token">{name}</label></p>
<textarea id="token" rows="6" readonly>{token}</textarea>
{remark}
<p>Try it:</p>
<pre>curl -H 'Authorization: Bearer {token}' {app}</pre>
<p><a href="/">Back</a></p>"#,
        token = escape(token),
        app = escape(app),
    ))
}

/// What went wrong.
pub(super) fn problem(message: &str) -> Markup {
    Markup(format!("<p>{}</p>\n<p><a href=\"/\">Back to the start</a></p>", escape(message)))
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
        for body in [log_in(&users, evil), account(&user, evil), token("jwt", evil, evil), problem(evil)] {
            let page = page(evil, &body);
            assert!(!page.contains("<script>"), "{page}");
            assert!(!page.contains(evil), "{page}");
        }
    }
}
