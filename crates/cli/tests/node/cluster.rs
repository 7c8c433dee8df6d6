//! Several real nodes on loopback: they share targets, answer for each other, and take over.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::Value;

use crate::server::{Mode, Targets};
use crate::support::{Node, free_address};

/// Nodes of one cluster with their cluster addresses.
pub(crate) struct Fleet {
    pub(crate) nodes: Vec<Node>,
    pub(crate) addresses: Vec<SocketAddr>,
}

impl Fleet {
    pub(crate) fn start(count: usize, config: &str) -> Self {
        let addresses: Vec<SocketAddr> = (0..count).map(|_| free_address()).collect();
        let nodes = (0..count).map(|at| start(at, &addresses, config)).collect();
        let fleet = Self { nodes, addresses };
        fleet.nodes.iter().for_each(Node::wait_ready);
        fleet
    }

    /// Every node says the same of every target, and none of it is stale.
    pub(crate) fn agrees(&self) -> bool {
        let said: Vec<Option<Vec<Value>>> = self.nodes.iter().map(said).collect();
        said.iter().all(|s| s.is_some() && *s == said[0])
    }

    pub(crate) fn wait_until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        self.nodes[0].wait(what, || is_so(self));
    }

    pub(crate) fn alive(&self) -> bool {
        let count = |node: &Node| {
            let members = node.get("/v1/members");
            let items = members["items"].as_array().cloned().unwrap_or_default();
            items.iter().filter(|m| m["state"] == "alive").count()
        };
        self.nodes
            .iter()
            .all(|node| count(node) == self.nodes.len())
    }
}

fn start(at: usize, addresses: &[SocketAddr], config: &str) -> Node {
    let name = format!("n{at}");
    let listen = addresses[at].to_string();
    let join: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let more = [
        "--node",
        &name,
        "--cluster-listen",
        &listen,
        "--join",
        &join.join(","),
    ];
    Node::start_with(&more, config)
}

/// What a node says of all targets, where it is fresh: name, state, transition, owner.
pub(crate) fn said(node: &Node) -> Option<Vec<Value>> {
    let list = node.get("/v1/targets?limit=1000");
    let items = list["items"].as_array()?;
    let is_fresh = items
        .iter()
        .all(|t| t["stale"] == false && t["state"] != "unknown");
    let short = |t: &Value| {
        let part = |key: &str| t[key].clone();
        Value::Array(["name", "state", "transition", "owner"].map(part).to_vec())
    };
    is_fresh.then(|| items.iter().map(short).collect())
}

pub(crate) fn config(targets: &Targets, count: u32) -> String {
    let target = |i: u32| {
        let url = targets.url(i);
        format!(
            "  - {{ name: t{i}, interval: 500ms, timeout: 400ms, confirm: 2, http: \"{url}\" }}\n"
        )
    };
    format!("targets:\n{}", (0..count).map(target).collect::<String>())
}

fn downs(node: &Node) -> usize {
    let (_, text) = node.try_get("/v1/events?follow=false").expect("events");
    text.matches("\"to\":\"down\"").count()
}

