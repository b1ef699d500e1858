//! The SDK's root context: one configuration of the filter.

use std::cell::RefCell;
use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

use super::plugin::{FIRST_TICK, Plugin};
use super::refused::Refused;
use super::request::Request;
use super::{entry, host, metrics};
use crate::config::Projects;
use crate::engine::Capabilities;
use crate::engine::projects::Engines;
use crate::jose::Backend;

thread_local! {
    static REFUSED: RefCell<Refused> = const { RefCell::new(Refused::new()) };
}

/// A root context. It has no plugin until it is configured.
pub(super) struct Root {
    context: u32,
    plugin: Option<Rc<Plugin>>,
}

impl Root {
    pub(super) const fn new(context: u32) -> Self {
        Self { context, plugin: None }
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body: usize, _trailers: usize) {
        if let Some(plugin) = &self.plugin {
            plugin.on_answer(token, headers, body);
        }
    }
}

impl RootContext for Root {
    /// Returns `false` to refuse the configuration. Envoy then keeps the previous one or does not start, and APISIX
    /// answers 503.
    fn on_configure(&mut self, size: usize) -> bool {
        host::discover();
        let projects = host::configuration(size)
            .map_err(|_refused| "the proxy did not pass on the configuration".to_owned())
            .and_then(|bytes| {
                let projects =
                    Projects::parse(&bytes).and_then(|projects| projects.on_proxy(host::has_ticks()));
                projects.map_err(|error| error.to_string())
            });
        match projects {
            Ok(projects) => {
                log::set_max_level(projects.log_level());
                let capabilities = Capabilities {
                    background: host::has_ticks(),
                    signatures: Backend::choose(Some(host::verify_signature)),
                };
                log::info!("version {} serves {projects}; {capabilities}", env!("CARGO_PKG_VERSION"));
                self.close();
                metrics::define();
                let access_log = projects.access_log();
                let engines = Engines::new(projects, capabilities);
                self.plugin = Some(Rc::new(Plugin::new(self.context, engines, access_log)));
                if host::has_ticks() {
                    host::set_tick_period(FIRST_TICK);
                }
                true
            }
            Err(problem) => {
                let is_news =
                    || REFUSED.with_borrow_mut(|refused| refused.is_news(&problem, entry::number()));
                if host::has_ticks() || is_news() {
                    log::error!("the configuration is refused. {problem}");
                }
                false
            }
        }
    }

    fn on_tick(&mut self) {
        if let Some(plugin) = &self.plugin {
            plugin.on_tick();
        }
    }

    fn create_http_context(&self, context: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Request::new(context, self.plugin.clone())))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Root {
    fn close(&mut self) {
        if let Some(plugin) = self.plugin.take() {
            plugin.close();
        }
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        self.close();
    }
}
