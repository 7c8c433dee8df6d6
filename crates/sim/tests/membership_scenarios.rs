//! Single stories of a cluster's life, each on a few seeds.

use std::collections::BTreeSet;

use ::membership::{Member, Meta, State};
use base::{Duration, NodeId, Time};
use sim::cluster::{DiskAfter, Fault, Happened, Host, Link, Plan, Step, World};
use sim::membership::{Call, Peer, Word};

const MINUTE: Duration = Duration::from_secs(60);

/// So many nodes, each of which is told of host 0 (and that one of host 1) when it boots.
struct Story {
    world: World<Peer>,
    words: Vec<(Time, Host, Word)>,
}

impl Story {
    fn new(seed: u64, hosts: u32, link: Link) -> Self {
        let mut plan = Plan::calm(seed, hosts, MINUTE * 60);
        plan.link = link;
        Self {
            world: World::new(plan, |boot| Peer::new(&boot, None)),
            words: Vec::new(),
        }
    }

    fn until(&mut self, seconds: u64) -> &mut Self {
        while self.world.now() < Time(seconds * 1_000_000) {
            let Some(step) = self.world.step() else {
                break;
            };
            self.follow(step);
        }
        self
    }

    fn follow(&mut self, step: Step<Peer>) {
        let Some(host) = step.host else {
            return;
        };
        if step.what == Happened::Booted {
            let other = Host(u32::from(host == Host(0)));
            let join = Call::Join(vec![self.world.address(other)]);
            self.world.call_at(step.at, host, join);
        }
        for word in step.words {
            if matches!(word, Word::Refused(_) | Word::Left) {
                let stop = Fault::Crash(host, Duration::from_secs(3), DiskAfter::Kept);
                self.world.fault_at(step.at, stop);
            }
            self.words.push((step.at, host, word));
        }
    }

    fn fault(&mut self, fault: Fault) -> &mut Self {
        self.world.fault_at(self.world.now(), fault);
        self
    }

    fn call(&mut self, host: u32, call: Call) -> &mut Self {
        self.world.call_at(self.world.now(), Host(host), call);
        self
    }

    fn id(&self, host: u32) -> NodeId {
        self.world.node(Host(host)).expect("it runs").id()
    }

    fn seen(&self, at: u32, id: NodeId) -> Option<Member> {
        let core = self.world.node(Host(at)).and_then(Peer::core)?;
        core.members().find(|member| member.id == id).cloned()
    }

    /// What each running node but its bearer holds an identity for.
    fn states(&self, id: NodeId) -> BTreeSet<Option<State>> {
        let others = self.world.nodes().filter(|(_, peer)| peer.id() != id);
        let seen = others.map(|(host, _)| self.seen(host.0, id));
        seen.map(|member| member.map(|m| m.state)).collect()
    }

    fn said(&self, wanted: impl Fn(&Word) -> bool) -> usize {
        self.words.iter().filter(|(.., word)| wanted(word)).count()
    }
}

fn only(state: State) -> BTreeSet<Option<State>> {
    BTreeSet::from([Some(state)])
}

#[test]
fn who_says_farewell_is_left_everywhere_and_dead_nowhere() {
    for seed in 0..30 {
        let mut story = Story::new(seed, 5, Link::lossy(100));
        story.until(10);
        let gone = story.id(3);
        story.call(3, Call::Leave).until(12);
        assert_eq!(story.states(gone), only(State::Left), "seed {seed}");
        let dead = |word: &Word| matches!(word, Word::Changed(m) if m.state == State::Dead);
        assert_eq!(story.said(dead), 0, "seed {seed}");
        story.until(30);
        assert_eq!(story.states(gone), only(State::Alive), "seed {seed}: back");
    }
}

