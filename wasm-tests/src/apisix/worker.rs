//! A worker: one module, a plugin context for each route, and the life cycle of a request's context.

use std::collections::VecDeque;
use std::sync::Arc;

use wasmtime::Module;

use super::env::call_fields;
use super::exchange::{Callout, Exchange, Phase, Reply};
use super::record::Record;
use super::violation::Violation;
use super::vm::{Trapped, Vm};
use super::wire::Answer;

/// How many header lines of an answer the worker has memory for.
const CALL_LINES: usize = 127;

/// A route: requests whose path starts with this prefix are guarded with this configuration.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) prefix: String,
    pub(super) configuration: Arc<[u8]>,
}

/// What the proxy does next with a request.
#[derive(Debug)]
pub(super) enum Next {
    Call(Callout),
    Reply(Reply),
    Forward,
    /// Answers 503: the filter has no configuration, or trapped.
    Unavailable,
    /// The worker has crashed, which closes the connection.
    Dead,
}

/// A request's context in the module.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context {
    id: u32,
    route: usize,
    life: u32,
}

pub(super) struct Worker {
    number: usize,
    module: Module,
    record: Arc<Record>,
    routes: Arc<[Route]>,
    vm: Vm,
    /// How often nginx has restarted this worker.
    life: u32,
    /// Each route's plugin context, once it is configured.
    plugins: Vec<Option<Plugin>>,
    /// The freed ids of plugin contexts.
    free: VecDeque<u32>,
    last_id: u32,
}

struct Plugin {
    id: u32,
    /// The freed ids of its request contexts.
    free: VecDeque<u32>,
}

impl Worker {
    pub(super) fn start(
        number: usize,
        module: Module,
        record: Arc<Record>,
        routes: Arc<[Route]>,
    ) -> Result<Self, String> {
        let vm = Vm::load(&module, record.clone(), number)?;
        let plugins = routes.iter().map(|_| None).collect();
        Ok(Self { number, module, record, routes, vm, life: 0, plugins, free: VecDeque::new(), last_id: 0 })
    }

    /// The first route that matches a path.
    pub(super) fn route(&self, target: &[u8]) -> Option<usize> {
        self.routes.iter().position(|route| target.starts_with(route.prefix.as_bytes()))
    }

    /// Shows the filter a new request.
    pub(super) fn request(
        &mut self,
        route: usize,
        mut exchange: Exchange,
    ) -> (Exchange, Option<Context>, Next) {
        let Some(plugin) = self.plugin(route) else {
            // The response phase tries again, in vain.
            self.plugin(route);
            return (exchange, None, Next::Unavailable);
        };
        let plugin_id = plugin.id;
        let id = plugin.free.pop_front().unwrap_or_else(|| next(&mut self.last_id));
        exchange.context = id;
        let (exchange, created) =
            self.run(route, exchange, "proxy_on_context_create", &[signed(id), signed(plugin_id)]);
        if created.is_err() {
            self.release(route, id);
            return (exchange, None, Next::Unavailable);
        }
        let context = Context { id, route, life: self.life };
        // The number of headers is not passed, and the request always seems to end with them.
        let (exchange, action) = self.run(route, exchange, "proxy_on_request_headers", &[signed(id), 0, 1]);
        let (exchange, next) = self.next(exchange, action);
        (exchange, Some(context), next)
    }

    /// Shows the filter the answer to a call; `None` if the call failed.
    pub(super) fn answer(
        &mut self,
        context: Context,
        mut exchange: Exchange,
        token: u32,
        answer: Option<Answer>,
    ) -> (Exchange, Next) {
        let Some(plugin) = self.alive(context) else { return (exchange, Next::Dead) };
        let lines = answer.as_ref().map_or(0, |answer| answer.fields.0.len());
        if lines > CALL_LINES {
            self.vm.host().violate(Violation::CallHeaders { lines });
        }
        let body = answer.as_ref().map_or(0, |answer| answer.body.len());
        exchange.answer = answer;
        exchange.in_answer = true;
        exchange.resumed = false;
        let headers = call_fields(&exchange).map_or(0, |fields| fields.len());
        // The context is the plugin's: only the token tells which request made the call.
        let arguments = [signed(plugin), signed(token), size(headers), size(body), 0];
        let (mut exchange, called) =
            self.run(context.route, exchange, "proxy_on_http_call_response", &arguments);
        exchange.in_answer = false;
        let called = called.map(|_nothing| 0);
        let went_on = called.is_ok() && exchange.callout.is_none() && exchange.reply.is_none();
        if went_on && !exchange.resumed {
            self.vm.host().violate(Violation::LetThrough);
        }
        self.next(exchange, called)
    }

    /// Shows the filter the headers for the client, including those of its own reply. `None` if the worker has
    /// crashed.
    pub(super) fn response(&mut self, context: Context, mut exchange: Exchange) -> Option<Exchange> {
        let id = self.alive(context).map(|_plugin| context.id)?;
        exchange.phase = Phase::Response;
        // The result is ignored.
        let (exchange, _action) =
            self.run(context.route, exchange, "proxy_on_response_headers", &[signed(id), 0, 1]);
        (!self.restart_after_crash()).then_some(exchange)
    }

