//! What one node answers, request by request: Maelstrom's protocol as a script.

use base::Time;
use maelstrom::{Input, Message, Node, Setup, Tuning, Workload};
use serde_json::{Value, json};

fn fresh(workload: Workload) -> Node {
    Node::new(Setup {
        workload,
        tuning: Tuning::Quick,
        seed: 1,
    })
}

/// The body of the one answer; what goes to other nodes is left out.
fn ask(node: &mut Node, body: Value) -> Value {
    node.handle(Time(1), Input::Said(Message::new("c1", "n1", body)));
    let said = std::iter::from_fn(|| node.poll());
    let mut answers: Vec<Message> = said.filter(|m| m.dest == "c1").collect();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers[0].src, "n1");
    Value::Object(answers.remove(0).body)
}

fn named(workload: Workload) -> Node {
    let mut node = fresh(workload);
    let init = json!({"type": "init", "msg_id": 1, "node_id": "n1", "node_ids": ["n1", "n2"]});
    let answer = ask(&mut node, init);
    assert_eq!(answer, json!({"type": "init_ok", "in_reply_to": 1}));
    node
}

fn code(answer: &Value) -> i64 {
    assert_eq!(answer["type"], "error", "{answer}");
    assert!(answer["text"].is_string(), "{answer}");
    answer["code"].as_i64().expect("a code")
}

#[test]
fn nothing_is_answered_before_init_but_that_it_is_too_early() {
    let mut node = fresh(Workload::Echo);
    let answer = ask(&mut node, json!({"type": "echo", "msg_id": 5, "echo": 1}));
    assert_eq!(code(&answer), 11);
    assert_eq!(answer["in_reply_to"], 5);
    assert_eq!(node.deadline(), None);
}

#[test]
fn any_json_comes_back_from_echo() {
    let mut node = named(Workload::Echo);
    for echo in [json!("hi"), json!(null), json!({"a": [1, 2.5, "x"]})] {
        let answer = ask(
            &mut node,
            json!({"type": "echo", "msg_id": 2, "echo": echo}),
        );
        let expected = json!({"type": "echo_ok", "in_reply_to": 2, "echo": echo});
        assert_eq!(answer, expected);
    }
}

#[test]
fn an_unknown_request_is_not_supported_and_named() {
    let answer = ask(
        &mut named(Workload::Echo),
        json!({"type": "fly", "msg_id": 2}),
    );
    assert_eq!(code(&answer), 10);
    assert!(answer["text"].as_str().unwrap().contains("fly"), "{answer}");
}

#[test]
fn a_request_without_its_field_is_malformed() {
    for (workload, body) in [
        (Workload::Echo, json!({"type": "echo"})),
        (Workload::Broadcast, json!({"type": "broadcast"})),
        (Workload::GSet, json!({"type": "add", "delta": 1})),
        (Workload::PnCounter, json!({"type": "add", "element": 1})),
        (Workload::PnCounter, json!({"type": "add", "delta": "one"})),
        (Workload::GCounter, json!({"type": "add", "delta": -1})),
        (Workload::GCounter, json!({"type": "add", "delta": 1.5})),
    ] {
        let answer = ask(&mut named(workload), body.clone());
        assert_eq!(code(&answer), 12, "{body}");
    }
}

#[test]
fn an_init_that_names_nobody_is_malformed_and_a_second_one_refused() {
    for body in [
        json!({"type": "init"}),
        json!({"type": "init", "node_id": "n1"}),
        json!({"type": "init", "node_id": "n1", "node_ids": "n1"}),
        json!({"type": "init", "node_id": "n1", "node_ids": ["n2", "n3"]}),
    ] {
        let answer = ask(&mut fresh(Workload::Echo), body.clone());
        assert_eq!(code(&answer), 12, "{body}");
    }
    let again = json!({"type": "init", "node_id": "n1", "node_ids": ["n1"]});
    assert_eq!(code(&ask(&mut named(Workload::Echo), again)), 22);
}

#[test]
fn what_was_broadcast_or_added_is_read_by_the_name_of_its_workload() {
    let mut node = named(Workload::Broadcast);
    let topology = json!({"type": "topology", "topology": {"n1": ["n2"]}});
    assert_eq!(ask(&mut node, topology)["type"], "topology_ok");
    for message in [json!(3), json!("x"), json!(3)] {
        let answer = ask(&mut node, json!({"type": "broadcast", "message": message}));
        assert_eq!(answer, json!({"type": "broadcast_ok"}));
    }
    let read = ask(&mut node, json!({"type": "read", "msg_id": 9}));
    let expected = json!({"type": "read_ok", "in_reply_to": 9, "messages": [3, "x"]});
    assert_eq!(read, expected, "twice the same is there once");

    let mut node = named(Workload::GSet);
    ask(&mut node, json!({"type": "add", "element": 7}));
    let read = ask(&mut node, json!({"type": "read"}));
    assert_eq!(read, json!({"type": "read_ok", "value": [7]}));
}

#[test]
fn a_counter_adds_up_and_never_wraps() {
    let mut node = named(Workload::PnCounter);
    for delta in [5, -7] {
        ask(&mut node, json!({"type": "add", "delta": delta}));
    }
    let read = ask(&mut node, json!({"type": "read"}));
    assert_eq!(read, json!({"type": "read_ok", "value": -2}));
    let far = json!({"type": "add", "delta": i64::MIN});
    assert_eq!(code(&ask(&mut node, far)), 22);
    let read = ask(&mut node, json!({"type": "read"}));
    assert_eq!(read["value"], -2, "what was refused did not happen");
}

#[test]
fn ids_of_two_nodes_with_one_seed_still_differ() {
    let ids = |me: &str| -> Vec<Value> {
        let mut node = fresh(Workload::UniqueIds);
        let names = ["n1", "n2"];
        let init = json!({"type": "init", "node_id": me, "node_ids": names});
        ask(&mut node, init);
        (0..100)
            .map(|_| ask(&mut node, json!({"type": "generate"}))["id"].clone())
            .collect()
    };
    let mut all: Vec<String> = [ids("n1"), ids("n2")]
        .concat()
        .iter()
        .map(Value::to_string)
        .collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 200);
}

#[test]
fn answers_that_nobody_waits_for_and_broken_gossip_are_counted_and_dropped() {
    let mut node = named(Workload::Broadcast);
    for body in [
        json!({"type": "broadcast_ok", "in_reply_to": 3}),
        json!({"type": "store"}),
        json!({"type": "store", "bytes": 7}),
        json!({"type": "store", "bytes": "no base64!"}),
        json!({"type": "store", "bytes": "AAAA", "stream": "first"}),
    ] {
        node.handle(Time(1), Input::Said(Message::new("n2", "n1", body)));
    }
    let stranger = json!({"type": "store", "bytes": "AAAA"});
    node.handle(Time(1), Input::Said(Message::new("c9", "n1", stranger)));
    assert_eq!(node.ignored(), 6);
    let said = std::iter::from_fn(|| node.poll());
    assert!(said.into_iter().all(|m| m.dest != "c9"), "no answer");
}
