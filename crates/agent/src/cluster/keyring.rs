//! The cluster's keys: the first seals, all open.
//!
//! A key file holds one key a line, 32 bytes as base64 or hex; `#` begins a comment. Rotation without
//! a pause: put the new key second on every node, then first on every node, then take the old one
//! away. A packet says in one byte which key it wants, so that not every one is tried.
//! No key and no ring can print itself, and no raw bytes of a key are kept: the cipher has them and
//! wipes them. Does not know what is sealed.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use thiserror::Error;

use super::entropy;
use crate::secret::{Secret, SecretError, read_file};

/// The most keys of one ring: rotation needs two.
pub const KEYS_MAX: usize = 16;
/// Bytes of a key.
const KEY: usize = 32;
/// Bytes of a nonce; long enough to be random for ever.
pub(super) const NONCE: usize = 24;
/// Bytes of a seal's proof.
pub(super) const TAG: usize = 16;
/// The hint of what is not sealed at all.
pub(super) const PLAIN: u8 = 0;

/// A key file that can't be used. Nothing of its content is in the message.
#[derive(Debug, Error)]
pub enum KeyringError {
    /// The file can't be read.
    #[error(transparent)]
    Unreadable(#[from] SecretError),
    /// A line is something else.
    #[error(
        "line {0}: not a key; a key is 32 bytes as base64 (44 characters) or hex (64), as `roundsman keygen` prints it"
    )]
    NotAKey(usize),
    /// A key that somebody made up.
    #[error("line {0}: all bytes of this key are the same; make one with `roundsman keygen`")]
    NotRandom(usize),
    /// One key on two lines.
    #[error("line {line}: the same key as on line {first}; remove one of them")]
    Twice {
        /// Where it stands again.
        line: usize,
        /// Where it stood first.
        first: usize,
    },
    /// More keys than [`KEYS_MAX`].
    #[error("line {0}: more than 16 keys; take away those that no node seals with any more")]
    TooMany(usize),
    /// Comments at most.
    #[error("no key is in it; make one with `roundsman keygen`")]
    Empty,
}

/// One key, ready for use.
#[derive(Clone)]
struct Key {
    cipher: XChaCha20Poly1305,
    /// Follows from the key and tells nothing about it; two keys are the same when these are.
    mark: [u8; TAG],
}

impl Key {
    fn new(bytes: &[u8; KEY]) -> Self {
        let cipher = XChaCha20Poly1305::new(bytes.into());
        // A nonce that no packet has: those are random.
        let nonce = XNonce::from([0xff; NONCE]);
        let mark = cipher
            .encrypt_inout_detached(&nonce, b"roundsman key mark", (&mut [][..]).into())
            .expect("nothing is short enough to seal");
        Self {
            cipher,
            mark: mark.into(),
        }
    }

    /// One byte that says which key is meant; never [`PLAIN`].
    fn hint(&self) -> u8 {
        self.mark[0].max(PLAIN + 1)
    }
}

/// The keys of a cluster; without any, nothing is sealed and only loopback is served.
#[derive(Clone, Default)]
pub struct Keyring(Vec<Key>);

impl Keyring {
    /// A ring without keys: packets have a checksum and no seal.
    #[must_use]
    pub const fn plain() -> Self {
        Self(Vec::new())
    }

    /// The ring in the key file at `path`.
    ///
    /// # Errors
    /// When it can't be read, or holds anything but keys and comments, or none.
    pub fn load(path: &str) -> Result<Self, KeyringError> {
        Self::parse(read_file(path)?.expose())
    }

    /// The ring that `text` describes, one key a line.
    ///
    /// # Errors
    /// At the first line that is no key.
    pub fn parse(text: &str) -> Result<Self, KeyringError> {
        let mut ring = Self::plain();
        let mut lines: Vec<usize> = Vec::new();
        for (nth, line) in text.lines().enumerate() {
            let line_number = nth + 1;
            let line = line.split('#').next().unwrap_or("").trim();
            if line.is_empty() {
                continue;
            }
            let bytes = decoded(line).ok_or(KeyringError::NotAKey(line_number))?;
            if bytes.iter().all(|&b| b == bytes[0]) {
                return Err(KeyringError::NotRandom(line_number));
            }
            let key = Key::new(&bytes);
            if let Some(at) = ring.0.iter().position(|known| known.mark == key.mark) {
                let first = lines[at];
                return Err(KeyringError::Twice {
                    line: line_number,
                    first,
                });
            }
            if ring.0.len() == KEYS_MAX {
                return Err(KeyringError::TooMany(line_number));
            }
            ring.0.push(key);
            lines.push(line_number);
        }
        if ring.is_plain() {
            return Err(KeyringError::Empty);
        }
        Ok(ring)
    }

