//! A small node that says hello to everybody once a second and writes down whom it heard.

use super::super::{Link, Mix};
use super::*;

struct Greeter {
    me: SocketAddr,
    peers: Vec<SocketAddr>,
    due: Time,
    mark: u64,
    effects: Vec<Effect<String>>,
}

impl Greeter {
    fn new(boot: &Boot, hosts: u32) -> Self {
        Self {
            me: boot.address,
            peers: (0..hosts).map(|n| Host(n).address(0)).collect(),
            due: boot.now + Duration::from_secs(1),
            mark: 0,
            effects: vec![Effect::Say(format!("booted with {}", boot.disk.len()))],
        }
    }
}

impl Node for Greeter {
    type Call = u8;
    type Word = String;

    fn received(&mut self, _: Time, from: SocketAddr, way: Way, bytes: Vec<u8>) {
        self.mark += 1;
        let heard = vec![(from.to_string().into_bytes(), Some(bytes))];
        self.effects.push(Effect::Persist(self.mark, heard));
        self.effects
            .push(Effect::Say(format!("{way:?} from {from}")));
    }

    fn call(&mut self, _: Time, call: u8) {
        for &peer in self.peers.iter().filter(|peer| **peer != self.me) {
            self.effects
                .push(Effect::Send(peer, Way::Stream, vec![call]));
        }
    }

    fn persisted(&mut self, _: Time, mark: u64) {
        assert!(mark <= self.mark);
        self.effects.push(Effect::Say(format!("down {mark}")));
    }

    fn moved(&mut self, _: Time, to: SocketAddr) {
        self.me = to;
    }

    fn tick(&mut self, now: Time) {
        assert!(now >= self.due, "woken before the deadline");
        self.due = now + Duration::from_secs(1);
        for &peer in self.peers.iter().filter(|peer| **peer != self.me) {
            self.effects
                .push(Effect::Send(peer, Way::Datagram, vec![1; 20]));
        }
    }

    fn deadline(&self) -> Option<Time> {
        Some(self.due)
    }

    fn poll(&mut self) -> Option<Effect<String>> {
        (!self.effects.is_empty()).then(|| self.effects.remove(0))
    }
}

fn world(plan: Plan) -> World<Greeter> {
    let hosts = plan.hosts;
    World::new(plan, move |boot| Greeter::new(&boot, hosts))
}

fn course(plan: Plan) -> Vec<String> {
    let mut world = world(plan);
    let mut lines = Vec::new();
    while let Some(step) = world.step() {
        lines.push(format!(
            "{} {:?} {:?} {:?}",
            step.at, step.host, step.what, step.words
        ));
    }
    lines
}

#[test]
fn the_same_seed_gives_the_same_course() {
    for seed in 0..30 {
        let plan = || {
            let (stormy, calm) = (Duration::from_secs(20), Duration::from_secs(5));
            Plan::draw(seed, 4, Mix::all(), stormy, calm)
        };
        assert_eq!(course(plan()), course(plan()), "seed {seed}");
    }
}

#[test]
fn everybody_hears_everybody_again_once_it_is_calm() {
    for seed in 0..100 {
        let (stormy, calm) = (Duration::from_secs(20), Duration::from_secs(5));
        let mut plan = Plan::draw(seed, 4, Mix::all(), stormy, calm);
        plan.faults
            .retain(|(_, fault)| !matches!(fault, Fault::Move(_)));
        let calm_from = plan.calm_from;
        let mut world = world(plan);
        let mut heard = std::collections::BTreeSet::new();
        while let Some(step) = world.step() {
            if let (Happened::Received(from, ..), Some(host)) = (&step.what, step.host)
                && step.at > calm_from
            {
                heard.insert((host, *from));
            }
        }
        assert_eq!(heard.len(), 12, "seed {seed}");
    }
}

