//! An HTTP/1.x answer, parsed from bytes as they come.
//!
//! Pure: fed with pieces of any size it yields the same answer, or the same fault. Lenient where
//! real servers are (no reason phrase, bare LF, repeated equal lengths), strict where being
//! lenient would let garbage pass. The body is kept only if somebody will look at it.
//! Start reading at [`Response::feed`].
//! Does not know sockets, redirects or what is expected.

use std::mem;

use health::Reason;
use httparse::{Header, ParserConfig, Status};

use super::trace::Fault;

/// The longest head, all interim answers included; also the longest chunk extensions and trailers.
pub(super) const HEAD_MAX: usize = 64 << 10;
const HEADERS: usize = 64;
const HEADERS_MAX: usize = 1_024;

/// What the asker needs of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// The request was a HEAD: there is no body, whatever the head says.
    pub(super) bodiless: bool,
    /// Keep the head for conditions.
    pub(super) head: bool,
    /// Keep the head of a redirect.
    pub(super) redirect: bool,
    /// Keep the body for conditions.
    pub(super) body: bool,
    /// The longest body.
    pub(super) max_body: u32,
}

/// An answer under way.
#[derive(Debug)]
pub(super) struct Response {
    wanted: Wanted,
    stage: Stage,
    status: u16,
    /// What came of the head so far; afterwards the head if it is wanted.
    head: Vec<u8>,
    /// Head bytes so far, interim answers included.
    head_bytes: usize,
    /// Nothing but a CR came since the last LF.
    line_empty: bool,
    body: Vec<u8>,
    body_bytes: u64,
    persistent: bool,
    surplus: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Head,
    /// A body of known length; this many bytes are left.
    Fixed(u64),
    Chunked(Chunk),
    UntilClose,
    Done,
}

/// Where in a chunked body the next byte belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    Size { value: u64, digits: u8 },
    Extension { value: u64 },
    Content(u64),
    ContentEnd,
    Trailer,
}

