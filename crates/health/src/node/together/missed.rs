//! What the death of an owner costs its targets: the beat that fell between death and takeover is
//! made up for, and nothing else is.

use super::*;

/// What a death may cost beside one interval: the promise of the simulator's judge.
const DETECTION: Duration = Duration::from_secs(8);

fn every(seconds: u64, targets: usize) -> Vec<Arc<Definition>> {
    let of = |i: usize| {
        Arc::new(Definition {
            interval: Duration::from_secs(seconds),
            ..Definition::clone(&target(&format!("t{i}"), 2))
        })
    };
    (0..targets).map(of).collect()
}

impl World {
    /// The times at which somebody began to check this target, from a moment on.
    fn starts(&self, name: &str, from: Time) -> Vec<Time> {
        let mine = self.probes.iter();
        let mine = mine.filter(|(at, _, of)| &**of == name && *at >= from);
        mine.map(|(at, ..)| *at).collect()
    }

    /// The longest time that each target went unchecked from a moment on, up to now.
    fn longest_gap(&self, from: Time) -> (Duration, Arc<str>) {
        let names = self.file.iter().map(|target| Arc::clone(&target.name));
        let gaps = names.map(|name| {
            let mut starts = self.starts(&name, from);
            starts.push(self.now);
            let gaps = starts.windows(2).map(|pair| pair[1].since(pair[0]));
            (gaps.max().unwrap_or_default(), name)
        });
        gaps.max().expect("there are targets")
    }
}

#[test]
fn after_a_death_no_target_is_unchecked_for_longer_than_detection_and_one_interval() {
    for (interval, dies_after) in [(1, 0), (2, 700), (10, 0), (10, 3_300), (10, 7_900), (60, 0)] {
        for dies in 0..3 {
            let mut world = World::with_file(3, every(interval, 60));
            world.run(10 + 2 * interval);
            let before = world.now;
            world.run_ms(interval * 1_000 + dies_after);
            world.kill(dies);
            world.run(3 * interval + 10);
            let (gap, name) = world.longest_gap(before);
            let most = DETECTION + Duration::from_secs(interval);
            let case = format!("every {interval} s, n{dies} dies {dies_after} ms later");
            assert!(gap <= most, "{case}: {name} unchecked for {gap:?}");
        }
    }
}

#[test]
fn a_death_costs_each_target_one_check_too_many_at_most_and_the_beat_goes_on() {
    for interval in [1, 2, 10, 60] {
        let mut world = World::with_file(3, every(interval, 60));
        world.run(10 + 2 * interval);
        let from = world.now;
        world.kill(0);
        world.run(3 * interval + 20);
        let due = world.now.since(from).as_secs().div_ceil(interval);
        for target in world.file.clone() {
            let starts = world.starts(&target.name, from);
            let name = &target.name;
            let most = usize::try_from(due).unwrap() + 1;
            let by: Vec<_> = world
                .probes
                .iter()
                .filter(|p| p.2 == *name && p.0 >= from)
                .collect();
            assert!(starts.len() <= most, "{name}: {by:?}");
            // The last ones are in the beat again.
            let last: Vec<_> = starts.iter().rev().take(2).collect();
            let span = last[0].since(*last[1]);
            let is_a_beat = span.abs_diff(Duration::from_secs(interval)) < Duration::from_millis(5);
            assert!(is_a_beat, "{name} every {interval} s: {starts:?}");
        }
    }
}

#[test]
fn what_a_node_missed_that_died_and_was_back_before_anybody_knew_is_caught_up_with() {
    for away_ms in [200, 1_000, 2_500] {
        let mut world = World::with_file(3, every(60, 60));
        world.run(130);
        let before = world.now;
        world.run(60);
        world.kill(1);
        world.run_ms(away_ms);
        world.boot(1);
        world.run(150);
        let (gap, name) = world.longest_gap(before);
        let most = DETECTION + Duration::from_secs(60);
        assert!(
            gap <= most,
            "{name} unchecked for {gap:?}, away {away_ms} ms"
        );
    }
}

#[test]
fn a_restart_with_a_drain_costs_no_beat_and_hardly_a_check_too_many() {
    let mut world = World::with_file(3, every(10, 60));
    world.run(35);
    let from = world.now;
    world.give(1, Input::Leave(Duration::from_secs(30)));
    world.run(15);
    assert!(world.hosts[1].has_left);
    world.kill(1);
    world.run(2);
    world.boot(1);
    world.run(33);
    let (gap, name) = world.longest_gap(from);
    assert!(gap < Duration::from_millis(10_100), "{name}: {gap:?}");
    // Each change of owners has two check for one interval and a second.
    for target in world.file.clone() {
        let starts = world.starts(&target.name, from).len();
        assert!(starts <= 5 + 2 + 3, "{}: {starts}", target.name);
    }
}

#[test]
fn what_a_crowd_missed_is_caught_up_with_at_little_more_than_the_steady_rate() {
    let mut world = World::with_file(3, every(10, 900));
    world.run(35);
    let before = world.now;
    world.run(10);
    world.kill(2);
    let died = world.now;
    world.run(25);
    let (gap, name) = world.longest_gap(before);
    let most = DETECTION + Duration::from_secs(10);
    assert!(gap <= most, "{name} unchecked for {gap:?}");
    for second in 0..20 {
        let from = died + Duration::from_secs(second);
        let until = from + Duration::from_secs(1);
        let within = |probe: &&(Time, usize, Arc<str>)| probe.0 >= from && probe.0 < until;
        let starts = world.probes.iter().filter(within).count();
        // 90 are due each second.
        assert!(starts < 90 * 3 / 2, "{starts} in second {second}");
    }
}
