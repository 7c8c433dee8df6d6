//! Definitions as JSON: the two places where the API meets the config's language.

use base::Duration;
use health::{Definition, Http, Probe, Rule, Tcp};
use serde_json::{Value, json};

use crate::config::Fault;

/// Reads the definition of target `name`; every mistake, not only the first.
pub(super) fn parse(name: &str, body: &str) -> Result<Definition, Vec<Fault>> {
    let fault = |message: String| {
        vec![Fault {
            file: "body".into(),
            line: 1,
            column: 1,
            message,
        }]
    };
    let value: Value = serde_json::from_str(body).map_err(|e| fault(e.to_string()))?;
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let probe = match (text("http"), text("tcp")) {
        (Some(url), None) => Probe::Http(Box::new(Http::get(url))),
        (None, Some(address)) => Probe::Tcp(Box::new(Tcp::connect(address))),
        _ => return Err(fault("one of 'http' and 'tcp' is needed".to_owned())),
    };
    let interval = match text("interval") {
        None => Duration::from_secs(10),
        Some(span) => humantime::parse_duration(span).map_err(|e| fault(e.to_string()))?,
    };
    let definition = Definition {
        name: name.into(),
        probe,
        interval,
        timeout: interval.min(Duration::from_secs(2)),
        rule: Rule::default(),
        confirm: 2,
        paused: false,
        labels: Box::default(),
        group: None,
    };
    match definition.check() {
        Ok(()) => Ok(definition),
        Err(wrong) => Err(fault(wrong.to_string())),
    }
}

/// A definition as it would be written, secrets left out.
pub(crate) fn to_json(definition: &Definition) -> Value {
    json!({
        "name": &*definition.name,
        definition.probe.kind(): super::masked(definition.probe.address()),
        "interval": humantime::format_duration(definition.interval).to_string(),
        "timeout": humantime::format_duration(definition.timeout).to_string(),
        "fall": definition.rule.fall,
        "rise": definition.rule.rise,
    })
}
