//! Why a single value is refused, unless a type of another folder states it.

use super::Quoted;

/// Why a value is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// A text is empty.
    #[error("is empty")]
    Empty,
    /// A list is empty.
    #[error("is an empty list, which nothing could ever match; leave it out")]
    EmptyList,
    /// It is none of a few names, which are listed.
    #[error("unknown variant {0}, expected {1}")]
    UnknownVariant(Quoted, &'static str),
    /// A name occurs twice in an object.
    #[error("duplicate field {0}")]
    DuplicateName(Quoted),
    /// It is the boolean that cannot be required. States the other one.
    #[error("only `{0}` can be required; leave it out for either")]
    OnlyOther(bool),
    /// An upstream has no name.
    #[error("is empty; give an Envoy cluster, or host:port on APISIX")]
    NoUpstream,
    /// An upstream's name has a control character.
    #[error("has a control character")]
    ControlCharacter,
    /// A cookie's name cannot have this character.
    #[error("a cookie name cannot contain '{}'", .0.escape_default())]
    NoCookieCharacter(char),
    /// It is not a duration. States the expectation.
    #[error("found \"{}\", expected {expected}", found.escape_default())]
    NoDuration {
        /// What stands there.
        found: String,
        /// What a duration is.
        expected: &'static str,
    },
    /// It is longer than a day.
    #[error("{0} is too long: at most 24h")]
    LongerThanADay(String),
    /// nginx, and so APISIX, closes the connection instead of sending this status.
    #[error("{0} closes the connection on APISIX; choose another status")]
    StatusThatHangsUp(u16),
    /// It is not a status of a denial.
    #[error("a status of a denial is 400 to 599")]
    NoDenial,
    /// It is not a number from 1 to this.
    #[error("a number from 1 to {0}")]
    NoCount(usize),
    /// A claim cannot be compared with this value.
    #[error("a value of a claim is a string, a number or a boolean")]
    NoScalar,
    /// Two headers for the app differ only in spelling.
    #[error("many apps read {0} and another one alike")]
    ReadAlike(Quoted),
}
