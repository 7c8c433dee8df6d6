//! A node without a driver: invented targets, and answers given at once.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, Weak};

use base::{Duration, Origin, Slot, Time, Version, Wall};
use health::{
    Account, Answer, Definition, Diff, Doubt, Event, Explanation, Finding, Http, Missing, OpenRow,
    Outcome, Phases, Probe, Reason, Row, Rule, Source, State, Status, Tcp, View,
};
use roundsman_agent::clock::Clock;
use roundsman_agent::config::Fault;
use roundsman_agent::front::{Ask, Asks, Front, Identity, Settings, Told};
use roundsman_agent::secret::Secret;

pub(crate) const TOKEN: &str = "correct-horse";
const ORIGIN: Origin = Origin(0xfeed);

/// Names that must survive JSON, HTML, paths and metrics.
pub(crate) const ODD: [&str; 8] = [
    "a/b c",
    "100% \"quoted\"",
    "back\\slash",
    "<script>alert(1)</script>",
    "läden & ☕",
    "q?x=1#y",
    "+plus;semi,comma",
    "'apostrophe'",
];

/// A front over `rows`, answered by a driver that does at once what it is asked.
pub(crate) fn front(rows: Vec<OpenRow>) -> Arc<Front> {
    let me = Arc::new(OnceLock::new());
    let driver = Driver {
        me: Arc::clone(&me),
        seq: Mutex::new(1_000_000),
    };
    let identity = Identity {
        name: "alice".into(),
        label: "prod".into(),
        zone: "eu-1".into(),
        weight: 1,
        address: ([127, 0, 0, 1], 7717).into(),
        incarnation: 1_790_000_000_000,
    };
    let settings = Settings {
        token: Some(Secret::new(TOKEN)),
        allow_targets: Vec::new(),
        metrics_per_target: true,
    };
    let front = Arc::new(Front::new(
        Clock::start(),
        identity,
        settings,
        Box::new(driver),
    ));
    let slots: Vec<Slot> = rows.iter().map(|row| row.slot).collect();
    let version = Version {
        origin: ORIGIN,
        seq: 1,
    };
    front.view.store(Arc::new(View::of(version, rows)));
    front.events.restore(ORIGIN, 0, Vec::new());
    slots.iter().for_each(|slot| front.figures.clear(*slot));
    front
        .ready
        .store(true, std::sync::atomic::Ordering::Relaxed);
    me.set(Arc::downgrade(&front)).expect("set once");
    front
}

/// A front of `count` targets in every state, with figures.
pub(crate) fn populated(count: u32) -> Arc<Front> {
    let rows: Vec<OpenRow> = (0..count).map(|n| row(n, &invented(n))).collect();
    let front = front(rows);
    let view = front.view.load_full();
    for row in view.rows(None) {
        check(&front, &row.open());
    }
    front
}

/// A front of all odd names.
pub(crate) fn odd() -> Arc<Front> {
    let rows = (0_u32..).zip(ODD).map(|(n, name)| row(n, name)).collect();
    let front = front(rows);
    for row in front.view.load_full().rows(None) {
        check(&front, &row.open());
    }
    front
}

fn invented(n: u32) -> String {
    let kinds = [
        "shop", "login", "search", "cart", "mail", "db", "queue", "cdn",
    ];
    let kind = kinds[n as usize % kinds.len()];
    format!("{kind}-{}-{n:04}", ["eu", "us", "ap"][n as usize / 8 % 3])
}

fn definition(n: u32, name: &str) -> Definition {
    let probe = if n % 8 == 5 || n % 8 == 6 {
        Probe::Tcp(Box::new(Tcp::connect(&format!(
            "10.0.{}.{}:5432",
            n / 250,
            n % 250
        ))))
    } else {
        let url = format!("https://user:hunter2@{}.example/healthz", n % 97);
        Probe::Http(Box::new(Http::get(&url)))
    };
    let groups = [
        "web", "web", "search", "web", "mail", "storage", "storage", "edge",
    ];
    Definition {
        name: name.into(),
        probe,
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(2),
        rule: Rule::default(),
        confirm: 0,
        paused: n % 97 == 13,
        labels: Box::new([
            ("team".into(), ["pay", "infra"][n as usize % 2].into()),
            (
                "zone".into(),
                ["eu-1", "us-2", "ap-1"][n as usize / 8 % 3].into(),
            ),
        ]),
        group: (n % 53 != 7).then(|| groups[n as usize % 8].into()),
    }
}

