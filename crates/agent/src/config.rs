//! A YAML file to a [`Config`], with every mistake in it named at its line and column.
//!
//! Start reading at [`parse`]. A file of 100,000 targets is never a tree in memory: sections
//! are read one by one, targets one by one (`config/yaml.rs`). `${ENV}` is expanded where a
//! value is typed and only verified where it is text of a probe, which keeps it unexpanded, so
//! that secrets never travel (`config/expand.rs`). Relative file names start at the working
//! directory of the process. [`target_to_json`] goes the other way.
//! Does not know what is done with a config.

mod connection;
mod expand;
mod expect;
mod export;
mod fault;
mod http;
mod json;
mod quantity;
mod sections;
mod take;
mod target;
mod tcp;
#[cfg(test)]
mod tests;
mod verify;
mod yaml;

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use health::Definition;
use ipnet::IpNet;

pub use expand::{ExpandError, expand};
pub(crate) use export::hide_query;
pub use export::target_to_json;
pub use fault::{FAULTS_MAX, Fault};
pub use sections::check_node_name;
pub use target::parse_target;
pub(crate) use verify::address as check_address;

use crate::cluster::{Address, Keyring};
use crate::secret::Secret;
use fault::{Mark, shown};
use sections::Defaults;
use take::{Reading, unknown_key};
use yaml::{Begin, Broken, Node as Tree, Reader, given_twice};

/// The longest config file, in bytes.
pub const FILE_MAX: u64 = 256 << 20;
/// The most targets of one file.
pub const TARGETS_MAX: usize = 1_000_000;

/// What a node does, as its config file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Who this node is.
    pub node: Node,
    /// Where the API listens and who may write.
    pub api: Api,
    /// The other nodes, and how they are spoken to.
    pub cluster: Cluster,
    /// Whether `/metrics` has lines for every target. Default true.
    pub metrics_per_target: bool,
    /// What to check, in the order of the file; every name once.
    pub targets: Vec<Arc<Definition>>,
    /// The file says nothing at all.
    pub is_blank: bool,
}

/// Who a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Unique in the cluster; see [`check_node_name`]. Default: the machine's host name.
    pub name: Arc<str>,
    /// Where it stands; opinions are asked of other zones first. Default empty: no zone.
    pub zone: Arc<str>,
    /// Its share of the targets relative to other nodes. Default 1; 1 to 1000.
    pub weight: u32,
}

/// The API and its page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// Default 127.0.0.1:7717.
    pub listen: SocketAddr,
    /// Needed for writes; without one every write is refused.
    pub token: Option<Secret>,
    /// Addresses that API-made targets may reach although they are denied by default.
    pub allow_targets: Vec<IpNet>,
}

/// The other nodes, and how they are spoken to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// Where the cluster port listens; none means that this node is alone.
    pub listen: Option<SocketAddr>,
    /// Where others may be found; looked up anew at each try. Default none: others find this one.
    pub join: Vec<Address>,
    /// The keys of `key_file`; plain without one.
    pub keyring: Keyring,
    /// Nodes with another label are not heard. Default empty; at most 200 characters.
    pub label: Box<str>,
}

impl Api {
    /// Where the API listens unless told otherwise.
    pub const LISTEN: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7717);
}

impl Default for Config {
    /// What a node without a file does: nothing but answer on loopback.
    fn default() -> Self {
        Self {
            node: Node {
                name: sections::host_name(),
                zone: "".into(),
                weight: 1,
            },
            api: Api {
                listen: Api::LISTEN,
                token: None,
                allow_targets: Vec::new(),
            },
            cluster: Cluster::default(),
            metrics_per_target: true,
            targets: Vec::new(),
            is_blank: true,
        }
    }
}

/// Reads the file at `path` with the variables of this process.
///
/// A file that can't be read is one fault at 1:1.
pub fn load(path: &Path) -> Result<Config, Vec<Fault>> {
    let file = path.display().to_string();
    let text = read(path).map_err(|(at, message)| {
        vec![Fault {
            file: file.as_str().into(),
            line: at.line,
            column: at.column,
            message,
        }]
    })?;
    parse(&file, &text, &|name| std::env::var(name).ok())
}

fn read(path: &Path) -> Result<String, (Mark, String)> {
    let unreadable = |error| (Mark::START, format!("the file can't be read: {error}"));
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    let length = file.take(FILE_MAX + 1).read_to_end(&mut bytes);
    if length.map_err(unreadable)? as u64 > FILE_MAX {
        let message = "the file is longer than 256 MiB; split it over several nodes or files";
        return Err((Mark::START, message.to_owned()));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
        let message = "not UTF-8 from here on; save the file as UTF-8";
        (Mark::of_offset(&before), message.to_owned())
    })
}

