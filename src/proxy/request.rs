//! The SDK's HTTP context: one request.

use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use super::entry;
use super::exchange::Exchange;
use super::host::{self, ProxyRefused};
use super::plugin::Plugin;

/// A request. There is no `plugin` if the configuration was refused.
pub(super) struct Request {
    plugin: Option<Rc<Plugin>>,
    exchange: Rc<Exchange>,
}

impl Request {
    pub(super) fn new(context: u32, plugin: Option<Rc<Plugin>>) -> Self {
        Self { plugin, exchange: Rc::new(Exchange::new(context)) }
    }
}

impl Context for Request {}

impl HttpContext for Request {
    fn on_http_request_headers(&mut self, _headers: usize, _end_of_stream: bool) -> Action {
        if !entry::is_wrapped() {
            log::error!("this module was not finished (make build), so it denies everything");
            host::reply_broken();
            return Action::Pause;
        }
        match &self.plugin {
            Some(plugin) => plugin.start(&self.exchange),
            None => {
                host::reply_broken();
                Action::Pause
            }
        }
    }

    fn on_http_request_trailers(&mut self, _trailers: usize) -> Action {
        let edited = host::edit_trailers(|trailers| match &self.plugin {
            Some(plugin) => plugin.forged_trailers(trailers),
            None => Vec::new(),
        });
        match edited {
            Ok(()) => Action::Continue,
            Err(ProxyRefused) => {
                log::error!("the proxy did not edit the trailers of a request, which is denied");
                host::reply_broken();
                Action::Pause
            }
        }
    }

    fn on_http_response_headers(&mut self, _headers: usize, _end_of_stream: bool) -> Action {
        if let Some(respond) = self.exchange.respond() {
            host::edit_response(&respond);
        }
        Action::Continue
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if let Some(plugin) = &self.plugin {
            plugin.on_left(&self.exchange);
        }
    }
}
