//! `authgear-filter` on the command line: whether the filter takes a configuration, and what stands around it.
//!
//! It is the filter's own parser and rules that answer: the library of the module, built natively. `source` reads
//! files; `tree` knows where in them each value stands; `check` finds configurations in them and looks around.

mod arguments;
mod check;
mod explain;
mod schema;
mod source;
mod tree;

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use authgear_filter::http::UnixTime;
use clap::{CommandFactory, Parser};

use self::arguments::{Arguments, Check, Command, Explain};
use self::check::File;
use self::explain::{Given, Request, RequestError};
use self::source::Source;

/// Something is wrong with what was looked at.
const PROBLEM: u8 = 1;

/// Something is wrong with the command line, which is also clap's code for it.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut out = anstream::AutoStream::new(io::stdout().lock(), arguments.color.choice());
    let done =
        run(arguments.command, &mut out).and_then(|code| out.flush().map(|()| code).map_err(Failure::from));
    match done {
        Ok(code) => code,
        // Whoever reads has enough.
        Err(Failure::Output(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            let mut log = anstream::AutoStream::new(io::stderr().lock(), arguments.color.choice());
            // There is nowhere left to say that this failed.
            let _ = writeln!(log, "authgear-filter: {failure}");
            ExitCode::from(USAGE)
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
enum Failure {
    /// There is no such request.
    Request(RequestError),
    /// What was given as keys are none.
    Keys(String, authgear_filter::jose::KeySetError),
    /// What was given as a token is no text.
    Token(String),
    /// A file has several configurations, at these lines.
    Several(String, Vec<usize>),
    /// A file cannot be read.
    Input(String, io::Error),
    /// The answer cannot be written.
    Output(io::Error),
    /// There is no such command to have a page.
    NoCommand(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Input(name, error) => write!(f, "{}: {error}", name.escape_debug()),
            Self::Request(error) => error.fmt(f),
            Self::Keys(name, error) => write!(f, "{}: {error}", name.escape_debug()),
            Self::Token(name) => write!(f, "{}: this is no token", name.escape_debug()),
            Self::Several(name, lines) => {
                let lines: Vec<_> = lines.iter().map(ToString::to_string).collect();
                let name = name.escape_debug();
                write!(f, "{name}: choose a configuration with --line: they begin at {}", lines.join(", "))
            }
            Self::Output(error) => write!(f, "cannot write: {error}"),
            Self::NoCommand(name) => write!(f, "there is no command `{}`", name.escape_debug()),
        }
    }
}

fn run(command: Command, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    match command {
        Command::Check(check) => run_check(&check, out),
        Command::Explain(explain) => run_explain(&explain, out),
        Command::Schema { manifests } => {
            let schema = if manifests { schema::manifests() } else { schema::configuration() };
            serde_json::to_writer_pretty(&mut *out, &schema).map_err(io::Error::from)?;
            writeln!(out)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "authgear-filter", out);
            Ok(ExitCode::SUCCESS)
        }
        Command::Man { command } => {
            let mut whole = Arguments::command();
            whole.build();
            let page = match command {
                None => whole,
                Some(name) => whole.find_subcommand(&name).cloned().ok_or(Failure::NoCommand(name))?,
            };
            clap_mangen::Man::new(page).render(out)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn run_check(arguments: &Check, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let mut files = Vec::new();
    for name in &arguments.files {
        let source = Source::read(name).map_err(|error| Failure::Input(name.clone(), error))?;
        files.push(File::new(source));
    }
    let report = check::check(&files);
    if arguments.json {
        check::output::json(&report, out)?;
    } else {
        check::output::text(&report, out)?;
    }
    let is_wrong = report.errors() > 0 || arguments.deny_warnings && report.warnings() > 0;
    Ok(if is_wrong { ExitCode::from(PROBLEM) } else { ExitCode::SUCCESS })
}

fn run_explain(arguments: &Explain, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let read = |name: &str| Source::read(name).map_err(|error| Failure::Input(name.to_owned(), error));
    let files = [File::new(read(&arguments.file)?)];
    let report = check::check(&files);
    if report.errors() > 0 {
        if arguments.json {
            check::output::json(&report, out)?;
        } else {
            check::output::text(&report, out)?;
        }
        return Ok(ExitCode::from(PROBLEM));
    }
    let line = |checked: &check::Checked<'_>| checked.configuration.line();
    let mut chosen = report
        .configurations
        .iter()
        .filter(|checked| arguments.line.is_none_or(|wanted| line(checked) == wanted));
    let (Some(checked), None) = (chosen.next(), chosen.next()) else {
        let lines = report.configurations.iter().map(line).collect();
        return Err(Failure::Several(arguments.file.clone(), lines));
    };
    let Ok(projects) = checked.configuration.parse() else { return Ok(ExitCode::from(PROBLEM)) };
    let Explain { method, url, headers, client_address, .. } = arguments;
    let mut request = Request::new(method, url, headers, *client_address).map_err(Failure::Request)?;
    let token = match (&arguments.token, &arguments.token_file) {
        (Some(token), _) => Some(token.clone()),
        (None, Some(name)) => {
            let source = read(name)?;
            let is_text = source.fault.is_none();
            Some(is_text.then_some(source.text).ok_or_else(|| Failure::Token(name.clone()))?)
        }
        (None, None) => None,
    };
    if let Some(token) = token {
        request.put_token(&projects, token.trim());
    }
    let keys = match &arguments.jwks {
        Some(name) => {
            let keys = read(name)?.text.into_bytes();
            explain::check_keys(&keys).map_err(|error| Failure::Keys(name.clone(), error))?;
            Some(keys)
        }
        None => None,
    };
    let given = Given { keys, now: arguments.now.map_or_else(now, UnixTime::from_secs) };
    let explanation = explain::explain(&checked.configuration, &projects, &request, &given);
    if arguments.json {
        explain::json(&explanation, out)?;
    } else {
        explain::text(&explanation, out)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The time. It is an argument of everything else.
#[expect(clippy::disallowed_methods, reason = "this program runs on its own, and asks once")]
fn now() -> UnixTime {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixTime::new(since_epoch.unwrap_or_default())
}
