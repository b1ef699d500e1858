//! The results as tables and charts. Everything in `results.md` is written here, except for the notes from
//! `notes.md`.

use std::fs;
use std::path::Path;

use wasm_tests::envoy;

use crate::bounds::{self, Bound};
use crate::constant_rate;
use crate::cost::{self, Cost};
use crate::latency::{self, Latencies, Latency, PERCENTILES};
use crate::load;
use crate::plot::{self, Bar, Figures};
use crate::scale::Curve;
use crate::signatures::Signature;
use crate::start::{Memory, Start};
use crate::statistics::Summary;

/// The [`PERCENTILES`] that have a chart.
const PLOTTED: [(&str, usize); 2] = [(PERCENTILES[0].0, 0), (PERCENTILES[2].0, 2)];

/// The results of a run. What it did not measure is empty.
pub(crate) struct Results {
    pub(crate) conditions: Vec<(&'static str, String)>,
    pub(crate) rounds: usize,
    pub(crate) seconds: u32,
    pub(crate) module_bytes: u64,
    pub(crate) costs: Vec<Cost>,
    pub(crate) latencies: Option<Latencies>,
    pub(crate) starts: Vec<Start>,
    pub(crate) memory: Vec<Memory>,
    pub(crate) curves: Vec<Curve>,
    pub(crate) signatures: Vec<Signature>,
    /// How long the run took, in s.
    pub(crate) took: u64,
}

impl Results {
    /// The whole report, as Markdown.
    pub(crate) fn markdown(&self, notes: &Notes) -> String {
        let parts = [
            "# Speed, measured beside what users would pick instead\n\n\
             Written by `make bench`; do not edit. Explanations come from [notes.md](notes.md).\n"
                .to_owned(),
            self.bounds(notes),
            self.cpu(),
            self.latency(),
            self.start_and_memory(),
            self.scale(notes),
            self.signatures(),
            self.method(),
        ];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
    }

    /// Writes the report and its charts.
    pub(crate) fn write(&self, directory: &Path) -> Result<(), String> {
        let write = |name: &str, text: String| {
            fs::write(directory.join(name), text).map_err(|error| format!("{name}: {error}"))
        };
        fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        write("results.md", self.markdown(&Notes::read()?))?;
        if !self.costs.is_empty() {
            write("cpu.svg", self.cpu_plot()?)?;
        }
        for (percentile, index) in PLOTTED {
            if let Some(latencies) = &self.latencies {
                let plot = latency_plot(latencies, percentile, index)?;
                write(&format!("latency-{percentile}.svg"), plot)?;
            }
        }
        for curve in &self.curves {
            write(&format!("scale-{}.svg", curve.name), scale_plot(curve)?)?;
        }
        Ok(())
    }

    fn bounds(&self, notes: &Notes) -> String {
        let bounds = bounds::all(self);
        let row = |bound: &Bound| {
            let met = if bound.is_met() { "yes" } else { "**no**" };
            let Bound { name, measure, limit, unit, measured } = bound;
            let limit = format!("{} {unit}", number(*limit, 2));
            vec![name.clone(), measure.clone(), limit, spread(*measured, 2), met.to_owned()]
        };
        let mut text = String::from("## The bounds\n\n");
        text += &table(&["case", "measure", "at most", "measured", "met"], bounds.iter().map(row));
        let mut missed: Vec<&str> = Vec::new();
        for bound in bounds.iter().filter(|bound| !bound.is_met()) {
            if !missed.contains(&bound.name.as_str()) {
                missed.push(&bound.name);
            }
        }
        for name in missed {
            let note = notes.of(name).unwrap_or("**Nobody has explained this yet.**");
            text += &format!("\n**{name}** is above its bound. {note}\n");
        }
        text
    }

    fn cpu(&self) -> String {
        if self.costs.is_empty() {
            return String::new();
        }
        let mut text = String::from(
            "## CPU per request\n\nEach beside the same proxy without filter, under load at the same time on the \
             same CPU. *Added* is the ratio less 1, times the median request without filter.\n\n",
        );
        for (proxy, nginx) in [("Envoy", false), ("nginx", true)] {
            let Some(reference) = cost::reference(&self.costs, nginx) else { continue };
            text += &format!(
                "{proxy}, a request without filter: {} µs ({} to {} over all rounds).\n\n",
                number(reference.median, 1),
                number(reference.least, 1),
                number(reference.most, 1)
            );
            let rows = self.costs.iter().filter(|cost| cost.in_nginx() == nginx).filter_map(|cost| {
                let (ratio, added) = (cost.ratio()?, added(cost, reference)?);
                let (name, about) = (format!("`{}`", cost.name), cost.about.to_owned());
                Some(vec![name, about, spread(ratio, 3), spread(added, 1)])
            });
            text += &table(&["contender", "what it does", "ratio", "added, µs"], rows);
            text.push('\n');
        }
        text + "![CPU that each adds](cpu.svg)\n"
    }

