//! The members by name, and what of them survives a restart.
//!
//! Does not know how a member was found or what it does.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use base::wire::{DecodeError, Reader, Writer};
use base::{Duration, NodeId, Time};
use membership::{Incarnation, Member, Membership, State};

/// What the disk remembers of the members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) me: NodeId,
    /// Under which name and where the node that has this id lives; a version before this one did
    /// not write it.
    pub(crate) home: Option<Other>,
    pub(crate) others: BTreeMap<NodeId, Other>,
    /// In no life of this disk has there been anybody else.
    pub(crate) met_nobody: bool,
}

/// A member of an earlier life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Other {
    pub(crate) name: Arc<str>,
    pub(crate) address: SocketAddr,
}

impl Known {
    /// A node that remembers nobody.
    pub(crate) const fn nobody(me: NodeId) -> Self {
        Self {
            me,
            home: None,
            others: BTreeMap::new(),
            met_nobody: true,
        }
    }

    /// The same for a node of this name at this address; and whose disk it was, if another's.
    ///
    /// A copy of a data directory must not bring two nodes with one id to life: whoever finds that
    /// the disk was written under another name or elsewhere takes a fresh id. A node that has
    /// only moved is then taken for one that has lost its disk; what the disk holds it keeps.
    pub(crate) fn at_home(
        mut self,
        name: &str,
        address: SocketAddr,
        fresh: NodeId,
    ) -> (Self, Option<Other>) {
        let is_at_home = |home: &Other| *home.name == *name && home.address == address;
        let Some(home) = self.home.take_if(|home| !is_at_home(home)) else {
            return (self, None);
        };
        self.others.insert(self.me, home.clone());
        self.others.retain(|_, other| *other.name != *name);
        self.me = fresh;
        (self, Some(home))
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let mut known = Self::nobody(NodeId(0));
        known.met_nobody = false;
        while let Some((tag, mut field)) = r.field()? {
            match tag {
                1 => known.me = NodeId(field.number()?),
                2 => {
                    let id = NodeId(field.number()?);
                    let name = field.text()?.into();
                    let address = field.text()?.parse().map_err(|_| DecodeError::NotText)?;
                    known.others.insert(id, Other { name, address });
                }
                3 => {
                    let name = field.text()?.into();
                    let address = field.text()?.parse().map_err(|_| DecodeError::NotText)?;
                    known.home = Some(Other { name, address });
                }
                4 => known.met_nobody = true,
                _ => {}
            }
        }
        if known.me == NodeId(0) {
            return Err(DecodeError::Missing("id"));
        }
        Ok(known)
    }
}

/// What a change of one member means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Changed {
    /// It is another state than before.
    pub(super) state: bool,
    /// Who bears its name now: the newest life of those alive or suspect.
    pub(super) bearer: Option<NodeId>,
    /// Somebody else bore the name until now, or nobody does any more.
    pub(super) is_other: bool,
}

/// The members as this room knows them.
#[derive(Debug)]
pub(super) struct Peers {
    by_name: BTreeMap<Arc<str>, NodeId>,
    states: BTreeMap<NodeId, (State, Incarnation)>,
    names: BTreeMap<NodeId, Arc<str>>,
    /// All lives of a name.
    lives: BTreeMap<Arc<str>, BTreeSet<NodeId>>,
    dead_since: BTreeMap<NodeId, Time>,
    /// When something last came from each.
    heard: BTreeMap<NodeId, Time>,
    remembered: BTreeMap<NodeId, Other>,
    met_nobody: bool,
    told: (Vec<NodeId>, Vec<NodeId>),
}

impl Peers {
    pub(super) fn new(known: Known) -> Self {
        Self {
            by_name: BTreeMap::new(),
            states: BTreeMap::new(),
            names: BTreeMap::new(),
            lives: BTreeMap::new(),
            dead_since: BTreeMap::new(),
            heard: BTreeMap::new(),
            met_nobody: known.met_nobody && known.others.is_empty(),
            remembered: known.others,
            told: (Vec::new(), Vec::new()),
        }
    }