#[test]
fn a_new_description_and_a_new_address_reach_everybody() {
    for seed in 0..30 {
        let mut story = Story::new(seed, 5, Link::lossy(100));
        story.until(10);
        let id = story.id(2);
        let meta = Meta {
            weight: 7,
            ..story.seen(2, id).expect("itself").meta
        };
        let call = Call::Describe(meta.clone());
        story.call(2, call).fault(Fault::Move(Host(2))).until(13);
        let there = story.world.address(Host(2));
        for at in 0..5 {
            let member = story.seen(at, id).expect("known");
            assert_eq!(
                (&member.meta, member.address),
                (&meta, there),
                "seed {seed} at {at}"
            );
        }
    }
}

#[test]
fn the_newcomer_of_two_that_bear_one_name_is_refused() {
    for seed in 0..30 {
        let plan = Plan::calm(seed, 4, MINUTE);
        let make = |boot: sim::cluster::Boot| {
            let name = if boot.host == Host(3) { 1 } else { boot.host.0 };
            Peer::named(&boot, format!("n{name}").into(), None)
        };
        let mut world = World::empty(plan, make);
        for host in 0..3 {
            world.boot_at(Time(0), Host(host));
        }
        world.boot_at(Time(10_000_000), Host(3));
        let words = Vec::new();
        let mut story = Story { world, words };
        story.until(30);
        let refused: BTreeSet<Host> = story
            .words
            .iter()
            .filter(|(.., word)| matches!(word, Word::Refused(_)))
            .map(|(_, host, _)| *host)
            .collect();
        assert_eq!(refused, BTreeSet::from([Host(3)]), "seed {seed}");
        let holder = story.id(1);
        assert_eq!(story.states(holder), only(State::Alive), "seed {seed}");
    }
}

#[test]
fn a_node_that_lost_its_disk_takes_its_old_name_once_the_old_one_is_dead() {
    for seed in 0..30 {
        let mut story = Story::new(seed, 5, Link::lan());
        story.until(10);
        let old = story.id(4);
        let wiped = Fault::Crash(Host(4), Duration::from_secs(1), DiskAfter::Wiped);
        story.fault(wiped).until(40);
        let new = story.id(4);
        assert_ne!(old, new, "seed {seed}");
        assert_eq!(story.states(new), only(State::Alive), "seed {seed}");
        let still = story.states(old);
        let living = still.contains(&Some(State::Alive)) || still.contains(&Some(State::Suspect));
        assert!(!living, "seed {seed}: {still:?}");
    }
}

#[test]
fn a_forgotten_member_stays_forgotten() {
    for seed in 0..30 {
        let mut story = Story::new(seed, 5, Link::lossy(100));
        story.until(10);
        let gone = story.id(4);
        let for_good = Fault::Crash(Host(4), MINUTE * 600, DiskAfter::Kept);
        story.fault(for_good).until(40);
        assert_eq!(story.states(gone), only(State::Dead), "seed {seed}");
        story.call(1, Call::Forget(gone)).until(60);
        assert_eq!(story.states(gone), BTreeSet::from([None]), "seed {seed}");
    }
}

#[test]
fn a_dead_member_is_remembered_for_a_day_and_no_longer() {
    let mut story = Story::new(1, 3, Link::lan());
    let mut plan = Plan::calm(1, 3, MINUTE * 60 * 26);
    plan.link = Link::lan();
    story.world = World::new(plan, |boot| Peer::new(&boot, None));
    story.until(10);
    let gone = story.id(2);
    let for_good = Fault::Crash(Host(2), MINUTE * 60 * 100, DiskAfter::Kept);
    story.fault(for_good).until(23 * 3_600);
    assert_eq!(story.states(gone), only(State::Dead));
    story.until(25 * 3_600);
    assert_eq!(story.states(gone), BTreeSet::from([None]));
}

#[test]
fn all_restart_at_once_and_find_each_other() {
    for seed in 0..30 {
        let mut story = Story::new(seed, 12, Link::lan());
        story.until(10);
        story
            .fault(Fault::CrashAll(Duration::from_secs(5)))
            .until(25);
        for host in 0..12 {
            let id = story.id(host);
            assert_eq!(story.states(id), only(State::Alive), "seed {seed}");
        }
    }
}
