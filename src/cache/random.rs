//! Numbers for the property tests: the same for the same seed, so that a failure can be run again.

/// Xorshift (Marsaglia 2003), 64 bits.
pub(super) struct Random(u64);

impl Random {
    /// The series of a seed.
    pub(super) fn seeded(seed: u64) -> Self {
        // Small seeds begin alike, and zero would stay zero.
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// A number from 0 to `bound - 1`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let below = (self.0 >> 32).checked_rem(u64::try_from(bound).unwrap()).unwrap();
        usize::try_from(below).unwrap()
    }
}
