//! A host on wasmtime that behaves like wasm-nginx-module 0.7 in Apache APISIX. It is a small reverse proxy on a free
//! port, and makes real calls to real servers.
//!
//! Where the real one would crash a worker, lose a reply, leak memory or let a request in, this one records a
//! [`Violation`], and dropping the host fails the test. It does not imitate TLS, body filters and APISIX's other
//! plugins. nginx answers 400 to a second `Authorization` line; here that line reaches the filter, which must handle
//! it on other hosts.

mod client;
mod env;
mod exchange;
mod map;
mod proxy;
mod record;
mod violation;
mod vm;
mod wasi;
mod wire;
mod worker;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use self::proxy::Process;
use self::record::Record;
use self::worker::{Route, Worker};
use crate::envoy::filter_module;
use crate::wait::{holds, wait_until};

pub use self::violation::Violation;

/// How long [`Apisix::wait_for_log`] waits.
const WAIT_TIMEOUT: Duration = Duration::from_secs(10);

/// Builds a host.
pub struct Builder {
    module: Option<Vec<u8>>,
    routes: Vec<Route>,
    upstream: Option<SocketAddr>,
    workers: usize,
    checks_clients: bool,
    trusts_peers: bool,
    variables: BTreeMap<String, String>,
}

impl Builder {
    /// Ends a request whose client leaves during a call, as nginx does with `lua_check_client_abort on`: its context
    /// is deleted, and no answer comes. HTTP/1 only.
    #[must_use]
    pub fn checks_clients(mut self) -> Self {
        self.checks_clients = true;
        self
    }

    /// Trusts every peer's `X-Forwarded-Proto`, `-Host` and `-Port`, as APISIX does with peers in
    /// `apisix.trusted_addresses`. By default it overwrites them.
    #[must_use]
    pub fn trusts_peers(mut self) -> Self {
        self.trusts_peers = true;
        self
    }

    /// Guards all paths with this configuration.
    #[must_use]
    pub fn plugin(self, configuration: Value) -> Self {
        self.route("/", configuration.to_string())
    }

    /// Guards the paths with this prefix, with any text as configuration. The first route that matches a path serves
    /// it; a path without a route gets a 404.
    #[must_use]
    pub fn route(mut self, prefix: &str, configuration: impl Into<String>) -> Self {
        let configuration = configuration.into().into_bytes().into();
        self.routes.push(Route { prefix: prefix.to_owned(), configuration });
        self
    }

    /// Runs this module, in binary form or as text, instead of the filter.
    #[must_use]
    pub fn module(mut self, bytes: Vec<u8>) -> Self {
        self.module = Some(bytes);
        self
    }

    /// The upstream of requests that are let through. Without one, they are answered with 200 and a page.
    #[must_use]
    pub fn upstream(mut self, address: SocketAddr) -> Self {
        self.upstream = Some(address);
        self
    }

    /// Declares a variable of nginx, as `set $name "-";` does.
    #[must_use]
    pub fn variable(mut self, name: &str) -> Self {
        self.variables.insert(name.to_owned(), "-".to_owned());
        self
    }

    /// The number of workers, each with its own module; 2 by default.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Starts the host.
    ///
    /// # Panics
    /// If the module cannot be loaded, or no port is free.
    pub fn start(self) -> Apisix {
        self.try_start().unwrap_or_else(|problem| panic!("failed to load wasm plugin: {problem}"))
    }

