//! How far a fleet goes: memory per target, idle traffic, and whole runs, beside the goals.
//!
//! Whole nodes in the simulator, in one thread. Traffic and spans are simulated and the same on
//! every machine; memory and wall time are this machine's. See `sim::fleet::scale`.
#![expect(clippy::print_stdout, reason = "a tool for people")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use base::Time;
use clap::{Parser, ValueEnum};
use sim::cluster::Host;
use sim::fleet::scale::{Crowd, Size, Traffic};

/// Memory, idle traffic and whole runs of large fleets.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only these parts
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
    /// Fleets whose idle traffic is measured: nodes x targets
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "10x1000,10x100000,100x1000,100x10000,1000x1000,1000x10000"
    )]
    idle: Vec<String>,
    /// Fleets that run to the end: nodes x targets
    #[arg(long, value_delimiter = ',', default_value = "100x100000,1000x10000")]
    runs: Vec<String>,
    /// Targets of the fifty nodes whose memory is measured; and once more twice as many
    #[arg(long, default_value_t = 20_000)]
    memory: u32,
    /// Seconds between two checks of a target
    #[arg(long, default_value_t = 10)]
    interval: u64,
    /// Definitions with names of 40 characters, labels and expectations
    #[arg(long)]
    rich: bool,
    /// All randomness comes from here
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Says where a large fleet is after each simulated second
    #[arg(long)]
    verbose: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Bytes on a node per target
    Memory,
    /// Bytes per second that a node sends while nothing happens
    Idle,
    /// From boot to the end, with outages and a death
    Runs,
}

/// What the agent's seal and head, UDP and IP add to a packet (docs/wire.md).
const ENVELOPE: u64 = 71 + 8 + 20;
const SECOND: Duration = Duration::from_secs(1);
/// How long a calm fleet is listened to.
const LISTEN: Duration = Duration::from_secs(30);

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let wants = |part| arguments.only.is_empty() || arguments.only.contains(&part);
    if std::env::var_os(TUNABLES).is_none() {
        println!("| what | goal | figure |");
        println!("|---|---|---|");
    }
    if wants(Part::Memory) {
        memory(&arguments)?;
    }
    if wants(Part::Idle) {
        for text in &arguments.idle {
            idle(size(text, &arguments)?)?;
        }
    }
    if wants(Part::Runs) {
        for text in &arguments.runs {
            let size = size(text, &arguments)?;
            if std::env::var_os(TUNABLES).is_some() {
                run(size, arguments.verbose)?;
            } else {
                run_apart(text, &arguments)?;
            }
        }
    }
    Ok(())
}

/// Where the C library's allocator looks for its settings, when a process starts.
const TUNABLES: &str = "GLIBC_TUNABLES";
/// A thousand nodes in one process take turns with thousands of small pieces each: with more of
/// them kept ready, and large ones not given back each time, a run takes a fifth less time.
const FOR_MANY_NODES: &str = "glibc.malloc.tcache_count=2000:glibc.malloc.mmap_threshold=1073741824:glibc.malloc.trim_threshold=4294967296";

/// One run in a process of its own: its peak of memory is its own, and so is its allocator.
fn run_apart(text: &str, arguments: &Arguments) -> Result<()> {
    let [interval, seed] = [arguments.interval, arguments.seed].map(|n| n.to_string());
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command.args(["--only", "runs", "--runs", text]);
    command.args(["--interval", &interval, "--seed", &seed]);
    command.args(arguments.verbose.then_some("--verbose"));
    let status = command.env(TUNABLES, FOR_MANY_NODES).status()?;
    ensure!(status.success(), "{text}: {status}");
    Ok(())
}

fn size(text: &str, arguments: &Arguments) -> Result<Size> {
    let (nodes, targets) = text
        .split_once('x')
        .context("nodes x targets, as 10x1000")?;
    Ok(Size {
        nodes: nodes.parse()?,
        targets: targets.parse()?,
        interval: Duration::from_secs(arguments.interval),
        seed: arguments.seed,
        is_rich: arguments.rich,
    })
}

