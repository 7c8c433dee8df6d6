//! One node among others: membership, store and ownership, and what they say to each other.
//!
//! The three rooms of floor 1 do not know each other; here a member that dies stops owning, the
//! living are whom the store exchanges with, and whatever they send shares one packet. What
//! concerns targets is told to the node as [`Effect`]s; drive it like every core: inputs in,
//! [`Cluster::poll`] until `None`, wait until [`Cluster::deadline`].
//! Source: design.md §4 and §5. Does not know definitions, statuses or the schedule.

mod config;
mod keys;
mod marks;
mod packet;
mod peers;
mod revision;
mod rounds;
mod shares;
mod votes;
mod wire;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use base::{Duration, NodeId, Rng, Time, Version, Way};
use membership::{Membership, Standing, State};
use ownership::{Change, Ownership};
use store::Store;

pub use config::{ClusterConfig, ClusterError};
pub(crate) use keys::{
    Kind, StatusEntry, decode_origins, definition_key, encode_origins, gone_key, kind_of,
    manifest_key, origins_key, status_key, unable_key,
};
use marks::Look;
pub(crate) use marks::Marks;
pub use packet::contents;
#[cfg(test)]
pub(crate) use packet::pack;
pub(crate) use packet::{Ask, Inquire, Mark, Section, Streak, Tell, Word};
pub(crate) use peers::Known;
pub(crate) use revision::{Catalog, Manifest, sum_of};
pub(crate) use rounds::{Rounds, Stamp};
pub(crate) use shares::Shares;
pub(crate) use votes::{Case, Cases, Quorum, Ruling, Stage, patience};
pub use votes::{Vote, votes_in_words};
pub use wire::{WIRE, WIRE_OLDEST};

use crate::fleet::{Accusation, Seat};
use crate::node::Mutation;
use crate::outcome::Finding;
#[cfg(not(test))]
use packet::pack;
use packet::{PacketError, ROOM, unpack};
use peers::{Other, Peers};
use wire::Tongues;

/// How often marks go out and slow things are looked at.
const BEAT: Duration = Duration::from_secs(1);
/// How soon a member that must be heard is called again.
const CALL_EVERY: Duration = Duration::from_millis(200);
/// A node that should join others goes on alone after this, if nobody answers.
const ALONE_AFTER: Duration = Duration::from_secs(5);
/// How often members of an earlier life that were not seen in this one are looked for: a cut that
/// heals is noticed by whoever booted within it, too.
const SEEK_EVERY: Duration = Duration::from_secs(2);
/// The same among more than a dozen members.
const SEEK_SLOWLY: Duration = Duration::from_secs(30);
/// Addresses that others may be at, as they are told while the node runs; of more only the
/// membership knows.
const JOIN_MAX: usize = 64;
/// A node among few that was silent for so long was cut off, perhaps: what others wrote meanwhile
/// it may not have heard. One that lives says something to each other every second.
const SILENCE: Duration = Duration::from_millis(2_500);
/// Accusations that are remembered at most.
const ACCUSATIONS_MAX: usize = 64;
/// How long the store waits for a dead member before it forgets traces.
const FRONTIER: Duration = Duration::from_mins(10);

/// What concerns the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Write these, then say that this mark is down.
    Persist(store::Mark, Vec<store::Record>),
    /// A target's owners are others now.
    Owners(Change),
    /// A key of the store has changed, and is on disk.
    Stored(Vec<u8>),
    /// This write is on two disks, or on the only one.
    Confirmed(Version),
    /// Somebody asks for an opinion.
    Ask(NodeId, Ask),
    /// A standby hears of counters.
    Streak(Streak),
    /// Somebody asks for an owner's account.
    Inquire(NodeId, Inquire),
    /// Somebody gives one.
    Tell(NodeId, Tell),
    /// This member lives again, or for the first time: what it can't probe is to be said anew.
    Seated(Arc<str>),
    /// This member is suspected (`true`), or not any more.
    Suspect(Arc<str>, bool),
    /// Who is a member, or what is known of them, has changed.
    Members,
    /// An owner has promised something newer.
    Marks,
    /// This node may own targets from now on.
    Ready,
    /// This member is out for good.
    Forgotten(NodeId),
    /// Another live node has this name; this one must end.
    Refused(Arc<str>, SocketAddr),
    /// The farewell has been heard.
    Left,
    /// For the log.
    Notice(Notice),
}

