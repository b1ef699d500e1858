//! The phases: what fails in each, and how it is put right again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wasm_tests::authgear::{Authgear, Options};
use wasm_tests::echo::Echo;
use wasm_tests::envoy::{self, Envoy};
use wasm_tests::scene::{self, ORIGIN};
use wasm_tests::wait::{holds, try_wait_until};

use crate::Flags;
use crate::clients;
use crate::gate::{Gate, Mishap};
use crate::report::{Outcome, Phase};
use crate::tally::{Counts, Tally};

/// The workers of Envoy.
const WORKERS: u32 = 2;
/// How long a drained listener's connections may live on.
const DRAIN: Duration = Duration::from_secs(5);
/// How many requests a phase has at least, and how many answers are spoiled in it.
const REQUESTS: u64 = 100;
const SPOILED: u64 = 5;
/// How long a phase may take to get there.
const AT_MOST: Duration = Duration::from_secs(120);

/// What happens in a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Happening {
    /// The resolver's answers are spoiled.
    Resolver(Mishap),
    /// The resolver is killed, and started again.
    Killed,
    /// The main server's answers, the keys among them, are spoiled, and the keys are replaced.
    Keys(Mishap),
    /// The configuration is replaced, over and over.
    Configurations,
}

const PHASES: [(&str, Happening); 14] = [
    ("nothing", Happening::Resolver(Mishap::None)),
    ("the resolver is killed and started again", Happening::Killed),
    ("it never answers", Happening::Resolver(Mishap::Silence)),
    ("its answers drip", Happening::Resolver(Mishap::Drip)),
    ("it answers garbage", Happening::Resolver(Mishap::Garbage)),
    ("a 103 comes first", Happening::Resolver(Mishap::InformFirst)),
    ("1 MB of headers", Happening::Resolver(Mishap::HugeHead)),
    ("answers are cut off", Happening::Resolver(Mishap::CutOff)),
    ("a content-length is too large", Happening::Resolver(Mishap::TooLong)),
    ("two answers to one call", Happening::Resolver(Mishap::TwoAnswers)),
    ("connections are reset at any point", Happening::Resolver(Mishap::Reset)),
    ("the keys are garbage, and replaced", Happening::Keys(Mishap::Garbage)),
    ("the configuration is replaced, old ones drain", Happening::Configurations),
    ("nothing again", Happening::Resolver(Mishap::None)),
];

/// Everything that runs.
struct World {
    authgear: Authgear,
    resolver: Gate,
    main: Gate,
    envoy: Envoy,
    tally: Arc<Tally>,
    /// The number of the configuration.
    number: usize,
}

/// Runs all phases.
///
/// # Errors
/// If something does not start, or a phase does not come to its end.
pub(crate) async fn run(flags: &Flags) -> Result<Outcome, String> {
    let text = |error: io::Error| error.to_string();
    let options = Options { public_origin: Some(ORIGIN.to_owned()), ..Options::default() };
    let authgear = Authgear::start(options).await.map_err(text)?;
    let resolver = Gate::open(authgear.resolver_address()).await.map_err(text)?;
    let main = Gate::open(authgear.main_address()).await.map_err(text)?;
    let app = Echo::start().await.map_err(text)?;
    println!("{} sessions", flags.sessions);
    let sessions: Arc<[_]> = clients::sessions(&authgear, flags.sessions).into();
    let envoy = scene::builder(&app, main.address(), resolver.address())
        .plugin(configuration(0))
        .dynamic(DRAIN)
        .concurrency(WORKERS)
        .start()
        .await;
    let tally = Arc::new(Tally::default());
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..flags.clients)
        .map(|_| {
            let (sessions, tally, over) = (Arc::clone(&sessions), Arc::clone(&tally), Arc::clone(&over));
            tokio::spawn(clients::run(envoy.address(), sessions, tally, over))
        })
        .collect();
    let mut world = World { authgear, resolver, main, envoy, tally, number: 0 };
    let mut phases = Vec::new();
    let lie = [("it lies", Happening::Resolver(Mishap::Lie))];
    for &(name, happening) in if flags.lie { &lie[..] } else { &PHASES } {
        println!("{name}");
        let counts = world.phase(happening, flags.phase()).await?;
        app.received().clear();
        world.authgear.clear_received();
        let memory = world.envoy.resident_memory();
        phases.push(Phase { name, counts, memory });
    }
    over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.map_err(|error| format!("a client: {error}"))?;
    }
    world.ended(phases, flags).await
}

