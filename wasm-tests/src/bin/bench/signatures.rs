//! The cost of verifying a signature inside the module, where the host cannot do it: on APISIX, and EdDSA everywhere.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use wasm_tests::apisix::Apisix;
use wasm_tests::authgear::Signer;
use wasm_tests::client::{Connection, Protocol, Request};
use wasm_tests::scene::ORIGIN;

use crate::bench::Bench;
use crate::request::USER;
use crate::statistics::Summary;

/// How many different tokens there are per algorithm.
const TOKENS: u32 = 300;
const TOKENS_OF_A_SHORT_RUN: u32 = 3;

/// The cost of an algorithm.
pub(crate) struct Signature {
    pub(crate) algorithm: &'static str,
    /// Time of a whole request whose token has been verified before, in µs: median and quartiles.
    pub(crate) cached: Summary,
    /// The same with a new token.
    pub(crate) cold: Summary,
}

/// The issuer's keys.
struct Keys<'a> {
    bench: &'a Bench,
    random: SystemRandom,
    p256: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
}

/// Measures in the APISIX-like host: one request after the other on one connection, with a new and a known token in
/// turn.
pub(crate) async fn measure(bench: &Bench) -> Result<Vec<Signature>, String> {
    let keys = Keys::new(bench)?;
    let configuration = json!({ "jwt": [{
        "issuer": ORIGIN,
        "audiences": [ORIGIN],
        "jwks": keys.public(),
        "algorithms": Keys::ALGORITHMS,
        "headers": { "x-user": "sub" },
    }]});
    let host = Apisix::builder().workers(1).plugin(configuration).start();
    let mut connection = Connection::open(host.address(), Protocol::Http1).await;
    let count = if bench.chosen.short { TOKENS_OF_A_SHORT_RUN } else { TOKENS };
    let mut found = Vec::new();
    for algorithm in Keys::ALGORITHMS {
        println!("signatures in the module: {algorithm}");
        let known = keys.token(algorithm, 0)?;
        time(&mut connection, &known).await?;
        let (mut cached, mut cold) = (Vec::new(), Vec::new());
        for number in 1..=count {
            let token = keys.token(algorithm, number)?;
            cold.push(time(&mut connection, &token).await?);
            cached.push(time(&mut connection, &known).await?);
        }
        if let (Some(cached), Some(cold)) = (middle_half(cached), middle_half(cold)) {
            found.push(Signature { algorithm, cached, cold });
        }
    }
    Ok(found)
}

/// Sends a request, and returns how long the answer took, in µs.
async fn time(connection: &mut Connection, token: &str) -> Result<f64, String> {
    let request =
        Request::get("/").host("app.example.test").header("authorization", format!("Bearer {token}"));
    let begin = Instant::now();
    let answer = connection.send(request).await;
    let time = begin.elapsed().as_secs_f64() * 1e6;
    if answer.status == 200 { Ok(time) } else { Err(format!("a good token is refused: {answer:?}")) }
}

/// Median and quartiles: single requests may be late for reasons outside the module.
fn middle_half(mut times: Vec<f64>) -> Option<Summary> {
    times.sort_by(f64::total_cmp);
    let quarter = times.len() / 4;
    Summary::of(times.get(quarter..times.len() - quarter)?.iter().copied())
}

impl<'a> Keys<'a> {
    const ALGORITHMS: [&'static str; 3] = ["RS256", "ES256", "EdDSA"];

    fn new(bench: &'a Bench) -> Result<Self, String> {
        let random = SystemRandom::new();
        let failed = |_| "no keys could be made".to_owned();
        let p256 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).map_err(failed)?;
        let p256 = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, p256.as_ref(), &random);
        let ed25519 = Ed25519KeyPair::generate_pkcs8(&random).map_err(failed)?;
        let ed25519 = Ed25519KeyPair::from_pkcs8(ed25519.as_ref());
        Ok(Self {
            bench,
            random,
            p256: p256.map_err(|error| error.to_string())?,
            ed25519: ed25519.map_err(|error| error.to_string())?,
        })
    }

    /// The stand-in's keys, all of them RSA, and one of each other kind.
    fn public(&self) -> Value {
        let mut set = self.bench.authgear.jwks();
        // The byte 4, then x and y.
        let (x, y) = self.p256.public_key().as_ref()[1..].split_at(32);
        let others = [
            json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "ES256", "x": encode(x), "y": encode(y) }),
            json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "EdDSA",
                "x": encode(self.ed25519.public_key().as_ref()) }),
        ];
        if let Some(keys) = set["keys"].as_array_mut() {
            keys.extend(others);
        }
        set
    }

    fn token(&self, algorithm: &str, number: u32) -> Result<String, String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let claims = json!({
            "iss": ORIGIN, "aud": ORIGIN, "sub": USER, "iat": now, "exp": now + 3600, "jti": number,
        });
        let kid = if algorithm == "RS256" { self.bench.authgear.current_key() } else { algorithm.to_owned() };
        let header = json!({ "alg": algorithm, "typ": "at+jwt", "kid": kid }).to_string();
        let signed = format!("{}.{}", encode(&header), encode(claims.to_string()));
        let signature = match algorithm {
            "RS256" => return Ok(self.bench.authgear.sign(&header, &claims.to_string(), Signer::Current)),
            "ES256" => {
                let signature = self.p256.sign(&self.random, signed.as_bytes());
                encode(signature.map_err(|error| error.to_string())?)
            }
            _ed_dsa => encode(self.ed25519.sign(signed.as_bytes())),
        };
        Ok(format!("{signed}.{signature}"))
    }
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
