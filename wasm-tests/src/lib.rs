//! What the suites run the filter in: a real Envoy, and a host that behaves like APISIX.
//!
//! [`scene`] puts one of them between a client and the [`servers`], which the suites find here as well.

pub mod apisix;
pub mod scene;

pub use servers::{
    auth_o_tron, authgear, authorizer, cli, client, echo, envoy, faulty, introspector, process, received,
    wait,
};
