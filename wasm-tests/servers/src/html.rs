//! Owns how the test servers write HTML: without assets, and with all input escaped.

/// Finished markup.
pub(crate) struct Markup(pub(crate) String);

/// `Content-Type` of a document.
pub(crate) const TYPE: &str = "text/html; charset=utf-8";

/// `Content-Security-Policy` of a document: only its own style.
pub(crate) const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";

const STYLE: &str = "
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 48rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; background: #fff; }
button { font: inherit; padding: .3rem .8rem; margin: .2rem 0; }
dt, th { font-weight: 600; text-align: left; }
pre { overflow-x: auto; padding: .6rem; background: #f2f2f2; }
table { border-collapse: collapse; width: 100%; }
td, th { padding: .2rem .6rem; border-bottom: 1px solid #ccc; vertical-align: top; overflow-wrap: anywhere; }
th:first-child { width: 48%; }
textarea { width: 100%; font-family: monospace; }
.note { border-left: .3rem solid #b45309; padding-left: .8rem; }
";

/// A whole document with this body.
pub(crate) fn document(title: &str, body: &Markup) -> String {
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
{}
</main>
</body>
</html>
"#,
        escape(title),
        body.0
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
