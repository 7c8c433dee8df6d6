//! Who does not belong: strangers on the cluster port, an open port without a key, copied data
//! directories, old configs; and secrets, which stay where they are.

use std::io::Write;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::cluster::{Fleet, config, said};
use crate::server::Targets;
use crate::support::{Node, TOKEN, free_address};

fn keygen() -> String {
    let keygen = Command::new(env!("CARGO_BIN_EXE_roundsman"))
        .arg("keygen")
        .output();
    String::from_utf8(keygen.expect("it runs").stdout).expect("text")
}

fn members(node: &Node) -> Vec<(Value, Value)> {
    let members = node.get("/v1/members");
    let items = members["items"].as_array().cloned().unwrap_or_default();
    let short = |m: Value| (m["name"].clone(), m["state"].clone());
    items.into_iter().map(short).collect()
}

#[test]
fn a_cluster_port_that_all_can_reach_is_refused_without_a_key() {
    let node = Node::prepare(
        &[],
        &["--cluster-listen", "192.0.2.1:7718"],
        "targets: []\n",
    );
    let output = node.command().output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    for part in [
        "192.0.2.1:7718",
        "no cluster key",
        "roundsman keygen",
        "cluster.key_file",
        "127.0.0.1:7718",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

/// Bytes that follow from a number, and look like nothing.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut word = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        word.to_le_bytes()[0]
    };
    (0..len).map(|_| next()).collect()
}

fn shoot(at: SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    for n in 0..600_u64 {
        let len = match n % 6 {
            0 => 0,
            1 => 5,
            2 => 1_401,
            3 => 9_000,
            _ => usize::try_from(20 + n).expect("small"),
        };
        let mut bytes = noise(n, len);
        if n % 2 == 0 && !bytes.is_empty() {
            // Of our wire version, at least.
            bytes[0] = 1;
        }
        socket.send_to(&bytes, at).expect("it goes");
        if n % 50 == 0 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
    for n in 0..60_u64 {
        let mut stream = TcpStream::connect(at).expect("it listens");
        // Who is turned away early hears nothing more.
        let _ = stream.write_all(&noise(n, usize::try_from(n * 40).expect("small")));
    }
}

#[test]
fn what_strangers_send_is_counted_and_said_once_and_changes_nothing() {
    let targets = Targets::start();
    let key = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(key.path(), keygen()).expect("a key");
    let cluster = format!(
        "cluster: {{ key_file: \"{}\", label: a }}\n",
        key.path().display()
    );
    let fleet = Fleet::start(3, &(cluster + &config(&targets, 6)));
    fleet.wait_until("all answer alike", |f| f.alive() && f.agrees());
    let before = (members(&fleet.nodes[0]), said(&fleet.nodes[0]));
    shoot(fleet.addresses[0]);
    let node = &fleet.nodes[0];
    let dropped = |kind: &str, reason: &str| {
        node.metric(&format!(
            "roundsman_{kind}_dropped_total{{reason=\"{reason}\"}}"
        ))
    };
    node.wait("all of it is counted", || {
        let all = |kind, reasons: &[&str]| reasons.iter().map(|r| dropped(kind, r)).sum::<f64>();
        all("datagrams", &["truncated", "oversized", "version", "label"]) > 500.0
            && all(
                "streams",
                &[
                    "truncated",
                    "oversized",
                    "slow",
                    "crowded",
                    "label",
                    "key",
                    "seal",
                ],
            ) > 30.0
    });
    for reason in ["truncated", "oversized", "version", "label"] {
        assert!(dropped("datagrams", reason) > 10.0, "{reason}");
        let log = node.log();
        let lines = log.lines().filter(|line| {
            line.contains("a datagram was dropped") && line.contains(&format!("\"{reason}\""))
        });
        assert_eq!(lines.count(), 1, "{reason}: {log}");
    }
    fleet.wait_until("all answer alike", Fleet::agrees);
    assert_eq!((members(node), said(node)), before);
    for node in &fleet.nodes {
        assert!(!node.log().contains("panicked"), "{}", node.log());
    }
}

/// All that lies under a directory.
fn contents(directory: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            all.extend(contents(&path));
        } else {
            all.extend(std::fs::read(&path).expect("a file"));
        }
    }
    all
}

fn has(haystack: &[u8], needle: &str) -> bool {
    haystack
        .windows(needle.len())
        .any(|w| w == needle.as_bytes())
}

