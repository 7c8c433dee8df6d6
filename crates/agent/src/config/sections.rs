//! Every section of a config but the targets: node, api, cluster, metrics, defaults.
//!
//! Each function fills what its section gives and leaves the rest at its default.

use std::net::IpAddr;
use std::sync::Arc;

use base::Duration;
use health::{Definition, Rule, SecretSource};
use ipnet::IpNet;

use super::fault::{Mark, shown};
use super::take::{Env, Fields, Reading};
use super::yaml::{Begin, Broken, Node as Tree, Reader};
use super::{Api, Cluster, Node, quantity};
use crate::cluster::{Address, Keyring, KeyringError};
use crate::secret::{Secret, resolve};

/// Keys of `cluster` that a later version knows.
const LATER_CLUSTER: [&str; 2] = ["advertise", "drain_timeout"];
/// Addresses that `join` names at most.
const JOIN_MAX: usize = 256;
/// Characters of a cluster's label at most.
const LABEL_MAX: usize = 200;

/// The name that this machine gives itself, as far as it can name a node.
pub(super) fn host_name() -> Arc<str> {
    let system = rustix::system::uname();
    let name = system.nodename().to_string_lossy();
    match check_node_name(&name) {
        Ok(()) => name.into(),
        Err(_) => "node".into(),
    }
}

/// Whether a node, or its zone, can have this name: 1 to 200 characters, none of them a
/// space, a control character or one of `,=@`, which separate names on the command line.
pub fn check_node_name(name: &str) -> Result<(), String> {
    let characters = name.chars().count();
    if !(1..=200).contains(&characters) {
        return Err(format!(
            "a node's name or zone has 1 to 200 characters, this one has {characters}"
        ));
    }
    if name.contains(|c: char| c.is_whitespace() || c.is_control() || ",=@".contains(c)) {
        return Err("a node's name or zone has no spaces and none of ',', '=', '@'".to_owned());
    }
    Ok(())
}

pub(super) fn node(reading: &mut Reading<'_>, tree: Tree<'_>, node: &mut Node) {
    let Some(mut fields) = reading.fields("'node'", tree) else {
        return;
    };
    let word = |r: &mut Reading<'_>, key: &str, node: &Tree<'_>| -> Option<Arc<str>> {
        let text = r.expanded(key, node)?;
        r.value(node.at, check_node_name(&text))?;
        Some(text.into())
    };
    let name = fields.read(reading, "name", word);
    let zone = fields.read(reading, "zone", word);
    let weight = fields.read(reading, "weight", |r, k, n| r.whole(k, n, 1..=1_000));
    fields.finish(reading, &[]);
    node.name = name.unwrap_or_else(|| Arc::clone(&node.name));
    node.zone = zone.unwrap_or_else(|| Arc::clone(&node.zone));
    node.weight = weight.map_or(node.weight, narrow);
}

pub(super) fn api(reading: &mut Reading<'_>, tree: Tree<'_>, api: &mut Api) {
    let Some(mut fields) = reading.fields("'api'", tree) else {
        return;
    };
    let listen = fields.read(reading, "listen", Reading::socket);
    api.token = token(reading, &mut fields);
    if let Some(node) = fields.take("allow_targets") {
        for item in reading.list("allow_targets", node).unwrap_or_default() {
            api.allow_targets.extend(network(reading, &item));
        }
    }
    fields.finish(reading, &[]);
    api.listen = listen.unwrap_or(api.listen);
}

/// The secret of `token` or `token_file`, fetched now: it is this node's own.
fn token(reading: &mut Reading<'_>, fields: &mut Fields<'_>) -> Option<Secret> {
    let (source, at) = super::connection::secret(reading, fields, "token", "token_file")?;
    let secret = reading.resolved(at, &source)?;
    let printable = secret.expose().bytes().all(|b| b.is_ascii_graphic());
    let message = "the token must be printable ASCII without spaces; a header carries it";
    reading.value(at, printable.then_some(secret).ok_or(message.to_owned()))
}

fn network(reading: &mut Reading<'_>, node: &Tree<'_>) -> Option<IpNet> {
    let text = reading.expanded("allow_targets", node)?;
    let network = match text.parse::<IpAddr>() {
        Ok(address) => Ok(IpNet::from(address)),
        Err(_) => text.parse::<IpNet>().map_err(|_| {
            let text = shown(&text);
            format!("{text} is not a network; write one such as 10.0.0.0/8 or fd00::/8")
        }),
    };
    let network = reading.value(node.at, network)?;
    if network.addr() != network.network() {
        let message = format!(
            "{network} has bits beyond its prefix; write {}",
            network.trunc()
        );
        reading.fault(node.at, message);
        return None;
    }
    Some(network)
}

