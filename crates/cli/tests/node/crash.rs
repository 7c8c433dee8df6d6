//! kill -9 at any moment: the store opens, and nothing that was answered is lost.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::server::{Mode, Targets};
use crate::support::Node;

const N: u32 = 20;

fn config(targets: &Targets) -> String {
    let list: String = (0..N)
        .map(|i| format!("  - {{ name: t{i}, http: \"{}\" }}\n", targets.url(i)))
        .collect();
    format!("defaults: {{ interval: 100ms, timeout: 100ms, fall: 1, rise: 1 }}\ntargets:\n{list}")
}

/// What the API said of a target: its last transition's number, and since when.
type Said = BTreeMap<String, (u64, String)>;

fn hear(node: &Node) -> Option<Said> {
    let (_, text) = node.try_get("/v1/targets?limit=1000")?;
    let page: serde_json::Value = serde_json::from_str(&text).ok()?;
    let said = page["items"].as_array()?.iter().map(|target| {
        let text = |key: &str| target[key].as_str().unwrap_or_default().to_owned();
        (
            text("name"),
            (target["transition"].as_u64().unwrap_or(0), text("since")),
        )
    });
    Some(said.collect())
}

#[test]
fn a_hundred_kills_lose_nothing_that_was_answered() {
    let targets = Targets::start();
    let mut node = Node::start(&config(&targets));
    let (mut said, mut made): (Said, Vec<String>) = (Said::new(), Vec::new());
    // A fixed sequence of odd moments between 20 and 180 ms.
    let mut moment = 7_u64;
    for round in 0..100 {
        moment = (moment * 73 + 41) % 160;
        (0..N).for_each(|i| {
            targets.set(
                i,
                if (round + i) % 3 == 0 {
                    Mode::Status503
                } else {
                    Mode::Up
                },
            )
        });
        let name = format!("made-{round}");
        if node
            .put(&name, "{\"tcp\": \"127.0.0.1:9\", \"interval\": \"1h\"}")
            .is_some_and(|(status, _)| status == 201)
        {
            made.push(name);
        }
        if round % 5 == 4 {
            let gone = made.swap_remove(0);
            if node.delete(&gone) != Some(204) {
                made.push(gone);
            }
        }
        std::thread::sleep(Duration::from_millis(20 + moment));
        said = hear(&node).unwrap_or(said);
        node.kill();
        node.spawn();
        node.wait_ready();
        let again = hear(&node).expect("it answers");
        for (name, (number, since)) in &said {
            let Some((number_now, since_now)) = again.get(name) else {
                assert!(!made.contains(name), "round {round}: {name} is lost");
                continue;
            };
            assert!(
                number_now >= number,
                "round {round}: {name} fell back from {number} to {number_now}"
            );
            if number_now == number && *number > 0 {
                assert_eq!(since_now, since, "round {round}: {name}");
            }
        }
        for name in &made {
            assert!(
                again.contains_key(name),
                "round {round}: {name} was made and is lost"
            );
        }
        said = again;
    }
    for i in 0..N {
        let history = node.get(&format!("/v1/targets/t{i}/history"));
        let numbers: Vec<u64> = history["transitions"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|t| t["number"].as_u64())
            .collect();
        assert!(
            numbers.windows(2).all(|pair| pair[1] == pair[0] + 1),
            "t{i}: {numbers:?}"
        );
    }
}

#[test]
fn a_damaged_store_file_is_named_and_not_replaced() {
    let mut node = Node::start("");
    node.signal("TERM");
    assert_eq!(node.wait_end(), Some(0));
    let store = node.data().join("store.redb");
    std::fs::write(&store, b"scribbled over").expect("written");
    node.spawn();
    assert_eq!(node.wait_end(), Some(1));
    assert!(
        node.log()
            .contains("store.redb is damaged or not a store file"),
        "{}",
        node.log()
    );
    assert_eq!(
        std::fs::read(&store).expect("still there"),
        b"scribbled over"
    );
}

#[test]
fn a_disk_that_fails_hides_nothing_and_is_used_again_when_it_works() {
    let targets = Targets::start();
    let config = config(&targets);
    // The limit on a file's length plays the full disk; its signal would end the process.
    let prefix = ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"];
    let mut node = Node::start_under(&prefix, &config);
    node.wait("all up", || node.count("up") == u64::from(N));
    let limit = |bytes: &str| {
        let pid = node.pid().to_string();
        let limit = format!("--fsize={bytes}");
        let done = std::process::Command::new("prlimit")
            .args(["--pid", &pid, &limit])
            .status();
        assert!(done.expect("prlimit runs").success());
    };
    limit("1:unlimited");
    targets.set(0, Mode::Status503);
    node.wait("the outage is shown", || node.state("t0") == "down");
    let body = "{\"tcp\": \"127.0.0.1:9\", \"interval\": \"1h\"}";
    assert_eq!(
        node.put("refused", body).map(|(status, _)| status),
        Some(503)
    );
    assert!(node.metric("roundsman_store_failing") > 0.0);
    limit("unlimited:unlimited");
    node.wait("the disk works again", || {
        node.metric("roundsman_store_failing") == 0.0
    });
    assert_eq!(node.put("taken", body).map(|(status, _)| status), Some(201));
    node.kill();
    node.spawn();
    node.wait_ready();
    assert_eq!(node.get("/v1/targets/taken")["name"], "taken");
    assert!(node.get("/v1/targets/t0")["transition"].as_u64() >= Some(2));
}
