//! One hash of bytes that is the same on every machine and in every version.

/// A 64-bit hash of `bytes`, fixed for ever: phases and, later, owners are computed from it.
///
/// FNV-1a (Fowler, Noll, Vo) followed by the finaliser of SplitMix64 (Steele, Lea, Flood 2014),
/// because FNV alone leaves similar names close together. Not for adversaries.
#[must_use]
pub fn hash64(bytes: &[u8]) -> u64 {
    hash64_of([bytes, &[]])
}

/// The same of two pieces, one after the other.
#[must_use]
pub fn hash64_of(pieces: [&[u8]; 2]) -> u64 {
    let mut h: u64 = 0xcbf2_9ce4_8422_2325;
    for piece in pieces {
        for &b in piece {
            h = (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    mix(h)
}

/// Spreads every input bit over all output bits.
pub(crate) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_never_changes() {
        assert_eq!(hash64(b""), 0xf52a_15e9_a9b5_e89b);
        assert_eq!(hash64(b"web"), hash64(b"web"));
        assert_ne!(hash64(b"web"), hash64(b"wec"));
        assert_eq!(hash64_of([b"w", b"eb"]), hash64(b"web"));
        assert_eq!(hash64_of([b"web", b""]), hash64(b"web"));
    }

    #[test]
    fn similar_names_spread_evenly() {
        let mut tenths = [0_u32; 10];
        for i in 0..10_000 {
            let h = hash64(format!("t{i}").as_bytes());
            tenths[usize::try_from(h % 10).expect("below ten")] += 1;
        }
        for n in tenths {
            assert!((900..1_100).contains(&n), "{tenths:?}");
        }
    }
}
