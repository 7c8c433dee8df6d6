//! Which numbers of one sender have come: the last [`SPAN`] exactly, older ones not at all.
//!
//! The sliding window of RFC 6479 (the same as IPsec's), one bit a number.

/// How many numbers behind the highest are told apart.
pub(super) const SPAN: u64 = 1_024;
const WORDS: usize = 16;

/// The window of one sender's session.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    highest: u64,
    bits: [u64; WORDS],
}

impl Window {
    /// Whether `number` comes for the first time, as far as can be told; it has come now.
    pub(super) fn take(&mut self, number: u64) -> bool {
        if number > self.highest {
            self.advance(number);
        } else if self.highest - number >= SPAN {
            return false;
        }
        let (word, bit) = Self::place(number);
        let is_first = self.bits[word] & bit == 0;
        self.bits[word] |= bit;
        is_first
    }

    /// Forgets what falls out of the window when `number` becomes the highest.
    fn advance(&mut self, number: u64) {
        if number - self.highest >= SPAN {
            self.bits = [0; WORDS];
        } else {
            for passed in self.highest + 1..=number {
                let (word, bit) = Self::place(passed);
                self.bits[word] &= !bit;
            }
        }
        self.highest = number;
    }

    fn place(number: u64) -> (usize, u64) {
        let at = number % SPAN;
        let word = usize::try_from(at / 64).expect("below sixteen");
        (word, 1 << (at % 64))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use base::Rng;

    use super::*;

    #[test]
    fn every_number_is_taken_once_in_any_order() {
        for seed in 0..200 {
            let mut rng = Rng::new(seed);
            let (mut window, mut taken) = (Window::default(), BTreeSet::new());
            let mut highest = 0;
            for _ in 0..3_000 {
                let step = if rng.chance(1) { 3_000 } else { 40 };
                let number = (highest + rng.below(step)).saturating_sub(rng.below(1_500));
                let is_late = highest.saturating_sub(number) >= SPAN;
                let expected = !is_late && !taken.contains(&number);
                assert_eq!(
                    window.take(number),
                    expected,
                    "seed {seed}, {number} at {highest}"
                );
                taken.insert(number);
                highest = highest.max(number);
            }
        }
    }

    #[test]
    fn the_largest_number_does_not_overflow() {
        let mut window = Window::default();
        assert!(window.take(u64::MAX));
        assert!(!window.take(u64::MAX));
        assert!(window.take(u64::MAX - SPAN + 1));
        assert!(!window.take(u64::MAX - SPAN));
    }
}
