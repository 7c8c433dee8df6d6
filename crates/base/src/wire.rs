//! Bytes in and out: varints, lengths that are checked before anything is allocated, tagged fields.
//!
//! A record is a list of fields, each `tag, length, bytes`; a reader skips the tags that it does
//! not know, so that a newer writer never breaks an older reader. Numbers are LEB128.
//! Does not know what any field means.

use thiserror::Error;

/// Bytes that do not hold what they should. State is unchanged.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// The bytes ended early.
    #[error("ends after {got} bytes, expected at least {need}")]
    Truncated {
        /// How many bytes were left.
        got: usize,
        /// How many the next value needs.
        need: usize,
    },
    /// A number has more than 64 bits.
    #[error("number longer than 64 bits")]
    TooLong,
    /// Text is not UTF-8.
    #[error("text is not UTF-8")]
    NotText,
    /// A value outside its range.
    #[error("{what} is {value}, which this version does not know")]
    Unknown {
        /// Which value.
        what: &'static str,
        /// What it was.
        value: u64,
    },
    /// A record lacks a field that it must have.
    #[error("field {0} is missing")]
    Missing(&'static str),
}

/// Appends values to a buffer.
#[derive(Clone, Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// An empty buffer.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// A number, 1 to 10 bytes (LEB128).
    pub fn number(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.0
                .push(u8::try_from(n & 0x7f).expect("seven bits") | 0x80);
            n >>= 7;
        }
        self.0.push(u8::try_from(n).expect("below 128"));
    }

    /// A signed number, small magnitudes short (zigzag).
    pub fn signed(&mut self, n: i64) {
        self.number((n.cast_unsigned() << 1) ^ (n >> 63).cast_unsigned());
    }

    /// Appends bytes as they are; the reader must know how many.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// How many bytes are written so far.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is written yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes with their length in front.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// A field holding a number.
    pub fn field_number(&mut self, tag: u64, n: u64) {
        self.field(tag, |w| w.number(n));
    }

    /// A field holding text or bytes.
    pub fn field_bytes(&mut self, tag: u64, bytes: &[u8]) {
        self.number(tag);
        self.bytes(bytes);
    }

    /// A field whose content `fill` writes.
    pub fn field(&mut self, tag: u64, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self::new();
        fill(&mut inner);
        self.field_bytes(tag, &inner.0);
    }

    /// What was written.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Takes values from the front of a slice.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads `bytes` from the front.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether nothing is left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A number as [`Writer::number`] wrote it.
    pub fn number(&mut self) -> Result<u64, DecodeError> {
        let mut n = 0_u64;
        for shift in (0..70).step_by(7) {
            let (&b, rest) = self
                .0
                .split_first()
                .ok_or(DecodeError::Truncated { got: 0, need: 1 })?;
            self.0 = rest;
            let part = u64::from(b & 0x7f);
            if shift == 63 && part > 1 {
                return Err(DecodeError::TooLong);
            }
            n |= part << shift;
            if b < 0x80 {
                return Ok(n);
            }
        }
        Err(DecodeError::TooLong)
    }

    /// A signed number as [`Writer::signed`] wrote it.
    pub fn signed(&mut self) -> Result<i64, DecodeError> {
        let n = self.number()?;
        Ok((n >> 1).cast_signed() ^ -((n & 1).cast_signed()))
    }

    /// A number that must fit `T`; `what` names it in the error.
    pub fn small<T: TryFrom<u64>>(&mut self, what: &'static str) -> Result<T, DecodeError> {
        let value = self.number()?;
        T::try_from(value).map_err(|_| DecodeError::Unknown { what, value })
    }

    /// The next `count` bytes as they are.
    pub fn raw(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        if count > self.0.len() {
            return Err(DecodeError::Truncated {
                got: self.0.len(),
                need: count,
            });
        }
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        Ok(taken)
    }

    /// How many bytes are left: no count of anything can be more.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.0.len()
    }

    /// Bytes with their length in front, borrowed: nothing is allocated on the word of a length.
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let need = usize::try_from(self.number()?).map_err(|_| DecodeError::TooLong)?;
        self.raw(need)
    }

    /// Text with its length in front.
    pub fn text(&mut self) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| DecodeError::NotText)
    }

    /// What is left, as text.
    pub fn rest_text(&self) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.0).map_err(|_| DecodeError::NotText)
    }

    /// The next field of a record: its tag and a reader over its content. `None` at the end.
    pub fn field(&mut self) -> Result<Option<(u64, Self)>, DecodeError> {
        if self.is_empty() {
            return Ok(None);
        }
        let tag = self.number()?;
        Ok(Some((tag, Self(self.bytes()?))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_as_written() {
        for n in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut w = Writer::new();
            w.number(n);
            assert_eq!(Reader::new(&w.finish()).number(), Ok(n));
        }
        for n in [0, -1, 1, i64::MIN, i64::MAX] {
            let mut w = Writer::new();
            w.signed(n);
            assert_eq!(Reader::new(&w.finish()).signed(), Ok(n));
        }
    }

    #[test]
    fn a_length_beyond_the_end_is_refused_before_anything_is_allocated() {
        let mut w = Writer::new();
        w.number(u64::MAX / 2);
        let bytes = w.finish();
        assert!(matches!(
            Reader::new(&bytes).bytes(),
            Err(DecodeError::Truncated { got: 0, .. })
        ));
    }

    #[test]
    fn an_unknown_field_is_skipped_whole() {
        let mut w = Writer::new();
        w.field_bytes(99, b"from the future");
        w.field_number(1, 7);
        let bytes = w.finish();
        let mut r = Reader::new(&bytes);
        let mut seen = Vec::new();
        while let Some((tag, mut content)) = r.field().expect("well formed") {
            if tag == 1 {
                seen.push(content.number().expect("a number"));
            }
        }
        assert_eq!(seen, [7]);
    }

    #[test]
    fn a_number_of_eleven_bytes_is_refused() {
        assert_eq!(Reader::new(&[0xff; 11]).number(), Err(DecodeError::TooLong));
    }

    #[test]
    fn no_bytes_whatever_make_the_reader_panic() {
        let mut rng = crate::Rng::new(3);
        for _ in 0..20_000 {
            let len = rng.below(40);
            let bytes: Vec<u8> = (0..len)
                .map(|_| u8::try_from(rng.below(256)).expect("a byte"))
                .collect();
            let mut r = Reader::new(&bytes);
            while let Ok(Some((_, mut content))) = r.field() {
                let _ = content.text();
                let _ = content.signed();
            }
        }
    }
}
