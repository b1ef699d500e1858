//! Our verdicts on tokens beside those of jsonwebtoken's own backend: what we accept, it accepts; what it accepts and we
//! refuse, we refuse for a reason that stands here.

#[cfg(test)]
#[path = "../../../tests/tokens/corpus.rs"]
#[allow(dead_code, reason = "shared with the suite of tokens, which uses more of it")]
mod corpus;
#[cfg(test)]
#[path = "../../../tests/tokens/issuer.rs"]
#[allow(dead_code, reason = "shared with the suite of tokens, which uses more of it")]
mod issuer;

#[cfg(test)]
mod tokens {
    use std::collections::BTreeMap;
    use std::time::{SystemTime, UNIX_EPOCH};

    use authgear_filter::http::UnixTime;
    use authgear_filter::jose::{Algorithm, Backend, KeySet, Refusal, Token};
    use fuzz::input::Input;
    use fuzz::tokens::{header, stated};
    use jsonwebtoken::jwk::{Jwk, JwkSet};
    use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
    use serde::de::IgnoredAny;
    use serde_json::Value;

    use crate::corpus::hostile_tokens;
    use crate::issuer::{ISSUER, Issuer, NOW, claims, policy};

    /// What jsonwebtoken accepts and we refuse, and why.
    const REFUSED: [(Refusal, &str); 14] = [
        (Refusal::TooLarge, "longer than any server takes in a header, and than a worker should hold"),
        (
            Refusal::Critical,
            "RFC 7515 section 4.1.11: who does not understand an extension that is critical must refuse",
        ),
        (Refusal::UnencodedPayload, "RFC 7797: the payload would be another one"),
        (
            Refusal::Type,
            "`typ` tells access tokens from ID tokens (RFC 9068 section 4); jsonwebtoken leaves it to its caller",
        ),
        (
            Refusal::IssuedInFuture,
            "`iat` in the future is a forgery or a broken clock; jsonwebtoken does not look at it",
        ),
        (
            Refusal::Header,
            "a name that stands twice, or a `kid` that is no string: programs would read another token",
        ),
        (Refusal::Claims, "a name that stands twice: programs would read another token"),
        (Refusal::Claim("sub"), "a registered claim of another type than its specification's"),
        (Refusal::Claim("client_id"), "likewise"),
        (Refusal::Claim("iat"), "likewise"),
        (
            Refusal::Claim("exp"),
            "a date before 1970 or after 9999, or no number: a mistake, not \"for ever\"",
        ),
        (Refusal::Claim("nbf"), "likewise"),
        (Refusal::Claim("aud"), "a list in which not everything is a string"),
        (Refusal::Claim("iss"), "a list of issuers: a token has one (RFC 7519 section 4.1.1)"),
    ];

    /// All tokens of both sources, with a moment around which each of them is good.
    struct Scene {
        issuer: Issuer,
        keys: KeySet,
        jwks: JwkSet,
        now: u64,
    }

    impl Scene {
        fn new() -> Self {
            let issuer = Issuer::new();
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
            let jwks = serde_json::from_value(issuer.jwks()).expect("a key set");
            Self { keys: issuer.keys(), jwks, issuer, now }
        }

        fn ours(&self, token: &[u8]) -> Result<(), Refusal> {
            let parsed = Token::parse(token)?;
            parsed
                .verify(&policy(), &self.keys, Backend::Portable, UnixTime::from_secs(self.now))
                .map(|_verified| ())
        }

        /// By the key that the token names, or by any where it names none.
        fn theirs(&self, token: &[u8]) -> bool {
            let Ok(header) = decode_header(token) else { return false };
            let fits = |jwk: &&Jwk| header.kid.is_none() || jwk.common.key_id == header.kid;
            let mut validation = Validation::new(header.alg);
            validation.leeway = 30;
            validation.validate_nbf = true;
            validation.set_audience(&[ISSUER]);
            validation.set_issuer(&[ISSUER]);
            validation.set_required_spec_claims(&["exp", "iss", "aud"]);
            self.jwks.keys.iter().filter(fits).any(|jwk| {
                let key = DecodingKey::from_jwk(jwk);
                key.is_ok_and(|key| decode::<IgnoredAny>(token, &key, &validation).is_ok())
            })
        }

