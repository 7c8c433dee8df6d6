//! A recorded trace as a TLA+ module that TLC can check against a spec.
//!
//! The text format stands in `specs/README.md`. Does not know what a step means, only its shape.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

/// The generated module's name.
pub(crate) const MODULE: &str = "Recorded";

/// Steps of one trace at most; TLC keeps every claim ever made.
const MOST_STEPS: usize = 2_000;

const MEMBERSHIP: [&str; 9] = [
    "Tick", "Received", "Join", "Leave", "Describe", "Moved", "Forget", "Crash", "Restart",
];
const STORE: [&str; 9] = [
    "Tick",
    "Received",
    "Put",
    "Delete",
    "Peers",
    "Persisted",
    "Retire",
    "Crash",
    "Rollback",
];
const STATES: [&str; 4] = ["alive", "suspect", "dead", "left"];

/// A trace, ready for TLC.
#[derive(Debug)]
pub(crate) struct Module {
    spec: &'static str,
    /// What the spec tells its states apart by, if not by everything.
    view: &'static str,
    steps: Vec<String>,
    lines: Vec<String>,
    constants: String,
}

impl Module {
    pub(crate) fn steps(&self) -> usize {
        self.steps.len()
    }

    /// The recorded line of step `number`, counted from 1.
    pub(crate) fn line(&self, number: usize) -> Option<&str> {
        self.lines.get(number.checked_sub(1)?).map(String::as_str)
    }

    /// Puts the module, its configuration and copies of the specs that it needs into `folder`.
    pub(crate) fn write(&self, folder: &Path, specs: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        for name in ["Swim", "SwimTrace", "DeltaStore", "StoreTrace"] {
            let file = format!("{name}.tla");
            fs::copy(specs.join(&file), folder.join(&file)).with_context(|| file)?;
        }
        let text = format!(
            "---- MODULE {MODULE} ----\nEXTENDS {}\n{}Steps == <<\n{}\n>>\n====\n",
            self.spec,
            self.constants
                .lines()
                .filter(|line| line.contains("=="))
                .fold(String::new(), |all, line| all + line.trim_start() + "\n"),
            self.steps.join(",\n")
        );
        fs::write(folder.join(format!("{MODULE}.tla")), text)?;
        let settings = self
            .constants
            .lines()
            .filter(|line| !line.contains("=="))
            .fold(String::new(), |all, line| all + line + "\n");
        let config = format!(
            "SPECIFICATION TraceSpec\nCONSTANTS\n    Trace <- Steps\n{settings}{}INVARIANT Unfinished\n",
            self.view
        );
        fs::write(folder.join(format!("{MODULE}.cfg")), config)?;
        Ok(())
    }
}

/// Reads a trace. Says the line of the first mistake.
pub(crate) fn module(text: &str) -> Result<Module> {
    let mut lines = text
        .lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let kind = lines.next().map(|(_, line)| line);
    let (_, nodes) = lines.next().context("a trace names its nodes")?;
    let nodes: Vec<&str> = nodes
        .strip_prefix("nodes ")
        .context("the second line is `nodes …`")?
        .split_whitespace()
        .collect();
    ensure!(
        !nodes.is_empty() && nodes.iter().all(|node| is_name(node)),
        "nodes are named by letters and digits"
    );
    let rest: Vec<(usize, &str)> = lines.collect();
    ensure!(rest.len() <= MOST_STEPS, "more than {MOST_STEPS} steps");
    match kind {
        Some("trace membership") => membership(&nodes, &rest),
        Some("trace store") => store(&nodes, &rest),
        _ => bail!("the first line is `trace membership` or `trace store`"),
    }
}

fn is_name(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric())
}

/// The node and the action of a step, and its other words.
fn head<'a>(
    nodes: &[&str],
    actions: &[&str],
    line: &'a str,
) -> Result<(&'a str, &'a str, Vec<&'a str>)> {
    let mut words = line.split_whitespace();
    let node = words.next().context("a node is missing")?;
    ensure!(nodes.contains(&node), "unknown node {node}");
    let action = words.next().context("an action is missing")?;
    ensure!(actions.contains(&action), "unknown action {action}");
    Ok((node, action, words.collect()))
}

