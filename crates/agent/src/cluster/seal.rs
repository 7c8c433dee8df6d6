//! What stands around everything between nodes: version, key hint, label, nonce, proof.
//!
//! XChaCha20-Poly1305 with random nonces (draft-irtf-cfrg-xchacha-03). The head, the cluster's label
//! and the context (datagram, or which frame of which connection) are bound to the content without
//! being in it, so that nothing sealed can be used anywhere else. Without a key there is a checksum
//! in place of nonce and proof: it tells accidents, not strangers, and only loopback is served so.
//!
//! ```text
//! version 1 | key hint 1 | label 4 | nonce 24 | content, sealed | proof 16
//! version 1 | 0          | label 4 | sum 8    | content
//! ```
//! Does not know what the content is.

use std::sync::Arc;

use arc_swap::ArcSwap;
use base::hash64;

use super::entropy;
use super::keyring::{Keyring, NONCE, PLAIN, TAG};
use super::reason::Reason;

/// The version of everything on the wire, and the newest that this node reads.
pub const VERSION: u8 = 1;
/// Bytes in front: version, hint, label.
const HEAD: usize = 6;
/// Bytes of a checksum.
const SUM: usize = 8;
/// What a seal adds to the content's length; a checksum adds less.
pub(super) const SEAL: usize = HEAD + NONCE + TAG;

/// Closes and opens for one cluster.
#[derive(Debug)]
pub struct Seal {
    label: Box<str>,
    label_mark: [u8; 4],
    ring: ArcSwap<Keyring>,
}

impl Seal {
    /// The seal of the cluster called `label` with the keys of `ring`.
    #[must_use]
    pub fn new(label: &str, ring: Keyring) -> Self {
        let hash = hash64(label.as_bytes()).to_be_bytes();
        Self {
            label: label.into(),
            label_mark: [hash[0], hash[1], hash[2], hash[3]],
            ring: ArcSwap::from_pointee(ring),
        }
    }

    /// Replaces the keys; what comes from now on is opened with the new ones.
    pub(super) fn rekey(&self, ring: Keyring) {
        self.ring.store(Arc::new(ring));
    }

    /// Appends to `out` what `fill` writes, sealed for `context`.
    pub fn close(&self, context: &[u8], out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
        let ring = self.ring.load();
        let head = self.head(ring.hint());
        let bound = self.bound(&head, context);
        out.extend_from_slice(&head);
        if ring.is_plain() {
            let at = out.len();
            out.extend_from_slice(&[0; SUM]);
            fill(out);
            let sum = sum(&bound, &out[at + SUM..]);
            out[at..at + SUM].copy_from_slice(&sum);
            return;
        }
        let mut nonce = [0; NONCE];
        entropy::fill(&mut nonce);
        out.extend_from_slice(&nonce);
        let at = out.len();
        fill(out);
        let tag = ring.seal(&nonce, &bound, &mut out[at..]);
        out.extend_from_slice(&tag);
    }

    /// Opens `sealed` in place, if it was closed for `context` in this cluster; its content.
    ///
    /// # Errors
    /// What is wrong with it, as far as a stranger's bytes can tell.
    pub fn open<'a>(&self, context: &[u8], sealed: &'a mut [u8]) -> Result<&'a mut [u8], Reason> {
        if sealed.first().is_some_and(|&version| version != VERSION) {
            return Err(Reason::Version);
        }
        let (head, rest) = sealed
            .split_first_chunk_mut::<HEAD>()
            .ok_or(Reason::Truncated)?;
        if head[2..] != self.label_mark {
            return Err(Reason::Label);
        }
        let hint = head[1];
        let bound = self.bound(head, context);
        let ring = self.ring.load();
        if ring.is_plain() != (hint == PLAIN) {
            return Err(Reason::Key);
        }
        if hint == PLAIN {
            let (given, content) = rest
                .split_first_chunk_mut::<SUM>()
                .ok_or(Reason::Truncated)?;
            let fits = *given == sum(&bound, content);
            return if fits { Ok(content) } else { Err(Reason::Seal) };
        }
        let (nonce, rest) = rest
            .split_first_chunk_mut::<NONCE>()
            .ok_or(Reason::Truncated)?;
        let (content, tag) = rest
            .split_last_chunk_mut::<TAG>()
            .ok_or(Reason::Truncated)?;
        match ring.open(hint, nonce, &bound, content, tag) {
            None => Err(Reason::Key),
            Some(false) => Err(Reason::Seal),
            Some(true) => Ok(content),
        }
    }

    fn head(&self, hint: u8) -> [u8; HEAD] {
        let [a, b, c, d] = self.label_mark;
        [VERSION, hint, a, b, c, d]
    }

    /// What is bound to the content: only the last part has a length that varies.
    fn bound(&self, head: &[u8; HEAD], context: &[u8]) -> Vec<u8> {
        let kind = u8::try_from(context.len()).expect("a context is a few bytes");
        [head, &[kind][..], context, self.label.as_bytes()].concat()
    }
}

