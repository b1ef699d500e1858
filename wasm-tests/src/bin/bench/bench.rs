//! What all measurements share: app, authorizer, keys, requests, the load generator, and the CPUs that they use.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use wasm_tests::authgear::{Authgear, Options};
use wasm_tests::client::{self, Request};
use wasm_tests::envoy;
use wasm_tests::scene::ORIGIN;
use wasm_tests::wait::{holds, try_wait_until};

use crate::envoys::Envoys;
use crate::load::Wrk;
use crate::machine::Cpus;
use crate::nginx::Nginx;
use crate::options::Options as Chosen;
use crate::request::{PATH, Requests, session};

/// How long keys may take to arrive.
const KEYS_TIMEOUT: Duration = Duration::from_secs(20);

/// More than the filter caches (`cache.max_entries`), so that a token has been evicted when its turn comes again.
const TOKENS: usize = 12_000;
/// The figures of a short run do not matter.
const TOKENS_OF_A_SHORT_RUN: usize = 100;

/// A benchmark that is set up. Dropping it stops its servers and deletes its files.
pub(crate) struct Bench {
    pub(crate) cpus: Cpus,
    pub(crate) directory: PathBuf,
    /// Publishes the keys of the tokens.
    pub(crate) authgear: Authgear,
    pub(crate) app: Nginx,
    pub(crate) authorizer: Nginx,
    pub(crate) requests: Requests,
    pub(crate) wrk: Wrk,
    pub(crate) envoys: Envoys,
    pub(crate) chosen: Chosen,
}

impl Bench {
    pub(crate) async fn prepare(chosen: Chosen) -> Result<Self, String> {
        let cpus = Cpus::choose(chosen.short)?;
        let directory = envoy::target_dir().join(format!("bench-{}", std::process::id()));
        fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        let options = Options { public_origin: Some(ORIGIN.to_owned()), ..Options::default() };
        let authgear = Authgear::start(options).await.map_err(|error| error.to_string())?;
        let count = if chosen.short { TOKENS_OF_A_SHORT_RUN } else { TOKENS };
        println!("signing {count} tokens");
        let requests = Requests::prepare(&directory, &authgear, count)?;
        cpus.stay_with_the_load()?;
        let app = Nginx::app(&directory, &cpus.load).await?;
        let authorizer = Nginx::authorizer(&directory, &cpus.load).await?;
        let envoys = Envoys::new(&directory, &app, &authorizer, authgear.main_address())?;
        let wrk = Wrk::new(&directory, &cpus)?;
        Ok(Self { cpus, directory, authgear, app, authorizer, requests, wrk, envoys, chosen })
    }

    /// Waits until a proxy lets requests through: ours may still be fetching its keys.
    pub(crate) async fn wait_for_keys(&self, proxy: SocketAddr) -> Result<(), String> {
        let waited =
            try_wait_until("a request with good credentials is let through", KEYS_TIMEOUT, || async {
                let request = Request::get(PATH)
                    .host("app-0.example.test")
                    .header("authorization", format!("Bearer {}", self.requests.token))
                    .header("cookie", format!("session={}", session(0)));
                let answer = client::send(proxy, request).await;
                holds(answer.status == 200, format!("{answer:?}"))
            });
        waited.await.map_err(|late| late.to_string())
    }

    /// How many requests the authorizer has had, including this one.
    pub(crate) async fn times_asked(&self) -> Result<u64, String> {
        let answer = client::send(self.authorizer.as_proxy().address, Request::get("/asked")).await;
        // The third line has three numbers: accepted, handled, requests.
        let text = answer.text();
        let numbers = text.lines().nth(2).unwrap_or_default();
        let requests = numbers.split_whitespace().nth(2).and_then(|number| number.parse().ok());
        requests.ok_or_else(|| format!("nginx does not tell its requests: {text}"))
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // Leftover files do no harm.
        let _left = fs::remove_dir_all(&self.directory);
    }
}
