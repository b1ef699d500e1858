//! Who decides about requests, as `authgear`, or `forward_auth` and `jwt`, settle it; what stands beside them is not
//! looked at yet.

use std::time::Duration;

use super::rules::Sessions;
use super::{AuthServer, Issuer, Login};
use crate::http::managed::Managed;
use crate::http::place::Place;
use crate::rules::HostPattern;

/// Who decides, as `authgear`, or `forward_auth` and `jwt`, settle it.
pub(super) struct Deciders {
    /// The path of the fields that say so.
    pub(super) at: String,
    /// What the log calls them.
    pub(super) name: Option<String>,
    /// The hosts whose requests they decide about; empty for all others.
    pub(super) hosts: Vec<HostPattern>,
    pub(super) issuers: Vec<Issuer>,
    pub(super) server: Option<AuthServer>,
    /// Where tokens may stand, of all issuers together.
    pub(super) token_from: Vec<Place>,
    pub(super) login: Option<Login>,
    /// How long the server's accepting answers are reused by default.
    pub(super) ttl: Duration,
    pub(super) managed: Managed,
    pub(super) sessions: Sessions,
}
