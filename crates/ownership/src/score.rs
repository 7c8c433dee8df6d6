//! What a member draws for a target, in integers: equal on every machine.
//!
//! A member of weight w draws u in (0, 1] from the hash of both names; its cost is −ln(u)/w, and
//! the least cost owns (an exponential race: the chance to win is w over the sum of all weights).
//! Logarithms are to base 2 and come from a table with 1,024 steps and straight lines between
//! them. The error is below 2⁻²¹ absolutely and below 1/2,000 of the cost itself for draws down to
//! 2⁻²⁰, which is what wins among a million: shares differ by less than that from the weights. Two
//! equal costs are decided by name.

use base::hash64;

/// The greatest weight.
pub const WEIGHT_MAX: u32 = 1_000;

/// A target's name, hashed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub u64);

impl KeyHash {
    /// The hash of a target's name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        Self(hash64(name.as_bytes()))
    }
}

/// A member as it enters the race.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Racer {
    /// Of the member's name.
    hash: u64,
    /// The same, turned over for [`mix`].
    turned: u64,
    weight: u64,
}

impl Racer {
    pub(crate) fn new(name: &str, weight: u32) -> Self {
        let hash = hash64(name.as_bytes());
        Self {
            hash,
            turned: turned(hash),
            weight: u64::from(weight.clamp(1, WEIGHT_MAX)),
        }
    }

    /// What it draws for a target; the least wins.
    pub(crate) fn cost(self, key: KeyHash) -> u64 {
        self.cost_of(mix(key.0, self.hash, self.turned))
    }

    /// The same if it is not above `most`.
    pub(crate) fn cost_below(self, key: KeyHash, most: u64) -> Option<u64> {
        let is_out = self.is_surely_above(key, most);
        let cost = (!is_out).then(|| self.cost(key));
        cost.filter(|cost| *cost <= most)
    }

    /// Whether it draws more than `most`; `false` when in doubt. Hardly any of many members gets
    /// in: this turns most of them away without a logarithm, for −log2(u) is always above 1 − u,
    /// as computed here too.
    pub(crate) const fn is_surely_above(&self, key: KeyHash, most: u64) -> bool {
        let bits = mix(key.0, self.hash, self.turned);
        bits.wrapping_neg() >> 8 > most.saturating_mul(self.weight)
    }

    fn cost_of(self, bits: u64) -> u64 {
        // Shifted by 16 bits, so that dividing by a weight leaves 2⁻⁴⁶ of one.
        (minus_log2(bits) << 16) / self.weight
    }
}

const fn turned(member: u64) -> u64 {
    member.rotate_left(32).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// One number from two hashes; the order matters. The finaliser of MurmurHash3 (Appleby), twice.
const fn mix(key: u64, member: u64, turned: u64) -> u64 {
    let mut z = key ^ turned;
    z = (z ^ (z >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    z = (z ^ (z >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    z = (z ^ (z >> 33)).wrapping_add(member);
    z = (z ^ (z >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    z = (z ^ (z >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    z ^ (z >> 33)
}

/// Fractional bits of a logarithm.
const FRACTION: u32 = 40;
const STEPS: usize = 1 << 10;
/// log2(1 + i/1024) for i = 0 to 1024.
const LOG2: [u64; STEPS + 1] = table();

/// −log2(u) of u = (bits | 1)/2⁶⁴, with [`FRACTION`] bits after the point: 0 to 64.
fn minus_log2(bits: u64) -> u64 {
    let n = bits | 1;
    let whole = 63 - n.leading_zeros();
    // The bits after the leading one, at the top of the word.
    let rest = (n << (63 - whole)) << 1;
    let step = usize::try_from(rest >> 54).expect("ten bits");
    let within = (rest >> 22) & 0xffff_ffff;
    let (low, high) = (LOG2[step], LOG2[step + 1]);
    let log = (u64::from(whole) << FRACTION) + low + (((high - low) * within) >> 32);
    (64 << FRACTION) - log
}

/// The logarithms, bit by bit: square, and note whether it passes two.
const fn table() -> [u64; STEPS + 1] {
    let mut logs = [0_u64; STEPS + 1];
    let mut i = 0;
    while i <= STEPS {
        // x in [1, 2], with 62 bits after the point.
        let mut x: u128 = ((STEPS + i) as u128) << 52;
        let mut log = 0_u64;
        if i == STEPS {
            log = 1 << FRACTION;
        } else {
            let mut bit = FRACTION;
            while bit > 0 {
                bit -= 1;
                x = (x * x) >> 62;
                if x >= 2 << 62 {
                    x >>= 1;
                    log |= 1 << bit;
                }
            }
        }
        logs[i] = log;
        i += 1;
    }
    logs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_right_to_seven_digits() {
        let mut rng = base::Rng::new(1);
        for _ in 0..100_000 {
            let bits = rng.word() >> rng.below(60);
            #[expect(clippy::cast_precision_loss, reason = "a comparison to seven digits")]
            let (expected, got) = (
                64.0 - ((bits | 1) as f64).log2(),
                minus_log2(bits) as f64 / (1_u64 << FRACTION) as f64,
            );
            assert!(
                (expected - got).abs() < 3e-7,
                "{bits:x}: {got}, not {expected}"
            );
        }
    }

    /// Broken once: without the straight lines between the steps of the table.
    #[test]
    fn small_draws_which_win_are_right_to_a_two_thousandth_of_themselves() {
        let mut rng = base::Rng::new(2);
        for _ in 0..100_000 {
            let gap = rng.word() >> (1 + rng.below(20));
            #[expect(clippy::cast_precision_loss, reason = "a comparison to four digits")]
            let (expected, got) = (
                -f64::ln_1p(-((gap | 1) as f64) / 2_f64.powi(64)) / std::f64::consts::LN_2,
                minus_log2((gap | 1).wrapping_neg()) as f64 / (1_u64 << FRACTION) as f64,
            );
            let off = (got / expected - 1.0).abs();
            assert!(
                off < 1.0 / 2_000.0 || gap < 1 << 44,
                "{gap:x}: off by {off}"
            );
        }
    }

    #[test]
    fn the_ends_of_the_range_are_in_range() {
        assert!(minus_log2(u64::MAX) < 1 << 20);
        assert_eq!(minus_log2(0), 64 << FRACTION);
    }

    /// Broken once: with 1 − u doubled, which is above −log2(u) for the best draws.
    #[test]
    fn who_is_turned_away_without_a_logarithm_would_not_have_got_in() {
        let mut rng = base::Rng::new(3);
        for round in 0..300_000_u64 {
            let key = KeyHash(rng.word());
            let one = Racer::new(
                &format!("n{}", rng.below(1_000)),
                1 + (round % 1_000) as u32,
            );
            let cost = one.cost(key);
            let near = [
                cost / 2,
                cost - 1,
                cost,
                cost + 1,
                cost * 2,
                rng.word() >> rng.below(60),
            ];
            for most in near {
                let below = (cost <= most).then_some(cost);
                assert_eq!(one.cost_below(key, most), below, "{key:?} {one:?} {most}");
            }
        }
    }

    #[test]
    fn a_cost_never_changes_between_versions_and_machines() {
        let racer = Racer::new("a", 3);
        assert_eq!(racer.cost(KeyHash::of("web")), COST_OF_WEB_AT_A);
    }

    /// Written down once; another value would move every target at an upgrade.
    const COST_OF_WEB_AT_A: u64 = 109_665_848_902_243_669;
}