        /// Claims of the corpus are about one moment, and jsonwebtoken reads the clock itself.
        fn moved(&self, claims: &str) -> String {
            let mut moved = claims.to_owned();
            for offset in [-130_i64, -100, -40, -31, -30, -29, -10, 0, 30, 1790] {
                let then = i64::try_from(NOW).expect("small") + offset;
                let here = i64::try_from(self.now).expect("small") + offset;
                moved = moved.replace(&then.to_string(), &here.to_string());
            }
            moved
        }
    }

    #[derive(Default)]
    struct Verdicts {
        untold: usize,
        both: usize,
        neither: usize,
        refused: BTreeMap<String, usize>,
    }

    fn compare(scene: &Scene, token: &[u8], verdicts: &mut Verdicts) {
        let shown = String::from_utf8_lossy(token);
        match (scene.ours(token), scene.theirs(token)) {
            (Ok(()), true) => verdicts.both += 1,
            (Ok(()), false) => assert!(may_be_ours_alone(token), "we alone accept {shown}"),
            (Err(_), false) => verdicts.neither += 1,
            (Err(refusal), true) => {
                let is_told = REFUSED.iter().any(|(known, _)| *known == refusal);
                if !is_told {
                    eprintln!("we alone refuse, {refusal:?}: {shown:.800}");
                    verdicts.untold += 1;
                }
                *verdicts.refused.entry(format!("{refusal:?}")).or_default() += 1;
            }
        }
    }

    /// What jsonwebtoken cannot read and we can: a `nbf` before 1970, which has passed; numbers that no double holds and
    /// halves of pairs, in claims that nobody looks at.
    fn may_be_ours_alone(token: &[u8]) -> bool {
        let text = String::from_utf8_lossy(token);
        let payload = crate::issuer::from_base64url(text.split('.').nth(1).unwrap_or_default());
        let claims = serde_json::from_slice::<Value>(&payload);
        claims.is_ok_and(|claims| claims["nbf"].as_f64().is_some_and(|nbf| nbf < 0.0))
            || serde_json::from_slice::<Value>(&payload).is_err()
    }

    #[test]
    fn what_we_accept_jsonwebtoken_accepts_and_what_we_alone_refuse_has_a_reason() {
        let scene = Scene::new();
        let mut verdicts = Verdicts::default();
        let mut good: Value = claims();
        good["iat"] = (scene.now - 10).into();
        good["exp"] = (scene.now + 1790).into();
        for hostile in hostile_tokens(&scene.issuer, &good) {
            compare(&scene, &hostile.token, &mut verdicts);
        }
        let count: usize =
            std::env::var("FUZZ_TOKENS").ok().and_then(|count| count.parse().ok()).unwrap_or(20_000);
        let seed = std::env::var("FUZZ_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
        let mut random = fuzz::input::Random::new(seed);
        for _ in 0..count {
            let bytes = random.bytes(120);
            let mut input = Input::new(&bytes);
            // The keys have other names here, and more algorithms are signed with.
            let algorithm =
                input.pick(&[Algorithm::EdDsa, Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256]);
            let kid = crate::issuer::kid(algorithm);
            let header =
                header(&mut input).replace("RS256", algorithm.name()).replace("\"k\"", &format!("\"{kid}\""));
            let claims = scene.moved(&stated(&mut input));
            let token = scene.issuer.signed(algorithm, &header, &claims).into_bytes();
            let token = if input.one_in(4) { input.damage(&token, 2, b"Aa09-_.=") } else { token };
            compare(&scene, &token, &mut verdicts);
        }
        println!(
            "tokens: {} accepted by both, {} by neither; by jsonwebtoken alone: {:?}",
            verdicts.both, verdicts.neither, verdicts.refused
        );
        assert_eq!(verdicts.untold, 0, "refused for a reason that does not stand here");
        assert!(verdicts.both > count / 20 && verdicts.neither > count / 20, "hardly compared");
        for (refusal, reason) in REFUSED {
            println!("{refusal:?}: {reason}");
        }
    }
}
