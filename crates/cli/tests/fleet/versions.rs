//! A rolling upgrade from the previous wire version, and the way back.

use std::time::{Duration, Instant};

use crate::course::{Course, LONG, SHORT, Size};
use crate::fleet::INTERVAL;
use crate::ground::{Ground, NODES};
use crate::loopback::BEAT;

/// What a node of the previous release speaks.
const PREVIOUS: [&str; 2] = ["--wire-version", "1"];

/// One node after the other hands over, ends, and is back as another release.
fn replace_all(course: &mut Course, what: &str, more: &[&str], rest: Duration) {
    let from = Instant::now();
    for nth in 0..NODES {
        course.fleet.nodes[nth].leave();
        course.fleet.start_one(nth, more);
        course.fleet.nodes[nth].wait_ready();
        let back = Instant::now();
        course.equal(&format!("n{nth} {what}"), back);
        course.rest(rest);
    }
    course.rest(INTERVAL * 2);
    course.gap(what, from, BEAT);
}

fn up_and_back(size: Size, rest: Duration) {
    let mut course = Course::start("versions", Ground::loopback(), size, &PREVIOUS);
    replace_all(&mut course, "upgraded", &[], rest);
    if size.nodes == NODES {
        replace_all(&mut course, "taken back", &PREVIOUS, rest);
    }
    for node in &course.fleet.nodes {
        let log = node.log();
        let refused = log.lines().filter(|l| l.contains("newer wire version"));
        let refused: Vec<String> = refused.map(ToOwned::to_owned).collect();
        course.report.none("refusals that lasted", &refused);
    }
    course.end();
}

#[test]
fn a_cluster_is_upgraded_node_by_node_without_a_missed_beat() {
    up_and_back(SHORT, Duration::ZERO);
}

#[test]
#[ignore = "takes minutes: `cargo xtask bench fleet`"]
fn long_upgrade_and_back() {
    up_and_back(LONG, Duration::from_secs(10));
}

#[test]
fn a_version_that_this_build_does_not_speak_is_refused() {
    for version in ["0", "9", "x"] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_roundsman"))
            .args(["run", "--wire-version", version])
            .output()
            .expect("the binary runs");
        assert_eq!(output.status.code(), Some(2), "{version}");
    }
}
