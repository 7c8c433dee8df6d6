//! How fast and at what cost changes spread between stores, beside the goals.
//!
//! All times are simulated and the same on every machine: links of a local network that lose 10 %
//! of all datagrams, disks that take up to 8 ms. See `sim::store::reports`.
#![expect(clippy::print_stdout, reason = "a tool for people")]

use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use sim::store::reports::{self, Visible};

/// Prints the table of the spread of changes.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many seeds each figure is taken over; the worst is printed
    #[arg(long, default_value_t = 5)]
    seeds: u64,
    /// Leave out what takes minutes: 1,000 nodes, and 100,000 changes at 10 nodes
    #[arg(long)]
    quick: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    println!(
        "Links of 0.2 to 2 ms that lose 10 % of all datagrams; simulated time; worst of {} seeds.",
        arguments.seeds
    );
    println!("| what | goal | figure |");
    println!("|---|---|---|");
    visible(&arguments);
    costs(&arguments);
    floods(&arguments);
    idle(&arguments);
    Ok(())
}

fn visible(arguments: &Arguments) {
    for (nodes, changes) in [(10, 400), (30, 300), (100, 200)] {
        for (push, goal) in [(true, 1), (false, 2)] {
            let all = (0..arguments.seeds).map(|seed| reports::visible(seed, nodes, push, changes));
            let worst = all
                .max_by_key(|one| (one.missing, one.p99))
                .unwrap_or_default();
            let how = if push { "" } else { ", pushing off" };
            row(
                &format!("a change visible on all of {nodes} nodes{how}"),
                &format!("p99 ≤ {goal} s"),
                &shown(&worst),
            );
        }
    }
}

fn shown(visible: &Visible) -> String {
    let missing = match visible.missing {
        0 => String::new(),
        n => format!(", {n} of {} not everywhere", visible.changes),
    };
    format!(
        "p99 {}, median {}, max {}{missing}",
        millis(visible.p99),
        millis(visible.median),
        millis(visible.max)
    )
}

fn costs(arguments: &Arguments) {
    let loads = (0..arguments.seeds).map(|seed| reports::load(seed, 25, 100));
    let worst = loads
        .max_by(|a, b| a.datagrams.total_cmp(&b.datagrams))
        .unwrap_or_default();
    row(
        "25 nodes, 100 changes/s: datagrams of all nodes by change",
        "≤ 12",
        &format!(
            "{:.1} in all, {:.1} beyond idle; {:.2} streams, {:.0} bytes",
            worst.datagrams, worst.beyond_idle, worst.streams, worst.bytes
        ),
    );
    for nodes in [10, 25, 100] {
        let all: Vec<_> = (0..arguments.seeds)
            .map(|seed| reports::lone(seed, nodes))
            .collect();
        let mean = all.iter().map(|one| one.mean).fold(0.0, f64::max);
        let max = all.iter().map(|one| one.max).max().unwrap_or(0);
        row(
            &format!("a lone change: datagrams with it by node, {nodes} nodes"),
            "≤ 12",
            &format!("{mean:.1} on average, at most {max}"),
        );
    }
}

fn floods(arguments: &Arguments) {
    let sizes: &[u32] = if arguments.quick { &[5] } else { &[5, 10] };
    for &nodes in sizes {
        for is_spread in [false, true] {
            let all = (0..arguments.seeds.min(3))
                .map(|seed| reports::flood(seed, nodes, 100_000, is_spread));
            let worst = all.max_by_key(|one| one.everywhere.unwrap_or(Duration::MAX));
            let worst = worst.unwrap_or_default();
            let by = if is_spread { "all" } else { "one" };
            let time = worst
                .everywhere
                .map_or("not within a minute".to_owned(), millis);
            row(
                &format!("100,000 changes at once by {by}, known to all of {nodes} nodes"),
                "≤ 3 s",
                &format!("{time}, {} MB in all", worst.bytes / 1_000_000),
            );
        }
    }
}

fn idle(arguments: &Arguments) {
    let sizes: &[u32] = if arguments.quick {
        &[10, 100]
    } else {
        &[10, 100, 1_000]
    };
    for &nodes in sizes {
        let idle = reports::idle(0, nodes);
        row(
            &format!("idle, {nodes} nodes: sent by node"),
            "stated",
            &format!(
                "{:.0} bytes/s, {:.1} datagrams/s",
                idle.bytes, idle.datagrams
            ),
        );
    }
}

fn row(what: &str, goal: &str, figure: &str) {
    println!("| {what} | {goal} | {figure} |");
}

fn millis(span: Duration) -> String {
    format!("{} ms", span.as_millis())
}