impl Response {
    pub(super) const fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            stage: Stage::Head,
            status: 0,
            head: Vec::new(),
            head_bytes: 0,
            line_empty: false,
            body: Vec::new(),
            body_bytes: 0,
            persistent: false,
            surplus: false,
        }
    }

    /// Takes the next bytes; true once the answer is complete.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<bool, Fault> {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match self.stage {
                Stage::Head => self.feed_head(rest)?,
                Stage::Fixed(left) => self.feed_fixed(left, rest)?,
                Stage::Chunked(chunk) => self.feed_chunk(chunk, rest)?,
                Stage::UntilClose => {
                    self.take(rest)?;
                    &[]
                }
                Stage::Done => {
                    self.surplus = true;
                    &[]
                }
            };
        }
        Ok(self.stage == Stage::Done)
    }

    /// The peer closed: complete only if closing is how the body ends.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        let detail = match self.stage {
            Stage::UntilClose | Stage::Done => {
                self.stage = Stage::Done;
                return Ok(());
            }
            Stage::Head if self.is_untouched() => "closed without an answer".to_owned(),
            Stage::Head => "closed within the head".to_owned(),
            Stage::Fixed(left) => format!(
                "closed after {} of {} bytes of the body",
                self.body_bytes,
                self.body_bytes + left
            ),
            Stage::Chunked(_) => format!("closed after {} bytes of the body", self.body_bytes),
        };
        Err(Fault::new(Reason::ClosedEarly, detail))
    }

    /// Whether not one byte of an answer has come.
    pub(super) const fn is_untouched(&self) -> bool {
        self.head_bytes == 0
    }

    pub(super) const fn status(&self) -> u16 {
        self.status
    }

    /// The body, if it was wanted.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Whether the connection may serve another request.
    pub(super) fn is_reusable(&self) -> bool {
        self.stage == Stage::Done && self.persistent && !self.surplus
    }

    /// The values of header `name`; empty if the head was not wanted.
    pub(super) fn header(&self, name: &str) -> Vec<&[u8]> {
        let mut room = vec![httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Response::new(&mut room);
        // The head was parsed before; if it was not kept there is nothing to find.
        if !matches!(
            lenient().parse_response(&mut parsed, &self.head),
            Ok(Status::Complete(_))
        ) {
            return Vec::new();
        }
        let named = parsed.headers.iter();
        let named = named.filter(|header| header.name.eq_ignore_ascii_case(name));
        named.map(|header| header.value).collect()
    }

    fn feed_head<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Fault> {
        let end = self.find_head_end(bytes);
        let used = end.unwrap_or(bytes.len());
        self.head_bytes += used;
        let (part, rest) = bytes.split_at(used);
        check_beginning(&self.head, part)?;
        if self.head_bytes > HEAD_MAX {
            return Err(Fault::new(Reason::TooLarge, "head longer than 64 KiB"));
        }
        if end.is_none() {
            self.head.extend_from_slice(part);
            return Ok(rest);
        }
        let mut whole = mem::take(&mut self.head);
        if whole.is_empty() {
            self.parse_head(part)?;
            if self.wants_head() {
                self.head = part.to_vec();
            }
        } else {
            whole.extend_from_slice(part);
            self.parse_head(&whole)?;
            if self.wants_head() {
                self.head = whole;
            }
        }
        Ok(rest)
    }

    /// One past the empty line that ends a head, if it lies in `bytes`.
    fn find_head_end(&mut self, bytes: &[u8]) -> Option<usize> {
        for (at, &byte) in bytes.iter().enumerate() {
            match byte {
                b'\n' if self.line_empty => {
                    self.line_empty = false;
                    return Some(at + 1);
                }
                b'\n' => self.line_empty = true,
                b'\r' => {}
                _ => self.line_empty = false,
            }
        }
        None
    }

    const fn wants_head(&self) -> bool {
        let is_redirect = matches!(self.status, 300..400);
        !matches!(self.stage, Stage::Head)
            && (self.wanted.head || (self.wanted.redirect && is_redirect))
    }

    fn parse_head(&mut self, head: &[u8]) -> Result<(), Fault> {
        let mut room = [httparse::EMPTY_HEADER; HEADERS];
        let mut parsed = httparse::Response::new(&mut room);
        match lenient().parse_response(&mut parsed, head) {
            Ok(Status::Complete(_)) => self.begin(&parsed),
            Err(httparse::Error::TooManyHeaders) => self.parse_long_head(head),
            Ok(Status::Partial) | Err(_) => Err(not_http("a head that is not HTTP")),
        }
    }

    #[cold]
    fn parse_long_head(&mut self, head: &[u8]) -> Result<(), Fault> {
        let mut room = vec![httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Response::new(&mut room);
        match lenient().parse_response(&mut parsed, head) {
            Ok(Status::Complete(_)) => self.begin(&parsed),
            Err(httparse::Error::TooManyHeaders) => {
                Err(Fault::new(Reason::TooLarge, "more than 1024 headers"))
            }
            Ok(Status::Partial) | Err(_) => Err(not_http("a head that is not HTTP")),
        }
    }

    /// Decides from the head how the body comes (RFC 9112, section 6.3).
    fn begin(&mut self, parsed: &httparse::Response<'_, '_>) -> Result<(), Fault> {
        let status = parsed.code.unwrap_or(0);
        if (100..200).contains(&status) && status != 101 {
            return Ok(());
        }
        let framing = Framing::of(parsed.headers)?;
        self.status = status;
        self.persistent = framing.persistent(parsed.version == Some(1));
        self.stage = if self.wanted.bodiless || matches!(status, 101 | 204 | 304) {
            Stage::Done
        } else if framing.chunked {
            Stage::Chunked(Chunk::Size {
                value: 0,
                digits: 0,
            })
        } else {
            match framing.length.filter(|_| !framing.encoded) {
                Some(0) => Stage::Done,
                Some(length) => {
                    self.check_size(length)?;
                    Stage::Fixed(length)
                }
                None => {
                    self.persistent = false;
                    Stage::UntilClose
                }
            }
        };
        Ok(())
    }

    fn feed_fixed<'a>(&mut self, left: u64, bytes: &'a [u8]) -> Result<&'a [u8], Fault> {
        let (part, rest) = split(bytes, left);
        self.take(part)?;
        let left = left - part.len() as u64;
        self.stage = if left == 0 {
            Stage::Done
        } else {
            Stage::Fixed(left)
        };
        Ok(rest)
    }

    fn feed_chunk<'a>(&mut self, chunk: Chunk, bytes: &'a [u8]) -> Result<&'a [u8], Fault> {
        if let Chunk::Content(left) = chunk {
            let (part, rest) = split(bytes, left);
            self.take(part)?;
            let left = left - part.len() as u64;
            let next = if left == 0 {
                Chunk::ContentEnd
            } else {
                Chunk::Content(left)
            };
            self.stage = Stage::Chunked(next);
            return Ok(rest);
        }
        self.stage = self.step_chunk(chunk, bytes[0])?;
        Ok(&bytes[1..])
    }

    /// One byte between the contents of chunks.
    fn step_chunk(&mut self, chunk: Chunk, byte: u8) -> Result<Stage, Fault> {
        let next = match (chunk, byte) {
            (Chunk::Size { value, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                let value = value << 4 | u64::from(digit);
                if digits == 15 {
                    return Err(not_http("a chunk longer than any body"));
                }
                Chunk::Size {
                    value,
                    digits: digits + 1,
                }
            }
            (Chunk::Size { value, digits: 1.. } | Chunk::Extension { value }, b'\n') => {
                self.line_empty = true;
                self.check_size(self.body_bytes.saturating_add(value))?;
                if value == 0 {
                    Chunk::Trailer
                } else {
                    Chunk::Content(value)
                }
            }
            (Chunk::Size { value, digits: 1.. }, b'\r' | b';' | b' ' | b'\t')
            | (Chunk::Extension { value }, _) => {
                self.count_overhead()?;
                Chunk::Extension { value }
            }
            (Chunk::ContentEnd, b'\r') => Chunk::ContentEnd,
            (Chunk::ContentEnd, b'\n') => Chunk::Size {
                value: 0,
                digits: 0,
            },
            (Chunk::Trailer, _) => {
                self.count_overhead()?;
                if self.find_head_end(&[byte]).is_some() {
                    return Ok(Stage::Done);
                }
                Chunk::Trailer
            }
            _ => return Err(not_http("a body with a broken chunk")),
        };
        Ok(Stage::Chunked(next))
    }

    /// Extensions and trailers are thrown away, but not without end.
    fn count_overhead(&mut self) -> Result<(), Fault> {
        self.head_bytes += 1;
        if self.head_bytes > 16 * HEAD_MAX {
            return Err(Fault::new(
                Reason::TooLarge,
                "chunk extensions and trailers over 1 MiB",
            ));
        }
        Ok(())
    }

    fn take(&mut self, part: &[u8]) -> Result<(), Fault> {
        self.body_bytes += part.len() as u64;
        self.check_size(self.body_bytes)?;
        if self.wanted.body {
            self.body.extend_from_slice(part);
        }
        Ok(())
    }

    fn check_size(&self, size: u64) -> Result<(), Fault> {
        let limit = self.wanted.max_body;
        if size <= u64::from(limit) {
            return Ok(());
        }
        let detail = format!("a body of at least {size} bytes, the limit is {limit}");
        Err(Fault::new(Reason::TooLarge, detail))
    }
}

