//! What a request costs against the size of things: rules, credentials, cookies, workers, hosts.

use wasm_tests::envoy::Envoy;

use crate::accounting::{self, Proxy, Round};
use crate::bench::Bench;
use crate::envoys::{self, Filter};
use crate::request::{Load, Order};
use crate::statistics::Summary;

/// How long each is loaded before it is measured.
const WARM_UP_SECONDS: u32 = 1;
/// How long at a time while credentials are missing.
const FILL_SECONDS: u32 = 5;
/// Credentials are remembered for as long as it takes, and as many as there are.
const LONG: &str = "1h";

/// Counts what was decided by an answer that was remembered.
const REUSED: &str = "wasmcustom.authgear_filter.answers.reused";

/// One curve.
pub(crate) struct Curve {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) about: &'static str,
    pub(crate) points: Vec<Point>,
}

/// A point of it.
pub(crate) struct Point {
    pub(crate) size: usize,
    /// CPU of a request over that of one without filter.
    pub(crate) ratio: Summary,
    /// CPU of a request without filter, with the same load, in µs.
    pub(crate) reference: Summary,
    /// The part of the requests that were decided by an answer that was remembered.
    pub(crate) remembered: f64,
}

/// What a point is measured with.
struct Plan {
    size: usize,
    filter: Filter,
    workers: u32,
    /// Whether the proxies may use the CPU of the load too.
    everywhere: bool,
    load: Load,
    /// Requests that it takes until everything is remembered.
    fill: u64,
}

/// Measures all curves.
pub(crate) async fn measure(bench: &Bench) -> Result<Vec<Curve>, String> {
    let requests = &bench.requests;
    let ours = || Filter::Ours(envoys::resolver("10s"));
    let plan = |size, filter, load| Plan { size, filter, workers: 1, everywhere: false, load, fill: 0 };
    let sizes = |all: &[usize]| -> Vec<usize> {
        // Of a short run the two ends, and no large ones.
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
        ("rules", "rules", "A session that is remembered; the path meets the last rule.", rules),
        (
            "credentials",
            "credentials that are remembered",
            "Session cookies without a bearer token, at random; `cache.max_entries` is twice their number.",
            credentials,
        ),
        (
            "cookies",
            "bytes of the cookie header",
            "A session that is remembered, among other cookies.",
            cookies,
        ),
        (
            "workers",
            "workers",
            "Both proxies may use both CPUs, which they share with the load, app and authorizer: with two CPUs \
             this shows whether workers cost each other anything, not how throughput grows.",
            workers,
        ),
        ("hosts", "different hosts", "A session that is remembered, for different hosts at random.", hosts),
    ];
    let mut found = Vec::new();
    for (name, unit, about, plans) in curves {
        println!("scale: {name}");
        found.push(Curve { name, unit, about, points: curve(bench, plans).await? });
    }
    Ok(found)
}

/// The points take turns, as the contenders do.
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

/// Loads until all credentials were asked about.
fn warm_up(bench: &Bench, plan: &Plan, envoy: &Envoy) -> Result<(), String> {
    let in_turn = Load { order: Order::Cycle, ..plan.load.clone() };
    let mut sent = bench.wrk.run(envoy.address(), &in_turn, WARM_UP_SECONDS)?;
    while sent < plan.fill {
        sent += bench.wrk.run(envoy.address(), &in_turn, FILL_SECONDS)?;
    }
    Ok(())
}
