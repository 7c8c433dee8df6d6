//! Random bytes straight from the kernel, for keys, nonces and sessions.

/// Fills `bytes` with random ones.
///
/// # Panics
/// When the kernel has none: a node that would seal with bytes that somebody may guess must not run.
pub(super) fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the kernel has random bytes");
}

/// A random number that is not zero.
pub(super) fn word() -> u64 {
    loop {
        let mut bytes = [0; 8];
        fill(&mut bytes);
        let word = u64::from_le_bytes(bytes);
        if word != 0 {
            return word;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_words_are_alike() {
        assert_ne!(word(), word());
        let mut bytes = [0; 24];
        fill(&mut bytes);
        assert_ne!(bytes, [0; 24]);
    }
}
