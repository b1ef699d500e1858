//! Bytes as a source of choices. Never fails: where the bytes end, each choice is the first one.

use arbitrary::Unstructured;

/// See the module.
pub struct Input<'d>(Unstructured<'d>);

impl<'d> Input<'d> {
    /// Choices that these bytes make.
    #[must_use]
    pub fn new(data: &'d [u8]) -> Self {
        Self(Unstructured::new(data))
    }

    /// Whether no bytes are left.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// A number below `limit`; 0 where the bytes have ended.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0.int_in_range(0..=limit.max(1) - 1).unwrap_or(0)
    }

    /// Whether something rare happens; not where the bytes have ended.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// Any byte.
    pub fn byte(&mut self) -> u8 {
        self.0.arbitrary().unwrap_or(0)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0.arbitrary().unwrap_or(0)
    }

    /// Any bytes, fewer than `limit`.
    pub fn bytes(&mut self, limit: usize) -> Vec<u8> {
        let length = self.below(limit).min(self.0.len());
        self.0.bytes(length).map(<[u8]>::to_vec).unwrap_or_default()
    }

    /// Some of these pieces, fewer than `limit`, one after the other.
    pub fn pieces(&mut self, limit: usize, of: &[&[u8]]) -> Vec<u8> {
        let count = self.below(limit);
        let mut out = Vec::new();
        for _ in 0..count {
            if self.is_over() {
                break;
            }
            match self.below(of.len() + 1).checked_sub(1) {
                Some(at) => out.extend_from_slice(of[at]),
                None => out.push(self.byte()),
            }
        }
        out
    }

    /// Up to `most` changes: a bit, a byte, a removal, an insertion, a cut, two bytes swapped, a piece repeated.
    pub fn damage(&mut self, whole: &[u8], most: usize, odd: &[u8]) -> Vec<u8> {
        let mut bytes = whole.to_vec();
        for _ in 0..self.below(most + 1) {
            if bytes.is_empty() {
                bytes.push(self.byte());
            }
            let at = self.below(bytes.len());
            match self.below(7) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = if self.one_in(4) { self.byte() } else { self.pick(odd) },
                2 => drop(bytes.remove(at)),
                3 => bytes.insert(at, if self.one_in(4) { self.byte() } else { self.pick(odd) }),
                4 => bytes.truncate(at),
                5 => {
                    let other = self.below(bytes.len());
                    bytes.swap(at, other);
                }
                _ => {
                    let end = (at + 1 + self.below(40)).min(bytes.len());
                    let piece = bytes[at..end].to_vec();
                    let to = self.below(bytes.len());
                    bytes.splice(to..to, piece);
                }
            }
        }
        bytes
    }
}

/// Bytes at random, the same for the same seed: a step of SplitMix64 for each.
pub struct Random(u64);

impl Random {
    /// A series.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// So many.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut byte = || {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed >> 56) as u8
        };
        (0..count).map(|_| byte()).collect()
    }
}
