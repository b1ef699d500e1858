//! The text of a file, and the places in it.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

/// The longest file that is read, in bytes. Envoy's configuration of a thousand routes has a tenth of it.
pub(crate) const MAX_BYTES: usize = 8 * 1024 * 1024;

/// The name under which standard input is read, as an argument and in reports.
pub(crate) const STDIN: &str = "-";

/// A file that was read.
#[derive(Debug)]
pub(crate) struct Source {
    /// As it was named on the command line.
    pub(crate) name: String,
    /// Without a byte order mark. Where the file is not UTF-8, with `U+FFFD` for what is none.
    pub(crate) text: String,
    /// What keeps it from being read as anything.
    pub(crate) fault: Option<Fault>,
}

/// Why the bytes of a file are no text that can be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is longer than [`MAX_BYTES`].
    TooLarge,
    /// It has the byte order mark of UTF-16 or UTF-32.
    Utf16,
    /// A byte, at this offset, is no UTF-8.
    NotUtf8(usize),
}

impl Source {
    /// Reads a file, or standard input.
    ///
    /// # Errors
    ///
    /// It does not exist, or cannot be read.
    pub(crate) fn read(name: &str) -> io::Result<Self> {
        let mut bytes = Vec::new();
        let limit = (MAX_BYTES as u64).saturating_add(1);
        if name == STDIN {
            io::stdin().lock().take(limit).read_to_end(&mut bytes)?;
        } else {
            File::open(Path::new(name))?.take(limit).read_to_end(&mut bytes)?;
        }
        let name = if name == STDIN { "<stdin>" } else { name };
        Ok(Self::new(name, &bytes))
    }

    /// Takes the bytes of a file.
    pub(crate) fn new(name: &str, bytes: &[u8]) -> Self {
        let name = name.to_owned();
        if bytes.len() > MAX_BYTES {
            return Self { name, text: String::new(), fault: Some(Fault::TooLarge) };
        }
        if [[0xff, 0xfe], [0xfe, 0xff]].iter().any(|mark| bytes.starts_with(mark)) {
            return Self { name, text: String::new(), fault: Some(Fault::Utf16) };
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let fault = str::from_utf8(bytes).err().map(|error| Fault::NotUtf8(error.valid_up_to()));
        Self { name, text: String::from_utf8_lossy(bytes).into_owned(), fault }
    }

    /// Line and column of a place, both from 1; columns count characters.
    pub(crate) fn line_and_column(&self, offset: usize) -> (usize, usize) {
        line_and_column(&self.text, offset)
    }
}

/// Line and column of a place in a text, both from 1; columns count characters.
pub(crate) fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let offset = text.floor_char_boundary(offset);
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline.saturating_add(1));
    let line = before.bytes().filter(|&byte| byte == b'\n').count().saturating_add(1);
    let column = before.get(line_start..).unwrap_or_default().chars().count().saturating_add(1);
    (line, column)
}

/// The place of a line and a column that count as serde_json's do: from 1, in bytes, and a column of 0 for the end of
/// the line before.
pub(crate) fn offset(text: &str, line: usize, column: usize) -> usize {
    let start = match line.checked_sub(2) {
        Some(newlines_before) => text
            .bytes()
            .enumerate()
            .filter(|&(_, byte)| byte == b'\n')
            .nth(newlines_before)
            .map_or(text.len(), |(newline, _)| newline.saturating_add(1)),
        None => 0,
    };
    start.saturating_add(column).saturating_sub(1).min(text.len())
}

/// The first line of a range, and never nothing, so that there is something to underline.
pub(crate) fn first_line(text: &str, range: Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(range.start.min(text.len()));
    let end = text.floor_char_boundary(range.end.clamp(start, text.len()));
    let covered = text.get(start..end).unwrap_or_default();
    let line = covered.split(['\n', '\r']).next().unwrap_or_default();
    start..start.saturating_add(line.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_by_line_and_column() {
        let text = "a\nbü\r\nc";
        for (offset, expected) in
            [(0, (1, 1)), (1, (1, 2)), (2, (2, 1)), (5, (2, 3)), (7, (3, 1)), (99, (3, 2))]
        {
            assert_eq!(line_and_column(text, offset), expected, "{offset}");
        }
        for (line, column, expected) in [(1, 1, 0), (1, 0, 0), (2, 1, 2), (3, 1, 7), (9, 9, 8)] {
            assert_eq!(offset(text, line, column), expected, "{line}:{column}");
        }
    }

    #[test]
    fn what_is_no_utf8_is_told_with_its_place() {
        assert_eq!(Source::new("a", b"ab\xffc").fault, Some(Fault::NotUtf8(2)));
        assert_eq!(Source::new("a", b"\xff\xfea\0").fault, Some(Fault::Utf16));
        assert_eq!(Source::new("a", &vec![b' '; MAX_BYTES + 1]).fault, Some(Fault::TooLarge));
        let marked = Source::new("a", b"\xef\xbb\xbfab");
        assert_eq!((marked.text.as_str(), marked.fault), ("ab", None));
    }
}