fn row(n: u32, name: &str) -> OpenRow {
    let wall = now().0;
    let born = Status::new(Wall(wall - 86_400_000));
    let up = born.changed(State::Up, Wall(wall - 86_390_000), Reason::None, None, 1);
    let ago = |seconds: i64| Wall(wall - seconds * 1_000 - i64::from(n) * 977);
    let down = |reason, detail: &str| {
        up.changed(
            State::Down,
            ago(9_000),
            Reason::Status(503),
            Some("expected 200-299".into()),
            2,
        )
        .changed(State::Up, ago(8_000), Reason::None, None, 3)
        .changed(State::Down, ago(192), reason, Some(detail.into()), 4)
    };
    let status = match n {
        _ if n % 97 == 13 => up.changed(State::Paused, ago(7_000), Reason::None, None, 2),
        1 => down(Reason::Refused, "10.0.0.1:443"),
        6 => down(
            Reason::Timeout(health::Phase::Connect),
            "10.0.0.6:5432 after 2 s",
        ),
        _ if n % 211 == 3 && n > 10 => down(Reason::Status(503), "expected 200-299"),
        4 => up.changed(State::Unknown, ago(40), Reason::None, None, 2),
        _ if n % 307 == 9 && n > 10 => born,
        _ => up,
    };
    let source = if n.is_multiple_of(5) {
        Source::Api
    } else {
        Source::File
    };
    let definition = Arc::new(definition(n, name));
    OpenRow::new(Slot(n), definition, (source, n % 83 == 2), status, None)
}

fn now() -> Wall {
    Clock::start().wall()
}

/// Records two dozen outcomes that fit the row's state; some targets were never checked.
pub(crate) fn check(front: &Front, row: &OpenRow) {
    let n = row.slot.0;
    if n % 61 == 17 || row.status.state == State::Paused {
        return;
    }
    for k in 0..24_u32 {
        let at = Time(front.clock.now().0.max(30_000_000) - u64::from(24 - k) * 1_000);
        let finding = match row.status.state {
            State::Down if k > 18 => Finding::Failed(row.status.reason),
            State::Unknown if k > 20 => Finding::Inconclusive(Doubt::Late),
            _ if k == 7 && n.is_multiple_of(4) => {
                Finding::Failed(Reason::Timeout(health::Phase::Processing))
            }
            _ => Finding::Passed,
        };
        let wall = front.clock.wall_at(at);
        front
            .figures
            .record(row.slot, at, wall, finding, &outcome(finding, n, k, row));
    }
}

fn outcome(finding: Finding, n: u32, k: u32, row: &OpenRow) -> Outcome {
    let slow = 1 + (n * 7 + k * 13) % 29;
    let mut outcome = Outcome::new(finding);
    outcome.phases = match finding {
        Finding::Failed(Reason::Refused) => Phases([900, 310, 0, 0, 0]),
        Finding::Failed(_) => Phases([900, 310, 0, 2_000_000, 0]),
        _ => Phases([700, 900 * slow, 2_100 * slow, 3_300 * slow, 120 * slow]),
    };
    outcome.address = Some(IpAddr::from([10, 0, 0, 7]));
    if matches!(row.definition.probe, Probe::Http(_)) && finding == Finding::Passed {
        outcome.http_status = Some(200);
        outcome.cert_expiry = Some(Wall(now().0 + i64::from(n % 90) * 86_400_000));
    }
    if matches!(finding, Finding::Failed(_)) {
        outcome.detail = row.status.detail.clone();
    }
    outcome
}

/// Brings a target into another state, as the driver would: figures, view, event.
pub(crate) fn change(front: &Front, name: &str, to: State, reason: Reason) {
    let view = front.view.load_full();
    let old = view.get(name).expect("a target of this name");
    let seq = view.version.seq + 1;
    let detail: Option<Arc<str>> = (reason != Reason::None).then(|| "10.0.0.9:80".into());
    let status = old.status().changed(to, now(), reason, detail.clone(), seq);
    let event = Event {
        target: name.into(),
        transition: status.recent[status.recent.len() - 1],
        detail,
    };
    let origin = (old.source, old.shadowed());
    let new = OpenRow::new(old.slot, old.definition(), origin, status, old.votes());
    check(front, &new);
    replace(front, seq, new);
    front.events.push(event);
}

