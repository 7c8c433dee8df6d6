//! One node driven by hand: virtual time, a disk that answers when told, targets that are a map.

use std::collections::BTreeMap;

use super::*;
use crate::definition::Definition;
use crate::input::{Batch, Diff, Record};
use crate::outcome::Phase;
use crate::testing::definition;
use crate::view::Source;

const SECOND: Duration = Duration::from_secs(1);
const REFUSED: Finding = Finding::Failed(Reason::Refused);
const SILENT: Finding = Finding::Failed(Reason::Timeout(Phase::Connect));

/// A node and the little world around it.
struct World {
    node: Node,
    now: Time,
    /// What each target answers; passes if not named.
    answers: BTreeMap<Arc<str>, Finding>,
    names: BTreeMap<Slot, Arc<str>>,
    disk: BTreeMap<Key, Vec<u8>>,
    disk_works: bool,
    unconfirmed: Vec<Batch>,
    /// Started checks that never come back while this is set.
    hang: bool,
    hung: Vec<Check>,
    starts: Vec<(u64, Arc<str>)>,
    heard: Vec<String>,
    replies: Vec<(Request, Answer)>,
    diffs: Vec<Diff>,
}

impl World {
    fn new(config: Config, disk: BTreeMap<Key, Vec<u8>>) -> Self {
        let records = disk
            .iter()
            .map(|(key, value)| Record {
                key: key.clone(),
                value: value.clone(),
            })
            .collect();
        let mut world = Self {
            node: Node::new(config).unwrap(),
            now: Time::ZERO,
            answers: BTreeMap::new(),
            names: BTreeMap::new(),
            disk,
            disk_works: true,
            unconfirmed: Vec::new(),
            hang: false,
            hung: Vec::new(),
            starts: Vec::new(),
            heard: Vec::new(),
            replies: Vec::new(),
            diffs: Vec::new(),
        };
        world.give(Input::WallClock(Wall(10_000_000_000)));
        world.give(Input::Restored(records));
        world
    }

    fn fresh() -> Self {
        Self::new(Config::default(), BTreeMap::new())
    }

    fn give(&mut self, input: Input) {
        self.node.handle(self.now, input);
        while let Some(output) = self.node.poll() {
            self.take(output);
        }
    }

    fn take(&mut self, output: Output) {
        match output {
            Output::Probe(check) => self.probe(check),
            Output::Persist { batch, writes, .. } => {
                for write in writes {
                    match write {
                        Write::Set(key, value) => drop(self.disk.insert(key, value)),
                        Write::Remove(key) => drop(self.disk.remove(&key)),
                    }
                }
                if self.disk_works {
                    self.node.handle(self.now, Input::Persisted(batch))
                } else {
                    self.unconfirmed.push(batch)
                }
            }
            Output::Define(slot, definition, _) => {
                drop(self.names.insert(slot, Arc::clone(&definition.name)))
            }
            Output::Undefine(slot) => drop(self.names.remove(&slot)),
            Output::Event(event) => {
                let Event {
                    target,
                    transition: t,
                    ..
                } = event;
                self.heard.push(format!(
                    "{target} {} {}>{}",
                    t.number,
                    t.from.name(),
                    t.to.name()
                ));
            }
            Output::Answer(request, answer) => self.replies.push((request, answer)),
            Output::Loaded(_, diff) => self.diffs.push(*diff),
            Output::Judged(..) | Output::View(_) | Output::Past(..) => {}
            Output::Send(..) | Output::Notice(_) | Output::Refused { .. } | Output::Left => {
                panic!("a node alone has nobody to talk to: {output:?}")
            }
            Output::Inquired(..) | Output::Told(..) => panic!("nobody asks: {output:?}"),
        }
    }

    fn probe(&mut self, check: Check) {
        let name = Arc::clone(&self.names[&check.slot]);
        self.starts.push((self.now.0 / 1_000, Arc::clone(&name)));
        if self.hang {
            self.hung.push(check);
            return;
        }
        let finding = self.answers.get(&name).copied().unwrap_or(Finding::Passed);
        self.node.handle(self.now, probed(check, finding));
    }

    fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(next) = self.node.deadline().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.give(Input::Tick);
        }
        self.now = end;
        self.give(Input::Tick);
    }

    fn load(&mut self, definitions: &[Arc<Definition>]) {
        self.give(Input::Load(Source::File, definitions.to_vec()));
    }

    fn state(&self, name: &str) -> State {
        self.node
            .view()
            .get(name)
            .expect("the target is there")
            .status()
            .state
    }

    fn set(&mut self, name: &str, finding: Finding) {
        self.answers.insert(name.into(), finding);
    }
}

fn probed(check: Check, finding: Finding) -> Input {
    Input::Probed(Probed {
        slot: check.slot,
        ticket: check.ticket,
        finding,
        late: Duration::ZERO,
        timeout: SECOND,
        local: false,
        detail: None,
    })
}

fn every_second(name: &str) -> Arc<Definition> {
    Arc::new(Definition {
        interval: SECOND,
        timeout: SECOND,
        ..Definition::clone(&definition(name))
    })
}

fn many(n: u32) -> Vec<Arc<Definition>> {
    (0..n).map(|i| every_second(&format!("t{i}"))).collect()
}

/// Broken once: who took a target over and gave it back with one packet went on checking whatever
/// came into its place.
#[test]
fn what_joins_and_leaves_the_beat_with_one_input_is_not_on_it() {
    for (turns, is_on) in [("+-", false), ("-+", true), ("+-+", true), ("-+-", false)] {
        for others in [0, 100] {
            let mut world = World::fresh();
            let target = definition("a");
            let node = &mut world.node;
            let was_on = turns.starts_with('-');
            if was_on {
                node.join_beat(Slot(0), &target);
                node.retime();
            }
            // Of many that leave, all are looked for at once.
            for slot in 1..=others {
                node.join_beat(Slot(slot), &definition("gone"));
            }
            node.retime();
            for slot in 1..=others {
                node.leave_beat(Slot(slot), &definition("gone"));
            }
            for turn in turns.chars() {
                if turn == '+' {
                    node.join_beat(Slot(0), &target);
                } else {
                    node.leave_beat(Slot(0), &target);
                }
            }
            node.retime();
            let due = node.schedule.deadline();
            assert_eq!(due.is_some(), is_on, "{turns} beside {others}");
        }
    }
}

#[test]
fn a_target_goes_up_with_its_first_pass_down_after_fall_and_up_after_rise() {
    let mut world = World::fresh();
    world.load(&[every_second("web")]);
    world.run_for(2 * SECOND);
    assert_eq!(world.state("web"), State::Up);
    world.set("web", REFUSED);
    world.run_for(2 * SECOND);
    assert_eq!(world.state("web"), State::Up);
    world.run_for(SECOND + Duration::from_millis(100));
    assert_eq!(world.state("web"), State::Down);
    world.set("web", Finding::Passed);
    world.run_for(2 * SECOND + Duration::from_millis(100));
    assert_eq!(
        world.heard,
        ["web 1 unknown>up", "web 2 up>down", "web 3 down>up"]
    );
}

#[test]
fn readers_hear_of_nothing_that_the_disk_does_not_have() {
    let mut world = World::fresh();
    world.load(&[every_second("web")]);
    world.disk_works = false;
    world.run_for(5 * SECOND);
    assert_eq!(world.state("web"), State::Unknown);
    assert_eq!(world.heard, [""; 0]);
    let batch = *world.unconfirmed.last().unwrap();
    world.give(Input::Persisted(batch));
    assert_eq!(world.heard, ["web 1 unknown>up"]);
    assert_eq!(world.state("web"), State::Up);
}

#[test]
fn a_restart_keeps_since_numbers_counters_and_targets_made_through_the_api() {
    let web = Arc::new(Definition {
        interval: 5 * SECOND,
        ..Definition::clone(&definition("web"))
    });
    let mut world = World::fresh();
    world.load(std::slice::from_ref(&web));
    world.give(Input::Put(Request(1), every_second("api-made")));
    world.set("web", REFUSED);
    world.run_for(20 * SECOND);
    world.set("web", Finding::Passed);
    let slot = world.node.view().get("web").unwrap().slot;
    while world.node.explain(slot).unwrap().successes == 0 {
        world.run_for(SECOND / 10);
    }
    world.run_for(2 * SECOND);
    let before = world.node.view().get("web").unwrap().status();
    assert_eq!(before.state, State::Down, "one pass towards rise 2");

    let mut again = World::new(Config::default(), world.disk);
    assert!(again.node.view().get("api-made").is_some());
    again.load(&[web]);
    assert_eq!(again.node.view().get("web").unwrap().status(), before);
    again.run_for(2 * SECOND);
    assert!(
        again.heard.contains(&"web 2 down>up".into()),
        "the pass before the restart counts"
    );
}