#[test]
fn three_nodes_share_the_targets_and_a_kill_of_one_is_no_alarm() {
    let targets = Targets::start();
    let config = config(&targets, 30);
    let mut fleet = Fleet::start(3, &config);
    fleet.wait_until("all answer alike", |fleet| fleet.agrees());
    let owned: Vec<u64> = fleet.nodes[0].get("/v1/members")["items"]
        .as_array()
        .expect("members")
        .iter()
        .map(|m| m["owned"].as_u64().expect("a number"))
        .collect();
    assert_eq!(owned.iter().sum::<u64>(), 30);
    assert!(owned.iter().all(|n| *n > 2), "{owned:?}");

    targets.set(7, Mode::Status503);
    let down = |node: &Node| node.get("/v1/targets/t7")["state"] == "down";
    fleet.wait_until("t7 is down on all", |fleet| fleet.nodes.iter().all(down));
    let votes = fleet.nodes[1].get("/v1/targets/t7")["votes"].clone();
    assert_eq!(votes.as_array().map(Vec::len), Some(3), "{votes}");

    let mut dead = fleet.nodes.pop().expect("three");
    dead.kill();
    fleet.wait_until("the others have it all", |fleet| {
        let list = fleet.nodes[1].get("/v1/targets?limit=1000");
        let items = list["items"].as_array().cloned().unwrap_or_default();
        items
            .iter()
            .all(|t| t["owner"] != "n2" && t["stale"] == false)
    });
    fleet.wait_until("both answer alike", |fleet| fleet.agrees());
    for node in &fleet.nodes {
        assert_eq!(downs(node), 1, "only t7 was ever down");
    }
    dead.spawn();
    dead.wait_ready();
    fleet.nodes.push(dead);
    fleet.wait_until("all three are alive", Fleet::alive);
    fleet.wait_until("all answer alike again", |fleet| fleet.agrees());
    assert_eq!(fleet.nodes[2].get("/v1/targets/t7")["state"], "down");
    assert_eq!(fleet.addresses.len(), 3);
}

#[test]
fn what_is_written_on_one_node_is_read_on_another_and_all_kills_lose_nothing() {
    let targets = Targets::start();
    let mut fleet = Fleet::start(3, &config(&targets, 3));
    let body = format!("{{\"http\":\"{}\",\"interval\":\"500ms\"}}", targets.url(9));
    // A target of this machine is denied to the API; the definition itself is what counts here.
    let (status, answer) = fleet.nodes[0].put("made", &body).expect("an answer");
    assert_eq!(status, 201, "{answer}");
    let version = answer["version"].as_str().expect("a version").to_owned();
    for node in &fleet.nodes {
        let read = node.get(&format!("/v1/targets/made?min_version={version}"));
        assert_eq!(read["source"], "api");
    }
    let never = format!("{}9999", version);
    let late = fleet.nodes[1].try_get(&format!("/v1/targets/made?min_version={never}&within=50ms"));
    assert_eq!(late.map(|(status, _)| status), Some(504));

    fleet.nodes.iter_mut().for_each(Node::kill);
    fleet.nodes.iter_mut().for_each(Node::spawn);
    fleet.nodes.iter().for_each(Node::wait_ready);
    for node in &fleet.nodes {
        let read = node.get(&format!("/v1/targets/made?min_version={version}"));
        assert_eq!(read["name"], "made");
    }
    assert_eq!(fleet.nodes[2].delete("made"), Some(204));
    let gone = |node: &Node| {
        node.try_get("/v1/targets/made")
            .is_some_and(|(s, _)| s == 404)
    };
    fleet.wait_until("it is gone on all", |fleet| fleet.nodes.iter().all(gone));
}

#[test]
fn a_node_that_is_asked_to_end_hands_over_first_and_one_that_drains_stays() {
    let targets = Targets::start();
    let mut fleet = Fleet::start(3, &config(&targets, 12));
    fleet.wait_until("all answer alike", |fleet| fleet.agrees());
    let drain = fleet.nodes[1].ask(&["drain"]);
    assert_eq!(drain.status.code(), Some(0), "{drain:?}");
    let owns_none = |node: &Node, name: &str| {
        let members = node.get("/v1/members");
        let items = members["items"].as_array().cloned().unwrap_or_default();
        items.iter().any(|m| m["name"] == name && m["owned"] == 0)
    };
    fleet.wait_until("n1 owns nothing", |fleet| owns_none(&fleet.nodes[0], "n1"));
    let mut leaver = fleet.nodes.pop().expect("three");
    leaver.signal("TERM");
    assert_eq!(leaver.wait_end(), Some(0), "{}", leaver.log());
    let members = fleet.nodes[0].get("/v1/members");
    let items = members["items"].as_array().expect("members");
    let n2 = items.iter().find(|m| m["name"] == "n2").expect("n2");
    assert_eq!(n2["state"], "left");
    fleet.wait_until("n0 has it all", |fleet| {
        fleet.nodes[0].metric("roundsman_owned_targets") == 12.0
    });
    for node in &fleet.nodes {
        assert_eq!(downs(node), 0);
    }
    assert_eq!(
        fleet.nodes[0].ask(&["forget", "nobody"]).status.code(),
        Some(1)
    );
}

