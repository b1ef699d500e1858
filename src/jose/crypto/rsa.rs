//! RSA signatures (RFC 8017), verified: the modular power, and the paddings of PKCS#1 v1.5 and PSS.
//!
//! All that goes in is public, so nothing here needs to take the same time for all of it. A library that also
//! signs does, and brings five times the code: the `rsa` crate was 50 KB of the module. Every vector of
//! Wycheproof for RSA is tried on this code.

use sha2::{Digest, Sha256, Sha384, Sha512};

/// A public key, prepared for Montgomery's multiplication, which divides by `R`, 2 to the bits of all limbs.
#[derive(Clone)]
pub(crate) struct RsaKey {
    /// 32 bits each, the lowest first; the highest is not zero.
    modulus: Vec<u32>,
    /// The length of the modulus.
    bits: usize,
    exponent: u64,
    /// `-1 / modulus` modulo 2^32.
    inverse: u32,
    /// `R * R` modulo the modulus.
    r_squared: Vec<u32>,
}

/// A hash that signatures are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl RsaKey {
    /// A key of a modulus and an exponent, big-endian without leading zeros. `None` for numbers of no RSA key:
    /// both are odd, and the exponent is from 3 to 2^33 - 1.
    pub(crate) fn new(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let length = modulus.len();
        let unused = modulus.first()?.leading_zeros();
        let bits = length.checked_mul(8)?.checked_sub(usize::try_from(unused).ok()?)?;
        let modulus = limbs(modulus);
        let exponent = exponent
            .iter()
            .try_fold(0u64, |number, byte| number.checked_mul(256)?.checked_add(u64::from(*byte)))?;
        let lowest = *modulus.first()?;
        if lowest & 1 == 0 || exponent & 1 == 0 || !(3..1 << 33).contains(&exponent) {
            return None;
        }
        // Newton's method: each step doubles the bits that are right, of which there are three to begin with.
        let mut inverse = lowest;
        for _ in 0..4 {
            inverse = inverse.wrapping_mul(2u32.wrapping_sub(lowest.wrapping_mul(inverse)));
        }
        let r_squared = vec![0; modulus.len()];
        let mut key = Self { modulus, bits, exponent, inverse: inverse.wrapping_neg(), r_squared };
        key.r_squared = key.r_squared()?;
        Some(key)
    }

    /// The length of the modulus and of every signature, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.bits.div_ceil(8)
    }

    /// Whether a signature is that of RSASSA-PKCS1-v1_5 (section 8.2.2). There is one encoding of each hash, and
    /// it is compared as a whole: nothing of the signature is parsed.
    pub(crate) fn verify_pkcs1(&self, hash: Hash, message: &[u8], signature: &[u8]) -> bool {
        let info = [hash.info(), &hash.digest(&[message])].concat();
        // At least eight bytes of padding.
        let Some(padding) = self.size().checked_sub(info.len().saturating_add(3)).filter(|bytes| *bytes >= 8)
        else {
            return false;
        };
        let expected = [&[0, 1], vec![0xff; padding].as_slice(), &[0], &info].concat();
        self.opened(signature) == Some(expected)
    }

    /// Whether a signature is that of RSASSA-PSS (sections 8.1.2 and 9.1.2), with MGF1 of the same hash and a salt
    /// as long as it.
    pub(crate) fn verify_pss(&self, hash: Hash, message: &[u8], signature: &[u8]) -> bool {
        self.opened(signature).and_then(|encoded| self.is_pss(hash, message, &encoded)) == Some(true)
    }

    fn is_pss(&self, hash: Hash, message: &[u8], encoded: &[u8]) -> Option<bool> {
        let digest = hash.digest(&[message]);
        // One bit fewer than the modulus has, which may be a byte fewer.
        let bits = self.bits.checked_sub(1)?;
        let (above, encoded) = encoded.split_at_checked(encoded.len().checked_sub(bits.div_ceil(8))?)?;
        let unused = bits.div_ceil(8).checked_mul(8)?.checked_sub(bits)?;
        let used = 0xffu8.checked_shr(u32::try_from(unused).ok()?)?;
        let (&trailer, encoded) = encoded.split_last()?;
        let (masked, salted) = encoded.split_at_checked(encoded.len().checked_sub(digest.len())?)?;
        if above.iter().any(|byte| *byte != 0) || trailer != 0xbc || masked.first()? & !used != 0 {
            return Some(false);
        }
        let mut block: Vec<u8> =
            masked.iter().zip(hash.mask(salted, masked.len())).map(|(a, b)| a ^ b).collect();
        *block.first_mut()? &= used;
        let (padding, salt) = block.split_at_checked(block.len().checked_sub(digest.len())?)?;
        let (&end, zeros) = padding.split_last()?;
        let is_padded = end == 1 && zeros.iter().all(|byte| *byte == 0);
        Some(is_padded && hash.digest(&[&[0; 8], &digest, salt]) == salted)
    }

    /// The signature to the power of the exponent (RSAVP1, section 5.2.2), as long as the modulus. `None` where it
    /// is shorter or longer than that, or not below the modulus.
    fn opened(&self, signature: &[u8]) -> Option<Vec<u8>> {
        let number = limbs(signature);
        if signature.len() != self.size() || !is_below(&number, &self.modulus) {
            return None;
        }
        let base = self.product(&number, &self.r_squared);
        let mut power = base.clone();
        // All bits of the exponent but the highest.
        for bit in (0..self.exponent.checked_ilog2()?).rev() {
            power = self.product(&power, &power);
            if self.exponent.checked_shr(bit)? & 1 == 1 {
                power = self.product(&power, &base);
            }
        }
        let mut one = vec![0; self.modulus.len()];
        *one.first_mut()? = 1;
        let power = self.product(&power, &one);
        let bytes: Vec<u8> = power.iter().rev().flat_map(|limb| limb.to_be_bytes()).collect();
        bytes.get(bytes.len().checked_sub(self.size())?..).map(<[u8]>::to_vec)
    }

    /// `a * b / R` modulo the modulus, of numbers below it.
    fn product(&self, a: &[u32], b: &[u32]) -> Vec<u32> {
        let mut sum = vec![0u32; self.modulus.len()];
        let mut above = 0;
        for &limb in a {
            let carry = add_multiple(&mut sum, limb, b);
            let top = u64::from(above).wrapping_add(u64::from(carry));
            // As many times the modulus as makes the lowest limb zero, which then is dropped.
            let times = sum.first().map_or(0, |lowest| lowest.wrapping_mul(self.inverse));
            let carry = add_multiple(&mut sum, times, &self.modulus);
            let (low, high) = halves(top.wrapping_add(u64::from(carry)));
            sum.rotate_left(1);
            if let Some(highest) = sum.last_mut() {
                *highest = low;
            }
            above = high;
        }
        if above != 0 || !is_below(&sum, &self.modulus) {
            subtract(&mut sum, &self.modulus);
        }
        sum
    }

    fn r_squared(&self) -> Option<Vec<u32>> {
        // The highest power of two that is below the modulus, doubled to R, and as often again as there are limbs:
        // R * 2^limbs, of which five squarings make R * 2^(32 * limbs).
        let limbs = self.modulus.len();
        let highest = self.bits.checked_sub(1)?;
        let mut number = vec![0; limbs];
        *number.last_mut()? = 1u32.checked_shl(u32::try_from(highest % 32).ok()?)?;
        let doublings = limbs.checked_mul(33)?.checked_sub(highest)?;
        for _ in 0..doublings {
            let mut carry = 0;
            for limb in &mut number {
                let doubled = (*limb << 1) | carry;
                carry = *limb >> 31;
                *limb = doubled;
            }
            if carry != 0 || !is_below(&number, &self.modulus) {
                subtract(&mut number, &self.modulus);
            }
        }
        for _ in 0..5 {
            number = self.product(&number, &number);
        }
        Some(number)
    }
}

