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
    let shape = format!("{:?}", plan.latency.shape).to_lowercase();
    let loss = match plan.loss_percent {
        0 => String::new(),
        percent => format!(", {percent} % lost"),
    };
    format!(
        "{}: {} nodes, {} operations/s for {} s, {} ms between nodes ({shape}{loss}), {cuts}, seed {}\n",
        plan.workload,
        plan.nodes,
        plan.rate,
        plan.time_limit.as_secs_f64(),
        plan.latency.mean.as_millis(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::figures;
    use crate::lab::{History, Workload};

    #[test]
    fn a_table_shows_the_plan_the_figures_and_each_rule_with_its_mark() {
        let plan = Plan {
            partition_every: Some(base::Duration::from_millis(2_500)),
            loss_percent: 5,
            ..Plan::new(Workload::GSet)
        };
        let checks = [
            Check::new("nothing lost", Err("7 on n1".to_owned())),
            Check::new("nothing twice", Ok("in 3 reads".to_owned())),
        ];
        let text = report(&plan, &figures(&plan, &History::default()), &checks);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "g-set: 5 nodes, 10 operations/s for 10 s, 0 ms between nodes (constant, 5 % lost), \
             cuts every 2.5 s, seed 0"
        );
        assert!(
            lines.contains(&"  nothing lost             FAIL 7 on n1"),
            "{text}"
        );
        assert!(
            lines.contains(&"  nothing twice            ok   in 3 reads"),
            "{text}"
        );
    }
}
