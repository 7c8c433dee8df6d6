//! The specs in `specs/`, checked by TLC: those that must hold, the variants that must fail, and
//! recorded traces.
//!
//! The first line of each `.cfg` says what must come out: `\* must hold`, or `\* must fail: NAME`
//! with the property that has to be violated. A variant that passes is an error of its spec.
//! Configurations named `…_long.cfg` are for the campaign. Checks run beside each other, one on
//! each core. Knows nothing of what the specs say.

mod configuration;
mod tlc;
mod trace;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result, bail};

use crate::process::{self, cargo, root};
use configuration::{Configuration, HEAD, Row, write_table};
use tlc::{Check, Tlc};

pub(crate) use tlc::is_to_be_had;

/// What is asked for on the command line.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// The larger constants too; for nights
    #[arg(long)]
    long: bool,
    /// Put states and times into the table of specs/README.md
    #[arg(long)]
    write: bool,
    /// Only the configurations whose names contain this
    #[arg(long, default_value = "")]
    only: String,
    /// Check these recorded traces instead; a trace that its spec does not allow is an error
    #[arg(long)]
    trace: Vec<PathBuf>,
}

impl Options {
    /// Everything, the larger constants included.
    pub(crate) fn long() -> Self {
        Self {
            long: true,
            ..Self::default()
        }
    }
}

/// Traces of each real core that are recorded and checked.
const SEEDS: u64 = 4;
/// The same with the larger constants.
const SEEDS_LONG: u64 = 50;
/// Checks that run beside each other at most: each takes up to 1 GB.
const AT_ONCE: usize = 4;

/// One thing to be checked.
enum Task {
    Configuration(Configuration),
    /// A recorded trace, and whether its spec must allow it.
    Trace(PathBuf, bool),
}

/// Checks what `options` name; returns how many checks were made, all with the right end.
pub(crate) fn run(options: &Options) -> Result<usize> {
    let tlc = Tlc::find_or_fetch()?;
    let tasks = tasks(options)?;
    if options.trace.is_empty() {
        println!("{HEAD}");
    }
    let at_once = thread::available_parallelism().map_or(1, |cores| cores.get().min(AT_ONCE));
    let ends = side_by_side(&tasks, at_once, |task| check(&tlc, task));
    let (mut rows, mut wrong) = (Vec::new(), Vec::new());
    for end in ends {
        match end {
            Ok(Some(row)) => rows.push(row),
            Ok(None) => {}
            Err(error) => wrong.push(format!("{error:#}")),
        }
    }
    let bad = rows.iter().filter(|row| !row.is_right);
    wrong.extend(bad.map(|row| format!("{}: {}", row.name, row.came)));
    if !wrong.is_empty() {
        bail!("not as it must be: {}", wrong.join("; "));
    }
    if options.write {
        write_table(&root().join("specs").join("README.md"), &rows)?;
    }
    Ok(tasks.len())
}

/// Makes one check; returns the row of the table that it makes, if any.
fn check(tlc: &Tlc, task: &Task) -> Result<Option<Row>> {
    match task {
        Task::Configuration(configuration) => {
            let row = configuration.check(tlc)?;
            println!("{}", row.line());
            Ok(Some(row))
        }
        Task::Trace(file, must_be_good) => {
            check_trace(tlc, file, *must_be_good)?;
            Ok(None)
        }
    }
}

/// What is to be checked: what takes long first.
fn tasks(options: &Options) -> Result<Vec<Task>> {
    if !options.trace.is_empty() {
        let good = |file: &PathBuf| Task::Trace(file.clone(), true);
        return Ok(options.trace.iter().map(good).collect());
    }
    let folder = root().join("specs");
    let all = configuration::all(&folder, &options.only, options.long)?;
    let mut tasks: Vec<Task> = all.into_iter().map(Task::Configuration).collect();
    if options.only.is_empty() {
        let recorded = record(if options.long { SEEDS_LONG } else { SEEDS })?;
        for folder in [&folder.join("traces"), &recorded] {
            tasks.extend(traces(folder)?);
        }
    }
    Ok(tasks)
}

/// Does `what` with each of `all`, `at_once` at a time, begun in their order; returns what came
/// of each, in their order.
fn side_by_side<T: Sync, R: Send>(
    all: &[T],
    at_once: usize,
    what: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(BTreeMap::new());
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(one) = all.get(at) else {
                return;
            };
            let came = what(one);
            done.lock().expect("nobody panics with it").insert(at, came);
        }
    };
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(work);
        }
    });
    let done = done.into_inner().expect("nobody panics with it");
    done.into_values().collect()
}

/// Lets the real cores run in small worlds, `seeds` times, and write down what they do.
fn record(seeds: u64) -> Result<PathBuf> {
    let folder = root().join("target").join("specs").join("recorded");
    let mut command = cargo(&["run", "--quiet", "--package", "roundsman-sim"]);
    command
        .args(["--example", "spec_traces", "--"])
        .arg(&folder)
        .arg(seeds.to_string());
    process::run(&mut command)?;
    Ok(folder)
}

/// The traces in `folder`: those named `good_…` must be allowed, those named `bad_…` refused.
fn traces(folder: &Path) -> Result<Vec<Task>> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .with_context(|| folder.display().to_string())?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    let task = |file: PathBuf| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let must_be_good = name.starts_with("good_");
        Task::Trace(file, must_be_good)
    };
    Ok(files.into_iter().map(task).collect())
}

/// Whether the spec allows the trace in `file`, as it must or must not.
fn check_trace(tlc: &Tlc, file: &Path, must_be_good: bool) -> Result<()> {
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let module = trace::module(&text).with_context(|| file.display().to_string())?;
    let folder = root()
        .join("target")
        .join("specs")
        .join("traces")
        .join(&*name);
    module.write(&folder, &root().join("specs"))?;
    let run = tlc.run(&Check {
        folder: &folder,
        module: trace::MODULE,
        config: trace::MODULE,
        name: &name,
        is_short: true,
    })?;
    let is_good = run.violated.as_deref() == Some("Unfinished");
    if !is_good && !run.holds {
        bail!("trace {name}: {}", run.complaint);
    }
    let steps = module.steps();
    let said = if is_good { "allowed" } else { "refused" };
    println!("trace {name}: {said} ({steps} steps, {} s)", run.seconds);
    if is_good != must_be_good {
        let next = run.consumed + 1;
        let line = module.line(next).unwrap_or("its end");
        bail!("trace {name} is {said}; step {next} is: {line}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_side_by_side_comes_back_in_order() {
        let all: Vec<u64> = (0..100).collect();
        let came = side_by_side(&all, 3, |n| n * n);
        assert_eq!(came, all.iter().map(|n| n * n).collect::<Vec<_>>());
    }
}
