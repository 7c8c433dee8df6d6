//! Membership in the simulator: how fast the dead and the new are known, and what it costs.
//!
//! Virtual time, LAN delays of 0.2 to 2 ms; every figure is a pure function of its seeds, so it is
//! the same on every machine. Real sockets are measured by the bench `membership`.
#![expect(clippy::print_stdout, reason = "a tool for people")]

use base::Duration;
use clap::Parser;
use sim::cluster::Link;
use sim::membership::reports::{
    Spans, crash_known_to_all, description_spread, heals_after, idle, joined_by_all, stalls,
};

/// Figures of membership in virtual time.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only these parts: crash, crash-1000, join, stall, partition, idle, change
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Crashes among 30 nodes
    #[arg(long, default_value_t = 400)]
    crashes: u32,
    /// Crashes among 1,000 nodes
    #[arg(long, default_value_t = 100)]
    crashes_1000: u32,
    /// Seeds in which 50 nodes join at once
    #[arg(long, default_value_t = 1_000)]
    joins: u64,
    /// Simulated hours with a member that stands still for 5 s every minute
    #[arg(long, default_value_t = 24)]
    hours: u32,
    /// Partitions of an hour
    #[arg(long, default_value_t = 20)]
    partitions: u64,
    /// Changed descriptions
    #[arg(long, default_value_t = 500)]
    changes: u16,
}

/// Crashes in one crowd, before a fresh one is made from the next seed.
const CRASHES_EACH: u32 = 20;
/// The loss that the goals speak of, in thousandths.
const LOSS: u64 = 100;

/// One part of the table: its name on the command line, and what prints its rows.
type Part = (&'static str, fn(&Arguments));

fn main() {
    let arguments = Arguments::parse();
    println!(
        "{:<58} {:>6}  {:<44} goal",
        "membership, simulated", "count", "figure"
    );
    let parts: [Part; 7] = [
        ("crash", |a| crashes(30, a.crashes, Some(4.0), 6.0)),
        ("crash-1000", |a| {
            crashes(1_000, a.crashes_1000, None, 12.0);
        }),
        ("join", joins),
        ("stall", staller),
        ("partition", partitions),
        ("idle", |_| idlers()),
        ("change", changes),
    ];
    for (name, part) in parts {
        let only = &arguments.only;
        if only.is_empty() || only.iter().any(|wanted| wanted == name) {
            part(&arguments);
        }
    }
}

fn crashes(hosts: u32, count: u32, median_s: Option<f64>, p99_s: f64) {
    for loss in [0, LOSS] {
        let mut spans = Spans::default();
        for seed in 0..u64::from(count.div_ceil(CRASHES_EACH)) {
            let each = CRASHES_EACH.min(count);
            spans.extend(crash_known_to_all(seed, hosts, Link::lossy(loss), each));
        }
        let what = format!("a crash known to all, n={hosts}, {}% loss", loss / 10);
        let met = seconds(spans.percentile(99)) <= p99_s
            && median_s.is_none_or(|goal| seconds(spans.median()) <= goal);
        let goal = median_s.map_or_else(
            || format!("p99 ≤ {p99_s} s"),
            |m| format!("median ≤ {m} s, p99 ≤ {p99_s} s"),
        );
        row(&what, spans.count(), &spread(&spans), &goal, met);
    }
}

fn joins(arguments: &Arguments) {
    let mut spans = Spans::default();
    for seed in 0..arguments.joins {
        spans.push(joined_by_all(seed, 50, Link::lan()));
    }
    let met = spans.longest() <= Duration::from_secs(2);
    let what = "50 join at once until all see all";
    row(what, spans.count(), &spread(&spans), "every one ≤ 2 s", met);
}

fn staller(arguments: &Arguments) {
    let hours = arguments.hours;
    let beat = (Duration::from_secs(5), Duration::from_secs(60));
    let span = Duration::from_secs(u64::from(hours) * 3_600);
    let report = stalls(1, 100, Link::lossy(LOSS), beat, span);
    let what = format!("{hours} h, n=100, 10% loss, one stalls 5 s a minute:");
    let count = usize::try_from(report.stalls).expect("a count");
    let figure = format!(
        "{} false deaths ({} suspicions)",
        report.false_deaths, report.suspicions
    );
    row(&what, count, &figure, "0", report.false_deaths == 0);
    let figure = spread(&report.alive_again);
    let met = report.alive_again.longest() <= Duration::from_secs(2);
    row(
        "  the staller alive in every table again",
        count,
        &figure,
        "each ≤ 2 s",
        met,
    );
    let figure = spread(&report.dead_no_more);
    let met = report.dead_no_more.longest() <= Duration::from_secs(2);
    row(
        "  the staller dead in no table any more",
        count,
        &figure,
        "each ≤ 2 s",
        met,
    );
    println!(
        "  (the staller was declared dead {} times, in one table each)",
        report.staller_deaths
    );
}

fn partitions(arguments: &Arguments) {
    for (hosts, loss) in [(5, 0), (30, 0), (30, LOSS)] {
        let mut spans = Spans::default();
        for seed in 0..arguments.partitions {
            let hour = Duration::from_secs(3_600);
            spans.push(heals_after(seed, hosts, Link::lossy(loss), hour));
        }
        let what = format!(
            "an hour in two halves, then all find all, n={hosts}, {}% loss",
            loss / 10
        );
        let met = spans.longest() <= Duration::from_secs(10);
        row(&what, spans.count(), &spread(&spans), "each ≤ 10 s", met);
    }
}

fn idlers() {
    for hosts in [10, 100, 1_000] {
        let idle = idle(1, hosts, Link::lan());
        let what = format!("idle traffic a node, n={hosts}");
        let figure = format!(
            "{} B/s in {:.1} datagrams/s",
            idle.bytes_per_second,
            idle.datagrams_per_100_s as f64 / 100.0
        );
        row(&what, 1, &figure, "stated", true);
    }
}

fn changes(arguments: &Arguments) {
    for (hosts, loss) in [(30, LOSS), (100, LOSS)] {
        let spans = description_spread(1, hosts, Link::lossy(loss), arguments.changes);
        let what = format!("a description known to all, n={hosts}, {}% loss", loss / 10);
        let met = spans.percentile(99) <= Duration::from_secs(1);
        row(&what, spans.count(), &spread(&spans), "p99 ≤ 1 s", met);
    }
}

fn row(what: &str, count: usize, figure: &str, goal: &str, met: bool) {
    let verdict = if met { "met" } else { "MISSED" };
    println!("{what:<58} {count:>6}  {figure:<44} {goal}: {verdict}");
}

fn spread(spans: &Spans) -> String {
    format!(
        "median {:.2} s, p99 {:.2} s, max {:.2} s",
        seconds(spans.median()),
        seconds(spans.percentile(99)),
        seconds(spans.longest())
    )
}

fn seconds(span: Duration) -> f64 {
    span.as_secs_f64()
}
