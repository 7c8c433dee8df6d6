//! Characters for the tests of this crate.

use std::sync::Arc;

use base::Duration;

use crate::definition::{Definition, Http, Probe, Rule};

/// A target with every default, asked every ten seconds.
pub(crate) fn definition(name: &str) -> Arc<Definition> {
    Arc::new(Definition {
        name: name.into(),
        probe: Probe::Http(Box::new(Http::get("http://127.0.0.1:8080/"))),
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(2),
        rule: Rule::default(),
        confirm: 0,
        paused: false,
        labels: Box::default(),
        group: None,
    })
}
