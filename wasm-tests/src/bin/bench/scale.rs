//! The cost of a request by the number or size of rules, credentials, cookies, workers and hosts.

use wasm_tests::envoy::Envoy;

use crate::accounting::{self, Proxy, Round};
use crate::bench::Bench;
use crate::envoys::{self, Filter};
use crate::request::{Load, Order};
use crate::statistics::Summary;

/// How long each proxy is under load before it is measured.
const WARM_UP_SECONDS: u32 = 1;
/// How long the load runs at a time until all credentials are cached.
const FILL_SECONDS: u32 = 5;
/// A `cache.ttl` that outlasts the measurement.
const LONG: &str = "1h";

/// Counts requests that a cached answer decided.
const REUSED: &str = "wasmcustom.authgear_filter.answers.reused";

/// One curve.
pub(crate) struct Curve {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) about: &'static str,
    pub(crate) points: Vec<Point>,
}

/// A point of a curve.
pub(crate) struct Point {
    pub(crate) size: usize,
    /// CPU of a request over that of one without a filter.
    pub(crate) ratio: Summary,
    /// CPU of a request without a filter under the same load, in µs.
    pub(crate) reference: Summary,
    /// The part of the requests that a cached answer decided.
    pub(crate) remembered: f64,
}

/// How a point is measured.
struct Plan {
    size: usize,
    filter: Filter,
    workers: u32,
    /// Whether the proxies may also use the CPU of the load.
    everywhere: bool,
    load: Load,
    /// How many requests it takes until everything is cached.
    fill: u64,
}

/// Measures all curves.
pub(crate) async fn measure(bench: &Bench) -> Result<Vec<Curve>, String> {
    let requests = &bench.requests;
    let ours = || Filter::Ours(envoys::resolver("10s"));
    let plan = |size, filter, load| Plan { size, filter, workers: 1, everywhere: false, load, fill: 0 };
    let sizes = |all: &[usize]| -> Vec<usize> {
        // A short run takes only the two ends, and no large sizes.
        let all = all.iter().copied().filter(|size| !bench.chosen.short || *size <= 10_000);
        let all: Vec<_> = all.collect();
        match (bench.chosen.short, &all[..]) {
            (true, [first, .., last]) => vec![*first, *last],
            _ => all,
        }
    };

    let mut rules = Vec::new();
    for size in sizes(&[1, 10, 100, 1000]) {
        rules.push(plan(size, Filter::Ours(envoys::rules(size)), requests.one()?));
    }
    let mut credentials = Vec::new();
    for size in sizes(&[10, 100, 1000, 10_000, 100_000]) {
        let mut configuration = envoys::resolver(LONG);
        configuration["cache"]["max_entries"] = (2 * size).into();
        let plan = plan(size, Filter::Ours(configuration), requests.sessions_alone(size)?);
        credentials.push(Plan { fill: size as u64, ..plan });
    }
    let mut cookies = Vec::new();
    for size in sizes(&[100, 1024, 4096, 8192]) {
        cookies.push(plan(size, ours(), requests.cookie(size)?));
    }
    let mut workers = Vec::new();
    for size in sizes(&[1, 2]) {
        let workers_of = u32::try_from(size).unwrap_or(1);
        workers.push(Plan { workers: workers_of, everywhere: true, ..plan(size, ours(), requests.one()?) });
    }
    let mut hosts = Vec::new();
    for size in sizes(&[1, 10, 100, 1000]) {
        hosts.push(plan(size, ours(), requests.hosts(size)?));
    }
    let curves = [
        ("rules", "rules", "A cached session; the path meets the last rule.", rules),
        (
            "credentials",
            "cached credentials",
            "Session cookies without a bearer token, at random; `cache.max_entries` is twice their number.",
            credentials,
        ),
        ("cookies", "bytes of the cookie header", "A cached session, among other cookies.", cookies),
        (
            "workers",
            "workers",
            "Both proxies may use both CPUs, which they share with the load, app and authorizer: with two CPUs \
             this shows whether workers cost each other anything, not how throughput grows.",
            workers,
        ),
        ("hosts", "different hosts", "A cached session, for different hosts at random.", hosts),
    ];
    let mut found = Vec::new();
    for (name, unit, about, plans) in curves {
        println!("scale: {name}");
        found.push(Curve { name, unit, about, points: curve(bench, plans).await? });
    }
    Ok(found)
}

/// Measures the points in turns, like the contenders.
async fn curve(bench: &Bench, plans: Vec<Plan>) -> Result<Vec<Point>, String> {
    let rounds = if bench.chosen.short { 1 } else { 3 };
    let mut running = Vec::new();
    for plan in &plans {
        let cpus = if plan.everywhere { &bench.cpus.all } else { &bench.cpus.proxy };
        let start = |filter| bench.envoys.builder(filter, plan.workers).cpus(cpus).start();
        let (reference, variant) = (start(&Filter::None).await, start(&plan.filter).await);
        bench.wait_for_keys(variant.address()).await?;
        if !bench.chosen.short {
            warm_up(bench, plan, &variant)?;
        }
        running.push((reference, variant));
    }
    let mut measured: Vec<Vec<Round>> = vec![Vec::new(); plans.len()];
    let mut reused = vec![0; plans.len()];
    for _ in 0..rounds {
        for (index, (plan, (reference, variant))) in plans.iter().zip(&running).enumerate() {
            let proxies =
                [reference, variant].map(|envoy| Proxy { address: envoy.address(), process: envoy.id() });
            let before = variant.stat(REUSED).await;
            let seconds = bench.chosen.seconds;
            let [reference, filtered] = proxies;
            measured[index].push(accounting::round(&bench.wrk, reference, filtered, &plan.load, seconds)?);
            reused[index] += variant.stat(REUSED).await - before;
        }
    }
    let point = |((plan, rounds), reused): ((&Plan, Vec<Round>), u64)| {
        let answered = rounds.iter().map(|round| round.answered).sum::<u64>();
        Some(Point {
            size: plan.size,
            ratio: Summary::of(rounds.iter().map(Round::ratio))?,
            reference: Summary::of(rounds.iter().map(|round| round.reference))?,
            remembered: reused as f64 / answered as f64,
        })
    };
    Ok(plans.iter().zip(measured).zip(reused).filter_map(point).collect())
}

/// Loads the proxy until it has asked about all credentials.
fn warm_up(bench: &Bench, plan: &Plan, envoy: &Envoy) -> Result<(), String> {
    let in_turn = Load { order: Order::Cycle, ..plan.load.clone() };
    let mut sent = bench.wrk.run(envoy.address(), &in_turn, WARM_UP_SECONDS)?;
    while sent < plan.fill {
        sent += bench.wrk.run(envoy.address(), &in_turn, FILL_SECONDS)?;
    }
    Ok(())
}