/// What people should be told, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A member says that another does not answer.
    Accused {
        /// Who is accused.
        member: Arc<str>,
        /// Who accuses.
        by: Arc<str>,
    },
    /// A member is believed to be in another state.
    Member {
        /// Who.
        member: Arc<str>,
        /// In which.
        state: &'static str,
        /// Its life.
        incarnation: u64,
    },
    /// More than a third of the members vanished at once: rather a broken network.
    MassLoss {
        /// How many.
        lost: usize,
        /// Of how many.
        of: usize,
    },
    /// The data directory is a copy of another node's, or the node has another name or address
    /// than when it was written: this node has an id of its own now.
    CopiedDisk {
        /// Under which name it was written.
        name: Arc<str>,
        /// At which address.
        address: SocketAddr,
    },
    /// The store writes under another name.
    Renamed(&'static str),
    /// Somebody speaks a wire version that this node does not read, and goes on doing so.
    TooNew {
        /// Where its packets come from.
        from: SocketAddr,
        /// Which version.
        version: u8,
        /// The newest that this node reads.
        ours: u8,
    },
    /// A config source's revision took effect.
    Revision {
        /// Its number.
        revision: u64,
        /// Which node wrote it.
        by: Arc<str>,
        /// Whether all of it had come; if not, it was waited for in vain.
        complete: bool,
    },
    /// The config file is an older revision of what the cluster has: the cluster's was kept.
    Adopted {
        /// The cluster's.
        revision: u64,
    },
    /// Its owner sees a target fail, and asks others.
    Asked {
        /// The target.
        target: Arc<str>,
        /// Counts this node's questions.
        case: u64,
        /// Who is asked.
        of: Vec<Arc<str>>,
    },
    /// This node was asked what it sees of a target, and said this.
    Opinion {
        /// The target.
        target: Arc<str>,
        /// As the owner counts its questions.
        case: u64,
        /// The owner.
        to: Arc<str>,
        /// What it sees.
        finding: Finding,
    },
    /// What came of a question.
    Ruled {
        /// The target.
        target: Arc<str>,
        /// Which question.
        case: u64,
        /// Down, unconfirmed or outvoted.
        ruling: &'static str,
        /// Who said what.
        votes: Vec<Vote>,
    },
    /// Nothing that this node checks answers here, and others see it answer: it gives its targets
    /// away for so long at least.
    Blind {
        /// How long.
        span: Duration,
    },
    /// It sees again, and takes targets.
    Sees,
    /// Owners that did not know of each other had written statuses side by side; now there is one.
    Collapsed {
        /// The target.
        target: Arc<str>,
    },
    /// Targets went from one node to another within a second.
    Moved {
        /// To this node, or from it.
        is_taken: bool,
        /// The other node.
        other: Arc<str>,
        /// Why they left their owner.
        why: &'static str,
        /// How many.
        count: usize,
        /// The first few of them.
        first: Vec<Arc<str>>,
    },
    /// An owner's promise for its targets of an interval is late, or in time again: what is shown of
    /// them is stale, or fresh again.
    Promise {
        /// Whose.
        owner: Arc<str>,
        /// Which targets.
        interval: Duration,
        /// How old it is.
        age: Duration,
        /// Late, or in time again.
        is_late: bool,
    },
    /// What this node promises of its own targets of an interval, each second.
    Promised {
        /// Which targets.
        interval: Duration,
        /// How long ago the last of them was checked.
        age: Duration,
        /// How many are left out.
        except: usize,
    },
    /// So many notices were left out in a second, because there were too many.
    Untold {
        /// How many.
        count: u32,
    },
}

/// What was dropped on its way in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Packets of a newer version.
    pub too_new: u64,
    /// Packets that are none.
    pub malformed: u64,
    /// Packets that bear this node's own id.
    pub from_myself: u64,
    /// Marks of more owners and intervals than are remembered.
    pub marks: u64,
    /// Questions for accounts: of readers here while too many waited, and of other nodes beyond
    /// what is answered in a second.
    pub inquiries: u64,
    /// Accounts that nobody waits for (any more), or that can't be read.
    pub accounts: u64,
    /// Members that were not taken in, or forgotten early, because there are too many.
    pub members: u64,
    /// Members that were not taken in because a living one bears their name.
    pub names: u64,
    /// What stores said that names more lives of nodes than are remembered.
    pub origins: u64,
}