    fn cpu_plot(&self) -> Result<String, String> {
        let bar = |cost: &Cost| {
            let value = added(cost, cost::reference(&self.costs, cost.in_nginx())?)?;
            let bound = bounds::added_at_most(&self.costs, cost.name);
            Some(Bar { name: cost.name, group: cost.group, value, bound })
        };
        let bars: Vec<_> = self.costs.iter().filter_map(bar).collect();
        let figures = Figures { of: "CPU added to a request", unit: "µs", digits: 1 };
        plot::bars("CPU that each adds to a request", &figures, &bars)
    }

    fn latency(&self) -> String {
        let Some(latencies) = &self.latencies else { return String::new() };
        let mut columns = vec!["contender"];
        columns.extend(PERCENTILES.map(|(name, _)| name));
        let rows = latencies.of.iter().map(|latency| {
            let values = latency.values.iter().map(|value| spread(*value, 0));
            std::iter::once(format!("`{}`", latency.name)).chain(values).collect()
        });
        format!(
            "## Latency\n\nIn µs, from the moment at which a request was to be sent until all of its answer was \
             there, at {} requests a second: {} % of what the slowest can serve on a core. Each alone; `none` is \
             Envoy without filter.\n\n{}\n![Median latency](latency-p50.svg)\n\n![Latency of the slowest 1 %](latency-p99.svg)\n",
            number(latencies.rate, 0),
            number(latency::LOAD * 100.0, 0),
            table(&columns, rows)
        )
    }

    fn start_and_memory(&self) -> String {
        let mut text = String::new();
        if !self.starts.is_empty() {
            let row =
                |start: &Start| vec![start.name.to_owned(), spread(start.time, 0), spread(start.added, 0)];
            text += "## Start\n\nFrom the start of Envoy's process, with one worker, until it takes requests; seen \
                     every 10 ms.\n\n";
            text += &table(
                &["Envoy with", "ready after, ms", "later than without, ms"],
                self.starts.iter().map(row),
            );
            text.push('\n');
        }
        if !self.memory.is_empty() {
            let row = |memory: &Memory| {
                let full = memory.full.map_or(String::new(), |full| spread(full, 1));
                vec![memory.name.to_owned(), spread(memory.one, 1), spread(memory.worker, 2), full]
            };
            text += "## Memory\n\nResident memory after a second of load; that of a further worker from the \
                     difference to 16. Full: with as many different credentials as are cached (10,000, each \
                     with a token of 1 KB).\n\n";
            let columns = ["Envoy with", "one worker, MB", "a further worker, MB", "full, MB more"];
            text += &table(&columns, self.memory.iter().map(row));
        }
        text
    }

    fn scale(&self, notes: &Notes) -> String {
        if self.curves.is_empty() {
            return String::new();
        }
        let mut text = String::from(
            "## Scale\n\nCPU of a request over that of one without filter, which has the same load. Flat means that \
             size does not matter.\n",
        );
        for curve in &self.curves {
            let rows = curve.points.iter().map(|point| {
                let added = point.ratio.map(|ratio| (ratio - 1.0) * point.reference.median);
                let remembered = format!("{} %", number(point.remembered * 100.0, 0));
                vec![point.size.to_string(), spread(point.ratio, 3), spread(added, 1), remembered]
            });
            let columns = [curve.unit, "ratio", "added, µs", "decided from the cache"];
            text += &format!("\n### {}\n\n{}\n\n", capital(curve.name), curve.about);
            text += &table(&columns, rows);
            if let Some(note) = notes.of(curve.name) {
                text += &format!("\n{note}\n");
            }
            text += &format!("\n![By {}](scale-{}.svg)\n", curve.unit, curve.name);
        }
        text
    }

    fn signatures(&self) -> String {
        if self.signatures.is_empty() {
            return String::new();
        }
        let row = |signature: &Signature| {
            let verified = signature.cold.median - signature.cached.median;
            let Signature { algorithm, cached, cold } = signature;
            vec![(*algorithm).to_owned(), spread(*cached, 0), spread(*cold, 0), number(verified, 0)]
        };
        format!(
            "## Signatures in the module\n\nWhere the host cannot check signatures (APISIX), and EdDSA anywhere, the \
             module does. Time of a whole request in the wasmtime host, in µs: median and quartiles of requests one \
             after the other.\n\n{}",
            table(
                &["algorithm", "token verified before", "another token each time", "difference"],
                self.signatures.iter().map(row)
            )
        )
    }

