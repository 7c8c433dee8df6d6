//! The binary as people and programs meet it.

#[path = "verbs/simulate.rs"]
mod simulate;
mod stage;

use serde_json::{Value, json};
use stage::{Asked, Ended, Node, Reply, json, problem, roundsman, roundsman_with};

const VERBS: [&str; 16] = [
    "run",
    "validate",
    "check",
    "status",
    "members",
    "owners",
    "events",
    "explain",
    "reload",
    "drain",
    "leave",
    "forget",
    "simulate",
    "keygen",
    "completions",
    "man",
];
const LATER: [&str; 1] = ["silence"];

fn target(name: &str, state: &str, error: Option<&str>) -> Value {
    json!({
        "name": name, "state": state, "since": "2026-01-02T03:04:05.678Z", "transition": 3,
        "reason": null, "owner": "n1", "checked_at": "2026-01-02T03:04:05Z", "age_ms": 12,
        "stale": false, "latency_ms": 1.25, "error": error, "probe": "http", "labels": {},
    })
}

#[test]
fn keygen_prints_one_key_that_a_key_file_takes_and_never_the_same() {
    let keys: Vec<String> = (0..2).map(|_| roundsman(&["keygen"]).out).collect();
    assert_ne!(keys[0], keys[1]);
    for key in &keys {
        assert_eq!(key.lines().count(), 1, "{key}");
        let bytes =
            base64::Engine::decode(&base64::engine::general_purpose::STANDARD, key.trim_end());
        assert_eq!(bytes.map(|b| b.len()), Ok(32), "{key}");
    }
    agent::cluster::Keyring::parse(&keys.concat()).expect("two keys");
    assert_eq!(roundsman(&["keygen", "more"]).code, 2);
}

#[test]
fn owners_are_the_same_from_arguments_and_from_a_list_and_in_any_order() {
    let by_name = roundsman(&["owners", "--members", "a,b=2,c@eu", "--json", "web", "db"]);
    assert_eq!(by_name.code, 0, "{by_name:?}");
    let answer: Value = serde_json::from_str(&by_name.out).expect("one document");
    assert_eq!(answer[1]["target"], "db");
    assert_eq!(answer[0]["owners"].as_array().map(Vec::len), Some(3));
    let other_order = roundsman(&["owners", "--members", "c@eu,b=2,a", "--json", "web", "db"]);
    assert_eq!(by_name.out, other_order.out);
    let listed = listing(&["a,b=2,c@eu", "--json"], "web\ndb\n");
    assert_eq!(String::from_utf8_lossy(&listed.stdout), by_name.out);
}

/// `owners` with a list on its standard input.
fn listing(arguments: &[&str], list: &str) -> std::process::Output {
    let mut child = owners_of(arguments);
    let mut input = child.stdin.take().expect("piped");
    std::io::Write::write_all(&mut input, list.as_bytes()).expect("it reads");
    drop(input);
    child.wait_with_output().expect("it ends")
}

fn owners_of(arguments: &[&str]) -> std::process::Child {
    std::process::Command::new(env!("CARGO_BIN_EXE_roundsman"))
        .args(["owners", "--members"])
        .args(arguments)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it starts")
}

#[test]
fn owners_prints_a_line_per_target_with_its_name_whole() {
    let long = "a-name-that-is-much-longer-than-any-column-should-be.example.net";
    let listed = listing(&["a,b,c@eu"], &format!("web\n{long}\n"));
    let text = String::from_utf8(listed.stdout).expect("text");
    let lines: Vec<Vec<&str>> = text
        .lines()
        .map(|l| l.split_whitespace().collect())
        .collect();
    assert_eq!(lines[0], ["TARGET", "OWNERS"]);
    assert_eq!((lines[1][0], lines[1].len()), ("web", 4));
    assert_eq!((lines[2][0], lines[2].len()), (long, 4));
    assert!(listing(&["a"], "").stdout.is_empty());
    assert_eq!(listing(&["a", "--json"], "").stdout, b"[]\n");
}

