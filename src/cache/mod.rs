//! A cache of answers: a map, bounded in entries and bytes, whose entries expire. It decides which entries stay and
//! for how long, not what an answer is or whether it may be kept.
//!
//! Each worker has its own cache, so nothing is shared or locked. It reads no clock.

mod bounded_map;
mod budget;
mod key;
mod lifetime;
mod recent;
mod trim;

pub use self::bounded_map::BoundedMap;
pub use self::budget::Budget;
pub use self::key::{Key, Part};
pub use self::lifetime::Lifetime;
pub use self::trim::trim;

/// What a cache needs to know about its values.
pub trait Weigh {
    /// Returns the heap memory that the value owns, in bytes.
    fn weight(&self) -> usize;
}
