//! The hosts in which the suites run the filter: a real Envoy, and one that behaves like APISIX.
//!
//! [`scene`] puts a host between a client and the [`servers`], which are exported here too.

pub mod apisix;
pub mod scene;

pub use servers::{
    auth_o_tron, authgear, authorizer, cli, client, echo, envoy, faulty, introspector, process, received,
    wait,
};