#[test]
fn a_fifth_member_takes_from_all_and_gives_to_none_in_the_summary() {
    let list: String = (1..=10_000).map(|n| format!("{n}\n")).collect();
    let owned = |members: &str| -> Vec<u32> {
        let text = listing(&[members, "--summary"], &list).stdout;
        let text = String::from_utf8(text).expect("text");
        let rows = text.lines().skip(1).map(|l| l.split_whitespace().nth(2));
        rows.map(|owned| owned.expect("a column").parse().expect("a count"))
            .collect()
    };
    let (four, five) = (owned("a,b,c,d"), owned("a,b,c,d,e"));
    assert_eq!((four.len(), four.iter().sum::<u32>()), (4, 10_000));
    assert_eq!((five.len(), five.iter().sum::<u32>()), (5, 10_000));
    assert!(
        four.iter().zip(&five).all(|(before, after)| after < before),
        "{four:?} {five:?}"
    );
}

#[test]
fn a_reader_of_owners_that_goes_away_ends_it_quietly() {
    let mut child = owners_of(&["a,b"]);
    let mut input = child.stdin.take().expect("piped");
    drop(child.stdout.take());
    // It ends somewhere in the list; then nobody takes the rest.
    let list: String = (1..=100_000).map(|n| format!("{n}\n")).collect();
    let _ = std::io::Write::write_all(&mut input, list.as_bytes());
    drop(input);
    let ended = child.wait_with_output().expect("it ends");
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
}

#[test]
fn owners_names_what_is_wrong_with_the_members() {
    for wrong in ["a,a", "a=0", "a=many", "a@", ",", ""] {
        let ended = roundsman(&["owners", "--members", wrong, "web"]);
        assert_eq!(ended.code, 2, "{wrong}: {ended:?}");
        assert!(ended.err.contains("--members"), "{wrong}: {ended:?}");
    }
    assert_eq!(roundsman(&["owners", "web"]).code, 2);
    assert_eq!(roundsman(&["owners", "--members", "a", ""]).code, 2);
    let listed = listing(&["a"], &format!("web\n{}\n", "x".repeat(70_000)));
    let said = String::from_utf8_lossy(&listed.stderr);
    assert_eq!(listed.status.code(), Some(2), "{said}");
    assert!(said.contains("line 2"), "{said}");
}

/// A node whose five targets come in three pages.
fn five_targets(asked: &Asked) -> Reply {
    let page = |items: &[Value], next: Option<&str>| {
        json(
            json!({ "version": "o-9", "coverage": { "targets": 5, "stale": 0 }, "items": items, "next": next }),
        )
    };
    let line = asked.line.as_str();
    if line.contains("cursor=c%2F2") {
        page(&[target("e", "up", None)], None)
    } else if line.contains("cursor=c1") {
        let doubtful = target("c", "unknown", Some("no file descriptor left"));
        page(&[doubtful, target("d", "paused", None)], Some("c/2"))
    } else {
        let down = target("b", "down", Some("status 503 (expected 200-299)"));
        page(&[target("a", "up", None), down], Some("c1"))
    }
}

