//! The demo's child processes: their log lines, and their end.

use std::collections::VecDeque;
use std::env;
use std::io::{self, IsTerminal, Write};
use std::process::{Command, ExitStatus, Stdio};

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// How many of its last log lines to show when a service has ended.
const LAST_LINES: usize = 15;
/// How many log lines may wait to be printed. A service that writes faster is held up.
const QUEUE: usize = 256;

/// The running services. Dropping this kills them.
pub(crate) struct Services {
    running: JoinSet<()>,
    names: Vec<&'static str>,
    last_lines: Vec<VecDeque<String>>,
    stop: watch::Sender<()>,
    report: mpsc::Sender<Event>,
    events: mpsc::Receiver<Event>,
    coloured: bool,
}

enum Event {
    Line(usize, String),
    Ended(usize, io::Result<ExitStatus>),
}

impl Services {
    /// None yet.
    pub(crate) fn new() -> Self {
        let (report, events) = mpsc::channel(QUEUE);
        Self {
            running: JoinSet::new(),
            names: Vec::new(),
            last_lines: Vec::new(),
            stop: watch::Sender::new(()),
            report,
            events,
            coloured: io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none(),
        }
    }

    /// Starts a service. Ctrl-C in the terminal does not reach it: we end it ourselves.
    pub(crate) fn start(&mut self, name: &'static str, command: Command) -> Result<(), String> {
        let child = tokio::process::Command::from(command)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("cannot start {name}: {error}"))?;
        let service = self.names.len();
        self.names.push(name);
        self.last_lines.push(VecDeque::new());
        let stop = self.stop.subscribe();
        self.running.spawn(attend(service, child, self.report.clone(), stop));
        Ok(())
    }

    /// Prints log lines until a service ends, and returns a message about that. `in_words` may put others in their place.
    pub(crate) async fn watch(&mut self, in_words: impl Fn(&str) -> Option<String>) -> String {
        loop {
            match self.events.recv().await {
                Some(Event::Line(service, line)) => {
                    let line = in_words(&line).unwrap_or(line);
                    if !self.is_told_again(service, &line) {
                        self.print(service, &line);
                    }
                    let last = &mut self.last_lines[service];
                    if last.len() == LAST_LINES {
                        last.pop_front();
                    }
                    last.push_back(line);
                }
                Some(Event::Ended(service, status)) => return self.obituary(service, status),
                // We hold a sender ourselves, so the channel cannot be closed.
                None => std::future::pending().await,
            }
        }
    }

    /// Kills all of them and waits until they are gone.
    pub(crate) async fn stop(mut self) {
        self.stop.send_replace(());
        // A service that is held up by its log lines may go on.
        self.events.close();
        while self.running.join_next().await.is_some() {}
    }

    /// Whether it is the filter's first line once more. Each of Envoy's VMs says it at the start, and the same.
    fn is_told_again(&self, service: usize, line: &str) -> bool {
        line.contains("authgear-filter: version ") && self.last_lines[service].iter().any(|last| last == line)
    }

    fn print(&self, service: usize, line: &str) {
        let width = self.names.iter().map(|name| name.len()).max().unwrap_or_default();
        let name = format!("{:<width$} |", self.names[service]);
        let mut out = io::stdout().lock();
        let colour = 36 - service % 6; // cyan, magenta, blue, …
        // The reader may go away; the services go on.
        let _unread = if self.coloured {
            writeln!(out, "\x1b[{colour}m{name}\x1b[0m {line}")
        } else {
            writeln!(out, "{name} {line}")
        };
    }

    fn obituary(&self, service: usize, status: io::Result<ExitStatus>) -> String {
        let name = self.names[service];
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        let mut text = format!("{name} ended ({status}), so everything is stopped.");
        if !self.last_lines[service].is_empty() {
            text.push_str(" Its last lines:");
        }
        for line in &self.last_lines[service] {
            text.push_str("\n  ");
            text.push_str(line);
        }
        text
    }
}

/// Passes on what a service writes, and how it ends. Kills it when told to stop.
async fn attend(
    service: usize,
    mut child: tokio::process::Child,
    report: mpsc::Sender<Event>,
    mut stop: watch::Receiver<()>,
) {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let life = async {
        // Report its last lines before its end.
        let ((), (), status) =
            tokio::join!(lines(service, stdout, &report), lines(service, stderr, &report), child.wait(),);
        let _stopping = report.send(Event::Ended(service, status)).await;
    };
    tokio::select! {
        () = life => {}
        _ = stop.changed() => {
            let _ended = child.kill().await;
        }
    }
}

async fn lines(service: usize, output: Option<impl AsyncRead + Unpin>, report: &mpsc::Sender<Event>) {
    let Some(output) = output else { return };
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    // Read bytes: a log line that is not UTF-8 is no reason to stop.
    while matches!(output.read_until(b'\n', &mut line).await, Ok(1..)) {
        let text = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
        if report.send(Event::Line(service, text)).await.is_err() {
            return;
        }
        line.clear();
    }
}
