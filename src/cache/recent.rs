//! A hash map that keeps its entries in the order of their use. Knows nothing of time or bounds.

use hashbrown::HashTable;
use memchr::arch::all::is_equal;

use super::key::Key;

/// The slot of an entry. Valid until the next removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(usize);

impl Slot {
    /// No entry. No vector is long enough to have this index.
    const NONE: Self = Self(usize::MAX);
}

/// Entries lie contiguously, and each links to its neighbours in the order of use. The index finds the slot of an
/// entry by the hash of its key.
///
/// Each operation takes constant time; growing the index takes amortised constant time. Entries store their hash, so
/// growing never reads the keys.
pub(super) struct RecentMap<T> {
    index: HashTable<Slot>,
    entries: Vec<Entry<T>>,
    newest: Slot,
    oldest: Slot,
}

struct Entry<T> {
    hash: u64,
    key: Box<[u8]>,
    older: Slot,
    newer: Slot,
    value: T,
}

impl<T> RecentMap<T> {
    /// The size of an entry, in bytes, without its key and the heap memory of its value.
    pub(super) const ENTRY_BYTES: usize = size_of::<Entry<T>>() + size_of::<Slot>();

    /// Creates an empty map.
    pub(super) fn new() -> Self {
        Self { index: HashTable::new(), entries: Vec::new(), newest: Slot::NONE, oldest: Slot::NONE }
    }

    /// Returns how many entries there are.
    pub(super) const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the slot of a key's entry. Compares the whole key.
    pub(super) fn find(&self, key: &Key) -> Option<Slot> {
        let (hash, key) = (key.hash(), key.reveal());
        let same =
            |at: &Slot| self.entry(*at).is_some_and(|entry| entry.hash == hash && is_equal(&entry.key, key));
        self.index.find(hash, same).copied()
    }

    /// Returns the value at a slot.
    pub(super) fn value(&self, at: Slot) -> Option<&T> {
        self.entry(at).map(|entry| &entry.value)
    }

    /// Returns a mutable reference to the value at a slot.
    pub(super) fn value_mut(&mut self, at: Slot) -> Option<&mut T> {
        self.entries.get_mut(at.0).map(|entry| &mut entry.value)
    }

    /// Returns the least recently used entry.
    pub(super) fn oldest(&self) -> Option<Slot> {
        self.entry(self.oldest).map(|_entry| self.oldest)
    }

    /// Marks an entry as just used.
    pub(super) fn touch(&mut self, at: Slot) {
        if at != self.newest {
            self.unlink(at);
            self.link(at);
        }
    }

    /// Adds an entry as the most recently used one. The key must not have one yet.
    pub(super) fn push(&mut self, key: &Key, value: T) {
        let hash = key.hash();
        let at = Slot(self.entries.len());
        self.entries.push(Entry {
            hash,
            key: key.reveal().into(),
            older: Slot::NONE,
            newer: Slot::NONE,
            value,
        });
        let entries = &self.entries;
        self.index.insert_unique(hash, at, |at| entries.get(at.0).map_or(0, |entry| entry.hash));
        self.link(at);
    }

    /// Removes an entry, and returns its value.
    pub(super) fn remove(&mut self, at: Slot) -> Option<T> {
        let hash = self.entry(at)?.hash;
        if let Ok(found) = self.index.find_entry(hash, |slot| *slot == at) {
            found.remove();
        }
        self.unlink(at);
        let removed = self.entries.swap_remove(at.0);
        self.moved(Slot(self.entries.len()), at);
        Some(removed.value)
    }

    /// Removes every entry.
    pub(super) fn clear(&mut self) {
        self.index.clear();
        self.entries.clear();
        (self.newest, self.oldest) = (Slot::NONE, Slot::NONE);
    }

    /// Updates the index and the neighbours after the last entry was moved into a gap.
    fn moved(&mut self, from: Slot, to: Slot) {
        let Some(&Entry { hash, older, newer, .. }) = self.entry(to) else {
            return; // The last entry was removed, so there is no gap.
        };
        if let Some(slot) = self.index.find_mut(hash, |slot| *slot == from) {
            *slot = to;
        }
        *self.newer_of(older) = to;
        *self.older_of(newer) = to;
    }

