//! What goes down is shown down, and up again, for the reason that it is.

use crate::server::{Mode, Targets};
use crate::support::Node;

fn config(targets: &Targets, n: u32) -> String {
    let list: String = (0..n)
        .map(|i| format!("  - {{ name: t{i}, http: \"{}\" }}\n", targets.url(i)))
        .collect();
    format!("defaults: {{ interval: 300ms, timeout: 200ms, fall: 2, rise: 2 }}\ntargets:\n{list}")
}

#[test]
fn each_way_of_failing_is_shown_down_with_its_reason_and_up_again() {
    let targets = Targets::start();
    let node = Node::start(&config(&targets, 4));
    node.wait("all up", || node.count("up") == 4);
    targets.set(1, Mode::Status503);
    targets.set(2, Mode::Reset);
    targets.set(3, Mode::Silent);
    node.wait("three down", || node.count("down") == 3);
    let reason = |name: &str| node.get(&format!("/v1/targets/{name}"))["reason"].clone();
    assert_eq!(reason("t1"), "status_503");
    assert_eq!(reason("t2"), "reset");
    assert_eq!(reason("t3"), "timeout_processing");
    assert_eq!(node.state("t0"), "up");
    (1..4).for_each(|i| targets.set(i, Mode::Up));
    node.wait("all up again", || node.count("up") == 4);
    let history = node.get("/v1/targets/t1/history");
    let to: Vec<&str> = history["transitions"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|t| t["to"].as_str())
        .collect();
    assert_eq!(to, ["up", "down", "up"]);
}

#[test]
fn page_status_and_api_agree() {
    let targets = Targets::start();
    targets.set(0, Mode::Status503);
    let node = Node::start(&config(&targets, 3));
    node.wait("one down, two up", || {
        (node.count("down"), node.count("up")) == (1, 2)
    });
    let status = node.ask(&["status", "--json"]);
    let items: serde_json::Value = serde_json::from_slice(&status.stdout).expect("one document");
    let from_status: Vec<_> = items["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|t| (&t["name"], &t["state"]))
        .collect();
    let api = node.get("/v1/targets");
    let from_api: Vec<_> = api["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|t| (&t["name"], &t["state"]))
        .collect();
    assert_eq!(from_status.len(), 3);
    assert!(from_status.iter().all(|target| from_api.contains(target)));
    let (_, page) = node.try_get("/").expect("the page");
    assert!(page.contains("t0") && page.contains("status 503"), "{page}");
}

#[test]
fn a_target_made_through_the_api_may_not_reach_into_this_machine_unless_allowed() {
    let targets = Targets::start();
    let node = Node::start("");
    let body = format!(
        "{{\"http\": \"{}\", \"interval\": \"300ms\", \"timeout\": \"200ms\", \"fall\": 1}}",
        targets.url(0)
    );
    assert_eq!(
        node.put("inside", &body).map(|(status, _)| status),
        Some(201)
    );
    node.wait("denied", || {
        node.get("/v1/targets/inside")["reason"] == "address_denied"
    });
    let allowing = Node::start("");
    let with_range = format!(
        "api: {{ listen: \"{}\", token: {}, allow_targets: [127.0.0.0/8] }}\n",
        allowing.address,
        crate::support::TOKEN
    );
    std::fs::write(allowing.config(), with_range).expect("a config");
    assert!(allowing.ask(&["reload"]).status.success());
    assert_eq!(
        allowing.put("inside", &body).map(|(status, _)| status),
        Some(201)
    );
    allowing.wait("allowed", || allowing.state("inside") == "up");
}
