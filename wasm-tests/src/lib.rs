//! What the filter is tested against and shown with.

pub mod authgear;
pub mod echo;
pub mod faulty;
pub mod flags;
mod html;
pub mod received;
mod serve;