/// What the headers say about where the answer ends.
#[derive(Default)]
struct Framing {
    length: Option<u64>,
    /// Some transfer encoding is there; it overrides the length.
    encoded: bool,
    chunked: bool,
    close: bool,
    keep_alive: bool,
}

impl Framing {
    fn of(headers: &[Header<'_>]) -> Result<Self, Fault> {
        let mut framing = Self::default();
        for header in headers {
            // Names of other lengths are not compared at all: most headers are none of ours.
            match header.name.len() {
                14 if header.name.eq_ignore_ascii_case("content-length") => {
                    framing.length(header.value)?;
                }
                17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                    framing.encoded = true;
                    let last = header.value.rsplit(|&b| b == b',').next();
                    framing.chunked = last.is_some_and(|l| is(l, b"chunked"));
                }
                10 if header.name.eq_ignore_ascii_case("connection") => {
                    for word in header.value.split(|&b| b == b',') {
                        framing.close |= is(word, b"close");
                        framing.keep_alive |= is(word, b"keep-alive");
                    }
                }
                _ => {}
            }
        }
        Ok(framing)
    }

    /// Takes one Content-Length; the same value twice is harmless, two values are two answers.
    fn length(&mut self, value: &[u8]) -> Result<(), Fault> {
        for part in value.split(|&b| b == b',') {
            let part = part.trim_ascii();
            let is_number = !part.is_empty() && part.iter().all(u8::is_ascii_digit);
            let text = std::str::from_utf8(part).ok().filter(|_| is_number);
            let Some(length) = text.and_then(|text| text.parse().ok()) else {
                return Err(not_http("a Content-Length that is no number"));
            };
            if self.length.is_some_and(|before| before != length) {
                return Err(not_http("two different Content-Lengths"));
            }
            self.length = Some(length);
        }
        Ok(())
    }

    const fn persistent(&self, is_1_1: bool) -> bool {
        !self.close && (is_1_1 || self.keep_alive)
    }
}

fn is(word: &[u8], expected: &[u8]) -> bool {
    word.trim_ascii().eq_ignore_ascii_case(expected)
}

fn split(bytes: &[u8], left: u64) -> (&[u8], &[u8]) {
    let most = usize::try_from(left).unwrap_or(usize::MAX);
    bytes.split_at(most.min(bytes.len()))
}

/// Whoever does not begin with a version will not go on in HTTP: no need to wait for the rest.
fn check_beginning(before: &[u8], now: &[u8]) -> Result<(), Fault> {
    const BEGINNING: &[u8] = b"HTTP/1.";
    let came = before.iter().chain(now);
    if came.zip(BEGINNING).all(|(a, b)| a == b) {
        return Ok(());
    }
    let excerpt: Vec<u8> = before.iter().chain(now).copied().take(40).collect();
    Err(not_http(&format!("\"{}\"", excerpt.escape_ascii())))
}

fn not_http(what: &str) -> Fault {
    Fault::new(Reason::NotHttp, format!("got {what}"))
}

fn lenient() -> ParserConfig {
    let mut config = ParserConfig::default();
    config
        .allow_spaces_after_header_name_in_responses(true)
        .allow_multiple_spaces_in_response_status_delimiters(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .ignore_invalid_headers_in_responses(true);
    config
}

#[cfg(test)]
#[path = "response_tests.rs"]
mod tests;