fn replace(front: &Front, seq: u64, row: OpenRow) {
    let view = front.view.load_full();
    let mut rows: Vec<OpenRow> = view
        .rows(None)
        .filter(|old| old.name() != row.name())
        .map(Row::open)
        .collect();
    rows.push(row);
    let version = Version {
        origin: ORIGIN,
        seq,
    };
    front.view.store(Arc::new(View::of(version, rows)));
}

#[derive(Debug)]
struct Driver {
    me: Arc<OnceLock<Weak<Front>>>,
    seq: Mutex<u64>,
}

impl Driver {
    fn front(&self) -> Arc<Front> {
        let weak = self.me.get().expect("set before the first ask");
        weak.upgrade().expect("asked by the front itself")
    }

    fn version(&self) -> Version {
        let mut seq = self.seq.lock().expect("nobody panics");
        *seq += 1;
        Version {
            origin: ORIGIN,
            seq: *seq,
        }
    }

    fn put(&self, definition: Definition) -> Result<Answer, Vec<String>> {
        let (front, version) = (self.front(), self.version());
        if &*definition.name == "denied" {
            return Err(vec!["the address lies in a denied range".to_owned()]);
        }
        let view = front.view.load_full();
        let old = view.get(&definition.name);
        let next = view.rows(None).map(|row| row.slot.0 + 1).max().unwrap_or(0);
        let slot = old.map_or(Slot(next), |row| row.slot);
        let answer = if old.is_some() {
            Answer::Replaced(version)
        } else {
            Answer::Created(version)
        };
        front.figures.clear(slot);
        let (definition, status) = (Arc::new(definition), Status::new(now()));
        let row = OpenRow::new(slot, definition, (Source::Api, false), status, None);
        replace(&front, version.seq, row);
        Ok(answer)
    }

    fn delete(&self, name: &str) -> Answer {
        let front = self.front();
        let view = front.view.load_full();
        match view.get(name) {
            None => Answer::NotFound,
            Some(row) if row.source == Source::File => Answer::FromFile,
            Some(_) => {
                let version = self.version();
                let rows = view.rows(None).filter(|row| row.name() != name);
                let rows = rows.map(Row::open);
                front
                    .view
                    .store(Arc::new(View::of(version, rows.collect())));
                Answer::Deleted(version)
            }
        }
    }

    fn account(&self, name: &str) -> Told {
        let front = self.front();
        let view = front.view.load_full();
        let row = view.get(name).ok_or(Missing::NoTarget)?;
        let slot = row.slot;
        let is_down = row.state() == State::Down;
        let explanation = Explanation {
            state: row.state(),
            failures: u16::from(!is_down && slot.0.is_multiple_of(4)),
            successes: u16::from(is_down && slot.0.is_multiple_of(2)),
            window: if is_down { 0b111 } else { 0 },
            in_flight: slot.0.is_multiple_of(7),
            next_due: (row.state() != State::Paused)
                .then(|| front.clock.now() + Duration::from_millis(3_200)),
        };
        Ok(Box::new(Account {
            by: Arc::clone(&front.identity.name),
            explanation,
            findings: front.figures.findings(slot),
            unable: Vec::new(),
        }))
    }
}

impl Asks for Driver {
    fn ask(&self, ask: Ask) -> bool {
        match ask {
            Ask::Drain(reply) | Ask::Leave(reply) => drop(reply.send(Answer::NoCluster)),
            Ask::Forget(_, reply) => drop(reply.send(Answer::NoCluster)),
            Ask::Put(definition, reply) => drop(reply.send(self.put(definition))),
            Ask::Delete(name, reply) => drop(reply.send(self.delete(&name))),
            Ask::Account(name, reply) => drop(reply.send(self.account(&name))),
            Ask::Reload(reply) => drop(reply.send(self.reload())),
        }
        true
    }
}

impl Driver {
    /// Every second reload finds a mistake.
    fn reload(&self) -> Result<Diff, Vec<Fault>> {
        if self.version().seq.is_multiple_of(2) {
            return Err(vec![Fault {
                file: "roundsman.yaml".into(),
                line: 3,
                column: 5,
                message: "unknown key 'intervall'; the nearest known is 'interval'".to_owned(),
            }]);
        }
        Ok(Diff {
            added: vec!["new".into()],
            unchanged: 9,
            ..Diff::default()
        })
    }
}
