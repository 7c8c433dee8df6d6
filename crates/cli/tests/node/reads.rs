//! Reading what was written: a version token of one node, shown to another, while nodes stand
//! still and die; and answers within a given time that say what is missing.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cluster::{Fleet, config};
use crate::server::Targets;
use crate::support::{Node, TOKEN};

/// Pairs of a write and a read elsewhere.
const PAIRS: u64 = 300;
/// What an answer may take beyond what was asked.
const BEYOND: Duration = Duration::from_millis(50);

/// How long this machine lets a thread wait that wanted to sleep for a moment.
struct Pulse {
    worst_us: Arc<AtomicU64>,
    ends: Arc<AtomicBool>,
}

impl Pulse {
    fn start() -> Self {
        let (worst, ends) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (mine, stop) = (Arc::clone(&worst), Arc::clone(&ends));
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let begun = Instant::now();
                std::thread::sleep(Duration::from_millis(1));
                let over = begun.elapsed().saturating_sub(Duration::from_millis(1));
                mine.fetch_max(
                    u64::try_from(over.as_micros()).unwrap_or(u64::MAX),
                    Ordering::Relaxed,
                );
            }
        });
        Self {
            worst_us: worst,
            ends,
        }
    }

    /// The longest stall since the last question.
    fn stall(&self) -> Duration {
        Duration::from_micros(self.worst_us.swap(0, Ordering::Relaxed))
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
    }
}

/// One answer: status, kind of content, body.
struct Said {
    status: u16,
    kind: String,
    body: Value,
    after: Duration,
}

struct Client(ureq::Agent);

impl Client {
    fn new() -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(15)));
        Self(config.build().into())
    }

    fn get(&self, node: &Node, path: &str) -> Option<Said> {
        let begun = Instant::now();
        let url = format!("http://{}{path}", node.address);
        let mut answer = self.0.get(url).call().ok()?;
        let kind = answer
            .headers()
            .get("content-type")?
            .to_str()
            .ok()?
            .to_owned();
        let text = answer.body_mut().read_to_string().ok()?;
        Some(Said {
            status: answer.status().as_u16(),
            kind,
            body: serde_json::from_str(&text).unwrap_or(Value::Null),
            after: begun.elapsed(),
        })
    }

    /// The version of a put that was acknowledged.
    fn put(&self, node: &Node, name: &str, body: &str) -> Option<String> {
        let url = format!("http://{}/v1/targets/{name}", node.address);
        let put = self
            .0
            .put(url)
            .header("Authorization", format!("Bearer {TOKEN}"));
        let mut answer = put.send(body).ok()?;
        let text = answer.body_mut().read_to_string().ok()?;
        let body: Value = serde_json::from_str(&text).ok()?;
        Some(body["version"].as_str()?.to_owned())
    }
}

fn label(target: &Value) -> Option<u64> {
    target["labels"]["n"].as_str()?.parse().ok()
}

/// Lets a node stand still for a while, or kills and restarts it.
fn disturb(fleet: &mut Fleet, at: usize, kills: bool) {
    if kills {
        fleet.nodes[at].kill();
        fleet.nodes[at].spawn();
        return;
    }
    let pid = fleet.nodes[at].pid();
    let script = format!("kill -STOP {pid}; sleep 1; kill -CONT {pid}");
    // It goes on by itself; whoever asks meanwhile has to wait or ask another.
    std::thread::spawn(move || Command::new("sh").arg("-c").arg(script).status());
}

#[expect(clippy::print_stdout, reason = "the figures are the result")]
#[test]
fn a_version_shown_to_another_node_is_answered_with_it_or_with_a_time_out() {
    let targets = Targets::start();
    let mut fleet = Fleet::start(3, &config(&targets, 3));
    fleet.wait_until("all members are there", Fleet::alive);
    let (client, pulse) = (Client::new(), Pulse::start());
    // By put: which one it took the place of.
    let mut before: BTreeMap<u64, Option<u64>> = BTreeMap::new();
    let (mut shown, mut late, mut lost, mut timely) = (0, 0, 0, 0);
    let mut latest = Duration::ZERO;
    for n in 0..PAIRS {
        if n % 20 == 10 {
            let at = usize::try_from(n / 20).expect("small") % 3;
            disturb(&mut fleet, at, n % 40 == 10);
        }
        let random = usize::try_from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33).expect("small");
        let (writer, reader) = (random % 3, (random % 3 + 1 + random / 3 % 2) % 3);
        let name = format!("made-{}", random / 7 % 4);
        let place = format!("/v1/targets/{name}");
        let saw = client.get(&fleet.nodes[writer], &place);
        let saw = saw.and_then(|said| label(&said.body));
        let body =
            format!("{{\"tcp\":\"127.0.0.1:9\",\"paused\":true,\"labels\":{{\"n\":\"{n}\"}}}}");
        before.insert(n, saw);
        let Some(version) = client.put(&fleet.nodes[writer], &name, &body) else {
            lost += 1;
            continue;
        };
        let within = Duration::from_millis(20 + u64::try_from(random % 1_500).expect("small"));
        pulse.stall();
        let path = format!(
            "{place}?min_version={version}&within={}ms",
            within.as_millis()
        );
        let Some(said) = client.get(&fleet.nodes[reader], &path) else {
            lost += 1;
            continue;
        };
        match said.status {
            200 => {
                shown += 1;
                let found = label(&said.body).expect("only these are here");
                let mut older = before[&n];
                while let Some(old) = older {
                    assert_ne!(found, old, "put {n} ({version}) was read as {found}");
                    older = before.get(&old).copied().flatten();
                }
            }
            504 => {
                late += 1;
                assert_eq!(said.kind, "application/problem+json");
                assert_eq!(
                    said.body["missing"]["version"],
                    version.as_str(),
                    "{}",
                    said.body
                );
                assert!(
                    said.body["missing"]["members_known"].is_u64(),
                    "{}",
                    said.body
                );
                let over = said.after.saturating_sub(within);
                latest = latest.max(over);
                timely += u64::from(over <= BEYOND + pulse.stall());
            }
            // A node that has just been started does not have the target yet, nor the version.
            other => panic!("put {n}: {other}: {}", said.body),
        }
    }
    println!(
        "{PAIRS} pairs: {shown} shown, {late} time-outs ({timely} within {BEYOND:?} and the machine's own stalls, the latest {latest:?} late), {lost} without an answer"
    );
    assert!(shown > PAIRS / 3, "{shown} of {PAIRS}");
    // A node that was stopped meanwhile is as late as that.
    assert!(timely * 2 >= late, "{timely} of {late} in time");
}

