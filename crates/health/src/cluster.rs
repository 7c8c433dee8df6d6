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
mod members;
mod notice;
mod packet;
mod peers;
mod promises;
mod revision;
mod rounds;
mod shares;
mod votes;
mod wire;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use base::{Duration, NodeId, Rng, Time, Version, Way};
use membership::{Membership, Standing, State};
use ownership::Ownership;
use store::Store;

pub use config::{ClusterConfig, ClusterError};
pub(crate) use keys::{
    Kind, Lives, StatusEntry, definition_key, gone_key, kind_of, manifest_key, origins_key,
    status_key, unable_key,
};
use marks::Look;
pub(crate) use marks::Marks;
pub(crate) use notice::Effect;
pub use notice::{Dropped, Notice};
pub use packet::contents;
#[cfg(test)]
pub(crate) use packet::pack;
pub(crate) use packet::{Ask, Inquire, Mark, Section, Streak, Tell, Word};
pub(crate) use peers::Known;
pub(crate) use promises::Promise;
pub(crate) use revision::{Catalog, Manifest, sum_of};
pub(crate) use rounds::{Rounds, Stamp};
pub(crate) use shares::Shares;
pub(crate) use votes::{Case, Cases, Quorum, Ruling, Stage, patience};
pub use votes::{Vote, votes_in_words};
pub use wire::{WIRE, WIRE_OLDEST};

use crate::fleet::{Accusation, Seat};
use crate::node::Mutation;
use members::SEEK_EVERY;
#[cfg(not(test))]
use packet::pack;
use packet::{PacketError, ROOM, unpack};
use peers::{Other, Peers};
use wire::Tongues;

/// How often marks go out and slow things are looked at.
const BEAT: Duration = Duration::from_secs(1);
/// Who does so that much too late has stood still, or could not follow.
const STOOD_STILL: Duration = Duration::from_millis(100);
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
    /// What members have found in former lives, as they say: see [`Lives`].
    pub(crate) found: BTreeMap<NodeId, Vec<Version>>,
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
    /// When this process last had a turn; and for how long it then had stood still, until when what
    /// comes may have waited for it.
    turned: Time,
    stood: (Time, Duration),
    pass_at: Time,
    call_at: Time,
    seek_at: Time,
    is_leaving: bool,
    /// Who counts has changed since it was counted.
    is_count_old: bool,
    outbox: BTreeMap<SocketAddr, Vec<u8>>,
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
    /// Where each was first, if that rule is [`Mutation::FormerAddress`].
    former: BTreeMap<Arc<str>, SocketAddr>,
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
            found: BTreeMap::new(),
            cases: Cases::beginning_at(Rng::new(config.seed ^ 0xca5e).word() >> 32),
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
            turned: Time::ZERO,
            stood: (Time::ZERO, Duration::ZERO),
            pass_at: Time::ZERO,
            call_at: Time::ZERO,
            seek_at: Time::ZERO,
            is_leaving: false,
            is_count_old: false,
            outbox: BTreeMap::new(),
            effects: VecDeque::new(),
            suspicions: VecDeque::new(),
            joining: Vec::new(),
            sends: VecDeque::new(),
            dropped: Dropped::default(),
            accusations: VecDeque::new(),
            mutation: None,
            former: BTreeMap::new(),
        })
    }

    /// Time has passed: everything that is due is done.
    pub(crate) fn tick(&mut self, now: Time) {
        self.turn(now);
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
        }
    }

    /// Whether this process stood still, or could not follow, until now: what it reads then may have
    /// lain in the socket for as long.
    fn turn(&mut self, now: Time) {
        let away = now.since(std::mem::replace(&mut self.turned, now));
        let is_late = self.began.is_some() && now > self.beat_at + STOOD_STILL;
        if is_late && away > STOOD_STILL {
            self.stood = (now + BEAT, away);
        }
    }

    /// A packet came.
    pub(crate) fn received(&mut self, now: Time, from: SocketAddr, way: Way, bytes: &[u8]) {
        self.turn(now);
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
        if self.membership.member(sender).is_none() {
            // Another node than the one that was known there, perhaps of another release.
            self.tongues.forget(from);
        }
        self.quorum.hear(sender, now);
        self.peers.hear(now, sender);
        for section in sections {
            self.section(sender, from, way, section);
        }
        self.drain();
    }

    fn too_new(&mut self, from: SocketAddr, version: u8) {
        self.dropped.too_new += 1;
        // It takes this node for its forerunner at this address, and speaks as to that one until it
        // hears otherwise.
        if self.has_company && self.membership.living() == 1 {
            self.find_at(from);
        }
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
                let (until, span) = self.stood;
                let waited = if now < until { span } else { Duration::ZERO };
                for mut mark in marks.into_iter().filter(|mark| mark.owner != self.me) {
                    mark.age += waited;
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
        if let Some(address) = self.address_of(to) {
            self.put(address, Way::Datagram, section);
        }
    }

    /// The same for what may be too long for a datagram: it goes over a stream then.
    pub(crate) fn say_at_length(&mut self, to: NodeId, section: &Section) {
        if let Some(address) = self.address_of(to) {
            let is_long = section.encode().len() > ROOM;
            let way = if is_long { Way::Stream } else { Way::Datagram };
            self.put(address, way, section);
        }
    }

    /// Where a node is, if that is known.
    fn address_of(&self, id: NodeId) -> Option<SocketAddr> {
        let member = self.membership.member(id)?;
        let former = self.former.get(&member.name);
        Some(former.copied().unwrap_or(member.address))
    }

    fn put(&mut self, to: SocketAddr, way: Way, section: &Section) {
        let wire = self.tongues.to(to);
        let bytes = section.encode_for(wire);
        if way == Way::Stream {
            self.sends.push_back((to, way, pack(wire, self.me, &bytes)));
            return;
        }
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

    /// Whether any life of this name is known, if only as dead.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.peers.knows(name)
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

    /// Nobody writes under this origin any more: what it wrote is taken over.
    pub(crate) fn retire(&mut self, now: Time, origin: base::Origin) {
        self.now = now;
        self.store.handle(now, store::Input::Retire(origin));
        self.drain();
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
                if let Some(address) = self.address_of(to) {
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

    /// A random number.
    pub(crate) fn draw(&mut self) -> u64 {
        self.rng.word()
    }
}

/// What a queue keeps of its room once it is empty.
const ROOM_KEPT: usize = 64;

/// Among so many others, an owner tells all of them.
const DIRECT_MAX: usize = 12;
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