fn quoted(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    format!("{{{}}}", words.join(", "))
}

// --- membership -------------------------------------------------------------------------------

/// Member, state, incarnation.
type Belief<'a> = (&'a str, &'a str, u64);

fn beliefs<'a>(nodes: &[&str], words: &[&'a str]) -> Result<Vec<Belief<'a>>> {
    let read = |word: &&'a str| {
        let (member, rest) = word
            .split_once('=')
            .with_context(|| format!("{word} is not MEMBER=STATE:INCARNATION"))?;
        let (state, incarnation) = rest
            .split_once(':')
            .with_context(|| format!("{word} lacks an incarnation"))?;
        ensure!(nodes.contains(&member), "unknown member {member}");
        ensure!(STATES.contains(&state), "unknown state {state}");
        Ok((member, state, incarnation.parse()?))
    };
    words.iter().map(read).collect()
}

fn membership(nodes: &[&str], lines: &[(usize, &str)]) -> Result<Module> {
    let mut read = Vec::new();
    let mut least: BTreeMap<&str, u64> = BTreeMap::new();
    for &(at, line) in lines {
        let (node, action, words) =
            head(nodes, &MEMBERSHIP, line).with_context(|| format!("line {at}"))?;
        let row = beliefs(nodes, &words).with_context(|| format!("line {at}"))?;
        for &(member, _, incarnation) in &row {
            let held = least.entry(member).or_insert(incarnation);
            *held = incarnation.min(*held);
        }
        read.push((node, action, row));
    }
    let entry = |row: &[Belief<'_>], member: &str| {
        row.iter().find(|belief| belief.0 == member).map_or_else(
            || "None".to_owned(),
            |&(_, state, incarnation)| {
                format!("Entry(\"{state}\", {})", incarnation - least[member])
            },
        )
    };
    let steps = read.iter().map(|(node, action, row)| {
        let cells: Vec<String> = nodes
            .iter()
            .map(|member| format!("m = \"{member}\" -> {}", entry(row, member)))
            .collect();
        format!(
            "[node |-> \"{node}\", action |-> \"{action}\", row |-> [m \\in Nodes |-> CASE {}]]",
            cells.join(" [] ")
        )
    });
    let constants = format!(
        "    Nodes = {}\n    Suspicions = 100000\n    Crashes = 100000\n    Leaves = 100000\n    \
         Changes = 100000\n    Forgets = 100000\n    Boots = {{0}}\n    Single = TRUE\n    \
         Founding = FALSE\n    Stale = TRUE\n    Recontact = TRUE\n    Answers = \"past\"\n    \
         Joining = \"all\"\n",
        quoted(nodes)
    );
    Ok(Module {
        spec: "SwimTrace",
        view: "VIEW View\n",
        steps: steps.collect(),
        lines: lines.iter().map(|(_, line)| (*line).to_owned()).collect(),
        constants,
    })
}

// --- store ------------------------------------------------------------------------------------

/// `n1.0` as TLA+ and the life in it.
fn origin(nodes: &[&str], word: &str) -> Result<(String, u64)> {
    let (node, life) = word
        .split_once('.')
        .with_context(|| format!("{word} is not NODE.LIFE"))?;
    ensure!(nodes.contains(&node), "unknown node {node}");
    let life: u64 = life.parse().with_context(|| word.to_owned())?;
    Ok((format!("<<\"{node}\", {life}>>"), life))
}

/// What a store's trace needs of constants.
#[derive(Debug, Default)]
struct Extent<'a> {
    lives: u64,
    /// The highest number of each origin: there are no more writes than all of them together.
    sequences: BTreeMap<String, u64>,
    keys: BTreeSet<&'a str>,
}

