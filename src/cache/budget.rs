//! The limits of one map, or of several together.

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::rc::Rc;

/// A limit on entries and bytes. Counts what is held, and numbers the uses of entries to find the least recently used
/// one among several maps.
#[derive(Debug)]
pub struct Budget {
    max_entries: NonZeroUsize,
    max_bytes: usize,
    is_shared: bool,
    entries: Cell<usize>,
    bytes: Cell<usize>,
    uses: Cell<u64>,
}

impl Budget {
    /// Creates the budget of one map, which enforces it itself.
    #[must_use]
    pub fn new(max_entries: NonZeroUsize, max_bytes: usize) -> Rc<Self> {
        Self::with(max_entries, max_bytes, false)
    }

    /// Creates the budget of several maps, which [`trim`](super::trim) enforces.
    #[must_use]
    pub fn shared(max_entries: NonZeroUsize, max_bytes: usize) -> Rc<Self> {
        Self::with(max_entries, max_bytes, true)
    }

    fn with(max_entries: NonZeroUsize, max_bytes: usize, is_shared: bool) -> Rc<Self> {
        let (entries, bytes, uses) = (Cell::new(0), Cell::new(0), Cell::new(0));
        Rc::new(Self { max_entries, max_bytes, is_shared, entries, bytes, uses })
    }

    /// Returns whether the maps hold more than the budget allows.
    #[must_use]
    pub fn is_exceeded(&self) -> bool {
        self.entries.get() > self.max_entries.get() || self.bytes.get() > self.max_bytes
    }

    pub(super) const fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    pub(super) const fn is_shared(&self) -> bool {
        self.is_shared
    }

    pub(super) fn has_room_for(&self, bytes: usize) -> bool {
        self.entries.get() < self.max_entries.get()
            && self.bytes.get().saturating_add(bytes) <= self.max_bytes
    }

    pub(super) fn take(&self, bytes: usize) {
        self.entries.set(self.entries.get().saturating_add(1));
        self.bytes.set(self.bytes.get().saturating_add(bytes));
    }

    pub(super) fn give_back(&self, entries: usize, bytes: usize) {
        self.entries.set(self.entries.get().saturating_sub(entries));
        self.bytes.set(self.bytes.get().saturating_sub(bytes));
    }

    /// Returns the number of a new use. Later uses have higher numbers.
    pub(super) fn next_use(&self) -> u64 {
        let next = self.uses.get().wrapping_add(1);
        self.uses.set(next);
        next
    }
}
