//! `simulate` over the real binary: small fleets, so that a run takes a moment.

use serde_json::{Value, json};

use crate::stage::{Ended, roundsman};

/// Four nodes, eight targets every second, two minutes.
const SMALL: [&str; 5] = [
    "--nodes=4",
    "--targets=8",
    "--for=2m",
    "--interval=1s",
    "--outages=4",
];

/// A small run with these words, which take the place of those of the same name.
fn simulate(words: &[&str]) -> Ended {
    let name = |word: &str| word.split('=').next().map(str::to_owned);
    let given: Vec<_> = words.iter().map(|word| name(word)).collect();
    let small = SMALL
        .into_iter()
        .filter(|word| !given.contains(&name(word)));
    let all: Vec<&str> = ["simulate"]
        .into_iter()
        .chain(small)
        .chain(words.iter().copied())
        .collect();
    roundsman(&all)
}

#[test]
fn the_same_words_give_the_same_bytes_and_another_seed_gives_others() {
    for form in [&[][..], &["--json"]] {
        let words = |seed| {
            [
                &["--kill", "2@40s", "--loss", "1", "--seed", seed][..],
                form,
            ]
            .concat()
        };
        let (once, again) = (simulate(&words("3")), simulate(&words("3")));
        assert_eq!(once.code, 0, "{once:?}");
        assert_eq!((&once.out, once.err.as_str()), (&again.out, ""));
        assert_ne!(once.out, simulate(&words("4")).out);
    }
}

#[test]
fn a_report_for_people_states_bounds_and_fits_into_80_columns() {
    let ended = simulate(&["--kill", "2@30s-50s", "--partition", "1,2/3-4@70s-90s"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    for line in ended.out.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    for part in [
        "4 nodes, 8 targets for 2m, seed 1.",
        "BOUND",
        "outage until shown everywhere",
        "gap between two checks",
        "False alarms: 0. Outages missed: 0.",
        "30s  n2 was killed and came back at 50s.",
        "had their next check after",
        "1m10s  n1,n2 / n3,n4 were parted until 1m30s.",
        "answered equally after",
        "Every promise was kept.",
    ] {
        let text = ended.out.split_whitespace().collect::<Vec<_>>().join(" ");
        let part = part.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(&part), "{part}: {}", ended.out);
    }
    let second = |name: &str| {
        let line = ended.out.lines().find(|line| line.starts_with(name));
        line.expect(name).split_whitespace().count()
    };
    assert!(second("outage until") > 8, "{}", ended.out);
}

#[test]
fn a_document_for_programs_says_what_followed_kills_and_partitions() {
    let ended = simulate(&[
        "--kill",
        "n2@30s-50s",
        "--partition",
        "1,2@70s-90s",
        "--json",
    ]);
    assert_eq!((ended.code, ended.out.lines().count()), (0, 1), "{ended:?}");
    let document = ended.json();
    assert_eq!(
        (&document["kept"], &document["broken"]),
        (&json!(true), &json!([]))
    );
    assert_eq!(document["outages"]["missed"], 0);
    assert_eq!(document["false_alarms"], 0);
    let bound = 3_000 + 2 * 1_000 + 2_000;
    assert_eq!(document["bounds"]["outage_ms"], bound);
    let kill = &document["kills"][0];
    assert_eq!(
        (&kill["node"], &kill["returned_ms"]),
        (&json!("n2"), &json!(50_000))
    );
    let number = |value: &Value| {
        value
            .as_u64()
            .unwrap_or_else(|| panic!("{value}: {document}"))
    };
    assert!(number(&kill["held_for_dead_after_ms"]) < 20_000, "{kill}");
    assert_eq!(kill["taken_over"]["count"], kill["targets"]);
    assert!(number(&kill["taken_over"]["max_ms"]) <= number(&document["bounds"]["gap_ms"]));
    let partition = &document["partitions"][0];
    assert_eq!(partition["sides"], json!([["n1", "n2"], ["n3", "n4"]]));
    assert!(number(&partition["equal_after_ms"]) <= 5_000, "{partition}");
    let nodes = document["nodes"].as_array().expect("a list");
    assert_eq!(nodes.len(), 4);
    assert_eq!(nodes[1]["ran_ms"], 100_000);
    assert!(
        nodes
            .iter()
            .all(|node| number(&node["sent_bytes_per_second"]) > 0)
    );
    let checks = &document["checks"];
    assert_eq!(
        (&checks["due"], &checks["due_each"]),
        (&json!(960), &json!(120))
    );
}

#[test]
fn the_document_has_the_same_keys_whatever_happens() {
    let keys = |words: &[&str]| {
        let document = simulate(&[words, &["--json"]].concat()).json();
        let object = document.as_object().expect("an object").clone();
        object.keys().cloned().collect::<Vec<_>>()
    };
    let full = keys(&["--kill", "1@40s"]);
    assert_eq!(keys(&["--targets=0", "--outages=0"]), full);
    assert!(full.contains(&"command".to_owned()), "{full:?}");
}

#[test]
fn a_broken_promise_is_exit_1_and_the_command_shows_it_again() {
    let words = [
        "--partition",
        "1,2/3,4@15s-105s",
        "--mutation",
        "votes-ignored",
        "--seed",
        "2",
    ];
    let ended = simulate(&words);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.out.contains("BROKEN at "), "{}", ended.out);
    assert!(ended.out.contains("no false alarm: t"), "{}", ended.out);
    assert!(
        ended.out.contains("Seed 2. To see it again:"),
        "{}",
        ended.out
    );
    let command = ended.out.lines().last().expect("a command");
    let again: Vec<&str> = command.split(' ').skip(1).collect();
    assert_eq!(roundsman(&again).out, ended.out);
    let document = simulate(&[&words[..], &["--json"]].concat());
    assert_eq!(document.code, 1);
    let document = document.json();
    assert_eq!(document["kept"], false);
    let broken = &document["broken"][0];
    assert_eq!(broken["promise"], "no_false_alarm");
    assert!(
        broken["target"].is_string() && broken["node"].is_string(),
        "{broken}"
    );
    assert_eq!(document["command"], command);
}

