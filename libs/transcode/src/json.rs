//! Reading and writing JSON text, one value at a time.
//!
//! A parser of our own, because the common ones do not combine three things: numbers as the digits that were written (never
//! through a float), an error on duplicate keys, and no value tree in between.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

/// How deep objects and lists may nest.
pub(crate) const MAX_DEPTH: u32 = 32;

/// Text that is not JSON, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub problem: &'static str,
    pub line: usize,
    pub column: usize,
}

/// What a value is, as its first character tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Object,
    List,
    String,
    Number,
    Bool,
    Null,
}

/// Reads JSON from the front of a text. Methods must be called as the structure demands: `peek` to
/// learn what comes, then the method for it.
pub(crate) struct Parser<'b> {
    text: &'b str,
    position: usize,
    depth: u32,
}

impl<'b> Parser<'b> {
    /// Over the whole body.
    ///
    /// # Errors
    /// When it is not UTF-8.
    pub fn new(body: &'b [u8]) -> Result<Parser<'b>, SyntaxError> {
        // A byte order mark is allowed to be ignored, and some clients on Windows do write one.
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        match std::str::from_utf8(body) {
            Ok(text) => Ok(Parser {
                text,
                position: 0,
                depth: 0,
            }),
            Err(error) => {
                let valid = &body[..error.valid_up_to()];
                let text = std::str::from_utf8(valid).unwrap_or_default();
                let parser = Parser {
                    text,
                    position: text.len(),
                    depth: 0,
                };
                Err(parser.error("a byte that is not UTF-8"))
            }
        }
    }

    /// An error at the present position.
    pub fn error(&self, problem: &'static str) -> SyntaxError {
        let before = &self.text[..self.position];
        let line_start = before.rfind('\n').map_or(0, |index| index + 1);
        SyntaxError {
            problem,
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.position += 1;
        }
    }

    /// Skips blanks and tells what comes.
    pub fn peek(&mut self) -> Result<Type, SyntaxError> {
        self.skip_blanks();
        match self.byte() {
            Some(b'{') => Ok(Type::Object),
            Some(b'[') => Ok(Type::List),
            Some(b'"') => Ok(Type::String),
            Some(b'-' | b'0'..=b'9') => Ok(Type::Number),
            Some(b't' | b'f') => Ok(Type::Bool),
            Some(b'n') => Ok(Type::Null),
            Some(_) => Err(self.error("expected a value")),
            None => Err(self.error("expected a value, found the end")),
        }
    }

    /// Where the next value begins.
    pub fn position(&self) -> usize {
        self.position
    }

    /// The text from `start` up to here.
    pub fn since(&self, start: usize) -> &'b str {
        &self.text[start..self.position]
    }

    /// After the last value: nothing else may follow.
    pub fn end(&mut self) -> Result<(), SyntaxError> {
        self.skip_blanks();
        if self.position == self.text.len() {
            Ok(())
        } else {
            Err(self.error("expected the end after the value"))
        }
    }

