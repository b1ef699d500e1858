//! The map: bounded in entries and bytes, its entries in the order of their use.

use std::fmt;
use std::num::NonZeroUsize;
use std::rc::Rc;

use super::Weigh;
use super::budget::Budget;
use super::key::Key;
use super::lifetime::Lifetime;
use super::recent::{RecentMap, Slot};
use crate::http::UnixTime;

/// A map from [`Key`] to answers. It drops expired entries. When it exceeds its limits, it evicts the least recently
/// used entry.
///
/// Every operation but [`BoundedMap::clear`] takes amortised constant time. Nothing sweeps: an expired entry is removed
/// when it is looked up, or when it is evicted.
///
/// When the clock is set back, the age of the entries is unknown, and each would live longer. So entries from before
/// that moment never serve again.
pub struct BoundedMap<V> {
    budget: Rc<Budget>,
    map: RecentMap<Held<V>>,
    bytes: usize,
    latest: UnixTime,
    // How often the clock was set back.
    era: u64,
    // How many entries have made room for others.
    evicted: u64,
}

struct Held<V> {
    value: V,
    life: Lifetime,
    era: u64,
    // The whole entry, as counted when it was inserted.
    bytes: usize,
    // When it was last looked up, as the budget counts.
    used: u64,
}

impl<V: Weigh> BoundedMap<V> {
    /// Creates an empty map of at most `max_entries` entries and `max_bytes` bytes. The bytes of an entry are those
    /// of its key, the weight of its value, and a fixed overhead. Memory is allocated as the map fills.
    #[must_use]
    pub fn new(max_entries: NonZeroUsize, max_bytes: usize) -> Self {
        Self::within(Budget::new(max_entries, max_bytes))
    }

    /// Creates an empty map within a budget that other maps may share. If they do, call [`trim`](super::trim) after each
    /// insertion.
    #[must_use]
    pub fn within(budget: Rc<Budget>) -> Self {
        Self { budget, map: RecentMap::new(), bytes: 0, latest: UnixTime::default(), era: 0, evicted: 0 }
    }

    /// Returns the value of a key, if it is fresh.
    pub fn get(&mut self, key: &Key, now: UnixTime) -> Option<&V> {
        let at = self.living(key, now)?;
        self.map.value(at).filter(|kept| now < kept.life.fresh_until).map(|kept| &kept.value)
    }

    /// Returns a mutable reference to the value of a key, if it is fresh. Its weight must not change.
    pub fn get_mut(&mut self, key: &Key, now: UnixTime) -> Option<&mut V> {
        let at = self.living(key, now)?;
        self.map.value_mut(at).filter(|kept| now < kept.life.fresh_until).map(|kept| &mut kept.value)
    }

    /// Returns the value of a key, even if it is stale. Only for when the auth server cannot answer.
    pub fn get_stale(&mut self, key: &Key, now: UnixTime) -> Option<&V> {
        let at = self.living(key, now)?;
        self.map.value(at).map(|kept| &kept.value)
    }

    /// Replaces the value of a key. If the new value cannot be kept, because it has expired or exceeds the whole
    /// budget, the key has no value afterwards.
    pub fn insert(&mut self, key: &Key, value: V, life: Lifetime, now: UnixTime) {
        self.look_at(now);
        self.remove(key);
        let bytes = RecentMap::<Held<V>>::ENTRY_BYTES
            .saturating_add(key.reveal().len())
            .saturating_add(value.weight());
        if now >= life.stale_until || bytes > self.budget.max_bytes() {
            return;
        }
        while !self.budget.is_shared() && !self.budget.has_room_for(bytes) && self.evict() {}
        self.map.push(key, Held { value, life, era: self.era, bytes, used: self.budget.next_use() });
        self.bytes = self.bytes.saturating_add(bytes);
        self.budget.take(bytes);
    }

    /// Evicts the least recently used entry. Returns whether there was one.
    pub(super) fn evict(&mut self) -> bool {
        let is_evicted = self.map.oldest().is_some_and(|oldest| self.remove_at(oldest).is_some());
        self.evicted = self.evicted.saturating_add(is_evicted.into());
        is_evicted
    }

    /// Returns the number of the use of the least recently used entry.
    pub(super) fn oldest_use(&self) -> Option<u64> {
        self.map.value(self.map.oldest()?).map(|kept| kept.used)
    }

    /// Removes a key and returns its value, fresh or not.
    pub fn remove(&mut self, key: &Key) -> Option<V> {
        let at = self.map.find(key)?;
        self.remove_at(at)
    }

    /// Removes every key. Takes time in proportion to the number of entries.
    pub fn clear(&mut self) {
        self.budget.give_back(self.map.len(), self.bytes);
        self.map.clear();
        self.bytes = 0;
    }