    fn method(&self) -> String {
        let conditions = self.conditions.iter().map(|(name, value)| vec![(*name).to_owned(), value.clone()]);
        format!(
            "## Method\n\n\
             - Two proxies are under load at the same time on one CPU, one of them without filter; app (nginx), \
             authorizer (nginx, eight identity headers) and load (`wrk`, {connections} connections to each) have the \
             other CPU. Both get the same requests.\n\
             - CPU is what the scheduler accounts to all threads of the proxy's process, divided by the requests \
             that were answered. A run is void if any was not answered with 200, if the app saw a forged or a \
             missing identity header, or if a counter says that the work was not done.\n\
             - {rounds} rounds of {seconds} s, in which the contenders take turns. Figures are medians over rounds, \
             least and most in brackets.\n\
             - The request: GET, 12 headers as of a browser, a bearer token (RS256, 1 KB) and a session cookie, the \
             same for all. `cold-token` and `jwt-authn` get another token each time, of 12,000; `resolver-call`, \
             `ext-authz` and `nginx-auth-request` another session, of 1,024, because requests with a session that \
             is being asked about wait for that answer.\n\
             - Latency is measured by a generator of our own with {clients} connections: `wrk` knows no rate, and \
             `h2load --rps` measures from when it did send.\n\
             - All took {minutes} minutes {rest} s.\n\n{conditions}",
            connections = load::CONNECTIONS,
            clients = constant_rate::CONNECTIONS,
            rounds = self.rounds,
            seconds = self.seconds,
            minutes = self.took / 60,
            rest = self.took % 60,
            conditions = table(&["condition", "value"], conditions),
        )
    }
}

fn latency_plot(latencies: &Latencies, percentile: &str, index: usize) -> Result<String, String> {
    let bar = |latency: &Latency| Bar {
        name: latency.name,
        group: latency.group,
        value: latency.values[index],
        bound: None,
    };
    let bars: Vec<_> = latencies.of.iter().map(bar).collect();
    let figures = Figures { of: "latency", unit: "µs", digits: 0 };
    plot::bars(&format!("Latency at a constant rate, {percentile}"), &figures, &bars)
}

fn scale_plot(curve: &Curve) -> Result<String, String> {
    let points: Vec<_> = curve.points.iter().map(|point| (point.size, point.ratio)).collect();
    let figures = Figures { of: "CPU over no filter", unit: "×", digits: 3 };
    plot::curve(&format!("CPU per request over no filter, by {}", curve.unit), &figures, curve.unit, &points)
}

/// CPU that a contender adds to a request, in µs.
pub(crate) fn added(cost: &Cost, reference: Summary) -> Option<Summary> {
    Some(cost.ratio()?.map(|ratio| (ratio - 1.0) * reference.median))
}

/// The explanations of cases: the sections of `bench/notes.md`, by heading.
pub(crate) struct Notes(String);

impl Notes {
    pub(crate) fn read() -> Result<Self, String> {
        crate::machine::read(envoy::workspace_dir().join("bench/notes.md")).map(Self)
    }

    fn of(&self, name: &str) -> Option<&str> {
        let sections = self.0.split("\n## ").skip(1);
        let section =
            |text: &'_ str| text.split_once('\n').is_some_and(|(heading, _)| heading.trim() == name);
        let (_, text) = sections.into_iter().find(|text| section(text))?.split_once('\n')?;
        Some(text.trim())
    }
}

fn table(columns: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let row = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let heads: Vec<_> = columns.iter().map(|&column| column.to_owned()).collect();
    let rules = vec!["---".to_owned(); columns.len()];
    row(&heads) + &row(&rules) + &rows.into_iter().map(|cells| row(&cells)).collect::<String>()
}

/// The median, with least and most in brackets.
pub(crate) fn spread(value: Summary, digits: usize) -> String {
    let [median, least, most] = [value.median, value.least, value.most].map(|value| number(value, digits));
    if least == most { median } else { format!("{median} ({least} to {most})") }
}

/// Formats a number with a typographic minus, and without the minus of `-0`.
pub(crate) fn number(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    match text.strip_prefix('-') {
        Some(rest) if rest.chars().all(|c| matches!(c, '0' | '.')) => rest.to_owned(),
        Some(rest) => format!("−{rest}"),
        None => text,
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_found_by_their_heading() {
        let notes = Notes("# Notes\n\n## one\n\nfirst\n\nmore\n\n## one two\n\nsecond\n".into());
        assert_eq!(notes.of("one"), Some("first\n\nmore"));
        assert_eq!(notes.of("one two"), Some("second"));
        assert_eq!(notes.of("two"), None);
    }

    #[test]
    fn figures_show_their_spread() {
        let value = |median, least, most| Summary { median, least, most };
        assert_eq!(spread(value(1.25, 1.0, 1.5), 2), "1.25 (1.00 to 1.50)");
        assert_eq!(spread(value(1.0, 1.0, 1.0), 0), "1");
        assert_eq!(spread(value(-0.001, -2.0, 3.0), 1), "0.0 (−2.0 to 3.0)");
    }
}