pub(super) fn cluster(reading: &mut Reading<'_>, tree: Tree<'_>, cluster: &mut Cluster) {
    let Some(mut fields) = reading.fields("'cluster'", tree) else {
        return;
    };
    cluster.listen = fields.read(reading, "listen", Reading::socket);
    if let Some(node) = fields.take("join") {
        cluster.join = join(reading, node);
    }
    let ring = fields.read(reading, "key_file", keyring);
    cluster.keyring = ring.unwrap_or_default();
    let label = fields.read(reading, "label", label);
    cluster.label = label.unwrap_or_default();
    fields.finish(reading, &LATER_CLUSTER);
}

fn join(reading: &mut Reading<'_>, node: Tree<'_>) -> Vec<Address> {
    let at = node.at;
    let mut found: Vec<Address> = Vec::new();
    for item in reading.list("join", node).unwrap_or_default() {
        let Some(text) = reading.expanded("join", &item) else {
            continue;
        };
        if let Some(address) = reading.value(item.at, text.parse()) {
            found.push(address);
        }
    }
    if found.len() > JOIN_MAX {
        let message = format!(
            "'join' names {} addresses, more than {JOIN_MAX}; a few that are mostly up are enough",
            found.len()
        );
        reading.fault(at, message);
    }
    found
}

/// The keys in a file, fetched now: they are this node's own.
fn keyring(reading: &mut Reading<'_>, key: &str, node: &Tree<'_>) -> Option<Keyring> {
    let path = reading.expanded(key, node)?;
    let ring = Keyring::load(&path).map_err(|error| match error {
        KeyringError::Unreadable(error) => error.to_string(),
        other => format!("key file {}: {other}", shown(&path)),
    });
    reading.value(node.at, ring)
}

fn label(reading: &mut Reading<'_>, key: &str, node: &Tree<'_>) -> Option<Box<str>> {
    let text = reading.expanded(key, node)?;
    let fits = text.chars().count() <= LABEL_MAX && !text.contains(char::is_control);
    let message = format!("'label' has at most {LABEL_MAX} characters and no control characters");
    reading.value(node.at, fits.then(|| text.into()).ok_or(message))
}

pub(super) fn metrics(reading: &mut Reading<'_>, tree: Tree<'_>, per_target: &mut bool) {
    let Some(mut fields) = reading.fields("'metrics'", tree) else {
        return;
    };
    let given = fields.read(reading, "per_target", Reading::boolean);
    fields.finish(reading, &[]);
    *per_target = given.unwrap_or(*per_target);
}

/// What a target inherits unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Defaults {
    pub(super) interval: Duration,
    /// Without one: [`Defaults::TIMEOUT`], or the interval if that is shorter.
    pub(super) timeout: Option<Duration>,
    pub(super) rule: Rule,
    pub(super) confirm: u8,
}

impl Defaults {
    /// The timeout where none is given, unless the interval is shorter.
    pub(super) const TIMEOUT: Duration = Duration::from_secs(2);

    /// The defaults of a config without a word about them.
    pub(super) fn built_in() -> Self {
        Self {
            interval: Duration::from_secs(10),
            timeout: None,
            rule: Rule::default(),
            confirm: 2,
        }
    }
}

pub(super) fn defaults(reading: &mut Reading<'_>, tree: Tree<'_>) -> Defaults {
    let mut defaults = Defaults::built_in();
    let before = reading.faults.count();
    let Some(mut fields) = reading.fields("'defaults'", tree) else {
        return defaults;
    };
    let beats = Beats::read(reading, &mut fields);
    fields.finish(reading, &[]);
    if let Some((interval, _)) = beats.interval {
        defaults.interval = interval;
    }
    defaults.timeout = beats.timeout.map(|(timeout, _)| timeout);
    beats.apply(&mut defaults.rule, &mut defaults.confirm);
    if reading.faults.count() == before
        && let Some((timeout, at)) = beats.timeout
        && timeout > defaults.interval
    {
        let message = over_interval(timeout, defaults.interval);
        reading.fault(at, message);
    }
    defaults
}

