//! Nothing about the checker becomes a false alarm.

use std::time::{Duration, Instant};

use crate::server::{Mode, Targets};
use crate::support::Node;

const N: u32 = 2_000;

fn config(targets: &Targets) -> String {
    let list: String = (0..N)
        .map(|i| format!("  - {{ name: t{i}, http: \"{}\" }}\n", targets.url(i)))
        .collect();
    format!("defaults: {{ interval: 2s, timeout: 1s, fall: 2, rise: 1 }}\ntargets:\n{list}")
}

/// Watches for `span` that nothing is ever shown down.
fn stays_calm(node: &Node, span: Duration) {
    let end = Instant::now() + span;
    while Instant::now() < end {
        assert_eq!(node.count("down"), 0);
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn few_descriptors_make_no_target_down() {
    let targets = Targets::start();
    (0..100).for_each(|i| targets.set(i * 20, Mode::Silent));
    let node = Node::start_under(
        &["sh", "-c", "ulimit -n 256; exec \"$@\"", "sh"],
        &config(&targets),
    );
    node.wait("all healthy ones up", || {
        node.count("up") == u64::from(N) - 100
    });
    node.wait("the silent ones down", || node.count("down") == 100);
    let end = Instant::now() + Duration::from_secs(4);
    while Instant::now() < end {
        assert_eq!(node.count("down"), 100, "no healthy target is called down");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(node.metric("roundsman_check_lag_seconds_count") > f64::from(N));
}

#[test]
fn a_stopped_process_that_goes_on_makes_no_target_down_and_no_burst() {
    let targets = Targets::start();
    let node = Node::start(&config(&targets));
    node.wait("all up", || node.count("up") == u64::from(N));
    let steady_from = Instant::now();
    std::thread::sleep(Duration::from_secs(5));
    let steady = targets.busiest_second(steady_from);
    node.signal("STOP");
    std::thread::sleep(Duration::from_secs(30));
    node.signal("CONT");
    let from = Instant::now();
    stays_calm(&node, Duration::from_secs(6));
    let after = targets.busiest_second(from);
    assert!(
        after * 10 <= steady * 12,
        "{after} checks in a second, {steady} in the busiest before"
    );
    assert_eq!(
        targets.asked_since(from),
        N as usize,
        "everyone is asked again"
    );
    assert!(
        node.metric("roundsman_checks_total{result=\"skipped\"}") > 0.0,
        "missed beats are visible"
    );
}

#[test]
fn a_busy_neighbour_makes_no_target_down() {
    let targets = Targets::start();
    let node = Node::start(&config(&targets));
    node.wait("all up", || node.count("up") == u64::from(N));
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let burners: Vec<_> = (0..cores)
        .map(|_| {
            let stop = std::sync::Arc::clone(&stop);
            std::thread::spawn(move || {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    stays_calm(&node, Duration::from_secs(8));
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    burners
        .into_iter()
        .for_each(|burner| burner.join().expect("it ends"));
}
