//! Whose the writes in the store are: so that those of a node that is gone for good are taken over,
//! and that a mark holds of what its owner found before it restarted.
//!
//! The store knows origins and no nodes. So each node writes down under which origins its data
//! directory has written; who is forgotten leaves that list to everybody as a request to retire them
//! (`docs/store.md`). What it could not probe goes with it. Beside it stands up to where a reader
//! must have got each other origin to have all statuses that this node found in former lives: its
//! marks cover only what it writes in this one, and wait for those. Does not know how an origin is
//! closed, or what a mark is.

use std::collections::BTreeMap;

use base::{NodeId, Origin, Version};

use super::Node;
use crate::cluster::{Lives, gone_key, origins_key, unable_key};

/// Open origins of this node's earlier lives, beside the present one, that are left alone; of more
/// the smallest are retired: what they hold is written anew under the present one.
const EARLIER_MAX: usize = 8;

/// What a node has said of its lives, and has to say.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The whole, as it was written; of this life, with all that it writes under.
    said: Option<Vec<u8>>,
    origin: Option<Origin>,
    /// Statuses that it found in former lives: the last of each origin, and whether it is told.
    found: BTreeMap<Origin, (u64, bool)>,
    /// Somebody else has changed what it said, in a former life perhaps.
    is_lost: bool,
}

impl Told {
    /// The store has a status that this node found and did not write in this life.
    pub(super) fn found(&mut self, version: Version) {
        let (last, is_told) = self.found.entry(version.origin).or_default();
        if version.seq > *last {
            (*last, *is_told) = (version.seq, false);
        }
    }

    /// What is not told and can be: here is all that its origin wrote before it. Beyond a gap that
    /// nobody can fill nobody waits for it.
    fn due(&self, store: &store::Store) -> Vec<Version> {
        let untold = self.found.iter().filter(|(_, (_, is_told))| !is_told);
        let untold = untold.map(|(&origin, &(seq, _))| Version { origin, seq });
        untold.filter(|found| store.has_all_up_to(*found)).collect()
    }

    fn tell(&mut self, due: Vec<Version>) -> Vec<Version> {
        for found in due {
            self.found.insert(found.origin, (found.seq, true));
        }
        let told = self.found.iter().filter(|(_, (_, is_told))| *is_told);
        told.map(|(&origin, &(seq, _))| Version { origin, seq })
            .collect()
    }
}

impl Node {
    /// The store has a status that was found by this node; by which of its lives?
    pub(super) fn note_found(&mut self, by: &str, version: Version) {
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        let cluster = &joined.cluster;
        if *by == *cluster.name && cluster.store.origin() != Some(version.origin) {
            joined.told.found(version);
        }
    }

    /// Says under what this node writes, after its first write, and what it found in former lives,
    /// once it has caught up. Comes before each promise, which waits for what was written before it.
    pub(super) fn tell_of_its_lives(&mut self) {
        let now = self.now;
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        let store = &joined.cluster.store;
        let origin = store.origin();
        let due = joined.told.due(store);
        let has_told = !joined.told.is_lost && due.is_empty();
        if joined.told.origin == origin && (has_told || !joined.cluster.is_ready()) {
            return;
        }
        let found = joined.told.tell(due);
        (joined.told.origin, joined.told.is_lost) = (origin, false);
        let mut earlier = store.own_origins();
        earlier.retain(|(other, _)| Some(*other) != origin);
        earlier.sort_by_key(|(other, entries)| (std::cmp::Reverse(*entries), *other));
        for (surplus, _) in earlier.iter().skip(EARLIER_MAX) {
            joined.cluster.retire(now, *surplus);
        }
        let earlier = earlier.iter().map(|(other, _)| *other);
        let origins = origin.into_iter().chain(earlier).collect();
        let lives = Lives { origins, found }.encode();
        let key = origins_key(joined.cluster.me);
        joined.told.said = Some(lives.clone());
        if joined.cluster.store.get(&key) != Some(&lives) {
            joined.cluster.write(now, key, Some(lives));
        }
    }

    /// A node's list has come or changed; who is forgotten by mistake says it again, and so does
    /// who has said something else in a life that it does not know.
    pub(super) fn lives_stored(&mut self, node: NodeId, key: &[u8]) {
        let joined = self.joined.as_mut().expect("its store spoke");
        let held = joined.cluster.store.get(key).map(Lives::decode);
        match held.and_then(Result::ok) {
            Some(Lives { found, .. }) => joined.cluster.found.insert(node, found),
            None => joined.cluster.found.remove(&node),
        };
        if node == joined.cluster.me {
            let said = joined.cluster.store.get(key);
            joined.told.is_lost |= said != joined.told.said.as_deref();
        }
    }

    /// A member is out for good, by an operator's word or because it was dead for too long: the
    /// first of all sees to what it wrote.
    pub(super) fn forgotten(&mut self, node: NodeId, name: &str) {
        let joined = self.joined.as_ref().expect("its rooms spoke");
        if joined.cluster.is_first() {
            self.give_up(node);
            self.enable_the_gone(name);
        }
    }

    /// What a node that is gone for good could not probe is of no use to anybody.
    pub(super) fn enable_the_gone(&mut self, name: &str) {
        let now = self.now;
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        if joined.cluster.knows(name) {
            return;
        }
        let unable = joined.unable.iter();
        let of_it = unable.filter(|(_, nodes)| nodes.contains(name));
        let keys: Vec<Vec<u8>> = of_it.map(|(target, _)| unable_key(name, target)).collect();
        for key in keys {
            joined.cluster.write(now, key, None);
        }
    }

    /// Asks everybody to take over what a node wrote.
    pub(super) fn give_up(&mut self, node: NodeId) {
        let now = self.now;
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        let key = origins_key(node);
        let Some(origins) = joined.cluster.store.get(&key).map(<[u8]>::to_vec) else {
            return;
        };
        joined.cluster.write(now, gone_key(node), Some(origins));
        joined.cluster.write(now, key, None);
    }

    /// A node is gone for good: what it wrote under is retired here, too.
    pub(super) fn gone_stored(&mut self, node: NodeId, key: &[u8]) {
        let now = self.now;
        let joined = self.joined.as_mut().expect("its store spoke");
        let lives = joined.cluster.store.get(key).map(Lives::decode);
        let Some(Ok(Lives { origins, .. })) = lives else {
            joined.gone.remove(&node);
            return;
        };
        joined.gone.insert(node);
        for origin in origins {
            joined.cluster.retire(now, origin);
        }
    }

    /// Once all that a node wrote under is closed here, the request has done its work.
    pub(super) fn close_the_gone(&mut self) {
        let now = self.now;
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        if joined.gone.is_empty() || !joined.cluster.is_first() {
            return;
        }
        let store = &joined.cluster.store;
        let is_done = |node: &NodeId| {
            let lives = store.get(&gone_key(*node)).map(Lives::decode);
            let closed = |lives: Lives| lives.origins.iter().all(|o| store.is_closed(*o));
            lives.and_then(Result::ok).is_none_or(closed)
        };
        let done: Vec<NodeId> = joined.gone.iter().copied().filter(is_done).collect();
        for node in done {
            joined.gone.remove(&node);
            joined.cluster.write(now, gone_key(node), None);
        }
    }
}
