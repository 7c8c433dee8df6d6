//! How bytes break on their way, and how somebody would break them on purpose.

use base::Rng;

/// Numbers that lengths and counts go wrong at.
const EDGES: [u64; 9] = [
    0,
    1,
    0x7f,
    0x80,
    0x3fff,
    u32::MAX as u64,
    u32::MAX as u64 + 1,
    u64::MAX / 2,
    u64::MAX,
];

/// `bytes` after one to four breaks: bits flipped, bytes replaced, taken out, doubled, cut off,
/// a number put in that no length should have, or a piece of `other` put in.
#[must_use]
pub fn mutate(rng: &mut Rng, bytes: &[u8], other: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for _ in 0..=rng.below(4) {
        let at = index(rng, out.len() + 1);
        let until = at + index(rng, out.len() - at + 1).min(16);
        match rng.below(8) {
            0 | 1 => {
                if let Some(byte) = out.get_mut(at) {
                    *byte ^= 1 << rng.below(8);
                }
            }
            2 => {
                if let Some(byte) = out.get_mut(at) {
                    *byte = u8::try_from(rng.below(256)).expect("a byte");
                }
            }
            3 => drop(out.drain(at..until)),
            4 => {
                let piece = out[at..until].to_vec();
                out.splice(at..at, piece);
            }
            5 => out.truncate(at),
            6 => {
                let mut number = base::wire::Writer::new();
                number.number(EDGES[index(rng, EDGES.len())]);
                out.splice(at..until, number.finish());
            }
            _ => {
                let from = index(rng, other.len() + 1);
                let to = from + index(rng, other.len() - from + 1);
                out.splice(at..until, other[from..to].iter().copied());
            }
        }
    }
    out
}

fn index(rng: &mut Rng, below: usize) -> usize {
    usize::try_from(rng.below(below as u64)).expect("below a length")
}
