//! Whose the writes in the store are, so that those of a node that is gone for good are taken over.
//!
//! The store knows origins and no nodes. So each node writes down, once in a life, under which
//! origins its data directory has written; who is forgotten leaves that list to everybody as a
//! request to retire them (`docs/store.md`). What it could not probe goes with it. Does not know how
//! an origin is closed.

use base::{NodeId, Origin};

use super::Node;
use crate::cluster::{decode_origins, encode_origins, gone_key, origins_key, unable_key};

/// Open origins of this node's earlier lives, beside the present one, that are left alone; of more
/// the smallest are retired: what they hold is written anew under the present one.
const EARLIER_MAX: usize = 8;

impl Node {
    /// Once in a life, after its first write: says under what this node writes.
    pub(super) fn name_origins(&mut self) {
        let now = self.now;
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        let Some(origin) = joined.cluster.store.origin() else {
            return;
        };
        if joined.named == Some(origin) {
            return;
        }
        joined.named = Some(origin);
        let mut earlier = joined.cluster.store.own_origins();
        earlier.retain(|(other, _)| *other != origin);
        earlier.sort_by_key(|(other, entries)| (std::cmp::Reverse(*entries), *other));
        for (surplus, _) in earlier.iter().skip(EARLIER_MAX) {
            joined.cluster.retire(now, *surplus);
        }
        let earlier = earlier.iter().map(|(other, _)| *other);
        let origins: Vec<Origin> = [origin].into_iter().chain(earlier).collect();
        let key = origins_key(joined.cluster.me);
        joined
            .cluster
            .write(now, key, Some(encode_origins(&origins)));
    }

    /// A node's list of origins has changed; who is forgotten by mistake says it again.
    pub(super) fn origins_stored(&mut self, node: NodeId, key: &[u8]) {
        let joined = self.joined.as_mut().expect("its store spoke");
        if node == joined.cluster.me && joined.cluster.store.get(key).is_none() {
            joined.named = None;
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
        let origins = joined.cluster.store.get(key).map(decode_origins);
        let Some(Ok(origins)) = origins else {
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
            let origins = store.get(&gone_key(*node)).map(decode_origins);
            let closed = |origins: Vec<Origin>| origins.iter().all(|o| store.is_closed(*o));
            origins.and_then(Result::ok).is_none_or(closed)
        };
        let done: Vec<NodeId> = joined.gone.iter().copied().filter(is_done).collect();
        for node in done {
            joined.gone.remove(&node);
            joined.cluster.write(now, gone_key(node), None);
        }
    }
}
