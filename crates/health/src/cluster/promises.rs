//! Promises on their way: offered by this node, let count, passed on.
//!
//! Source: `docs/freshness.md`. Does not know what a promise is made from (`rounds.rs`) or who
//! reads it.

use base::{Duration, NodeId, Origin, Rng, Time, Version};

use super::marks::Look;
use super::{Cluster, DIRECT_MAX, Effect, Mark, packet};
use crate::node::Mutation;

/// Beyond that, so many at a time, and each mark so often by each node.
const FAN_OUT: usize = 2;
const COPIES: u8 = 3;
/// So many at once and to each: two or three datagrams.
const MARKS_AT_ONCE: usize = 64;
/// What an owner may say of all its targets of one interval.
#[derive(Clone, Debug)]
pub(crate) struct Promise {
    pub(crate) interval: Duration,
    /// All were checked at or after this, and are at rest.
    pub(crate) at: Time,
    /// How many they are, exceptions included.
    pub(crate) total: usize,
    /// Those of which it does not hold, by the hashes of their names.
    pub(crate) except: Vec<u64>,
}

impl Cluster {
    pub(super) fn settle_marks(&mut self, look: Look) {
        let (store, shares, membership) = (&self.store, &self.shares, &self.membership);
        // What has come and is not on disk is not shown yet either.
        let mutation = self.mutation;
        let is_here = |version: Version| match mutation {
            _ if version.seq == 0 => true,
            Some(Mutation::MarkSkipsGaps) => {
                let mut seen = store.claimed().seen.into_iter();
                seen.any(|(origin, seen)| origin == version.origin && seen.has(version.seq))
            }
            Some(Mutation::MarkBeforeShown) => store.has_all_up_to(version),
            _ => store.claims_all_up_to(version),
        };
        let found = &self.found;
        let is_seen = |owner: NodeId, version: Version| {
            let former = found.get(&owner).into_iter().flatten();
            is_here(version) && former.copied().all(is_here)
        };
        let epoch_of = |owner, interval, sum| match mutation {
            Some(Mutation::MarkOfOthers) => Some(u32::MAX),
            _ => shares.epoch(&membership.member(owner)?.name, interval, sum),
        };
        if self.marks.settle(look, is_seen, epoch_of) {
            self.effects.push_back(Effect::Marks);
        }
    }

    /// New marks go on: to all where they are few, else to some at random.
    pub(super) fn pass_marks_on(&mut self) {
        let living = self.membership.others();
        if living.is_empty() || !self.marks.has_news() {
            return;
        }
        let few = living.len() <= DIRECT_MAX;
        let chosen = if few {
            living.to_vec()
        } else {
            some_of(living, FAN_OUT, &mut self.rng)
        };
        let (times, most) = if few {
            (1, usize::MAX)
        } else {
            (COPIES, MARKS_AT_ONCE)
        };
        let mut news = self.marks.news(self.now, times, most);
        if few {
            // Everybody hears it from its owner.
            news.retain(|mark| mark.owner == self.me);
        }
        for section in packet::marks_in_sections(news) {
            for &to in &chosen {
                self.say(to, &section);
            }
        }
    }

    /// How far apart owners offer their marks.
    pub(crate) fn spacing(&self) -> Duration {
        let others = self.membership.living().saturating_sub(1);
        self.marks.spacing((others <= DIRECT_MAX).then_some(others))
    }

    /// This node's own marks, as it promises them now.
    pub(crate) fn promise(&mut self, now: Time, marks: Vec<Promise>) {
        let version = self.store.version().unwrap_or_default();
        let spacing = self.spacing();
        for Promise {
            interval,
            at,
            total,
            except,
        } in marks
        {
            let (count, sum) = self.shares.of(&self.name, interval);
            if count != total {
                // It is between two owners' beliefs of itself; the next one will do.
                continue;
            }
            let mark = Mark {
                owner: self.me,
                interval,
                age: now.since(at),
                sum,
                version,
                except,
            };
            self.marks.offer(now, mark, spacing);
        }
        self.settle_marks(Look::All);
    }

    /// Whether the node of this name writes under this origin in its present life, as far as it
    /// has said.
    pub(crate) fn writes_as(&self, name: &str, origin: Origin) -> bool {
        if *name == *self.name {
            return self.store.origin() == Some(origin);
        }
        let id = self.peers.living(name);
        id.is_some_and(|id| self.marks.writes_as(id, origin))
    }
}

/// So many of all, at random; all if there are no more.
fn some_of(all: &[NodeId], count: usize, rng: &mut Rng) -> Vec<NodeId> {
    let mut some = Vec::new();
    while some.len() < count.min(all.len()) {
        let at = usize::try_from(rng.below(all.len() as u64)).expect("an index");
        if !some.contains(&all[at]) {
            some.push(all[at]);
        }
    }
    some
}
