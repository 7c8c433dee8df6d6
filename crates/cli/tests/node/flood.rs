//! Somebody who has the key, and joins under thousands of names.

use std::net::SocketAddr;
use std::sync::Arc;

use agent::cluster::{Keyring, Settings, Transport};
use agent::meters::Traffic;
use base::Way;
use sim::strangers;

use crate::cluster::config;
use crate::server::Targets;
use crate::support::{Node, free_address};

/// How many join in one flood: far more than a node remembers.
const FLOOD: u64 = 12_000;
/// Of how many one datagram tells.
const AT_ONCE: usize = 12;
/// Members that a node remembers.
const MEMBERS_MAX: usize = 4_096;

/// Some ask to join, each is sent the whole table; of the others they bring news.
fn flood(from: &Transport, to: SocketAddr, numbers: std::ops::Range<u64>) {
    let (sender, address) = (from.sender(), from.address());
    for number in numbers.clone().take(50) {
        sender.send(to, Way::Datagram, strangers::join(number, address));
    }
    for first in numbers.step_by(AT_ONCE) {
        let some = first..first + AT_ONCE as u64;
        sender.send(to, Way::Datagram, strangers::gossip(some, address));
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

fn resident_kib(node: &Node) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid()));
    let status = status.expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.expect("a number of kB")
        .trim()
        .parse()
        .expect("a number")
}

#[test]
fn a_flood_of_joins_with_the_key_fills_a_bounded_room_and_stops_no_check() {
    let targets = Targets::start();
    let key = tempfile::NamedTempFile::new().expect("a file");
    let text = agent::cluster::fresh_key().expose().to_owned();
    std::fs::write(key.path(), &text).expect("a key");
    let cluster = format!("cluster: {{ key_file: \"{}\" }}\n", key.path().display());
    let address = free_address();
    let node = Node::start_with(
        &["--node", "n0", "--cluster-listen", &address.to_string()],
        &(cluster + &config(&targets, 6)),
    );
    node.wait_ready();
    node.wait("all are up", || node.count("up") == 6);
    let settings = Settings {
        listen: "127.0.0.1:0".parse().expect("an address"),
        label: "".into(),
        keyring: Keyring::parse(&text).expect("a key"),
        traffic: Arc::new(Traffic::default()),
    };
    // Whatever comes back is dropped.
    let attacker = Transport::open(settings, |_| Ok(())).expect("it opens");
    let refused = || node.metric("roundsman_cluster_ignored_total{reason=\"members\"}");
    let mut resident = Vec::new();
    for round in 0..3 {
        let before = refused();
        flood(&attacker, address, round * FLOOD..(round + 1) * FLOOD);
        node.wait("most of the flood is turned away", || {
            refused() > before + 1_000.0
        });
        let members = node.get("/v1/members");
        let known = members["items"].as_array().map_or(0, Vec::len);
        assert!(known <= MEMBERS_MAX + 1, "{known} members");
        resident.push(resident_kib(&node));
    }
    // The first fills the room, the others find it full.
    let (first, last) = (resident[0], resident[2]);
    assert!(last < first + first / 2, "{resident:?} KiB");
    let before = node.metric("roundsman_checks_total{result=\"passed\"}");
    node.wait("checks go on", || {
        node.metric("roundsman_checks_total{result=\"passed\"}") > before + 20.0
    });
    assert!(!node.log().contains("panicked"), "{}", node.log());
}
