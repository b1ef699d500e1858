//! The edits that remove things from a request, whatever the decision: headers that only the filter may set, and
//! credentials if the operator wants that.

use std::borrow::Cow;
use std::rc::Rc;

use super::Engine;
use crate::auth_server::AuthServer;
use crate::http::credential;
use crate::http::place::{self, Found, Place, WEBSOCKET_PROTOCOL};
use crate::http::{Field, Fields, Head, HeaderEdits, ResponseEdits, header};
use crate::jose::dpop::PROOF_HEADER;

/// The edits of one request.
#[derive(Debug, Default)]
pub(super) struct Edits {
    remove: Vec<Vec<u8>>,
    rewrite: Vec<(&'static [u8], Vec<u8>)>,
}

impl Edits {
    /// Returns all edits of a request that is forwarded.
    pub(super) fn with(self, set: Rc<Fields>, respond: ResponseEdits) -> HeaderEdits {
        HeaderEdits { remove: self.remove, set, rewrite: self.rewrite, respond }
    }

    fn remove(&mut self, name: &[u8]) {
        if !self.remove.iter().any(|known| known == name) {
            self.remove.push(name.to_vec());
        }
    }

    /// Removes a header, and puts back what remains of it.
    fn leave(&mut self, name: &'static [u8], rest: Vec<u8>) {
        self.remove(name);
        if !rest.is_empty() {
            self.rewrite.push((name, rest));
        }
    }
}

impl Engine {
    /// Returns the edits of a request. `forged` are the names of headers that no client may send.
    pub(super) fn edits(&self, head: &Head<'_>, forged: Vec<Vec<u8>>) -> Edits {
        let mut edits = Edits { remove: forged, rewrite: Vec::new() };
        if !self.background {
            // The proxy does not list all headers of a request, so names that are known unseen are removed too.
            edits.remove.extend_from_slice(self.config.managed.unseen());
        }
        if self.config.strip_credentials {
            self.strip(head, &mut edits);
        }
        if let Some(rest) = self.connection(head) {
            edits.leave(b"connection", rest);
        }
        edits
    }

    /// Returns `Connection` without the identity headers that it nominates, which the next hop would drop; `None` if
    /// it nominates none.
    fn connection(&self, head: &Head<'_>) -> Option<Vec<u8>> {
        let options = || {
            let lines = head.values(b"connection").flat_map(|line| line.split(|&byte| byte == b','));
            lines.map(<[u8]>::trim_ascii)
        };
        if !options().any(|option| self.config.managed.contains(option)) {
            return None;
        }
        let rest: Vec<_> =
            options().filter(|option| !option.is_empty() && !self.config.managed.contains(option)).collect();
        Some(rest.join(b", ".as_slice()))
    }

    /// Removes credentials: tokens from every place, even one that was not searched, and the cookies that the auth
    /// server reads.
    fn strip(&self, head: &Head<'_>, edits: &mut Edits) {
        let places = &self.config.token_from;
        let takes_dpop = self.judges()
            && places.iter().any(|place| place.is_same(&self.bearer) || place.is_same(&self.dpop));
        let is_credential = |field: Field<'_>| {
            places.iter().any(|place| place.is_in(field))
                || takes_dpop && (self.dpop.is_in(field) || header::is_same(field.0, PROOF_HEADER))
        };
        for field in head.fields.iter().filter(|field| is_credential(**field)) {
            edits.remove(field.0);
        }
        let authorization = b"authorization".as_slice();
        let is_sent = self.config.forward_auth().is_some_and(|server| server.sends(authorization));
        let is_unclear = |place: &Place| place.is_header(authorization) && place.find(head) == Found::Unclear;
        if head.values(authorization).next().is_some() && (is_sent || places.iter().any(is_unclear)) {
            edits.remove(authorization);
        }
        let is_credential = |name: &[u8]| {
            let is_token = places.iter().any(|place| matches!(place, Place::Cookie(known) if known == name));
            // This app should not see another project's session.
            let is_session = self.config.session_cookies.iter().any(|cookies| cookies.contains(name));
            is_token
                || is_session
                || match &self.config.server {
                    Some(AuthServer::ForwardAuth(server)) => {
                        server.cookies.iter().flatten().any(|pattern| pattern.matches(name))
                    }
                    Some(AuthServer::Resolver(_) | AuthServer::Introspection(_)) | None => false,
                }
        };
        if let Some(cookies) = credential::cookies_without(head, is_credential) {
            edits.leave(b"cookie", cookies);
        }
        for field in head.fields.iter().filter(|field| place::is_other_protocols_with_token(**field, places))
        {
            edits.remove(field.0);
        }
        if let Some(protocols) = place::protocols_without_tokens(head, places) {
            edits.leave(WEBSOCKET_PROTOCOL, protocols);
        }
        if let Cow::Owned(path) = place::path_without_tokens(head.path, places) {
            edits.rewrite.push((b":path", path));
        }
    }
}