impl Extent<'_> {
    fn reach(&mut self, origin: &str, life: u64, seq: u64) {
        self.lives = self.lives.max(life);
        let held = self.sequences.entry(origin.to_owned()).or_default();
        *held = seq.max(*held);
    }
}

/// What a node shows in one step, each a function of origins but the last two.
#[derive(Debug, Default)]
struct Shown {
    vector: BTreeMap<String, u64>,
    floor: BTreeMap<String, u64>,
    closed: BTreeMap<String, u64>,
    live: Vec<String>,
    own: Option<String>,
}

fn store(nodes: &[&str], lines: &[(usize, &str)]) -> Result<Module> {
    let mut extent = Extent::default();
    let mut steps = Vec::new();
    for &(at, line) in lines {
        let step = store_step(nodes, line, &mut extent).with_context(|| format!("line {at}"))?;
        steps.push(step);
    }
    let writes: u64 = extent.sequences.values().sum();
    let keys: Vec<&str> = extent.keys.iter().copied().collect();
    let constants = format!(
        "    Nodes = {}\n    Keys = {}\n    Lives = {}\n    Writes = {}\n    Deletes = TRUE\n    \
         Absent = {}\n    Disk = FALSE\n    Rollbacks = 1\n    Retirement = TRUE\n    \
         Exchange = \"complete\"\n    Reset = \"all\"\n    Late = \"wait\"\n    \
         FloorSpreads = TRUE\n    Clear = \"stable\"\n    Prefix = TRUE\n    Boot = \"fresh\"\n    \
         Sends = \"disk\"\n    Inherit = TRUE\n",
        quoted(nodes),
        quoted(&keys),
        extent.lives,
        writes.max(1),
        nodes.len() - 1,
    );
    Ok(Module {
        spec: "StoreTrace",
        view: "",
        steps,
        lines: lines.iter().map(|(_, line)| (*line).to_owned()).collect(),
        constants,
    })
}

fn store_step<'a>(nodes: &[&str], line: &'a str, extent: &mut Extent<'a>) -> Result<String> {
    let (node, action, words) = head(nodes, &STORE, line)?;
    let mut shown = Shown::default();
    let (mut field, mut asks) = ("", "");
    for word in words {
        if ["asks", "vector", "live", "floor", "closed", "own"].contains(&word) {
            field = word;
            continue;
        }
        match field {
            "asks" => {
                ensure!(is_name(word), "keys are letters and digits");
                extent.keys.insert(word);
                asks = word;
            }
            "vector" => {
                let (named, seq) = numbered(nodes, word, extent)?;
                shown.vector.insert(named, seq);
            }
            "floor" => {
                let (named, seq) = numbered(nodes, word, extent)?;
                shown.floor.insert(named, seq);
            }
            "closed" => {
                // The spec counts one more, so that 0 says open.
                let (named, seq) = numbered(nodes, word, extent)?;
                shown.closed.insert(named, seq + 1);
            }
            "live" => shown.live.push(entry(nodes, word, extent)?),
            "own" => {
                let (named, life) = origin(nodes, word)?;
                extent.reach(&named, life, 0);
                shown.own = Some(named);
            }
            _ => bail!("{word} belongs to nothing"),
        }
    }
    Ok(format!(
        "[node |-> \"{node}\", action |-> \"{action}\", asks |-> \"{asks}\", vector |-> {}, \
         live |-> {{{}}}, floor |-> {}, closed |-> {}, own |-> {}]",
        function(&shown.vector),
        shown.live.join(", "),
        function(&shown.floor),
        function(&shown.closed),
        shown.own.context("`own ORIGIN` is missing")?
    ))
}

/// `n1.0:3`
fn numbered(nodes: &[&str], word: &str, extent: &mut Extent<'_>) -> Result<(String, u64)> {
    let (named, seq) = word
        .split_once(':')
        .with_context(|| format!("{word} is not ORIGIN:NUMBER"))?;
    let (named, life) = origin(nodes, named)?;
    let seq = seq.parse().with_context(|| word.to_owned())?;
    extent.reach(&named, life, seq);
    Ok((named, seq))
}