    /// Starts the host, unless the module cannot be loaded. APISIX then says `unknown plugin`, and drops the route.
    ///
    /// # Errors
    /// If the module cannot be loaded; the error says why.
    ///
    /// # Panics
    /// If no port is free.
    pub fn try_start(self) -> Result<Apisix, String> {
        let bytes = self.module.unwrap_or_else(|| fs::read(filter_module()).expect("the module can be read"));
        let module = vm::compile(&bytes)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.set_nonblocking(true).expect("a socket of ours");
        let address = listener.local_addr().expect("it is bound");
        let routes: Arc<[Route]> = self.routes.into();
        let mut apisix = Apisix { address, record: Arc::default(), workers: Vec::new() };
        for number in 0..self.workers {
            let (listener, routes) = (listener.try_clone().expect("a descriptor"), routes.clone());
            let (module, record, upstream) = (module.clone(), apisix.record.clone(), self.upstream);
            let (checks_clients, trusts_peers) = (self.checks_clients, self.trusts_peers);
            let variables = self.variables.clone();
            let (stop, stopped) = oneshot::channel::<()>();
            let (loaded, load) = std::sync::mpsc::channel();
            let thread = thread::spawn(move || {
                let worker = Worker::start(number, module, record.clone(), routes);
                let worker = match worker {
                    Ok(worker) => worker,
                    Err(problem) => return drop(loaded.send(Err(problem))),
                };
                let worker = RefCell::new(worker);
                let process =
                    Rc::new(Process { worker, upstream, record, checks_clients, trusts_peers, variables });
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let runtime = runtime.expect("a runtime of its own");
                // The receiver is there: it started this thread and waits.
                let _ = loaded.send(Ok(()));
                LocalSet::new().block_on(&runtime, async {
                    let listener = tokio::net::TcpListener::from_std(listener).expect("it does not block");
                    tokio::select! {
                        () = proxy::serve(process, listener) => {}
                        _ = stopped => {}
                    }
                });
            });
            apisix.workers.push((stop, thread));
            load.recv().unwrap_or_else(|_| Err("the worker ended".to_owned()))?;
        }
        Ok(apisix)
    }
}

/// A running host. Dropping it stops it, and fails the test if there was a violation.
pub struct Apisix {
    address: SocketAddr,
    record: Arc<Record>,
    workers: Vec<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Apisix {
    /// Starts with the filter, without routes or upstream.
    pub fn builder() -> Builder {
        Builder {
            module: None,
            routes: Vec::new(),
            upstream: None,
            workers: 2,
            checks_clients: false,
            trusts_peers: false,
            variables: BTreeMap::new(),
        }
    }

    /// Where it takes requests: HTTP/1, or HTTP/2 with prior knowledge.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The contents of error.log so far.
    pub fn log(&self) -> String {
        self.record.read_log()
    }

    /// Waits until the log contains `text`.
    ///
    /// # Panics
    /// If it does not within 10 s.
    pub async fn wait_for_log(&self, text: &str) {
        wait_until(&format!("the host's log has {text:?}"), WAIT_TIMEOUT, || async {
            let log = self.log();
            holds(log.contains(text), log)
        })
        .await;
    }

    /// The first thousand calls into the modules, in order: name and arguments.
    pub fn callbacks(&self) -> Vec<String> {
        self.record.read_callbacks()
    }

    /// The variables of the first thousand requests that have ended, as an access log would hold them.
    pub fn accesses(&self) -> Vec<BTreeMap<String, String>> {
        self.record.read_accesses()
    }

    /// The memory of each worker's module, in bytes. It shows what a filter does not free.
    pub fn memory(&self) -> Vec<usize> {
        self.record.read_memory()
    }

    /// The violations so far. Once a test has taken them, dropping the host passes.
    pub fn take_violations(&self) -> Vec<Violation> {
        self.record.take_violations()
    }
}

impl Drop for Apisix {
    fn drop(&mut self) {
        for (stop, thread) in self.workers.drain(..) {
            drop(stop);
            // A worker that panicked has already said so.
            let _ = thread.join();
        }
        let violations: Vec<_> = self.take_violations().iter().map(Violation::to_string).collect();
        if thread::panicking() {
            eprintln!("error.log of the APISIX host:\n{}", self.log());
        } else {
            assert!(violations.is_empty(), "the filter is unfit for APISIX:\n{}", violations.join("\n"));
        }
    }
}
