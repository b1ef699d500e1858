//! What a run is told: how long, which parts, which contenders, and where its results go.

use std::path::PathBuf;

use wasm_tests::envoy;
use wasm_tests::flags::{Flag, Flags};

const FLAGS: [Flag; 6] = [
    Flag { name: "rounds", about: "rounds of each measurement of CPU; at least 5 for figures to quote (7)" },
    Flag { name: "seconds", about: "how long the load of a round lasts, in whole seconds (2)" },
    Flag { name: "parts", about: "of cost,latency,start,memory,scale,signatures (all; with --only: cost)" },
    Flag { name: "only", about: "the contenders that are measured, by name (all)" },
    Flag { name: "output", about: "the directory of the results (bench, but only for a full run)" },
    Flag {
        name: "short",
        about: "true: a little of everything, to see that it works; the figures are no good",
    },
];

/// A measurement of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Cost,
    Latency,
    Start,
    Memory,
    Scale,
    Signatures,
}

const PARTS: [(&str, Part); 6] = [
    ("cost", Part::Cost),
    ("latency", Part::Latency),
    ("start", Part::Start),
    ("memory", Part::Memory),
    ("scale", Part::Scale),
    ("signatures", Part::Signatures),
];

/// The choices of a run.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) rounds: usize,
    pub(crate) seconds: u32,
    parts: Vec<Part>,
    /// Empty: all.
    only: Vec<String>,
    /// `None`: only what is printed.
    pub(crate) output: Option<PathBuf>,
    pub(crate) short: bool,
}

impl Options {
    /// Reads the command line and the environment (`BENCH_ROUNDS`, …).
    pub(crate) fn parse(
        arguments: impl IntoIterator<Item = String>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        // Empty is what a variable of make is when it is not set.
        let environment = |name: &str| environment(name).filter(|value| !value.is_empty());
        let flags = Flags::parse(&FLAGS, "BENCH", arguments, environment)?;
        let short = flags.value("short", false)?;
        let list = |name: &str| -> Vec<String> {
            let text = flags.text(name).unwrap_or_default();
            text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
        };
        let only = list("only");
        let named = list("parts");
        let part = |name: &String| {
            let known = PARTS.iter().find(|(known, _)| known == name).map(|(_, part)| *part);
            known.ok_or_else(|| format!("--parts: there is no {name:?}"))
        };
        let parts = match (named.is_empty(), only.is_empty()) {
            (false, _) => named.iter().map(part).collect::<Result<_, _>>()?,
            (true, false) => vec![Part::Cost],
            (true, true) => PARTS.map(|(_, part)| part).to_vec(),
        };
        let full = parts.len() == PARTS.len() && only.is_empty() && !short;
        let output = flags.text("output").map(PathBuf::from);
        let (rounds, seconds) = if short { (1, 1) } else { (7, 2) };
        let options = Self {
            rounds: flags.value("rounds", rounds)?,
            seconds: flags.value("seconds", seconds)?,
            parts,
            only,
            output: output.or_else(|| full.then(|| envoy::workspace_dir().join("bench"))),
            short,
        };
        match options {
            Self { rounds: 0, .. } | Self { seconds: 0, .. } => {
                Err("--rounds and --seconds are at least 1".into())
            }
            options => Ok(options),
        }
    }

    pub(crate) fn has(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }

    /// Whether a contender takes part.
    pub(crate) fn wants(&self, contender: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == contender)
    }

    /// Checks the names of `--only`.
    pub(crate) fn check_names(&self, known: &[&str]) -> Result<(), String> {
        match self.only.iter().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(format!("--only: there is no {name:?}; there are {}", known.join(", "))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options, String> {
        Options::parse(arguments.iter().map(|&text| text.to_owned()), |_| Some(String::new()))
    }

    #[test]
    fn only_a_full_run_replaces_the_results() {
        assert!(parse(&[]).unwrap().output.unwrap().ends_with("bench"));
        for partial in [&["--only", "ext-authz"][..], &["--parts", "cost"], &["--short", "true"]] {
            assert_eq!(parse(partial).unwrap().output, None, "{partial:?}");
        }
        let elsewhere = parse(&["--parts", "cost", "--output", "there"]).unwrap();
        assert_eq!(elsewhere.output, Some(PathBuf::from("there")));
    }

    #[test]
    fn what_is_not_there_is_refused() {
        for wrong in [&["--parts", "costs"][..], &["--rounds", "0"], &["--seconds", "x"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
        let options = parse(&["--only", "nobody"]).unwrap();
        assert!(options.check_names(&["somebody"]).unwrap_err().contains("somebody"));
    }
}
