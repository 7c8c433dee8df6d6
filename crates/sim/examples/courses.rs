//! Courses from seed to seed on all cores: prints the broken ones, and how many there were.
//!
//! `cargo run --release -p roundsman-sim --example courses -- store any 0 1000`, or `fleet Cuts`.
//! Every thousand seeds it says how far it is. With `sum` as the last word it also sums up every
//! line of every trace, at half the speed: two builds with the same sum did exactly the same.
//! Of fleets it says in the end by how much more than its interval a target went unchecked at most.
#![expect(clippy::print_stdout, reason = "a tool for people")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use base::Duration;
use sim::{fleet, store};

/// What broke, the sum of the trace, and how long targets went unchecked beside their interval: with
/// good links, after bad or one-way ones, where less than a majority is left.
type Ran = (Option<String>, u64, [Duration; 3]);
/// Runs one course.
type Run = Box<dyn Fn(u64) -> Ran + Sync>;

fn kinds(of: &str, name: &str, keep: usize) -> Vec<(String, Run)> {
    let mut all: Vec<(String, Run)> = Vec::new();
    if of == "store" {
        for kind in store::Kind::ALL {
            let run = move |seed| {
                let report = store::run(&store::Course::draw(kind, seed), |_| {}, keep);
                let broken = report.broken.map(|b| b.to_string());
                (broken, report.trace.sum().1, [Duration::ZERO; 3])
            };
            all.push((format!("{kind:?}"), Box::new(run)));
        }
    } else {
        for kind in fleet::Kind::ALL {
            let run = move |seed| {
                let report = fleet::run(&fleet::Course::draw(kind, seed), keep);
                let over = report.figures.over_interval;
                let broken = report.broken.map(|b| b.to_string());
                (broken, report.trace.sum().1, over)
            };
            all.push((format!("{kind:?}"), Box::new(run)));
        }
    }
    all.retain(|(kind, _)| name == "any" || kind == name);
    assert!(!all.is_empty(), "no kind of course is called {name}");
    all
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [of, kind, from, until, rest @ ..] = words.as_slice() else {
        println!("courses store|fleet any|KIND FROM UNTIL [sum]");
        return;
    };
    let number = |text: &str| text.parse::<u64>().expect("a seed is a number");
    let (from, until) = (number(from), number(until));
    let kinds = kinds(of, kind, rest.len());
    let (next, sum) = (AtomicU64::new(from), AtomicU64::new(0));
    let (count, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let most = Mutex::new([Duration::ZERO; 3]);
    let one = |seed: u64| {
        for (kind, run) in &kinds {
            let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(seed)));
            let panicked = || (Some("panicked".to_owned()), 0, [Duration::ZERO; 3]);
            let (broken, trace, over) = ran.unwrap_or_else(|_| panicked());
            let mut most = most.lock().expect("nobody panics with it");
            most.iter_mut().zip(over).for_each(|(m, o)| *m = o.max(*m));
            drop(most);
            count.fetch_add(1, Relaxed);
            sum.fetch_add(trace, Relaxed);
            if let Some(broken) = broken {
                failed.fetch_add(1, Relaxed);
                println!("{kind}, seed {seed}: {broken}");
            }
        }
        if seed % 1_000 == 999 {
            println!("at {seed}: {} courses", count.load(Relaxed));
        }
    };
    std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        for _ in 0..cores {
            scope.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Relaxed)).filter(|s| *s < until) {
                    one(seed);
                }
            });
        }
    });
    let (count, failed) = (count.into_inner(), failed.into_inner());
    let sum = sum.into_inner();
    println!("{count} courses, {failed} broken");
    if of == "fleet" {
        let most = most.into_inner().expect("nobody panicked with it");
        let [good, bad, few] = most.map(|span| span.as_secs_f64());
        println!(
            "unchecked beside the interval: {good} s, {bad} s after bad links, {few} s with few left"
        );
    }
    if !rest.is_empty() {
        println!("sum of all traces {sum:016x}");
    }
}
