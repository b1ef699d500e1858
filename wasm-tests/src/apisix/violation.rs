//! What a filter must not do in APISIX, because the real one would crash, leak memory, or let a request in.

use std::fmt;

/// Something that the filter did, and that would crash APISIX or let a request in. Each one fails the test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// A callback trapped: a panic, `unreachable`, `proc_exit`, memory out of bounds. What it had borrowed stays
    /// borrowed.
    Trap {
        /// The export that was called.
        callback: &'static str,
        /// wasmtime's message.
        cause: String,
    },
    /// `Pause` with neither a call in flight nor a reply: the worker reads a call that does not exist.
    PausedForNothing,
    /// A callback returned an invalid action: the worker loops forever.
    UnknownAction(i32),
    /// A call and a reply in one callback.
    ReplyLost,
    /// The callback of an answer ended without a call, a reply, or resuming the request. The request goes on anyway.
    LetThrough,
    /// A call without one of its pseudo headers: the worker uses what the previous call left there.
    MissingPseudoHeader(&'static str),
    /// `:authority`, or all headers, of a request without `Host`.
    ReadsAbsentHost,
    /// Reading the headers of a failed call, at which the Rust SDK panics.
    ReadsFailedCall,
    /// A range of a buffer that ends beyond `i32::MAX`.
    ReadsPastBuffer,
    /// An answer with more header lines than the worker has memory for.
    CallHeaders {
        /// How many, `:status` included.
        lines: usize,
    },
    /// A reply or a call while the response is on its way to the client.
    TooLate(&'static str),
    /// A reply whose `content-length` differs from the length of its body.
    WrongLength {
        /// The header's value.
        said: String,
        /// The length of the body.
        length: usize,
    },
    /// The filter made a context the effective one that is neither the root's nor the request's, and then acted. The
    /// real host claims to have changed it but has not, so the action affects the request of the callback.
    ForeignContext(u32),
    /// A call with a cookie or a token that is not of the callback's request: its answer decides about the wrong
    /// user.
    ForeignCall,
    /// Reading the headers of an answer outside its callback, when the memory has another owner.
    ReadsCallOutsideCallback,
    /// `plugin_root_id` while a context ends: the worker reads what no longer exists.
    ReadsRootIdAtEnd,
    /// A reply that was refused for one of its headers and not repeated: it goes out with foreign memory as its body.
    RefusedReply,
    /// A reply with an invalid status: the host claims to accept it, and the request goes on.
    StatusOfNoReply(i32),
    /// A log line with a line break in it: whoever caused it can forge log lines.
    RawLineBreak(String),
}

impl Violation {
    /// Whether it crashes the worker, with all its requests.
    pub(super) const fn is_crash(&self) -> bool {
        matches!(
            self,
            Self::PausedForNothing | Self::UnknownAction(_) | Self::ReadsAbsentHost | Self::ReadsRootIdAtEnd
        )
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trap { callback, cause } => {
                write!(f, "{callback} trapped, which can end the filter in that worker for good: {cause}")
            }
            Self::PausedForNothing => f.write_str(
                "it paused a request with neither a call under way nor a reply: the worker crashes (segmentation fault)",
            ),
            Self::UnknownAction(action) => {
                write!(f, "a callback returned the action {action}: the worker loops for ever")
            }
            Self::ReplyLost => f.write_str(
                "it sent a call and a reply in one callback: the reply is lost, and the request may reach the upstream",
            ),
            Self::LetThrough => f.write_str(
                "the callback of an answer neither called, nor replied, nor resumed: the request goes upstream",
            ),
            Self::MissingPseudoHeader(name) => write!(
                f,
                "a call has no {name}: the worker takes the one of an earlier call, from memory that is not its own"
            ),
            Self::ReadsAbsentHost => f.write_str(
                "it read `:authority` or all headers of a request without Host: the worker crashes (segmentation fault)",
            ),
            Self::ReadsFailedCall => {
                f.write_str("it read the headers of a call that failed, although their number is 0")
            }
            Self::ReadsPastBuffer => f.write_str("it read a range of a buffer that ends past 2^31 bytes"),
            Self::CallHeaders { lines } => {
                write!(f, "the auth server answered {lines} header lines: the worker's heap is corrupt")
            }
            Self::TooLate(what) => write!(f, "it sent a {what} while the response was on its way to the client"),
            Self::WrongLength { said, length } => {
                write!(f, "a reply says content-length {said}, and its body has {length} bytes")
            }
            Self::ForeignContext(context) => {
                write!(f, "it acted for the context {context}, and it is another request that was changed")
            }
            Self::ForeignCall => f.write_str("it sent a call with a credential of another request"),
            Self::ReadsCallOutsideCallback => {
                f.write_str("it read the headers of a call outside the callback of its answer")
            }
            Self::ReadsRootIdAtEnd => {
                f.write_str("it read plugin_root_id while a context ends: the worker crashes (segmentation fault)")
            }
            Self::RefusedReply => {
                f.write_str("a reply was refused and not repeated: its body is memory of somebody else")
            }
            Self::StatusOfNoReply(status) => {
                write!(f, "it replied with the status {status}: the request goes upstream")
            }
            Self::RawLineBreak(line) => write!(f, "it logged a line break as it is: {line:?}"),
        }
    }
}