#[test]
fn status_lists_every_page_worst_first_and_counts() {
    let node = Node::start(five_targets);
    let ended = roundsman(&["status", "--api", &node.url]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let lines: Vec<&str> = ended.out.lines().collect();
    let names: Vec<&str> = lines[1..6]
        .iter()
        .map(|line| line.split_whitespace().nth(1).expect("a name"))
        .collect();
    assert_eq!(names, ["b", "c", "a", "e", "d"], "{}", ended.out);
    assert!(lines[1].starts_with("down ") && lines[1].ends_with("status 503 (expected 200-299)"));
    assert_eq!(
        lines[6], "5 targets: 1 down, 1 unknown, 2 up, 1 paused",
        "{}",
        ended.out
    );
    assert_eq!(ended.err, "");
}

#[test]
fn a_table_fits_into_80_columns_and_into_what_columns_says() {
    let node = Node::start(|_| {
        let long = target(&"name".repeat(40), "down", Some(&"error ".repeat(40)));
        json(json!({ "version": "o-1", "coverage": {}, "items": [long], "next": null }))
    });
    for (variables, width) in [(&[][..], 80), (&[("COLUMNS", "120")][..], 120)] {
        let ended = roundsman_with(&["status", "--api", &node.url], variables);
        let widths: Vec<usize> = ended.out.lines().map(|l| l.chars().count()).collect();
        assert_eq!(widths.iter().max(), Some(&width), "{}", ended.out);
        assert_eq!(ended.out.matches('…').count(), 2, "{}", ended.out);
    }
}

#[test]
fn status_colours_nothing_when_nobody_looks() {
    let node = Node::start(five_targets);
    let ended = roundsman(&["status", "--api", &node.url]);
    assert!(!ended.out.contains('\u{1b}'), "{}", ended.out);
}

#[test]
fn what_a_server_said_cannot_steer_the_terminal() {
    let node = Node::start(|_| {
        let nasty = target("\u{1b}]0;x\u{7}", "down", Some("\u{1b}[2J\u{202e}"));
        json(json!({ "version": "o-1", "coverage": {}, "items": [nasty], "next": null }))
    });
    let ended = roundsman(&["status", "--api", &node.url]);
    assert!(
        !ended.out.contains(['\u{1b}', '\u{7}', '\u{202e}']),
        "{ended:?}"
    );
}

#[test]
fn status_as_json_is_one_document_with_all_pages() {
    let node = Node::start(five_targets);
    let ended = roundsman(&["status", "--json", "--api", &node.url]);
    let document = ended.json();
    assert_eq!(document["items"].as_array().map(Vec::len), Some(5));
    assert_eq!(document["version"], "o-9");
    assert_eq!(document["coverage"]["targets"], 5);
    assert_eq!(ended.out.lines().count(), 1);
}

#[test]
fn fail_on_exits_3_only_when_a_listed_target_is_in_such_a_state() {
    let node = Node::start(five_targets);
    let code = |states| roundsman(&["status", "--fail-on", states, "--api", &node.url]).code;
    assert_eq!(code("down,unknown"), 3);
    assert_eq!(code("paused"), 3);
    let node = Node::start(|_| json(json!({ "items": [target("a", "up", None)] })));
    let ended = roundsman(&[
        "status",
        "--fail-on",
        "down,unknown",
        "--json",
        "--api",
        &node.url,
    ]);
    assert_eq!(ended.code, 0);
    ended.json();
}

#[test]
fn filters_go_to_the_node() {
    let node = Node::start(five_targets);
    roundsman(&[
        "status", "--state", "down,up", "--label", "team=a b", "--label", "k=v", "--group", "w&b",
        "--api", &node.url,
    ]);
    let first = &node.asked()[0].line;
    assert_eq!(
        first,
        "GET /v1/targets?limit=1000&state=down%2Cup&group=w%26b&label=team%3Da%20b&label=k%3Dv"
    );
    assert_eq!(roundsman(&["status", "--state", "dead"]).code, 2);
    assert_eq!(roundsman(&["status", "--label", "team"]).code, 2);
}

#[test]
fn a_node_that_cannot_be_reached_is_exit_1_with_the_way_out() {
    for verb in [
        &["status"][..],
        &["members"],
        &["events"],
        &["explain", "x"],
        &["reload"],
    ] {
        let ended = roundsman(&[verb, &["--api", "http://127.0.0.1:1"]].concat());
        assert_eq!(ended.code, 1, "{ended:?}");
        assert_eq!(ended.out, "");
        assert_eq!(
            ended.err.trim_end(),
            "roundsman: can't reach http://127.0.0.1:1: connection refused; is `roundsman run` up? --api URL names another node"
        );
    }
}

#[test]
fn something_that_is_no_node_is_named_as_such() {
    let node = Node::start(|_| (200, "text/html", "<html>hello</html>".to_owned()));
    let ended = roundsman(&["members", "--api", &node.url]);
    assert_eq!(ended.code, 1);
    assert!(
        ended.err.contains("does not answer like a roundsman node"),
        "{ended:?}"
    );
}

#[test]
fn what_is_not_in_this_version_is_refused_by_name_and_absent_from_help() {
    for verb in LATER {
        let ended = roundsman(&[verb, "whatever", "--json"]);
        assert_eq!(ended.code, 2);
        assert_eq!(
            ended.err,
            format!("roundsman: '{verb}' is not in this version\n")
        );
    }
    let texts = [
        roundsman(&["--help"]).out,
        roundsman(&["run", "--help"]).out,
        roundsman(&["man"]).out,
        roundsman(&["completions", "bash"]).out,
        roundsman(&["completions", "zsh"]).out,
        roundsman(&["completions", "fish"]).out,
    ];
    for text in texts {
        let words = || text.split(|c: char| !c.is_alphanumeric());
        for verb in LATER {
            assert!(words().all(|word| word != verb), "{verb}: {text}");
        }
    }
}

#[test]
fn an_unknown_verb_is_an_ordinary_mistake() {
    let ended = roundsman(&["statsu"]);
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("'status'"), "{}", ended.err);
}

