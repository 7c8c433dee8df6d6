use clap::Parser;

use super::*;
use crate::arguments::{Arguments, Verb};

fn read(words: &[&str]) -> Result<Rehearsal, String> {
    let words = [&["roundsman", "simulate"][..], words].concat();
    let arguments = Arguments::try_parse_from(words).map_err(|error| error.to_string())?;
    match arguments.verb {
        Verb::Simulate(simulate) => rehearsal(&simulate),
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_words_it_is_the_default() {
    assert_eq!(read(&[]), Ok(Rehearsal::default()));
}

#[test]
fn kills_and_partitions_are_read_by_number_and_by_name_and_put_in_order() {
    let words = [
        "--kill",
        "3@90s",
        "--kill",
        "n2@1m-2m",
        "--partition",
        "n1,2/3-5@200s-4m",
        "--partition",
        "4@30s-40s",
    ];
    let read = read(&words).unwrap();
    let at = |second: u64| Time(second * 1_000_000);
    let kills = [(Host(1), at(60), Some(at(120))), (Host(2), at(90), None)];
    let found: Vec<_> = read
        .kills
        .iter()
        .map(|k| (k.host, k.at, k.returns))
        .collect();
    assert_eq!(found, kills);
    let first = &read.partitions[0];
    assert_eq!((first.from, first.until), (at(30), at(40)));
    assert_eq!(sides(&first.sides, "/"), "n4/n1-n3,n5");
    assert_eq!(sides(&read.partitions[1].sides, " / "), "n1,n2 / n3-n5");
}

#[test]
fn the_command_to_see_it_again_means_the_same() {
    let words = [
        "--nodes",
        "4",
        "--loss",
        "2.5",
        "--kill",
        "2@1m-90s",
        "--partition",
        "1/2-4@2m-3m",
        "--interval",
        "1s",
        "--fall",
        "2",
        "--mutation",
        "votes-ignored",
    ];
    let first = read(&words).unwrap();
    let command = command(&first);
    let words: Vec<&str> = command.split(' ').skip(2).collect();
    let again = read(&words).unwrap();
    let first = Rehearsal {
        outages: Some(first.outages()),
        ..first
    };
    assert_eq!(again, first);
}

#[test]
fn a_timeout_that_is_not_given_fits_into_the_interval() {
    let second = Duration::from_secs(1);
    assert_eq!(read(&["--interval", "1s"]).map(|r| r.timeout), Ok(second));
}

#[test]
fn what_is_wrong_is_named_in_one_line_with_a_way_out() {
    let wrong: [(&[&str], &str); 27] = [
        (&["--nodes", "0"], "--nodes 0: give 1 to 200 nodes"),
        (&["--nodes", "201"], "--nodes 201: give 1 to 200"),
        (
            &["--targets", "200001"],
            "--targets 200001: with 5 nodes give at most 200,000",
        ),
        (&["--for", "0s"], "--for 0s: give 1s to 24h"),
        (&["--for", "25h"], "--for 25h: give 1s to 24h"),
        (
            &["--loss", "101"],
            "--loss 101: give a percentage from 0 to 100",
        ),
        (&["--loss", "1.25"], "at most one decimal"),
        (&["--loss", "much"], "--loss much"),
        (&["--kill", "2"], "--kill 2: write NODE@TIME"),
        (
            &["--kill", "6@60s"],
            "there is no node '6'; they are n1 to n5 (--nodes)",
        ),
        (&["--kill", "0@60s"], "there is no node '0'"),
        (&["--kill", "2@soon"], "'soon' is no time"),
        (&["--kill", "2@0s"], "give a time from 1s on"),
        (
            &["--kill", "2@10m"],
            "the run is over after 10m, before 10m; give an earlier time or a longer --for",
        ),
        (&["--kill", "2@2m-1m"], "it would end at 1m and begin at 2m"),
        (
            &["--kill", "2@1m", "--kill", "2@2m"],
            "--kill 2@2m: n2 is dead since 1m; say when it is back",
        ),
        (
            &["--partition", "1/2-5"],
            "--partition 1/2-5: write NODES/NODES@TIME-TIME",
        ),
        (&["--partition", "1/2@1m-2m"], "n3 is on no side"),
        (&["--partition", "1/1-5@1m-2m"], "n1 is named twice"),
        (&["--partition", "1-5@1m-2m"], "all nodes are on one side"),
        (&["--partition", "5-4/1-3@1m-2m"], "5-4 goes backwards"),
        (
            &["--partition", "1@1m-11m"],
            "the run is over after 10m, before 11m",
        ),
        (
            &["--partition", "1@1m-3m", "--partition", "2@2m-4m"],
            "one lasts until 3m, the next begins at 2m",
        ),
        (
            &["--outages", "101"],
            "--outages 101: there are 100 targets",
        ),
        (
            &["--outages", "1", "--for", "1m"],
            "--outages 1: with this interval an outage needs --for",
        ),
        (
            &["--timeout", "11s"],
            "timeout 11s is longer than interval 10s",
        ),
        (
            &["--mutation", "x"],
            "--mutation x: give one of no-collapse, ",
        ),
    ];
    for (words, said) in wrong {
        let message = read(words).expect_err(said);
        assert!(message.contains(said), "{words:?}: {message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}
