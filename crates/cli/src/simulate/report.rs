//! A forecast for people: what was measured, beside the bound it was held against.

use std::time::Duration;

use base::Time;
use sim::fleet::Promise;
use sim::fleet::rehearsal::{Breach, Fate, Forecast, Healed, Rehearsal, Share, Spread};

use super::spans::{given, measured, moment, rate};
use super::traffic::{Traffic, middle_and_most};
use super::words::{command, percent, sides};
use crate::table::{rows, thousands};

const HEADINGS: [&str; 6] = ["HOW LONG IT TOOK", "COUNT", "MEDIAN", "P99", "MAX", "BOUND"];

/// The report, line by line; none longer than `columns`, but the command to see a broken promise
/// again, which is whole.
pub(super) fn lines(rehearsal: &Rehearsal, forecast: &Forecast, columns: usize) -> Vec<String> {
    let mut lines = folded(&what(rehearsal), columns);
    lines.push(String::new());
    lines.extend(rows(HEADINGS, &spans(forecast), columns));
    lines.push(String::new());
    for text in counts(rehearsal, forecast) {
        lines.extend(folded(&text, columns));
    }
    let mut happened: Vec<(Time, String)> = Vec::new();
    let kills = forecast.kills.iter();
    happened.extend(kills.map(|fate| (fate.at, killed(fate, rehearsal))));
    let partitions = forecast.partitions.iter();
    let equal = forecast.bounds.equal;
    happened.extend(partitions.map(|healed| (healed.from, parted(healed, equal))));
    happened.sort();
    if !happened.is_empty() {
        lines.push(String::new());
    }
    for (_, text) in happened {
        lines.extend(folded(&text, columns));
    }
    lines.push(String::new());
    if rehearsal.nodes > 1 {
        lines.extend(folded(&traffic(forecast), columns));
        lines.push(String::new());
    }
    lines.extend(verdict(rehearsal, forecast, columns));
    lines
}

/// What was tried out.
fn what(rehearsal: &Rehearsal) -> String {
    let lost = match rehearsal.loss {
        0 => String::new(),
        loss => format!(", {} % of datagrams lost", percent(loss)),
    };
    format!(
        "{}, {} for {}, seed {}{lost}. Each target is checked every {}, timeout {}, fall {}, rise {}, \
         confirm {}. {}",
        counted(u64::from(rehearsal.nodes), "node"),
        counted(u64::from(rehearsal.targets), "target"),
        given(rehearsal.span),
        rehearsal.seed,
        given(rehearsal.interval),
        given(rehearsal.timeout),
        rehearsal.rule.fall,
        rehearsal.rule.rise,
        rehearsal.confirm,
        failing(rehearsal),
    )
}

fn failing(rehearsal: &Rehearsal) -> String {
    match rehearsal.outages() {
        0 if rehearsal.targets == 0 || rehearsal.outages == Some(0) => {
            "No target fails.".to_owned()
        }
        0 => {
            let least = given(rehearsal.least_span_of_outages());
            format!("No target fails: with this interval that needs --for {least}.")
        }
        1 => "1 target fails once.".to_owned(),
        count => format!("{} targets fail, once each.", thousands(count as usize)),
    }
}

fn spans(forecast: &Forecast) -> Vec<[String; 6]> {
    let bounds = forecast.bounds;
    let later = |bound: Duration| bound + bounds.detection;
    let mut spans = vec![
        row(
            "outage until shown everywhere",
            forecast.shown,
            bounds.outage,
        ),
        row(
            "recovery until shown everywhere",
            forecast.recovered,
            bounds.recovery,
        ),
    ];
    if forecast.shown_late.count > 0 {
        let bound = later(bounds.outage);
        spans.push(row("outage near a fault", forecast.shown_late, bound));
    }
    if forecast.recovered_late.count > 0 {
        let bound = later(bounds.recovery);
        spans.push(row("recovery near a fault", forecast.recovered_late, bound));
    }
    let longest = forecast.gap.map(|gap| measured(gap.span));
    let none = || "-".to_owned();
    spans.push([
        "gap between two checks".to_owned(),
        thousands(forecast.checks as usize),
        none(),
        none(),
        longest.unwrap_or_else(none),
        measured(bounds.gap),
    ]);
    spans
}

fn row(what: &str, spread: Spread, bound: Duration) -> [String; 6] {
    let span = |span| match spread.count {
        0 => "-".to_owned(),
        _ => measured(span),
    };
    [
        what.to_owned(),
        thousands(spread.count),
        span(spread.median),
        span(spread.p99),
        span(spread.max),
        measured(bound),
    ]
}

fn counts(rehearsal: &Rehearsal, forecast: &Forecast) -> Vec<String> {
    let mut texts = vec![format!(
        "False alarms: {}. Outages missed: {}. Written down: {}, unknown for lack of votes: {}.",
        thousands(forecast.false_alarms as usize),
        thousands(forecast.missed as usize),
        thousands(forecast.downs as usize),
        thousands(forecast.unconfirmed as usize),
    )];
    if forecast.unseen > 0 {
        texts.push(format!(
            "{} ended before every node had shown it, near a fault.",
            counted(forecast.unseen as u64, "outage")
        ));
    }
    let most = forecast.most.map(|(target, count)| {
        let (due, percent) = (forecast.due_each, forecast.bounds.checks_percent);
        let allowed = due * percent / 100;
        format!(" Most for one target: {count} of {due} due (t{target}); outside faults at most {allowed}.")
    });
    texts.push(format!(
        "Checks: {} of {} due.{}",
        thousands(forecast.checks as usize),
        thousands(forecast.due as usize),
        most.unwrap_or_default()
    ));
    if let Some(gap) = forecast.gap {
        let until = moment(gap.until.since(Time::ZERO));
        texts.push(format!(
            "The longest gap was t{}'s, up to {until}; first checks come early and are not counted.",
            gap.target
        ));
    }
    if rehearsal.nodes > 1 {
        let opinions: u64 = forecast.shares.iter().map(|share| share.opinions).sum();
        texts.push(format!(
            "Other nodes were asked for {} before down was written.",
            counted(opinions, "probe")
        ));
    }
    texts
}

