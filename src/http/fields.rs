//! Headers as bytes: borrowed from the proxy, or stored together in one buffer.

use std::fmt;

use memchr::arch::all::is_equal;

/// A header: its name, in lower case as every proxy passes it, and its value.
pub type Field<'a> = (&'a [u8], &'a [u8]);

/// A header that owns its bytes.
pub type OwnedField = (Vec<u8>, Vec<u8>);

/// An owned list of headers in two allocations, however many headers it holds. Its `Debug` output leaves out the
/// values, because some are credentials.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Fields {
    /// The lengths of each name and value.
    lengths: Vec<(usize, usize)>,
    /// Each name, followed by its value.
    bytes: Vec<u8>,
}

impl Fields {
    /// Returns an empty list with room for this many headers and bytes.
    #[must_use]
    pub fn with_room(headers: usize, bytes: usize) -> Self {
        Self { lengths: Vec::with_capacity(headers), bytes: Vec::with_capacity(bytes) }
    }

    /// Appends a header.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        self.push_parts(name, [value]);
    }

    /// Appends a header whose value comes in parts.
    pub fn push_parts<'a>(&mut self, name: &[u8], value: impl IntoIterator<Item = &'a [u8]>) {
        self.bytes.extend_from_slice(name);
        let start = self.bytes.len();
        for part in value {
            self.bytes.extend_from_slice(part);
        }
        self.lengths.push((name.len(), self.bytes.len().saturating_sub(start)));
    }

    /// Appends a header with its name in lower case.
    pub fn push_lowercase(&mut self, name: &[u8], value: &[u8]) {
        let start = self.bytes.len();
        self.push(name, value);
        if let Some(name) = self.bytes.get_mut(start..start.saturating_add(name.len())) {
            name.make_ascii_lowercase();
        }
    }

    /// Returns all headers, in order.
    pub fn iter(&self) -> impl Iterator<Item = Field<'_>> + Clone {
        let mut rest = self.bytes.as_slice();
        self.lengths.iter().map_while(move |&(name, value)| {
            let (name, values) = rest.split_at_checked(name)?;
            let (value, after) = values.split_at_checked(value)?;
            rest = after;
            Some((name, value))
        })
    }

    /// Returns whether the list is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Returns the value of the first header of this name.
    #[must_use]
    pub fn value(&self, name: &[u8]) -> Option<&[u8]> {
        let mut start = 0usize;
        for &(name_length, value_length) in &self.lengths {
            let middle = start.saturating_add(name_length);
            let end = middle.saturating_add(value_length);
            // Most names differ in length, so nothing else is compared.
            if name_length == name.len()
                && self.bytes.get(start..middle).is_some_and(|known| is_equal(known, name))
            {
                return self.bytes.get(middle..end);
            }
            start = end;
        }
        None
    }

    /// Returns the heap memory that it owns, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        size_of_val(self.lengths.as_slice()).saturating_add(self.bytes.len())
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for Fields {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(fields: I) -> Self {
        let fields = fields.into_iter();
        let mut list = Self::with_room(fields.size_hint().1.unwrap_or_default(), 512);
        for (name, value) in fields {
            list.push(name.as_ref(), value.as_ref());
        }
        list
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, _)| String::from_utf8_lossy(name))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_found_by_its_whole_name_and_no_other() {
        let name = b"x-authgear-user-id";
        for at in 0..name.len() {
            let (mut capital, mut other) = (*name, *name);
            capital[at] = capital[at].to_ascii_uppercase();
            other[at] = b'_';
            let mut fields = Fields::with_room(3, 64);
            fields.push(&other, b"other");
            fields.push(&name[..at], b"shorter");
            assert_eq!(fields.value(name), None, "{at}");
            fields.push_lowercase(&capital, b"Found");
            assert_eq!(fields.value(name), Some(b"Found".as_slice()), "{at}");
        }
    }
}