    /// Whether there is no key.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        self.0.is_empty()
    }

    /// The hint of the key that seals.
    pub(super) fn hint(&self) -> u8 {
        self.0.first().map_or(PLAIN, Key::hint)
    }

    /// Seals `content` in place with the first key; its proof.
    ///
    /// # Panics
    /// When there is no key.
    pub(super) fn seal(&self, nonce: &[u8; NONCE], bound: &[u8], content: &mut [u8]) -> [u8; TAG] {
        let key = self.0.first().expect("a plain ring seals nothing");
        key.cipher
            .encrypt_inout_detached(&XNonce::from(*nonce), bound, content.into())
            .expect("content is far below 256 GiB")
            .into()
    }

    /// Opens `content` in place with the keys that `hint` may mean. `None` when there is no such
    /// key, `Some(false)` when none of them opens it; `content` is unchanged then.
    pub(super) fn open(
        &self,
        hint: u8,
        nonce: &[u8; NONCE],
        bound: &[u8],
        content: &mut [u8],
        tag: &[u8; TAG],
    ) -> Option<bool> {
        let (nonce, tag) = (XNonce::from(*nonce), Tag::from(*tag));
        let mut keys = self.0.iter().filter(|key| key.hint() == hint).peekable();
        keys.peek()?;
        let mut opens = |key: &Key| {
            key.cipher
                .decrypt_inout_detached(&nonce, bound, (&mut *content).into(), &tag)
                .is_ok()
        };
        Some(keys.any(&mut opens))
    }
}

impl PartialEq for Keyring {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(|(a, b)| a.mark == b.mark)
    }
}

impl Eq for Keyring {}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({} keys)", self.0.len())
    }
}

/// A fresh key as a line for a key file.
#[must_use]
pub fn fresh_key() -> Secret {
    let mut bytes = [0; KEY];
    entropy::fill(&mut bytes);
    Secret::new(&STANDARD.encode(bytes))
}

/// The bytes of a key as base64 or hex.
fn decoded(text: &str) -> Option<[u8; KEY]> {
    if text.len() == 2 * KEY {
        let mut bytes = [0; KEY];
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digit = |at: usize| char::from(digits[at]).to_digit(16);
            *byte = u8::try_from(digit(0)? * 16 + digit(1)?).expect("two digits");
        }
        return Some(bytes);
    }
    STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> String {
        fresh_key().expose().to_owned()
    }

    fn hex(line: &str) -> String {
        let bytes = STANDARD.decode(line).unwrap();
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn a_fresh_key_is_44_characters_and_never_the_same() {
        assert_eq!(line().len(), 44);
        assert_ne!(line(), line());
    }

    #[test]
    fn base64_and_hex_are_the_same_key_and_comments_are_none() {
        let (one, two) = (line(), line());
        let text = format!("# new\n{one}  # since May\r\n\n   {two}\n");
        let ring = Keyring::parse(&text).unwrap();
        let same = Keyring::parse(&format!("{}\n{}", hex(&one).to_uppercase(), hex(&two))).unwrap();
        assert_eq!(ring, same);
        assert_ne!(ring, Keyring::parse(&format!("{two}\n{one}")).unwrap());
        assert_ne!(ring, Keyring::parse(&one).unwrap());
    }

    #[test]
    fn what_is_no_key_is_named_by_its_line_and_never_shown() {
        let good = line();
        let secret = "hunter2hunter2hunter2hunter2hunter2hunter2hu";
        let message = |text: &str| Keyring::parse(text).unwrap_err().to_string();
        for wrong in [
            secret,
            &good[..43],
            &format!("{good}A"),
            &hex(&good)[..63],
            "k3y",
        ] {
            let said = message(&format!("{good}\n# one\n{wrong}"));
            assert!(said.starts_with("line 3: not a key"), "{said}");
            assert!(!said.contains(wrong), "{said}");
        }
        let twice = message(&format!("{good}\n{}", hex(&good)));
        assert!(
            twice.starts_with("line 2: the same key as on line 1"),
            "{twice}"
        );
        assert!(message("").contains("no key is in it"));
        assert!(message("# nothing\n").contains("no key is in it"));
        let zeros = "00".repeat(32);
        assert!(message(&zeros).starts_with("line 1: all bytes"));
        let many: Vec<String> = (0..=KEYS_MAX).map(|_| line()).collect();
        assert!(message(&many.join("\n")).starts_with("line 17: more than 16"));
        assert!(Keyring::parse(&many[1..].join("\n")).is_ok());
        let nowhere = Keyring::load("/no/such/keys").unwrap_err().to_string();
        assert!(
            nowhere.contains("'/no/such/keys' is not readable"),
            "{nowhere}"
        );
    }

    #[test]
    fn a_ring_does_not_print_itself() {
        let one = line();
        let ring = Keyring::parse(&one).unwrap();
        assert_eq!(
            format!("{ring:?} {:#?}", Some(&ring)),
            "Keyring(1 keys) Some(\n    Keyring(1 keys),\n)"
        );
    }

    #[test]
    fn the_first_key_seals_and_every_key_opens() {
        let (old, new) = (line(), line());
        let ring = |lines: &[&str]| Keyring::parse(&lines.join("\n")).unwrap();
        let sealing = ring(&[&old, &new]);
        let nonce = [7; NONCE];
        let mut content = *b"who is there";
        let tag = sealing.seal(&nonce, b"bound", &mut content);
        assert_ne!(&content, b"who is there");
        let open = |ring: &Keyring, bound: &[u8]| {
            let mut copy = content;
            let opened = ring.open(sealing.hint(), &nonce, bound, &mut copy, &tag);
            (opened, &copy == b"who is there", copy == content)
        };
        for opening in [ring(&[&new, &old]), ring(&[&old])] {
            assert_eq!(open(&opening, b"bound"), (Some(true), true, false));
            assert_eq!(open(&opening, b"other"), (Some(false), false, true));
        }
        let stranger = open(&ring(&[&new]), b"bound");
        assert!(matches!(stranger, (None | Some(false), false, true)));
        assert_eq!(open(&Keyring::plain(), b"bound"), (None, false, true));
    }
}
