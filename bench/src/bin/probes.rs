//! Real checks side by side: HAProxy, roundsman and a bare loop, in alternation, one at a time.
//!
//! The checker has core 0, the targets core 1. Figures come from the targets' log and from the
//! kernel. Start reading at [`measure`]; each mode is one function.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool for people"
)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use base::Rng;
use clap::Parser;
use roundsman_bench::account::{core_busy_seconds, cpu_seconds, rss_kib};
use roundsman_bench::checkers::{API, Checker, Job, PAIR, Started, need_haproxy, pair};
use roundsman_bench::remote::Targets;
use roundsman_bench::timeliness::{Timeliness, median, timeliness};
use roundsman_bench::wire::{Mode, address, now_ns};

/// Real checks: CPU, lateness and memory beside HAProxy and a bare loop.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many targets, each an address of its own
    #[arg(long)]
    targets: Option<u32>,
    /// Time between two checks of one
    #[arg(long)]
    interval_ms: Option<u64>,
    /// Time for one check [default: the interval, at most a second]
    #[arg(long)]
    timeout_ms: Option<u64>,
    /// How long each window of measuring is
    #[arg(long, default_value_t = 8)]
    secs: u64,
    /// How many times each checker is measured; medians count
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Who is measured
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Checker::Haproxy, Checker::Roundsman, Checker::Floor])]
    checkers: Vec<Checker>,
    /// Where the targets listen; the port above is for control
    #[arg(long, default_value_t = 18_080)]
    port: u16,
    /// Roundsman keeps its connections
    #[arg(long)]
    keep_alive: bool,
    /// So many targets in a hundred accept and stay silent; figures are the others'
    #[arg(long, default_value_t = 0)]
    silent_percent: u64,
    /// Measure roundsman's memory at 10,000 and 100,000 targets every 10 s
    #[arg(long, conflicts_with_all = ["tls", "detect", "targets", "interval_ms"])]
    memory: bool,
    /// Measure what a target takes in a process that only shows it: of two real nodes the other has
    /// 10,000 and 110,000 targets, asked every hour
    #[arg(long, conflicts_with_all = ["memory", "tls", "detect", "targets", "interval_ms"])]
    shown: bool,
    /// Measure roundsman over TLS 1.3, full handshakes beside resumed ones
    #[arg(long, conflicts_with = "detect")]
    tls: bool,
    /// Measure how long it takes until a change is on the API
    #[arg(long)]
    detect: bool,
    /// How many targets go down in each way with --detect
    #[arg(long, default_value_t = 20)]
    kills: u32,
}

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("probes: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<()> {
    let arguments = Arguments::parse();
    let folder = tempfile::tempdir()?;
    let bench = Bench {
        arguments: &arguments,
        folder: folder.path(),
    };
    if arguments.memory {
        bench.memory()
    } else if arguments.shown {
        bench.shown()
    } else if arguments.tls {
        bench.tls()
    } else if arguments.detect {
        bench.detect()
    } else {
        bench.side_by_side()
    }
}

/// What was measured in one window.
#[derive(Clone, Copy, Debug)]
struct Window {
    cpu_ms_per_1000: f64,
    of_due: f64,
    kib_per_target: f64,
    /// Share of core 0 that was busy, whoever used it: above the checker's own share, the
    /// machine was not quiet.
    core_busy: f64,
    late: Timeliness,
}

struct Bench<'a> {
    arguments: &'a Arguments,
    folder: &'a Path,
}

