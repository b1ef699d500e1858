//! `authgear-filter` on the command line: whether the filter takes a configuration, and what stands around it.
//!
//! It is the filter's own parser and rules that answer: the library of the module, built natively. `source` reads
//! files; `tree` knows where in them each value stands; `check` finds configurations in them and looks around.

mod arguments;
mod check;
mod schema;
mod source;
mod tree;

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use self::arguments::{Arguments, Check, Command};
use self::check::File;
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
            Self::Output(error) => write!(f, "cannot write: {error}"),
            Self::NoCommand(name) => write!(f, "there is no command `{}`", name.escape_debug()),
        }
    }
}

fn run(command: Command, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    match command {
        Command::Check(check) => run_check(&check, out),
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
