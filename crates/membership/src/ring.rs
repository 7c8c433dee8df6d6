//! Whose turn it is: a shuffled round in which everybody comes once.
//!
//! SWIM's round-robin: bounds the time until a given member is asked by two rounds.

use base::{NodeId, Rng};

use crate::table::Table;

/// A round of members, shuffled anew each time it ends.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    round: Vec<NodeId>,
}

impl Ring {
    /// The next living other; `None` when there is none.
    pub(crate) fn next(&mut self, table: &Table, rng: &mut Rng) -> Option<NodeId> {
        if self.round.is_empty() {
            self.shuffle(table, rng);
        }
        while let Some(id) = self.round.pop() {
            if table.get(id).is_some_and(crate::table::Record::is_living) {
                return Some(id);
            }
        }
        self.shuffle(table, rng);
        self.round.pop()
    }

    /// Somebody is new: it gets a random place in what is left of the round.
    pub(crate) fn insert(&mut self, id: NodeId, rng: &mut Rng) {
        let place = rng.below(self.round.len() as u64 + 1);
        self.round
            .insert(usize::try_from(place).expect("at most a length"), id);
    }

    fn shuffle(&mut self, table: &Table, rng: &mut Rng) {
        self.round.clear();
        self.round.extend_from_slice(table.living());
        for i in (1..self.round.len()).rev() {
            let other = usize::try_from(rng.below(i as u64 + 1)).expect("at most an index");
            self.round.swap(i, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::table::Record;
    use crate::testing::member;

    #[test]
    fn everybody_comes_once_in_a_round() {
        let mut table = Table::new(member(1));
        for id in 2..32 {
            let member = member(id);
            let born = member.incarnation;
            table.put(Record::new(member, born));
        }
        let (mut ring, mut rng) = (Ring::default(), Rng::new(1));
        for _ in 0..5 {
            let round: BTreeSet<_> = (0..30)
                .filter_map(|_| ring.next(&table, &mut rng))
                .collect();
            assert_eq!(round.len(), 30);
        }
        table.take(NodeId(7));
        let round: Vec<_> = (0..29)
            .filter_map(|_| ring.next(&table, &mut rng))
            .collect();
        assert!(!round.contains(&NodeId(7)));
    }

    #[test]
    fn alone_it_is_nobodys_turn() {
        let table = Table::new(member(1));
        assert_eq!(Ring::default().next(&table, &mut Rng::new(1)), None);
    }
}
