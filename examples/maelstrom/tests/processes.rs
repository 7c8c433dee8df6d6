//! The same labs over real processes, once and short: the loop around the node, pipes and exit codes.

use std::process::{Command, Output, Stdio};

fn labs(arguments: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_labs"))
        .args(arguments)
        .output();
    output.expect("the harness was built for this test")
}

fn text(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    format!("{out}{errors}")
}

const NAMES: [&str; 6] = [
    "echo",
    "unique-ids",
    "broadcast",
    "g-set",
    "g-counter",
    "pn-counter",
];

/// All at the same time: they mostly wait.
#[test]
fn all_six_labs_pass_over_real_processes_with_latency_and_cuts() {
    let running = NAMES.map(|name| {
        let lab = Command::new(env!("CARGO_BIN_EXE_labs"))
            .args([
                name,
                "--nodes=3",
                "--rate=50",
                "--time-limit=1",
                "--latency=20",
                "--partition",
                "--partition-interval=0.4",
                "--recovery=4",
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        lab.expect("the harness was built for this test")
    });
    for (name, lab) in NAMES.into_iter().zip(running) {
        let output = lab.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        assert!(
            text(&output).contains(&format!("{name}: 3 nodes")),
            "{name}"
        );
        assert!(!text(&output).contains("FAIL"), "{}", text(&output));
    }
}

#[test]
fn one_command_plays_all_six() {
    let output = labs(&["all", "--virtual", "--nodes=3", "--partition"]);
    assert!(output.status.success(), "{}", text(&output));
    for name in NAMES {
        assert!(
            text(&output).contains(&format!("{name}: 3 nodes")),
            "{name}"
        );
    }
}

#[test]
fn the_binary_for_maelstrom_is_a_node_as_the_harness_starts_it() {
    let bin = format!("--bin={}", env!("CARGO_BIN_EXE_roundsman-maelstrom"));
    let short = ["--nodes=2", "--rate=50", "--time-limit=0.5", "--recovery=2"];
    let arguments = [&["pn-counter", &bin], &short[..], &["--", "pn-counter"]].concat();
    let output = labs(&arguments);
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn a_failed_check_ends_with_one_and_a_mistake_with_two() {
    let bar = ["broadcast", "--virtual", "--max-msgs-per-op=0"];
    let output = labs(&bar);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("FAIL"), "{}", text(&output));
    for mistake in [&["echo", "--nodes=0"][..], &["echo", "--bin=/nowhere"]] {
        let output = labs(mistake);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    }
}

#[test]
fn a_program_that_ends_at_once_is_named() {
    let output = labs(&["echo", "--nodes=1", "--time-limit=1", "--bin=/bin/true"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("n0 ended"), "{}", text(&output));
}
