//! The outcome of a request: edits of its headers, or a reply in the app's place.

use std::rc::Rc;

use super::{Fields, OwnedField, grpc};

/// The edits of a request that is let through, and of its response.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderEdits {
    /// The client's headers to remove, named exactly as it sent them.
    pub remove: Vec<Vec<u8>>,
    /// Headers to set after that; repeated ones are separate entries. None of them is a client's header that was not
    /// removed. Shared with the cache.
    pub set: Rc<Fields>,
    /// The client's headers, and its `:path`, that get other values after that.
    pub rewrite: Vec<(&'static [u8], Vec<u8>)>,
    /// The edits of the response to the client.
    pub respond: ResponseEdits,
}

/// The edits of the response to a request that was let through.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResponseEdits {
    /// Headers that replace the app's own of these names; repeated ones are separate entries. No framing headers.
    /// Shared with the cache.
    pub replace: Rc<Fields>,
    /// Headers to add after that; repeated ones are separate entries.
    pub add: Rc<[OwnedField]>,
}

impl ResponseEdits {
    /// Returns the same edits without the added headers.
    #[must_use]
    pub fn replacing(&self) -> Self {
        Self { replace: Rc::clone(&self.replace), add: Rc::default() }
    }

    /// Returns whether the response stays unchanged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.replace.is_empty() && self.add.is_empty()
    }
}

impl HeaderEdits {
    /// Returns the new value of a client's header; `None` if it is unchanged or removed.
    #[must_use]
    pub fn rewritten(&self, name: &[u8]) -> Option<&[u8]> {
        self.rewrite.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_slice())
    }
}

/// An answer of the filter itself to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status code: 400 to 599, or a redirect's.
    pub status: u16,
    /// Headers; repeated ones are separate entries. No framing headers.
    pub fields: Vec<OwnedField>,
    /// Never empty: APISIX would replace an empty body by an HTML page.
    pub body: Vec<u8>,
    /// What a gRPC client gets instead, if the proxy can send it; `None` for other clients.
    pub grpc: Option<grpc::Status>,
}