#[test]
fn help_manual_and_completions_name_every_verb() {
    for text in [
        roundsman(&["--help"]).out,
        roundsman(&["man"]).out,
        roundsman(&["completions", "bash"]).out,
    ] {
        for verb in VERBS {
            assert!(text.contains(verb), "{verb}: {text}");
        }
    }
    let manual = roundsman(&["man"]).out;
    for option in ["fail\\-on", "data\\-dir", "follow", "ROUNDSMAN_API"] {
        assert!(manual.contains(option), "{option}: {manual}");
    }
}

#[test]
fn explain_tells_the_story_and_names_travel_whole() {
    let document = json!({
        "target": target("a/b c", "down", Some("status 503")),
        "owner": "n1", "order": ["n1", "n2"],
        "counters": { "failures": 3, "fall": 3, "of": 3, "successes": 1, "rise": 2 },
        "in_flight": false, "next_due_in_ms": 420.0,
        "last": {
            "at": "2026-01-02T03:04:05Z", "result": "failed", "reason": "status_503",
            "detail": "expected 200-299", "latency_ms": 1.5,
            "phases_ms": { "resolve": 0.0, "connect": 0.5, "processing": 1.0 },
            "address": "10.0.0.1", "http_status": 503, "cert_expires": null,
        },
        "recent": [{ "at": "T1", "result": "passed", "reason": null, "latency_ms": 2.0 }],
        "transitions": [{ "number": 3, "at": "T0", "from": "up", "to": "down", "reason": "status_503" }],
        "votes": [{ "node": "n1", "passed": false }, { "node": "n2", "passed": null }],
        "accused": [{ "member": "n3", "by": "n2", "at": "T2" }], "unable": ["n4"],
        "definition": { "http": { "url": "http://x/" }, "interval": "10s" }, "partial": false,
    });
    let sent = document.clone();
    let node = Node::start(move |_| json(&sent));
    let ended = roundsman(&["explain", "a/b c", "--api", &node.url]);
    assert_eq!(node.asked()[0].line, "GET /v1/targets/a%2Fb%20c/explain");
    for part in [
        "a/b c is down since 2026-01-02T03:04:05.678Z, for ",
        "1 of 2 successes in a row that make it up",
        "checked by n1, then n2",
        "next check in 420 ms",
        "failed: status 503",
        "expected 200-299",
        "connect",
        "#3  T0  up -> down  status 503",
        "http.url: http://x/",
        "n1 failed",
        "n2 silent",
        "T2  n3, says n2",
        "not by n4",
    ] {
        assert!(ended.out.contains(part), "{part}: {}", ended.out);
    }
    assert!(!ended.out.contains("make it down"), "{}", ended.out);
    assert_eq!(
        roundsman(&["explain", "a/b c", "--json", "--api", &node.url]).json(),
        document
    );
}

