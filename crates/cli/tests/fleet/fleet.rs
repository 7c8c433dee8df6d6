//! Five nodes with the same config, and what they say.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::ground::{Ground, NODES};
use crate::node::{Node, TOKEN};
use crate::targets::{Mood, Targets};

/// How often each target is checked.
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);
/// How long it takes until a node that is gone is known to be, and its successor's grace: what the
/// simulator's judge of the same nodes allows, too.
pub(crate) const DETECTION: Duration = Duration::from_secs(8);
/// The same over bad links, where who is slow is given more time.
pub(crate) const ROUGH_DETECTION: Duration = Duration::from_secs(25);
/// All nodes answer equally so soon after the last fault.
pub(crate) const EQUAL: Duration = Duration::from_secs(5);
/// Of a hundred targets: three are ill, two silent, one cuts connections.
const ILL: [(usize, Mood); 6] = [
    (3, Mood::Ill),
    (31, Mood::Ill),
    (62, Mood::Ill),
    (14, Mood::Silent),
    (77, Mood::Silent),
    (50, Mood::Reset),
];

/// Five nodes, their targets, and where they stand.
pub(crate) struct Fleet {
    pub(crate) ground: Ground,
    pub(crate) targets: Targets,
    pub(crate) nodes: Vec<Node>,
    directory: Option<TempDir>,
}

/// Whether this target is never well.
pub(crate) fn is_ill(nth: usize) -> bool {
    ILL.iter().any(|(of, _)| *of == nth % 100)
}

impl Fleet {
    /// Starts five nodes with `more` arguments of `run`, and waits until all agree on `count`
    /// targets; as many again can be made through the API.
    pub(crate) fn start(ground: Ground, count: usize, more: &[&str]) -> Self {
        let targets = Targets::start(ground.targets, count * 2);
        for nth in 0..count {
            if let Some((_, mood)) = ILL.iter().find(|(of, _)| *of == nth % 100) {
                targets.set(nth, *mood);
            }
        }
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().to_owned();
        keygen(&path);
        let nodes = (0..NODES).map(|nth| {
            let config = config(&ground, &targets, nth, count, &path);
            Node::new(nth, ground.address(nth, 7717), &path, &config)
        });
        let mut fleet = Self {
            nodes: nodes.collect(),
            ground,
            targets,
            directory: Some(directory),
        };
        (0..NODES).for_each(|nth| fleet.start_one(nth, more));
        fleet.nodes.iter().for_each(Node::wait_ready);
        let from = Instant::now();
        fleet.wait_equal(from);
        fleet
    }

    pub(crate) fn start_one(&mut self, nth: usize, more: &[&str]) {
        let command = self.ground.command(nth, env!("CARGO_BIN_EXE_roundsman"));
        self.nodes[nth].start(command, more);
    }

    /// Waits until every running node says the same of every target, sees those alive that run,
    /// and calls nothing stale. How long after `from` they began to say the same, and how long
    /// after it all that was so. Nobody may make targets meanwhile.
    pub(crate) fn wait_equal(&self, from: Instant) -> (Duration, Duration) {
        let running: Vec<&Node> = self.nodes.iter().filter(|node| node.is_running()).collect();
        let first = *running.first().expect("somebody runs");
        let mut took = from.elapsed();
        let mut equal = None;
        first.wait("all answer alike", || {
            took = from.elapsed();
            let all: Vec<Option<Said>> = std::thread::scope(|scope| {
                let asked: Vec<_> = running
                    .iter()
                    .map(|node| scope.spawn(move || said(node)))
                    .collect();
                asked
                    .into_iter()
                    .map(|t| t.join().expect("it asks"))
                    .collect()
            });
            let mut differ = difference(&running, &all);
            if differ.is_some() {
                equal = None;
            } else {
                equal.get_or_insert(took);
                differ = unsettled(&running, &all);
            }
            if let Some(how) = &differ
                && from.elapsed() > Duration::from_secs(75)
            {
                panic!("not alike after 75 s: {how}");
            }
            differ.is_none()
        });
        (equal.expect("they say the same"), took)
    }

    /// Whom a node sees alive.
    pub(crate) fn seen_by(&self, nth: usize) -> Vec<String> {
        let members = self.nodes[nth].door.get("/v1/members");
        let items = members.map(|(_, m)| m["items"].as_array().cloned().unwrap_or_default());
        let alive = items.unwrap_or_default().into_iter();
        alive
            .filter(|m| m["state"] == "alive")
            .filter_map(|m| Some(m["name"].as_str()?.to_owned()))
            .collect()
    }