/// One node among others.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) me: NodeId,
    pub(crate) name: Arc<str>,
    pub(crate) membership: Membership,
    pub(crate) store: Store,
    pub(crate) ownership: Ownership,
    pub(crate) marks: Marks,
    pub(crate) rounds: Rounds,
    pub(crate) shares: Shares,
    pub(crate) cases: Cases,
    pub(crate) quorum: Quorum,
    pub(crate) catalog: Catalog,
    peers: Peers,
    tongues: Tongues,
    rng: Rng,
    now: Time,
    began: Option<Time>,
    is_ready: bool,
    is_draining: bool,
    /// It reaches nothing, which others do: they have its targets meanwhile.
    is_blind: bool,
    /// Since when others must be heard for something else than a case.
    pub(crate) wanted: Option<Time>,
    has_company: bool,
    /// Where others may be; asked from the first tick on, when time begins.
    join: Vec<SocketAddr>,
    beat_at: Time,
    pass_at: Time,
    call_at: Time,
    seek_at: Time,
    is_leaving: bool,
    /// Who counts has changed since it was counted.
    is_count_old: bool,
    outbox: BTreeMap<SocketAddr, Vec<u8>>,
    /// Who was told something since the last beat.
    told: BTreeSet<SocketAddr>,
    effects: VecDeque<Effect>,
    /// Who is suspected, or not any more: told after the owners that follow from the same news, so
    /// that who has checked along for a suspect goes straight on as the owner.
    suspicions: VecDeque<Effect>,
    /// Members that ownership is to be told of, all that a packet names at once.
    joining: Vec<ownership::Member>,
    sends: VecDeque<(SocketAddr, Way, Vec<u8>)>,
    pub(crate) dropped: Dropped,
    /// The last ones that were heard of, the newest last.
    pub(crate) accusations: VecDeque<Accusation>,
    /// A rule that is broken on purpose.
    pub(crate) mutation: Option<Mutation>,
}

impl Cluster {
    /// A node as its disk knew it.
    pub(crate) fn new(
        config: &ClusterConfig,
        known: Known,
        records: Vec<store::Record>,
    ) -> Result<Self, ClusterError> {
        let me = known.me;
        let mut join = config.join.clone();
        join.extend(known.others.values().map(|other| other.address));
        join.retain(|address| *address != config.address);
        join.sort_unstable();
        join.dedup();
        let membership = Membership::new(config.membership(me, !join.is_empty()))?;
        let store = Store::new(config.store(me), records)?;
        let has_company = !join.is_empty();
        Ok(Self {
            me,
            name: Arc::clone(&config.name),
            membership,
            store,
            ownership: Ownership::new(),
            marks: Marks::default(),
            rounds: Rounds::default(),
            shares: Shares::default(),
            cases: Cases::default(),
            quorum: Quorum::default(),
            catalog: Catalog::default(),
            peers: Peers::new(known),
            tongues: Tongues::new(config.wire),
            rng: Rng::new(config.seed ^ 0x0c1a),
            now: Time::ZERO,
            began: None,
            is_ready: false,
            is_draining: false,
            is_blind: false,
            wanted: None,
            has_company,
            join,
            beat_at: Time::ZERO,
            pass_at: Time::ZERO,
            call_at: Time::ZERO,
            seek_at: Time::ZERO,
            is_leaving: false,
            is_count_old: false,
            outbox: BTreeMap::new(),
            told: BTreeSet::new(),
            effects: VecDeque::new(),
            suspicions: VecDeque::new(),
            joining: Vec::new(),
            sends: VecDeque::new(),
            dropped: Dropped::default(),
            accusations: VecDeque::new(),
            mutation: None,
        })
    }

    /// Time has passed: everything that is due is done.
    pub(crate) fn tick(&mut self, now: Time) {
        self.now = now;
        if self.began.is_none() {
            self.began = Some(now);
            self.beat_at = now;
            self.pass_at = now;
            self.seek_at = now + SEEK_EVERY;
            let join = membership::Input::Join(self.join.clone());
            self.membership.handle(now, join);
        }
        if self.membership.deadline().is_none_or(|due| due <= now) {
            self.membership.handle(now, membership::Input::Tick);
        }
        if self.store.deadline().is_none_or(|due| due <= now) {
            self.store.handle(now, store::Input::Tick);
        }
        self.drain();
        self.call_the_silent();
        if self.marks.has_news() && now >= self.pass_at {
            let is_small = self.membership.living() <= DIRECT_MAX + 1;
            self.pass_at = now + if is_small { BEAT } else { PASS_EVERY };
            self.pass_marks_on();
        }
        if now >= self.beat_at {
            self.beat_at = now + BEAT;
            self.settle_marks(Look::All);
            self.become_ready();
            self.seek();
            self.break_the_silence();
        }
    }

