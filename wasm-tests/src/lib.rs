//! What the filter is tested against and shown with.

pub mod apisix;
pub mod auth_o_tron;
pub mod authgear;
pub mod authorizer;
pub mod client;
pub mod echo;
pub mod envoy;
pub mod faulty;
pub mod flags;
mod html;
pub mod process;
pub mod received;
pub mod scene;
mod serve;
