//! The specs in `specs/`, checked by TLC: those that must hold, and the variants that must fail.
//!
//! The first line of each `.cfg` says what must come out: `\* must hold`, or `\* must fail: NAME`
//! with the property that has to be violated. A variant that passes is an error of its spec.
//! Configurations named `…_long.cfg` are for the campaign. Knows nothing of what the specs say.

mod tlc;
mod trace;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::process::{self, cargo, root};
use tlc::{Run, Tlc};

pub(crate) use tlc::is_to_be_had;

/// What is asked for on the command line.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// The larger constants too; for nights
    #[arg(long)]
    long: bool,
    /// Put the table of states and times into specs/README.md
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

/// Checks what `options` name; returns how many checks were made, all with the right end.
pub(crate) fn run(options: &Options) -> Result<usize> {
    let tlc = Tlc::find_or_fetch()?;
    if !options.trace.is_empty() {
        for file in &options.trace {
            check_trace(&tlc, file, true)?;
        }
        return Ok(options.trace.len());
    }
    let folder = root().join("specs");
    let mut rows = Vec::new();
    let mut wrong = Vec::new();
    println!("{HEAD}");
    for config in configurations(&folder, options)? {
        let row = config.check(&tlc)?;
        println!("{}", row.line());
        if !row.is_right {
            wrong.push(format!("{}: {}", row.name, row.came));
        }
        rows.push(row);
    }
    let mut checked = rows.len();
    if options.only.is_empty() {
        checked += check_traces(&tlc, &folder.join("traces"), &mut wrong)?;
        let recorded = record(if options.long { 50 } else { 3 })?;
        checked += check_traces(&tlc, &recorded, &mut wrong)?;
    }
    if !wrong.is_empty() {
        bail!("not as it must be: {}", wrong.join("; "));
    }
    if options.write {
        write_table(&folder.join("README.md"), &rows)?;
    }
    Ok(checked)
}

const HEAD: &str =
    "| configuration | must | came out | states | distinct | seconds |\n|---|---|---|---|---|---|";

/// One `.cfg`.
#[derive(Debug, PartialEq, Eq)]
struct Configuration {
    /// Its file's name without the ending.
    name: String,
    /// The property that must be violated, if any.
    must_fail: Option<String>,
    /// The properties over whole behaviours that it names.
    properties: Vec<String>,
}

impl Configuration {
    fn read(name: &str, text: &str) -> Result<Self> {
        let first = text.lines().next().unwrap_or_default();
        let must_fail = match first.strip_prefix("\\* must ") {
            Some("hold") => None,
            Some(rest) => Some(
                rest.strip_prefix("fail: ")
                    .with_context(|| format!("{name}.cfg: first line is {first:?}"))?
                    .to_owned(),
            ),
            None => {
                bail!("{name}.cfg: first line must be `\\* must hold` or `\\* must fail: NAME`")
            }
        };
        let properties = text
            .lines()
            .filter_map(|line| {
                line.strip_prefix("PROPERTIES ")
                    .or_else(|| line.strip_prefix("PROPERTY "))
            })
            .flat_map(|line| line.split_whitespace().map(str::to_owned))
            .collect();
        Ok(Self {
            name: name.to_owned(),
            must_fail,
            properties,
        })
    }

    /// The module that it configures.
    fn spec(&self) -> &str {
        self.name.split('_').next().unwrap_or(&self.name)
    }

    fn check(&self, tlc: &Tlc) -> Result<Row> {
        let run = tlc.run(&root().join("specs"), self.spec(), &self.name)?;
        Ok(self.judge(&run))
    }

    /// Whether `run` ended as it must.
    fn judge(&self, run: &Run) -> Row {
        // TLC doesn't name a violated property over behaviours; with only one there is no doubt.
        let violated = run.violated.clone().or_else(|| {
            (run.is_temporal && self.properties.len() == 1).then(|| self.properties[0].clone())
        });
        let came = match (&violated, run.holds) {
            (None, true) => "holds".to_owned(),
            (Some(name), false) => format!("{name} fails"),
            _ => format!("broke: {}", run.complaint),
        };
        Row {
            name: self.name.clone(),
            must: self
                .must_fail
                .as_ref()
                .map_or_else(|| "hold".to_owned(), |name| format!("fail {name}")),
            is_right: !came.starts_with("broke") && violated == self.must_fail,
            came,
            states: run.states,
            distinct: run.distinct,
            seconds: run.seconds,
        }
    }
}

