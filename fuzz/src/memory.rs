//! A cache, used at random beside a model of it that forgets nothing.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::time::Duration;

use authgear_filter::cache::{BoundedMap, Budget, Key, Lifetime, Part, Weigh, trim};
use authgear_filter::http::UnixTime;

use crate::input::Input;

struct Kept {
    number: u64,
    weight: usize,
}

impl Weigh for Kept {
    fn weight(&self) -> usize {
        self.weight
    }
}

/// What was put last under a key.
struct Put {
    number: u64,
    fresh_until: UnixTime,
    stale_until: UnixTime,
    /// How often the clock had been set back.
    era: u64,
}

/// Kind, name and value of each input.
type Inputs = Vec<(usize, Vec<u8>, Vec<u8>)>;

const NAMES: [&[u8]; 6] = [b"a", b"b", b"ab", b"", b"\0", b"a\0"];

fn key(input: &mut Input<'_>) -> (Inputs, Key) {
    let mut inputs = Vec::new();
    let mut key = Key::new();
    for _ in 0..1 + input.below(3) {
        let (kind, name, value) = (input.below(9), input.pick(&NAMES), input.pick(&NAMES));
        let (part, name): (Part<'_>, &[u8]) = match kind {
            0 => (Part::Bearer, b""),
            1 => (Part::Bound, b""),
            2 => (Part::Header(name), name),
            3 => (Part::Cookie(name), name),
            4 => (Part::Method, b""),
            5 => (Part::Host, b""),
            6 => (Part::Path, b""),
            7 => (Part::ClientAddress, b""),
            _ => (Part::AuthUrl, b""),
        };
        key.push(part, value);
        inputs.push((kind, name.to_vec(), value.to_vec()));
    }
    (inputs, key)
}

/// See the crate.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let max_entries = NonZeroUsize::MIN.saturating_add(input.below(6));
    let max_bytes = input.pick(&[0, 300, 1_000, 4_000, 1 << 20]);
    let are_shared = input.one_in(2);
    let budget =
        if are_shared { Budget::shared(max_entries, max_bytes) } else { Budget::new(max_entries, max_bytes) };
    let count = if are_shared { 1 + input.below(3) } else { 1 };
    let mut maps: Vec<_> = (0..count).map(|_| BoundedMap::<Kept>::within(Rc::clone(&budget))).collect();
    let mut models: Vec<HashMap<_, Put>> = (0..count).map(|_| HashMap::new()).collect();
    // Each map knows the time of what is asked of it, and nothing else.
    let mut latest = vec![UnixTime::default(); count];
    let mut eras = vec![0_u64; count];
    let mut now = UnixTime::from_secs(1_000);
    let mut number = 0;
    while !input.is_over() {
        let at = input.below(count);
        let step = Duration::from_millis(u64::try_from(input.below(3_000)).unwrap_or(0));
        now = match input.below(12) {
            0 => UnixTime::new(now.since(UnixTime::default()).saturating_sub(step)),
            1..4 => now.after(step),
            _ => now,
        };
        let (inputs, key) = key(&mut input);
        let mut look = || {
            if now < latest[at] {
                eras[at] += 1;
            }
            latest[at] = now;
        };
        match input.below(8) {
            0..3 => {
                look();
                number += 1;
                let fresh = now.after(Duration::from_millis(u64::try_from(input.below(4_000)).unwrap_or(0)));
                let stale = Duration::from_millis(u64::try_from(input.pick(&[0_usize, 1_000])).unwrap_or(0));
                let weight = input.pick(&[0, 10, 200, 900, 5_000]);
                let ends = input.one_in(3).then(|| now.after(Duration::from_millis(1_500)));
                let life = Lifetime::new(fresh, stale);
                let life = ends.map_or(life, |end| life.ending_by(end));
                maps[at].insert(&key, Kept { number, weight }, life, now);
                let (fresh_until, stale_until) = (fresh, fresh.after(stale));
                let end = ends.unwrap_or(UnixTime::END);
                models[at].insert(
                    inputs,
                    Put {
                        number,
                        fresh_until: fresh_until.min(end),
                        stale_until: stale_until.min(end),
                        era: eras[at],
                    },
                );
                if are_shared {
                    trim(&budget, maps.iter_mut());
                }
            }
            3 => {
                maps[at].remove(&key);
                models[at].remove(&inputs);
            }
            kind => {
                look();
                let is_fresh = kind < 7;
                let found = if is_fresh { maps[at].get(&key, now) } else { maps[at].get_stale(&key, now) };
                if let Some(found) = found {
                    let put = models[at].get(&inputs).expect("nothing was put there");
                    assert_eq!(found.number, put.number, "another one's value");
                    let end = if is_fresh { put.fresh_until } else { put.stale_until };
                    assert!(now < end, "past its end");
                    assert_eq!(put.era, eras[at], "the clock was set back since");
                }
            }
        }
        assert!(!budget.is_exceeded());
        let entries: usize = maps.iter().map(BoundedMap::len).sum();
        let bytes: usize = maps.iter().map(BoundedMap::bytes).sum();
        assert!(entries <= max_entries.get() && bytes <= max_bytes, "{entries} entries, {bytes} bytes");
    }
}
