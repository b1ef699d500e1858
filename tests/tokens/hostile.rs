//! Hostile tokens: the corpus, each refused for its own reason; and valid tokens with random damage.

use authgear_filter::auth_server::authgear::token as authgear;
use authgear_filter::jose::KeySet;
use authgear_filter::jose::{Algorithm, Backend, Refusal, Token};

use crate::corpus::hostile_tokens;
use crate::host::backends;
use crate::issuer::{Issuer, base64url, claims, now, policy};

/// All that a token of Authgear has to pass.
fn accept(token: &[u8], keys: &KeySet, backend: Backend) -> Result<authgear::Subject, Refusal> {
    let verified = Token::parse(token)?.verify(&policy(), keys, backend, now())?;
    authgear::subject(&verified.claims)
}

#[test]
fn every_hostile_token_is_refused_for_its_own_reason_by_both_backends() {
    let issuer = Issuer::new();
    let keys = issuer.keys();
    let corpus = hostile_tokens(&issuer, &claims());
    let mut wrong = Vec::new();
    for hostile in &corpus {
        for (backend_name, backend) in backends() {
            let refusal = accept(&hostile.token, &keys, backend).err().map(|refusal| format!("{refusal:?}"));
            if refusal.as_deref() != Some(hostile.refusal) {
                wrong.push(format!("{}, {backend_name}: {refusal:?}", hostile.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(corpus.len() > 150, "{}", corpus.len());
}

#[test]
fn a_damaged_token_is_never_accepted() {
    let issuer = Issuer::new();
    let keys = issuer.keys();
    let mut random = XorShift(0x9e37_79b9_7f4a_7c15);
    let [(_, portable), (_, host)] = backends();
    for algorithm in Algorithm::ALL {
        let token = issuer.token(algorithm, &claims()).into_bytes();
        for round in 0..300 {
            let damaged = damage(&token, &mut random);
            if damaged == token {
                continue;
            }
            let backend = if round % 2 == 0 { portable } else { host };
            let accepted = accept(&damaged, &keys, backend);
            assert!(accepted.is_err(), "{algorithm}: {}", String::from_utf8_lossy(&damaged));
        }
    }
}

#[test]
fn arbitrary_bytes_are_refused() {
    let issuer = Issuer::new();
    let keys = issuer.keys();
    let mut random = XorShift(0x2545_f491_4f6c_dd1d);
    for _ in 0..20_000 {
        let alphabet = b"eyJ09+/-_=.{}[]\":,\\ \0\n\xff\x80azAZ";
        let bytes: Vec<u8> = (0..random.below(60)).map(|_| alphabet[random.below(alphabet.len())]).collect();
        assert!(accept(&bytes, &keys, Backend::Portable).is_err(), "{bytes:02x?}");
    }
}

#[test]
fn moduli_of_every_length_and_signatures_of_random_bytes_are_survived() {
    let mut random = XorShift(0x0123_4567_89ab_cdef);
    for bits in 2048..=2064_usize {
        let mut bytes = |length: usize| -> Vec<u8> {
            (0..length).map(|_| u8::try_from(random.below(256)).unwrap()).collect()
        };
        let length = bits.div_ceil(8);
        let mut n = bytes(length);
        let top = 1 << ((bits - 1) % 8);
        n[0] = top | (n[0] & (top - 1));
        n[length - 1] |= 1;
        let jwk = serde_json::json!({"kty": "RSA", "n": base64url(&n), "e": "AQAB"});
        let keys = KeySet::parse(serde_json::json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap();
        for length in [length - 1, length, length + 1] {
            let signature = bytes(length);
            for algorithm in Algorithm::ALL {
                for (name, backend) in backends() {
                    let verified = backend.verify(&keys.keys()[0], algorithm, b"message", &signature);
                    assert!(!verified, "{bits} bits, {algorithm}, {name}");
                }
            }
        }
    }
}

/// One to three changes: a bit, a byte, a removal, an insertion, a cut, or two bytes swapped.
fn damage(token: &[u8], random: &mut XorShift) -> Vec<u8> {
    let mut damaged = token.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(damaged.len());
        match random.below(6) {
            0 => damaged[at] ^= 1 << random.below(8),
            1 => damaged[at] = b"Aa09-_.=\n\0"[random.below(10)],
            2 => drop(damaged.remove(at)),
            3 => damaged.insert(at, b"Aa09-_.="[random.below(8)]),
            4 => damaged.truncate(at.max(1)),
            _ => {
                let other = random.below(damaged.len());
                damaged.swap(at, other);
            }
        }
    }
    damaged
}

/// Marsaglia's xorshift64: the same damage in every run.
struct XorShift(u64);

impl XorShift {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}
