//! A server that decides whether a request may pass, as asked by nginx's `auth_request`, Traefik's ForwardAuth and
//! APISIX's forward-auth. Turns a request into a call, and the answer into an identity or a denial. Knows the
//! behaviour of servers, and decides nothing about the request.

mod answer;
mod call;
mod cookie;
mod identity;
mod key;
mod key_part;
mod settings;
mod withheld;

pub use self::answer::{DenialKind, Denied, read};
pub use self::call::{MAX_BODY, MAX_SENT, call, check_host, sent_values};
pub use self::cookie::{CookiePattern, CookiePatternError};
pub use self::identity::IdentityHeader;
pub use self::key::{is_sent, key};
pub use self::key_part::{CacheKey, KeyPart, KeyPartError};
pub use self::settings::{CallHost, CallMethod, ForwardAuth, OriginalRequest};
pub use self::withheld::{Withheld, withheld};
pub use crate::http::template::{Piece, Template, TemplateError};
