//! A forecast for programs: one document; every span in milliseconds.

use std::time::Duration;

use base::Time;
use serde_json::{Value, json};
use sim::cluster::Host;
use sim::fleet::Promise;
use sim::fleet::rehearsal::{Breach, Fate, Forecast, Healed, Rehearsal, Share, Spread};

use super::traffic::Traffic;
use super::words::command;

/// The whole document.
pub(super) fn document(rehearsal: &Rehearsal, forecast: &Forecast) -> Value {
    let bounds = forecast.bounds;
    json!({
        "kept": forecast.broken.is_empty(),
        "broken": each(&forecast.broken, breach),
        "seed": rehearsal.seed,
        "command": command(rehearsal),
        "fleet": fleet(rehearsal),
        "bounds": {
            "outage_ms": ms(bounds.outage),
            "recovery_ms": ms(bounds.recovery),
            "more_near_faults_ms": ms(bounds.detection),
            "gap_ms": ms(bounds.gap),
            "equal_ms": ms(bounds.equal),
            "checks_percent_of_due": bounds.checks_percent,
        },
        "outages": {
            "planned": forecast.outages,
            "shown": spread(forecast.shown),
            "shown_near_faults": spread(forecast.shown_late),
            "ended_before_shown": forecast.unseen,
            "missed": forecast.missed,
        },
        "recoveries": {
            "shown": spread(forecast.recovered),
            "shown_near_faults": spread(forecast.recovered_late),
        },
        "false_alarms": forecast.false_alarms,
        "down_written": forecast.downs,
        "unconfirmed_written": forecast.unconfirmed,
        "checks": checks(forecast),
        "kills": each(&forecast.kills, kill),
        "partitions": each(&forecast.partitions, partition),
        "nodes": each(&forecast.shares, node),
    })
}

fn each<T>(all: &[T], one: fn(&T) -> Value) -> Value {
    all.iter().map(one).collect()
}

fn fleet(rehearsal: &Rehearsal) -> Value {
    json!({
        "nodes": rehearsal.nodes,
        "targets": rehearsal.targets,
        "span_ms": ms(rehearsal.span),
        "loss_permille": rehearsal.loss,
        "outages": rehearsal.outages(),
        "interval_ms": ms(rehearsal.interval),
        "timeout_ms": ms(rehearsal.timeout),
        "fall": rehearsal.rule.fall,
        "rise": rehearsal.rule.rise,
        "confirm": rehearsal.confirm,
    })
}

fn spread(spread: Spread) -> Value {
    let span = |span| (spread.count > 0).then(|| ms(span));
    json!({
        "count": spread.count,
        "median_ms": span(spread.median),
        "p99_ms": span(spread.p99),
        "max_ms": span(spread.max),
    })
}

fn checks(forecast: &Forecast) -> Value {
    let gap = forecast.gap.map(|gap| {
        json!({ "ms": ms(gap.span), "target": target(gap.target), "until_ms": at(gap.until) })
    });
    let most = forecast
        .most
        .map(|(most, count)| json!({ "target": target(most), "started": count }));
    json!({
        "started": forecast.checks,
        "due": forecast.due,
        "due_each": forecast.due_each,
        "most": most,
        "longest_gap": gap,
    })
}

fn kill(fate: &Fate) -> Value {
    json!({
        "node": name(fate.host),
        "at_ms": at(fate.at),
        "returned_ms": fate.returns.map(at),
        "held_for_dead_after_ms": fate.dead.map(ms),
        "targets": fate.targets,
        "taken_over": spread(fate.taken_over),
    })
}

fn partition(healed: &Healed) -> Value {
    let side = |side: &Vec<Host>| side.iter().map(|host| name(*host)).collect::<Vec<_>>();
    json!({
        "sides": healed.sides.iter().map(side).collect::<Vec<_>>(),
        "from_ms": at(healed.from),
        "until_ms": at(healed.until),
        "together_after_ms": healed.together.map(ms),
        "equal_after_ms": healed.equal.map(ms),
    })
}

fn node(share: &Share) -> Value {
    let (sent, received) = (Traffic::sent(share), Traffic::received(share));
    json!({
        "name": name(share.host),
        "ran_ms": ms(share.ran),
        "checks": share.checks,
        "opinions": share.opinions,
        "sent_bytes_per_second": sent.bytes_per_second,
        "received_bytes_per_second": received.bytes_per_second,
        "datagrams_sent": share.sent.datagrams,
        "datagrams_received": share.received.datagrams,
        "stream_messages_sent": share.sent.streams,
    })
}

fn breach(breach: &Breach) -> Value {
    json!({
        "promise": promise(breach.promise),
        "at_ms": at(breach.at),
        "node": breach.host.map(name),
        "target": breach.target,
        "how": breach.how,
        "count": breach.count,
    })
}

const fn promise(promise: Promise) -> &'static str {
    match promise {
        Promise::NoFalseAlarm => "no_false_alarm",
        Promise::NoMissedOutage => "no_missed_outage",
        Promise::NoneUnchecked => "none_unchecked",
        Promise::Equal => "equal",
        Promise::PlainOrder => "plain_order",
        Promise::HonestAge => "honest_age",
        Promise::NoBurst => "no_burst",
        Promise::ReadYourWrites => "read_your_writes",
    }
}

fn name(host: Host) -> String {
    format!("n{}", host.0 + 1)
}

fn target(number: usize) -> String {
    format!("t{number}")
}

fn at(time: Time) -> u64 {
    time.0 / 1_000
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).expect("a run of a day at most")
}
