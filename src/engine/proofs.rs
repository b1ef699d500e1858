//! The accepted proofs of possession (RFC 9449), each kept for as long as it could be replayed. None is dropped
//! sooner: if there is no room, no further proof is accepted.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::num::NonZeroUsize;

use crate::http::UnixTime;
use crate::jose::dpop::ProofNumber;

/// The proofs that were accepted.
#[derive(Debug)]
pub(super) struct Proofs {
    max_entries: NonZeroUsize,
    seen: HashSet<ProofNumber>,
    /// When each would be refused anyway, the earliest first.
    ends: BinaryHeap<Reverse<(UnixTime, ProofNumber)>>,
    /// The latest end of the proofs that were dropped. If the clock was set back since, proofs that end earlier might
    /// be among them.
    let_go: UnixTime,
}

/// What is known about a proof.
#[derive(Debug)]
pub(super) enum Sighting<'p> {
    /// It is new, and there is room to record it.
    First(Room<'p>),
    /// It was used before, or might have been.
    Again,
    /// It is new, and there is no room to record it.
    NoRoom,
}

/// The room to record a new proof.
#[must_use]
#[derive(Debug)]
pub(super) struct Room<'p> {
    proofs: &'p mut Proofs,
    number: ProofNumber,
    end: UnixTime,
}

impl Proofs {
    pub(super) fn new(max_entries: NonZeroUsize) -> Self {
        Self { max_entries, seen: HashSet::new(), ends: BinaryHeap::new(), let_go: UnixTime::default() }
    }

    /// Checks a proof that would be refused from `end` on.
    pub(super) fn sight(&mut self, number: ProofNumber, end: UnixTime, now: UnixTime) -> Sighting<'_> {
        while let Some(&Reverse((over, first))) = self.ends.peek()
            && over <= now
        {
            self.ends.pop();
            self.seen.remove(&first);
            self.let_go = self.let_go.max(over);
        }
        if end <= now || end <= self.let_go || self.seen.contains(&number) {
            return Sighting::Again;
        }
        if self.seen.len() >= self.max_entries.get() {
            return Sighting::NoRoom;
        }
        Sighting::First(Room { proofs: self, number, end })
    }
}

impl Room<'_> {
    /// Records the proof.
    pub(super) fn take(self) {
        self.proofs.seen.insert(self.number);
        self.proofs.ends.push(Reverse((self.end, self.number)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> UnixTime {
        UnixTime::from_secs(second)
    }

    fn number(name: &str) -> ProofNumber {
        ProofNumber::for_tests(name)
    }

    /// The result for a proof that is recorded if it is new.
    #[derive(Debug, PartialEq, Eq)]
    enum Noted {
        First,
        Again,
        NoRoom,
    }

    impl Proofs {
        fn note(&mut self, number: ProofNumber, end: UnixTime, now: UnixTime) -> Noted {
            match self.sight(number, end, now) {
                Sighting::First(room) => {
                    room.take();
                    Noted::First
                }
                Sighting::Again => Noted::Again,
                Sighting::NoRoom => Noted::NoRoom,
            }
        }
    }

    #[test]
    fn a_proof_that_was_only_looked_at_is_not_known() {
        let mut proofs = Proofs::new(NonZeroUsize::MIN);
        for name in ["a", "a", "b"] {
            assert!(matches!(proofs.sight(number(name), at(130), at(100)), Sighting::First(_)), "{name}");
        }
        assert_eq!(proofs.note(number("b"), at(130), at(100)), Noted::First);
    }

    #[test]
    fn a_proof_is_known_for_as_long_as_it_could_be_replayed() {
        let mut proofs = Proofs::new(NonZeroUsize::MIN.saturating_add(9));
        assert_eq!(proofs.note(number("a"), at(130), at(100)), Noted::First);
        for now in [100, 101, 129, 130, 200] {
            assert_eq!(proofs.note(number("a"), at(130), at(now)), Noted::Again, "{now}");
        }
        assert_eq!(proofs.seen.len(), 0, "what is over is let go");
        assert_eq!(proofs.note(number("a"), at(231), at(201)), Noted::First, "another one of that name");
    }

    #[test]
    fn no_proof_is_forgotten_to_make_room() {
        let mut proofs = Proofs::new(NonZeroUsize::MIN.saturating_add(1));
        assert_eq!(proofs.note(number("a"), at(130), at(100)), Noted::First);
        assert_eq!(proofs.note(number("b"), at(140), at(100)), Noted::First);
        assert_eq!(proofs.note(number("c"), at(140), at(101)), Noted::NoRoom);
        assert_eq!(proofs.note(number("a"), at(130), at(129)), Noted::Again);
        assert_eq!(proofs.note(number("c"), at(140), at(130)), Noted::First, "there is room again");
        assert_eq!((proofs.seen.len(), proofs.ends.len()), (2, 2));
    }

    #[test]
    fn a_clock_that_was_set_back_opens_nothing_again() {
        let mut proofs = Proofs::new(NonZeroUsize::MIN.saturating_add(9));
        assert_eq!(proofs.note(number("a"), at(130), at(100)), Noted::First);
        assert_eq!(proofs.note(number("b"), at(530), at(500)), Noted::First);
        assert_eq!(proofs.note(number("a"), at(130), at(100)), Noted::Again, "it was let go at 500");
        assert_eq!(proofs.note(number("b"), at(530), at(500)), Noted::Again);
        assert_eq!(proofs.note(number("c"), at(131), at(101)), Noted::First);
    }
}
