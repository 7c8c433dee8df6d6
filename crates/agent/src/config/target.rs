//! One target: an item of `targets`, or the body of a PUT.
//!
//! Both have the same shape. A definition comes out only if nothing in it is wrong.
//! Does not know how other targets are named.

use std::sync::Arc;

use base::Duration;
use health::{Definition, Http, Probe, Tcp, check_name};

use super::fault::{Fault, Mark, shown};
use super::sections::{Beats, Defaults, over_interval};
use super::take::{Fields, Reading};
use super::verify::Check;
use super::yaml::{Broken, Kind, Node, Reader};
use super::{http, tcp};

/// Probes of a later version.
const LATER_PROBES: [&str; 7] = ["dns", "icmp", "grpc", "tls", "websocket", "exec", "push"];
/// What a target will know in a later version.
const LATER: [&str; 9] = [
    "dns",
    "icmp",
    "grpc",
    "tls",
    "websocket",
    "exec",
    "push",
    "exclusive",
    "depends_on",
];

/// The definition in the body of `PUT /v1/targets/{name}`.
///
/// Shaped like one item of `targets`, as JSON or YAML; `name` may be left out and must equal
/// `name` otherwise. A file that it names is refused unread. Defaults are the built-in ones. The faults' file is called `body`; in JSON
/// a column after an escaped surrogate pair counts the pair as one character.
pub fn parse_target(
    name: &str,
    json_or_yaml: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Definition, Vec<Fault>> {
    let mut reading = Reading::without_files(env);
    let text = super::json::to_yaml(json_or_yaml);
    let definition = match only_node(&text, &mut reading) {
        Ok(node) => put(&mut reading, node, name),
        Err(Broken { at, message }) => {
            reading.fault(at, message);
            None
        }
    };
    match definition {
        Some(definition) if reading.faults.count() == 0 => Ok(definition),
        _ => Err(reading.faults.into_sorted("body")),
    }
}

fn only_node<'a>(text: &'a str, reading: &mut Reading<'_>) -> Result<Node<'a>, Broken> {
    let Some(mut reader) = Reader::open(text)? else {
        return Err(Broken {
            at: Mark::START,
            message: "the body is empty; a target needs 'http' or 'tcp'".to_owned(),
        });
    };
    let node = reader.node(&mut reading.faults)?;
    reader.close()?;
    Ok(node)
}

fn put(reading: &mut Reading<'_>, node: Node<'_>, name: &str) -> Option<Definition> {
    let at = node.at;
    let before = reading.faults.count();
    let mut fields = reading.fields("a target", node)?;
    let checked = check_name(name).map_err(|error| error.to_string());
    reading.value(at, checked);
    if let Some((inner, at)) = fields.read_at(reading, "name", Reading::expanded)
        && inner != name
    {
        let (inner, name) = (shown(&inner), shown(name));
        let message = format!("'name' is {inner}, but the request is for {name}; leave it out");
        reading.fault(at, message);
    }
    rest(reading, fields, name.into(), &Defaults::built_in(), before)
}

/// An item's name and where it stands, if it has a usable one; its definition if all is right.
pub(super) fn item(
    reading: &mut Reading<'_>,
    node: Node<'_>,
    defaults: &Defaults,
) -> (Option<(Arc<str>, Mark)>, Option<Definition>) {
    let before = reading.faults.count();
    let Some(mut fields) = reading.fields("a target", node) else {
        return (None, None);
    };
    if !fields.has("name") {
        let message = "a target needs a 'name'";
        reading.fault(fields.at, message);
    }
    let name = fields.read_at(reading, "name", name);
    let placeholder = || Arc::from("unnamed");
    let known = name
        .as_ref()
        .map_or_else(placeholder, |(name, _)| Arc::clone(name));
    (name, rest(reading, fields, known, defaults, before))
}

fn name(reading: &mut Reading<'_>, key: &str, node: &Node<'_>) -> Option<Arc<str>> {
    let name = reading.expanded(key, node)?;
    let checked = check_name(&name).map_err(|error| error.to_string());
    reading.value(node.at, checked)?;
    Some(name.into())
}

/// Everything but the name; `before` is how many faults there were before this target.
fn rest(
    reading: &mut Reading<'_>,
    mut fields: Fields<'_>,
    name: Arc<str>,
    defaults: &Defaults,
    before: usize,
) -> Option<Definition> {
    let at = fields.at;
    let probe = probe(reading, &mut fields);
    let beats = Beats::read(reading, &mut fields);
    let paused = fields.read(reading, "paused", Reading::boolean);
    let labels = fields.take("labels").and_then(|n| labels(reading, n));
    let group = fields.read(reading, "group", |r, k, n| {
        let group = r.expanded(k, n)?;
        Some(r.word(&group))
    });
    fields.finish(reading, &LATER);
    if reading.faults.count() > before {
        // What is wrong elsewhere does not hide this; what is inherited may be wrong itself.
        if beats.interval.is_some() && beats.timeout.is_some() {
            schedule(reading, &beats, defaults, at);
        }
        return None;
    }
    let (interval, timeout) = schedule(reading, &beats, defaults, at)?;
    let (mut rule, mut confirm) = (defaults.rule, defaults.confirm);
    beats.apply(&mut rule, &mut confirm);
    let definition = Definition {
        name,
        probe: probe?,
        interval,
        timeout,
        rule,
        confirm,
        paused: paused.unwrap_or(false),
        labels: labels.unwrap_or_default(),
        group,
    };
    // Everything it checks has been checked with a better position; this keeps it so.
    let checked = definition.check().map_err(|error| error.to_string());
    reading.value(at, checked)?;
    Some(definition)
}

/// The interval and the timeout, from the target or from what it inherits.
fn schedule(
    reading: &mut Reading<'_>,
    beats: &Beats,
    defaults: &Defaults,
    at: Mark,
) -> Option<(Duration, Duration)> {
    let interval = beats.interval.map_or(defaults.interval, |(value, _)| value);
    let own = beats.timeout.map(|(value, _)| value);
    let Some(timeout) = own.or(defaults.timeout) else {
        return Some((interval, Defaults::TIMEOUT.min(interval)));
    };
    if timeout <= interval {
        return Some((interval, timeout));
    }
    let place = beats.timeout.or(beats.interval).map_or(at, |(_, at)| at);
    let mut message = over_interval(timeout, interval);
    if own.is_none() {
        message.push_str(" (the timeout comes from 'defaults')");
    }
    reading.fault(place, message);
    None
}

/// The one probe of a target.
fn probe(reading: &mut Reading<'_>, fields: &mut Fields<'_>) -> Option<Probe> {
    let later = LATER_PROBES.iter().any(|key| fields.has(key));
    match (fields.take("http"), fields.take("tcp")) {
        (Some(node), None) => http(reading, node).map(|http| Probe::Http(Box::new(http))),
        (None, Some(node)) => tcp(reading, node).map(|tcp| Probe::Tcp(Box::new(tcp))),
        (Some(http), Some(tcp)) => {
            let message = "a target has one probe, this one has 'http' and 'tcp'; make two targets";
            reading.fault(http.at.max(tcp.at), message);
            None
        }
        (None, None) => {
            if !later {
                reading.fault(fields.at, "a target needs 'http' or 'tcp'");
            }
            None
        }
    }
}

fn http(reading: &mut Reading<'_>, node: Node<'_>) -> Option<Http> {
    if matches!(node.kind, Kind::Scalar { .. }) {
        let url = reading.text("http", &node, Check::Url)?;
        return Some(Http::get(&url));
    }
    http::http(reading, node)
}

fn tcp(reading: &mut Reading<'_>, node: Node<'_>) -> Option<Tcp> {
    if matches!(node.kind, Kind::Scalar { .. }) {
        let address = reading.text("tcp", &node, Check::Address)?;
        return Some(Tcp::connect(&address));
    }
    tcp::tcp(reading, node)
}

type Labels = Box<[(Arc<str>, Arc<str>)]>;

fn labels(reading: &mut Reading<'_>, node: Node<'_>) -> Option<Labels> {
    let at = node.at;
    let pairs = reading.pairs("'labels'", node)?;
    if pairs.len() > Definition::LABELS_MAX {
        let message = format!("{} labels, at most {}", pairs.len(), Definition::LABELS_MAX);
        reading.fault(at, message);
        return None;
    }
    let mut labels = Vec::with_capacity(pairs.len());
    for (key, value) in pairs {
        if key.text.is_empty() || key.text.contains(char::is_control) {
            reading.fault(key.at, "a label's key is text without control characters");
        }
        if let Some(value) = reading.expanded(&key.text, &value) {
            labels.push((reading.word(&key.text), reading.word(&value)));
        }
    }
    labels.sort();
    Some(labels.into())
}
