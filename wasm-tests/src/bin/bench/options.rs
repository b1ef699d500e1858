//! The options of a run: how long, which measurements, which contenders, and where the results go.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use wasm_tests::envoy;

/// Measures what the filter costs, beside what users would choose instead.
#[derive(Debug, Parser)]
pub(crate) struct Flags {
    /// Rounds of each CPU measurement; figures to quote need at least 5 [default: 7]
    #[arg(long, env = "BENCH_ROUNDS")]
    rounds: Option<NonZeroUsize>,
    /// How long the load of a round lasts, in seconds [default: 2]
    #[arg(long, env = "BENCH_SECONDS")]
    seconds: Option<NonZeroU32>,
    /// The measurements to make [default: all; with --only: cost]
    #[arg(long, env = "BENCH_PARTS", value_delimiter = ',')]
    parts: Vec<Part>,
    /// The contenders to measure, by name [default: all]
    #[arg(long, env = "BENCH_ONLY", value_delimiter = ',')]
    only: Vec<String>,
    /// The directory for the results [default: bench for a full run; otherwise they are only printed]
    #[arg(long, env = "BENCH_OUTPUT")]
    output: Option<PathBuf>,
    /// Measure a little of everything, to see that it works; the figures mean nothing
    #[arg(long, env = "BENCH_SHORT")]
    short: bool,
}

/// A measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    Cost,
    Latency,
    Start,
    Memory,
    Scale,
    Signatures,
}

/// The options of a run, with defaults filled in.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) rounds: usize,
    pub(crate) seconds: u32,
    parts: Vec<Part>,
    /// Empty means all.
    only: Vec<String>,
    /// `None` means that the results are only printed.
    pub(crate) output: Option<PathBuf>,
    pub(crate) short: bool,
}

impl From<Flags> for Options {
    fn from(Flags { rounds, seconds, mut parts, only, output, short }: Flags) -> Self {
        let all = Part::value_variants();
        if parts.is_empty() {
            parts = if only.is_empty() { all.to_vec() } else { vec![Part::Cost] };
        }
        let full = all.iter().all(|part| parts.contains(part)) && only.is_empty() && !short;
        let (default_rounds, default_seconds) = if short { (1, 1) } else { (7, 2) };
        Self {
            rounds: rounds.map_or(default_rounds, NonZeroUsize::get),
            seconds: seconds.map_or(default_seconds, NonZeroU32::get),
            parts,
            only,
            output: output.or_else(|| full.then(|| envoy::workspace_dir().join("bench"))),
            short,
        }
    }
}

impl Options {
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
    use wasm_tests::cli;

    fn parse(arguments: &[&str]) -> Result<Options, String> {
        let arguments = ["bench"].iter().chain(arguments);
        let flags = cli::try_parse::<Flags>(arguments, |_| false).map_err(|error| error.to_string());
        flags.map(Options::from)
    }

    #[test]
    fn only_a_full_run_replaces_the_results() {
        assert!(parse(&[]).unwrap().output.unwrap().ends_with("bench"));
        for partial in [&["--only", "ext-authz"][..], &["--parts", "cost"], &["--short"]] {
            assert_eq!(parse(partial).unwrap().output, None, "{partial:?}");
        }
        let elsewhere = parse(&["--parts", "cost", "--output", "there"]).unwrap();
        assert_eq!(elsewhere.output, Some(PathBuf::from("there")));
    }

    #[test]
    fn what_is_not_there_is_refused_by_the_name_of_its_flag() {
        for wrong in [
            &["--parts", "costs"][..],
            &["--parts", "cost,costs"],
            &["--rounds", "0"],
            &["--seconds", "0"],
            &["--seconds", "x"],
        ] {
            let refusal = parse(wrong).unwrap_err();
            assert!(refusal.contains(wrong[0]), "{wrong:?}: {refusal}");
        }
        let options = parse(&["--only", "nobody"]).unwrap();
        assert!(options.check_names(&["somebody"]).unwrap_err().contains("somebody"));
    }

    #[test]
    fn lists_are_separated_by_commas() {
        let options = parse(&["--parts", "cost,scale", "--only", "one,other"]).unwrap();
        assert!(options.has(Part::Cost) && options.has(Part::Scale) && !options.has(Part::Start));
        assert!(options.wants("one") && options.wants("other") && !options.wants("third"));
    }
}