/// The config that `text` describes, or every mistake in it; `file` names it in messages.
///
/// An empty text gives the default. At most [`FAULTS_MAX`] mistakes are listed, and then one
/// that says how many more there are.
pub fn parse(
    file: &str,
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, Vec<Fault>> {
    let mut building = Building {
        reading: Reading::new(env),
        text,
        config: Config::default(),
        defaults: None,
        lines: HashMap::new(),
        seen: Vec::new(),
    };
    if let Err(Broken { at, message }) = building.document() {
        building.reading.fault(at, message);
    }
    building.config.is_blank = building.seen.is_empty();
    if building.reading.faults.count() == 0 {
        Ok(building.config)
    } else {
        Err(building.reading.faults.into_sorted(file))
    }
}

/// A config on its way from the text.
struct Building<'a> {
    reading: Reading<'a>,
    text: &'a str,
    config: Config,
    /// What targets inherit; known before the first of them.
    defaults: Option<Defaults>,
    /// Every target's name and its line.
    lines: HashMap<Arc<str>, u32>,
    /// The sections so far and where their keys stand.
    seen: Vec<(&'static str, Mark)>,
}

const SECTIONS: [&str; 6] = ["node", "api", "cluster", "metrics", "defaults", "targets"];
const LATER_SECTIONS: [&str; 5] = ["discover", "alerts", "state", "probe_modules", "revision"];

impl<'a> Building<'a> {
    fn document(&mut self) -> Result<(), Broken> {
        let Some(mut reader) = Reader::open(self.text)? else {
            return Ok(());
        };
        match reader.begin(&mut self.reading.faults)? {
            (Begin::Map, _) => {
                while !reader.ends()? {
                    self.section(&mut reader)?;
                }
            }
            (Begin::List, at) => {
                self.reading.fault(at, NOT_A_MAPPING);
                while !reader.ends()? {
                    reader.node(&mut self.reading.faults)?;
                }
            }
            (Begin::Other, at) => {
                let node = reader.node(&mut self.reading.faults)?;
                if !take::is_empty(&node) {
                    self.reading.fault(at, NOT_A_MAPPING);
                }
            }
        }
        reader.close()
    }

    fn section(&mut self, reader: &mut Reader<'a>) -> Result<(), Broken> {
        let faults = &mut self.reading.faults;
        let Some(key) = reader.key(faults)? else {
            return reader.node(faults).map(drop);
        };
        let Some(name) = SECTIONS.into_iter().find(|&name| name == key.text) else {
            let message = unknown_key(&key.text, "a config", &SECTIONS, &LATER_SECTIONS);
            faults.push(key.at, message);
            return reader.node(faults).map(drop);
        };
        if let Some(&(_, first)) = self.seen.iter().find(|(seen, _)| *seen == name) {
            faults.push(key.at, given_twice(name, first));
            return reader.node(faults).map(drop);
        }
        self.seen.push((name, key.at));
        if name == "targets" {
            return self.targets(reader);
        }
        let node = reader.node(faults)?;
        self.fill(name, node);
        Ok(())
    }

    fn fill(&mut self, name: &str, node: Tree<'_>) {
        let (reading, config) = (&mut self.reading, &mut self.config);
        match name {
            "node" => sections::node(reading, node, &mut config.node),
            "api" => sections::api(reading, node, &mut config.api),
            "cluster" => sections::cluster(reading, node, &mut config.cluster),
            "metrics" => sections::metrics(reading, node, &mut config.metrics_per_target),
            _ => self.defaults = Some(sections::defaults(reading, node)),
        }
    }

    fn targets(&mut self, reader: &mut Reader<'a>) -> Result<(), Broken> {
        let defaults = match self.defaults {
            Some(defaults) => defaults,
            None => sections::defaults_ahead(self.text, self.reading.env()),
        };
        let (begin, at) = reader.begin(&mut self.reading.faults)?;
        if !matches!(begin, Begin::List) {
            let message = "'targets' must be a list; begin each with '- name: …'";
            self.reading.fault(at, message);
            if matches!(begin, Begin::Other) {
                return reader.node(&mut self.reading.faults).map(drop);
            }
            while !reader.ends()? {
                reader.node(&mut self.reading.faults)?;
            }
            return Ok(());
        }
        while !reader.ends()? {
            let item = reader.node(&mut self.reading.faults)?;
            if self.lines.len() >= TARGETS_MAX {
                let message = format!("more than {TARGETS_MAX} targets; split the file");
                return Err(Broken {
                    at: item.at,
                    message,
                });
            }
            self.target(item, &defaults);
        }
        Ok(())
    }

    fn target(&mut self, item: Tree<'_>, defaults: &Defaults) {
        let (name, definition) = target::item(&mut self.reading, item, defaults);
        if let Some((name, at)) = name {
            if let Some(&line) = self.lines.get(&name) {
                let name = shown(&name);
                let message = format!(
                    "a target named {name} is already on line {line}; give this one another name"
                );
                self.reading.fault(at, message);
            } else {
                self.lines.insert(name, at.line);
            }
        }
        self.config.targets.extend(definition.map(Arc::new));
    }
}

const NOT_A_MAPPING: &str = "a config is a mapping with keys such as 'node', 'api' and 'targets'";
