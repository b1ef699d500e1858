//! The table of a run, and what must never be in it.

use crate::phases;
use crate::tally::{Counts, Outcome as Is};

/// What came of a phase.
pub(crate) struct Phase {
    pub(crate) name: &'static str,
    pub(crate) counts: Counts,
    /// Envoy's resident memory at its end, in bytes.
    pub(crate) memory: u64,
}

/// What came of all.
pub(crate) struct Outcome {
    pub(crate) phases: Vec<Phase>,
    /// How often Envoy had to start a VM again.
    pub(crate) failures: u64,
    /// How often the filter could not decide, because Envoy refused what it asked.
    pub(crate) broken: u64,
    /// Lines of Envoy's log that tell of a crash.
    pub(crate) crashes: Vec<String>,
    pub(crate) seconds: u64,
    pub(crate) sessions: usize,
    pub(crate) clients: usize,
    pub(crate) workers: u32,
}

/// What must never be.
const NEVER: [(&str, Is); 4] = [
    ("identities of somebody else", Is::WrongIdentity),
    ("requests that got in without a session", Is::Unauthenticated),
    ("good credentials that were denied", Is::WronglyDenied),
    ("requests without an answer", Is::Unanswered),
];

impl Outcome {
    fn sum(&self, outcome: Is) -> u64 {
        self.phases.iter().map(|phase| phase.counts.of(outcome)).sum()
    }

    /// What must never be, and was.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults: Vec<String> =
            self.phases.iter().flat_map(|phase| phase.counts.examples.clone()).collect();
        for (what, outcome) in NEVER {
            let count = self.sum(outcome);
            if count > 0 {
                faults.push(format!("{count} {what}"));
            }
        }
        if self.failures > 0 {
            faults.push(format!("{} VMs had to be started again", self.failures));
        }
        if self.broken > 0 {
            faults.push(format!("{} requests were broken", self.broken));
        }
        faults.extend(self.crashes.iter().map(|line| format!("a crash: {line}")));
        faults
    }

    /// The table.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::from(
            "# Chaos\n\nWritten by `make chaos`; do not edit. A real Envoy under load while everything around the \
             filter fails.\n\n",
        );
        text += &format!(
            "Envoy {}, {} workers, {} clients at once, {} sessions of up to 1,000 users (cookies, opaque tokens, up to 200 JWTs, \
             one credential of nobody in twenty-five), {} s a phase. Each request also carries forged identity headers. One in twenty \
             clients leaves in the middle.\n\n",
            phases::envoy_version(),
            self.workers,
            self.clients,
            self.sessions,
            self.seconds,
        );
        text += "| what fails | requests | right | 401, rightly | 503 | clients left | slowest answer, ms | memory, MB |\n";
        text += "| --- | --- | --- | --- | --- | --- | --- | --- |\n";
        for Phase { name, counts, memory } in &self.phases {
            text += &format!(
                "| {name} | {} | {} | {} | {} | {} | {} | {} |\n",
                counts.all(),
                counts.of(Is::Right),
                counts.of(Is::Denied),
                counts.of(Is::Unavailable),
                counts.of(Is::Left),
                counts.slowest.as_millis(),
                memory / 1_000_000,
            );
        }
        text += "\n| what must never be | seen |\n| --- | --- |\n";
        for (what, outcome) in NEVER {
            text += &format!("| {what} | {} |\n", self.sum(outcome));
        }
        text += &format!("| VMs that had to be started again | {} |\n", self.failures);
        text += &format!(
            "| requests that the filter could not decide about because Envoy refused what it asked | {} |\n",
            self.broken
        );
        text += &format!("| lines of the log that tell of a crash | {} |\n", self.crashes.len());
        text
    }
}
