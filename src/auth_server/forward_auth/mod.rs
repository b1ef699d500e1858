//! Any server that answers whether a request may pass, as nginx's `auth_request`, Traefik's ForwardAuth and
//! APISIX's forward-auth ask it: a request → the call; the answer → who it is, or a denial. Knows what servers do,
//! decides nothing about the request.

mod answer;
mod call;
mod cookie;
mod identity;
mod key;
mod settings;

pub use self::answer::{DenialKind, Denied, read};
pub use self::call::{MAX_BODY, MAX_SENT, Withheld, call, check_host, sent_values, withheld};
pub use self::cookie::{CookiePattern, CookiePatternError};
pub use self::identity::IdentityHeader;
pub use self::key::{CacheKey, KeyPart, KeyPartError, is_sent, key};
pub use self::settings::{CallHost, CallMethod, ForwardAuth, OriginalRequest};
pub use crate::http::template::{Piece, Template, TemplateError};
