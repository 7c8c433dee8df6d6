//! Two whole nodes that have met, check targets and ask each other: what they say is a corpus, and
//! what one of them was given makes it again.
//!
//! The network is a queue with a millisecond's delay; nothing here is random.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use base::{Duration, NodeId, Origin, Time, Wall, Way};
use health::{
    ClusterConfig, Config, Definition, Finding, Input, Node, Output, Probed, Reason, Request,
    Source,
};

use crate::corpus::{self, Piece};

const MS: Duration = Duration::from_millis(1);
/// Until when the second node's story is kept, and until when the two go on talking.
const MET: Time = Time(4_000_000);
const END: Time = Time(14_000_000);
/// Inputs after which a node is made anew; under libFuzzer each has one of its own, so that what
/// breaks can be broken again by itself.
const USES: u32 = if cfg!(feature = "libfuzzer") { 1 } else { 256 };

struct Meeting {
    /// What the first node was given until it had met the second.
    given: Vec<(Time, Input)>,
    /// What was said to it until the end.
    said: Vec<Piece>,
}

static MEETING: LazyLock<Meeting> = LazyLock::new(Meeting::held);

thread_local! {
    static NODE: RefCell<Option<(Node, Time, u32)>> = const { RefCell::new(None) };
}

/// What the second node said to the first.
pub(crate) fn packets() -> Vec<Piece> {
    MEETING.said.clone()
}

/// Gives `bytes` to a node that has met another; how many outputs and bytes came of it.
pub(crate) fn give(bytes: Vec<u8>, way: Way) -> (usize, usize) {
    NODE.with_borrow_mut(|place| {
        let (mut node, mut now, uses) = place.take().unwrap_or_else(|| (again(), MET, 0));
        now += MS;
        let received = Input::Received(corpus::address(2), way, bytes);
        let mut came = (0, 0);
        for input in [received, Input::Tick] {
            let mut inputs = vec![input];
            while let Some(input) = inputs.pop() {
                node.handle(now, input);
                while let Some(output) = node.poll() {
                    came.0 += 1;
                    match output {
                        Output::Send(_, _, bytes) => came.1 += bytes.len(),
                        Output::Inquired(inquiry, _) => {
                            inputs.push(Input::Tell(inquiry, Box::default()));
                        }
                        Output::Persist { batch, .. } => inputs.push(Input::Persisted(batch)),
                        _ => {}
                    }
                }
            }
        }
        if uses + 1 < USES {
            *place = Some((node, now, uses + 1));
        }
        came
    })
}

/// The first node as it was when it had met the second.
fn again() -> Node {
    let mut node = node(1);
    for (at, input) in &MEETING.given {
        node.handle(*at, input.clone());
        while node.poll().is_some() {}
    }
    node
}

fn node(id: u8) -> Node {
    let cluster = ClusterConfig {
        wire: health::WIRE,
        name: format!("node-{id}").into(),
        address: corpus::address(id),
        zone: "eu".into(),
        weight: 1,
        join: vec![corpus::address(3 - id)],
        seed: u64::from(id),
        fresh_id: NodeId(u64::from(id)),
        wall_ms: 1_700_000_000_000,
    };
    let config = Config {
        cluster: Some(cluster),
        fresh_origin: Origin(u64::from(id)),
        ..Config::default()
    };
    Node::new(config).expect("the config is valid")
}

/// What comes to both nodes, in order.
#[derive(Default)]
struct Queue {
    waiting: BTreeMap<(Time, u64), (usize, Input)>,
    count: u64,
}

impl Queue {
    fn push(&mut self, at: Time, to: usize, input: Input) {
        self.count += 1;
        self.waiting.insert((at, self.count), (to, input));
    }

    /// What happens because a node wants this.
    fn answer(&mut self, now: Time, from: usize, output: Output) {
        let soon = now + MS;
        match output {
            Output::Probe(check) => {
                let fails = now.0 % 8_000_000 > 5_000_000;
                let finding = if fails {
                    Finding::Failed(Reason::Refused)
                } else {
                    Finding::Passed
                };
                let probed = Probed {
                    slot: check.slot,
                    ticket: check.ticket,
                    finding,
                    late: Duration::ZERO,
                    timeout: Duration::from_secs(1),
                    local: true,
                    detail: None,
                };
                self.push(soon, from, Input::Probed(probed));
            }
            Output::Persist { batch, .. } => self.push(soon, from, Input::Persisted(batch)),
            Output::Send(_, way, bytes) => {
                let address = corpus::address(u8::try_from(from + 1).expect("two"));
                self.push(soon, 1 - from, Input::Received(address, way, bytes));
            }
            Output::Inquired(inquiry, _) => {
                self.push(soon, from, Input::Tell(inquiry, Box::default()));
            }
            _ => {}
        }
    }
}

impl Meeting {
    fn held() -> Self {
        let mut nodes = [node(1), node(2)];
        let mut queue = Queue::default();
        let file: Vec<Arc<Definition>> = (0..6).map(target).collect();
        for at in 0..2 {
            queue.push(Time(1), at, Input::Restored(Vec::new()));
            queue.push(Time(1), at, Input::WallClock(Wall(1_700_000_000_000)));
            queue.push(Time(1), at, Input::Load(Source::File, file.clone()));
        }
        let (mut given, mut said) = (Vec::new(), Vec::new());
        let mut now = Time(1);
        while now < END {
            while let Some(entry) = queue.waiting.first_entry().filter(|e| e.key().0 <= now) {
                let (to, input) = entry.remove();
                if let (0, Input::Received(_, _, bytes)) = (to, &input) {
                    said.push(bytes.clone());
                }
                if to == 0 && now < MET {
                    given.push((now, input.clone()));
                }
                nodes[to].handle(now, input);
                while let Some(output) = nodes[to].poll() {
                    queue.answer(now, to, output);
                }
            }
            now += MS;
            for (at, node) in nodes.iter().enumerate() {
                if node.deadline().is_some_and(|due| due <= now) {
                    queue.push(now, at, Input::Tick);
                }
                // Both ask for every target: one of the two questions goes to the other.
                if now.0 % 500_000 < 1_000 && now > MET {
                    let name = format!("t{}", now.0 / 500_000 % 6);
                    let request = Request(now.0);
                    queue.push(now, at, Input::Inquire(request, name.into()));
                }
            }
        }
        said.sort();
        said.dedup();
        Self { given, said }
    }
}

fn target(n: u32) -> Arc<Definition> {
    Arc::new(Definition {
        name: format!("t{n}").into(),
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        ..corpus::web()
    })
}