#[expect(clippy::print_stdout, reason = "the figures are the result")]
#[test]
fn an_answer_within_a_time_comes_then_and_says_who_is_missing() {
    let targets = Targets::start();
    let fleet = Fleet::start(3, &config(&targets, 12));
    fleet.wait_until("all answer alike", Fleet::agrees);
    let client = Client::new();
    let ask = |within: &str| {
        let path = format!("/v1/targets?limit=1000&within={within}");
        client.get(&fleet.nodes[0], &path).expect("an answer")
    };
    fleet.wait_until("all is fresh", |_| {
        ask("1s").body["coverage"]["fresh"] == 12
    });
    let whole = ask("1s");
    assert_eq!(
        whole.body["coverage"]["fresh"], 12,
        "{}",
        whole.body["coverage"]
    );
    fleet.nodes[2].signal("STOP");
    fleet.wait_until("somebody is missing, and that is said", |_| {
        let said = ask("50ms");
        assert_eq!(said.status, 200);
        let coverage = &said.body["coverage"];
        let number = |key: &str| coverage[key].as_u64().expect("a number");
        assert_eq!(
            number("fresh") + number("stale"),
            number("targets"),
            "{coverage}"
        );
        assert_eq!(
            (number("targets"), number("members_known")),
            (12, 3),
            "{coverage}"
        );
        number("members_seen") == 2
    });
    // What it has not seen of the one that stands still it says is missing.
    let pulse = Pulse::start();
    let never = format!("{}-1", "0123456789abcdef");
    let path = format!("/v1/targets?min_version={never}&within=100ms");
    let said = client.get(&fleet.nodes[0], &path).expect("an answer");
    println!("{:?} for 100 ms, stalls of {:?}", said.after, pulse.stall());
    assert_eq!(
        (said.status, &*said.kind),
        (504, "application/problem+json")
    );
    assert_eq!(said.body["missing"]["seen"], Value::Null);
    assert_eq!(said.body["missing"]["members_seen"], 2);
    fleet.nodes[2].signal("CONT");
    fleet.wait_until("all is there again", |_| {
        let coverage = &ask("1s").body["coverage"];
        coverage["members_seen"] == 3 && coverage["fresh"] == 12
    });
}

#[test]
fn tokens_that_no_node_can_have_given_are_refused_with_a_way_out() {
    let fleet = Fleet::start(2, "cluster: { label: prod }\ntargets: []\n");
    let client = Client::new();
    let body = "{\"tcp\":\"127.0.0.1:9\",\"paused\":true}";
    let version = client
        .put(&fleet.nodes[0], "made", body)
        .expect("a version");
    let (plain, mark) = version.rsplit_once('-').expect("ORIGIN-NUMBER-MARK");
    let wrong_mark = if mark == "0000" { "0001" } else { "0000" };
    let bad = [
        "garbage".to_owned(),
        "-1".to_owned(),
        "0123456789abcdef-".to_owned(),
        format!("0123456789abcdef-{}", u64::MAX),
        format!("{plain}99999999999999-{mark}"),
        format!("{plain}-{wrong_mark}"),
        "9".repeat(4_000),
        "%00%ff%F0".to_owned(),
    ];
    for node in &fleet.nodes {
        for token in &bad {
            for place in ["/v1/targets", "/v1/targets/made"] {
                let path = format!("{place}?min_version={token}");
                let said = client.get(node, &path).expect("an answer");
                assert_eq!(
                    (said.status, &*said.kind),
                    (400, "application/problem+json"),
                    "{token}"
                );
                let detail = said.body["detail"].as_str().expect("a detail");
                assert!(detail.contains("as an answer gave it"), "{detail}");
            }
        }
        let path = format!("/v1/targets/made?min_version={version}");
        assert_eq!(client.get(node, &path).expect("an answer").status, 200);
    }
}
