//! The `tcp` probe of a target.

use health::{Step, Tcp, Tls};

use super::connection;
use super::http::sent_text;
use super::take::{Reading, is_empty};
use super::verify::Check;
use super::yaml::{Kind, Node};

/// The most steps of a dialogue.
const STEPS_MAX: usize = 100;

/// A mapping of `tcp`; the short form is `host:port` alone.
pub(super) fn tcp(reading: &mut Reading<'_>, node: Node<'_>) -> Option<Tcp> {
    let mut fields = reading.fields("'tcp'", node)?;
    if !fields.has("address") {
        reading.fault(fields.at, "'tcp' needs an 'address'");
    }
    let address = fields.read(reading, "address", |r, k, n| r.text(k, n, Check::Address));
    let tls = fields.take("tls").and_then(|n| tls(reading, n));
    let valid_for = fields.read_at(reading, "cert_valid_for", Reading::duration);
    let dialogue = fields.take("dialogue").and_then(|n| dialogue(reading, n));
    let family = connection::family(reading, &mut fields);
    let close = connection::close(reading, &mut fields);
    fields.finish(reading, &[]);
    let tls = tls.flatten();
    if let (Some((_, at)), None) = (valid_for, &tls) {
        let message = "'cert_valid_for' needs 'tls: true': without TLS there is no certificate";
        reading.fault(at, message);
    }
    Some(Tcp {
        address: address?,
        tls,
        cert_valid_for: valid_for.map(|(span, _)| span),
        dialogue: dialogue.unwrap_or_default(),
        family,
        close,
    })
}

/// `true`, `false` or a mapping.
fn tls(reading: &mut Reading<'_>, node: Node<'_>) -> Option<Option<Tls>> {
    if matches!(node.kind, Kind::Scalar { .. }) {
        let speak = reading.boolean("tls", &node)?;
        return Some(speak.then(Tls::default));
    }
    connection::tls(reading, node).map(Some)
}

fn dialogue(reading: &mut Reading<'_>, node: Node<'_>) -> Option<Box<[Step]>> {
    let at = node.at;
    let items = reading.list("dialogue", node)?;
    if items.len() > STEPS_MAX {
        let message = format!("{} steps, at most {STEPS_MAX}", items.len());
        reading.fault(at, message);
        return None;
    }
    Some(items.into_iter().filter_map(|n| step(reading, n)).collect())
}

fn step(reading: &mut Reading<'_>, node: Node<'_>) -> Option<Step> {
    let at = node.at;
    if is_empty(&node) {
        reading.fault(at, ONE_OF_TWO);
        return None;
    }
    let mut fields = reading.fields("a step", node)?;
    let both = fields.has("send") == fields.has("expect");
    let send = fields.read(reading, "send", sent_text);
    let expect = fields.read(reading, "expect", |r, k, n| r.text(k, n, Check::Pattern));
    fields.finish(reading, &[]);
    if both {
        reading.fault(at, ONE_OF_TWO);
    }
    send.map(Step::Send).or(expect.map(Step::Expect))
}

const ONE_OF_TWO: &str =
    "a step is either 'send: text' or 'expect: regex'; write two steps for both";