/// Memory of fifty whole nodes at two sizes; the difference is what their targets take.
fn memory(arguments: &Arguments) -> Result<()> {
    const NODES: u32 = 50;
    let mut sizes = Vec::new();
    for targets in [arguments.memory, 2 * arguments.memory] {
        let before = resident()?;
        let size = Size {
            nodes: NODES,
            targets,
            interval: Duration::from_secs(arguments.interval),
            seed: arguments.seed,
            is_rich: arguments.rich,
        };
        let mut crowd = Crowd::new(size, false);
        settle(&mut crowd, size, false)?;
        let after = resident()?;
        sizes.push((after - before, crowd.definition_bytes()));
        if sizes.len() == 1 {
            // Kept, so that the second finds no room that the first has left.
            std::mem::forget(crowd);
        }
    }
    let more = f64::from(arguments.memory) * f64::from(NODES);
    let each = (sizes[1].0 - sizes[0].0) as f64 / more;
    let (own, target) = sizes[0].1;
    row(
        "memory on a node per target, of fifty nodes (one in fifty is its own)",
        "≤ 400 bytes beside the definition's own",
        &format!(
            "{each:.0} bytes in all; {:.0} beside the {own:.0} as encoded, {:.0} beside these and the {target:.0} of the definition itself",
            each - own,
            each - own - target
        ),
    );
    Ok(())
}

/// Boots a fleet and waits until every node shows every target alike, and fresh but for one in a
/// hundred: in a large fleet some mark has always missed some node.
fn settle(crowd: &mut Crowd, size: Size, verbose: bool) -> Result<Duration> {
    for _ in 0..60 {
        pass(crowd, size, 10, verbose);
        let look = crowd.look();
        eprint_progress(size, crowd, &format!("{look:?}"));
        let few = u64::from(size.nodes) * u64::from(size.targets) / 100;
        let is_calm = look.complete == size.nodes && look.stale <= few && look.differing == 0;
        if is_calm {
            return Ok(crowd.now().since(Time::ZERO));
        }
    }
    anyhow::bail!("{size:?} has not settled within ten minutes")
}

/// So many seconds pass.
fn pass(crowd: &mut Crowd, size: Size, seconds: u32, verbose: bool) {
    for _ in 0..seconds {
        crowd.until(crowd.now() + SECOND);
        if verbose {
            eprint_progress(size, crowd, "");
        }
    }
}

fn idle(size: Size) -> Result<()> {
    let mut crowd = Crowd::new(size, true);
    settle(&mut crowd, size, false)?;
    // What was new at the end goes round for some seconds.
    crowd.until(crowd.now() + SECOND * 30);
    let before = crowd.traffic();
    crowd.until(crowd.now() + LISTEN);
    let traffic = crowd.traffic().since(&before);
    row(
        &format!(
            "idle, {} nodes, {} targets: sent by node",
            size.nodes, size.targets
        ),
        &format!("≤ {} kB/s", goal_of(size.nodes)),
        &shown(&traffic, size.nodes),
    );
    Ok(())
}

const fn goal_of(nodes: u32) -> u32 {
    match nodes {
        0..=10 => 2,
        11..=100 => 10,
        _ => 40,
    }
}

fn shown(traffic: &Traffic, nodes: u32) -> String {
    let each = |bytes: u64| bytes as f64 / f64::from(nodes) / LISTEN.as_secs_f64();
    let wire = traffic.bytes + (traffic.datagrams + traffic.streams) * ENVELOPE;
    let kinds: Vec<String> = traffic
        .kinds
        .iter()
        .map(|(kind, bytes)| format!("{kind} {:.0}", each(*bytes)))
        .collect();
    format!(
        "{:.0} bytes/s with seal, UDP and IP; {:.0} without ({}); {:.1} datagrams/s, {:.2} messages/s by stream",
        each(wire),
        each(traffic.bytes),
        kinds.join(", "),
        each(traffic.datagrams),
        each(traffic.streams)
    )
}

