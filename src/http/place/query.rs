//! The query of a path, read like that of a form (URL standard, "application/x-www-form-urlencoded parsing"), and cut
//! without changing the rest.

use std::borrow::Cow;

use crate::http::header::split_once;
use crate::http::percent;

/// A path with its query, if it has one.
pub(super) struct Query<'p> {
    whole: &'p [u8],
    /// The text before the `?` and the text after it.
    parts: Option<(&'p [u8], &'p [u8])>,
}

/// A parameter as sent.
pub(super) struct Pair<'p> {
    name: &'p [u8],
    value: &'p [u8],
}

impl<'p> Query<'p> {
    pub(super) fn of(path: &'p [u8]) -> Self {
        Self { whole: path, parts: split_once(path, b'?') }
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = Pair<'p>> + use<'p> {
        self.segments().map(Pair::of)
    }

    /// Returns the path and the query without the unwanted parameters.
    pub(super) fn without(&self, is_unwanted: impl Fn(&Pair<'p>) -> bool) -> Cow<'p, [u8]> {
        let is_unwanted = |segment: &&'p [u8]| is_unwanted(&Pair::of(segment));
        let Some((path, _)) = self.parts.filter(|_| self.segments().any(|segment| is_unwanted(&segment)))
        else {
            return Cow::Borrowed(self.whole);
        };
        let mut cut = path.to_vec();
        let rest = self.segments().filter(|segment| !is_unwanted(segment));
        for (number, segment) in rest.enumerate() {
            cut.push(if number == 0 { b'?' } else { b'&' });
            cut.extend_from_slice(segment);
        }
        Cow::Owned(cut)
    }

    fn segments(&self) -> impl Iterator<Item = &'p [u8]> + use<'p> {
        self.parts.into_iter().flat_map(|(_, query)| query.split(|&byte| byte == b'&'))
    }
}

impl<'p> Pair<'p> {
    fn of(segment: &'p [u8]) -> Self {
        let (name, value) = split_once(segment, b'=').unwrap_or((segment, b""));
        Self { name, value }
    }

    /// Returns whether its decoded name is `name`.
    pub(super) fn is_named(&self, name: &[u8]) -> bool {
        *percent::decode_form(self.name) == *name
    }

    /// Returns whether its value is empty.
    pub(super) const fn is_empty(&self) -> bool {
        self.value.is_empty()
    }

    /// Returns its decoded value.
    pub(super) fn value(&self) -> Cow<'p, [u8]> {
        percent::decode_form(self.value)
    }
}
