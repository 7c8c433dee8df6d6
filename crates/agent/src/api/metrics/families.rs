//! The families of `/metrics`: names, help, and where each number comes from.

use base::{Duration, Time, Way};
use health::{Finding, Phase, Row, State, View};

use super::writer::Writer;
use crate::cluster::Reason;
use crate::figures::Figures;
use crate::front::Front;
use crate::meters::{IGNORED, Lane, Meters};

/// A family with series for each target; the names are blackbox_exporter's.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) write: fn(&Row, &Figures, &mut Writer),
}

pub(super) const PER_TARGET: &[Family] = &[
    Family {
        name: "probe_success",
        help: "Whether the last check that could tell passed.",
        write: success,
    },
    Family {
        name: "probe_duration_seconds",
        help: "How long the last check took.",
        write: duration,
    },
    Family {
        name: "probe_http_duration_seconds",
        help: "How long each phase of the last HTTP check took.",
        write: http_duration,
    },
    Family {
        name: "probe_ssl_earliest_cert_expiry",
        help: "When the first certificate of the chain ends, in seconds since the epoch.",
        write: cert_expiry,
    },
];

fn success(row: &Row, figures: &Figures, out: &mut Writer) {
    let mut last = figures.read(row.slot).last.map(|last| last.finding);
    if matches!(last, Some(Finding::Inconclusive(_))) {
        let recent = figures.recent(row.slot);
        let told = recent
            .iter()
            .rev()
            .find(|past| !matches!(past.finding, Finding::Inconclusive(_)));
        last = told.map(|past| past.finding);
    }
    if let Some(finding) = last {
        let value = u8::from(finding == Finding::Passed);
        out.sample("probe_success", &[("target", row.name())], value);
    }
}

fn duration(row: &Row, figures: &Figures, out: &mut Writer) {
    if let Some(last) = figures.read(row.slot).last {
        let labels = [("target", row.name())];
        out.sample("probe_duration_seconds", &labels, seconds(last.latency));
    }
}

fn http_duration(row: &Row, figures: &Figures, out: &mut Writer) {
    let reading = figures.read(row.slot);
    if reading.last.is_none() || row.kind() != "http" {
        return;
    }
    for phase in Phase::ALL {
        let labels = [("target", row.name()), ("phase", phase.name())];
        let span = reading.phases.get(phase);
        out.sample("probe_http_duration_seconds", &labels, seconds(span));
    }
}

fn cert_expiry(row: &Row, figures: &Figures, out: &mut Writer) {
    if let Some(at) = figures.read(row.slot).cert_expiry {
        let labels = [("target", row.name())];
        out.sample(
            "probe_ssl_earliest_cert_expiry",
            &labels,
            at.0.div_euclid(1_000),
        );
    }
}

fn seconds(span: Duration) -> f64 {
    span.as_secs_f64()
}

/// What the node counts about itself.
pub(super) fn node(front: &Front, view: &View, now: Time, out: &mut Writer) {
    checks(&front.meters, out);
    targets(front, view, now, out);
    cluster(&front.meters, view, out);
    queues(&front.meters, out);
    process(&front.meters, out);
}

fn checks(meters: &Meters, out: &mut Writer) {
    let name = "roundsman_checks_total";
    out.family(
        name,
        "counter",
        "Checks by what they counted as; skipped ones were never made.",
    );
    let results = [
        ("passed", &meters.passed),
        ("failed", &meters.failed),
        ("inconclusive", &meters.inconclusive),
        ("skipped", &meters.skipped),
    ];
    for (result, meter) in results {
        out.sample(name, &[("result", result)], meter.get());
    }
    let name = "roundsman_check_lag_seconds";
    out.family(name, "histogram", "How much later than due checks started.");
    // Counted first: what comes in while the buckets are read must not exceed it.
    let buckets: Vec<(f64, u64)> = meters.lag.cumulative().collect();
    let count = meters.lag.count().max(buckets.last().map_or(0, |b| b.1));
    let bucket = "roundsman_check_lag_seconds_bucket";
    for (bound, below) in buckets {
        out.sample(bucket, &[("le", &bound.to_string())], below);
    }
    out.sample(bucket, &[("le", "+Inf")], count);
    out.sample("roundsman_check_lag_seconds_sum", &[], meters.lag.sum());
    out.sample("roundsman_check_lag_seconds_count", &[], count);
    let name = "roundsman_transitions_total";
    out.family(name, "counter", "Changes of state, by the state after.");
    for state in State::ALL {
        let meter = meters.transitions_to(state);
        out.sample(name, &[("to", state.name())], meter.get());
    }
}