/// Tells accidents, not strangers.
fn sum(bound: &[u8], content: &[u8]) -> [u8; SUM] {
    (hash64(content) ^ hash64(bound).rotate_left(1)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::keyring::fresh_key;
    use super::*;

    fn ring() -> Keyring {
        Keyring::parse(fresh_key().expose()).unwrap()
    }

    fn closed(seal: &Seal, context: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        seal.close(context, &mut out, |out| out.extend_from_slice(b"hello"));
        out
    }

    fn opened(seal: &Seal, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Reason> {
        let mut copy = sealed.to_vec();
        seal.open(context, &mut copy)
            .map(|content| content.to_vec())
    }

    #[test]
    fn what_is_closed_opens_in_the_same_cluster_and_context_only() {
        let keys = ring();
        for keys in [keys, Keyring::plain()] {
            let ours = Seal::new("prod", keys.clone());
            let sealed = closed(&ours, b"d");
            assert_eq!(opened(&ours, b"d", &sealed), Ok(b"hello".to_vec()));
            assert_eq!(opened(&ours, b"s", &sealed), Err(Reason::Seal));
            let test = Seal::new("test", keys);
            assert_eq!(opened(&test, b"d", &sealed), Err(Reason::Label));
        }
    }

    #[test]
    fn a_label_is_bound_whole_and_not_only_by_its_mark() {
        let keys = ring();
        let ours = Seal::new("prod", keys.clone());
        let mut forged = Seal::new("other", keys);
        forged.label_mark = ours.label_mark;
        assert_eq!(
            opened(&ours, b"d", &closed(&forged, b"d")),
            Err(Reason::Seal)
        );
    }

    #[test]
    fn a_strangers_key_and_no_key_are_told_from_a_broken_seal() {
        let ours = Seal::new("", ring());
        let plain = Seal::new("", Keyring::plain());
        assert_eq!(opened(&ours, b"d", &closed(&plain, b"d")), Err(Reason::Key));
        assert_eq!(opened(&plain, b"d", &closed(&ours, b"d")), Err(Reason::Key));
        // One key in 255 has the same hint; its packets do not open either.
        let reasons: Vec<Reason> = (0..20)
            .map(|_| opened(&ours, b"d", &closed(&Seal::new("", ring()), b"d")).unwrap_err())
            .collect();
        assert!(reasons.contains(&Reason::Key), "{reasons:?}");
        assert!(
            reasons
                .iter()
                .all(|r| matches!(r, Reason::Key | Reason::Seal))
        );
    }

    #[test]
    fn no_bit_can_be_changed_and_no_byte_be_missing() {
        for keys in [ring(), Keyring::plain()] {
            let seal = Seal::new("prod", keys);
            let sealed = closed(&seal, b"d");
            for at in 0..sealed.len() * 8 {
                let mut wrong = sealed.clone();
                wrong[at / 8] ^= 1 << (at % 8);
                let why = opened(&seal, b"d", &wrong).unwrap_err();
                let expected = match at / 8 {
                    0 => Reason::Version,
                    1 => Reason::Key,
                    2..6 => Reason::Label,
                    _ => Reason::Seal,
                };
                assert_eq!(why, expected, "bit {at}");
            }
            for len in 0..sealed.len() {
                let why = opened(&seal, b"d", &sealed[..len]).unwrap_err();
                assert!(matches!(why, Reason::Truncated | Reason::Seal), "{len}");
            }
        }
    }

    #[test]
    fn no_two_packets_are_alike_although_they_say_the_same() {
        let seal = Seal::new("", ring());
        assert_ne!(closed(&seal, b"d"), closed(&seal, b"d"));
    }
}