impl Bench<'_> {
    fn job(&self, targets: u32, interval_ms: u64) -> Job {
        Job {
            targets,
            interval_ms,
            timeout_ms: self.arguments.timeout_ms.unwrap_or(interval_ms.min(1_000)),
            port: self.arguments.port,
            keep_alive: self.arguments.keep_alive,
            authority: None,
            rise: 1,
        }
    }

    fn targets(&self, arguments: &[&str]) -> Result<Targets> {
        Targets::start(self.folder, self.arguments.port, arguments)
    }

    /// The table: every checker, several times, in alternation.
    fn side_by_side(&self) -> Result<()> {
        let arguments = self.arguments;
        let job = self.job(
            arguments.targets.unwrap_or(10_000),
            arguments.interval_ms.unwrap_or(1_000),
        );
        if arguments.checkers.contains(&Checker::Haproxy) {
            need_haproxy()?;
        }
        let mut targets = self.targets(&[])?;
        let silent = self.silence(&targets, &job)?;
        println!(
            "{} targets every {} ms{}{}, {} rounds of {} s",
            job.targets,
            job.interval_ms,
            if job.keep_alive {
                ", roundsman keeps connections"
            } else {
                ""
            },
            if silent > 0 {
                format!(", {silent} of them silent")
            } else {
                String::new()
            },
            arguments.rounds,
            arguments.secs,
        );
        let mut checkers = arguments.checkers.clone();
        if silent > 0 {
            // The bare loop has no timeouts and would run out of descriptors.
            checkers.retain(|&checker| checker != Checker::Floor);
        }
        heading();
        let mut all: Vec<(Checker, Window)> = Vec::new();
        for _ in 0..arguments.rounds {
            for &checker in &checkers {
                let window = self.window(checker, &job, &mut targets, silent)?;
                row(checker.name(), &window);
                all.push((checker, window));
            }
        }
        println!("medians");
        for &checker in &checkers {
            if let Some(middle) = middle(&all, checker) {
                row(checker.name(), &middle);
            }
        }
        goals(&all, &job);
        if silent > 0 && checkers.contains(&Checker::Roundsman) {
            self.beside_no_silence(&all, &job, &mut targets)?;
        }
        Ok(())
    }

    /// Silent targets shall cost the others nothing: the same again with every target up.
    fn beside_no_silence(
        &self,
        silent: &[(Checker, Window)],
        job: &Job,
        targets: &mut Targets,
    ) -> Result<()> {
        for index in 0..job.targets {
            targets.set(address(index), Mode::Up)?;
        }
        println!("the same with no target silent");
        let mut all = Vec::new();
        for _ in 0..self.arguments.rounds {
            let window = self.window(Checker::Roundsman, job, targets, 0)?;
            row(Checker::Roundsman.name(), &window);
            all.push((Checker::Roundsman, window));
        }
        if let (Some(with), Some(without)) = (
            middle(silent, Checker::Roundsman),
            middle(&all, Checker::Roundsman),
        ) {
            // A quarter, and a millisecond, is what two runs of the same differ by.
            let most = without.late.late_p99 * 1.25 + 1.0;
            goal("lateness p99 of the others", with.late.late_p99, most);
        }
        Ok(())
    }

    /// Silences a share of the targets, chosen by a fixed seed; returns how many.
    fn silence(&self, targets: &Targets, job: &Job) -> Result<u32> {
        let mut rng = Rng::new(7);
        let mut silent = 0;
        for index in 0..job.targets {
            if rng.chance(self.arguments.silent_percent) {
                targets.set(address(index), Mode::Silent)?;
                silent += 1;
            }
        }
        Ok(silent)
    }

    /// Starts a checker, waits until it has seen every target, measures, ends it.
    fn window(
        &self,
        checker: Checker,
        job: &Job,
        targets: &mut Targets,
        silent: u32,
    ) -> Result<Window> {
        let mut running = checker.start(job, self.folder)?;
        await_all(checker, &mut running, targets, job)?;
        // Nodes that have just found each other hand over targets for a while.
        let settled = if checker == Checker::Three { 20 } else { 2 };
        thread::sleep(Duration::from_secs(settled));
        running.check(checker.name())?;
        targets.records()?;
        self.measure(&running, job, targets, silent)
    }

    fn measure(
        &self,
        running: &Started,
        job: &Job,
        targets: &mut Targets,
        silent: u32,
    ) -> Result<Window> {
        let pids = running.pids();
        let cpu_of = || pids.iter().map(|&pid| cpu_seconds(pid)).sum::<f64>();
        let (cpu, core) = (cpu_of(), core_busy_seconds(0));
        let (records, from, to) = targets.watch(Duration::from_secs(self.arguments.secs))?;
        let (cpu, core) = (cpu_of() - cpu, core_busy_seconds(0) - core);
        let seconds = (to - from) as f64 / 1e9;
        let late = timeliness(&records, job.interval_ms as f64);
        let rss = pids.iter().map(|&pid| rss_kib(pid)).sum::<u64>() as f64;
        let due = f64::from(job.targets - silent) * seconds * 1_000.0 / job.interval_ms as f64;
        Ok(Window {
            cpu_ms_per_1000: cpu * 1e6 / records.len().max(1) as f64,
            of_due: late.checks as f64 / due,
            kib_per_target: rss / f64::from(job.targets),
            core_busy: core / seconds,
            late,
        })
    }

    /// Resident memory at two sizes, and what each target more costs.
    fn memory(&self) -> Result<()> {
        let mut sizes = Vec::new();
        let mut targets = self.targets(&[])?;
        println!("targets   RSS MiB   KiB/target");
        for count in [10_000, 100_000] {
            let job = self.job(count, 10_000);
            let mut running = Checker::Roundsman.start(&job, self.folder)?;
            await_all(Checker::Roundsman, &mut running, &targets, &job)?;
            targets.watch(Duration::from_secs(20))?;
            let rss = rss_kib(running.pids()[0]) as f64;
            println!(
                "{count:<8} {:>8.1}  {:>10.2}",
                rss / 1_024.0,
                rss / f64::from(count)
            );
            sizes.push((f64::from(count), rss));
        }
        let [(few, small), (many, large)] = sizes[..] else {
            bail!("two sizes were measured");
        };
        goal("KiB per target at 10,000", small / few, 6.0);
        goal("KiB for each one more", (large - small) / (many - few), 3.0);
        Ok(())
    }

    /// Resident memory of a process for each target that it only shows.
    fn shown(&self) -> Result<()> {
        let mut sizes = Vec::new();
        println!("targets   RSS MiB of who shows them   of who checks them");
        for count in [10_000, 110_000] {
            let mut job = self.job(count, 3_600_000);
            job.timeout_ms = 1_000;
            let mut running = pair(&job, self.folder)?;
            await_owners(&mut running, count)?;
            thread::sleep(Duration::from_secs(20));
            let rss = running.pids().into_iter().map(|pid| rss_kib(pid) as f64);
            let rss: Vec<f64> = rss.collect();
            let mib = |nth: usize| rss[nth] / 1_024.0;
            println!("{count:<8} {:>26.1}  {:>19.1}", mib(0), mib(1));
            sizes.push((f64::from(count), rss[0] * 1_024.0));
        }
        let [(few, small), (many, large)] = sizes[..] else {
            bail!("two sizes were measured");
        };
        let each = (large - small) / (many - few);
        println!("bytes for each one more in the process that shows them: {each:.0}");
        Ok(())
    }

    /// Plain, full handshakes and resumed ones, with what the server counted.
    fn tls(&self) -> Result<()> {
        let count = self.arguments.targets.unwrap_or(1_000);
        let interval = self.arguments.interval_ms.unwrap_or(1_000);
        let authority = self.folder.join("authority.pem");
        let flag = format!("--tls={}", authority.display());
        let ways: [(&str, Vec<&str>); 3] = [
            ("plain", vec![]),
            ("tls full", vec![&flag, "--no-resumption"]),
            ("tls resumed", vec![&flag]),
        ];
        println!("{count} targets every {interval} ms, fresh connections");
        heading();
        for (name, flags) in &ways {
            let mut targets = self.targets(flags)?;
            let mut job = self.job(count, interval);
            job.authority = (!flags.is_empty()).then(|| authority.clone());
            let mut windows = Vec::new();
            let mut handshakes = (0, 0);
            for _ in 0..self.arguments.rounds {
                let mut running = Checker::Roundsman.start(&job, self.folder)?;
                await_all(Checker::Roundsman, &mut running, &targets, &job)?;
                thread::sleep(Duration::from_secs(2));
                let before = targets.seen()?;
                windows.push((
                    Checker::Roundsman,
                    self.measure(&running, &job, &mut targets, 0)?,
                ));
                let after = targets.seen()?;
                handshakes.0 += after.full - before.full;
                handshakes.1 += after.resumed - before.resumed;
            }
            if let Some(middle) = middle(&windows, Checker::Roundsman) {
                row(name, &middle);
            }
            println!(
                "            {} full and {} resumed handshakes",
                handshakes.0, handshakes.1
            );
        }
        Ok(())
    }

    /// How long until the API says what happened to a target.
    fn detect(&self) -> Result<()> {
        let (fall, rise) = (3, 2);
        let mut job = self.job(
            self.arguments.targets.unwrap_or(10_000),
            self.arguments.interval_ms.unwrap_or(1_000),
        );
        job.rise = rise;
        let targets = Arc::new(self.targets(&[])?);
        let mut running = Checker::Roundsman.start(&job, self.folder)?;
        await_all(Checker::Roundsman, &mut running, &targets, &job)?;
        await_state(job.targets - 1, "up", Duration::from_secs(60))?;
        println!(
            "{} targets every {} ms, fall {fall}, rise {rise}; milliseconds until the API says so",
            job.targets, job.interval_ms
        );
        println!("way      change  median      max    bound");
        let mut rng = Rng::new(11);
        for mode in Mode::DOWN {
            let timeout = if mode == Mode::Silent {
                job.timeout_ms
            } else {
                0
            };
            let mut chosen = BTreeSet::new();
            while chosen.len() < usize::try_from(self.arguments.kills.min(job.targets))? {
                chosen.insert(u32::try_from(rng.below(u64::from(job.targets)))?);
            }
            let tasks: Vec<_> = chosen
                .into_iter()
                .map(|index| {
                    let pause = Duration::from_millis(rng.below(4 * job.interval_ms));
                    let targets = Arc::clone(&targets);
                    thread::spawn(move || change_and_wait(&targets, index, mode, pause))
                })
                .collect();
            let mut spans = (Vec::new(), Vec::new());
            for task in tasks {
                let (down, up) = task.join().expect("the thread returns its errors")?;
                spans.0.push(down);
                spans.1.push(up);
            }
            let bound = |count: u16| (u64::from(count) * job.interval_ms + 250 + timeout) as f64;
            detected(mode, "down", &spans.0, bound(fall));
            detected(mode, "up", &spans.1, bound(rise));
        }
        running.check("roundsman")
    }
}

