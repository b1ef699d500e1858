//! Reads the programs' flags: from the command line, else from the environment.

use std::env;
use std::ffi::{OsStr, OsString};

use clap::{Command, Error, Parser};

/// Reads the flags of this program. A mistake ends the program with a message that names the flag.
///
/// An empty environment variable counts as not set: make exports a variable that nobody chose as empty.
pub fn parse<P: Parser>() -> P {
    let is_set = |name: &OsStr| env::var_os(name).is_some_and(|value| !value.is_empty());
    try_parse(env::args_os(), is_set).unwrap_or_else(|error| error.exit())
}

/// Reads flags from these arguments, of which the first is the program's name, and from the variables that are set.
///
/// # Errors
/// What to print instead of starting: the mistake, or the requested help.
pub fn try_parse<P: Parser>(
    arguments: impl IntoIterator<Item: Into<OsString> + Clone>,
    is_set: impl Fn(&OsStr) -> bool,
) -> Result<P, Error> {
    let command = with_variables(P::command(), &is_set);
    P::from_arg_matches(&command.try_get_matches_from(arguments)?)
}

fn with_variables(command: Command, is_set: &dyn Fn(&OsStr) -> bool) -> Command {
    let command = command.mut_args(|arg| match arg.get_env() {
        Some(variable) if !is_set(variable) => arg.env(None::<&str>),
        _ => arg,
    });
    command.mut_subcommands(|subcommand| with_variables(subcommand, is_set))
}