    /// Looks for members of an earlier life, and, while alone, wherever others may be.
    fn seek(&mut self) {
        if self.now < self.seek_at || self.is_leaving {
            return;
        }
        let living = self.membership.living();
        let is_small = living <= DIRECT_MAX;
        self.seek_at = self.now + if is_small { SEEK_EVERY } else { SEEK_SLOWLY };
        let mut addresses = self.peers.unseen_at(&self.membership);
        if living == 1 {
            addresses.extend(&self.join);
        }
        if !addresses.is_empty() {
            let join = membership::Input::Join(addresses);
            self.membership.handle(self.now, join);
            self.drain();
        }
    }

    /// A packet came.
    pub(crate) fn received(&mut self, now: Time, from: SocketAddr, way: Way, bytes: &[u8]) {
        self.now = now;
        let (sender, sections) = match unpack(self.tongues.newest(), bytes) {
            Ok(packet) => packet,
            Err(PacketError::TooNew(version)) => {
                self.too_new(from, version);
                return;
            }
            Err(PacketError::Malformed) => {
                self.dropped.malformed += 1;
                return;
            }
        };
        if sender == self.me {
            self.dropped.from_myself += 1;
            return;
        }
        self.tongues.understood(from);
        self.quorum.hear(sender, now);
        let silent = self.peers.hear(now, sender);
        if silent > SILENCE && self.membership.living() <= DIRECT_MAX + 1 {
            self.marks.doubt(sender);
            self.marks.trust(now, sender);
        }
        for section in sections {
            self.section(sender, from, way, section);
        }
        self.drain();
    }

    fn too_new(&mut self, from: SocketAddr, version: u8) {
        self.dropped.too_new += 1;
        if self.tongues.refuse(self.now, from) {
            let ours = self.tongues.newest();
            let notice = Notice::TooNew {
                from,
                version,
                ours,
            };
            self.effects.push_back(Effect::Notice(notice));
        }
    }

    fn section(&mut self, sender: NodeId, from: SocketAddr, way: Way, section: Section) {
        let now = self.now;
        match section {
            Section::Membership(bytes) => {
                let input = membership::Input::Received(from, way, bytes);
                self.membership.handle(now, input);
            }
            Section::Store(bytes) => {
                let input = store::Input::Received(sender, way, bytes);
                self.store.handle(now, input);
            }
            Section::Ask(ask) => self.effects.push_back(Effect::Ask(sender, ask)),
            Section::Word(word) => self.cases.word(now, sender, word),
            Section::Call => self.say(sender, &Section::Here),
            Section::Here => {}
            Section::Streak(streak) => self.effects.push_back(Effect::Streak(streak)),
            Section::Inquire(inquire) => {
                self.effects.push_back(Effect::Inquire(sender, inquire));
            }
            Section::Tell(tell) => self.effects.push_back(Effect::Tell(sender, tell)),
            Section::Marks(marks) => {
                for mark in marks.into_iter().filter(|mark| mark.owner != self.me) {
                    self.marks.hear(now, mark);
                }
                self.settle_marks(Look::New);
            }
        }
    }

    /// What concerns the node; drain until `None`.
    pub(crate) fn poll(&mut self) -> Option<Effect> {
        if self.effects.is_empty() {
            self.drain();
        }
        let first = self.effects.pop_front();
        if first.is_none() {
            // A load of many targets is over: its room is given back.
            self.effects.shrink_to(ROOM_KEPT);
        }
        first
    }

    /// What is to be sent; drain until `None`, after the effects.
    pub(crate) fn send(&mut self) -> Option<(SocketAddr, Way, Vec<u8>)> {
        if let Some(first) = self.sends.pop_front() {
            return Some(first);
        }
        let (to, sections) = self.outbox.pop_first()?;
        let wire = self.tongues.to(to);
        Some((to, Way::Datagram, pack(wire, self.me, &sections)))
    }

