//! One process of the world: the membership core, its identity on the disk, and nothing else.
//!
//! As the agent does it: the identity is made once and written down before the node speaks; a
//! disk that bears another node's name was copied and counts as empty; the incarnation starts
//! from the wall time of the boot. Does not know whom to join: the run tells it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use ::membership::{Config, Incarnation, Input, Member, Membership, Meta, Mutation, Output, State};
use base::{Duration, NodeId, Rng, Time, Way};

use crate::cluster::{Boot, Effect, Host, Node};

/// What a run asks of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Find the others at these addresses.
    Join(Vec<SocketAddr>),
    /// Say farewell.
    Leave,
    /// Describe yourself so from now on.
    Describe(Meta),
    /// Take the dead member that lived on this host out for good.
    Forget(NodeId),
}

/// What a node says to those who check promises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// It has an identity and speaks from now on; what it says of itself at first.
    Began(Member),
    /// It believes this of a member now.
    Changed(Member),
    /// It remembers this member no more.
    Forgotten(NodeId),
    /// Its name is taken; it must end.
    Refused(NodeId),
    /// Its farewell has been heard; it ends.
    Left,
    /// The second said that the first does not answer, in the first's present life.
    Accused(NodeId, NodeId, Incarnation),
    /// So many of so many died at once.
    MassLoss(usize, usize),
}

/// A node that has been broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// One of the core's own defects.
    Core(Mutation),
    /// Every life starts from the same incarnation.
    LostIncarnation,
    /// Who leaves goes without a word.
    Abrupt,
    /// Suspicions are not said.
    Tacit,
    /// Every suspicion is said to be over at once, in the same incarnation.
    Fickle,
    /// Members are probed once in half a minute.
    Sluggish,
    /// Datagrams may have four times their size.
    Bulky,
    /// Something is always due.
    Restless,
}

/// Where the identity lies on the disk.
const IDENTITY: &[u8] = b"identity";

/// One process.
#[derive(Debug)]
pub struct Peer {
    config: Config,
    core: Option<Membership>,
    /// What came before the identity was down.
    early: Vec<Input>,
    effects: VecDeque<Effect<Word>>,
    largest: [usize; 2],
    flaw: Option<Flaw>,
}

impl Peer {
    /// The process that a boot starts, broken as `flaw` says.
    #[must_use]
    pub fn new(boot: &Boot, flaw: Option<Flaw>) -> Self {
        Self::named(boot, name_of(boot.host), flaw)
    }

    /// The same under a name that somebody chose, maybe twice.
    #[must_use]
    pub fn named(boot: &Boot, name: Arc<str>, flaw: Option<Flaw>) -> Self {
        let known = boot.disk.iter().find(|(key, _)| key == IDENTITY);
        let id = known.and_then(|(_, value)| read_identity(value, &name));
        let lost = flaw == Some(Flaw::LostIncarnation);
        let me = Member {
            id: id.unwrap_or_else(|| NodeId(Rng::new(boot.seed ^ 0x1d).word())),
            name,
            address: boot.address,
            state: State::Alive,
            incarnation: Incarnation(if lost { 1 } else { boot.wall_ms }),
            meta: meta_of(boot.host),
        };
        let mut config = Config::lan(me, boot.seed);
        match flaw {
            Some(Flaw::Core(mutation)) => config.mutation = mutation,
            Some(Flaw::Sluggish) => config.probe_every = Duration::from_secs(30),
            Some(Flaw::Bulky) => config.packet_size = 4 * PACKET_SIZE,
            _ => {}
        }
        let mut peer = Self {
            config,
            core: None,
            early: Vec::new(),
            effects: VecDeque::new(),
            largest: [0; 2],
            flaw,
        };
        if id.is_some() {
            peer.begin(boot.now);
        } else {
            let value = write_identity(&peer.config.me);
            let write = (IDENTITY.to_vec(), Some(value));
            peer.effects.push_back(Effect::Persist(1, vec![write]));
        }
        peer
    }

    /// The core, once the node has an identity.
    #[must_use]
    pub const fn core(&self) -> Option<&Membership> {
        self.core.as_ref()
    }

    /// Which member it is.
    #[must_use]
    pub const fn id(&self) -> NodeId {
        self.config.me.id
    }

    /// The bytes of the largest datagram and of the largest stream message that it sent.
    #[must_use]
    pub const fn largest(&self) -> [usize; 2] {
        self.largest
    }

    fn begin(&mut self, now: Time) {
        let core = Membership::new(self.config.clone()).expect("the settings are in their bounds");
        self.core = Some(core);
        let me = self.config.me.clone();
        self.effects.push_back(Effect::Say(Word::Began(me)));
        for input in std::mem::take(&mut self.early) {
            self.handle(now, input);
        }
    }

    fn handle(&mut self, now: Time, input: Input) {
        match &mut self.core {
            Some(core) => core.handle(now, input),
            None if matches!(input, Input::Received(..)) => {}
            None => self.early.push(input),
        }
    }

    fn measure(&mut self, way: Way, len: usize) {
        let largest = match way {
            Way::Datagram => &mut self.largest[0],
            Way::Stream => &mut self.largest[1],
        };
        *largest = len.max(*largest);
    }
}

impl Node for Peer {
    type Call = Call;
    type Word = Word;