    pub(super) fn changed(&mut self, now: Time, member: &Member) -> Changed {
        let id = member.id;
        let state = (member.state, member.incarnation);
        let before = self.states.insert(id, state).map(|(state, _)| state);
        let former = self.names.insert(id, Arc::clone(&member.name));
        if let Some(former) = former.filter(|former| *former != member.name) {
            self.end_life(&former, id);
        }
        let lives = self.lives.entry(Arc::clone(&member.name)).or_default();
        lives.insert(id);
        self.remembered.remove(&id);
        // A node that lost its disk comes back with another id under its name.
        self.remembered.retain(|_, other| other.name != member.name);
        if is_living(member.state) {
            self.dead_since.remove(&id);
        } else {
            self.dead_since.entry(id).or_insert(now);
        }
        let (bearer, is_other) = self.bear(&member.name);
        Changed {
            state: before != Some(member.state),
            bearer,
            is_other,
        }
    }

    /// Something came from a node; of strangers nothing is kept.
    pub(super) fn hear(&mut self, now: Time, id: NodeId) {
        if self.states.contains_key(&id) {
            self.heard.insert(id, now);
        }
    }

    /// Whether this disk has never met another member: it is as good as empty. `is_alone`: there
    /// is still nobody else.
    pub(super) const fn has_met_nobody(&mut self, is_alone: bool) -> bool {
        self.met_nobody &= is_alone;
        self.met_nobody
    }

    /// When something last came from a member.
    pub(super) fn heard_from(&self, id: NodeId) -> Option<Time> {
        self.heard.get(&id).copied()
    }

    /// When something last came from a node of this name, in any life that is still remembered.
    pub(super) fn heard(&self, name: &str) -> Option<Time> {
        let lives = self.lives.get(name).into_iter().flatten();
        lives.filter_map(|id| self.heard.get(id).copied()).max()
    }

    fn end_life(&mut self, name: &Arc<str>, id: NodeId) {
        if let Some(lives) = self.lives.get_mut(name) {
            lives.remove(&id);
            if lives.is_empty() {
                self.lives.remove(name);
            }
        }
    }

    /// Settles who bears a name: of several lives the newest, so that what is still said of an
    /// earlier one takes nothing from it. Whether that is another than before.
    fn bear(&mut self, name: &Arc<str>) -> (Option<NodeId>, bool) {
        let lives = |id: &NodeId| {
            let (state, incarnation) = self.states.get(id)?;
            is_living(*state).then_some((*incarnation, *id))
        };
        let of_name = self.lives.get(name).into_iter().flatten();
        let newest = of_name.filter_map(lives).max();
        let bearer = newest.map(|(_, id)| id);
        let before = match bearer {
            Some(id) => self.by_name.insert(Arc::clone(name), id),
            None => self.by_name.remove(name),
        };
        (bearer, bearer != before)
    }

    /// What people call a member, dead or alive.
    pub(super) fn name(&self, id: NodeId) -> Option<Arc<str>> {
        self.names.get(&id).cloned()
    }

    /// Whether anybody of this name is known, in whatever life and state.
    pub(super) fn knows(&self, name: &str) -> bool {
        let mut remembered = self.remembered.values();
        self.lives.contains_key(name) || remembered.any(|other| *other.name == *name)
    }

    /// Nobody remembers this member any more; its name, and who bears that now, if it bore it.
    pub(super) fn gone(&mut self, id: NodeId) -> Option<(Arc<str>, Option<NodeId>)> {
        self.states.remove(&id);
        self.dead_since.remove(&id);
        self.heard.remove(&id);
        let name = self.names.remove(&id)?;
        self.end_life(&name, id);
        let (bearer, is_other) = self.bear(&name);
        is_other.then_some((name, bearer))
    }

    /// Whether this life of a node is over, and a newer one bears its name.
    pub(super) fn is_succeeded(&self, member: &Member) -> bool {
        let bearer = self.by_name.get(&member.name);
        bearer.is_some_and(|bearer| *bearer != member.id)
    }

    pub(super) fn living(&self, name: &str) -> Option<NodeId> {
        self.by_name.get(name).copied()
    }

