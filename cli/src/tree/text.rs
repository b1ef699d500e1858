//! A text as it is written in a file: where in the file each of its characters stands. A configuration may be JSON
//! within a string of YAML, and what is wrong with it is to be shown in the file.

use std::ops::Range;

/// A text, and how it is written.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    /// What it says.
    pub(crate) text: String,
    /// How it says so.
    pub(crate) style: Style,
}

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// A string of JSON.
    Json,
    /// YAML without quotes.
    Plain,
    /// YAML in `'`.
    SingleQuoted,
    /// YAML in `"`.
    DoubleQuoted,
    /// YAML after `|`.
    Literal,
    /// YAML after `>`.
    Folded,
}

/// Where the characters of a text stand in the file.
#[derive(Debug)]
pub(crate) struct Origin {
    /// Places in the text, and the same in the file: from each on, up to the next, one byte is one byte.
    points: Vec<(usize, usize)>,
}

impl Written {
    /// Where it came from. None where lines were joined, so that nobody can say.
    pub(crate) fn origin(&self, file: &str, span: &Range<usize>) -> Option<Origin> {
        let raw = file.get(span.clone())?;
        let mut walk = Walk { text: &self.text, at: 0, raw, raw_at: 0, points: Vec::new() };
        match self.style {
            Style::Plain => {
                // What stands before it is an anchor or a tag.
                walk.raw_at = raw.len().checked_sub(self.text.len())?;
                walk.literally(self.text.len())?;
            }
            Style::SingleQuoted => walk.quoted('\'', |walk| {
                if walk.rest().starts_with("''") { walk.escape(2, "'") } else { walk.character() }
            })?,
            Style::DoubleQuoted | Style::Json => walk.quoted('"', Walk::escaped)?,
            Style::Literal => walk.lines()?,
            Style::Folded => return None,
        }
        // What was walked is the text, to its last byte, or the places are not its places.
        (walk.at == self.text.len()).then_some(())?;
        let start = span.start;
        let points = walk.points.into_iter().map(|(at, raw_at)| (at, raw_at.saturating_add(start)));
        Some(Origin { points: points.collect() })
    }
}

impl Origin {
    /// The place in the file of a place in the text.
    pub(crate) fn place(&self, at: usize) -> usize {
        let after = self.points.partition_point(|&(point, _)| point <= at);
        match after.checked_sub(1).and_then(|last| self.points.get(last)) {
            Some(&(point, place)) => place.saturating_add(at.saturating_sub(point)),
            None => self.points.first().map_or(0, |&(_, place)| place),
        }
    }

    /// The range in the file of a range in the text.
    pub(crate) fn range(&self, range: &Range<usize>) -> Range<usize> {
        let start = self.place(range.start);
        // The end of what its last byte is made of.
        let end = match range.end.checked_sub(1) {
            Some(last) if last >= range.start => self.place(last).saturating_add(1),
            Some(_) | None => start,
        };
        start..end.max(start)
    }
}

/// Goes through a text and what is written for it side by side. Each step is none where they differ.
struct Walk<'a> {
    text: &'a str,
    at: usize,
    raw: &'a str,
    raw_at: usize,
    points: Vec<(usize, usize)>,
}

