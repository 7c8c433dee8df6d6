//! What the node tells people of its decisions, so that a run can be understood from all logs:
//! who was asked and what was ruled, who took what over and why, whose promises are late.
//!
//! Bounded: of what may come in crowds at most [`TOLD_MAX`] a second are told, the others are
//! counted; targets that move are told together. Does not know log lines.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::{Duration, NodeId, Slot, Time};
use ownership::{Change, Standing};

use super::Node;
use crate::cluster::Notice;
use crate::fleet::stale_after;
use crate::input::Output;

/// Notices a second of the kinds that may come in crowds.
const TOLD_MAX: u32 = 20;
/// How many targets that moved are named.
const NAMED_MAX: usize = 5;

/// Whether targets came, the other node, and why.
type Move = (bool, Arc<str>, &'static str);

/// What has not been told yet.
#[derive(Debug, Default)]
pub(super) struct Untold {
    /// Told in this second, and what was too much.
    told: u32,
    left_out: u32,
    /// By direction, the other node and why: how many, and some of their names.
    moved: BTreeMap<Move, (usize, Vec<Arc<str>>)>,
    /// Whose promises are late.
    late: BTreeSet<(NodeId, Duration)>,
}

impl Node {
    /// Tells people something that may come in crowds.
    pub(super) fn tell_people(&mut self, notice: Notice) {
        let Some(joined) = &mut self.joined else {
            return;
        };
        let untold = &mut joined.untold;
        if untold.told < TOLD_MAX {
            untold.told += 1;
            self.outputs.push_back(Output::Notice(Box::new(notice)));
        } else {
            untold.left_out += 1;
        }
    }

    /// A target's first owner is another: noted, to be told with the others of this second.
    pub(super) fn note_move(&mut self, change: &Change) {
        let (Some(before), Some(after)) = (change.before.first(), change.after.first()) else {
            return;
        };
        let joined = self.joined.as_ref().expect("its rooms spoke");
        let me = &joined.cluster.name;
        if before == after || (before != me && after != me) || !joined.cluster.is_ready() {
            return;
        }
        let is_taken = after == me;
        let other = Arc::clone(if is_taken { before } else { after });
        let why = self.why_moved(before, change.slot);
        let Some(row) = self.rows.get(change.slot) else {
            return;
        };
        let name = row.title();
        let joined = self.joined.as_mut().expect("its rooms spoke");
        let moved = joined.untold.moved.entry((is_taken, other, why));
        let (count, named) = moved.or_default();
        *count += 1;
        if named.len() < NAMED_MAX {
            named.push(name);
        }
    }

    /// Why a target left this owner.
    fn why_moved(&self, owner: &Arc<str>, slot: Slot) -> &'static str {
        let joined = self.joined.as_ref().expect("its rooms spoke");
        let mut members = joined.cluster.ownership.members();
        let row = self.rows.get(slot);
        let unable = row.and_then(|row| joined.unable.get(row.name()));
        match members.find(|member| member.name == *owner) {
            None => "the owner is gone",
            Some(member) if member.standing == Standing::Draining => "the owner gives all away",
            _ if unable.is_some_and(|nodes| nodes.contains(owner)) => {
                "the owner can't check it, or was outvoted"
            }
            Some(_) => "the new owner comes first in its order",
        }
    }

    /// Once a second: what moved, who is late, how much was left out.
    pub(super) fn tell_the_second(&mut self) {
        let now = self.now;
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        let untold = &mut joined.untold;
        untold.told = 0;
        let left_out = std::mem::take(&mut untold.left_out);
        for ((is_taken, other, why), (count, first)) in std::mem::take(&mut untold.moved) {
            let notice = Notice::Moved {
                is_taken,
                other,
                why,
                count,
                first,
            };
            self.outputs.push_back(Output::Notice(Box::new(notice)));
        }
        if left_out > 0 {
            let count = left_out;
            let notice = Notice::Untold { count };
            self.outputs.push_back(Output::Notice(Box::new(notice)));
        }
        self.tell_lateness(now);
    }

    fn tell_lateness(&mut self, now: Time) {
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        let mut said = Vec::new();
        let mut late = std::mem::take(&mut joined.untold.late);
        for (&(owner, interval), held) in joined.cluster.marks.held() {
            let place = (owner, interval);
            let name = joined.cluster.name_of(owner);
            let (count, _) = joined.cluster.shares.of(&name, interval);
            if count == 0 {
                // It has none of this interval any more, and promises nothing of them.
                continue;
            }
            let age = now.since(held.at);
            let is_late = age > stale_after(interval, interval);
            let was_late = late.remove(&place);
            if is_late {
                joined.untold.late.insert(place);
            }
            if is_late != was_late {
                said.push(Notice::Promise {
                    owner: name,
                    interval,
                    age,
                    is_late,
                });
            }
            if owner == joined.cluster.me {
                said.push(Notice::Promised {
                    interval,
                    age,
                    except: held.except.len(),
                });
            }
        }
        self.outputs.extend(
            said.into_iter()
                .map(|notice| Output::Notice(Box::new(notice))),
        );
    }
}