    fn unlink(&mut self, at: Slot) {
        if let Some(&Entry { older, newer, .. }) = self.entry(at) {
            *self.newer_of(older) = newer;
            *self.older_of(newer) = older;
        }
    }

    fn link(&mut self, at: Slot) {
        let before = std::mem::replace(&mut self.newest, at);
        *self.newer_of(before) = at;
        if let Some(entry) = self.entries.get_mut(at.0) {
            (entry.older, entry.newer) = (before, Slot::NONE);
        }
    }

    fn entry(&self, at: Slot) -> Option<&Entry<T>> {
        self.entries.get(at.0)
    }

    /// Returns the link to the entry used just after `at`; for `NONE`, the link to the oldest entry.
    fn newer_of(&mut self, at: Slot) -> &mut Slot {
        self.entries.get_mut(at.0).map_or(&mut self.oldest, |entry| &mut entry.newer)
    }

    /// Returns the link to the entry used just before `at`; for `NONE`, the link to the newest entry.
    fn older_of(&mut self, at: Slot) -> &mut Slot {
        self.entries.get_mut(at.0).map_or(&mut self.newest, |entry| &mut entry.older)
    }
}

#[cfg(test)]
impl<T> RecentMap<T> {
    /// Returns the keys and values, least recently used first. Panics if index and list disagree.
    pub(super) fn listed(&self) -> Vec<(&[u8], &T)> {
        let (mut listed, mut at, mut before) = (Vec::new(), self.oldest, Slot::NONE);
        while let Some(entry) = self.entry(at) {
            assert_eq!(entry.older, before);
            let same = |slot: &Slot| *slot == at;
            assert_eq!(self.index.find(entry.hash, same), Some(&at));
            listed.push((&*entry.key, &entry.value));
            (before, at) = (at, entry.newer);
        }
        assert_eq!((at, self.newest), (Slot::NONE, before));
        assert_eq!((self.entries.len(), self.index.len()), (listed.len(), listed.len()));
        listed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::key::Part;
    use fastrand::Rng;

    fn key(bytes: &[u8]) -> Key {
        Key::of(&[(Part::Bearer, bytes)])
    }

    #[test]
    fn an_entry_that_fills_a_gap_is_still_found_and_keeps_its_turn() {
        for removed in 0..4_u8 {
            let mut map = RecentMap::new();
            for name in [3, 1, 0, 2_u8] {
                map.push(&key(&[name]), name);
            }
            map.touch(map.find(&key(&[1])).unwrap());
            assert_eq!(map.remove(map.find(&key(&[removed])).unwrap()), Some(removed));
            let order: Vec<_> = map.listed().into_iter().map(|(_key, value)| *value).collect();
            assert_eq!(order, [3, 0, 2, 1].into_iter().filter(|key| *key != removed).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_order_of_use_is_that_of_a_plain_list() {
        let mut random = Rng::with_seed(3);
        let (mut map, mut model) = (RecentMap::new(), Vec::<(Key, usize)>::new());
        for step in 0..20_000 {
            let key = key(random.usize(..60).to_string().as_bytes());
            let known = model.iter().position(|entry| entry.0 == key);
            let found = map.find(&key);
            assert_eq!(found.and_then(|at| map.value(at)).copied(), known.map(|at| model[at].1));
            match (random.usize(..4), found.zip(known)) {
                (0, Some((at, known))) => assert_eq!(map.remove(at), Some(model.remove(known).1)),
                (_, Some((at, known))) => {
                    map.touch(at);
                    let entry = model.remove(known);
                    model.push(entry);
                }
                (_, None) => {
                    map.push(&key, step);
                    model.push((key, step));
                }
            }
            let oldest = map.oldest().and_then(|at| map.value(at));
            assert_eq!(oldest, model.first().map(|entry| &entry.1));
            if random.usize(..5_000) == 0 {
                map.clear();
                model.clear();
            }
            let expected: Vec<_> = model.iter().map(|(key, value)| (key.reveal(), value)).collect();
            assert_eq!(map.listed(), expected);
        }
    }
}