impl<'a> Walk<'a> {
    /// What is still to be walked of the file.
    fn rest(&self) -> &'a str {
        self.raw.get(self.raw_at..).unwrap_or_default()
    }

    fn point(&mut self) {
        self.points.push((self.at, self.raw_at));
    }

    /// So many bytes that stand for themselves.
    fn literally(&mut self, bytes: usize) -> Option<()> {
        let (text_end, raw_end) = (self.at.checked_add(bytes)?, self.raw_at.checked_add(bytes)?);
        (self.text.get(self.at..text_end)? == self.raw.get(self.raw_at..raw_end)?).then_some(())?;
        if self.points.is_empty() {
            self.point();
        }
        (self.at, self.raw_at) = (text_end, raw_end);
        Some(())
    }

    /// One character that stands for itself.
    fn character(&mut self) -> Option<()> {
        let c = self.rest().chars().next()?;
        (!matches!(c, '\n' | '\r')).then_some(())?;
        self.literally(c.len_utf8())
    }

    /// So many bytes of the file that stand for a text.
    fn escape(&mut self, raw: usize, text: &str) -> Option<()> {
        self.text.get(self.at..)?.starts_with(text).then_some(())?;
        self.point();
        self.at = self.at.checked_add(text.len())?;
        self.raw_at = self.raw_at.checked_add(raw)?;
        self.point();
        Some(())
    }

    /// What stands between quotes, by the steps of `next`.
    fn quoted(&mut self, quote: char, mut next: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.raw_at = self.raw.find(quote)?.checked_add(1)?;
        self.point();
        while self.at < self.text.len() {
            next(self)?;
        }
        self.rest().starts_with(quote).then_some(())
    }

    /// One character between double quotes. The escapes of JSON are among those of YAML.
    fn escaped(&mut self) -> Option<()> {
        let rest = self.rest();
        let Some(escape) = rest.strip_prefix('\\') else { return self.character() };
        let kind = escape.chars().next()?;
        let digits = match kind {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            // A line that goes on.
            '\n' | '\r' => return None,
            _ => 0,
        };
        let mut raw = kind.len_utf8().checked_add(digits)?.checked_add(1)?;
        let c = self.text.get(self.at..)?.chars().next()?;
        if digits == 4 && u32::from(c) > 0xffff {
            // Two halves of a surrogate pair.
            raw = raw.checked_mul(2)?;
        }
        self.escape(raw, c.encode_utf8(&mut [0; 4]))
    }

    /// The lines of a block, each behind its indentation.
    fn lines(&mut self) -> Option<()> {
        let mut lines = self.text.split('\n').peekable();
        let mut is_first = true;
        while let Some(line) = lines.next() {
            let is_last = lines.peek().is_none();
            if is_last && line.is_empty() {
                break;
            }
            if !is_first {
                // The block's first line begins where the block does; others behind what indents them.
                let raw_line = self.rest().split('\n').next()?;
                let indented = raw_line.trim_end_matches('\r').len().checked_sub(line.len());
                // An empty line may be indented less than the block is.
                let skipped = if line.is_empty() { 0 } else { indented? };
                raw_line.get(..skipped)?.bytes().all(|byte| byte == b' ').then_some(())?;
                self.raw_at = self.raw_at.checked_add(skipped)?;
            }
            self.point();
            self.literally(line.len())?;
            is_first = false;
            if !is_last {
                self.at = self.at.checked_add(1)?;
                let rest = self.rest();
                let newline = rest.find('\n').unwrap_or(rest.len());
                self.raw_at = self.raw_at.checked_add(newline)?.checked_add(1)?;
            }
        }
        // Blank lines at the end are the text's or not.
        self.at = self.text.len();
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use crate::source::Source;
    use crate::tree::documents;

    /// What the file has where the text has `part`.
    fn original(file: &str, name: &str, part: &str) -> Option<String> {
        let (documents, faults) = documents(&Source::new(name, file.as_bytes()));
        assert_eq!(faults, [], "{file}");
        let node = documents[0].get("k").unwrap();
        let written = node.written().unwrap();
        let start = written.text.find(part).unwrap();
        let end = start.checked_add(part.len()).unwrap();
        let origin = written.origin(file, &node.span)?;
        file.get(origin.range(&(start..end))).map(str::to_owned)
    }

    #[test]
    fn every_way_to_write_a_text_leads_back_to_the_file() {
        let cases: &[(&str, &str, &str)] = &[
            ("k: abc", "b", "b"),
            ("k: &anchor abc", "b", "b"),
            ("k: !!str abc", "b", "b"),
            ("k: 'it''s abc'", "b", "b"),
            ("k: 'it''s abc'", "'s", "''s"),
            (r#"k: "a\"b\u00fcc\x41\td""#, "c", "c"),
            (r#"k: "a\"b\u00fcc\x41\td""#, "d", "d"),
            ("k: |\n  one\n  two\n", "two", "two"),
            ("k: |\r\n  one\r\n  two\r\n", "two", "two"),
            ("k: |-\n  one\n\n    two\n\n", "two", "two"),
            ("k: |2\n   one\n  two", "two", "two"),
            ("x: 1\nk: | # comment\n      öne\n      two\n", "two", "two"),
            ("k: |\n  one\n   \n\n  two", "two", "two"),
        ];
        for (file, part, expected) in cases {
            assert_eq!(original(file, "a.yaml", part).as_deref(), Some(*expected), "{file:?}");
        }
        let json = r#"{"k": "\"a\" \ud83d\ude00 \\ b\n c"}"#;
        assert_eq!(original(json, "a.json", "b").as_deref(), Some("b"));
        assert_eq!(original(json, "a.json", "c").as_deref(), Some("c"));
    }

    #[test]
    fn lines_that_were_joined_have_no_places() {
        for file in ["k: >\n  one\n  two\n", "k: one\n  two\n", "k: \"one\n  two\"\n", "k: 'one\n\n  two'"] {
            assert_eq!(original(file, "a.yaml", "two"), None, "{file:?}");
        }
    }
}