fn targets(front: &Front, view: &View, now: Time, out: &mut Writer) {
    let name = "roundsman_targets";
    out.family(name, "gauge", "Targets by state.");
    for state in State::ALL {
        out.sample(name, &[("state", state.name())], view.counts().of(state));
    }
    let stale = view
        .rows(None)
        .filter(|row| front.is_stale(row, now))
        .count();
    let help = "Targets whose last check is older than it should be.";
    out.single("roundsman_targets_stale", "gauge", help, stale);
    let help = "Targets that no live node checks.";
    let freshness = view.rows(None).filter_map(|row| view.freshness(row, now));
    let unowned = freshness.filter(|freshness| !freshness.is_owned).count();
    out.single("roundsman_targets_unowned", "gauge", help, unowned);
    let help = "Targets that this node checks.";
    let owned = view
        .rows(None)
        .filter(|row| front.is_checked_here(row))
        .count();
    out.single("roundsman_owned_targets", "gauge", help, owned);
}

fn cluster(meters: &Meters, view: &View, out: &mut Writer) {
    let name = "roundsman_members";
    out.family(name, "gauge", "Members by state, this node among them.");
    for state in ["alive", "suspect", "dead", "left"] {
        let members = match view.fleet() {
            Some(fleet) => fleet.members.iter().filter(|m| m.state == state).count(),
            None => usize::from(state == "alive"),
        };
        out.sample(name, &[("state", state)], members);
    }
    let ways = [("datagram", Way::Datagram), ("stream", Way::Stream)];
    let lanes = ways.map(|(kind, way)| (kind, meters.traffic.of(way)));
    let name = "roundsman_gossip_bytes_total";
    out.family(name, "counter", "Bytes exchanged with other nodes.");
    for (kind, lane) in lanes {
        let sample = |direction| [("direction", direction), ("kind", kind)];
        out.sample(name, &sample("in"), lane.bytes_in.get());
        out.sample(name, &sample("out"), lane.bytes_out.get());
    }
    let name = "roundsman_gossip_messages_total";
    out.family(name, "counter", "Messages exchanged with other nodes.");
    for (kind, lane) in lanes {
        let sample = |direction| [("direction", direction), ("kind", kind)];
        out.sample(name, &sample("in"), lane.messages_in.get());
        out.sample(name, &sample("out"), lane.messages_out.get());
    }
    let name = "roundsman_datagrams_dropped_total";
    out.family(name, "counter", "Datagrams that were not taken, by why.");
    dropped(name, &Reason::OF_DATAGRAMS, lanes[0].1, out);
    let name = "roundsman_streams_dropped_total";
    let help = "Connections between nodes, and messages on them, that were not taken, by why.";
    out.family(name, "counter", help);
    dropped(name, &Reason::OF_STREAMS, lanes[1].1, out);
    let name = "roundsman_cluster_ignored_total";
    let help = "What members said and this node did not take, by why.";
    out.family(name, "counter", help);
    for (reason, meter) in IGNORED.into_iter().zip(&meters.ignored) {
        out.sample(name, &[("reason", reason)], meter.get());
    }
}

fn dropped(name: &str, reasons: &[Reason], lane: &Lane, out: &mut Writer) {
    for &reason in reasons {
        out.sample(
            name,
            &[("reason", reason.name())],
            lane.dropped(reason).get(),
        );
    }
}

fn queues(meters: &Meters, out: &mut Writer) {
    let help = "Records in the store file.";
    out.single(
        "roundsman_store_dots",
        "gauge",
        help,
        meters.store_records.get(),
    );
    out.single(
        "roundsman_store_failing",
        "gauge",
        "1 while the store file can't be written; checking goes on, API writes are refused.",
        meters.store_failing.get(),
    );
    out.single(
        "roundsman_store_unreadable",
        "gauge",
        "Records of the store file that this version could not read at boot.",
        meters.store_unreadable.get(),
    );
    let name = "roundsman_queue_depth";
    out.family(
        name,
        "gauge",
        "What waits, by where; of streams to and from other nodes in bytes.",
    );
    let queues = [
        ("driver", &meters.queue_driver),
        ("waiting", &meters.queue_waiting),
        ("in_flight", &meters.queue_in_flight),
        ("disk", &meters.queue_disk),
        ("streams_in_bytes", &meters.queue_streams_in),
        ("streams_out_bytes", &meters.queue_streams_out),
    ];
    for (queue, meter) in queues {
        out.sample(name, &[("queue", queue)], meter.get());
    }
    let name = "roundsman_api_connections_refused_total";
    let help = "Connections to the API that were turned away because too many were open.";
    out.single(name, "counter", help, meters.api_refused.get());
}

fn process(meters: &Meters, out: &mut Writer) {
    let help = "Alerts by where they went and what became of them; none are sent in this version.";
    out.family("roundsman_alerts_total", "counter", help);
    let name = "roundsman_config_last_reload_successful";
    let help = "Whether the last reload of the config took effect.";
    out.single(name, "gauge", help, meters.reload_ok.get());
    let name = "roundsman_config_last_reload_success_timestamp_seconds";
    let help = "When a reload of the config last took effect, in seconds since the epoch.";
    out.single(name, "gauge", help, meters.reloaded_at.get());
    out.family(
        "roundsman_build_info",
        "gauge",
        "Always 1; the version is in the label.",
    );
    let labels = [("version", env!("CARGO_PKG_VERSION"))];
    out.sample("roundsman_build_info", &labels, 1);
}
