//! The grammar of JSON (RFC 8259): where a value ends, and where a text is none.
//!
//! Nothing here calls itself, so no nesting is too deep.

use std::ops::Range;

/// How far a JSON text was read.
pub(super) struct Text<'a> {
    whole: &'a str,
    /// In bytes; beyond the end where one more was wanted.
    at: usize,
}

impl<'a> Text<'a> {
    /// At the beginning.
    pub(super) const fn new(whole: &'a str) -> Self {
        Self { whole, at: 0 }
    }

    /// What was read: after a `None` its last byte is wrong, or, where this is `None` too, the text ends too
    /// early.
    #[cfg(test)]
    pub(super) fn read(&self) -> Option<&'a [u8]> {
        self.whole.as_bytes().get(..self.at)
    }

    /// The next byte that is not white space.
    pub(super) fn token(&mut self) -> Option<u8> {
        loop {
            match self.next()? {
                b' ' | b'\t' | b'\n' | b'\r' => {}
                token => return Some(token),
            }
        }
    }

    /// Whether nothing but white space is left.
    pub(super) fn is_over(&mut self) -> bool {
        self.token().is_none()
    }

    /// Reads `byte`, if it is the next one that is not white space.
    pub(super) fn takes(&mut self, byte: u8) -> bool {
        let before = self.at;
        let is_next = self.token() == Some(byte);
        if !is_next {
            self.at = before;
        }
        is_next
    }

    /// Reads `byte`, which has to be the next one that is not white space.
    pub(super) fn expect(&mut self, byte: u8) -> Option<()> {
        (self.token()? == byte).then_some(())
    }

    /// Reads a value of any type, and gives where it stands.
    pub(super) fn value(&mut self) -> Option<Range<usize>> {
        let first = self.token()?;
        let start = self.at.checked_sub(1)?;
        self.rest_of_value(first)?;
        Some(start..self.at)
    }

    /// Reads a string, and gives where it stands, quotes and all.
    pub(super) fn string(&mut self) -> Option<Range<usize>> {
        self.expect(b'"')?;
        let start = self.at.checked_sub(1)?;
        self.rest_of_string()?;
        Some(start..self.at)
    }

    fn rest_of_value(&mut self, mut first: u8) -> Option<()> {
        // What closes the objects and lists that are open, the innermost last.
        let mut open: Vec<u8> = Vec::new();
        loop {
            match first {
                b'{' if !self.takes(b'}') => {
                    open.push(b'}');
                    self.name()?;
                    first = self.token()?;
                    continue;
                }
                b'[' if !self.takes(b']') => {
                    open.push(b']');
                    first = self.token()?;
                    continue;
                }
                b'{' | b'[' => {}
                b'"' => self.rest_of_string()?,
                b't' => self.literal(b"rue")?,
                b'f' => self.literal(b"alse")?,
                b'n' => self.literal(b"ull")?,
                _ => self.rest_of_number(first)?,
            }
            loop {
                let Some(&closing) = open.last() else { return Some(()) };
                match self.token()? {
                    b',' if closing == b'}' => {
                        self.name()?;
                        break;
                    }
                    b',' => break,
                    token if token == closing => drop(open.pop()),
                    _ => return None,
                }
            }
            first = self.token()?;
        }
    }

    /// A member's name and the colon.
    fn name(&mut self) -> Option<()> {
        self.string()?;
        self.expect(b':')
    }

    fn rest_of_string(&mut self) -> Option<()> {
        loop {
            self.skip_plain();
            match self.next()? {
                b'"' => return Some(()),
                b'\\' => match self.next()? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                    b'u' => {
                        for _ in 0..4 {
                            self.next().filter(u8::is_ascii_hexdigit)?;
                        }
                    }
                    _ => return None,
                },
                0..=0x1f => return None,
                _ => {}
            }
        }
    }

    /// Skips bytes of a string that are nothing but themselves, eight at a time; fewer than eight may be left.
    fn skip_plain(&mut self) {
        let rest = self.whole.as_bytes().get(self.at..).unwrap_or_default();
        for word in rest.as_chunks::<8>().0 {
            let odd = odd_bytes(u64::from_le_bytes(*word));
            // 64 if there is none.
            let plain = odd.trailing_zeros() / 8;
            self.at = self.at.saturating_add(usize::try_from(plain).unwrap_or(0));
            if odd != 0 {
                return;
            }
        }
    }

    fn literal(&mut self, rest: &[u8]) -> Option<()> {
        rest.iter().all(|byte| self.next() == Some(*byte)).then_some(())
    }

    fn rest_of_number(&mut self, first: u8) -> Option<()> {
        let first = if first == b'-' { self.next()? } else { first };
        match first {
            b'0' => {}
            b'1'..=b'9' => self.digits(),
            _ => return None,
        }
        if self.peek() == Some(b'.') {
            self.next()?;
            self.next().filter(u8::is_ascii_digit)?;
            self.digits();
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.next()?;
            if let Some(b'+' | b'-') = self.peek() {
                self.next()?;
            }
            self.next().filter(u8::is_ascii_digit)?;
            self.digits();
        }
        Some(())
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.next();
        }
    }

    fn peek(&self) -> Option<u8> {
        self.whole.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek();
        self.at = self.at.saturating_add(1);
        byte
    }
}

/// The high bit of the lowest byte that is a quotation mark, a backslash or a control character; those of higher bytes
/// say nothing, but there is none without that.
fn odd_bytes(word: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    // What is taken from one byte is borrowed from those above, so the lowest one is right.
    let below = |word: u64, bound: u64| word.wrapping_sub(bound.wrapping_mul(EACH)) & !word;
    let is = |byte: u8| below(word ^ u64::from(byte).wrapping_mul(EACH), 1);
    (below(word, 0x20) | is(b'"') | is(b'\\')) & 0x80u64.wrapping_mul(EACH)
}
