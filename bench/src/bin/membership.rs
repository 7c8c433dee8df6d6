//! Membership over real loopback sockets, ours and HashiCorp's serf in the same run.
//!
//! Both run as one process per agent with an address of its own, in a network namespace of their
//! own where this is allowed: then the loopback interface counts their traffic and nothing else.
//! Both are timed alike, by the lines that they print (see `cluster`).
#![expect(clippy::print_stdout, reason = "a tool for people")]

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use base::Rng;
use clap::Parser;
use roundsman_bench::cluster::{Belief, Cluster, Protocol};
use roundsman_bench::ours::{self, Ours};
use roundsman_bench::serf::{self, Serf};

/// Crash, joining and idling of membership, ours beside serf.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many agents
    #[arg(long, default_value_t = 30)]
    nodes: usize,
    /// How many crashes
    #[arg(long, default_value_t = 10)]
    rounds: u32,
    /// How many join one at once
    #[arg(long, default_value_t = 50)]
    joining: usize,
    /// How often they do; at most 100 s for each protocol
    #[arg(long, default_value_t = 3)]
    joining_rounds: u32,
    /// For how many seconds the idle agents are watched
    #[arg(long, default_value_t = 30)]
    idle: u64,
    /// Only ours
    #[arg(long)]
    without_serf: bool,
    /// Only serf
    #[arg(long, conflicts_with = "without_serf")]
    without_ours: bool,
    /// Stay in the network namespace that we are in
    #[arg(long)]
    here: bool,
    /// Be this agent of ours (used by the bench itself)
    #[arg(long, hide = true)]
    agent: Option<usize>,
}

/// How long one crash may take to be known, and one return.
const CRASH_MAX: Duration = Duration::from_secs(45);
/// When crashes take longer than this in the mean, there are fewer of them.
const CRASH_USUAL: Duration = Duration::from_secs(18);
/// How long one round of joining may take; and the last one starts within this.
const JOINING_MAX: Duration = Duration::from_secs(100);

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(nth) = arguments.agent {
        return ours::run(nth);
    }
    if !arguments.here {
        enter_own_network()?;
        println!("no network namespace of our own: bytes and packets are the whole machine's");
    }
    if arguments.nodes < 3 {
        bail!("--nodes is {}; it must be at least 3", arguments.nodes);
    }
    let mut columns = Vec::new();
    if !arguments.without_ours {
        columns.push(("ours".to_owned(), measure("ours", &Ours, &arguments)?));
    }
    if !arguments.without_serf {
        match serf::version() {
            Some(version) => columns.push((version, measure("serf", &Serf, &arguments)?)),
            None => {
                println!("serf is not installed (Debian's package serf): only ours is measured")
            }
        }
    }
    print(&columns, &arguments);
    Ok(())
}

/// Becomes this program again in a network and process namespace of its own, where everything ends with it;
/// returns if that is not allowed.
fn enter_own_network() -> Result<()> {
    for more in [&[][..], &["--user", "--map-root-user"]] {
        let unshare = || {
            let mut command = Command::new("unshare");
            command.args(more);
            command.args(["--net", "--pid", "--fork", "--kill-child", "--mount-proc"]);
            command.args(["sh", "-c"]);
            command
        };
        let up = "ip link set lo up";
        if unshare()
            .arg(up)
            .output()
            .is_ok_and(|tried| tried.status.success())
        {
            let me = std::env::current_exe()?;
            let mut command = unshare();
            command.arg(format!("{up} && exec \"$0\" --here \"$@\""));
            command.arg(me).args(std::env::args_os().skip(1));
            return Err(command.exec()).context("unshare");
        }
    }
    Ok(())
}

/// What was measured of one protocol.
#[derive(Debug, Default)]
struct Figures {
    /// From `kill -9` until every other agent had called it dead, sorted.
    crashes: Vec<f64>,
    /// Crashes that not every agent knew of in time, and returns that not every agent saw in time.
    missed: usize,
    false_deaths: usize,
    joinings: Vec<Option<f64>>,
    bytes: f64,
    packets: f64,
    cpu_ms: f64,
    /// How many agents were idle.
    agents: usize,
}

fn measure(name: &str, protocol: &dyn Protocol, arguments: &Arguments) -> Result<Figures> {
    let mut figures = Figures {
        agents: arguments.nodes,
        ..Figures::default()
    };
    let mut cluster = Cluster::start(protocol, arguments.nodes)?;
    cluster.join(1..arguments.nodes, 0)?;
    if cluster.wait(JOINING_MAX, Cluster::all_see_all).is_none() {
        bail!("{name}: not all agents see all after {JOINING_MAX:?}");
    }
    println!("{name}: {} agents see each other", arguments.nodes);
    idle(&mut cluster, arguments, &mut figures);
    crashes(&mut cluster, arguments, &mut figures)?;
    figures.false_deaths += cluster.false_deaths;
    drop(cluster);
    joinings(protocol, arguments, &mut figures)?;
    Ok(figures)
}

fn idle(cluster: &mut Cluster<'_>, arguments: &Arguments, figures: &mut Figures) {
    cluster.watch(Duration::from_secs(10));
    let (bytes, packets) = loopback();
    let cpu = cluster.cpu_seconds();
    let begin = Instant::now();
    cluster.watch(Duration::from_secs(arguments.idle));
    let share = begin.elapsed().as_secs_f64() * arguments.nodes as f64;
    let (bytes_then, packets_then) = loopback();
    figures.cpu_ms = (cluster.cpu_seconds() - cpu) * 1e3 / share;
    figures.bytes = (bytes_then - bytes) as f64 / share;
    figures.packets = (packets_then - packets) as f64 / share;
    println!(
        "  idle: {:.0} B/s, {:.2} ms of CPU a second per agent",
        figures.bytes, figures.cpu_ms
    );
}