/// One line of the table.
#[derive(Debug)]
struct Row {
    name: String,
    must: String,
    came: String,
    is_right: bool,
    states: u64,
    distinct: u64,
    seconds: u64,
}

impl Row {
    fn line(&self) -> String {
        format!(
            "| {} | {} | {} | {} | {} | {} |",
            self.name, self.must, self.came, self.states, self.distinct, self.seconds
        )
    }
}

fn configurations(folder: &Path, options: &Options) -> Result<Vec<Configuration>> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .with_context(|| folder.display().to_string())?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|file| file.extension().is_some_and(|end| end == "cfg"));
    files.sort();
    let mut found = Vec::new();
    for file in files {
        let name = file
            .file_stem()
            .and_then(|stem| stem.to_str())
            .context("a configuration's name is plain text")?;
        if !name.contains(&options.only) || (name.ends_with("_long") && !options.long) {
            continue;
        }
        found.push(Configuration::read(name, &fs::read_to_string(&file)?)?);
    }
    if found.is_empty() {
        bail!("no configuration in {}", folder.display());
    }
    Ok(found)
}

/// Lets the real cores run in a small world, `seeds` times, and write down what they do.
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
fn check_traces(tlc: &Tlc, folder: &Path, wrong: &mut Vec<String>) -> Result<usize> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .with_context(|| folder.display().to_string())?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    for file in &files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let must_be_good = name.starts_with("good_");
        if let Err(error) = check_trace(tlc, file, must_be_good) {
            wrong.push(format!("{error:#}"));
        }
    }
    Ok(files.len())
}

/// Whether the spec allows the trace in `file`, as it must or must not.
fn check_trace(tlc: &Tlc, file: &Path, must_be_good: bool) -> Result<()> {
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let module = trace::module(&text).with_context(|| file.display().to_string())?;
    let folder = root().join("target").join("specs").join("traces");
    module.write(&folder, &root().join("specs"))?;
    let run = tlc.run(&folder, trace::MODULE, trace::MODULE)?;
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

const BEGIN: &str = "<!-- written by cargo xtask specs --write -->";
const END: &str = "<!-- end -->";

fn write_table(file: &Path, rows: &[Row]) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let (before, rest) = text.split_once(BEGIN).context("README.md lacks its mark")?;
    let (_, after) = rest
        .split_once(END)
        .context("README.md lacks its end mark")?;
    let lines: Vec<String> = rows.iter().map(Row::line).collect();
    let table = format!(
        "{before}{BEGIN}\n{HEAD}\n{}\n{END}{after}",
        lines.join("\n")
    );
    fs::write(file, table).with_context(|| file.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(property: &str) -> Configuration {
        let text = format!("\\* must fail: {property}\nSPECIFICATION Spec\nPROPERTY Converges\n");
        Configuration::read("Swim_x", &text).unwrap()
    }

    fn run(holds: bool, violated: Option<&str>, is_temporal: bool) -> Run {
        Run {
            holds,
            violated: violated.map(str::to_owned),
            is_temporal,
            ..Run::default()
        }
    }

    #[test]
    fn a_variant_that_passes_is_wrong() {
        assert!(!failing("Converges").judge(&run(true, None, false)).is_right);
    }

    #[test]
    fn a_variant_must_fail_by_the_named_property() {
        assert!(failing("Converges").judge(&run(false, None, true)).is_right);
        assert!(!failing("Clean").judge(&run(false, None, true)).is_right);
        let clean = run(false, Some("Clean"), false);
        assert!(failing("Clean").judge(&clean).is_right);
        assert!(!failing("Converges").judge(&clean).is_right);
    }

    #[test]
    fn a_run_that_broke_is_never_right() {
        let holding = Configuration::read("Swim_x", "\\* must hold\n").unwrap();
        assert!(holding.judge(&run(true, None, false)).is_right);
        assert!(!holding.judge(&run(false, None, false)).is_right);
        assert!(
            !failing("Converges")
                .judge(&run(false, None, false))
                .is_right
        );
    }

    #[test]
    fn a_configuration_that_does_not_say_what_must_come_out_is_refused() {
        assert!(Configuration::read("Swim_x", "SPECIFICATION Spec\n").is_err());
        assert!(Configuration::read("Swim_x", "\\* must be nice\n").is_err());
    }

    #[test]
    fn the_spec_is_what_stands_before_the_first_underscore() {
        assert_eq!(failing("Converges").spec(), "Swim");
    }
}