    fn received(&mut self, now: Time, from: SocketAddr, way: Way, bytes: Vec<u8>) {
        self.handle(now, Input::Received(from, way, bytes));
    }

    fn call(&mut self, now: Time, call: Call) {
        if call == Call::Leave && self.flaw == Some(Flaw::Abrupt) {
            self.core = None;
            self.effects.push_back(Effect::Say(Word::Left));
            return;
        }
        let input = match call {
            Call::Join(addresses) => Input::Join(addresses),
            Call::Leave => Input::Leave,
            Call::Describe(meta) => Input::Describe(meta),
            Call::Forget(id) => Input::Forget(id),
        };
        self.handle(now, input);
    }

    fn persisted(&mut self, now: Time, _mark: u64) {
        if self.core.is_none() {
            self.begin(now);
        }
    }

    fn moved(&mut self, now: Time, to: SocketAddr) {
        if self.core.is_none() {
            self.config.me.address = to;
        }
        self.handle(now, Input::Moved(to));
    }

    fn tick(&mut self, now: Time) {
        self.handle(now, Input::Tick);
    }

    fn deadline(&self) -> Option<Time> {
        let due = self.core.as_ref()?.deadline()?;
        let restless = self.flaw == Some(Flaw::Restless);
        Some(if restless { Time::ZERO } else { due })
    }

    fn poll(&mut self) -> Option<Effect<Word>> {
        if let Some(effect) = self.effects.pop_front() {
            return Some(effect);
        }
        let output = self.core.as_mut()?.poll()?;
        let suspects = matches!(&output, Output::Changed(m) if m.state == State::Suspect);
        if suspects && self.flaw == Some(Flaw::Tacit) {
            return self.poll();
        }
        if suspects
            && self.flaw == Some(Flaw::Fickle)
            && let Output::Changed(member) = &output
        {
            let mut member = member.clone();
            member.state = State::Alive;
            self.effects.push_back(Effect::Say(Word::Changed(member)));
        }
        Some(match output {
            Output::Send(to, way, bytes) => {
                self.measure(way, bytes.len());
                Effect::Send(to, way, bytes)
            }
            Output::Changed(member) => Effect::Say(Word::Changed(member)),
            Output::Forgotten(id) => Effect::Say(Word::Forgotten(id)),
            Output::Refused { holder, .. } => Effect::Say(Word::Refused(holder)),
            Output::Left => Effect::Say(Word::Left),
            Output::Accused {
                member,
                by,
                incarnation,
            } => Effect::Say(Word::Accused(member, by, incarnation)),
            Output::MassLoss { lost, of } => Effect::Say(Word::MassLoss(lost, of)),
        })
    }
}

/// What one datagram may carry.
pub(crate) const PACKET_SIZE: usize = 1_200;

/// What people call the node of a host.
pub(crate) fn name_of(host: Host) -> Arc<str> {
    format!("n{}", host.0).into()
}

/// How a host's node describes itself at first.
pub(crate) fn meta_of(host: Host) -> Meta {
    Meta {
        zone: ["a", "b", "c"][host.index() % 3].into(),
        weight: 1,
        wire: (1, 1),
        ..Meta::default()
    }
}

fn write_identity(me: &Member) -> Vec<u8> {
    let mut value = me.id.0.to_be_bytes().to_vec();
    value.extend_from_slice(me.name.as_bytes());
    value
}

/// The identity on a disk that was not copied from another node.
fn read_identity(value: &[u8], name: &str) -> Option<NodeId> {
    let (id, bearer) = value.split_first_chunk::<8>()?;
    (bearer == name.as_bytes()).then(|| NodeId(u64::from_be_bytes(*id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot(host: u32, disk: Vec<(Vec<u8>, Vec<u8>)>, seed: u64) -> Boot {
        Boot {
            host: Host(host),
            life: 0,
            now: Time(0),
            wall_ms: 1_700_000_000_000,
            skew_ms: 0,
            drift: 0,
            address: Host(host).address(0),
            seed,
            disk,
        }
    }

    fn written_by(peer: &mut Peer) -> Vec<(Vec<u8>, Vec<u8>)> {
        let Some(Effect::Persist(_, writes)) = peer.poll() else {
            panic!("a fresh node writes first");
        };
        let full = |(key, value): (_, Option<Vec<u8>>)| (key, value.expect("a value"));
        writes.into_iter().map(full).collect()
    }

    #[test]
    fn a_fresh_node_is_silent_until_its_identity_is_down() {
        let mut peer = Peer::new(&boot(1, Vec::new(), 7), None);
        written_by(&mut peer);
        peer.call(Time(5), Call::Join(vec![Host(0).address(0)]));
        assert_eq!(peer.poll(), None);
        peer.persisted(Time(10), 1);
        assert!(matches!(peer.poll(), Some(Effect::Say(Word::Began(_)))));
    }

    #[test]
    fn an_identity_is_kept_across_boots_and_a_copied_one_is_not_taken() {
        let mut first = Peer::new(&boot(1, Vec::new(), 7), None);
        let disk = written_by(&mut first);
        let again = Peer::new(&boot(1, disk.clone(), 8), None);
        assert_eq!(again.id(), first.id());
        let copied = Peer::new(&boot(2, disk, 9), None);
        assert_ne!(copied.id(), first.id());
    }
}
