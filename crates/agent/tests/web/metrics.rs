//! `/metrics` as Prometheus reads it.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use roundsman_agent::api;

use crate::schema::get;
use crate::{fake, tools};

const ALWAYS: [&str; 17] = [
    "roundsman_checks_total",
    "roundsman_check_lag_seconds",
    "roundsman_targets",
    "roundsman_targets_stale",
    "roundsman_targets_unowned",
    "roundsman_owned_targets",
    "roundsman_members",
    "roundsman_transitions_total",
    "roundsman_gossip_bytes_total",
    "roundsman_datagrams_dropped_total",
    "roundsman_store_dots",
    "roundsman_queue_depth",
    "roundsman_alerts_total",
    "roundsman_config_last_reload_successful",
    "roundsman_config_last_reload_success_timestamp_seconds",
    "roundsman_build_info",
    "roundsman_api_connections_refused_total",
];

#[tokio::test]
async fn every_promised_name_has_its_help_and_type_once() {
    let text = get(&api::router(fake::populated(700)), "/metrics")
        .await
        .text;
    let probes = [
        "probe_success",
        "probe_duration_seconds",
        "probe_http_duration_seconds",
        "probe_ssl_earliest_cert_expiry",
    ];
    for name in ALWAYS.into_iter().chain(probes) {
        for kind in ["HELP", "TYPE"] {
            let start = format!("# {kind} {name} ");
            let count = text.lines().filter(|line| line.starts_with(&start)).count();
            assert_eq!(count, 1, "{start}");
        }
    }
    let successes = text
        .lines()
        .filter(|line| line.starts_with("probe_success{"))
        .count();
    let phases = text
        .lines()
        .filter(|line| line.starts_with("probe_http_duration_seconds{"))
        .count();
    assert!(successes > 600 && phases % 5 == 0, "{successes} {phases}");
}

#[tokio::test]
async fn series_of_targets_can_be_switched_off() {
    let front = fake::populated(10);
    front.settings.store(Default::default());
    let text = get(&api::router(front), "/metrics").await.text;
    assert!(!text.contains("probe_") && text.contains("roundsman_targets{"));
}

#[tokio::test]
async fn promtool_has_nothing_to_say_even_about_odd_names() {
    let Some(promtool) = tools::find("ROUNDSMAN_TEST_PROMTOOL", "promtool") else {
        return;
    };
    let text = get(&api::router(fake::odd()), "/metrics").await.text;
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let said = child.wait_with_output().unwrap();
    let words =
        [said.stdout, said.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(
        said.status.success() && words.iter().all(String::is_empty),
        "{words:?}"
    );
}

/// Generous: this build is not optimized.
#[tokio::test]
async fn a_hundred_thousand_targets_are_written_in_a_moment() {
    let router = api::router(fake::populated(100_000));
    let start = Instant::now();
    let text = get(&router, "/metrics").await.text;
    assert!(text.lines().count() > 500_000);
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );
}
