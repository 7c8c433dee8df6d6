//! What the courses of each kind reach, and which promises break on how many seeds.
//!
//! `cargo run -p roundsman-sim --example store_census -- 500 [first seed]`, or with
//! `show Deletes 17` one broken course, cut down, with its trace.
#![expect(clippy::print_stdout, reason = "a tool for people")]

use std::collections::BTreeMap;

use sim::store::{Course, Kind, cut_down, run};

fn main() {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if(|first| first == "show").is_some() {
        let name = arguments.next().unwrap_or_default();
        let kind = Kind::ALL
            .into_iter()
            .find(|kind| format!("{kind:?}") == name)
            .expect("a kind of course");
        let seed = arguments.next().and_then(|seed| seed.parse().ok());
        return show(&Course::draw(kind, seed.expect("a seed")));
    }
    let mut number = |default| match arguments.next() {
        Some(text) => text.parse().expect("a number"),
        None => default,
    };
    let (count, first): (u64, u64) = (number(200), number(0));
    for kind in Kind::ALL {
        let mut sums = [0_u64; 5];
        let mut broken = BTreeMap::new();
        for seed in first..first + count {
            let report = run(&Course::draw(kind, seed), |_| {}, 0);
            let numbers = [
                report.steps,
                report.writes,
                report.confirmed,
                report.renamed,
                report.retired,
            ];
            for (sum, number) in sums.iter_mut().zip(numbers) {
                *sum += number;
            }
            if let Some(this) = report.broken {
                let entry = broken.entry(this.promise).or_insert((0, seed, this));
                entry.0 += 1;
            }
        }
        let [steps, writes, confirmed, renamed, retired] = sums.map(|sum| sum / count);
        println!(
            "{kind:?}: by seed {steps} steps, {writes} writes, {confirmed} confirmed, {renamed} renamed, {retired} retired"
        );
        for (count, seed, first) in broken.values() {
            let text: String = first.to_string().chars().take(400).collect();
            println!("  {count} seeds, first {seed}: {text}");
        }
    }
}

fn show(course: &Course) {
    let Some(broken) = run(course, |_| {}, 0).broken else {
        println!("nothing broke");
        return;
    };
    let least = cut_down(course, |_| {}, broken.promise);
    let again = run(&least, |_| {}, 1_000_000);
    for (at, fault) in &least.plan.faults {
        println!("{at} {fault:?}");
    }
    println!("retention {:?}, push {}", least.retention, least.push);
    let trace = again.trace.to_string();
    let says = |line: &&str| !line.ends_with("Ticked") && !line.ends_with("Datagram, 22)");
    for line in trace.lines().filter(says) {
        println!("{line}");
    }
    for (host, view) in again.views.iter().enumerate() {
        println!("host {host}: {view:?}");
    }
    if let Some(broken) = again.broken {
        println!("{broken}");
    }
}