/// Waits until every target was asked once.
fn await_all(checker: Checker, running: &mut Started, targets: &Targets, job: &Job) -> Result<()> {
    let limit = Duration::from_secs(60) + Duration::from_millis(3 * job.interval_ms);
    let end = Instant::now() + limit;
    targets.records()?;
    let mut asked = BTreeSet::new();
    while asked.len() < usize::try_from(job.targets)? {
        thread::sleep(Duration::from_millis(200));
        running.check(checker.name())?;
        asked.extend(targets.records()?.iter().map(|record| record.address));
        if Instant::now() > end {
            bail!(
                "{} asked only {} targets in {limit:?}",
                checker.name(),
                asked.len()
            );
        }
    }
    Ok(())
}

/// Waits until the node that only shows them knows whose all targets are.
fn await_owners(running: &mut Started, count: u32) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(180);
    let url = format!("http://{}/v1/members", PAIR[0]);
    loop {
        thread::sleep(Duration::from_millis(500));
        running.check("a node of the pair")?;
        let members = ureq::get(&url).call().ok();
        let members = members.and_then(|mut m| m.body_mut().read_json::<serde_json::Value>().ok());
        let items = members.as_ref().and_then(|m| m["items"].as_array());
        let owned = items.map(|items| items.iter().filter_map(|m| m["owned"].as_u64()));
        let owned: Vec<u64> = owned.into_iter().flatten().collect();
        if owned.len() == 2 && owned.iter().sum::<u64>() == u64::from(count) {
            return Ok(());
        }
        if Instant::now() > end {
            bail!("two nodes did not come to share {count} targets: {owned:?}");
        }
    }
}

