//! One budget for several maps.

use super::{BoundedMap, Budget, Weigh};

/// Evicts the least recently used entries of all maps until they fit their budget.
pub fn trim<'m, V: Weigh + 'm>(budget: &Budget, maps: impl IntoIterator<Item = &'m mut BoundedMap<V>>) {
    if !budget.is_exceeded() {
        return;
    }
    let mut maps: Vec<_> = maps.into_iter().collect();
    while budget.is_exceeded() {
        let holders = maps.iter_mut().filter_map(|map| Some((map.oldest_use()?, map)));
        let Some((_, map)) = holders.min_by_key(|(used, _)| *used) else { return };
        map.evict();
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::rc::Rc;
    use std::time::Duration;

    use super::*;
    use crate::cache::{Key, Lifetime, Part};
    use crate::http::UnixTime;

    struct Answer(usize);

    impl Weigh for Answer {
        fn weight(&self) -> usize {
            self.0
        }
    }

    const NOW: UnixTime = UnixTime::from_secs(100);

    fn key(name: &str) -> Key {
        Key::of(&[(Part::Bearer, name.as_bytes())])
    }

    #[test]
    fn several_maps_together_forget_what_was_least_recently_used_of_all() {
        let budget = Budget::shared(NonZeroUsize::new(3).unwrap(), 10_000);
        let mut maps = [BoundedMap::within(Rc::clone(&budget)), BoundedMap::within(Rc::clone(&budget))];
        let life = Lifetime::new(UnixTime::from_secs(200), Duration::ZERO);
        let insert = |maps: &mut [BoundedMap<Answer>; 2], map: usize, name: &str, weight: usize| {
            maps[map].insert(&key(name), Answer(weight), life, NOW);
            trim(&budget, maps.iter_mut());
        };
        insert(&mut maps, 0, "a", 400);
        insert(&mut maps, 0, "b", 400);
        insert(&mut maps, 1, "a", 400);
        assert!(maps[0].get(&key("a"), NOW).is_some(), "all three fit, and this one is in use");
        insert(&mut maps, 1, "c", 400);
        let held = |maps: &mut [BoundedMap<Answer>; 2]| {
            let mut held = |map: usize, name: &str| maps[map].get(&key(name), NOW).is_some();
            [held(0, "a"), held(0, "b"), held(1, "a"), held(1, "c"), held(1, "d")]
        };
        assert_eq!(held(&mut maps), [true, false, true, true, false]);
        // A heavy entry displaces the others; one that is too heavy on its own is not kept.
        insert(&mut maps, 1, "d", 9_500);
        assert_eq!(held(&mut maps), [false, false, false, false, true]);
        insert(&mut maps, 0, "a", 10_001);
        assert_eq!(held(&mut maps), [false, false, false, false, true]);
        maps[1].clear();
        insert(&mut maps, 0, "a", 400);
        insert(&mut maps, 0, "b", 400);
        insert(&mut maps, 1, "a", 400);
        assert_eq!(held(&mut maps), [true, true, true, false, false], "what is cleared is given back");
    }
}