    /// What the logs of all nodes say of changes: target, number, from, to; each once.
    pub(crate) fn changes(&self) -> BTreeSet<(String, u64, String, String)> {
        let mut all = BTreeSet::new();
        for node in &self.nodes {
            for line in node.log().lines().filter(|l| l.contains("\"transition\"")) {
                let Ok(line) = serde_json::from_str::<Value>(line) else {
                    continue;
                };
                let fields = &line["fields"];
                if fields["message"] != "transition" {
                    continue;
                }
                let text = |key: &str| fields[key].as_str().unwrap_or_default().to_owned();
                let number = fields["number"].as_u64().unwrap_or_default();
                all.insert((text("name"), number, text("from"), text("to")));
            }
        }
        all
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(directory) = self.directory.take()
        {
            let kept = directory.keep();
            crate::report::show(&format!(
                "the nodes' directories are kept: {}",
                kept.display()
            ));
        }
    }
}

fn keygen(directory: &Path) {
    let binary = env!("CARGO_BIN_EXE_roundsman");
    let key = Command::new(binary).arg("keygen").output();
    let key = key.expect("the binary runs").stdout;
    std::fs::write(directory.join("key"), key).expect("a key file");
}

fn config(ground: &Ground, targets: &Targets, nth: usize, count: usize, path: &Path) -> String {
    let join: Vec<String> = (0..NODES)
        .map(|other| format!("\"{}\"", ground.address(other, 7718)))
        .collect();
    let mut text = format!(
        "node: {{ name: n{nth} }}\n\
         api: {{ listen: \"{}\", token: {TOKEN}, allow_targets: [\"{}\"] }}\n\
         cluster: {{ listen: \"{}\", join: [{}], key_file: \"{}\", label: fleet }}\n\
         defaults: {{ interval: {}ms, timeout: 500ms }}\n\
         targets:\n",
        ground.address(nth, 7717),
        ground.allowed,
        ground.address(nth, 7718),
        join.join(", "),
        path.join("key").display(),
        INTERVAL.as_millis(),
    );
    for target in 0..count {
        text += &format!(
            "  - {{ name: t{target}, http: {{ url: \"{}\", headers: {{ X-By: \"${{FLEET_NODE}}\" }} }} }}\n",
            targets.url(target)
        );
    }
    text
}

/// What a node says of each target, and whom it sees alive.
#[derive(PartialEq, Eq)]
struct Said {
    targets: BTreeMap<String, [Value; 4]>,
    alive: BTreeSet<String>,
    uncertain: usize,
}

fn said(node: &Node) -> Option<Said> {
    let items = node.door.targets("")?;
    let (_, members) = node.door.get("/v1/members")?;
    let alive = members["items"].as_array()?.iter();
    let alive = alive
        .filter(|m| m["state"] == "alive")
        .filter_map(|m| Some(m["name"].as_str()?.to_owned()));
    let is_uncertain = |t: &&Value| t["stale"] == true || t["state"] == "unknown";
    Some(Said {
        alive: alive.collect(),
        uncertain: items.iter().filter(is_uncertain).count(),
        targets: items
            .iter()
            .map(|t| {
                let part = |key: &str| t[key].clone();
                let name = t["name"].as_str().expect("a name").to_owned();
                (name, ["state", "since", "transition", "owner"].map(part))
            })
            .collect(),
    })
}

/// Whoever is not as sure as it should be in the end.
fn unsettled(nodes: &[&Node], all: &[Option<Said>]) -> Option<String> {
    let said = nodes.iter().zip(all.iter().flatten());
    let unsettled = |(node, said): (&&Node, &Said)| {
        let name = &node.door.name;
        if said.alive.len() != nodes.len() {
            return Some(format!("{name} sees {:?}", said.alive));
        }
        let stale = said.uncertain;
        (stale > 0).then(|| format!("{name} is uncertain of {stale} targets"))
    };
    said.into_iter().find_map(unsettled)
}

/// The first thing in which they differ.
fn difference(nodes: &[&Node], all: &[Option<Said>]) -> Option<String> {
    let first = all[0].as_ref();
    for (node, said) in nodes.iter().zip(all) {
        let name = &node.door.name;
        let (Some(said), Some(first)) = (said, first) else {
            return Some(format!("{name} does not answer"));
        };
        if said.targets != first.targets {
            let other = said
                .targets
                .iter()
                .find(|(k, v)| first.targets.get(*k) != Some(v));
            let missing = first
                .targets
                .keys()
                .find(|k| !said.targets.contains_key(*k));
            return Some(format!(
                "{name}: {other:?}, lacks {missing:?}; n0: {:?}",
                other.and_then(|(k, _)| first.targets.get(k))
            ));
        }
    }
    None
}
