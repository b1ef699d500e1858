//! The module in wasmtime. It is loaded as wasm-nginx-module loads it, and called by the names of its exports.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use wasmtime::{Config, Engine, Instance, Linker, Memory, Module, Store, Val};

use super::exchange::Exchange;
use super::record::Record;
use super::violation::Violation;
use super::{env, wasi};

/// What the host functions see while a callback runs.
pub(super) struct Host {
    pub(super) record: Arc<Record>,
    /// The module's memory, once there is one.
    pub(super) memory: Option<Memory>,
    /// The configuration of the callback's plugin context.
    pub(super) configuration: Option<Arc<[u8]>>,
    /// The request that the callback is about.
    pub(super) exchange: Option<Exchange>,
    /// What has crashed the worker, if anything.
    pub(super) crashed: bool,
    /// The token of the next call.
    pub(super) next_token: u32,
    /// The root context of the callback.
    pub(super) root: u32,
    /// The context that the filter has made the effective one in this callback, if any.
    pub(super) effective: Option<u32>,
    /// Whether a context ends.
    pub(super) is_ending: bool,
}

impl Host {
    pub(super) fn violate(&mut self, violation: Violation) {
        self.crashed |= violation.is_crash();
        self.record.violation(violation);
    }

    /// Records an action on a context. It affects the request's context, whatever the filter believes.
    pub(super) fn acts(&mut self) {
        let context = self.exchange.as_ref().map(|exchange| exchange.context);
        if let Some(effective) = self.effective
            && effective != self.root
            && Some(effective) != context
        {
            self.violate(Violation::ForeignContext(effective));
        }
    }
}

/// A worker's module.
pub(super) struct Vm {
    store: Store<Host>,
    instance: Instance,
    worker: usize,
}

/// The callback trapped.
#[derive(Debug)]
pub(super) struct Trapped;

/// Only the features of wasmtime 0.38.
static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let mut config = Config::new();
    config.wasm_tail_call(false).wasm_relaxed_simd(false).wasm_multi_memory(false).wasm_memory64(false);
    config.wasm_extended_const(false);
    Engine::new(&config).expect("these options go together")
});

/// Compiles the module, or takes it from a cache: the suites start many hosts with one module.
pub(super) fn compile(bytes: &[u8]) -> Result<Module, String> {
    static COMPILED: LazyLock<Mutex<HashMap<Vec<u8>, Module>>> = LazyLock::new(Mutex::default);
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = compiled.get(bytes) {
        return Ok(module.clone());
    }
    let module = Module::new(&ENGINE, bytes).map_err(|error| format!("failed to new module: {error:?}"))?;
    compiled.insert(bytes.to_vec(), module.clone());
    Ok(module)
}

impl Vm {
    /// Instantiates the module and initialises it. On an error APISIX says `unknown plugin`.
    pub(super) fn load(module: &Module, record: Arc<Record>, worker: usize) -> Result<Self, String> {
        let mut linker = Linker::new(&ENGINE);
        env::define(&mut linker).and_then(|()| wasi::define(&mut linker)).expect("each name once");
        let host = Host {
            record,
            memory: None,
            configuration: None,
            exchange: None,
            crashed: false,
            next_token: 0,
            root: 0,
            effective: None,
            is_ending: false,
        };
        let mut store = Store::new(&ENGINE, host);
        let instance = linker
            .instantiate(&mut store, module)
            .map_err(|error| format!("failed to new instance: {error:?}"))?;
        let memory = instance.get_memory(&mut store, "memory");
        store.data_mut().memory = Some(memory.ok_or("the wasm plugin doesn't export memory")?);
        let mut vm = Self { store, instance, worker };
        for name in ["_start", "_initialize"] {
            if vm.instance.get_func(&mut vm.store, name).is_some() {
                vm.call(name, &[]).map_err(|Trapped| format!("{name} trapped"))?;
                break;
            }
        }
        Ok(vm)
    }

    pub(super) fn host(&mut self) -> &mut Host {
        self.store.data_mut()
    }

    /// Calls an export, and returns its result, or 0 if it is missing or returns nothing.
    pub(super) fn call(&mut self, name: &'static str, arguments: &[i32]) -> Result<i32, Trapped> {
        let Some(function) = self.instance.get_func(&mut self.store, name) else {
            if name == "proxy_on_done" {
                self.store.data().record.log("error", b"failed to find proxy_on_done");
            }
            return Ok(0);
        };
        self.store.data_mut().effective = None;
        self.store.data().record.callback(name, arguments);
        let arguments: Vec<_> = arguments.iter().copied().map(Val::I32).collect();
        let mut results = vec![Val::I32(0); function.ty(&self.store).results().len()];
        let called = function.call(&mut self.store, &arguments, &mut results);
        let memory = self.store.data().memory.map_or(0, |memory| memory.data_size(&self.store));
        let host = self.store.data_mut();
        host.record.memory(self.worker, memory);
        match called {
            Ok(()) => Ok(results.first().and_then(Val::i32).unwrap_or(0)),
            // The worker crashed before the module could trap.
            Err(_) if host.crashed => Err(Trapped),
            Err(error) => {
                host.violate(Violation::Trap { callback: name, cause: format!("{error:#}") });
                Err(Trapped)
            }
        }
    }
}
