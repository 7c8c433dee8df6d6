//! How fast the pure core handles outcomes, from 1,000 to 1,000,000 targets.
//!
//! Virtual time, no sockets: every probe that the node starts passes a millisecond later, every
//! batch is on disk at once. The goal: the cost per outcome at most doubles over that range.
#![expect(clippy::print_stdout, reason = "a tool for people")]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, bail};
use base::{Duration, Time, Wall};
use clap::Parser;
use health::{
    Check, Config, Definition, Finding, Http, Input, Node, Output, Probe, Probed, Rule, Source,
};

/// Outcomes per second of the pure core.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many targets, in turn
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000, 1_000_000])]
    targets: Vec<u32>,
    /// How many outcomes are measured at each number, at least
    #[arg(long, default_value_t = 2_000_000)]
    outcomes: u64,
    /// How many times each is measured; the best counts
    #[arg(long, default_value_t = 3)]
    rounds: u32,
}

const INTERVAL: Duration = Duration::from_secs(10);
const LATENCY: Duration = Duration::from_millis(1);
const GOAL: f64 = 2.0;

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    println!("targets    outcomes   ns/outcome   outcomes/s   x first   goal");
    let mut first = None;
    for &targets in &arguments.targets {
        let mut best = f64::INFINITY;
        let mut outcomes = 0;
        for _ in 0..arguments.rounds.max(1) {
            let mut world = World::new(targets)?;
            // Two intervals: every target has been seen up, every array has its size.
            world.run(u64::from(targets) * 2)?;
            let skipped = world.node.tally().skipped;
            let begin = Instant::now();
            outcomes = world.run(arguments.outcomes.max(u64::from(targets)))?;
            let nanos = begin.elapsed().as_nanos() as f64;
            best = best.min(nanos / outcomes as f64);
            world.check(skipped)?;
        }
        let ratio = best / *first.get_or_insert(best);
        let verdict = if ratio <= GOAL { "met" } else { "missed" };
        println!(
            "{targets:<9}  {outcomes:<9}  {best:>10.1}  {:>11.0}  {ratio:>8.2}   {GOAL:.1} {verdict}",
            1e9 / best
        );
    }
    Ok(())
}

/// A node whose targets all answer.
struct World {
    node: Node,
    now: Time,
    /// Probes under way and when they end; all take equally long.
    probes: VecDeque<(Time, Check)>,
    wall_at: Time,
    outcomes: u64,
}

impl World {
    fn new(targets: u32) -> Result<Self> {
        let config = Config {
            targets_max: targets,
            ..Config::default()
        };
        let mut world = Self {
            node: Node::new(config)?,
            now: Time::ZERO,
            probes: VecDeque::new(),
            wall_at: Time::ZERO,
            outcomes: 0,
        };
        world.give(Input::Restored(Vec::new()));
        world.hear_clock();
        let definitions = (0..targets).map(definition).collect();
        world.give(Input::Load(Source::File, definitions));
        Ok(world)
    }

    /// Goes on until `wanted` more outcomes were handled; returns how many it were.
    fn run(&mut self, wanted: u64) -> Result<u64> {
        let before = self.outcomes;
        while self.outcomes - before < wanted {
            let probe = self.probes.front().map(|(at, _)| *at);
            let next = [probe, self.node.deadline(), Some(self.wall_at)];
            let next = next.into_iter().flatten().min().expect("the clock is due");
            self.now = self.now.max(next);
            if probe == Some(next) {
                let (_, check) = self.probes.pop_front().expect("looked at above");
                self.outcomes += 1;
                self.give(Input::Probed(passed(check)));
            } else if self.wall_at <= self.now {
                self.hear_clock();
            } else {
                self.give(Input::Tick);
            }
            if self.now > Time::ZERO + Duration::from_hours(24 * 365) {
                bail!("a year has passed and the node checks nothing");
            }
        }
        Ok(self.outcomes - before)
    }

    fn give(&mut self, input: Input) {
        self.node.handle(self.now, input);
        while let Some(output) = self.node.poll() {
            match output {
                Output::Probe(check) => self.probes.push_back((self.now + LATENCY, check)),
                Output::Persist { batch, .. } => {
                    self.node.handle(self.now, Input::Persisted(batch));
                }
                _ => {}
            }
        }
    }

    fn hear_clock(&mut self) {
        let millis = i64::try_from(self.now.0 / 1_000).expect("a year at most");
        self.wall_at = self.now + Duration::from_secs(1);
        self.give(Input::WallClock(Wall(1_700_000_000_000 + millis)));
    }

    /// What was measured must have been the ordinary way: no beat skipped since `skipped`.
    fn check(&self, skipped: u64) -> Result<()> {
        let counts = self.node.view().counts();
        let tally = self.node.tally();
        if counts.down + counts.unknown > 0 || tally.skipped > skipped {
            bail!("not every target is up and checked at every beat: {counts:?}, {tally:?}");
        }
        Ok(())
    }
}

fn passed(check: Check) -> Probed {
    Probed {
        slot: check.slot,
        ticket: check.ticket,
        finding: Finding::Passed,
        late: Duration::ZERO,
        timeout: Duration::from_secs(2),
        local: false,
        detail: None,
    }
}

fn definition(index: u32) -> Arc<Definition> {
    let url = format!("http://{}/health", roundsman_bench::wire::address(index));
    Arc::new(Definition {
        name: format!("t{index}").into(),
        probe: Probe::Http(Box::new(Http::get(&url))),
        interval: INTERVAL,
        timeout: Duration::from_secs(2),
        rule: Rule::default(),
        confirm: 0,
        paused: false,
        labels: Box::default(),
        group: None,
    })
}