/// The defaults of a text that names its targets first.
///
/// Mistakes are left to the reading that gets there.
pub(super) fn defaults_ahead(text: &str, env: Env<'_>) -> Defaults {
    let mut reading = Reading::new(env);
    match find_defaults(text, &mut reading) {
        Ok(Some(node)) => defaults(&mut reading, node),
        Ok(None) | Err(_) => Defaults::built_in(),
    }
}

fn find_defaults<'a>(text: &'a str, reading: &mut Reading<'_>) -> Result<Option<Tree<'a>>, Broken> {
    let faults = &mut reading.faults;
    let Some(mut reader) = Reader::open(text)? else {
        return Ok(None);
    };
    if !matches!(reader.begin(faults)?, (Begin::Map, _)) {
        return Ok(None);
    }
    while !reader.ends()? {
        match reader.key(faults)? {
            Some(key) if key.text == "defaults" => return reader.node(faults).map(Some),
            Some(_) | None => reader.skip()?,
        }
    }
    Ok(None)
}

/// The keys that a target and `defaults` share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beats {
    pub(super) interval: Option<(Duration, Mark)>,
    pub(super) timeout: Option<(Duration, Mark)>,
    fall: Option<(u16, u16)>,
    rise: Option<u16>,
    confirm: Option<u8>,
}

impl Beats {
    pub(super) fn read(reading: &mut Reading<'_>, fields: &mut Fields<'_>) -> Self {
        Self {
            interval: fields.read_at(reading, "interval", interval),
            timeout: fields.read_at(reading, "timeout", Reading::duration),
            fall: fields.read(reading, "fall", fall),
            rise: fields
                .read(reading, "rise", |r, k, n| r.whole(k, n, 1..=65_535))
                .map(narrow),
            confirm: fields
                .read(reading, "confirm", |r, k, n| r.whole(k, n, 0..=255))
                .map(narrow),
        }
    }

    /// Replaces what is given.
    pub(super) fn apply(&self, rule: &mut Rule, confirm: &mut u8) {
        if let Some((fall, of)) = self.fall {
            (rule.fall, rule.of) = (fall, of);
        }
        rule.rise = self.rise.unwrap_or(rule.rise);
        *confirm = self.confirm.unwrap_or(*confirm);
    }
}

fn interval(reading: &mut Reading<'_>, key: &str, node: &Tree<'_>) -> Option<Duration> {
    let interval = reading.duration(key, node)?;
    let bounds = Definition::INTERVAL_MIN..=Definition::INTERVAL_MAX;
    let message = || {
        let interval = quantity::duration_text(interval);
        format!("interval {interval} is not between 100ms and 24h")
    };
    let inside = bounds.contains(&interval).then_some(interval);
    reading.value(node.at, inside.ok_or_else(message))
}

fn fall(reading: &mut Reading<'_>, key: &str, node: &Tree<'_>) -> Option<(u16, u16)> {
    let text = reading.expanded(key, node)?;
    let Some((fall, of)) = quantity::fall(&text) else {
        let text = shown(&text);
        let message =
            format!("'fall' must be a whole number, or k of n such as \"3 of 5\", not {text}");
        reading.fault(node.at, message);
        return None;
    };
    let message = if fall == 0 {
        "'fall' must be at least 1: how many failures make a target down".to_owned()
    } else if of < fall || (of > fall && of > Rule::WINDOW_MAX) {
        format!("'fall' {fall} of {of}: the second number must be from {fall} to 64")
    } else {
        return Some((fall, of));
    };
    reading.fault(node.at, message);
    None
}

/// The message for a probe that could still run when the next is due.
pub(super) fn over_interval(timeout: Duration, interval: Duration) -> String {
    let (timeout, interval) = (
        quantity::duration_text(timeout),
        quantity::duration_text(interval),
    );
    format!(
        "timeout {timeout} is longer than interval {interval}; shorten the timeout or lengthen the interval"
    )
}

/// A number that has been checked to fit.
pub(super) fn narrow<T: TryFrom<u64>>(number: u64) -> T {
    T::try_from(number)
        .ok()
        .expect("the bounds it was read with fit the type")
}

impl Reading<'_> {
    /// The secret that `source` names.
    fn resolved(&mut self, at: Mark, source: &SecretSource) -> Option<Secret> {
        let env = self.env();
        let secret = resolve(source, env).map_err(|error| error.to_string());
        self.value(at, secret)
    }
}