#[test]
fn a_second_live_node_under_one_name_ends_with_both_addresses() {
    let fleet = Fleet::start(2, "targets: []\n");
    let listen = free_address().to_string();
    let join = fleet.addresses[0].to_string();
    let more = ["--node", "n1", "--cluster-listen", &listen, "--join", &join];
    let mut twin = Node::start_with(&more, "targets: []\n");
    assert_eq!(twin.wait_end(), Some(1), "{}", twin.log());
    let log = twin.log();
    for part in ["'n1' is taken", &fleet.addresses[1].to_string(), &listen] {
        assert!(log.contains(part), "{part}: {log}");
    }
}

#[test]
fn nodes_with_another_key_or_label_are_not_heard() {
    let key = |node: &str| {
        let keygen = std::process::Command::new(env!("CARGO_BIN_EXE_roundsman"))
            .arg("keygen")
            .output()
            .expect("it runs");
        let path = std::env::temp_dir().join(format!("{node}-{}", std::process::id()));
        std::fs::write(&path, keygen.stdout).expect("a file");
        path
    };
    let (ours, theirs) = (key("ours"), key("theirs"));
    let addresses: Vec<SocketAddr> = (0..4).map(|_| free_address()).collect();
    let with = |at: usize, key: &std::path::Path, label: &str| {
        let config = format!(
            "cluster: {{ key_file: \"{}\", label: {label} }}\ntargets: []\n",
            key.display()
        );
        start(at, &addresses, &config)
    };
    let friends = [with(0, &ours, "a"), with(1, &ours, "a")];
    let strangers = [with(2, &theirs, "a"), with(3, &ours, "b")];
    friends.iter().chain(&strangers).for_each(Node::wait_ready);
    let known = |node: &Node| {
        let members = node.get("/v1/members");
        members["items"].as_array().map_or(0, Vec::len)
    };
    friends[0].wait("friends find each other", || known(&friends[0]) == 2);
    friends[0].wait("strangers are counted", || {
        friends[0].metric("roundsman_streams_dropped_total{reason=\"key\"}") > 0.0
            && friends[0].metric("roundsman_streams_dropped_total{reason=\"label\"}") > 0.0
    });
    assert_eq!(known(&friends[1]), 2);
    assert!(strangers.iter().all(|node| known(node) == 1));
    let _ = (std::fs::remove_file(ours), std::fs::remove_file(theirs));
}

/// The number of outcomes that two lists share, each as when and what it was.
fn shared(one: &Value, other: &Value) -> usize {
    let all = |list: &Value| list.as_array().cloned().unwrap_or_default();
    let theirs = all(other);
    all(one).iter().filter(|o| theirs.contains(o)).count()
}

