//! Faults that need no rights: kill -9, SIGSTOP, drain, and all at once.

use std::time::{Duration, Instant};

use crate::course::{Course, LONG, SHORT, Size};
use crate::fleet::{DETECTION, INTERVAL};
use crate::ground::{Ground, NODES};

/// A gap that is longer holds a beat that nobody made.
pub(crate) const BEAT: Duration = Duration::from_millis(1_500);

/// Each of some nodes is killed, missed, and comes back.
fn kill_some(course: &mut Course, nodes: usize) {
    for nth in 0..nodes {
        let outage = course.outage(Some(nth));
        let from = Instant::now();
        course.fleet.nodes[nth].kill();
        let others: Vec<usize> = (0..NODES).filter(|other| *other != nth).collect();
        course.shown("its owner is killed", outage, &others, DETECTION);
        course.rest((DETECTION + INTERVAL).saturating_sub(from.elapsed()));
        course.sees(others[0], &others);
        course.gap(&format!("kill -9 of n{nth}"), from, DETECTION + INTERVAL);
        course.fleet.start_one(nth, &[]);
        course.fleet.nodes[nth].wait_ready();
        let back = Instant::now();
        course.equal(&format!("n{nth} is back"), back);
    }
}

/// Each of some nodes is killed and started at once, before anybody has missed it.
fn bounce(course: &mut Course, nodes: usize) {
    for nth in 0..nodes {
        let from = Instant::now();
        course.fleet.nodes[nth].kill();
        course.fleet.start_one(nth, &[]);
        course.fleet.nodes[nth].wait_ready();
        let back = Instant::now();
        course.equal(&format!("n{nth} killed and started at once"), back);
        course.rest(INTERVAL * 2);
        course.gap("killed and started", from, DETECTION + INTERVAL);
    }
}

/// One stands still, and goes on.
fn pause_one(course: &mut Course, span: Duration) {
    let outage = course.outage(Some(2));
    let from = Instant::now();
    course.fleet.nodes[2].signal("STOP");
    course.shown("its owner stands still", outage, &[0, 1, 3, 4], DETECTION);
    course.rest(span.saturating_sub(from.elapsed()));
    course.fleet.nodes[2].signal("CONT");
    let back = Instant::now();
    course.equal(&format!("SIGSTOP of n2 for {span:?}"), back);
    course.rest(INTERVAL * 3);
    course.gap("SIGSTOP", from, DETECTION + INTERVAL);
}

/// One after the other hands over, ends, and comes back.
fn roll(course: &mut Course, nodes: usize) {
    for nth in 0..nodes {
        let from = Instant::now();
        let took = course.fleet.nodes[nth].leave().as_secs_f64();
        course.fleet.start_one(nth, &[]);
        course.fleet.nodes[nth].wait_ready();
        let back = Instant::now();
        course.equal(&format!("n{nth} restarted, drained in {took:.1} s"), back);
        course.rest(INTERVAL * 3);
        course.gap(&format!("n{nth} restarted"), from, BEAT);
    }
}

/// All five at once.
fn kill_all(course: &mut Course) {
    course
        .fleet
        .nodes
        .iter_mut()
        .for_each(crate::node::Node::kill);
    (0..NODES).for_each(|nth| course.fleet.start_one(nth, &[]));
    course
        .fleet
        .nodes
        .iter()
        .for_each(crate::node::Node::wait_ready);
    let back = Instant::now();
    course.equal("all killed and restarted", back);
    course.rest(INTERVAL * 3);
    course.gap("once all are back", back, DETECTION + INTERVAL);
}

fn all_faults(size: Size) {
    let mut course = Course::start("loopback", Ground::loopback(), size, &[]);
    let from = Instant::now();
    course.rest(INTERVAL * 3);
    course.gap("nothing happens", from, BEAT);
    kill_some(&mut course, size.nodes);
    bounce(&mut course, size.nodes);
    pause_one(&mut course, size.pause);
    roll(&mut course, size.nodes);
    kill_all(&mut course);
    course.end();
}

#[test]
fn kills_pauses_and_restarts_raise_no_alarm_and_leave_no_target_unchecked() {
    all_faults(SHORT);
}

#[test]
#[ignore = "takes minutes: `cargo xtask bench fleet`"]
fn long_kills_pauses_and_restarts() {
    all_faults(LONG);
}