fn killed(fate: &Fate, rehearsal: &Rehearsal) -> String {
    let at = given(fate.at.since(Time::ZERO));
    let back = fate.returns.map_or("stayed dead".to_owned(), |back| {
        format!("came back at {}", given(back.since(Time::ZERO)))
    });
    let dead = match fate.dead {
        _ if rehearsal.nodes == 1 => String::new(),
        Some(dead) => format!(" All others held it for dead after {}.", measured(dead)),
        None => " Not all others held it for dead in that time.".to_owned(),
    };
    let taken = fate.taken_over;
    let targets = match (fate.targets, taken.count) {
        (0, _) => " It had no targets.".to_owned(),
        (targets, 0) => format!(
            " Nobody checked its {} any more.",
            counted(targets as u64, "target")
        ),
        (targets, again) => {
            let left = match targets - again {
                0 => String::new(),
                left => format!("; {left} not before the end"),
            };
            format!(
                " Its {} had their next check after {} (median), {} (max){left}.",
                counted(targets as u64, "target"),
                measured(taken.median),
                measured(taken.max)
            )
        }
    };
    format!(
        "{at}  n{} was killed and {back}.{dead}{targets}",
        fate.host.0 + 1
    )
}

fn parted(healed: &Healed, bound: Duration) -> String {
    let at = |time: Time| given(time.since(Time::ZERO));
    let after = |span: Option<Duration>| {
        span.map_or("not before the end".to_owned(), |span| {
            format!("after {}", measured(span))
        })
    };
    format!(
        "{}  {} were parted until {}. Then all were together {}, and answered equally {} (bound {}).",
        at(healed.from),
        sides(&healed.sides, " / "),
        at(healed.until),
        after(healed.together),
        after(healed.equal),
        measured(bound),
    )
}

fn traffic(forecast: &Forecast) -> String {
    let of = |traffic: fn(&Share) -> u64| {
        let shares = forecast.shares.iter();
        let ran = shares.filter(|share| !share.ran.is_zero());
        middle_and_most(
            ran.map(|share| (traffic(share), share.host.0 + 1))
                .collect(),
        )
    };
    let sent = of(|share| Traffic::sent(share).bytes_per_second);
    let received = of(|share| Traffic::received(share).bytes_per_second);
    let datagrams = of(|share| Traffic::sent(share).tenths_of_datagrams_per_second);
    let (Some(sent), Some(received), Some(datagrams)) = (sent, received, datagrams) else {
        return "Nothing was sent.".to_owned();
    };
    format!(
        "A node sent {} (median), {} at most (n{}); received {}, {} at most (n{}); {}.{} datagrams \
         a second. Counted with seals, UDP and IPv4 headers; probes are not counted.",
        rate(sent.0),
        rate(sent.1),
        sent.2,
        rate(received.0),
        rate(received.1),
        received.2,
        datagrams.0 / 10,
        datagrams.0 % 10,
    )
}

fn verdict(rehearsal: &Rehearsal, forecast: &Forecast, columns: usize) -> Vec<String> {
    if forecast.broken.is_empty() {
        return vec!["Every promise was kept.".to_owned()];
    }
    let mut lines = Vec::new();
    for breach in &forecast.broken {
        lines.extend(folded(&broken(breach), columns));
    }
    lines.push(format!("Seed {}. To see it again:", rehearsal.seed));
    lines.push(command(rehearsal));
    lines
}

fn broken(breach: &Breach) -> String {
    let at = moment(breach.at.since(Time::ZERO));
    let on = breach
        .host
        .map_or(String::new(), |host| format!(" on n{}", host.0 + 1));
    let count = match breach.count {
        1 => String::new(),
        count => format!(" ({} times in all)", thousands(count as usize)),
    };
    let words = promise(breach.promise);
    format!("BROKEN at {at}{on}: {words}: {}{count}.", breach.how)
}

/// A promise in a few words.
const fn promise(promise: Promise) -> &'static str {
    match promise {
        Promise::NoFalseAlarm => "no false alarm",
        Promise::NoMissedOutage => "every outage and recovery is shown in time",
        Promise::NoneUnchecked => "no target goes unchecked",
        Promise::Equal => "all nodes answer equally",
        Promise::PlainOrder => "states come in their order",
        Promise::HonestAge => "ages are honest",
        Promise::NoBurst => "no burst of checks",
        Promise::ReadYourWrites => "no answer older than a version that was asked for",
    }
}

fn counted(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {what}{plural}", thousands(count as usize))
}

/// Lines of words, none longer than `columns`, if no word is; what follows the first is indented
/// as far as the text after a double space in it.
fn folded(text: &str, columns: usize) -> Vec<String> {
    let indent = text.find("  ").map_or(0, |at| at + 2);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text[indent..].split(' ') {
        let start = if lines.is_empty() {
            &text[..indent]
        } else {
            ""
        };
        if line.is_empty() {
            line = format!("{start:<indent$}{word}");
        } else if line.chars().count() + 1 + word.chars().count() <= columns {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(std::mem::replace(
                &mut line,
                format!("{:indent$}{word}", ""),
            ));
        }
    }
    lines.push(line);
    lines
}
