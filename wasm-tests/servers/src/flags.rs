//! Owns how the servers' binaries are told their options: `--name value`, else the environment.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::str::FromStr;

/// An option of a binary.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    /// Without the dashes. In the environment: in capitals, with `_`, after the program's prefix.
    pub name: &'static str,
    /// For the help text.
    pub about: &'static str,
}

/// The options of one start.
#[derive(Debug)]
pub struct Flags {
    given: BTreeMap<String, String>,
}

impl Flags {
    /// Reads the command line, then the environment for what it does not say.
    ///
    /// # Errors
    /// What to print instead of starting: the mistake and the help text, or only the help text.
    pub fn parse(
        known: &[Flag],
        prefix: &str,
        arguments: impl IntoIterator<Item = String>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let mut given = BTreeMap::new();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let problem = match argument
                .strip_prefix("--")
                .filter(|name| known.iter().any(|flag| flag.name == *name))
            {
                None if argument == "--help" => None,
                None => Some(format!("unknown option {argument:?}\n")),
                Some(name) => match arguments.next() {
                    Some(value) => {
                        given.insert(name.to_owned(), value);
                        continue;
                    }
                    None => Some(format!("--{name} needs a value\n")),
                },
            };
            return Err(problem.unwrap_or_default() + &help(known, prefix));
        }
        for flag in known {
            if let (false, Some(value)) =
                (given.contains_key(flag.name), environment(&variable(prefix, flag.name)))
            {
                given.insert(flag.name.to_owned(), value);
            }
        }
        Ok(Self { given })
    }

    /// The text of an option, if it was given.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.given.get(name).map(String::as_str)
    }

    /// The value of an option, or what it is if it was not given.
    ///
    /// # Errors
    /// The option and what is wrong with its value.
    pub fn value<T: FromStr<Err: Display>>(&self, name: &str, default: T) -> Result<T, String> {
        match self.text(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|error| format!("--{name} {text:?}: {error}")),
        }
    }
}

fn variable(prefix: &str, name: &str) -> String {
    format!("{prefix}_{}", name.to_ascii_uppercase().replace('-', "_"))
}

fn help(known: &[Flag], prefix: &str) -> String {
    let mut text = String::from("Options (each with a value, or by the environment):\n");
    for Flag { name, about } in known {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  --{name}, {}\n      {about}", variable(prefix, name));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [Flag; 2] = [Flag { name: "a-port", about: "" }, Flag { name: "b", about: "" }];

    fn parse(arguments: &[&str]) -> Result<Flags, String> {
        let environment = |name: &str| (name == "X_A_PORT").then(|| "7".to_owned());
        Flags::parse(&KNOWN, "X", arguments.iter().map(|&text| text.to_owned()), environment)
    }

    #[test]
    fn the_command_line_wins_over_the_environment() {
        let flags = parse(&["--b", "x"]).unwrap();
        assert_eq!((flags.value("a-port", 1), flags.text("b")), (Ok(7), Some("x")));
        assert_eq!(parse(&["--a-port", "8"]).unwrap().value("a-port", 1), Ok(8));
    }

    #[test]
    fn a_mistake_is_named() {
        for (arguments, named) in [
            (&["--c", "1"][..], "--c"),
            (&["b"], "\"b\""),
            (&["--b"], "--b needs"),
            (&["--help"], "--a-port, X_A_PORT"),
        ] {
            assert!(parse(arguments).unwrap_err().contains(named), "{arguments:?}");
        }
        assert!(
            parse(&["--a-port", "x"]).unwrap().value("a-port", 1).unwrap_err().contains("--a-port \"x\"")
        );
    }
}