/// Takes a target down and up again; milliseconds until the API said so, both times.
fn change_and_wait(
    targets: &Targets,
    index: u32,
    mode: Mode,
    pause: Duration,
) -> Result<(f64, f64)> {
    let limit = Duration::from_secs(60);
    thread::sleep(pause);
    let from = targets.set(address(index), mode)?;
    let down = await_state(index, "down", limit)?;
    thread::sleep(pause);
    let again = targets.set(address(index), Mode::Up)?;
    let up = await_state(index, "up", limit)?;
    let millis = |from: u64, to: u64| (to - from) as f64 / 1e6;
    Ok((millis(from, down), millis(again, up)))
}

/// Asks the API until target `index` is in `state`; returns when it said so.
fn await_state(index: u32, state: &str, limit: Duration) -> Result<u64> {
    let url = format!("http://{API}/v1/targets/t{index}");
    let agent = ureq::Agent::config_builder()
        .proxy(None)
        .timeout_global(Some(Duration::from_secs(5)))
        .build()
        .new_agent();
    let end = Instant::now() + limit;
    loop {
        let text = agent
            .get(&url)
            .call()
            .and_then(|mut answer| answer.body_mut().read_to_string())
            .with_context(|| url.clone())?;
        let now = now_ns();
        let target: serde_json::Value = serde_json::from_str(&text)?;
        if target["state"] == state {
            return Ok(now);
        }
        if Instant::now() > end {
            bail!("t{index} is not {state} after {limit:?}: {text}");
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn detected(mode: Mode, change: &str, spans: &[f64], bound: f64) {
    let max = spans.iter().copied().fold(0.0, f64::max);
    println!(
        "{:<8} {change:<6} {:>7.0}  {max:>7.0}  {bound:>7.0}  {}",
        mode.name(),
        median(spans.iter().copied()),
        verdict(max <= bound)
    );
}

fn heading() {
    println!(
        "checker     CPU ms/1000  of due  late p50 ms  p99 ms  max ms  KiB/target  core 0 busy"
    );
}

fn row(name: &str, window: &Window) {
    println!(
        "{name:<11} {:>11.1}  {:>6.3}  {:>11.1}  {:>6.1}  {:>6.1}  {:>10.2}  {:>11.2}",
        window.cpu_ms_per_1000,
        window.of_due,
        window.late.late_p50,
        window.late.late_p99,
        window.late.late_max,
        window.kib_per_target,
        window.core_busy,
    );
}

/// The medians of a checker's windows; the latest check of all for the maximum.
fn middle(all: &[(Checker, Window)], checker: Checker) -> Option<Window> {
    let own = || {
        all.iter()
            .filter(|(who, _)| *who == checker)
            .map(|(_, window)| window)
    };
    let first = own().next()?;
    let of = |figure: fn(&Window) -> f64| median(own().map(figure));
    Some(Window {
        cpu_ms_per_1000: of(|w| w.cpu_ms_per_1000),
        of_due: of(|w| w.of_due),
        kib_per_target: of(|w| w.kib_per_target),
        core_busy: of(|w| w.core_busy),
        late: Timeliness {
            late_p50: of(|w| w.late.late_p50),
            late_p99: of(|w| w.late.late_p99),
            late_max: own().map(|w| w.late.late_max).fold(f64::NAN, f64::max),
            ..first.late
        },
    })
}

/// Roundsman's figures beside what they shall be.
fn goals(all: &[(Checker, Window)], job: &Job) {
    let Some(ours) = middle(all, Checker::Roundsman) else {
        return;
    };
    println!("goals");
    if let Some(theirs) = middle(all, Checker::Haproxy) {
        let most = if job.keep_alive { 0.35 } else { 1.15 };
        goal(
            "CPU / HAProxy's",
            ours.cpu_ms_per_1000 / theirs.cpu_ms_per_1000,
            most,
        );
        goal("lateness p99, ms", ours.late.late_p99, theirs.late.late_p99);
    }
    if let Some(floor) = middle(all, Checker::Floor) {
        goal(
            "CPU / bare loop's",
            ours.cpu_ms_per_1000 / floor.cpu_ms_per_1000,
            1.0,
        );
    }
    if let Some(three) = middle(all, Checker::Three) {
        let ratio = three.cpu_ms_per_1000 / ours.cpu_ms_per_1000;
        goal("CPU of three / of one", ratio, 1.10);
    }
    println!(
        "  {:<26} {:>8.3}  at least {:>7.3}  {}",
        "checks of due",
        ours.of_due,
        0.99,
        verdict(ours.of_due >= 0.99)
    );
    if job.targets == 10_000 {
        goal("KiB per target", ours.kib_per_target, 6.0);
    }
    if ours.core_busy > 0.95 {
        eprintln!("core 0 had no room left: lateness and due checks say little");
    }
}

fn goal(name: &str, value: f64, most: f64) {
    println!(
        "  {name:<26} {value:>8.3}  at most  {most:>7.3}  {}",
        verdict(value <= most)
    );
}

const fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}
