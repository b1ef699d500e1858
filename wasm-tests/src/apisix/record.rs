//! The record of a running host: its log, the calls into the module, and what the filter did wrong.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::exchange::Variables;

use super::violation::Violation;

/// The longest log line of nginx, in bytes.
const LOG_LINE: usize = 4096;

/// How many callbacks are recorded.
const CALLBACKS: usize = 1000;

/// The record that a host's workers share with the test.
#[derive(Debug, Default)]
pub(super) struct Record {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    log: String,
    callbacks: Vec<String>,
    violations: Vec<Violation>,
    /// The memory of each worker's module, in bytes.
    memory: Vec<usize>,
    /// The variables of each request that has ended.
    accesses: Vec<Variables>,
}

impl Record {
    /// Writes a line as nginx does: cut, and not escaped.
    pub(super) fn log(&self, level: &str, line: &[u8]) {
        let line = format!("[{level}] {}", String::from_utf8_lossy(line));
        let end = line.floor_char_boundary(LOG_LINE);
        let mut inner = self.lock();
        inner.log.push_str(&line[..end]);
        inner.log.push('\n');
    }

    pub(super) fn violation(&self, violation: Violation) {
        self.log("violation", violation.to_string().as_bytes());
        self.lock().violations.push(violation);
    }

    pub(super) fn callback(&self, name: &str, arguments: &[i32]) {
        let mut inner = self.lock();
        if inner.callbacks.len() < CALLBACKS {
            let arguments: Vec<_> = arguments.iter().map(i32::to_string).collect();
            inner.callbacks.push(format!("{name}({})", arguments.join(", ")));
        }
    }

    pub(super) fn memory(&self, worker: usize, bytes: usize) {
        let mut inner = self.lock();
        if inner.memory.len() <= worker {
            inner.memory.resize(worker + 1, 0);
        }
        inner.memory[worker] = bytes;
    }

    /// A request has ended with these variables.
    pub(super) fn access(&self, variables: Variables) {
        let mut inner = self.lock();
        if inner.accesses.len() < CALLBACKS {
            inner.accesses.push(variables);
        }
    }

    pub(super) fn read_accesses(&self) -> Vec<Variables> {
        self.lock().accesses.clone()
    }

    pub(super) fn read_log(&self) -> String {
        self.lock().log.clone()
    }

    pub(super) fn read_callbacks(&self) -> Vec<String> {
        self.lock().callbacks.clone()
    }

    pub(super) fn read_memory(&self) -> Vec<usize> {
        self.lock().memory.clone()
    }

    pub(super) fn take_violations(&self) -> Vec<Violation> {
        std::mem::take(&mut self.lock().violations)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
