//! SIGHUP, SIGTERM, and a second node where one runs already.

use crate::server::Targets;
use crate::support::Node;

#[test]
fn sigterm_ends_the_node_cleanly_and_a_restart_remembers() {
    let targets = Targets::start();
    let target = format!(
        "targets: [{{ name: web, interval: 200ms, timeout: 200ms, http: \"{}\" }}]\n",
        targets.url(0)
    );
    let mut node = Node::start(&target);
    node.wait("up", || node.state("web") == "up");
    let since = node.get("/v1/targets/web")["since"].clone();
    node.signal("TERM");
    assert_eq!(node.wait_end(), Some(0));
    node.spawn();
    node.wait_ready();
    let again = node.get("/v1/targets/web");
    assert_eq!((&again["state"], &again["since"]), (&"up".into(), &since));
}

#[test]
fn sighup_reloads_and_a_wrong_config_keeps_the_old_one() {
    let node = Node::start("targets: [{ name: a, tcp: \"127.0.0.1:1\" }]\n");
    node.write_config(
        "targets: [{ name: a, tcp: \"127.0.0.1:1\" }, { name: b, tcp: \"127.0.0.1:1\" }]\n",
    );
    node.signal("HUP");
    node.wait("b is there", || {
        node.get("/v1/summary")["counts"]["total"] == 2
    });
    node.write_config("targets: [{ name: a, tpc: \"127.0.0.1:1\" }]\n");
    node.signal("HUP");
    node.wait("the reload failed", || {
        node.metric("roundsman_config_last_reload_successful") == 0.0
    });
    assert_eq!(node.get("/v1/summary")["counts"]["total"], 2);
    assert!(node.log().contains("did you mean 'tcp'"), "{}", node.log());
    let reload = node.ask(&["reload"]);
    assert_eq!(reload.status.code(), Some(1));
}

#[test]
fn an_emptied_file_takes_nothing_away_and_an_empty_list_does() {
    let node = Node::start("targets: [{ name: a, tcp: \"127.0.0.1:1\" }]\n");
    std::fs::write(node.config(), "# being edited\n").expect("a config");
    let reload = node.ask(&["reload"]);
    assert_eq!(reload.status.code(), Some(1));
    assert_eq!(node.get("/v1/summary")["counts"]["total"], 1);
    assert!(node.log().contains("targets: []"), "{}", node.log());
    node.write_config("targets: []\n");
    node.signal("HUP");
    node.wait("a is gone", || {
        node.get("/v1/summary")["counts"]["total"] == 0
    });
}

#[test]
fn of_many_reloads_at_once_the_last_one_is_not_lost() {
    let node = Node::start("targets: []\n");
    for round in 1..=30 {
        let names: Vec<String> = (0..round)
            .map(|n| format!("  - {{ name: t{n}, tcp: \"127.0.0.1:1\" }}"))
            .collect();
        node.write_config(&format!("targets:\n{}\n", names.join("\n")));
        node.signal("HUP");
    }
    node.wait("all are there", || {
        node.get("/v1/summary")["counts"]["total"] == 30
    });
}

#[test]
fn an_open_cluster_port_without_a_key_is_refused() {
    let node = Node::start("");
    let output = node
        .command()
        .args(["--cluster-listen", "0.0.0.0:0"])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("no cluster key"), "{said}");
}

#[test]
fn a_second_node_on_the_same_port_or_directory_says_what_to_do() {
    let node = Node::start("");
    let output = node.command().output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("choose another with --listen"), "{said}");
    let elsewhere = crate::support::free_address().to_string();
    let output = node
        .command()
        .arg("--listen")
        .arg(elsewhere)
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("give each node a --data-dir of its own"),
        "{said}"
    );
}
