//! The filter beside other people's programs, as they are: oauth2-proxy, Ory Hydra, Envoy
//! Gateway, Istio. `make test-real` builds them
//! and runs this; `make test` does not.

mod browser;
mod envoy_gateway;
mod hydra;
mod isolated;
mod istio;
mod kubernetes;
mod oauth2_proxy;
mod probe;
mod program;
mod registry;