#[test]
fn a_mutation_is_for_those_who_know_it() {
    for text in [
        roundsman(&["simulate", "--help"]).out,
        roundsman(&["man"]).out,
    ] {
        assert!(text.contains("partition"), "{text}");
        assert!(!text.contains("mutation"), "{text}");
    }
}

#[test]
fn bad_words_are_exit_2_with_one_line() {
    for (words, said) in [
        (&["--nodes", "0"][..], "--nodes 0: give 1 to 200 nodes"),
        (&["--kill", "9@60s"], "--kill 9@60s: there is no node '9'"),
        (&["--kill", "1@5m"], "the run is over after 2m"),
        (&["--partition", "1,2@60s"], "--partition 1,2@60s: write"),
        (&["--loss", "200"], "--loss 200: "),
        (
            &["--timeout", "3s"],
            "timeout 3s is longer than interval 1s",
        ),
    ] {
        let ended = simulate(words);
        assert_eq!((ended.code, ended.out.as_str()), (2, ""), "{ended:?}");
        assert!(ended.err.starts_with("roundsman: "), "{}", ended.err);
        assert!(ended.err.contains(said), "{said}: {}", ended.err);
        assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
    }
}

#[test]
fn odd_fleets_are_tried_out_like_any_other() {
    for words in [
        &["--nodes=1"][..],
        &["--nodes=2", "--kill", "1@30s"],
        &["--targets=0", "--outages=0"],
        &["--partition", "1/2/3/4@30s-60s"],
        &[
            "--kill=1@30s",
            "--kill=2@30s",
            "--kill=3@30s",
            "--kill=4@30s",
        ],
        &["--for=1s", "--outages=0"],
    ] {
        let ended = simulate(words);
        assert_eq!(ended.code, 0, "{words:?}: {ended:?}");
        assert!(ended.out.contains("Every promise was kept."), "{ended:?}");
    }
}
