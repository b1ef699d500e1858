//! The grammar of JSON (RFC 8259): where a value ends, and where a text is none.
//!
//! Nothing here calls itself, so no nesting is too deep.

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

    /// Reads a value of any type, and gives its text.
    pub(super) fn value(&mut self) -> Option<&'a str> {
        let first = self.token()?;
        let start = self.at.checked_sub(1)?;
        self.rest_of_value(first)?;
        self.whole.get(start..self.at)
    }

    /// Reads a string, and gives its text, quotes and all.
    pub(super) fn string(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        let start = self.at.checked_sub(1)?;
        self.rest_of_string()?;
        self.whole.get(start..self.at)
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
