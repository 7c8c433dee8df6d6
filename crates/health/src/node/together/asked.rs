//! What owners are asked by readers of other nodes, and what becomes of the question.

use super::*;
use crate::cluster::{Inquire, Section, Tell, WIRE, pack};

impl World {
    /// Asks one node for a target's account; what it says, and how long that took.
    fn account(&mut self, at: usize, name: &str) -> (Duration, Result<Account, Missing>) {
        let request = Request(1_000 + self.hosts[at].told.len() as u64);
        let from = self.now;
        self.give(at, Input::Inquire(request, name.into()));
        while self.hosts[at].told.last().is_none_or(|t| t.1 != request) {
            assert!(self.now.since(from) < Duration::from_secs(5), "no word");
            self.run_ms(1);
        }
        let (when, _, told) = self.hosts[at].told.last().expect("it was told").clone();
        (when.since(from), told)
    }

    fn cut_off(&mut self, one: usize) {
        for other in (0..self.hosts.len()).filter(|other| *other != one) {
            self.cut.extend([(one, other), (other, one)]);
        }
    }

    fn packet(&mut self, from: usize, to: usize, section: &Section) {
        let id = self.node(from).joined.as_ref().expect("joined").cluster.me;
        let bytes = pack(WIRE, id, &section.encode());
        let input = Input::Received(address(from), Way::Datagram, bytes);
        self.give(to, input);
    }
}

#[test]
fn every_node_tells_of_every_target_what_its_owner_found() {
    let mut world = World::new(3, 12);
    world.run(10);
    for i in 0..12 {
        let name = format!("t{i}");
        let owner = world.owner_host(&name);
        let found = world.findings(owner, &name).recent;
        assert!(found.len() > 3, "{name}");
        for at in 0..3 {
            let (took, told) = world.account(at, &name);
            let told = told.unwrap_or_else(|why| panic!("{name} on n{at}: {why:?}"));
            assert!(took <= Duration::from_millis(3), "{took:?}");
            assert_eq!(*told.by, *format!("n{owner}"));
            let common = found.len().min(told.findings.recent.len());
            assert_eq!(told.findings.recent[..common], found[..common]);
            let explanation = told.explanation;
            assert_eq!(explanation.state, State::Up);
            let due = explanation.next_due.expect("it is checked");
            assert!(due.since(world.now) <= Duration::from_secs(1));
        }
    }
}

#[test]
fn counters_of_a_verdict_in_the_making_are_told_elsewhere() {
    let mut world = World::new(3, 6);
    world.run(10);
    let owner = world.owner_host("t1");
    world.sees(owner, "t1", REFUSED);
    world.run_ms(1_500);
    let (_, told) = world.account((owner + 1) % 3, "t1");
    let failures = told.expect("its owner answers").explanation.failures;
    assert!((1..=2).contains(&failures), "{failures}");
}

#[test]
fn an_owner_that_cant_be_reached_is_waited_for_half_a_second_and_then_its_successor_is_asked() {
    let mut world = World::new(3, 6);
    world.run(10);
    let owner = world.owner_host("t0");
    let reader = (owner + 1) % 3;
    world.kill(owner);
    let (took, told) = world.account(reader, "t0");
    let silent = Missing::Silent(format!("n{owner}").into());
    assert_eq!(told, Err(silent));
    assert!(took >= Duration::from_millis(500) && took < Duration::from_millis(520));
    world.run(12);
    let successor = world.owner(reader, "t0");
    let (_, told) = world.account(reader, "t0");
    let told = told.expect("the successor answers");
    assert_eq!(*told.by, *successor);
    assert!(!told.findings.recent.is_empty());
}

#[test]
fn a_question_that_was_lost_is_asked_again_within_the_half_second() {
    let mut world = World::new(2, 4);
    world.run(10);
    let name = (0..4)
        .map(|i| format!("t{i}"))
        .find(|n| world.owner_host(n) == 0);
    let name = name.expect("it owns some");
    world.cut_off(0);
    world.give(1, Input::Inquire(Request(5), name.as_str().into()));
    world.run_ms(200);
    assert!(world.hosts[1].told.is_empty());
    world.cut.clear();
    world.run_ms(100);
    let told = &world.hosts[1].told[0].2;
    assert!(told.is_ok(), "{told:?}");
}

#[test]
fn whoever_is_asked_and_does_not_own_the_target_says_so() {
    let mut world = World::new(3, 6);
    world.run(10);
    let owner = world.owner_host("t0");
    let (one, other) = ((owner + 1) % 3, (owner + 2) % 3);
    for target in ["t0", "nowhere"] {
        let inquire = Inquire {
            number: 7,
            target: target.into(),
        };
        world.packet(one, other, &Section::Inquire(inquire));
    }
    world.run_ms(5);
    // Nobody on `one` waits for what came back.
    assert_eq!(world.node(one).dropped().accounts, 2);
    let (_, told) = world.account(one, "nowhere");
    assert_eq!(told, Err(Missing::NoTarget));
    // An owner that has just given the target away, as the reader does not know yet.
    let whom = format!("n{owner}");
    world.hosts[owner].is_mute = true;
    world.give(one, Input::Inquire(Request(9), "t0".into()));
    let waiting = &world.node(one).joined.as_ref().expect("joined").inquiries;
    let number = waiting.numbers()[0];
    let account = None;
    world.packet(owner, one, &Section::Tell(Tell { number, account }));
    let told = &world.hosts[one].told.last().expect("it was told").2;
    assert_eq!(*told, Err(Missing::Disowned(whom.as_str().into())));
}