    /// Shows the filter the response to a request that nginx has redirected internally, as it does for gRPC. The
    /// response gets its own context, which saw no request and is deleted before the first one.
    pub(super) fn redirected(&mut self, context: Context, mut exchange: Exchange) -> Option<Exchange> {
        let plugin = self.alive(context)?;
        let id = next(&mut self.last_id);
        exchange.context = id;
        let (exchange, _created) =
            self.run(context.route, exchange, "proxy_on_context_create", &[signed(id), signed(plugin)]);
        let second = Context { id, ..context };
        let exchange = self.response(second, exchange)?;
        self.end(second);
        Some(exchange)
    }

    /// The request has ended, or its client has left.
    pub(super) fn end(&mut self, context: Context) {
        if self.alive(context).is_some() {
            self.delete(context.id);
            self.release(context.route, context.id);
        }
    }

    /// The route's plugin context, which its first request creates. `None` if the filter refuses the configuration;
    /// the next request tries again.
    fn plugin(&mut self, route: usize) -> Option<&mut Plugin> {
        if self.plugins.get(route)?.is_none() {
            let configuration = self.routes.get(route)?.configuration.clone();
            if configuration.is_empty() {
                return None;
            }
            let id = self.free.pop_front().unwrap_or_else(|| next(&mut self.last_id));
            if self.vm.call("proxy_on_context_create", &[signed(id), 0]).is_err() {
                self.free.push_back(id);
                return None;
            }
            self.vm.host().configuration = Some(configuration.clone());
            let configured = self.vm.call("proxy_on_configure", &[signed(id), size(configuration.len())]);
            self.vm.host().configuration = None;
            if !configured.is_ok_and(|accepted| accepted > 0) {
                self.record.log("error", format!("failed to configure plugin context {id}").as_bytes());
                self.delete(id);
                self.free.push_back(id);
                return None;
            }
            self.plugins[route] = Some(Plugin { id, free: VecDeque::new() });
        }
        self.plugins.get_mut(route)?.as_mut()
    }

    /// The plugin context of a request whose worker still lives.
    fn alive(&self, context: Context) -> Option<u32> {
        let plugin = self.plugins.get(context.route)?.as_ref()?;
        (context.life == self.life).then_some(plugin.id)
    }

    fn delete(&mut self, id: u32) {
        self.vm.host().is_ending = true;
        // Record the trap. The real worker logs it and goes on.
        let _ = self.vm.call("proxy_on_done", &[signed(id)]);
        let _ = self.vm.call("proxy_on_delete", &[signed(id)]);
        self.vm.host().is_ending = false;
    }

    fn release(&mut self, route: usize, id: u32) {
        if let Some(Some(plugin)) = self.plugins.get_mut(route) {
            // The next request gets this id at once.
            plugin.free.push_front(id);
        }
    }

    /// Calls the module about a request.
    fn run(
        &mut self,
        route: usize,
        exchange: Exchange,
        name: &'static str,
        arguments: &[i32],
    ) -> (Exchange, Result<i32, Trapped>) {
        let configuration = self.routes.get(route).map(|route| route.configuration.clone());
        let root = self.plugins.get(route).and_then(Option::as_ref).map_or(0, |plugin| plugin.id);
        let host = self.vm.host();
        host.root = root;
        host.exchange = Some(exchange);
        host.configuration = configuration;
        let result = self.vm.call(name, arguments);
        let host = self.vm.host();
        host.configuration = None;
        (host.exchange.take().expect("host functions leave it where it is"), result)
    }

    /// How wasm-nginx-module acts on a callback: on a call first, then on a trap, then on a reply.
    fn next(&mut self, mut exchange: Exchange, action: Result<i32, Trapped>) -> (Exchange, Next) {
        let reply = exchange.reply.take();
        if std::mem::take(&mut exchange.refused) {
            self.vm.host().violate(Violation::RefusedReply);
        }
        let next = match (exchange.callout.take(), action, reply) {
            _ if self.restart_after_crash() => Next::Dead,
            (Some(callout), _, reply) => {
                if reply.is_some() {
                    self.vm.host().violate(Violation::ReplyLost);
                }
                Next::Call(callout)
            }
            (None, Err(Trapped), _) => Next::Unavailable,
            (None, Ok(action), _) if action < 0 => Next::Unavailable,
            (None, Ok(_), Some(reply)) => Next::Reply(reply),
            (None, Ok(0), None) => Next::Forward,
            (None, Ok(action), None) => {
                let cause =
                    if action == 1 { Violation::PausedForNothing } else { Violation::UnknownAction(action) };
                self.vm.host().violate(cause);
                self.restart_after_crash();
                Next::Dead
            }
        };
        (exchange, next)
    }

    /// nginx replaces a crashed worker.
    fn restart_after_crash(&mut self) -> bool {
        let crashed = self.vm.host().crashed;
        if crashed {
            self.vm = Vm::load(&self.module, self.record.clone(), self.number).expect("it loaded before");
            self.life += 1;
            self.plugins.iter_mut().for_each(|plugin| *plugin = None);
            self.free.clear();
            self.last_id = 0;
        }
        crashed
    }
}

fn next(last: &mut u32) -> u32 {
    *last += 1;
    *last
}

fn signed(number: u32) -> i32 {
    number.cast_signed()
}

fn size(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}
