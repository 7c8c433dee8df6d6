//! Directed scenarios: the checker in trouble, at the sizes that the promises name.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Duration, Time};
use health::{Definition, Http, Probe, Rule};
use sim::{Fault, Mood, Plan, Report, Server, run};

const SECOND: Duration = Duration::from_secs(1);

/// So many targets, checked every second with a timeout of half a second, all up.
fn fleet(targets: u32, local: bool, span_s: u64) -> Plan {
    let mut servers = BTreeMap::new();
    let mut file = Vec::new();
    for i in 0..targets {
        let name: Arc<str> = format!("t{i}").into();
        file.push(Arc::new(Definition {
            name: Arc::clone(&name),
            probe: Probe::Http(Box::new(Http::get("http://sim/"))),
            interval: SECOND,
            timeout: SECOND / 2,
            rule: Rule::default(),
            confirm: 0,
            paused: false,
            labels: Box::default(),
            group: None,
        }));
        let server = Server {
            local,
            latency: Duration::from_millis(4),
            moods: Vec::new(),
        };
        servers.insert(name, server);
    }
    Plan {
        seed: 1,
        servers,
        file,
        in_flight_max: 4_096,
        span: SECOND * u32::try_from(span_s).expect("short"),
        faults: Vec::new(),
    }
}

fn at(seconds: u64, fault: Fault) -> (Time, Fault) {
    (Time(seconds * 1_000_000), fault)
}

fn outage(target: u32, mood: Mood, span: Duration) -> Fault {
    Fault::Outage(format!("t{target}").into(), mood, span)
}

/// Every promise holds.
fn holds(plan: &Plan) -> Report {
    let report = run(plan, None, 60);
    assert_eq!(report.broken, None, "{}", report.trace);
    report
}

#[test]
fn the_wall_clock_an_hour_forward_and_back_changes_nothing() {
    let mut plan = fleet(500, false, 30);
    plan.faults = vec![
        at(8, Fault::JumpWall(3_600_000)),
        at(16, Fault::JumpWall(-3_600_000)),
    ];
    let report = holds(&plan);
    assert_eq!(report.downs, 0);
    assert!(report.checks >= 500 * 27, "{} checks", report.checks);
}

#[test]
fn a_stop_of_thirty_seconds_alarms_nobody_and_is_followed_by_no_burst() {
    let mut plan = fleet(2_000, false, 45);
    plan.faults = vec![at(5, Fault::Pause(SECOND * 30))];
    let report = holds(&plan);
    assert_eq!(report.downs, 0);
}

#[test]
fn with_fifty_places_and_one_in_twenty_silent_only_the_silent_are_down() {
    let mut plan = fleet(2_000, false, 40);
    plan.in_flight_max = 50;
    plan.faults = (0..100)
        .map(|i| at(5, outage(i * 20, Mood::Silent, SECOND * 100)))
        .collect();
    let report = holds(&plan);
    assert!((90..=100).contains(&report.downs), "{} downs", report.downs);
}

#[test]
fn all_local_targets_may_go_down_at_once_and_are_shown_so() {
    for mood in [Mood::Refusing, Mood::Silent, Mood::Unavailable] {
        let mut plan = fleet(200, true, 20);
        plan.faults = (0..200)
            .map(|i| at(5, outage(i, mood, SECOND * 8)))
            .collect();
        assert_eq!(holds(&plan).downs, 200, "{mood:?}");
    }
}

#[test]
fn a_cut_uplink_alarms_nobody_however_long_and_however_often() {
    let mut plan = fleet(200, false, 60);
    plan.faults = vec![
        at(5, Fault::CutUplink(SECOND * 20)),
        at(35, Fault::CutUplink(SECOND / 3)),
        at(40, Fault::CutUplink(SECOND * 10)),
    ];
    let report = holds(&plan);
    assert_eq!(report.downs, 0);
    assert!(report.inconclusive > 1_000);
}

#[test]
fn few_that_are_asked_often_among_many_asked_rarely_survive_a_cut_uplink() {
    let mut plan = fleet(300, false, 90);
    for definition in plan.file.iter_mut().skip(30) {
        *definition = Arc::new(Definition {
            interval: SECOND * 60,
            ..Definition::clone(definition)
        });
    }
    plan.faults = vec![at(65, Fault::CutUplink(SECOND * 20))];
    assert_eq!(holds(&plan).downs, 0);
}

#[test]
fn a_server_that_is_silent_for_the_whole_interval_is_down_in_time() {
    let mut plan = fleet(100, false, 30);
    for definition in &mut plan.file {
        *definition = Arc::new(Definition {
            timeout: SECOND,
            ..Definition::clone(definition)
        });
    }
    plan.faults = (0..9)
        .map(|i| at(5 + u64::from(i), outage(i, Mood::Silent, SECOND * 10)))
        .collect();
    assert_eq!(holds(&plan).downs, 9);
}

#[test]
fn a_processor_that_is_taken_away_alarms_nobody() {
    let mut plan = fleet(300, false, 30);
    plan.faults = vec![at(5, Fault::Starve(SECOND * 15))];
    assert_eq!(holds(&plan).downs, 0);
}

#[test]
fn a_hundred_crashes_lose_nothing_that_was_shown() {
    let mut plan = Plan::draw(7);
    plan.span = SECOND * 210;
    plan.faults
        .retain(|(_, fault)| matches!(fault, Fault::Outage(..)));
    let mut rng = base::Rng::new(42);
    for i in 0..100 {
        let moment = Time(2_000_000 * (i + 1) + rng.below(1_900_000));
        plan.faults.push((moment, Fault::Crash(rng.word())));
        let put = if i % 3 == 2 {
            Fault::Delete(rng.word())
        } else {
            Fault::Put(rng.word())
        };
        let before = Time(moment.0 - rng.below(30_000));
        plan.faults.push((before, put));
    }
    plan.faults.sort_by_key(|(at, _)| *at);
    let report = holds(&plan);
    assert_eq!(report.restarts, 100);
}