    /// Returns the number of entries, including expired ones that have not been noticed yet.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.map.len()
    }

    /// Returns whether the map is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.map.len() == 0
    }

    /// Returns how many entries have made room for others so far.
    #[must_use]
    pub const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Returns the weight of all entries, in bytes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the slot of a key's entry and marks it as the most recently used one. Removes an expired entry.
    fn living(&mut self, key: &Key, now: UnixTime) -> Option<Slot> {
        self.look_at(now);
        let at = self.map.find(key)?;
        let kept = self.map.value(at)?;
        if kept.era != self.era || now >= kept.life.stale_until {
            self.remove_at(at);
            return None;
        }
        self.map.touch(at);
        let used = self.budget.next_use();
        if let Some(kept) = self.map.value_mut(at) {
            kept.used = used;
        }
        Some(at)
    }

    /// Detects that the clock was set back.
    fn look_at(&mut self, now: UnixTime) {
        if now < self.latest {
            self.era = self.era.wrapping_add(1);
        }
        self.latest = now;
    }

    fn remove_at(&mut self, at: Slot) -> Option<V> {
        let kept = self.map.remove(at)?;
        self.bytes = self.bytes.saturating_sub(kept.bytes);
        self.budget.give_back(1, kept.bytes);
        Some(kept.value)
    }
}