fn crashes(cluster: &mut Cluster<'_>, arguments: &Arguments, figures: &mut Figures) -> Result<()> {
    let mut rng = Rng::new(1);
    let begin = Instant::now();
    for round in 0..arguments.rounds {
        if begin.elapsed() > CRASH_USUAL * arguments.rounds {
            println!("  no more crashes: each took over {CRASH_USUAL:?}");
            break;
        }
        // At any moment of the protocol's second.
        cluster.watch(Duration::from_millis(500 + rng.below(1_000)));
        let victim = 1 + round as usize % (arguments.nodes - 1);
        let begin = Instant::now();
        cluster.kill(victim)?;
        let known = cluster.wait(CRASH_MAX, |now| now.all_see(victim, Belief::Dead));
        match known {
            Some(at) => figures.crashes.push(at.duration_since(begin).as_secs_f64()),
            None => figures.missed += 1,
        }
        cluster.start_one(victim)?;
        cluster.join(std::iter::once(victim), 0)?;
        let is_back = cluster.wait(CRASH_MAX, Cluster::all_see_all);
        figures.missed += usize::from(is_back.is_none());
        println!(
            "  crash {}: {}",
            round + 1,
            seconds(figures.crashes.last().copied())
        );
    }
    figures.crashes.sort_by(f64::total_cmp);
    Ok(())
}

fn joinings(protocol: &dyn Protocol, arguments: &Arguments, figures: &mut Figures) -> Result<()> {
    let begin = Instant::now();
    for round in 0..arguments.joining_rounds {
        if begin.elapsed() > JOINING_MAX {
            println!("  no more joining: {JOINING_MAX:?} are over");
            break;
        }
        let mut cluster = Cluster::start(protocol, arguments.joining + 1)?;
        cluster.watch(Duration::from_secs(2));
        let begin = cluster.join(1..=arguments.joining, 0)?;
        let all = cluster.wait(JOINING_MAX, Cluster::all_see_all);
        let took = all.map(|at| at.duration_since(begin).as_secs_f64());
        println!("  joining {}: {}", round + 1, seconds(took));
        figures.joinings.push(took);
        figures.false_deaths += cluster.false_deaths;
    }
    Ok(())
}

/// Bytes and packets that the loopback interface has carried; each counts once.
fn loopback() -> (u64, u64) {
    let text = fs::read_to_string("/proc/net/dev").unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("lo:"));
    let mut fields = line.unwrap_or_default().split_whitespace();
    let mut next = || {
        fields
            .next()
            .and_then(|field| field.parse().ok())
            .unwrap_or(0)
    };
    (next(), next())
}

fn seconds(took: Option<f64>) -> String {
    took.map_or("not in time".to_owned(), |took| format!("{took:.2} s"))
}

/// The smallest figure that at least `part` of all are not above.
fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let rank = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

fn print(columns: &[(String, Figures)], arguments: &Arguments) {
    println!();
    for (name, figures) in columns {
        println!(
            "{name}: {} agents, {} crashes, {} joining rounds",
            figures.agents,
            figures.crashes.len(),
            figures.joinings.len()
        );
    }
    println!(
        "bytes and packets: all that the loopback interface carried, headers of Ethernet (14), IP and UDP or TCP included"
    );
    println!(
        "reference: serf with its LAN profile as this project's plan states it, 30 agents, another machine"
    );
    println!();
    print!("{:44}", "");
    for (name, _) in columns {
        print!("{:>14}", name.split(' ').next().unwrap_or_default());
    }
    println!("{:>14}  reference (serf)", "goal (ours)");
    let row = |what: &str, goal: &str, reference: &str, read: &dyn Fn(&Figures) -> String| {
        print!("{what:44}");
        for (_, figures) in columns {
            print!("{:>14}", read(figures));
        }
        println!("{goal:>14}  {reference}");
    };
    row(
        "crash known to all others, median",
        "<= 4 s",
        "7.7 s",
        &|f| seconds(quantile(&f.crashes, 0.5)),
    );
    row(
        "  p99 (under 100 rounds: the slowest)",
        "<= 6 s",
        "10.1 s",
        &|f| seconds(quantile(&f.crashes, 0.99)),
    );
    row("  rounds not known or not healed in 45 s", "0", "", &|f| {
        f.missed.to_string()
    });
    row("false deaths", "0", "0", &|f| f.false_deaths.to_string());
    for round in 0..arguments.joining_rounds as usize {
        let what = format!(
            "{} join one at once, all see all, round {}",
            arguments.joining,
            round + 1
        );
        let reference = ["1.06 s", "1.10 s", "64.7 s (once)"]
            .get(round)
            .unwrap_or(&"");
        row(&what, "<= 2 s", reference, &|f| {
            f.joinings
                .get(round)
                .map_or("-".to_owned(), |&took| seconds(took))
        });
    }
    row(
        "idle: bytes a second per agent",
        "stated",
        "270-350",
        &|f| format!("{:.0}", f.bytes),
    );
    row("  packets a second per agent", "stated", "", &|f| {
        format!("{:.1}", f.packets)
    });
    row("  CPU a second per agent", "stated", "1.5 ms", &|f| {
        format!("{:.2} ms", f.cpu_ms)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_p99_of_ten_is_the_slowest() {
        let ten: Vec<f64> = (1..=10).map(f64::from).collect();
        assert_eq!(quantile(&ten, 0.5), Some(5.0));
        assert_eq!(quantile(&ten, 0.99), Some(10.0));
        assert_eq!(quantile(&[], 0.99), None);
    }
}