impl Hash {
    pub(crate) fn digest(self, parts: &[&[u8]]) -> Vec<u8> {
        fn of<D: Digest>(parts: &[&[u8]]) -> Vec<u8> {
            let mut digest = D::new();
            for part in parts {
                digest.update(part);
            }
            digest.finalize().to_vec()
        }
        match self {
            Self::Sha256 => of::<Sha256>(parts),
            Self::Sha384 => of::<Sha384>(parts),
            Self::Sha512 => of::<Sha512>(parts),
        }
    }

    /// What stands before the hash in a `DigestInfo` (section 9.2, note 1).
    const fn info(self) -> &'static [u8] {
        match self {
            Self::Sha256 => b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20",
            Self::Sha384 => b"\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30",
            Self::Sha512 => b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40",
        }
    }

    /// MGF1 (appendix B.2.1).
    fn mask(self, seed: &[u8], length: usize) -> Vec<u8> {
        let mut mask = Vec::new();
        let mut counter = 0u32;
        while mask.len() < length {
            mask.extend(self.digest(&[seed, &counter.to_be_bytes()]));
            counter = counter.wrapping_add(1);
        }
        mask.truncate(length);
        mask
    }
}

fn limbs(big_endian: &[u8]) -> Vec<u32> {
    big_endian
        .rchunks(4)
        .map(|bytes| bytes.iter().fold(0, |limb: u32, byte| (limb << 8) | u32::from(*byte)))
        .collect()
}

/// Of two numbers of as many limbs.
fn is_below(a: &[u32], b: &[u32]) -> bool {
    a.iter().rev().lt(b.iter().rev())
}

/// Modulo 2 to the bits of all limbs.
fn subtract(number: &mut [u32], other: &[u32]) {
    let mut borrow = 0;
    for (limb, other) in number.iter_mut().zip(other) {
        let difference = u64::from(*limb).wrapping_sub(u64::from(*other)).wrapping_sub(borrow);
        *limb = halves(difference).0;
        borrow = difference >> 63;
    }
}