    /// Members of earlier lives that have not been seen in this one.
    pub(super) fn unseen(&self, membership: &Membership) -> Vec<NodeId> {
        let ids = self.remembered.keys().copied();
        ids.filter(|id| membership.member(*id).is_none()).collect()
    }

    /// Where members of earlier lives were that have not been seen in this one.
    pub(super) fn unseen_at(&self, membership: &Membership) -> Vec<SocketAddr> {
        let unseen = self.remembered.iter();
        let unseen = unseen.filter(|(id, _)| membership.member(**id).is_none());
        unseen.map(|(_, other)| other.address).collect()
    }

    /// Members of earlier lives that have not been seen in this one, with their names.
    pub(super) fn remembered(&self) -> impl Iterator<Item = &Other> {
        self.remembered.values()
    }

    pub(super) fn forget(&mut self, name: &str) -> Vec<NodeId> {
        let of_name = self
            .remembered
            .extract_if(.., |_, other| &*other.name == name);
        of_name.map(|(id, _)| id).collect()
    }

    /// Everybody alive but this node.
    pub(super) fn others(&self, me: NodeId, membership: &Membership) -> Vec<NodeId> {
        let lives = |m: &&Member| m.id != me && matches!(m.state, State::Alive | State::Suspect);
        membership.members().filter(lives).map(|m| m.id).collect()
    }

    /// Whom the store talks to, and for whom it waits before it forgets.
    pub(super) fn whom(
        &self,
        me: NodeId,
        now: Time,
        membership: &Membership,
        patience: Duration,
    ) -> (Vec<NodeId>, Vec<NodeId>) {
        let live = self.others(me, membership);
        let recent = |id: &NodeId| {
            let since = self.dead_since.get(id);
            since.is_none_or(|since| now.since(*since) < patience)
        };
        let waits = |m: &&Member| m.id != me && m.state != State::Left && recent(&m.id);
        let frontier = membership.members().filter(waits).map(|m| m.id);
        let frontier: BTreeSet<NodeId> = frontier.chain(self.unseen(membership)).collect();
        (live, frontier.into_iter().collect())
    }

    pub(super) fn are_others(&mut self, live: &[NodeId], frontier: &[NodeId]) -> bool {
        if self.told.0 == live && self.told.1 == frontier {
            return false;
        }
        self.told = (live.to_vec(), frontier.to_vec());
        true
    }

    /// What a restart needs.
    pub(super) fn encode<'a>(
        &self,
        me: NodeId,
        home: &Other,
        members: impl Iterator<Item = &'a Member>,
    ) -> Vec<u8> {
        let mut others: BTreeMap<NodeId, Other> = self.remembered.clone();
        for member in members.filter(|m| m.id != me && m.state != State::Left) {
            let name = Arc::clone(&member.name);
            let address = member.address;
            others.insert(member.id, Other { name, address });
        }
        let mut w = Writer::new();
        w.field_number(1, me.0);
        w.field(3, |w| {
            w.bytes(home.name.as_bytes());
            w.bytes(home.address.to_string().as_bytes());
        });
        if self.met_nobody {
            w.field_bytes(4, &[]);
        }
        for (id, other) in others {
            w.field(2, |w| {
                w.number(id.0);
                w.bytes(other.name.as_bytes());
                w.bytes(other.address.to_string().as_bytes());
            });
        }
        w.finish()
    }
}