#[test]
fn secrets_are_in_no_log_answer_or_store_file_of_any_node() {
    let targets = Targets::start();
    let directory = tempfile::tempdir().expect("a directory");
    let place = |name: &str, content: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).expect("a file");
        path.display().to_string()
    };
    let key = keygen();
    let (key_file, bearer) = (place("key", &key), place("bearer", "planted-bearer-4711\n"));
    let url = targets.url(1);
    let (scheme, rest) = url.split_once("://").expect("a URL");
    let config = format!(
        "cluster: {{ key_file: \"{key_file}\" }}\n\
         defaults: {{ interval: 500ms, timeout: 400ms }}\n\
         targets:\n\
         \x20 - {{ name: url, http: \"{scheme}://user:${{URL_PASSWORD}}@{rest}\" }}\n\
         \x20 - name: header\n    http: {{ url: \"{url}\", headers: {{ X-Key: \"${{HEADER_VALUE}}\" }} }}\n\
         \x20 - name: bearer\n    http: {{ url: \"{url}\", auth: {{ bearer: {{ token_file: \"{bearer}\" }} }} }}\n\
         \x20 - {{ name: gone, http: \"{scheme}://user:${{URL_PASSWORD}}@127.0.0.1:9/\" }}\n"
    );
    let addresses: Vec<String> = (0..3).map(|_| free_address().to_string()).collect();
    let prefix = [
        "env",
        "URL_PASSWORD=planted-password-4712",
        "HEADER_VALUE=planted-header-4713",
    ];
    let mut nodes: Vec<Node> = (0..3)
        .map(|at| {
            let name = format!("n{at}");
            let join = addresses.join(",");
            let more = [
                "--node",
                &name,
                "--cluster-listen",
                &addresses[at],
                "--join",
                &join,
                "--log",
                "trace",
                "--log-format",
                "json",
            ];
            let mut node = Node::prepare(&prefix, &more, &config);
            node.spawn();
            node
        })
        .collect();
    nodes.iter().for_each(Node::wait_ready);
    for node in &nodes {
        node.wait("all is decided", || {
            let up = |name: &str| node.state(name) == "up";
            up("url") && up("header") && up("bearer") && node.state("gone") == "down"
        });
    }
    // A write shows the token.
    let made = nodes[0].put("made", "{\"tcp\":\"127.0.0.1:9\",\"paused\":true}");
    assert_eq!(made.map(|(status, _)| status), Some(201));
    let secrets = [
        "planted-password-4712",
        "planted-header-4713",
        "planted-bearer-4711",
        key.trim(),
        TOKEN,
    ];
    let places = [
        "/v1/targets",
        "/v1/targets/url/explain",
        "/v1/targets/header/explain",
        "/v1/targets/bearer/explain",
        "/v1/targets/gone/history",
        "/v1/summary",
        "/v1/members",
        "/v1/events?follow=false",
        "/metrics",
        "/",
        "/targets/url",
        "/targets/header",
    ];
    for node in &nodes {
        for place in places {
            let (_, text) = node.try_get(place).expect("an answer");
            for secret in secrets {
                assert!(!text.contains(secret), "{secret} in {place}");
            }
        }
    }
    nodes.iter_mut().for_each(Node::kill);
    for node in &nodes {
        let (log, disk) = (node.log(), contents(&node.data()));
        assert!(has(&disk, "gone"), "the store file is read as it lies");
        for secret in secrets {
            assert!(!log.contains(secret), "{secret} in {log}");
            assert!(!has(&disk, secret), "{secret} in a store file");
        }
    }
}

#[test]
fn a_copied_data_directory_makes_no_second_node_of_the_first() {
    let targets = Targets::start();
    let mut fleet = Fleet::start(2, &config(&targets, 6));
    fleet.wait_until("both are there", |f| f.alive() && f.agrees());
    fleet.nodes[1].kill();
    let join = fleet.addresses[0].to_string();
    let copy = |name: &str| {
        let listen = free_address().to_string();
        let more = ["--node", name, "--cluster-listen", &listen, "--join", &join];
        let node = Node::prepare(&[], &more, &config(&targets, 6));
        let copied = Command::new("cp")
            .arg("-r")
            .arg(fleet.nodes[1].data())
            .arg(node.data())
            .status();
        assert!(copied.expect("cp runs").success());
        node
    };
    let (mut other, mut twin) = (copy("n9"), copy("n1"));
    fleet.nodes[1].spawn();
    fleet.nodes[1].wait_ready();
    fleet.wait_until("both are there again", Fleet::alive);
    // Under another name it is another node.
    other.spawn();
    other.wait_ready();
    assert!(
        other.log().contains("written by another node"),
        "{}",
        other.log()
    );
    let name_and_state = |name: &str| (Value::from(name), Value::from("alive"));
    let three = ["n0", "n1", "n9"].map(name_and_state);
    other.wait("all three are members", || {
        [&fleet.nodes[0], &fleet.nodes[1], &other]
            .iter()
            .all(|n| members(n) == three)
    });
    // Under the same name it ends, and says where the first is.
    twin.spawn();
    assert_eq!(twin.wait_end(), Some(1), "{}", twin.log());
    let log = twin.log();
    assert!(
        log.contains("'n1' is taken") && log.contains(&fleet.addresses[1].to_string()),
        "{log}"
    );
    other.wait("all three are still members", || {
        [&fleet.nodes[0], &fleet.nodes[1], &other]
            .iter()
            .all(|n| members(n) == three)
    });
}

#[test]
fn a_config_that_was_rolled_back_on_one_node_is_not_taken_and_a_reload_of_it_is() {
    let targets = Targets::start();
    let mut fleet = Fleet::start(2, &config(&targets, 3));
    fleet.wait_until("both answer alike", |f| f.alive() && f.agrees());
    let count = |node: &Node| {
        node.get("/v1/targets?limit=1000")["items"]
            .as_array()
            .map_or(0, Vec::len)
    };
    fleet.nodes[0].write_config(&config(&targets, 5));
    fleet.nodes[0].signal("HUP");
    fleet.wait_until("the new file is everybody's", |f| {
        f.nodes.iter().all(|n| count(n) == 5)
    });
    // The other still has the old file.
    fleet.nodes[1].kill();
    fleet.nodes[1].spawn();
    fleet.nodes[1].wait_ready();
    fleet.nodes[1].wait("it says so", || {
        fleet.nodes[1]
            .log()
            .contains("older one than the cluster's")
    });
    assert!(fleet.nodes.iter().all(|n| count(n) == 5));
    fleet.nodes[1].signal("HUP");
    fleet.wait_until("a reload makes it the newest", |f| {
        f.nodes.iter().all(|n| count(n) == 3)
    });
}
