//! The filter beside other people's programs, as they are: oauth2-proxy and Ory Hydra. `make test-real` builds them
//! and runs this; `make test` does not.

mod browser;
mod hydra;
mod oauth2_proxy;
mod program;