    /// When [`Self::tick`] is due.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let called = (!self.cases.is_empty()).then_some(self.call_at);
        let rooms = [self.membership.deadline(), self.store.deadline()];
        let pass = self.marks.has_news().then_some(self.pass_at);
        let own = [self.cases.deadline(), called, Some(self.beat_at), pass];
        rooms.into_iter().chain(own).flatten().min()
    }

    /// The disk has everything up to this mark.
    pub(crate) fn persisted(&mut self, now: Time, mark: store::Mark) {
        self.now = now;
        self.store.handle(now, store::Input::Persisted(mark));
        self.drain();
    }

    /// Writes to the store; the write's name.
    pub(crate) fn write(&mut self, now: Time, key: Vec<u8>, value: Option<Vec<u8>>) -> Version {
        let input = match value {
            Some(value) => store::Input::Put(key, value),
            None => store::Input::Delete(key),
        };
        self.store.handle(now, input);
        self.drain();
        self.store.version().expect("something was just written")
    }

    /// Sends a section to a node, if it is known where it is.
    pub(crate) fn say(&mut self, to: NodeId, section: &Section) {
        if let Some(member) = self.membership.member(to) {
            let address = member.address;
            self.put(address, Way::Datagram, section);
        }
    }

    /// The same for what may be too long for a datagram: it goes over a stream then.
    pub(crate) fn say_at_length(&mut self, to: NodeId, section: &Section) {
        if let Some(member) = self.membership.member(to) {
            let address = member.address;
            let is_long = section.encode().len() > ROOM;
            let way = if is_long { Way::Stream } else { Way::Datagram };
            self.put(address, way, section);
        }
    }

    fn put(&mut self, to: SocketAddr, way: Way, section: &Section) {
        let wire = self.tongues.to(to);
        let bytes = section.encode_for(wire);
        if way == Way::Stream {
            self.sends.push_back((to, way, pack(wire, self.me, &bytes)));
            return;
        }
        self.told.insert(to);
        let waiting = self.outbox.entry(to).or_default();
        if !waiting.is_empty() && waiting.len() + bytes.len() > ROOM {
            let full = std::mem::take(waiting);
            self.sends.push_back((to, way, pack(wire, self.me, &full)));
        }
        self.outbox.entry(to).or_default().extend(bytes);
    }

    /// The node of a name, if it lives.
    pub(crate) fn living(&self, name: &str) -> Option<NodeId> {
        self.peers.living(name)
    }

    /// Whether a member may be expected to answer: it is not suspected, and it was not asked in
    /// this case with nothing whatever coming from it since.
    pub(crate) fn may_answer(&self, id: NodeId, last: Option<&Case>) -> bool {
        let member = self.membership.member(id);
        let is_alive = member.is_some_and(|member| member.state == State::Alive);
        let silent = last.filter(|case| matches!(case.voters.get(&id), Some(None)));
        is_alive && silent.is_none_or(|case| self.peers.heard_from(id) > Some(case.opened))
    }

    /// When something last came from a node of this name, whether it lives or not.
    pub(crate) fn heard(&self, name: &str) -> Option<Time> {
        self.peers.heard(name)
    }

    /// When this process had its first tick.
    pub(crate) fn began(&self) -> Time {
        self.began.unwrap_or_default()
    }

    /// What people call a node.
    pub(crate) fn name_of(&self, id: NodeId) -> Arc<str> {
        let member = self.membership.member(id);
        member.map_or_else(|| id.to_string().into(), |member| Arc::clone(&member.name))
    }

    /// Whether this node may own targets.
    pub(crate) const fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// How many other nodes count: alive, suspect and dead ones.
    pub(crate) fn others(&self) -> usize {
        self.quorum.others()
    }

    /// What was dropped.
    pub(crate) const fn dropped(&self) -> Dropped {
        let counted = self.membership.counters();
        Dropped {
            members: counted.over_bounds,
            names: counted.names_refused,
            marks: self.marks.dropped(),
            origins: self.store.counters().crowded,
            ..self.dropped
        }
    }

    /// What is remembered of the members over a restart.
    pub(crate) fn remembered(&self) -> Vec<u8> {
        let home = Other {
            name: Arc::clone(&self.name),
            address: self.membership.me().address,
        };
        self.peers.encode(self.me, &home, self.membership.members())
    }

    /// Tells ownership something of a target.
    pub(crate) fn own_target(&mut self, now: Time, input: ownership::Input) {
        self.ownership.handle(now, input);
        self.drain();
    }

    /// How many of the living come before this node, in the order of their names.
    pub(crate) fn rank(&self) -> u32 {
        let before = self.ownership.members().filter(|m| m.name < self.name);
        u32::try_from(before.count()).unwrap_or(u32::MAX)
    }

    /// Whether this node is the first of the living: what only one should do is its work.
    pub(crate) fn is_first(&self) -> bool {
        self.is_ready && self.rank() == 0
    }

    /// Everybody who is known, by name.
    pub(crate) fn seats(&self) -> Vec<Seat> {
        let members = self.membership.members().map(|m| Seat {
            id: m.id,
            name: Arc::clone(&m.name),
            address: m.address,
            state: state_name(m.state),
            incarnation: m.incarnation.0,
            zone: Arc::clone(&m.meta.zone),
            weight: m.meta.weight,
            is_draining: m.meta.standing == Standing::Draining,
            owned: if self.living(&m.name) == Some(m.id) {
                self.ownership.owned(&m.name)
            } else {
                0
            },
            wire: m.meta.wire.1,
        });
        let remembered = self.peers.remembered().map(|other| Seat {
            id: NodeId(0),
            name: Arc::clone(&other.name),
            address: other.address,
            state: "dead",
            incarnation: 0,
            zone: "".into(),
            weight: 1,
            is_draining: false,
            owned: 0,
            wire: 0,
        });
        let mut seats: Vec<Seat> = members.chain(remembered).collect();
        seats.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        seats
    }

    /// Others may be found at these addresses too.
    pub(crate) fn join(&mut self, now: Time, mut addresses: Vec<SocketAddr>) {
        let mine = self.membership.me().address;
        addresses.retain(|address| *address != mine);
        self.has_company |= !addresses.is_empty();
        for address in &addresses {
            if self.join.len() < JOIN_MAX && !self.join.contains(address) {
                self.join.push(*address);
                self.is_count_old = true;
            }
        }
        self.membership
            .handle(now, membership::Input::Join(addresses));
        self.now = now;
        self.drain();
    }

    /// Gives all targets away; others take them while this node goes on.
    pub(crate) fn drain_away(&mut self, now: Time) {
        self.now = now;
        self.is_draining = true;
        self.describe();
        self.drain();
    }

    /// Gives all targets away until it sees again.
    pub(crate) fn blind(&mut self, now: Time, is_blind: bool) {
        self.now = now;
        self.is_blind = is_blind;
        self.describe();
        self.drain();
    }

    /// Whether anybody takes targets who does not give them away.
    pub(crate) fn is_anybody_usable(&self) -> bool {
        let usable = |m: &ownership::Member| m.standing == ownership::Standing::Usable;
        self.ownership.members().any(usable)
    }

    /// Says farewell.
    pub(crate) fn leave(&mut self, now: Time) {
        self.now = now;
        self.is_leaving = true;
        self.membership.handle(now, membership::Input::Leave);
        self.drain();
    }

    /// Takes the dead members of a name out for good; who that was.
    pub(crate) fn forget(&mut self, now: Time, name: &str) -> Vec<NodeId> {
        let is_it = |m: &&membership::Member| {
            &*m.name == name && matches!(m.state, State::Dead | State::Left)
        };
        let mut ids: Vec<NodeId> = self
            .membership
            .members()
            .filter(is_it)
            .map(|m| m.id)
            .collect();
        for &id in &ids {
            self.membership.handle(now, membership::Input::Forget(id));
        }
        self.now = now;
        self.drain();
        ids.extend(self.peers.forget(name));
        self.count_members();
        self.effects.push_back(Effect::Members);
        ids
    }

    /// Nobody writes under this origin any more: what it wrote is taken over.
    pub(crate) fn retire(&mut self, now: Time, origin: base::Origin) {
        self.now = now;
        self.store.handle(now, store::Input::Retire(origin));
        self.drain();
    }

    fn describe(&mut self) {
        let mut meta = self.membership.me().meta.clone();
        meta.standing = if self.is_ready && !self.is_draining && !self.is_blind {
            Standing::Usable
        } else {
            Standing::Draining
        };
        if meta != self.membership.me().meta {
            let input = membership::Input::Describe(meta);
            self.membership.handle(self.now, input);
        }
    }

    /// A node that has caught up with one other, or has waited long enough, takes part.
    fn become_ready(&mut self) {
        if self.is_ready {
            return;
        }
        let began = self.began.expect("the first tick has been");
        let has_met = self.membership.living() > 1 && self.store.has_met();
        let is_alone = self.now.since(began) >= ALONE_AFTER && self.membership.living() == 1;
        if has_met || is_alone || !self.has_company {
            self.is_ready = true;
            self.describe();
            self.drain();
            self.effects.push_back(Effect::Ready);
        }
    }

    /// Everything that the rooms want, until they want nothing more.
    fn drain(&mut self) {
        loop {
            if let Some(output) = self.membership.poll() {
                self.member_says(output);
            } else if !self.joining.is_empty() {
                self.seat_the_joining();
            } else if std::mem::take(&mut self.is_count_old) {
                // Once for all that a packet told of: a thousand may join with one.
                self.count_members();
            } else if let Some(output) = self.store.poll() {
                self.store_says(output);
            } else if let Some(ownership::Output::Changed(change)) = self.ownership.poll() {
                self.effects.push_back(Effect::Owners(change));
            } else if let Some(suspicion) = self.suspicions.pop_front() {
                self.effects.push_back(suspicion);
            } else {
                return;
            }
        }
    }

    fn store_says(&mut self, output: store::Output) {
        match output {
            store::Output::Send(to, way, bytes) => {
                if let Some(member) = self.membership.member(to) {
                    let address = member.address;
                    self.put(address, way, &Section::Store(bytes));
                }
            }
            store::Output::Persist(mark, records) => {
                self.effects.push_back(Effect::Persist(mark, records));
            }
            store::Output::Changed(key) => self.effects.push_back(Effect::Stored(key)),
            store::Output::Confirmed(version) => {
                self.effects.push_back(Effect::Confirmed(version));
            }
            store::Output::Renamed(_, why) => {
                self.effects.push_back(Effect::Notice(Notice::Renamed(why)));
            }
        }
    }

    fn member_says(&mut self, output: membership::Output) {
        use membership::Output;
        match output {
            Output::Send(to, way, bytes) => self.put(to, way, &Section::Membership(bytes)),
            Output::Changed(member) => self.member_changed(&member),
            Output::Forgotten(id) => {
                if let Some((name, bearer)) = self.peers.gone(id) {
                    self.seat(name, bearer);
                }
                self.marks.forget(id);
                self.is_count_old = true;
                self.effects.push_back(Effect::Members);
                self.effects.push_back(Effect::Forgotten(id));
            }
            Output::Refused { name, at, .. } => {
                self.effects.push_back(Effect::Refused(name, at));
            }
            Output::Left => self.effects.push_back(Effect::Left),
            Output::Accused { member, by, .. } => {
                let (member, by) = (self.name_of(member), self.name_of(by));
                self.remember_accusation(&member, &by);
                let notice = Notice::Accused { member, by };
                self.effects.push_back(Effect::Notice(notice));
            }
            Output::MassLoss { lost, of } => {
                let notice = Notice::MassLoss { lost, of };
                self.effects.push_back(Effect::Notice(notice));
            }
        }
    }

    fn remember_accusation(&mut self, member: &Arc<str>, by: &Arc<str>) {
        if self.accusations.len() == ACCUSATIONS_MAX {
            self.accusations.pop_front();
        }
        self.accusations.push_back(Accusation {
            member: Arc::clone(member),
            by: Arc::clone(by),
            at: self.now,
        });
        self.effects.push_back(Effect::Members);
    }

    fn member_changed(&mut self, member: &membership::Member) {
        let state = member.state;
        match state {
            State::Alive => self.marks.trust(self.now, member.id),
            _ if member.id == self.me => {}
            State::Suspect | State::Dead | State::Left => self.marks.doubt(member.id),
        }
        if matches!(state, State::Alive | State::Suspect) {
            let members = self.membership.known();
            let reads = member.meta.wire;
            self.tongues.learn(member.address, reads, members);
        }
        let change = self.peers.changed(self.now, member);
        if change.is_other || change.bearer == Some(member.id) {
            self.seat(Arc::clone(&member.name), change.bearer);
        }
        self.is_count_old = true;
        self.effects.push_back(Effect::Members);
        if change.state {
            let notice = Notice::Member {
                member: Arc::clone(&member.name),
                state: state_name(state),
                incarnation: member.incarnation.0,
            };
            self.effects.push_back(Effect::Notice(notice));
        }
    }

    /// Tells ownership who bears a name now, if anybody does.
    fn seat(&mut self, name: Arc<str>, bearer: Option<NodeId>) {
        let member = bearer.and_then(|id| self.membership.member(id));
        let is_suspect = member.is_some_and(|member| member.state == State::Suspect);
        // Whoever bore the name before may have been suspected to the last.
        let suspicion = Effect::Suspect(Arc::clone(&name), is_suspect);
        self.suspicions.push_back(suspicion);
        if member.is_some() {
            self.effects.push_back(Effect::Seated(Arc::clone(&name)));
        }
        match member {
            Some(member) => self.joining.push(ownership::Member {
                name,
                zone: Arc::clone(&member.meta.zone),
                weight: u32::from(member.meta.weight),
                standing: match member.meta.standing {
                    Standing::Usable => ownership::Standing::Usable,
                    Standing::Draining => ownership::Standing::Draining,
                },
            }),
            None => {
                self.seat_the_joining();
                self.own(ownership::Input::Left(name));
            }
        }
    }

    fn seat_the_joining(&mut self) {
        let joining = std::mem::take(&mut self.joining);
        self.own(ownership::Input::AllJoined(joining));
    }

    fn own(&mut self, input: ownership::Input) {
        self.ownership.handle(self.now, input);
    }

    /// Tells the quorum and the store who counts.
    fn count_members(&mut self) {
        // A node that lost its disk is one node, not two.
        let counts = |m: &&membership::Member| {
            let is_over = m.state == State::Dead && self.peers.is_succeeded(m);
            m.state != State::Left && !is_over
        };
        let known: Vec<NodeId> = self
            .membership
            .members()
            .filter(counts)
            .map(|m| m.id)
            .collect();
        let unseen = self.peers.unseen(&self.membership);
        let is_alone = known.iter().all(|id| *id == self.me);
        let unmet = if self.peers.has_met_nobody(is_alone) {
            self.join.len()
        } else {
            0
        };
        self.quorum
            .count(self.me, known.into_iter().chain(unseen), unmet);
        let (live, frontier) = self
            .peers
            .whom(self.me, self.now, &self.membership, FRONTIER);
        if self.peers.are_others(&live, &frontier) {
            let input = store::Input::Peers { live, frontier };
            self.store.handle(self.now, input);
        }
    }

    /// Members whose word is needed and that are silent are asked whether they are there.
    fn call_the_silent(&mut self) {
        let Some(since) = self.cases.oldest_needed().max(self.wanted) else {
            return;
        };
        if self.now < self.call_at {
            return;
        }
        self.call_at = self.now + CALL_EVERY;
        if self.quorum.is_met(since, 0) {
            return;
        }
        let silent: Vec<NodeId> = self.quorum.silent(since).collect();
        for id in silent {
            self.say(id, &Section::Call);
        }
    }

    fn settle_marks(&mut self, look: Look) {
        let (store, shares, membership) = (&self.store, &self.shares, &self.membership);
        // What has come and is not on disk is not shown yet either.
        let mutation = self.mutation;
        let is_seen = |version: Version| match mutation {
            Some(Mutation::MarkSkipsGaps) => {
                let mut seen = store.claimed().seen.into_iter();
                seen.any(|(origin, seen)| origin == version.origin && seen.has(version.seq))
            }
            Some(Mutation::MarkBeforeShown) => store.has_all_up_to(version),
            _ => store.claims_all_up_to(version),
        };
        let epoch_of = |owner, interval, sum| match mutation {
            Some(Mutation::MarkOfOthers) => Some(u32::MAX),
            _ => shares.epoch(&membership.member(owner)?.name, interval, sum),
        };
        if self.marks.settle(look, is_seen, epoch_of) {
            self.effects.push_back(Effect::Marks);
        }
    }

    /// Among few, whoever was told nothing for a second hears at least that this node is there.
    fn break_the_silence(&mut self) {
        let told = std::mem::take(&mut self.told);
        if self.membership.living() > DIRECT_MAX + 1 || self.is_leaving {
            return;
        }
        for id in self.peers.others(self.me, &self.membership) {
            let member = self.membership.member(id);
            if member.is_some_and(|member| !told.contains(&member.address)) {
                self.say(id, &Section::Here);
            }
        }
    }

    /// New marks go on: to all where they are few, else to some at random.
    fn pass_marks_on(&mut self) {
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

    /// A random number.
    pub(crate) fn draw(&mut self) -> u64 {
        self.rng.word()
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

/// What a queue keeps of its room once it is empty.
const ROOM_KEPT: usize = 64;

/// Among so many others, an owner tells all of them.
const DIRECT_MAX: usize = 12;
/// Beyond that, so many at a time, and each mark so often by each node.
const FAN_OUT: usize = 2;
const COPIES: u8 = 3;
/// So many at once and to each: two or three datagrams.
const MARKS_AT_ONCE: usize = 64;
/// How often then: a dozen hops must not take a dozen seconds.
const PASS_EVERY: Duration = Duration::from_millis(250);

/// A member's state in people's words.
pub(crate) const fn state_name(state: State) -> &'static str {
    match state {
        State::Alive => "alive",
        State::Suspect => "suspect",
        State::Dead => "dead",
        State::Left => "left",
    }
}