const fn is_living(state: State) -> bool {
    matches!(state, State::Alive | State::Suspect)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_comes_back() {
        let mut known = Known::nobody(NodeId(7));
        let other = Other {
            name: "n2".into(),
            address: "10.0.0.2:7718".parse().unwrap(),
        };
        known.others.insert(NodeId(9), other);
        let home = Other {
            name: "n1".into(),
            address: "10.0.0.1:7718".parse().unwrap(),
        };
        known.home = Some(home.clone());
        known.met_nobody = false;
        let peers = Peers::new(known.clone());
        let bytes = peers.encode(NodeId(7), &home, std::iter::empty());
        assert_eq!(Known::decode(&bytes), Ok(known));
        assert!(Known::decode(b"").is_err());
    }

    #[test]
    fn a_disk_that_has_met_nobody_remembers_that_until_it_meets_somebody() {
        let home = Other {
            name: "n1".into(),
            address: "10.0.0.1:7718".parse().unwrap(),
        };
        let mut peers = Peers::new(Known::nobody(NodeId(7)));
        for _ in 0..3 {
            assert!(peers.has_met_nobody(true));
            let bytes = peers.encode(NodeId(7), &home, std::iter::empty());
            peers = Peers::new(Known::decode(&bytes).unwrap());
        }
        assert!(!peers.has_met_nobody(false));
        let bytes = peers.encode(NodeId(7), &home, std::iter::empty());
        let mut peers = Peers::new(Known::decode(&bytes).unwrap());
        assert!(!peers.has_met_nobody(true));
    }

    #[test]
    fn a_copied_disk_gives_nobody_a_second_life() {
        let other = |name: &str, host: u8| Other {
            name: name.into(),
            address: SocketAddr::from(([10, 0, 0, host], 7718)),
        };
        let (ann, bob) = (other("ann", 1), other("bob", 2));
        let mut known = Known::nobody(NodeId(7));
        known.home = Some(ann.clone());
        known.others.insert(NodeId(9), bob.clone());
        let at = |name: &str, home: &Other| {
            let known = known.clone();
            known.at_home(name, home.address, NodeId(99))
        };
        assert_eq!(at("ann", &ann), (known.clone(), None));
        // Bob starts on a copy of Ann's disk: it remembers Ann, and is nobody that was there.
        let (bobs, of) = at("bob", &bob);
        assert_eq!((bobs.me, of.as_ref()), (NodeId(99), Some(&ann)));
        assert_eq!(bobs.others, [(NodeId(7), ann.clone())].into());
        // A second Ann elsewhere has an id of its own, so that the name is contested.
        let (twin, of) = at("ann", &bob);
        assert_eq!((twin.me, of.as_ref()), (NodeId(99), Some(&ann)));
        assert!(!twin.others.contains_key(&NodeId(7)));
    }

    fn member(id: u64, state: State, life: u64) -> Member {
        let meta = membership::Meta {
            zone: "".into(),
            weight: 1,
            wire: (1, 1),
            standing: membership::Standing::Usable,
        };
        Member {
            id: NodeId(id),
            name: "a".into(),
            address: "10.0.0.2:7718".parse().unwrap(),
            state,
            incarnation: Incarnation(life),
            meta,
        }
    }

    #[test]
    fn a_name_was_last_heard_when_any_of_its_lives_was() {
        let mut peers = Peers::new(Known::nobody(NodeId(1)));
        peers.hear(Time(1), NodeId(7));
        assert_eq!(peers.heard("a"), None, "a stranger");
        peers.changed(Time(2), &member(7, State::Alive, 10));
        peers.hear(Time(3), NodeId(7));
        peers.changed(Time(4), &member(7, State::Dead, 10));
        peers.changed(Time(4), &member(8, State::Alive, 20));
        assert_eq!(peers.heard("a"), Some(Time(3)));
        peers.hear(Time(5), NodeId(8));
        assert_eq!(peers.heard("a"), Some(Time(5)));
        peers.gone(NodeId(8));
        assert_eq!(peers.heard("a"), Some(Time(3)));
    }

    #[test]
    fn what_is_said_of_an_earlier_life_takes_the_name_from_no_newer_one() {
        let mut peers = Peers::new(Known::nobody(NodeId(1)));
        peers.changed(Time(1), &member(7, State::Alive, 10));
        let newer = peers.changed(Time(2), &member(8, State::Alive, 20));
        assert_eq!((newer.bearer, newer.is_other), (Some(NodeId(8)), true));
        for state in [State::Suspect, State::Dead] {
            let older = peers.changed(Time(3), &member(7, state, 10));
            assert_eq!((older.bearer, older.is_other), (Some(NodeId(8)), false));
        }
        assert!(peers.is_succeeded(&member(7, State::Dead, 10)));
        let gone = peers.changed(Time(4), &member(8, State::Dead, 20));
        assert_eq!((gone.bearer, gone.is_other), (None, true));
    }
}
