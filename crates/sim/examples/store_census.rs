//! What the courses of each kind reach, and which promises break on how many seeds.
//!
//! `cargo run -p roundsman-sim --example store_census -- 500 [first seed]`
#![expect(clippy::print_stdout, reason = "a tool for people")]

use std::collections::BTreeMap;

use sim::store::{Course, Kind, run};

fn main() {
    let mut arguments = std::env::args().skip(1);
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
