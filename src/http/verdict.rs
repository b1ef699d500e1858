//! What becomes of a request: edits of its headers, or a reply in the app's place.

use std::rc::Rc;

use super::{Fields, OwnedField, grpc};

/// What becomes of a request that is let through.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderEdits {
    /// Headers of the client to remove, by the very names that it sent.
    pub remove: Vec<Vec<u8>>,
    /// Headers to set after that, repeated ones apart; none that the client sent and that is not removed. Shared with
    /// whoever remembers them.
    pub set: Rc<Fields>,
    /// Headers of the client, and its `:path`, that get other values after that.
    pub rewrite: Vec<(&'static [u8], Vec<u8>)>,
    /// What becomes of the response to the client.
    pub respond: ResponseEdits,
}

/// What becomes of the response to a request that was let through.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResponseEdits {
    /// Headers to set in the place of the app's own of these names, repeated ones apart; no framing. Shared with
    /// whoever remembers them.
    pub replace: Rc<Fields>,
    /// Headers to add after that, repeated ones apart.
    pub add: Rc<[OwnedField]>,
}

impl ResponseEdits {
    /// The same without what is added.
    #[must_use]
    pub fn replacing(&self) -> Self {
        Self { replace: Rc::clone(&self.replace), add: Rc::default() }
    }

    /// Whether the response stays as it is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.replace.is_empty() && self.add.is_empty()
    }
}

impl HeaderEdits {
    /// The other value of a header of the client; `None` where that is as the client sent it, or removed.
    #[must_use]
    pub fn rewritten(&self, name: &[u8]) -> Option<&[u8]> {
        self.rewrite.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_slice())
    }
}

/// An answer of the filter's own to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status code, 400 to 599 or a redirect's.
    pub status: u16,
    /// Headers, repeated ones apart; no framing.
    pub fields: Vec<OwnedField>,
    /// Never empty: APISIX would put an HTML page of its own in its place.
    pub body: Vec<u8>,
    /// What a gRPC client is told instead, where the proxy can; `None` for a client that is none.
    pub grpc: Option<grpc::Status>,
}
