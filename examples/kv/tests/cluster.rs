//! Three real processes on loopback sockets: what one is told, all know; what was confirmed, stays.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use kv::{Held, MemberRow, Reply};

/// Far longer than anything here takes; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(120);

struct Node {
    name: &'static str,
    listen: String,
    client: String,
    data: std::path::PathBuf,
    process: Option<Child>,
}

impl Node {
    /// A node that is not started yet, on two ports that were free just now.
    fn new(name: &'static str, folder: &Path) -> Self {
        let free = || {
            let any = TcpListener::bind("127.0.0.1:0").expect("a free port");
            any.local_addr().expect("it is bound").to_string()
        };
        let (listen, client) = (free(), free());
        let data = folder.join(name);
        let process = None;
        Self {
            name,
            listen,
            client,
            data,
            process,
        }
    }

    fn start(&mut self, join: &[&str]) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kv"));
        command
            .args(["run", "--name", self.name])
            .args(["--listen", &self.listen, "--client", &self.client])
            .arg("--data")
            .arg(&self.data)
            .stderr(Stdio::null());
        if !join.is_empty() {
            command.args(["--join", &join.join(",")]);
        }
        self.process = Some(command.spawn().expect("the binary was built"));
        wait(|| self.try_ask(&["members"]).is_some(), || self.name.into());
    }

    /// `kill -9`.
    fn kill(&mut self) {
        let mut process = self.process.take().expect("it was started");
        process.kill().expect("it is ours");
        process.wait().expect("it is ours");
    }

    fn signal(&self, name: &str) {
        let pid = self.process.as_ref().expect("it was started").id();
        let sent = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(pid.to_string())
            .status();
        assert!(sent.expect("kill is there").success());
    }

    fn say(&self, words: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_kv"))
            .args(words)
            .args(["--at", &self.client])
            .output()
            .expect("the binary was built")
    }

    fn try_ask(&self, words: &[&str]) -> Option<Reply> {
        let output = self.say(&[words, &["--json"]].concat());
        output
            .status
            .success()
            .then(|| serde_json::from_slice(&output.stdout).expect("an answer is one line of JSON"))
    }

    fn put(&self, key: &str, value: &str) -> Reply {
        let reply = self.try_ask(&["put", key, value]);
        let reply = reply.expect("the node answers");
        assert!(matches!(reply, Reply::Written { .. }), "{reply:?}");
        reply
    }

    fn held(&self, words: &[&str]) -> Vec<Held> {
        match self.try_ask(words) {
            Some(Reply::Held(held)) => held,
            other => panic!("{}: {words:?}: {other:?}", self.name),
        }
    }

    /// The values under `key`, in order.
    fn get(&self, key: &str) -> Vec<String> {
        let held = self.held(&["get", key]);
        let siblings = held.into_iter().flat_map(|held| held.siblings);
        // The node orders them by version, and origins are random.
        let mut values: Vec<String> = siblings.map(|sibling| sibling.value).collect();
        values.sort();
        values
    }

    fn list(&self) -> Vec<String> {
        let held = self.held(&["list"]);
        held.into_iter().map(|held| held.key).collect()
    }

    fn members(&self) -> Vec<MemberRow> {
        match self.try_ask(&["members"]) {
            Some(Reply::Members(members)) => members,
            other => panic!("{}: {other:?}", self.name),
        }
    }

    fn sees(&self, name: &str, state: &str) -> bool {
        let members = self.members();
        members.iter().any(|m| m.name == name && m.state == state)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn wait(done: impl Fn() -> bool, say: impl Fn() -> String) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < PATIENCE, "in vain: {}", say());
        sleep(Duration::from_millis(20));
    }
}

/// Waits until every node holds just these values under `key`.
fn wait_for_values(nodes: &[Node], key: &str, values: &[&str]) {
    let seen = || nodes.iter().map(|node| node.get(key)).collect::<Vec<_>>();
    wait(
        || seen().iter().all(|held| held == values),
        || format!("{key} is {:?}, not {values:?} on all", seen()),
    );
}

/// Three nodes that see each other.
fn trio(folder: &Path) -> [Node; 3] {
    let mut nodes = ["alice", "bob", "carol"].map(|name| Node::new(name, folder));
    let first = nodes[0].listen.clone();
    for node in &mut nodes {
        node.start(&[&first]);
    }
    wait_for_each_other(&nodes);
    nodes
}

fn wait_for_each_other(nodes: &[Node]) {
    let all = || {
        let sees_all = |by: &Node| nodes.iter().all(|node| by.sees(node.name, "alive"));
        nodes.iter().all(sees_all)
    };
    wait(all, || format!("{:?}", nodes[0].members()));
}

