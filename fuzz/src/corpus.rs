//! Valid encodings to start from.

use std::sync::Arc;

use base::{Duration, Time, Wall};
use health::{
    Config, Definition, Finding, Http, Input, Key, Node, Output, Probe, Probed, Reason, Rule,
    Source, Write,
};

/// One valid encoding.
pub type Piece = Vec<u8>;

/// Definitions with everything that a definition can have.
pub(crate) fn definitions() -> Vec<Piece> {
    let plain = web();
    let paused = Definition {
        paused: true,
        name: "ünïcode name / with everything".into(),
        group: None,
        labels: Box::default(),
        ..plain.clone()
    };
    [plain, paused]
        .iter()
        .map(health::encode_definition)
        .collect()
}

fn web() -> Definition {
    Definition {
        name: "web".into(),
        probe: Probe::Http(Box::new(Http::get("http://127.0.0.1/"))),
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(2),
        rule: Rule::default(),
        confirm: 2,
        paused: false,
        labels: Box::new([("team".into(), "pay".into()), ("env".into(), "prod".into())]),
        group: Some("shop".into()),
    }
}

/// What a node has written down of a target's status, from its first outcome to its third death.
pub(crate) fn statuses() -> Vec<Piece> {
    let mut node = Node::new(Config::default()).expect("the default is valid");
    let mut now = Time(1_000_000);
    let mut pieces = Vec::new();
    let first = [
        Input::WallClock(Wall(1_700_000_000_000)),
        Input::Restored(Vec::new()),
        Input::Load(Source::File, vec![Arc::new(web())]),
    ];
    let mut inputs: Vec<Input> = first.into();
    for round in 0..1_000_u32 {
        for input in std::mem::take(&mut inputs) {
            node.handle(now, input);
        }
        while let Some(output) = node.poll() {
            match output {
                Output::Probe(check) => {
                    let finding = if round % 40 < 20 {
                        Finding::Passed
                    } else {
                        Finding::Failed(Reason::Refused)
                    };
                    inputs.push(Input::Probed(Probed {
                        slot: check.slot,
                        ticket: check.ticket,
                        finding,
                        late: Duration::ZERO,
                        timeout: Duration::from_secs(2),
                        local: true,
                        detail: Some("connection refused".into()),
                    }));
                }
                Output::Persist { batch, writes, .. } => {
                    for write in writes {
                        if let Write::Set(Key::Status(_), value) = write {
                            pieces.push(value);
                        }
                    }
                    inputs.push(Input::Persisted(batch));
                }
                _ => {}
            }
        }
        inputs.push(Input::Tick);
        now += Duration::from_millis(500);
    }
    pieces.dedup();
    pieces.truncate(64);
    pieces
}