/// Prints how full it is, never its content.
impl<V> fmt::Debug for BoundedMap<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundedMap")
            .field("entries", &self.map.len())
            .field("bytes", &self.bytes)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use fastrand::Rng;

    use super::*;
    use crate::cache::Part;

    /// A value with an owner.
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Item {
        of: &'static str,
        weight: usize,
    }

    impl Weigh for Item {
        fn weight(&self) -> usize {
            self.weight
        }
    }

    const ENTRY: usize = RecentMap::<Held<Item>>::ENTRY_BYTES;

    fn cache(max_entries: usize, max_bytes: usize) -> BoundedMap<Item> {
        BoundedMap::new(NonZeroUsize::new(max_entries).unwrap(), max_bytes)
    }

    fn key(name: &str) -> Key {
        Key::of(&[(Part::Bearer, name.as_bytes())])
    }

    fn at(second: u64) -> UnixTime {
        UnixTime::from_secs(second)
    }

    fn life(fresh_until: u64, stale_for: u64) -> Lifetime {
        Lifetime::new(at(fresh_until), Duration::from_secs(stale_for))
    }

    const fn answer(of: &'static str) -> Item {
        Item { of, weight: 0 }
    }

    #[test]
    fn an_entry_is_fresh_then_stale_then_gone() {
        // Time of the look-up; fresh; served stale.
        let cases: &[(u64, bool, bool)] = &[
            (100, true, true),
            (109, true, true),
            (110, false, true),
            (114, false, true),
            (115, false, false),
            (u64::MAX, false, false),
        ];
        for &(now, fresh, stale) in cases {
            let mut cache = cache(10, usize::MAX);
            cache.insert(&key("a"), answer("a"), life(110, 5), at(100));
            assert_eq!(cache.get(&key("a"), at(now)), fresh.then_some(&answer("a")), "{now}");
            assert_eq!(cache.get_stale(&key("a"), at(now)), stale.then_some(&answer("a")), "{now}");
            assert_eq!(cache.get(&key("b"), at(now)), None);
        }
    }

    #[test]
    fn an_entry_whose_life_is_over_is_removed_by_the_look_up_that_finds_it() {
        for look_up in [BoundedMap::get, BoundedMap::get_stale] {
            let mut cache = cache(10, usize::MAX);
            cache.insert(&key("a"), answer("a"), life(110, 5), at(100));
            assert_eq!(look_up(&mut cache, &key("a"), at(115)), None);
            assert!(cache.is_empty());
            assert_eq!(cache.bytes(), 0);
        }
        let mut cache = cache(10, usize::MAX);
        cache.insert(&key("a"), answer("a"), life(110, 5), at(100));
        assert_eq!(cache.get(&key("a"), at(112)), None);
        assert_eq!(cache.len(), 1, "it may yet be needed stale");
    }

    #[test]
    fn a_clock_that_was_set_back_lets_nothing_live_longer() {
        for back_to in [107, 100, 99, 0] {
            let mut cache = cache(10, usize::MAX);
            cache.insert(&key("a"), answer("a"), life(110, 100), at(100));
            cache.insert(&key("b"), answer("b"), life(110, 100), at(108));
            assert_eq!(cache.get(&key("a"), at(back_to)), None, "{back_to}");
            assert_eq!(cache.get_stale(&key("b"), at(109)), None, "{back_to}, and the old time comes again");
            assert_eq!(cache.len(), 0, "{back_to}");
            cache.insert(&key("a"), answer("a"), life(110, 0), at(109));
            assert_eq!(cache.get(&key("a"), at(109)), Some(&answer("a")), "{back_to}: stored since");
        }
    }

    #[test]
    fn a_set_back_that_an_insertion_sees_counts_too() {
        let mut cache = cache(10, usize::MAX);
        cache.insert(&key("a"), answer("a"), life(110, 0), at(105));
        cache.insert(&key("b"), answer("b"), life(110, 0), at(104));
        assert_eq!(cache.get(&key("a"), at(106)), None);
        assert_eq!(cache.get(&key("b"), at(106)), Some(&answer("b")));
    }

    #[test]
    fn the_later_answer_replaces_the_earlier_even_where_it_cannot_be_kept() {
        let heavy = Item { of: "heavy", weight: 10_000 };
        let cases = [
            (answer("new"), life(120, 0), Some(answer("new"))),
            (answer("over"), life(100, 0), None),
            (heavy, life(120, 0), None),
            (Item { of: "beyond counting", weight: usize::MAX }, life(120, 0), None),
        ];
        for (later, life_of_later, expected) in cases {
            let mut cache = cache(10, 5_000);
            cache.insert(&key("other"), answer("other"), life(120, 0), at(100));
            cache.insert(&key("a"), answer("a"), life(110, 0), at(100));
            cache.insert(&key("a"), later, life_of_later, at(100));
            assert_eq!(cache.get(&key("a"), at(100)), expected.as_ref());
            assert_eq!(cache.len(), 1 + usize::from(expected.is_some()), "nobody else is driven out");
        }
    }

    #[test]
    fn the_least_recently_used_makes_room() {
        let each = ENTRY + key("a").reveal().len();
        // By the number of entries, then by bytes.
        for (max_entries, max_bytes) in [(3, usize::MAX), (100, 3 * each + 2)] {
            let mut cache = cache(max_entries, max_bytes);
            for name in ["a", "b", "c"] {
                cache.insert(&key(name), answer(name), life(110, 10), at(100));
            }
            assert_eq!((cache.len(), cache.bytes()), (3, 3 * each));
            assert!(cache.get(&key("a"), at(100)).is_some());
            assert!(cache.get_stale(&key("b"), at(100)).is_some());
            cache.insert(&key("d"), answer("d"), life(110, 10), at(100));
            let kept = ["a", "b", "c", "d"].map(|name| cache.get(&key(name), at(100)).is_some());
            assert_eq!(kept, [true, true, false, true]);
        }
        let mut cache = cache(100, 3 * each);
        for name in ["a", "b", "c"] {
            cache.insert(&key(name), answer(name), life(110, 0), at(100));
        }
        let whole = Item { of: "d", weight: 2 * each };
        cache.insert(&key("d"), whole.clone(), life(110, 0), at(100));
        assert_eq!(cache.get(&key("d"), at(100)), Some(&whole), "as much room is made as it takes");
        assert_eq!((cache.len(), cache.bytes()), (1, 3 * each));
    }

    #[test]
    fn what_is_removed_or_cleared_is_gone() {
        let mut cache = cache(10, usize::MAX);
        for name in ["a", "b", "c"] {
            cache.insert(&key(name), answer(name), life(110, 0), at(100));
        }
        assert_eq!(cache.remove(&key("a")), Some(answer("a")));
        assert_eq!(cache.remove(&key("a")), None);
        assert_eq!((cache.len(), cache.get(&key("a"), at(100))), (2, None));
        cache.clear();
        assert_eq!((cache.len(), cache.bytes(), cache.get(&key("b"), at(100))), (0, 0, None));
    }

    #[test]
    fn nothing_that_a_cache_holds_is_printed() {
        let mut cache = cache(10, 5_000);
        cache.insert(&key("hunter2"), answer("hunter3"), life(110, 0), at(100));
        let printed = format!("{cache:?} {:?} {:?}", key("hunter2"), life(110, 0));
        assert!(printed.contains("entries: 1") && !printed.contains("hunter"), "{printed}");
    }

    /// The same rules implemented with a list, least recently used first.
    struct Model {
        max_entries: usize,
        max_bytes: usize,
        entries: Vec<ModelEntry>,
        latest: UnixTime,
        evicted: usize,
    }

    struct ModelEntry {
        key: Key,
        answer: Item,
        bytes: usize,
        /// `None` after the clock was set back.
        life: Option<Lifetime>,
    }

    impl Model {
        fn look_at(&mut self, now: UnixTime) {
            if now < self.latest {
                self.entries.iter_mut().for_each(|known| known.life = None);
            }
            self.latest = now;
        }

        fn get(&mut self, key: &Key, now: UnixTime, stale: bool) -> Option<Item> {
            self.look_at(now);
            let known = self.remove(key)?;
            let life = known.life.filter(|life| now < life.stale_until)?;
            let answer = known.answer.clone();
            self.entries.push(known);
            (stale || now < life.fresh_until).then_some(answer)
        }

        fn insert(&mut self, key: &Key, answer: Item, life: Lifetime, now: UnixTime) {
            self.look_at(now);
            self.remove(key);
            let bytes = [key.reveal().len(), answer.weight, ENTRY].iter().sum();
            if now < life.stale_until && bytes <= self.max_bytes {
                self.entries.push(ModelEntry { key: key.clone(), answer, bytes, life: Some(life) });
            }
            while self.entries.len() > self.max_entries || self.bytes() > self.max_bytes {
                self.entries.remove(0);
                self.evicted = self.evicted.saturating_add(1);
            }
        }

        fn remove(&mut self, key: &Key) -> Option<ModelEntry> {
            let at = self.entries.iter().position(|known| known.key == *key)?;
            Some(self.entries.remove(at))
        }

        fn bytes(&self) -> usize {
            self.entries.iter().map(|known| known.bytes).sum()
        }
    }

    #[test]
    fn a_cache_does_what_a_plain_list_would() {
        const NAMES: [&str; 8] = ["a", "ab", "abc", "b", "bc", "c", "", "a long name"];
        // max_entries, max_bytes; whether anything is kept; whether anything is evicted.
        let bounds = [
            (1, usize::MAX, true, true),
            (3, usize::MAX, true, true),
            (100, 6 * ENTRY, true, true),
            (5, 4 * ENTRY, true, true),
            (100, usize::MAX, true, false),
            (2, 0, false, false),
        ];
        for (seed, (max_entries, max_bytes, kept, crowded)) in (0..).zip(bounds) {
            let mut random = Rng::with_seed(seed);
            let mut cache = cache(max_entries, max_bytes);
            let mut model = Model { max_entries, max_bytes, entries: Vec::new(), latest: at(0), evicted: 0 };
            let (mut now, mut hits) = (at(1_000), 0);
            for step in 0..10_000 {
                let context = format!("seed {seed}, step {step}");
                now = match random.usize(..100) {
                    0 => UnixTime::new(now.since(at(u64::try_from(random.usize(..10)).unwrap()))),
                    1..60 => now,
                    _ => now.after(Duration::from_millis(u64::try_from(random.usize(..1_000)).unwrap())),
                };
                let name = NAMES[random.usize(..NAMES.len())];
                let key = match random.usize(..3) {
                    0 => Key::of(&[(Part::Cookie(name.as_bytes()), b"")]),
                    1 => Key::of(&[(Part::Cookie(b""), name.as_bytes())]),
                    _ => self::key(name),
                };
                match random.usize(..10) {
                    0..4 => {
                        let answer = Item { of: name, weight: random.usize(..2 * ENTRY) };
                        let seconds =
                            |random: &mut Rng| Duration::from_secs(u64::try_from(random.usize(..8)).unwrap());
                        let life = Lifetime::new(now.after(seconds(&mut random)), seconds(&mut random))
                            .ending_by(now.after(seconds(&mut random)));
                        cache.insert(&key, answer.clone(), life, now);
                        model.insert(&key, answer, life, now);
                    }
                    4 => {
                        let expected = model.remove(&key).map(|known| known.answer);
                        assert_eq!(cache.remove(&key), expected, "{context}");
                    }
                    5 => {
                        let expected = model.get(&key, now, true);
                        assert_eq!(cache.get_stale(&key, now), expected.as_ref(), "{context}");
                    }
                    _ => {
                        let expected = model.get(&key, now, false);
                        assert_eq!(cache.get(&key, now), expected.as_ref(), "{context}");
                        assert!(expected.as_ref().is_none_or(|answer| answer.of == name), "{context}");
                        hits += usize::from(expected.is_some());
                    }
                }
                let listed = cache.map.listed();
                let listed: Vec<_> = listed.into_iter().map(|(key, kept)| (key, &kept.value)).collect();
                let known: Vec<_> = model.entries.iter().map(|k| (k.key.reveal(), &k.answer)).collect();
                assert_eq!(listed, known, "{context}");
                assert_eq!((cache.len(), cache.bytes()), (known.len(), model.bytes()), "{context}");
                assert!(cache.len() <= max_entries && cache.bytes() <= max_bytes, "{context}");
            }
            assert_eq!(
                (hits > 100, model.evicted > 100),
                (kept, crowded),
                "seed {seed}: the test misses its point"
            );
        }
    }
}