impl World {
    /// Makes it happen, lets clients go on for a while, and puts it right.
    async fn phase(&mut self, happening: Happening, lasting: Duration) -> Result<Counts, String> {
        let (spoiled, begin) = (self.resolver.spoiled() + self.main.spoiled(), Instant::now());
        match happening {
            Happening::Resolver(mishap) => self.resolver.set(mishap),
            Happening::Keys(mishap) => self.main.set(mishap),
            Happening::Killed | Happening::Configurations => {}
        }
        let mut turn = 0;
        loop {
            match happening {
                Happening::Killed => {
                    self.resolver.kill().await;
                    self.more_requests(REQUESTS / 5).await?;
                    self.resolver.revive().await.map_err(|error| error.to_string())?;
                }
                Happening::Keys(mishap) => {
                    // Tokens of before are verified with the old keys, and an unknown key is asked for.
                    self.authgear.rotate_key();
                    self.main.set(if turn % 2 == 0 { mishap } else { Mishap::None });
                }
                Happening::Configurations => {
                    self.number += 1;
                    self.envoy.reconfigure(configuration(self.number)).await;
                }
                Happening::Resolver(_) => {}
            }
            self.more_requests(REQUESTS / 5).await?;
            turn += 1;
            let spoils = matches!(happening, Happening::Resolver(mishap) if mishap != Mishap::None);
            let met = !spoils || self.resolver.spoiled() + self.main.spoiled() >= spoiled + SPOILED;
            if met && turn >= 5 && begin.elapsed() >= lasting {
                break;
            }
        }
        self.resolver.set(Mishap::None);
        self.main.set(Mishap::None);
        Ok(self.tally.take())
    }

    /// Waits for more requests.
    async fn more_requests(&self, count: u64) -> Result<(), String> {
        let due = self.tally.counted() + count;
        let waited = try_wait_until("more requests were answered", AT_MOST, || async {
            holds(self.tally.counted() >= due, format!("{} of {due}", self.tally.counted()))
        });
        waited.await.map_err(|late| late.to_string())
    }

    /// What is left when all clients are gone.
    async fn ended(&self, phases: Vec<Phase>, flags: &Flags) -> Result<Outcome, String> {
        const ACTIVE: &str = "http.ingress.downstream_rq_active";
        self.envoy.wait_for_stat_to_fall(ACTIVE, 0).await;
        self.envoy.wait_until_drained().await;
        let stats = self.envoy.stats("").await;
        let failures =
            stats.iter().filter(|(name, _)| name.contains("vm_reload")).map(|(_, count)| count).sum();
        let broken = stats.get("wasmcustom.authgear_filter.requests.broken").copied().unwrap_or_default();
        let log = self.envoy.log();
        let is_crash = |line: &&str| {
            ["panicked", "Uncaught", "Proxy-Wasm plugin in-VM"].iter().any(|word| line.contains(word))
        };
        let crashes = log.lines().filter(is_crash).map(str::to_owned).collect();
        let (seconds, sessions, clients) = (flags.seconds, flags.sessions, flags.clients);
        Ok(Outcome { phases, failures, broken, crashes, seconds, sessions, clients, workers: WORKERS })
    }
}

/// A configuration, unlike that of the next number. Answers are remembered for a moment, so that most sessions are
/// asked about again and again.
fn configuration(number: usize) -> Value {
    let mut configuration = scene::configuration();
    configuration["authgear"]["mode"] = "auto".into();
    configuration["authgear"]["revalidate"] = "1s".into();
    configuration["timeout"] = "1s".into();
    configuration["cache"] = json!({ "ttl": (["300ms", "400ms"][number % 2]), "negative_ttl": "200ms" });
    configuration["rules"] = json!([{ "prefix": "/private", "access": "required" }]);
    configuration
}

/// The version of Envoy, for the report.
pub(crate) fn envoy_version() -> String {
    let run = wasm_tests::process::command(envoy::binary()).arg("--version").output();
    let text = run.map(|run| String::from_utf8_lossy(&run.stdout).into_owned()).unwrap_or_default();
    // `…/envoy  version: <hash>/1.40.0/Clean/RELEASE/BoringSSL`
    let version = text.split_once("version: ").and_then(|(_, version)| version.split('/').nth(1));
    version.unwrap_or("of unknown version").to_owned()
}
