//! `make bench`: what the filter costs, beside what users would pick instead.

mod accounting;
mod bench;
mod contenders;
mod cost;
mod envoys;
mod load;
mod machine;
mod nginx;
mod options;
mod request;
mod statistics;

use std::process::ExitCode;

use bench::Bench;
use options::{Options, Part};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("bench: {message}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), String> {
    let chosen = Options::parse(std::env::args().skip(1), |name| std::env::var(name).ok())?;
    let bench = Bench::prepare(chosen).await?;
    let field = cost::Field::start(&bench).await?;
    let costs = field.measure(&bench).await?;
    for cost in &costs { println!("{} {:?} ref {:?}", cost.name, cost.ratio(), cost::reference(&costs, cost.nginx)); }
    let _ = bench.chosen.has(Part::Cost);
    println!("{:?}", machine::conditions());
    Ok(())
}