#[test]
fn every_node_tells_the_history_and_the_story_of_every_target_as_its_owner_does() {
    let targets = Targets::start();
    let mut fleet = Fleet::start(3, &config(&targets, 9));
    fleet.wait_until("all answer alike", |fleet| fleet.agrees());
    targets.set(4, Mode::Status503);
    let down = |node: &Node| node.get("/v1/targets/t4")["state"] == "down";
    fleet.wait_until("t4 is down on all", |fleet| fleet.nodes.iter().all(down));
    for i in 0..9 {
        let of = |what: &str| format!("/v1/targets/t{i}/{what}");
        let owner = fleet.nodes[0].get(&of("explain"))["owner"].clone();
        let ask = |what: &str| fleet.nodes.iter().map(|n| n.get(&of(what))).collect();
        let (histories, stories): (Vec<Value>, Vec<Value>) = (ask("history"), ask("explain"));
        for (history, story) in histories.iter().zip(&stories) {
            assert_eq!(history["partial"], false, "{history}");
            assert_eq!(story["partial"], false, "{story}");
            assert_eq!((&history["by"], &story["by"]), (&owner, &owner));
            assert!(story["last"]["phases_ms"]["connect"].is_number(), "{story}");
            assert_eq!(history["transitions"], histories[0]["transitions"]);
            let (mine, first) = (&history["outcomes"], &histories[0]["outcomes"]);
            let told = mine.as_array().expect("outcomes").len();
            assert!(told > 4 && shared(mine, first) + 3 > told, "{mine} {first}");
        }
    }
    let story = fleet.nodes[1].get("/v1/targets/t4/explain");
    assert_eq!(story["votes"].as_array().map(Vec::len), Some(3), "{story}");
    assert_eq!(story["last"]["http_status"], 503, "{story}");
    let told = fleet.nodes[2].ask(&["explain", "t4"]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    for part in ["status 503", "votes", "recent checks", "checked by"] {
        assert!(told.contains(part), "{part}: {told}");
    }

    let owner = story["owner"].as_str().expect("an owner").to_owned();
    let at: usize = owner[1..].parse().expect("n and a number");
    let mut dead = fleet.nodes.remove(at);
    dead.kill();
    let history = fleet.nodes[0].get("/v1/targets/t4/history");
    assert_eq!(history["partial"], true, "{history}");
    let missing = history["missing"].as_str().expect("why");
    assert!(missing.contains(&owner), "{missing}");
    assert_eq!(history["outcomes"], Value::Array(Vec::new()));
    assert!(!history["transitions"].as_array().expect("known").is_empty());
    fleet.wait_until("the successor tells it", |fleet| {
        let tells = |node: &Node| {
            let history = node.get("/v1/targets/t4/history");
            let outcomes = history["outcomes"].as_array().map_or(0, Vec::len);
            history["partial"] == false && history["by"] != *owner && outcomes > 0
        };
        fleet.nodes.iter().all(tells)
    });
    for node in &fleet.nodes {
        let accused = node.get("/v1/targets/t4/explain")["accused"].clone();
        let accused = accused.as_array().expect("accusations");
        assert!(accused.iter().any(|a| a["member"] == *owner), "{accused:?}");
    }
}

/// The changes that a node's stream holds, by target: their numbers and states, in their order.
fn changes(node: &Node, after: Option<&str>) -> (bool, BTreeMap<String, Vec<String>>) {
    let after = after.map_or_else(String::new, |id| format!("&after={id}"));
    let (status, text) = node
        .try_get(&format!("/v1/events?follow=false{after}"))
        .expect("events");
    assert_eq!(status, 200, "{text}");
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
        let event: Value = serde_json::from_str(line).expect("JSON");
        if let Some(target) = event["target"].as_str() {
            let change = format!("{} {}", event["number"], event["to"]);
            all.entry(target.to_owned()).or_default().push(change);
        }
    }
    (text.contains("event: gap"), all)
}