    /// Consumes the `{` or `[` that `peek` found.
    pub fn open(&mut self) -> Result<(), SyntaxError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error("more than 32 levels of nesting"));
        }
        self.position += 1;
        Ok(())
    }

    /// The next key of an object and its colon, or `None` past the closing brace.
    pub fn key(&mut self, first: &mut bool) -> Result<Option<Cow<'b, str>>, SyntaxError> {
        if !self.more(first, b'}', "expected ',' or '}'")? {
            return Ok(None);
        }
        if self.byte() != Some(b'"') {
            return Err(self.error("expected a key in double quotes"));
        }
        let key = self.string()?;
        self.skip_blanks();
        if self.byte() != Some(b':') {
            return Err(self.error("expected ':'"));
        }
        self.position += 1;
        Ok(Some(key))
    }

    /// Whether another element of a list follows; consumes the comma or the closing bracket.
    pub fn element(&mut self, first: &mut bool) -> Result<bool, SyntaxError> {
        self.more(first, b']', "expected ',' or ']'")
    }

    fn more(
        &mut self,
        first: &mut bool,
        close: u8,
        expected: &'static str,
    ) -> Result<bool, SyntaxError> {
        self.skip_blanks();
        if std::mem::take(first) {
            if self.byte() == Some(close) {
                self.position += 1;
                self.depth -= 1;
                return Ok(false);
            }
            return Ok(true);
        }
        match self.byte() {
            Some(b',') => {
                self.position += 1;
                self.skip_blanks();
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.position += 1;
                self.depth -= 1;
                Ok(false)
            }
            _ => Err(self.error(expected)),
        }
    }

    /// The string that `peek` found, without its quotes; borrowed when it has no escapes.
    pub fn string(&mut self) -> Result<Cow<'b, str>, SyntaxError> {
        self.position += 1;
        let start = self.position;
        loop {
            match self.byte() {
                Some(b'"') => {
                    let text = &self.text[start..self.position];
                    self.position += 1;
                    return Ok(Cow::Borrowed(text));
                }
                Some(b'\\') => return self.escaped(start).map(Cow::Owned),
                Some(0..=0x1f) => return Err(self.error("a control character in a string")),
                Some(_) => self.position += 1,
                None => return Err(self.error("a string without its closing quote")),
            }
        }
    }

    fn escaped(&mut self, start: usize) -> Result<String, SyntaxError> {
        let mut text = self.text[start..self.position].to_owned();
        loop {
            let plain = self.position;
            while !matches!(self.byte(), Some(b'"' | b'\\' | 0..=0x1f) | None) {
                self.position += 1;
            }
            text.push_str(&self.text[plain..self.position]);
            match self.byte() {
                Some(b'"') => {
                    self.position += 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    self.position += 1;
                    text.push(self.escape()?);
                }
                Some(_) => return Err(self.error("a control character in a string")),
                None => return Err(self.error("a string without its closing quote")),
            }
        }
    }

    /// The character that an escape stands for, after the backslash.
    fn escape(&mut self) -> Result<char, SyntaxError> {
        let plain = match self.byte() {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.position += 1;
                return self.unicode();
            }
            _ => return Err(self.error("an unknown escape in a string")),
        };
        self.position += 1;
        Ok(plain)
    }

    fn unicode(&mut self) -> Result<char, SyntaxError> {
        let high = self.hex4()?;
        if !(0xd800..0xdc00).contains(&high) {
            return char::from_u32(high).ok_or_else(|| self.error("half a surrogate pair"));
        }
        if !self.text[self.position..].starts_with("\\u") {
            return Err(self.error("half a surrogate pair"));
        }
        self.position += 2;
        let low = self.hex4()?;
        if !(0xdc00..0xe000).contains(&low) {
            return Err(self.error("half a surrogate pair"));
        }
        let scalar = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
        char::from_u32(scalar).ok_or_else(|| self.error("half a surrogate pair"))
    }

    fn hex4(&mut self) -> Result<u32, SyntaxError> {
        let mut value = 0;
        for _ in 0..4 {
            let digit = self.byte().and_then(|byte| char::from(byte).to_digit(16));
            let digit = digit.ok_or_else(|| self.error("expected four hexadecimal digits"))?;
            value = value * 16 + digit;
            self.position += 1;
        }
        Ok(value)
    }

    /// The number that `peek` found, as it is written.
    pub fn number(&mut self) -> Result<&'b str, SyntaxError> {
        let length = number_length(&self.text.as_bytes()[self.position..]);
        let start = self.position;
        self.position += length;
        let followed = matches!(
            self.byte(),
            Some(b'0'..=b'9' | b'.' | b'a'..=b'z' | b'A'..=b'Z')
        );
        if length == 0 || followed {
            return Err(self.error("a malformed number"));
        }
        Ok(&self.text[start..self.position])
    }

    /// The `true` or `false` that `peek` found.
    pub fn bool(&mut self) -> Result<bool, SyntaxError> {
        if self.byte() == Some(b't') {
            self.word("true", "expected true").map(|()| true)
        } else {
            self.word("false", "expected false").map(|()| false)
        }
    }

    /// The `null` that `peek` found.
    pub fn null(&mut self) -> Result<(), SyntaxError> {
        self.word("null", "expected null")
    }

    fn word(&mut self, word: &str, expected: &'static str) -> Result<(), SyntaxError> {
        let rest = &self.text[self.position..];
        let ends = rest
            .as_bytes()
            .get(word.len())
            .is_none_or(|byte| !byte.is_ascii_alphanumeric());
        if rest.starts_with(word) && ends {
            self.position += word.len();
            Ok(())
        } else {
            Err(self.error(expected))
        }
    }

    /// Passes over a value of any type, checking its syntax.
    pub fn skip(&mut self) -> Result<(), SyntaxError> {
        let mut first = true;
        match self.peek()? {
            Type::Object => {
                self.open()?;
                while self.key(&mut first)?.is_some() {
                    self.skip()?;
                }
            }
            Type::List => {
                self.open()?;
                while self.element(&mut first)? {
                    self.skip()?;
                }
            }
            Type::String => drop(self.string()?),
            Type::Number => drop(self.number()?),
            Type::Bool => drop(self.bool()?),
            Type::Null => self.null()?,
        }
        Ok(())
    }
}

/// How many bytes at the front are a JSON number; 0 when there is none.
pub(crate) fn number_length(text: &[u8]) -> usize {
    let digits = |from: usize| {
        text[from..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    };
    let mut end = usize::from(text.first() == Some(&b'-'));
    let whole = digits(end);
    if whole == 0 || (whole > 1 && text[end] == b'0') {
        return 0;
    }
    end += whole;
    if text.get(end) == Some(&b'.') {
        let fraction = digits(end + 1);
        if fraction == 0 {
            return 0;
        }
        end += 1 + fraction;
    }
    if matches!(text.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent == 0 {
            return 0;
        }
        end += 1 + sign + exponent;
    }
    end
}

/// Appends a string in double quotes.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut plain = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[plain..index]);
        plain = index + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
        }
    }
    out.extend_from_slice(&bytes[plain..]);
    out.push(b'"');
}
