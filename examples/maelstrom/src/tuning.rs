//! Two settings of the same protocol: few messages, or little delay.

use std::fmt;

use base::Duration;
use clap::ValueEnum;

/// How the store spreads news.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Tuning {
    /// Fewest messages: each round a few random peers; a change needs somewhat less than a second to be everywhere.
    Lean,
    /// Least delay: always the same neighbours, chosen so that two steps reach everybody.
    #[default]
    Quick,
}

impl Tuning {
    /// Whom the node at `place` among `nodes` exchanges with, by place.
    ///
    /// Quick: of about √n each, the graph of Imase and Itoh (1981), a de Bruijn graph for any number of
    /// nodes: node `i` has the `d` neighbours from `d·i` on. What one does not push, its neighbours do;
    /// what is lost is pulled.
    pub(crate) fn peers(self, place: usize, nodes: usize) -> Vec<usize> {
        match self {
            Self::Lean => (0..nodes).filter(|other| *other != place).collect(),
            Self::Quick => {
                let degree = degree(nodes);
                let near = (0..degree).map(|j| (place * degree + j) % nodes);
                near.filter(|other| *other != place).collect()
            }
        }
    }

    /// How long news waits for company.
    pub(crate) const fn round(self) -> Duration {
        match self {
            Self::Lean => Duration::from_millis(200),
            Self::Quick => Duration::from_millis(100),
        }
    }

    /// How many of so many peers get news in one round.
    pub(crate) fn fan_out(self, peers: usize) -> usize {
        match self {
            Self::Lean => 3,
            Self::Quick => peers.max(1),
        }
    }

    /// How often a node sends one piece of news; quick: once to each neighbour.
    pub(crate) fn transmissions(self, peers: usize) -> usize {
        match self {
            Self::Lean => 12,
            Self::Quick => peers.max(1),
        }
    }
}

/// The smallest number whose square is not below `nodes`; 2 steps then reach everybody.
pub(crate) fn degree(nodes: usize) -> usize {
    (1..=nodes).find(|d| d * d >= nodes).unwrap_or(1)
}

impl fmt::Display for Tuning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lean => "lean",
            Self::Quick => "quick",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn two_steps_from_anybody_reach_everybody() {
        for nodes in 1..=150 {
            for place in 0..nodes {
                let mut reached = BTreeSet::from([place]);
                for _ in 0..2 {
                    let from = reached.clone();
                    let near = from.into_iter().flat_map(|i| Tuning::Quick.peers(i, nodes));
                    reached.extend(near);
                }
                assert_eq!(reached.len(), nodes, "from {place} of {nodes}");
            }
        }
    }

    #[test]
    fn nobody_is_its_own_peer_or_a_peer_twice() {
        for nodes in 1..=30 {
            for place in 0..nodes {
                for tuning in [Tuning::Lean, Tuning::Quick] {
                    let peers = tuning.peers(place, nodes);
                    let distinct: BTreeSet<&usize> = peers.iter().collect();
                    assert_eq!(distinct.len(), peers.len(), "{place} of {nodes}");
                    assert!(!distinct.contains(&place), "{place} of {nodes}");
                }
            }
        }
    }

    #[test]
    fn of_25_nodes_each_has_five_neighbours_or_four_and_itself() {
        let counts: Vec<usize> = (0..25).map(|i| Tuning::Quick.peers(i, 25).len()).collect();
        assert!(counts.iter().all(|n| (4..=5).contains(n)), "{counts:?}");
    }
}
