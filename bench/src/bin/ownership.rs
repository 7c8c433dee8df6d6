//! Who owns what: how fast it is computed, how little moves, how even it is.
//!
//! The goals stand beside the figures. The anchor is the plain way, in the same run: every order
//! computed anew from names.
#![expect(clippy::print_stdout, reason = "a tool for people")]

use std::time::Instant;

use base::{Slot, Time};
use clap::Parser;
use ownership::{Input, KeyHash, Member, Ownership, order};

/// Moves, shares and times of ownership.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many targets are owned where times are measured
    #[arg(long, default_value_t = 1_000_000)]
    targets: u32,
    /// By how many members
    #[arg(long, default_value_t = 10)]
    members: u32,
    /// How many times each is measured; the best counts
    #[arg(long, default_value_t = 3)]
    rounds: u32,
}

fn main() {
    let arguments = Arguments::parse();
    moves();
    shares();
    println!(
        "\n{} targets, {} members",
        arguments.targets, arguments.members
    );
    println!("what                                     ms       goal");
    let mut best = [f64::INFINITY; 7];
    for _ in 0..arguments.rounds.max(1) {
        for (best, now) in best.iter_mut().zip(times(&arguments)) {
            *best = best.min(now);
        }
    }
    let goals = [Some(1_000.0), None, Some(150.0), None, None, None, None];
    let what = [
        "first computed",
        "  its changes read",
        "one member dies",
        "  its changes read",
        "one member joins",
        "one member drains",
        "anchor: every order anew from its names",
    ];
    for ((what, millis), goal) in what.iter().zip(best).zip(goals) {
        println!("{what:<39}  {millis:>7.1}   {}", verdict(millis, goal));
    }
}

fn verdict(figure: f64, goal: Option<f64>) -> String {
    match goal {
        None => String::new(),
        Some(goal) if figure <= goal => format!("{goal} met"),
        Some(goal) => format!("{goal} missed"),
    }
}

fn nodes(count: u32) -> Vec<Member> {
    (0..count)
        .map(|n| Member::new(&format!("node-{n}")))
        .collect()
}

/// 10,000 targets when a fifth node joins four.
fn moves() {
    let all = nodes(5);
    let (mut moved, mut elsewhere) = (0_u32, 0_u32);
    for n in 0..10_000 {
        let target = format!("target-{n}");
        let (before, after) = (
            &order(&target, &all[..4])[0].name,
            &order(&target, &all)[0].name,
        );
        moved += u32::from(before != after);
        elsewhere += u32::from(before != after && *after != all[4].name);
    }
    let percent = f64::from(moved) / 100.0;
    println!(
        "10,000 targets, 4 to 5 nodes: {percent:.1} % moved (goal: at most 22, {}), {elsewhere} of them not to the newcomer",
        if percent <= 22.0 { "met" } else { "missed" }
    );
}

/// 10,000 targets on nodes of different weights.
fn shares() {
    let weights = [1, 1, 2, 3, 5];
    let all: Vec<Member> = nodes(5)
        .into_iter()
        .zip(weights)
        .map(|(member, weight)| Member { weight, ..member })
        .collect();
    let mut owned = [0_u32; 5];
    for n in 0..10_000 {
        let first = order(&format!("target-{n}"), &all)[0];
        let at = all.iter().position(|m| m.name == first.name);
        owned[at.expect("an owner is a member")] += 1;
    }
    println!("weight  owned of 10,000  share / weight  goal: 0.9 to 1.1");
    for (weight, owned) in weights.iter().zip(owned) {
        let ratio = f64::from(owned) * 12.0 / (10_000.0 * f64::from(*weight));
        let is_met = (0.9..=1.1).contains(&ratio);
        let verdict = if is_met { "met" } else { "missed" };
        println!("{weight:<6}  {owned:<15}  {ratio:<14.3}  {verdict}");
    }
}

fn times(arguments: &Arguments) -> [f64; 7] {
    let all = nodes(arguments.members);
    let names: Vec<String> = (0..arguments.targets)
        .map(|n| format!("target-{n}"))
        .collect();
    let mut ownership = Ownership::new();
    let tell = |ownership: &mut Ownership, input| {
        ownership.handle(Time::ZERO, input);
        while ownership.poll().is_some() {}
    };
    for member in &all {
        tell(&mut ownership, Input::Joined(member.clone()));
    }
    let first = millis(|| {
        for (n, name) in (0..).zip(&names) {
            ownership.handle(Time::ZERO, Input::Defined(Slot(n), KeyHash::of(name)));
        }
    });
    // Changes wait until they are read; reading them is counted by itself.
    let first_read = millis(|| while ownership.poll().is_some() {});
    let dies = millis(|| ownership.handle(Time::ZERO, Input::Left("node-3".into())));
    let death_read = millis(|| while ownership.poll().is_some() {});
    let joins = millis(|| ownership.handle(Time::ZERO, Input::Joined(Member::new("node-3"))));
    while ownership.poll().is_some() {}
    let mut draining = Member::new("node-5");
    draining.standing = ownership::Standing::Draining;
    let drains = millis(|| ownership.handle(Time::ZERO, Input::Joined(draining)));
    while ownership.poll().is_some() {}
    let mut firsts = 0_usize;
    let anew = millis(|| {
        for name in &names {
            firsts += order(name, &all)[0].name.len();
        }
    });
    assert!(firsts > 0, "the orders were computed");
    [first, first_read, dies, death_read, joins, drains, anew]
}

fn millis(work: impl FnOnce()) -> f64 {
    let begin = Instant::now();
    work();
    begin.elapsed().as_secs_f64() * 1_000.0
}