/// `key=n1.0#3`, a delete with `!` at its end, and a `*` at the very end if a context is carried.
fn entry<'a>(nodes: &[&str], word: &'a str, extent: &mut Extent<'a>) -> Result<String> {
    let shape = || format!("{word} is not KEY=ORIGIN#NUMBER");
    let (key, dot) = word.split_once('=').with_context(shape)?;
    let (named, seq) = dot.split_once('#').with_context(shape)?;
    ensure!(is_name(key), "keys are letters and digits");
    let (named, life) = origin(nodes, named)?;
    let (seq, carries) = seq
        .strip_suffix('*')
        .map_or((seq, false), |seq| (seq, true));
    let (seq, is_delete) = seq
        .strip_suffix('!')
        .map_or((seq, false), |seq| (seq, true));
    let seq: u64 = seq.parse().with_context(shape)?;
    extent.reach(&named, life, seq);
    extent.keys.insert(key);
    let word = |is: bool| if is { "TRUE" } else { "FALSE" };
    Ok(format!(
        "[key |-> \"{key}\", dot |-> <<{named}, {seq}>>, del |-> {}, ctx |-> {}]",
        word(is_delete),
        word(carries)
    ))
}

fn function(of: &BTreeMap<String, u64>) -> String {
    let mut text = String::from("[o \\in Origins |-> ");
    for (at, (origin, seq)) in of.iter().enumerate() {
        let lead = if at == 0 { "CASE" } else { " []" };
        write!(text, "{lead} o = {origin} -> {seq}").expect("a string takes everything");
    }
    text += if of.is_empty() {
        "0]"
    } else {
        " [] OTHER -> 0]"
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incarnations_are_counted_from_the_least_of_each_member() {
        let module = module(
            "trace membership\nnodes n1 n2\nn1 Restart n1=alive:1000\nn1 Received n1=alive:1002 n2=dead:70\n",
        )
        .unwrap();
        assert_eq!(module.steps(), 2);
        assert!(module.steps[0].contains("m = \"n1\" -> Entry(\"alive\", 0)"));
        assert!(module.steps[0].contains("m = \"n2\" -> None"));
        assert!(module.steps[1].contains("Entry(\"alive\", 2)"));
        assert!(module.steps[1].contains("Entry(\"dead\", 0)"));
        assert_eq!(module.line(1), Some("n1 Restart n1=alive:1000"));
    }

    #[test]
    fn a_stores_step_has_its_vector_its_entries_and_its_origin() {
        let module = module(
            "trace store\nnodes n1\nn1 Delete vector n1.1:2 live k=n1.1#2! floor n1.0:7 own n1.1\n",
        )
        .unwrap();
        let step = &module.steps[0];
        assert!(step.contains("o = <<\"n1\", 1>> -> 2"));
        assert!(step.contains("dot |-> <<<<\"n1\", 1>>, 2>>, del |-> TRUE"));
        assert!(step.contains("own |-> <<\"n1\", 1>>"));
        assert!(module.constants.contains("Lives = 1"));
        assert!(module.constants.contains("Writes = 9"));
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (text, mistake) in [
            ("trace x\nnodes n1\n", "the first line is"),
            ("trace store\nn1 Put\n", "the second line is"),
            (
                "trace membership\nnodes n1\nn2 Tick\n",
                "line 3: unknown node n2",
            ),
            (
                "trace membership\nnodes n1\nn1 Tock\n",
                "unknown action Tock",
            ),
            (
                "trace membership\nnodes n1\nn1 Tick n1=gone:1\n",
                "unknown state gone",
            ),
            (
                "trace store\nnodes n1\nn1 Put vector n1.0:1\n",
                "`own ORIGIN` is missing",
            ),
        ] {
            let error = format!("{:#}", module(text).unwrap_err());
            assert!(error.contains(mistake), "{error}");
        }
    }
}
