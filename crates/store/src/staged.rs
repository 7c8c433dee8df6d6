//! Own writes that wait for the disk, in their order, and counted by key.
//!
//! Thousands may wait at once, when a long config file is written: what is asked of them for each
//! further write is answered without going through all. Does not know what a write means.

use std::collections::{BTreeMap, VecDeque};

use crate::merge::Staged;

/// All of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waits {
    queue: VecDeque<Staged>,
    /// How many wait under each key.
    keys: BTreeMap<Vec<u8>, u32>,
    /// How many are copies.
    copies: usize,
}

impl Waits {
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn push(&mut self, staged: Staged) {
        *self.keys.entry(staged.key.clone()).or_default() += 1;
        self.copies += usize::from(staged.context.copy_of.is_some());
        self.queue.push_back(staged);
    }

    /// Takes the first out, if it is `due`.
    pub(crate) fn pop_if(&mut self, due: impl FnOnce(&Staged) -> bool) -> Option<Staged> {
        let first = self.queue.pop_front_if(|staged| due(staged))?;
        self.copies -= usize::from(first.context.copy_of.is_some());
        let count = self.keys.get_mut(&first.key).expect("it was counted");
        *count -= 1;
        if *count == 0 {
            self.keys.remove(&first.key);
        }
        if self.queue.is_empty() {
            self.queue.shrink_to(64);
        }
        Some(first)
    }

    /// Whether any waits under a key.
    pub(crate) fn has(&self, key: &[u8]) -> bool {
        self.keys.contains_key(key)
    }

    /// Those under a key.
    pub(crate) fn under(&self, key: &[u8]) -> impl Iterator<Item = &Staged> {
        let some = if self.has(key) { self.queue.len() } else { 0 };
        let all = self.queue.iter().take(some);
        all.filter(move |staged| staged.key == key)
    }

    /// Whether any is a copy.
    pub(crate) const fn has_copies(&self) -> bool {
        self.copies > 0
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Staged> {
        self.queue.iter_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mark;
    use crate::merge::{Context, Copied};
    use base::Rng;

    fn staged(seq: u64, key: u8, is_copy: bool) -> Staged {
        let copy_of = is_copy.then_some(Copied {
            original: (1, seq),
            times: 1,
        });
        Staged {
            mark: Mark(seq),
            slot: 0,
            seq,
            key: vec![key],
            value: None,
            context: Context {
                over: Vec::new(),
                copy_of,
            },
            is_void: false,
        }
    }

    #[test]
    fn what_is_counted_is_what_a_plain_list_holds() {
        for seed in 0..100 {
            let mut rng = Rng::new(seed);
            let (mut waits, mut plain) = (Waits::default(), VecDeque::new());
            for seq in 1..200 {
                if rng.chance(55) {
                    let one = staged(seq, u8::try_from(rng.below(9)).unwrap(), rng.chance(10));
                    waits.push(one.clone());
                    plain.push_back(one);
                } else {
                    let due = Mark(rng.below(seq));
                    let first = waits.pop_if(|one| one.mark <= due).map(|one| one.seq);
                    let same = plain.pop_front_if(|one: &mut Staged| one.mark <= due);
                    assert_eq!(first, same.map(|one| one.seq), "seed {seed}");
                }
                let copies = plain.iter().any(|one| one.context.copy_of.is_some());
                assert_eq!(waits.has_copies(), copies, "seed {seed}");
                assert_eq!(waits.is_empty(), plain.is_empty(), "seed {seed}");
                for key in 0..9 {
                    let under: Vec<u64> = waits.under(&[key]).map(|one| one.seq).collect();
                    let same = plain.iter().filter(|one| one.key == [key]);
                    assert_eq!(under, same.map(|one| one.seq).collect::<Vec<_>>());
                    assert_eq!(waits.has(&[key]), !under.is_empty(), "seed {seed}");
                }
            }
        }
    }
}