#[test]
fn an_account_that_was_not_asked_of_its_sender_or_cant_be_read_is_dropped_and_counted() {
    let mut world = World::new(3, 6);
    world.run(10);
    let owner = world.owner_host("t0");
    let (reader, other) = ((owner + 1) % 3, (owner + 2) % 3);
    world.hosts[owner].is_mute = true;
    world.give(reader, Input::Inquire(Request(9), "t0".into()));
    let waiting = &world
        .node(reader)
        .joined
        .as_ref()
        .expect("joined")
        .inquiries;
    let number = waiting.numbers()[0];
    let forged = crate::account::tests::account().encode(world.now);
    let broken = forged[..forged.len() - 1].to_vec();
    for (from, number, account) in [
        (other, number, &forged),
        (owner, number + 1, &forged),
        (owner, number, &broken),
    ] {
        let account = Some(account.clone());
        world.packet(from, reader, &Section::Tell(Tell { number, account }));
    }
    assert_eq!(world.node(reader).dropped().accounts, 3);
    world.run_ms(600);
    let told = &world.hosts[reader].told[0].2;
    assert!(matches!(told, Err(Missing::Silent(_))), "{told:?}");
}

#[test]
fn questions_beyond_the_bound_are_not_asked_and_counted_and_those_that_wait_all_end() {
    let mut world = World::new(2, 4);
    world.run(10);
    let name = (0..4)
        .map(|i| format!("t{i}"))
        .find(|n| world.owner_host(n) == 0);
    let name: Arc<str> = name.expect("it owns some").into();
    world.kill(0);
    let from = world.now;
    for n in 0..1_500 {
        world.give(1, Input::Inquire(Request(n), Arc::clone(&name)));
    }
    let refused = world.hosts[1].told.len();
    assert_eq!(refused, 1_500 - 1_024);
    assert_eq!(world.node(1).dropped().inquiries, refused as u64);
    let all = world.hosts[1].told.iter();
    assert!(all.clone().all(|t| t.2 == Err(Missing::TooMany)));
    world.run_ms(600);
    assert_eq!(world.hosts[1].told.len(), 1_500);
    let last = world.hosts[1].told.last().expect("many").0;
    assert!(last.since(from) < Duration::from_millis(520));
    // There is room again.
    world.give(1, Input::Inquire(Request(9_999), name));
    assert_eq!(world.hosts[1].told.len(), 1_500);
}

#[test]
fn a_node_that_asks_too_much_is_answered_only_so_often() {
    let mut world = World::new(2, 4);
    world.run(10);
    for number in 0..3_000 {
        let target = "t0".into();
        world.packet(1, 0, &Section::Inquire(Inquire { number, target }));
    }
    assert_eq!(world.node(0).dropped().inquiries, 1_000);
    world.run(2);
    let before = world.node(0).dropped().inquiries;
    let target = "t0".into();
    world.packet(1, 0, &Section::Inquire(Inquire { number: 1, target }));
    assert_eq!(world.node(0).dropped().inquiries, before);
}

#[test]
fn what_is_too_long_for_a_datagram_goes_over_a_stream() {
    let mut world = World::new(2, 4);
    world.run(10);
    let mut long = crate::account::tests::account().findings;
    long.detail = Some("x".repeat(2_000).into());
    long.recent = long.recent.repeat(16);
    for (findings, way) in [(long, Way::Stream), (Findings::default(), Way::Datagram)] {
        let inquiry = crate::input::Inquiry {
            slot: Slot(0),
            asker: crate::input::Asker::There(NodeId(2), 5),
        };
        let now = world.now;
        let node = world.hosts[0].node.as_mut().expect("it runs");
        node.handle(now, Input::Tell(inquiry, Box::new(findings)));
        let sent = std::iter::from_fn(|| node.poll()).filter_map(|output| match output {
            Output::Send(_, way, bytes) => Some((way, bytes.len())),
            _ => None,
        });
        let sent: Vec<(Way, usize)> = sent.collect();
        assert!(sent.iter().any(|(by, _)| *by == way), "{sent:?}");
        let fits = |(way, len): &(Way, usize)| *way == Way::Stream || *len <= 1_300;
        assert!(sent.iter().all(fits), "{sent:?}");
    }
}

#[test]
fn a_node_alone_tells_of_its_targets_itself() {
    let mut node = Node::new(Config::default()).expect("the default is valid");
    node.handle(Time(1), Input::Restored(Vec::new()));
    node.handle(Time(2), Input::WallClock(Wall(1)));
    node.handle(Time(3), Input::Load(Source::File, vec![target("web", 0)]));
    while node.poll().is_some() {}
    node.handle(Time(4), Input::Inquire(Request(1), "web".into()));
    let asked = std::iter::from_fn(|| node.poll()).find_map(|output| match output {
        Output::Inquired(inquiry, slot) => Some((inquiry, slot)),
        _ => None,
    });
    let (inquiry, slot) = asked.expect("it is asked what it found");
    assert_eq!(slot, Slot(0));
    node.handle(Time(5), Input::Tell(inquiry, Box::default()));
    let told = std::iter::from_fn(|| node.poll())
        .any(|output| matches!(output, Output::Told(Request(1), Ok(_))));
    assert!(told);
}

#[test]
fn who_accused_a_dead_owner_is_seen_by_readers() {
    let mut world = World::new(3, 6);
    world.run(10);
    world.kill(2);
    world.run(12);
    for at in 0..2 {
        let fleet = world.node(at).view().fleet().expect("a cluster's view");
        let accusers = fleet.accusations.iter().filter(|a| &*a.member == "n2");
        let accusers: BTreeSet<&str> = accusers.map(|a| &*a.by).collect();
        assert!(accusers.contains("n0") || accusers.contains("n1"), "n{at}");
    }
}