#[test]
fn every_node_streams_every_change_and_a_place_on_another_node_is_a_gap() {
    let targets = Targets::start();
    let fleet = Fleet::start(3, &config(&targets, 8));
    fleet.wait_until("all answer alike", |fleet| fleet.agrees());
    for round in 0..2 {
        for (mode, state) in [(Mode::Status503, "down"), (Mode::Up, "up")] {
            (0..4).for_each(|i| targets.set(i, mode));
            fleet.wait_until(&format!("round {round}: four are {state}"), |fleet| {
                let is_so = |i: u32| {
                    let says = |node: &Node| node.state(&format!("t{i}")) == state;
                    fleet.nodes.iter().all(says)
                };
                (0..4).all(is_so)
            });
        }
    }
    // A machine that stalls for seconds makes a target fail in earnest: such a change counts too.
    let all_stream = |fleet: &Fleet| {
        let (_, first) = changes(&fleet.nodes[0], None);
        let others = &fleet.nodes[1..];
        others
            .iter()
            .all(|node| changes(node, None) == (false, first.clone()))
    };
    fleet.wait_until("every node streams the same", all_stream);
    let (_, first) = changes(&fleet.nodes[0], None);
    assert_eq!(first.len(), 8, "{first:?}");
    for (target, changes) in &first {
        let in_turn = |at: usize| format!("{} \"{}\"", at + 1, ["up", "down"][at % 2]);
        let whole: Vec<String> = (0..changes.len()).map(in_turn).collect();
        assert_eq!(*changes, whole, "{target}");
    }
    for flipped in ["t0", "t1", "t2", "t3"] {
        assert!(first[flipped].len() >= 5, "{first:?}");
    }
    fleet.wait_until("the command says as many", |fleet| {
        let (_, first) = changes(&fleet.nodes[0], None);
        let count: usize = first.values().map(Vec::len).sum();
        fleet.nodes.iter().all(|node| {
            let told = node.ask(&["events", "--json"]);
            String::from_utf8_lossy(&told.stdout).lines().count() == count
        })
    });
    // The last id of one node is resumed there without a gap, and with one elsewhere.
    fleet.wait_until("a place is resumed where it was given", |fleet| {
        let (_, text) = fleet.nodes[0]
            .try_get("/v1/events?follow=false")
            .expect("events");
        let mut ids = text.lines().filter_map(|line| line.strip_prefix("id: "));
        let id = ids.next_back().expect("an id").to_owned();
        let (_, first) = changes(&fleet.nodes[0], None);
        let others = &fleet.nodes[1..];
        changes(&fleet.nodes[0], Some(&id)) == (false, BTreeMap::new())
            && others
                .iter()
                .all(|other| changes(other, Some(&id)) == (true, first.clone()))
    });
}

/// What is forgotten is gone on all nodes, and comes back as a new member with nothing lost.
#[test]
fn a_forgotten_node_is_gone_everywhere_and_may_come_back() {
    let targets = Targets::start();
    let mut fleet = Fleet::start(3, &config(&targets, 9));
    fleet.wait_until("all answer alike", |fleet| fleet.agrees());
    let body = format!("{{\"http\":\"{}\",\"interval\":\"500ms\"}}", targets.url(9));
    let (status, _) = fleet.nodes[2].put("made", &body).expect("an answer");
    assert_eq!(status, 201);
    let mut lost = fleet.nodes.pop().expect("three");
    lost.kill();
    let names = |node: &Node| {
        let members = node.get("/v1/members");
        let items = members["items"].as_array().cloned().unwrap_or_default();
        let names = items.iter().filter_map(|m| m["name"].as_str());
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    let is_forgotten = || fleet.nodes[0].ask(&["forget", "n2"]).status.code() == Some(0);
    fleet.nodes[0].wait("n2 is dead and may be forgotten", is_forgotten);
    fleet.wait_until("nobody remembers n2", |fleet| {
        fleet.nodes.iter().all(|node| names(node) == ["n0", "n1"])
    });
    for node in &fleet.nodes {
        assert_eq!(node.get("/v1/targets/made")["source"], "api");
    }
    lost.spawn();
    lost.wait_ready();
    fleet.nodes.push(lost);
    fleet.wait_until("all three are alive", Fleet::alive);
    fleet.wait_until("all answer alike again", |fleet| fleet.agrees());
    let (status, _) = fleet.nodes[2].put("again", &body).expect("an answer");
    assert_eq!(status, 201);
    fleet.wait_until("its new write is everywhere", |fleet| {
        let reads = |node: &Node| node.get("/v1/targets/again")["source"] == "api";
        fleet.nodes.iter().all(|node| {
            node.try_get("/v1/targets/again")
                .is_some_and(|(s, _)| s == 200)
                && reads(node)
        })
    });
}
