//! Who cuts the network: in turns a cut of a random kind, and a healing.

use std::collections::BTreeSet;

use base::{Duration, Rng, Time};

use crate::lab::plan::unit;

/// The next step of the cuts.
#[derive(Debug)]
pub(crate) struct Nemesis {
    every: Option<Duration>,
    next: Option<Time>,
}

/// Pairs (sender, receiver) that can't talk.
pub(crate) type Cut = BTreeSet<(String, String)>;

impl Nemesis {
    pub(crate) const fn new(every: Option<Duration>) -> Self {
        Self { every, next: None }
    }

    /// Begins: the first cut comes after half an interval on average, the later steps after a whole one.
    pub(crate) fn start(&mut self, now: Time, rng: &mut Rng) {
        self.next = self.every.map(|every| now + every.mul_f64(unit(rng)));
    }

    /// No cut from now on.
    pub(crate) const fn stop(&mut self) {
        self.next = None;
    }

    pub(crate) const fn next(&self) -> Option<Time> {
        self.next
    }

    /// If a step is due: the pairs that are cut from now on.
    pub(crate) fn step(
        &mut self,
        now: Time,
        is_whole: bool,
        names: &[String],
        rng: &mut Rng,
    ) -> Option<Cut> {
        let (every, next) = (self.every?, self.next?);
        if next > now {
            return None;
        }
        self.next = Some(now + every.mul_f64(0.5 + unit(rng)));
        Some(if is_whole {
            cut(names, rng)
        } else {
            Cut::new()
        })
    }
}

/// One node alone, two halves, two halves that one node still joins, or one direction of the halves.
fn cut(names: &[String], rng: &mut Rng) -> Cut {
    let mut shuffled: Vec<&String> = names.iter().collect();
    for i in (1..shuffled.len()).rev() {
        shuffled.swap(i, index(rng, i + 1));
    }
    let half = shuffled.len() / 2;
    let (left, right, both_ways) = match rng.below(4) {
        0 => (&shuffled[..1], &shuffled[1..], true),
        1 => (&shuffled[..half], &shuffled[half..], true),
        2 => (
            &shuffled[..half],
            &shuffled[(half + 1).min(shuffled.len())..],
            true,
        ),
        _ => (&shuffled[..half], &shuffled[half..], false),
    };
    let mut cut = Cut::new();
    for a in left {
        for b in right {
            cut.insert(((*a).clone(), (*b).clone()));
            if both_ways {
                cut.insert(((*b).clone(), (*a).clone()));
            }
        }
    }
    cut
}

/// A random index below `len`.
pub(crate) fn index(rng: &mut Rng, len: usize) -> usize {
    usize::try_from(rng.below(len as u64)).expect("below a length")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(n: usize) -> Vec<String> {
        (0..n).map(|i| format!("n{i}")).collect()
    }

    #[test]
    fn every_cut_parts_somebody_and_nobody_from_itself() {
        for seed in 0..200 {
            for n in 2..6 {
                let cut = cut(&names(n), &mut Rng::new(seed));
                // Of two nodes, the one that joins the halves is one of them.
                assert!(!cut.is_empty() || n == 2, "seed {seed}, {n} nodes");
                assert!(cut.iter().all(|(a, b)| a != b), "seed {seed}, {n} nodes");
            }
        }
    }

    #[test]
    fn a_network_of_one_node_has_nothing_to_cut() {
        for seed in 0..50 {
            assert!(cut(&names(1), &mut Rng::new(seed)).is_empty());
        }
    }

    #[test]
    fn cuts_and_healings_take_turns_and_end_with_stop() {
        let mut rng = Rng::new(3);
        let mut nemesis = Nemesis::new(Some(Duration::from_secs(1)));
        nemesis.start(Time(0), &mut rng);
        let at = nemesis.next().unwrap();
        let cut = nemesis.step(at, true, &names(5), &mut rng).unwrap();
        assert!(!cut.is_empty());
        assert_eq!(nemesis.step(at, false, &names(5), &mut rng), None);
        let at = nemesis.next().unwrap();
        assert_eq!(
            nemesis.step(at, false, &names(5), &mut rng),
            Some(Cut::new())
        );
        nemesis.stop();
        assert_eq!(nemesis.next(), None);
    }
}