#[test]
fn a_problem_is_shown_with_title_and_detail() {
    let node = Node::start(|_| {
        problem(
            404,
            json!({ "type": "about:blank", "title": "Not Found", "status": 404, "detail": "there is no target 'x'" }),
        )
    });
    let ended = roundsman(&["explain", "x", "--api", &node.url]);
    assert_eq!(ended.code, 1);
    assert_eq!(ended.err, "roundsman: Not Found: there is no target 'x'\n");
}

#[test]
fn reload_sends_the_token_and_prints_what_changed() {
    let diff = json!({ "added": ["new"], "changed": ["shop"], "removed": [], "unchanged": 1200 });
    let node = Node::start(move |_| json(&diff));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, "from-file\n").expect("written");
    let file = file.to_str().expect("UTF-8");
    let environment = [("ROUNDSMAN_TOKEN", "from-env")];
    let ended = roundsman_with(&["reload", "--api", &node.url], &environment);
    assert_eq!(
        ended.out,
        "+ new\n~ shop\nreloaded: 1 added, 1 changed, 0 removed, 1,200 unchanged\n"
    );
    roundsman_with(
        &["reload", "--token-file", file, "--api", &node.url],
        &environment,
    );
    let asked = node.asked();
    assert_eq!(asked[0].line, "POST /-/reload");
    assert_eq!(asked[0].header("authorization"), Some("Bearer from-env"));
    assert_eq!(asked[1].header("authorization"), Some("Bearer from-file"));
}

#[test]
fn a_reload_that_failed_lists_every_fault() {
    let node = Node::start(|_| {
        let at = |line: u32| json!({ "file": "r.yaml", "line": line, "column": 5, "message": "unknown key" });
        problem(
            422,
            json!({ "title": "Unprocessable Content", "detail": "2 mistakes", "errors": [at(3), at(9)] }),
        )
    });
    let ended = roundsman(&["reload", "--api", &node.url]);
    assert_eq!(ended.code, 1);
    assert!(
        ended
            .err
            .contains("r.yaml:3:5: unknown key\nr.yaml:9:5: unknown key"),
        "{ended:?}"
    );
}

#[test]
fn reading_never_sends_the_token() {
    let node = Node::start(five_targets);
    roundsman_with(
        &["status", "--api", &node.url],
        &[("ROUNDSMAN_TOKEN", "secret")],
    );
    assert!(
        node.asked()
            .iter()
            .all(|asked| asked.header("authorization").is_none())
    );
}

#[test]
fn an_unreadable_token_file_is_bad_input() {
    let ended = roundsman(&["reload", "--token-file", "/does/not/exist"]);
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("/does/not/exist"), "{ended:?}");
}

const EVENT: &str = "id: o-1\nevent: transition\ndata: {\"target\":\"web\",\"number\":1,\"at\":\"T\",\"from\":\"up\",\"to\":\"down\",\"reason\":\"refused\"}\n\n";

#[test]
fn events_without_follow_print_what_is_known_and_end() {
    let node = Node::start(|_| (200, "text/event-stream", EVENT.repeat(2)));
    let ended = roundsman(&["events", "--api", &node.url]);
    assert_eq!(
        (ended.code, ended.out.as_str()),
        (
            0,
            "T  web  up -> down: refused\nT  web  up -> down: refused\n"
        )
    );
    assert_eq!(node.asked()[0].line, "GET /v1/events?follow=false");
    let Ended { out, .. } = roundsman(&["events", "--json", "--api", &node.url]);
    for line in out.lines() {
        let document: Value = serde_json::from_str(line).expect("one document per line");
        assert_eq!(
            (&document["target"], &document["id"]),
            (&json!("web"), &json!("o-1"))
        );
    }
}

