//! Who decides about requests, according to `authgear`, or `forward_auth` and `jwt`. Other fields are not considered
//! yet.

use std::time::Duration;

use super::rules::Sessions;
use super::{AuthServer, Issuer, Login};
use crate::http::managed::Managed;
use crate::http::place::Place;
use crate::rules::HostPattern;

/// Who decides, according to `authgear`, or `forward_auth` and `jwt`.
pub(super) struct Deciders {
    /// The path of these fields.
    pub(super) at: String,
    /// Their name in the log.
    pub(super) name: Option<String>,
    /// The hosts whose requests they decide about; empty means all others.
    pub(super) hosts: Vec<HostPattern>,
    pub(super) issuers: Vec<Issuer>,
    pub(super) server: Option<AuthServer>,
    /// The places of tokens, of all issuers together.
    pub(super) token_from: Vec<Place>,
    pub(super) login: Option<Login>,
    /// How long the server's accepting answers are reused by default.
    pub(super) ttl: Duration,
    pub(super) managed: Managed,
    pub(super) sessions: Sessions,
}
