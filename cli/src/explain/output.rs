//! An explanation → text for people, or JSON.

use std::io::{self, Write};

use super::{Explanation, Reading, ToldCall, ToldHeader, ToldOutcome, ToldToken};
use crate::check::output::printable;

/// Writes an explanation as one JSON object.
pub(crate) fn json(explanation: &Explanation, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, explanation)?;
    writeln!(out)
}

/// Writes an explanation for people.
pub(crate) fn text(explanation: &Explanation, out: &mut dyn Write) -> io::Result<()> {
    let Explanation { request, project, readings, access, require, token, calls, outcomes } = explanation;
    writeln!(out, "{}", printable(request))?;
    if let Some(project) = project {
        writeln!(out, "\nproject: {}", printable(project))?;
    }
    if !readings.is_empty() {
        writeln!(out, "\nrules")?;
    }
    for Reading { path, rules } in readings {
        let path = path.as_deref().map_or("a path that nobody can say how programs read", |path| path);
        writeln!(out, "  {}", printable(path))?;
        for rule in rules {
            let configured = rule.configured.as_ref().map(|rule| format!("  {rule}")).unwrap_or_default();
            writeln!(out, "    {}: {}{}", rule.rule, rule.access, printable(&configured))?;
        }
    }
    if readings.len() > 1 {
        writeln!(out, "  programs read this path differently: all of these apply, the strictest decides")?;
    }
    if !readings.is_empty() {
        let demands: Vec<_> = require.iter().map(|require| format!(", {require}")).collect();
        writeln!(out, "  together: {access}{}", printable(&demands.concat()))?;
    }
    if let Some(token) = token {
        write_token(token, out)?;
    }
    for call in calls {
        write_call(call, out)?;
    }
    outcomes.iter().try_for_each(|outcome| write_outcome(outcome, out))
}

fn write_token(token: &ToldToken, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\ntoken")?;
    writeln!(out, "  in: {}", printable(&token.place))?;
    for (name, part) in [("header", &token.header), ("claims", &token.claims)] {
        if let Some(part) = part {
            let json = serde_json::to_string(part).unwrap_or_default();
            writeln!(out, "  {name}: {}", printable(&json))?;
        }
    }
    let verdict = match token.accepted {
        Some(true) => "accepted",
        Some(false) => "refused",
        None => "open",
    };
    writeln!(out, "  {verdict}: {}", printable(&token.why))
}

fn write_call(call: &ToldCall, out: &mut dyn Write) -> io::Result<()> {
    let ToldCall { purpose, upstream, method, url, headers, form } = call;
    let what = if *purpose == "keys" { "fetches the keys" } else { "asks the auth server" };
    writeln!(out, "\n{what}, by the upstream `{}`", printable(upstream))?;
    writeln!(out, "  {method} {}", printable(url))?;
    write_headers("  ", headers, out)?;
    if !form.is_empty() {
        writeln!(out, "  form: {}", printable(&form.join(", ")))?;
    }
    Ok(())
}

fn write_headers(indent: &str, headers: &[ToldHeader], out: &mut dyn Write) -> io::Result<()> {
    headers.iter().try_for_each(|ToldHeader { name, value }| {
        writeln!(out, "{indent}{}: {}", printable(name), printable(value))
    })
}

fn write_outcome(outcome: &ToldOutcome, out: &mut dyn Write) -> io::Result<()> {
    let when = outcome.when.as_ref().map(|when| format!("if {when}: ")).unwrap_or_default();
    match outcome.status {
        None => writeln!(out, "\n{when}forwarded to the app ({})", outcome.outcome)?,
        Some(status) => writeln!(out, "\n{when}answered with {status} ({})", outcome.outcome)?,
    }
    for name in &outcome.removed {
        writeln!(out, "  - {}", printable(name))?;
    }
    write_headers("  + ", &outcome.set, out)?;
    let prefix = if outcome.forwarded { "  response + " } else { "  " };
    write_headers(prefix, &outcome.response, out)?;
    match &outcome.body {
        Some(body) => writeln!(out, "  {}", printable(body)),
        None if outcome.removed.is_empty() && outcome.set.is_empty() => {
            writeln!(out, "  as it came")
        }
        None => Ok(()),
    }
}