#[test]
fn a_process_that_stands_still_gets_everything_afterwards() {
    let mut plan = Plan::calm(1, 2, Duration::from_secs(10));
    let pause = Fault::Pause(Host(0), Duration::from_secs(5));
    plan.faults.push((Time(2_500_000), pause));
    let mut world = world(plan);
    let mut received = Vec::new();
    while let Some(step) = world.step() {
        if step.host == Some(Host(0)) && matches!(step.what, Happened::Received(..)) {
            received.push(step.at);
        }
    }
    let waited = received.iter().filter(|at| **at == Time(7_500_000)).count();
    assert_eq!(waited, 5, "{received:?}");
    assert!(received.len() >= 9);
}

#[test]
fn a_stream_dies_with_the_process_it_was_sent_to() {
    let mut plan = Plan::calm(1, 2, Duration::from_secs(3));
    plan.link = Link::distant(500);
    plan.faults.push((
        Time(1_200_000),
        Fault::Crash(Host(1), Duration::from_millis(1), DiskAfter::Kept),
    ));
    let mut world = world(plan);
    world.call_at(Time(1_100_000), Host(0), 9);
    let mut streams = 0;
    while let Some(step) = world.step() {
        streams += usize::from(matches!(step.what, Happened::Received(_, Way::Stream, _)));
    }
    assert_eq!(streams, 0);
}

#[test]
fn a_moved_host_is_not_found_at_its_old_address() {
    let mut plan = Plan::calm(1, 2, Duration::from_secs(5));
    plan.faults.push((Time(2_500_000), Fault::Move(Host(1))));
    let mut world = world(plan);
    let mut after = Vec::new();
    while let Some(step) = world.step() {
        if let Happened::Received(from, ..) = step.what
            && step.at > Time(2_600_000)
        {
            after.push((step.host, from));
        }
    }
    assert!(after.iter().all(|(host, _)| *host == Some(Host(0))));
    assert!(after.iter().all(|(_, from)| *from == Host(1).address(1)));
    assert!(!after.is_empty());
}

/// Host 0 and host 1 stop at 2 s and come back at `back`; the addresses then are given back.
fn resettled(place: Place, back: [u64; 2]) -> (SocketAddr, SocketAddr) {
    let mut plan = Plan::calm(1, 2, Duration::from_secs(9));
    let at = Time(2_000_000);
    plan.faults.push((at, Fault::Resettle(Host(0), place)));
    for (host, back) in [Host(0), Host(1)].into_iter().zip(back) {
        let away = Duration::from_millis(back) - Duration::from_secs(2);
        plan.faults
            .push((at, Fault::Crash(host, away, DiskAfter::Kept)));
    }
    let mut world = world(plan);
    while world.step().is_some() {}
    for host in [Host(0), Host(1)] {
        assert_eq!(world.host(world.address(host)), Some(host));
        assert!(world.is_running(host));
    }
    (world.address(Host(0)), world.address(Host(1)))
}

#[test]
fn a_host_comes_back_where_nobody_was_or_where_one_was_that_is_down() {
    let (first, second) = (Host(0).address(0), Host(1).address(0));
    let fresh = Host(0).address(1);
    assert_eq!(resettled(Place::Fresh, [3_000, 4_000]), (fresh, second));
    let of_another = Place::Of(Host(1));
    assert_eq!(resettled(of_another, [3_000, 4_000]), (second, first));
    // Nobody takes the address of one that runs.
    assert_eq!(resettled(of_another, [4_000, 3_000]), (fresh, second));
}

#[test]
fn a_disk_that_is_kept_comes_back_and_a_wiped_one_does_not() {
    for (after, expected) in [
        (DiskAfter::Kept, "booted with 1"),
        (DiskAfter::Wiped, "booted with 0"),
    ] {
        let mut plan = Plan::calm(1, 2, Duration::from_secs(5));
        let crash = Fault::Crash(Host(0), Duration::from_secs(1), after);
        plan.faults.push((Time(2_900_000), crash));
        let lines = course(plan);
        assert!(
            lines.iter().any(|line| line.contains(expected)),
            "{after:?}"
        );
    }
}
