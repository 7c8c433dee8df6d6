//! What readers see of the cluster: the members, who owns what, and how fresh it is.
//!
//! Part of the immutable [`crate::View`]. Ages are spans on this node's own clock; no two clocks
//! are compared. Does not know how any of it was learned.

use std::net::SocketAddr;
use std::sync::Arc;

use base::{Duration, NodeId, Time, Version, hash64};

use crate::cluster::Vote;

/// One member as readers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Its identity; 0 for one that is only remembered from an earlier life.
    pub id: NodeId,
    /// What people call it.
    pub name: Arc<str>,
    /// Where its cluster port is.
    pub address: SocketAddr,
    /// Alive, suspect, dead or left.
    pub state: &'static str,
    /// The newest incarnation heard of.
    pub incarnation: u64,
    /// Where it stands.
    pub zone: Arc<str>,
    /// Its share relative to others.
    pub weight: u16,
    /// It gives its targets away, or has not caught up yet.
    pub is_draining: bool,
    /// How many targets it owns.
    pub owned: u32,
    /// The newest wire version that it understands.
    pub wire: u8,
}

/// A member said of another that it does not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accusation {
    /// Who is accused.
    pub member: Arc<str>,
    /// Who accuses.
    pub by: Arc<str>,
    /// When this node heard of it.
    pub at: Time,
}

/// An owner's promise that counts here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Promised {
    pub(crate) at: Time,
    pub(crate) epoch: u32,
    pub(crate) except: Vec<u64>,
}

/// Who owns a target: places in the list of names, and of what marks the first can mean it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owned {
    pub(crate) three: [u16; 3],
    /// Since when this is the owner, at this interval, with this status if somebody else wrote it.
    pub(crate) epoch: u32,
    /// When a status came that the owner wrote in a former life. Rounded up; in tenths of a second.
    pub(crate) since: u32,
}

impl Owned {
    /// The owner has written the status in a former life, which it may have forgotten.
    pub(crate) fn anew(&mut self, now: Time) {
        self.since = u32::try_from(now.0.div_ceil(TENTH)).unwrap_or(u32::MAX);
    }
}

const TENTH: u64 = 100_000;

/// No name.
pub(crate) const NOBODY: u16 = u16::MAX;

impl Default for Owned {
    fn default() -> Self {
        Self {
            three: [NOBODY; 3],
            epoch: 0,
            since: 0,
        }
    }
}

/// The cluster as readers see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fleet {
    /// This node.
    pub me: Arc<str>,
    /// Everybody who is known, this node included, by name.
    pub members: Arc<[Seat]>,
    /// Whether this node has caught up with the others, or is alone.
    pub is_ready: bool,
    /// Who said of whom that it does not answer: the last 64 that this node heard of, oldest first.
    pub accusations: Vec<Accusation>,
    pub(crate) names: Arc<Vec<Arc<str>>>,
    /// By place in the list of names and by interval, in this order.
    pub(crate) promised: Vec<((u16, Duration), Promised)>,
    /// How far apart owners offer their marks; zero in a fleet of up to a hundred marks.
    pub(crate) spacing: Duration,
    pub(crate) seen: Arc<store::Vector>,
    /// The version that answers of this node carry.
    pub(crate) version: Version,
}

/// What others saw of a target when its last verdict was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Votes {
    /// Everybody who was asked, the owner first.
    pub votes: Vec<Vote>,
    /// More saw it answer than not, against the owner.
    pub contested: bool,
}

/// How fresh what is said of a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// It was checked at or after this, on this node's clock; `None`: nobody has promised anything.
    pub checked: Option<Time>,
    /// That is too long ago, or unknown.
    pub is_stale: bool,
    /// Somebody who lives owns it.
    pub is_owned: bool,
}

impl Fleet {
    pub(crate) fn name(&self, at: u16) -> Option<&Arc<str>> {
        self.names.get(usize::from(at))
    }

    /// Whether a member is alive or suspect, in any life of its. O(log n).
    #[must_use]
    pub fn lives(&self, name: &str) -> bool {
        let from = self.members.partition_point(|seat| &*seat.name < name);
        let mut lives = self.members[from..]
            .iter()
            .take_while(|seat| &*seat.name == name);
        lives.any(|seat| matches!(seat.state, "alive" | "suspect"))
    }

    /// How many members answer, and how many there are; those that left count in neither.
    #[must_use]
    pub fn seen_of_known(&self) -> (usize, usize) {
        let known = self.members.iter().filter(|seat| seat.state != "left");
        let seen = known.clone().filter(|seat| seat.state == "alive");
        (seen.count(), known.count())
    }

    pub(crate) fn promise(
        &self,
        owned: Owned,
        name: &str,
        interval: Duration,
    ) -> Option<&Promised> {
        let place = (owned.three[0], interval);
        let at = self.promised.binary_search_by_key(&place, |(of, _)| *of);
        let (_, promised) = &self.promised[at.ok()?];
        let hash = hash64(name.as_bytes());
        let is_mine = self.name(owned.three[0]) == Some(&self.me);
        let spread = if is_mine { Duration::ZERO } else { SPREAD };
        let agrees = promised.at >= Time(u64::from(owned.since) * TENTH) + spread;
        let holds = owned.epoch <= promised.epoch && agrees && !promised.except.contains(&hash);
        holds.then_some(promised)
    }
}

/// What an owner has written in a former life is known to it after this. Until then it may be
/// promising something else than is shown.
const SPREAD: Duration = Duration::from_secs(2);
/// A target that was not checked for so long is stale.
pub(crate) fn stale_after(interval: Duration, timeout: Duration) -> Duration {
    interval * 2 + timeout + Duration::from_secs(5)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(id: u64, name: &str, state: &'static str) -> Seat {
        Seat {
            id: NodeId(id),
            name: name.into(),
            address: "10.0.0.1:7718"
                .parse()
                .unwrap_or_else(|_| unreachable!("an address")),
            state,
            incarnation: 1,
            zone: "".into(),
            weight: 1,
            is_draining: false,
            owned: 0,
            wire: 1,
        }
    }

    #[test]
    fn a_node_that_came_back_under_another_id_lives() {
        let fleet = Fleet {
            members: vec![
                seat(9, "a", "dead"),
                seat(2, "b", "dead"),
                seat(5, "b", "alive"),
                seat(1, "c", "suspect"),
            ]
            .into(),
            ..Fleet::default()
        };
        let lives = ["a", "b", "c", "d", ""].map(|name| fleet.lives(name));
        assert_eq!(lives, [false, true, true, false, false]);
    }
}
