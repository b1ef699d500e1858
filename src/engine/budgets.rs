//! How much a worker may cache, of one project or of several together.

use std::num::NonZeroUsize;
use std::rc::Rc;

use crate::cache::Budget;

/// The most that each map may weigh, in bytes, however many entries are allowed.
const MAX_MAP_BYTES: usize = 32 * 1024 * 1024;

/// How much of each kind may be cached.
#[derive(Debug, Clone)]
pub(super) struct Budgets {
    pub(super) answers: Rc<Budget>,
    pub(super) known: Rc<Budget>,
    pub(super) revoked: Rc<Budget>,
    pub(super) rejected: Rc<Budget>,
    /// How many proofs each project records. This is not shared, because none may be evicted for another project.
    pub(super) proofs: NonZeroUsize,
}

impl Budgets {
    pub(super) fn of(
        max_entries: NonZeroUsize,
        proofs: NonZeroUsize,
        budget: fn(NonZeroUsize, usize) -> Rc<Budget>,
    ) -> Self {
        let budget = || budget(max_entries, MAX_MAP_BYTES);
        Self { answers: budget(), known: budget(), revoked: budget(), rejected: budget(), proofs }
    }

    /// Returns the budgets that this many projects share.
    pub(super) fn shared(max_entries: NonZeroUsize, projects: NonZeroUsize) -> Self {
        let proofs = max_entries.get().checked_div(projects.get()).and_then(NonZeroUsize::new);
        Self::of(max_entries, proofs.unwrap_or(NonZeroUsize::MIN), Budget::shared)
    }
}
