//! A lab's result as a table of text.

use std::fmt::Write;

use crate::check::{Check, Figures, Quantiles};
use crate::lab::Plan;

/// The plan, the figures and the checks, for people.
#[must_use]
pub fn report(plan: &Plan, figures: &Figures, checks: &[Check]) -> String {
    let mut text = heading(plan);
    let mut row = |name: &str, value: String| {
        writeln!(text, "  {name:<24} {value}").expect("a string takes all");
    };
    let f = figures;
    let (refused, open) = (f.refused, f.open);
    row(
        "operations",
        format!(
            "{} ({} writes, {refused} refused, {open} open)",
            f.operations, f.writes
        ),
    );
    row(
        "messages between nodes",
        format!(
            "{} ({} lost), {} bytes, {} cuts",
            f.servers.messages, f.servers.lost, f.servers.bytes, f.cuts
        ),
    );
    let per_write = f.messages_per_write;
    let per_write = per_write.map_or_else(String::new, |n| format!(", {n:.2} per write"));
    row(
        "messages per operation",
        format!("{:.2}{per_write}", f.messages_per_operation),
    );
    if let Some(stable) = &f.stable {
        let stale = format!("   {} elements read stale", f.stale);
        row("stable latency, reads", quantiles(stable) + &stale);
    }
    if let Some(visible) = &f.visible {
        row("stable latency, watched", quantiles(visible));
    }
    for check in checks {
        let mark = if check.passed { "ok  " } else { "FAIL" };
        row(check.name, format!("{mark} {}", check.said));
    }
    text
}

fn heading(plan: &Plan) -> String {
    let cuts = plan.partition_every.map_or_else(
        || "no cuts".to_owned(),
        |every| format!("cuts every {} s", every.as_secs_f64()),
    );
    format!(
        "{}: {} nodes, {} operations/s for {} s, {} ms between nodes ({:?}), {cuts}, seed {}\n",
        plan.workload,
        plan.nodes,
        plan.rate,
        plan.time_limit.as_secs_f64(),
        plan.latency.mean.as_millis(),
        plan.latency.shape,
        plan.seed,
    )
}

fn quantiles(q: &Quantiles) -> String {
    format!(
        "p50 {} ms, p95 {} ms, p99 {} ms, max {} ms",
        q.p50.as_millis(),
        q.p95.as_millis(),
        q.p99.as_millis(),
        q.max.as_millis()
    )
}
