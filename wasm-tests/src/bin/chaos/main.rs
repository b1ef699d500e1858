//! `make chaos`: a real Envoy under load, while everything around the filter fails.
//!
//! Clients with sessions of their own send requests all the time, and leave in the middle of some. Between Envoy and
//! the auth server stand [`gate`]s, which misbehave in one way per phase. Every answer is checked for whose identity
//! the app saw. The results are a table; anything that must never happen makes the program fail.

mod clients;
mod gate;
mod phases;
mod report;
mod tally;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use wasm_tests::cli;
use wasm_tests::envoy;

/// Runs Envoy and the filter under load while everything around them fails.
#[derive(Debug, Clone, Parser)]
pub(crate) struct Flags {
    /// How long each phase lasts, in seconds, after its failure has been met
    #[arg(long, env = "CHAOS_SECONDS", default_value_t = 10)]
    seconds: u64,
    /// How many sessions there are
    #[arg(long, env = "CHAOS_SESSIONS", default_value_t = 100_000)]
    sessions: usize,
    /// How many clients send requests at the same time
    #[arg(long, env = "CHAOS_CLIENTS", default_value_t = 64)]
    clients: usize,
    /// A little of everything, to see that it works
    #[arg(long)]
    short: bool,
    /// Only let the auth server lie, to see that a wrong identity is found
    #[arg(long, hide = true)]
    lie: bool,
    /// Where the table goes [default: bench/chaos.md for a full run; otherwise it is only printed]
    #[arg(long)]
    output: Option<PathBuf>,
}

impl Flags {
    fn shortened(mut self) -> Self {
        if self.short {
            (self.seconds, self.sessions, self.clients) = (0, 500, 16);
        } else if self.output.is_none() && !self.lie {
            self.output = Some(envoy::workspace_dir().join("bench/chaos.md"));
        }
        self
    }

    pub(crate) fn phase(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let flags = cli::parse::<Flags>().shortened();
    let outcome = match phases::run(&flags).await {
        Ok(outcome) => outcome,
        Err(error) => {
            eprintln!("chaos: {error}");
            return ExitCode::FAILURE;
        }
    };
    let text = outcome.markdown();
    println!("{text}");
    if let Some(path) = &flags.output
        && let Err(error) = std::fs::write(path, &text)
    {
        eprintln!("chaos: {}: {error}", path.display());
        return ExitCode::FAILURE;
    }
    let faults = outcome.faults();
    for fault in &faults {
        eprintln!("chaos: {fault}");
    }
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