#[test]
fn following_events_resumes_after_the_last_one_seen() {
    let node = Node::start(|asked| match asked.header("last-event-id") {
        None => (200, "text/event-stream", EVENT.to_owned()),
        Some(_) => problem(400, json!({ "title": "Done", "detail": "enough" })),
    });
    let ended = roundsman(&["events", "--follow", "--api", &node.url]);
    assert_eq!(
        (ended.code, ended.err.as_str()),
        (1, "roundsman: Done: enough\n")
    );
    let asked = node.asked();
    assert_eq!(asked[0].line, "GET /v1/events");
    assert_eq!(asked[1].header("last-event-id"), Some("o-1"));
}

#[test]
fn members_are_a_table_or_one_document() {
    let document = json!({ "items": [{ "name": "n1", "address": "127.0.0.1:7717", "state": "alive", "incarnation": 1, "zone": "eu", "weight": 1, "owned": 12, "version": "0.1.0" }] });
    let sent = document.clone();
    let node = Node::start(move |_| json(&sent));
    let ended = roundsman(&["members", "--api", &node.url]);
    let row: Vec<&str> = ended
        .out
        .lines()
        .nth(1)
        .expect("a row")
        .split_whitespace()
        .collect();
    assert_eq!(
        row,
        ["n1", "alive", "127.0.0.1:7717", "eu", "1", "12", "0.1.0"]
    );
    assert_eq!(
        roundsman(&["members", "--json", "--api", &node.url]).json(),
        document
    );
}

#[test]
fn a_check_of_a_url_exits_by_its_result_and_shows_its_phases() {
    let node = Node::start(|_| json("{}"));
    let address = node.url.replace("http://", "tcp://");
    let ended = roundsman(&["check", &address]);
    assert_eq!(ended.code, 0, "{ended:?}");
    for phase in ["resolve", "connect", "tls", "processing", "transfer"] {
        assert!(ended.out.contains(phase), "{}", ended.out);
    }
    let ended = roundsman(&["check", "tcp://127.0.0.1:1", "--json"]);
    assert_eq!(ended.code, 1);
    let document = ended.json();
    assert_eq!(
        (&document["result"], &document["reason"]),
        (&json!("failed"), &json!("refused"))
    );
    assert!(document["phases_ms"]["connect"].is_number());
}

#[test]
fn a_check_with_bad_input_exits_2() {
    for (arguments, said) in [
        (&["check", "dns://x"][..], "'dns://' is not in this version"),
        (&["check", "tcp://x"], "tcp://HOST:PORT"),
        (&["check", "http://x/", "y"], "checked alone"),
        (
            &["check", "/does/not/exist.yaml", "x"],
            "/does/not/exist.yaml",
        ),
        (&["check"], "required"),
        (&["check", "http://x/", "--timeout", "soon"], "--timeout"),
    ] {
        let ended = roundsman(arguments);
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(ended.err.contains(said), "{said}: {ended:?}");
        assert_eq!(ended.out, "");
    }
}

#[test]
fn a_filter_for_logs_that_makes_no_sense_is_bad_input() {
    assert_eq!(roundsman(&["--log", "a=b=c", "status"]).code, 2);
    assert_eq!(roundsman(&["--log-format", "xml", "status"]).code, 2);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let ended = std::process::Command::new("sh")
        .args([
            "-c",
            "\"$0\" completions bash | head -n 1 >/dev/null; exit 0",
        ])
        .arg(env!("CARGO_BIN_EXE_roundsman"))
        .output()
        .expect("sh starts");
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
}