#[test]
fn no_sequence_number_is_used_twice_over_restarts() {
    let mut seen = Vec::new();
    let mut disk = BTreeMap::new();
    for _ in 0..5 {
        let mut world = World::new(Config::default(), disk);
        world.load(&[every_second("web")]);
        world.set("web", REFUSED);
        world.run_for(4 * SECOND);
        world.set("web", Finding::Passed);
        world.run_for(4 * SECOND);
        seen.extend(
            world
                .node
                .view()
                .get("web")
                .unwrap()
                .status()
                .recent
                .iter()
                .map(|t| t.seq),
        );
        disk = world.disk;
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(
        seen.len() as u64,
        *seen.last().unwrap(),
        "numbers from 1 without a gap"
    );
}

#[test]
fn a_status_whose_target_is_gone_leaves_the_disk() {
    let mut world = World::fresh();
    world.load(&[every_second("web"), every_second("old")]);
    world.run_for(2 * SECOND);
    assert!(world.disk.contains_key(&Key::Status("old".into())));
    let mut again = World::new(Config::default(), world.disk);
    again.load(&[every_second("web")]);
    assert!(!again.disk.contains_key(&Key::Status("old".into())));
    assert!(again.disk.contains_key(&Key::Status("web".into())));
}

#[test]
fn an_answer_comes_only_after_the_disk_and_with_the_view() {
    let mut world = World::fresh();
    world.disk_works = false;
    world.give(Input::Put(Request(7), every_second("web")));
    assert_eq!(world.replies, []);
    let batch = world.unconfirmed[0];
    world.give(Input::Persisted(batch));
    assert!(matches!(
        world.replies[..],
        [(Request(7), Answer::Created(_))]
    ));
    assert!(
        world.node.view().get("web").is_some(),
        "whoever hears the answer finds the target"
    );
}

#[test]
fn the_api_can_replace_and_delete_its_own_targets_only() {
    let mut world = World::fresh();
    world.load(&[every_second("filed")]);
    world.give(Input::Put(Request(1), every_second("web")));
    world.give(Input::Put(Request(2), definition("web")));
    world.give(Input::Delete(Request(3), "filed".into()));
    world.give(Input::Delete(Request(4), "nothing".into()));
    world.give(Input::Delete(Request(5), "web".into()));
    let kinds: Vec<&str> = world
        .replies
        .iter()
        .map(|(_, answer)| match answer {
            Answer::Created(_) => "created",
            Answer::Replaced(_) => "replaced",
            Answer::Deleted(_) => "deleted",
            Answer::NotFound => "not found",
            Answer::FromFile => "from file",
            Answer::Full => "full",
            Answer::Accepted | Answer::NoCluster => "nobody asked for that",
        })
        .collect();
    assert_eq!(
        kinds,
        ["created", "replaced", "from file", "not found", "deleted"]
    );
    assert!(world.node.view().get("web").is_none());
    assert!(
        !world
            .disk
            .keys()
            .any(|key| matches!(key, Key::Definition(_)))
    );
}

#[test]
fn the_file_shadows_the_api_and_gives_the_name_back() {
    let mut world = World::fresh();
    world.give(Input::Put(Request(1), every_second("web")));
    world.load(&[definition("web")]);
    let row = world.node.view().get("web").unwrap();
    assert_eq!(
        (row.source, row.shadowed(), row.definition().interval),
        (Source::File, true, 10 * SECOND)
    );
    world.load(&[]);
    let row = world.node.view().get("web").unwrap();
    assert_eq!(
        (row.source, row.shadowed(), row.definition().interval),
        (Source::Api, false, SECOND)
    );
}

#[test]
fn a_reload_says_what_changed_and_keeps_what_did_not() {
    let mut world = World::fresh();
    world.load(&[every_second("a"), every_second("b"), every_second("c")]);
    world.set("a", REFUSED);
    world.run_for(2 * SECOND);
    let failures = |world: &World| {
        let slot = world.node.view().get("a").unwrap().slot;
        world.node.explain(slot).unwrap().failures
    };
    let before = failures(&world);
    world.load(&[every_second("a"), definition("b"), every_second("d")]);
    let names = |names: &[&str]| names.iter().map(|&n| n.into()).collect::<Vec<Arc<str>>>();
    let diff = Diff {
        added: names(&["d"]),
        changed: names(&["b"]),
        removed: names(&["c"]),
        unchanged: 1,
    };
    assert_eq!(world.diffs.last(), Some(&diff));
    assert!(before > 0);
    assert_eq!(failures(&world), before);
}

#[test]
fn a_paused_target_is_not_asked() {
    let mut world = World::fresh();
    let paused = Arc::new(Definition {
        paused: true,
        ..Definition::clone(&every_second("web"))
    });
    world.load(std::slice::from_ref(&paused));
    world.run_for(5 * SECOND);
    assert_eq!((world.state("web"), world.starts.len()), (State::Paused, 0));
    world.load(&[every_second("web")]);
    world.run_for(2 * SECOND);
    assert_eq!(world.state("web"), State::Up);
    world.load(&[paused]);
    let asked = world.starts.len();
    world.run_for(5 * SECOND);
    assert_eq!(world.starts.len(), asked);
    assert_eq!(
        world.heard.last().map(String::as_str),
        Some("web 4 up>paused")
    );
}

#[test]
fn an_outcome_of_a_target_that_is_gone_is_dropped() {
    let mut world = World::fresh();
    world.load(&[every_second("web")]);
    world.hang = true;
    world.run_for(SECOND);
    world.load(&[]);
    world.load(&[every_second("other")]);
    let late = world.hung.remove(0);
    world.give(probed(late, REFUSED));
    assert_eq!(world.node.tally().dropped, 1);
    assert_eq!(world.node.tally().in_flight, 0);
}

#[test]
fn with_little_room_everyone_gets_a_turn_and_skipped_beats_are_counted() {
    let mut world = World::new(
        Config {
            in_flight_max: 10,
            ..Config::default()
        },
        BTreeMap::new(),
    );
    world.load(&many(100));
    world.hang = true;
    for _ in 0..100 {
        world.run_for(Duration::from_millis(200));
        for check in std::mem::take(&mut world.hung) {
            world.give(probed(check, Finding::Passed));
        }
    }
    let tally = world.node.tally();
    assert!(tally.in_flight <= 10);
    assert!(tally.skipped > 500, "{tally:?}");
    let mut turns: BTreeMap<&str, u32> = BTreeMap::new();
    world
        .starts
        .iter()
        .for_each(|(_, name)| *turns.entry(name).or_default() += 1);
    assert_eq!(turns.len(), 100);
    let (least, most) = (turns.values().min().unwrap(), turns.values().max().unwrap());
    assert!(most - least <= 3, "between {least} and {most} turns");
}

#[test]
fn a_pause_of_the_process_is_followed_by_no_burst() {
    let mut world = World::fresh();
    world.load(&many(1_000));
    world.run_for(10 * SECOND);
    world.starts.clear();
    world.now += 30 * SECOND;
    world.give(Input::Tick);
    assert!(world.starts.len() <= 100, "{} at once", world.starts.len());
    world.run_for(5 * SECOND);
    for window in 0..40 {
        let from = world.starts[0].0 + window * 100;
        let n = world
            .starts
            .iter()
            .filter(|(at, _)| (from..from + 1_000).contains(at))
            .count();
        assert!(n <= 1_200, "{n} checks within a second");
    }
    assert!(world.node.tally().skipped >= 29_000);
    assert_eq!(
        world.heard.len(),
        1_000,
        "each went up once, and nothing else happened"
    );
}

#[test]
fn the_wall_clock_may_jump_without_extra_checks_or_lost_targets() {
    for jump in [3_600_000, -3_600_000, 350, -350] {
        let mut world = World::fresh();
        world.load(&many(100));
        world.run_for(3 * SECOND);
        world.starts.clear();
        world.give(Input::WallClock(Wall(10_000_003_000 + jump)));
        world.run_for(2 * SECOND);
        let mut checks: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        world
            .starts
            .iter()
            .for_each(|(at, name)| checks.entry(name).or_default().push(*at));
        assert_eq!(checks.len(), 100, "jump {jump}: nobody is forgotten");
        for (name, at) in checks {
            assert!(
                at.windows(2).all(|pair| pair[1] - pair[0] >= 500),
                "jump {jump}: {name} at {at:?}"
            );
        }
    }
}

#[test]
fn when_nothing_at_all_answers_no_target_is_called_down() {
    let mut world = World::fresh();
    world.load(&many(100));
    world.run_for(3 * SECOND);
    (0..100).for_each(|i| world.set(&format!("t{i}"), SILENT));
    world.run_for(60 * SECOND);
    assert_eq!(world.node.view().counts().down, 0);
    (1..100).for_each(|i| world.set(&format!("t{i}"), Finding::Passed));
    world.run_for(5 * SECOND);
    assert_eq!(
        world.state("t0"),
        State::Down,
        "the one that stays silent is"
    );
    assert_eq!(world.node.view().counts().down, 1);
}

#[test]
fn the_node_asks_for_nothing_when_it_has_no_targets() {
    let mut world = World::fresh();
    world.load(&[]);
    assert_eq!(world.node.deadline(), None);
    assert_eq!(
        Node::new(Config {
            in_flight_max: 0,
            ..Config::default()
        })
        .err(),
        Some(ConfigError::NoRoom)
    );
}

#[test]
fn unreadable_records_are_counted_and_the_rest_is_used() {
    let mut world = World::fresh();
    world.load(&[every_second("web")]);
    world.run_for(2 * SECOND);
    world.disk.insert(Key::Status("bad".into()), vec![1, 99]);
    let mut again = World::new(Config::default(), world.disk);
    again.load(&[every_second("web"), every_second("bad")]);
    assert_eq!(again.node.tally().unreadable, 1);
    assert_eq!(
        (again.state("web"), again.state("bad")),
        (State::Up, State::Unknown)
    );
}

#[test]
fn a_node_that_stops_starts_nothing_more_and_writes_its_counters_at_once() {
    let mut world = World::fresh();
    world.load(&[every_second("web")]);
    world.run_for(2 * SECOND);
    world.set("web", REFUSED);
    let slot = world.node.view().get("web").unwrap().slot;
    while world.node.explain(slot).unwrap().failures == 0 {
        world.run_for(SECOND / 20);
    }
    let before = world.disk[&Key::Status("web".into())].clone();
    world.give(Input::Stop);
    assert_ne!(world.disk[&Key::Status("web".into())], before);
    let asked = world.starts.len();
    world.now += 10 * SECOND;
    world.give(Input::Tick);
    assert_eq!(world.starts.len(), asked);
}

#[test]
fn a_check_that_ends_just_after_its_next_beat_does_not_cost_that_beat() {
    let mut world = World::fresh();
    world.load(&[every_second("web")]);
    world.run_for(2 * SECOND);
    world.starts.clear();
    world.hang = true;
    // Silent, with a timeout as long as the interval: each outcome comes 2 ms after the beat.
    for _ in 0..4 {
        while world.hung.is_empty() {
            world.run_for(Duration::from_millis(1));
        }
        world.run_for(SECOND + Duration::from_millis(1));
        let check = world.hung.remove(0);
        world.give(probed(check, SILENT));
    }
    let gaps: Vec<u64> = world.starts.windows(2).map(|w| w[1].0 - w[0].0).collect();
    assert!(gaps.iter().all(|gap| *gap < 1_100), "{gaps:?}");
    assert_eq!(world.state("web"), State::Down);
}

#[test]
fn a_long_file_of_rare_targets_does_not_hold_up_those_that_are_asked_often() {
    let mut world = World::fresh();
    world.load(&many(10));
    world.run_for(3 * SECOND);
    let rare = (0..2_000).map(|i| {
        Arc::new(Definition {
            interval: 60 * SECOND,
            ..Definition::clone(&definition(&format!("rare{i}")))
        })
    });
    world.load(&many(10).into_iter().chain(rare).collect::<Vec<_>>());
    // Every wake-up is late, so that all have to wait.
    world.starts.clear();
    for _ in 0..200 {
        world.now += Duration::from_millis(50);
        world.give(Input::Tick);
    }
    for i in 0..10 {
        let name = format!("t{i}");
        let asked = world.starts.iter().filter(|(_, n)| **n == *name).count();
        assert!(asked >= 8, "{name} was asked {asked} times in 10 s");
    }
}

#[test]
fn a_target_that_is_paused_while_it_waits_is_not_asked() {
    let mut world = World::fresh();
    world.load(
        &(0..50)
            .map(|i| definition(&format!("t{i}")))
            .collect::<Vec<_>>(),
    );
    assert!(world.node.tally().waiting > 40);
    let asked = world.starts.len();
    let paused = (0..50).map(|i| {
        Arc::new(Definition {
            paused: true,
            ..Definition::clone(&definition(&format!("t{i}")))
        })
    });
    world.load(&paused.collect::<Vec<_>>());
    world.run_for(30 * SECOND);
    assert_eq!(world.starts.len(), asked);
}

#[test]
fn a_node_that_stops_asks_for_no_tick_that_has_passed() {
    let mut world = World::fresh();
    world.load(&many(20));
    world.run_for(2 * SECOND);
    world.give(Input::Stop);
    world.now += 5 * SECOND;
    world.give(Input::Tick);
    assert_eq!(world.node.deadline(), None);
}

#[test]
fn each_load_is_told_even_when_the_disk_is_slow() {
    let mut world = World::fresh();
    world.load(&many(3));
    world.disk_works = false;
    world.give(Input::Put(Request(1), every_second("api")));
    world.load(&many(2));
    world.load(&many(1));
    let batch = *world.unconfirmed.last().unwrap();
    world.give(Input::Persisted(batch));
    assert_eq!(world.diffs.len(), 3);
}

#[test]
fn a_definition_that_the_file_shadows_does_not_touch_the_status_at_a_restart() {
    let mut world = World::fresh();
    world.load(&[every_second("web")]);
    let shadowed = Arc::new(Definition {
        paused: true,
        ..Definition::clone(&definition("web"))
    });
    world.give(Input::Put(Request(1), shadowed));
    world.run_for(3 * SECOND);
    let before = world.node.view().get("web").unwrap().status();
    let mut again = World::new(Config::default(), world.disk);
    again.load(&[every_second("web")]);
    again.run_for(3 * SECOND);
    assert_eq!(again.node.view().get("web").unwrap().status(), before);
    assert_eq!(again.heard, [""; 0]);
}

#[test]
fn counters_of_an_old_definition_do_not_come_back_after_a_crash() {
    let mut world = World::fresh();
    world.load(&[every_second("web")]);
    world.run_for(2 * SECOND);
    world.set("web", REFUSED);
    let failures = |world: &World| {
        let slot = world.node.view().get("web").unwrap().slot;
        world.node.explain(slot).unwrap().failures
    };
    while failures(&world) < 2 {
        world.run_for(SECOND / 20);
    }
    world.run_for(SECOND / 2);
    let other = Arc::new(Definition {
        rule: Rule {
            fall: 5,
            of: 5,
            rise: 1,
        },
        interval: 60 * SECOND,
        ..Definition::clone(&definition("web"))
    });
    world.load(std::slice::from_ref(&other));
    world.run_for(2 * SECOND);
    assert_eq!(failures(&world), 1, "it is asked soon after it was changed");
    let mut again = World::new(Config::default(), world.disk);
    again.load(&[other]);
    assert!(failures(&again) <= 1);
}

#[test]
fn a_restart_in_the_middle_of_a_cut_alarms_nobody() {
    let mut world = World::fresh();
    world.load(&many(12));
    world.run_for(3 * SECOND);
    (0..12).for_each(|i| world.set(&format!("t{i}"), SILENT));
    world.run_for(5 * SECOND);
    let (disk, answers) = (world.disk, world.answers);
    let mut again = World::new(Config::default(), disk);
    again.answers = answers;
    again.load(&many(12));
    again.run_for(30 * SECOND);
    assert_eq!(again.node.view().counts().down, 0);
}