/// Boot, calm, outages, a death, recovery, the end.
fn run(size: Size, verbose: bool) -> Result<()> {
    let begin = Instant::now();
    let busy = || rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime).tv_sec;
    let mut crowd = Crowd::new(size, true);
    let settled = settle(&mut crowd, size, verbose)?;
    let boot = begin.elapsed();
    crowd.watch_gaps();
    let out = 20.min(size.targets);
    for n in 0..out {
        crowd.outage(n * (size.targets / out), SECOND * 90);
    }
    pass(&mut crowd, size, 30, verbose);
    let owned = crowd.kill(Host(size.nodes - 1));
    pass(&mut crowd, size, 150, verbose);
    let (look, figures) = (crowd.look(), crowd.figures());
    let simulated = crowd.now().since(Time::ZERO);
    let wall = begin.elapsed();
    let rest = (wall - boot).as_secs_f64() / (simulated - settled).as_secs_f64() * 60.0;
    let name = format!("{} nodes × {} targets", size.nodes, size.targets);
    row(
        &format!("{name}: {} simulated seconds", simulated.as_secs()),
        "run to the end",
        &format!(
            "{:.0} s in all, {} s of a core; settled at {} s after {:.0} s; then {rest:.0} s per simulated minute; peak memory {:.1} GiB",
            wall.as_secs_f64(),
            busy(),
            settled.as_secs(),
            boot.as_secs_f64(),
            peak()? as f64 / f64::from(1 << 30)
        ),
    );
    let bound = size.interval * 3 + Duration::from_secs(2) * 2 + Duration::from_secs(2);
    row(
        &format!("{name}: {out} outages, `down` on every node"),
        &format!("≤ {} s", bound.as_secs()),
        &format!(
            "{:.1} s, seen {} times (at least {} if each node saw each; the one that died saw some)",
            figures.seen_down.as_secs_f64(),
            figures.pairs_down,
            u64::from(out) * u64::from(size.nodes - 1)
        ),
    );
    row(
        &format!("{name}: a node with {owned} targets dies"),
        "detection + grace + one interval",
        &format!(
            "longest gap between two checks {:.1} s",
            figures.gap.as_secs_f64()
        ),
    );
    row(
        &format!("{name}: at the end"),
        "0, 0, 0, 0",
        &format!(
            "{} false alarms, {} never checked, {} nodes differ, {} stale; {} checks, {} opinions",
            figures.false_alarms,
            crowd.unchecked(),
            look.differing,
            look.stale,
            figures.checks,
            figures.opinions
        ),
    );
    ensure!(figures.false_alarms == 0, "false alarms");
    ensure!(
        look.differing == 0 && crowd.unchecked() == 0,
        "nodes differ at the end"
    );
    Ok(())
}

fn row(what: &str, goal: &str, figure: &str) {
    println!("| {what} | {goal} | {figure} |");
}

/// Large fleets take a while: where they are goes to standard error.
#[expect(clippy::print_stderr, reason = "a tool for people")]
fn eprint_progress(size: Size, crowd: &Crowd, what: &str) {
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    eprintln!(
        "{}x{}: {} s, {} s of a core, {:.1} GiB {what}",
        size.nodes,
        size.targets,
        crowd.now().since(Time::ZERO).as_secs(),
        cpu.tv_sec,
        resident().unwrap_or(0) as f64 / f64::from(1 << 30)
    );
}

/// Bytes of memory in use.
fn resident() -> Result<i64> {
    status("VmRSS:")
}

/// The most that was ever in use.
fn peak() -> Result<i64> {
    status("VmHWM:")
}

fn status(field: &str) -> Result<i64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.with_context(|| format!("no {field}"))?;
    Ok(kib.trim().trim_end_matches(" kB").parse::<i64>()? * 1_024)
}