#[test]
fn what_one_is_told_all_know_and_what_one_deletes_all_forget() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = trio(folder.path());
    let [alice, bob, carol] = &nodes;
    assert!(matches!(
        alice.put("color", "red"),
        Reply::Written { disks: 2, .. }
    ));
    wait_for_values(&nodes, "color", &["red"]);
    carol.put("color", "blue");
    bob.put("shape", "round");
    wait_for_values(&nodes, "color", &["blue"]);
    wait_for_values(&nodes, "shape", &["round"]);
    assert_eq!(alice.list(), ["color", "shape"]);
    let shown = bob.say(&["get", "color"]);
    assert_eq!(String::from_utf8_lossy(&shown.stdout), "blue\n");

    bob.try_ask(&["delete", "color"]).expect("bob answers");
    wait_for_values(&nodes, "color", &[]);
    assert_eq!(bob.list(), ["shape"]);
    assert!(!bob.say(&["get", "color"]).status.success());
}

#[test]
fn a_killed_node_loses_nothing_and_learns_what_it_missed() {
    let folder = tempfile::tempdir().unwrap();
    let mut nodes = trio(folder.path());
    for nth in 0..20 {
        nodes[0].put(&format!("before-{nth}"), "kept");
    }
    nodes[0].kill();
    nodes[1].put("meanwhile", "heard");
    // With the others gone too, what it shows can only come from its own disk.
    nodes[1].kill();
    nodes[2].kill();
    nodes[0].start(&[]);
    for nth in 0..20 {
        assert_eq!(nodes[0].get(&format!("before-{nth}")), ["kept"]);
    }
    assert!(nodes[0].get("meanwhile").is_empty());
    let join = nodes[0].listen.clone();
    nodes[1].start(&[&join]);
    nodes[2].start(&[&join]);
    wait_for_each_other(&nodes);
    wait_for_values(&nodes, "meanwhile", &["heard"]);
    wait_for_values(&nodes, "before-19", &["kept"]);
    nodes[0].put("afterwards", "too");
    wait_for_values(&nodes, "afterwards", &["too"]);
}

#[test]
fn a_node_that_stood_still_is_called_dead_and_comes_back_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = trio(folder.path());
    nodes[2].signal("STOP");
    wait(
        || nodes[0].sees("carol", "dead"),
        || format!("{:?}", nodes[0].members()),
    );
    nodes[0].put("meanwhile", "heard");
    nodes[2].signal("CONT");
    wait_for_each_other(&nodes);
    wait_for_values(&nodes, "meanwhile", &["heard"]);
}

#[test]
fn a_newcomer_gets_more_than_datagrams_carry() {
    let folder = tempfile::tempdir().unwrap();
    let mut nodes = ["alice", "bob"].map(|name| Node::new(name, folder.path()));
    nodes[0].start(&[]);
    let long = "x".repeat(4_000);
    let keys: Vec<String> = (0..200).map(|nth| format!("key-{nth:03}")).collect();
    for key in &keys {
        nodes[0].put(key, &long);
    }
    let join = nodes[0].listen.clone();
    nodes[1].start(&[&join]);
    let has_all = || nodes[1].list() == keys;
    wait(has_all, || {
        format!("bob has {} keys", nodes[1].list().len())
    });
    assert_eq!(nodes[1].get("key-199"), [long]);
    assert!(!nodes[0].say(&["put", "", "no key"]).status.success());
}

#[test]
fn writes_without_sight_of_each_other_are_siblings_until_a_put() {
    let folder = tempfile::tempdir().unwrap();
    let mut nodes = ["alice", "bob"].map(|name| Node::new(name, folder.path()));
    for node in &mut nodes {
        node.start(&[]);
    }
    assert!(matches!(
        nodes[0].put("color", "red"),
        Reply::Written { disks: 1, .. }
    ));
    nodes[1].put("color", "blue");
    assert_eq!(nodes[0].get("color"), ["red"]);

    nodes[1].kill();
    let join = nodes[0].listen.clone();
    nodes[1].start(&[&join]);
    wait_for_values(&nodes, "color", &["blue", "red"]);
    let shown = nodes[0].say(&["get", "color"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("2 siblings"));

    nodes[1].put("color", "violet");
    wait_for_values(&nodes, "color", &["violet"]);
}

#[test]
fn sigterm_leaves_and_the_others_call_it_left_not_dead() {
    let folder = tempfile::tempdir().unwrap();
    let mut nodes = trio(folder.path());
    nodes[2].signal("TERM");
    let mut carol = nodes[2].process.take().expect("it was started");
    assert!(carol.wait().expect("it is ours").success());
    wait(
        || nodes[0].sees("carol", "left"),
        || format!("{:?}", nodes[0].members()),
    );
}