/// Adds `other` so many times, and returns the limb above.
fn add_multiple(number: &mut [u32], times: u32, other: &[u32]) -> u32 {
    let mut carry = 0;
    for (limb, other) in number.iter_mut().zip(other) {
        // At most 2^64 - 1: (2^32 - 1)^2 and twice 2^32 - 1.
        let sum = u64::from(times)
            .wrapping_mul(u64::from(*other))
            .wrapping_add(u64::from(*limb))
            .wrapping_add(u64::from(carry));
        (*limb, carry) = halves(sum);
    }
    carry
}

/// The low and the high 32 bits.
fn halves(number: u64) -> (u32, u32) {
    let half = |number: u64| u32::try_from(number & u64::from(u32::MAX)).unwrap_or(0);
    (half(number), half(number >> 32))
}

#[cfg(test)]
mod tests {
    use num_bigint::BigUint;

    use super::*;

    /// Bytes that look random, the same each time.
    fn bytes(seed: usize, length: usize) -> Vec<u8> {
        Hash::Sha256.mask(&seed.to_be_bytes(), length)
    }

    fn of_limbs(limbs: &[u32]) -> Vec<u8> {
        limbs.iter().flat_map(|limb| limb.to_be_bytes()).collect()
    }

    /// What a modulus may be: odd, and without leading zeros. Neither needs to be so in `bytes`.
    fn modulus(mut bytes: Vec<u8>) -> Vec<u8> {
        *bytes.last_mut().unwrap() |= 1;
        bytes.drain(..bytes.iter().position(|byte| *byte != 0).unwrap());
        bytes
    }

    /// A number below the modulus, as long as it.
    fn padded(number: &BigUint, modulus: &[u8]) -> Vec<u8> {
        let bytes = number.to_bytes_be();
        // Zero is one byte, of which a modulus has as many at least.
        [vec![0; modulus.len().saturating_sub(bytes.len())], bytes].concat()
    }

    #[test]
    fn a_number_is_opened_to_the_same_as_by_another_implementation() {
        const EDGES: [u32; 6] = [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff];
        let edge = |seed: usize| EDGES[usize::from(bytes(seed, 1)[0]) % EDGES.len()];
        let random = (1..=70).chain([127, 128, 129, 255, 256, 257]).map(|length| bytes(length, length));
        let edges = (0..300).map(|seed| {
            let limbs: Vec<u32> = (0..=seed % 9).map(|limb| edge(seed * 10 + limb)).collect();
            of_limbs(&limbs)
        });
        let full = (1..=40).flat_map(|length| {
            // All ones, and a single one at the top: of whole limbs and of others.
            [vec![0xff; length], [vec![0x80], vec![0; length]].concat(), [vec![1], vec![0; length]].concat()]
        });
        for (seed, modulus) in random.chain(edges).chain(full).map(modulus).enumerate() {
            let number = BigUint::from_bytes_be(&modulus);
            let one = BigUint::from(1u32);
            if number == one {
                continue; // Modulo one there is nothing but zero.
            }
            for exponent in [3, 17, 65_537, (1u64 << 33) - 1] {
                let exponent = BigUint::from(exponent);
                let key = RsaKey::new(&modulus, &exponent.to_bytes_be()).unwrap();
                assert_eq!(key.size(), modulus.len());
                let edges: Vec<u32> = (0..modulus.len().div_ceil(4)).map(|limb| edge(seed + limb)).collect();
                for base in [
                    BigUint::default(),
                    one.clone(),
                    &number - &one,
                    &number / 2u32,
                    BigUint::from_bytes_be(&bytes(seed, modulus.len())) % &number,
                    BigUint::from_bytes_be(&of_limbs(&edges)) % &number,
                ] {
                    let expected = padded(&base.modpow(&exponent, &number), &modulus);
                    let opened = key.opened(&padded(&base, &modulus));
                    assert_eq!(opened, Some(expected), "{base} to the {exponent} modulo {number}");
                }
            }
        }
    }

    #[test]
    fn a_number_that_is_not_below_the_modulus_or_not_as_long_is_not_opened() {
        for length in [1, 3, 4, 5, 8, 31, 32, 33, 256] {
            let modulus = modulus([vec![0x80], bytes(length, length - 1)].concat());
            let key = RsaKey::new(&modulus, &[3]).unwrap();
            let number = BigUint::from_bytes_be(&modulus);
            assert!(key.opened(&padded(&(&number - 1u32), &modulus)).is_some());
            assert_eq!(key.opened(&modulus), None);
            assert_eq!(key.opened(&padded(&(&number + 1u32), &modulus)), None);
            assert_eq!(key.opened(&vec![0xff; length]), None);
            assert_eq!(key.opened(&vec![0; length - 1]), None);
            assert_eq!(key.opened(&vec![0; length + 1]), None);
            assert_eq!(key.opened(&[]), None);
        }
    }
}
