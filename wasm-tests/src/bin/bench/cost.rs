//! CPU per request of each contender, beside the same proxy without a filter, in rounds.

use crate::accounting::{self, Round};
use crate::bench::Bench;
use crate::contenders::{self, Contender, Group, Instance, Server};
use crate::envoys::Filter;
use crate::nginx::Auth;
use crate::statistics::Summary;

/// How long each proxy is under load before it is measured, while code is compiled and caches fill.
const WARM_UP_SECONDS: u32 = 1;

/// The running contenders.
pub(crate) struct Field {
    /// Envoy and nginx without a filter.
    references: [Instance; 2],
    pub(crate) contenders: Vec<(Contender, Instance)>,
}

/// The measurements of a contender.
#[derive(Debug, Clone)]
pub(crate) struct Cost {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) group: Group,
    pub(crate) rounds: Vec<Round>,
}

impl Field {
    /// Starts all contenders that take part, and checks that each does the work it is measured for.
    pub(crate) async fn start(bench: &Bench) -> Result<Self, String> {
        let all = contenders::all(bench)?;
        bench.chosen.check_names(&all.iter().map(|contender| contender.name).collect::<Vec<_>>())?;
        let references = [
            Instance::start(bench, &Server::Envoy(Filter::None)).await?,
            Instance::start(bench, &Server::Nginx(Auth::None)).await?,
        ];
        let mut field = Self { references, contenders: Vec::new() };
        for reference in field.references.iter().filter(|_| !bench.chosen.short) {
            bench.wrk.run(reference.as_proxy().address, &bench.requests.one()?, WARM_UP_SECONDS)?;
        }
        for contender in all.into_iter().filter(|contender| bench.chosen.wants(contender.name)) {
            println!("starting {}", contender.name);
            let instance = Instance::start(bench, &contender.server).await?;
            let address = instance.as_proxy().address;
            bench.wait_for_keys(address).await?;
            contender.check_identity(bench, address).await?;
            if !bench.chosen.short {
                bench.wrk.run(address, &contender.load, WARM_UP_SECONDS)?;
            }
            field.contenders.push((contender, instance));
        }
        Ok(field)
    }

    fn reference(&self, server: &Server) -> &Instance {
        let [envoy, nginx] = &self.references;
        match server {
            Server::Envoy(_) => envoy,
            Server::Nginx(_) => nginx,
        }
    }

    /// Measures the contenders in turns, so that a machine that slows down affects all of them.
    pub(crate) async fn measure(&self, bench: &Bench) -> Result<Vec<Cost>, String> {
        let mut costs: Vec<Cost> =
            self.contenders.iter().map(|(contender, _)| Cost::new(contender)).collect();
        for number in 1..=bench.chosen.rounds {
            println!("CPU per request: round {number} of {}", bench.chosen.rounds);
            for ((contender, instance), cost) in self.contenders.iter().zip(&mut costs) {
                let reference = self.reference(&contender.server).as_proxy();
                let before = contender.count(bench, instance).await?;
                let seconds = bench.chosen.seconds;
                let round =
                    accounting::round(&bench.wrk, reference, instance.as_proxy(), &contender.load, seconds)?;
                let after = contender.count(bench, instance).await?;
                contender.check(before, after, round.answered)?;
                cost.rounds.push(round);
            }
        }
        Ok(costs)
    }
}

impl Cost {
    fn new(contender: &Contender) -> Self {
        Self {
            name: contender.name,
            about: contender.about,
            group: contender.server.group(),
            rounds: Vec::new(),
        }
    }

    /// Whether it runs in nginx, and so is compared with nginx.
    pub(crate) fn in_nginx(&self) -> bool {
        self.group == Group::Nginx
    }

    /// CPU of a request over that of one without a filter, over all rounds.
    pub(crate) fn ratio(&self) -> Option<Summary> {
        Summary::of(self.rounds.iter().map(Round::ratio))
    }

    /// CPU of a request, in µs.
    pub(crate) fn per_request(&self) -> Option<f64> {
        Summary::of(self.rounds.iter().map(|round| round.variant)).map(|summary| summary.median)
    }

    /// What it adds to a request, over what another contender adds in the same rounds.
    pub(crate) fn part_of(&self, other: &Self) -> Option<Summary> {
        let rounds = self.rounds.iter().zip(&other.rounds);
        Summary::of(rounds.map(|(one, other)| (one.ratio() - 1.0) / (other.ratio() - 1.0)))
    }
}

/// CPU of a request without a filter, in µs, over all rounds of all contenders in that proxy.
pub(crate) fn reference(costs: &[Cost], nginx: bool) -> Option<Summary> {
    let rounds = costs.iter().filter(|cost| cost.in_nginx() == nginx).flat_map(|cost| &cost.rounds);
    Summary::of(rounds.map(|round| round.reference))
}
