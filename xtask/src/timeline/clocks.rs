//! Clocks of different machines brought in order, as far as messages tell.
//!
//! A question comes before its answer. Where the logs say otherwise the answering node's clock is
//! moved on by as little as will do (a longest path in a graph of differences). What no message
//! tells stays as it is: clocks that are apart by less than the way of a question are not noticed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::line::Line;

/// A question: who asks, about what, the how-manyth.
type Case = (Arc<str>, String, u64);
/// Two lines, the first of which came first: node and time of both.
type Order = ((Arc<str>, u64), (Arc<str>, u64));

/// Corrects the times; what was done, in words.
pub(super) fn correct(lines: &mut [Line]) -> Vec<String> {
    if lines.iter().all(|line| line.world_us.is_some()) {
        // The simulator knows the true time. Steps of one moment stay in the order of the log.
        for line in lines.iter_mut() {
            line.at = line.world_us.expect("it was looked at above");
        }
        return Vec::new();
    }
    let orders = orders(lines);
    let mut shifts: BTreeMap<Arc<str>, u64> = BTreeMap::new();
    let nodes: BTreeSet<Arc<str>> = lines.iter().map(|line| Arc::clone(&line.node)).collect();
    let mut is_settled = false;
    for _ in 0..=nodes.len() {
        is_settled = !raise(&orders, &mut shifts);
        if is_settled {
            break;
        }
    }
    for line in lines.iter_mut() {
        line.at += shifts.get(&line.node).copied().unwrap_or(0);
    }
    let mut said: Vec<String> = shifts
        .iter()
        .map(|(node, shift)| {
            format!(
                "the clock of {node} is moved by +{} ms",
                shift.div_ceil(1_000)
            )
        })
        .collect();
    if !is_settled {
        said.push("the clocks changed in between: the order of nodes is not certain".to_owned());
    }
    said
}

/// Moves whoever answers before it is asked; whether anybody was.
fn raise(orders: &[Order], shifts: &mut BTreeMap<Arc<str>, u64>) -> bool {
    let mut is_moved = false;
    for ((earlier, from), (later, to)) in orders {
        let shift = |node| shifts.get(node).copied().unwrap_or(0);
        let least = from + shift(earlier);
        if to + shift(later) < least {
            shifts.insert(Arc::clone(later), least - to);
            is_moved = true;
        }
    }
    is_moved
}

/// What must have come before what.
fn orders(lines: &[Line]) -> Vec<Order> {
    let mut asked: BTreeMap<Case, Vec<u64>> = BTreeMap::new();
    let case = |line: &Line, by: &str| {
        Some((
            Arc::from(by),
            line.text("name")?.to_owned(),
            line.number("case")?,
        ))
    };
    for line in lines {
        if !line.is("asks others what they see") {
            continue;
        }
        if let Some(case) = case(line, &line.node) {
            asked.entry(case).or_default().push(line.at);
        }
    }
    let mut orders = Vec::new();
    for line in lines.iter().filter(|line| line.is("said what it sees")) {
        let Some(case) = line.text("to").and_then(|by| case(line, by)) else {
            continue;
        };
        let said = (Arc::clone(&line.node), line.at);
        // A node that restarted counts its questions anew: which one is meant is not certain then.
        if let Some([at]) = asked.get(&case).map(Vec::as_slice) {
            orders.push(((Arc::clone(&case.0), *at), said.clone()));
        }
    }
    orders
}

#[cfg(test)]
mod tests {
    use super::super::line::tests::line;
    use super::*;

    fn asked(node: &str, ms: u64) -> Line {
        line(
            node,
            ms,
            "asks others what they see",
            ",\"name\":\"web\",\"case\":1",
        )
    }

    fn said(node: &str, ms: u64, to: &str) -> Line {
        let fields = format!(",\"name\":\"web\",\"case\":1,\"to\":\"{to}\"");
        line(node, ms, "said what it sees", &fields)
    }

    #[test]
    fn a_node_that_answers_before_it_is_asked_has_a_slow_clock() {
        let mut lines = [
            asked("n1", 5_000),
            said("n2", 4_600, "n1"),
            said("n3", 5_100, "n1"),
        ];
        assert_eq!(correct(&mut lines), ["the clock of n2 is moved by +400 ms"]);
        assert_eq!(lines.map(|line| line.at), [5_000_000, 5_000_000, 5_100_000]);
    }

    #[test]
    fn corrections_follow_from_each_other() {
        let mut lines = [
            asked("n1", 5_000),
            said("n2", 4_000, "n1"),
            asked("n2", 4_000),
            said("n3", 4_500, "n2"),
        ];
        assert_eq!(correct(&mut lines).len(), 2);
        assert_eq!(lines[3].at, 5_000_000);
    }

    #[test]
    fn what_can_not_be_put_in_order_is_said() {
        let mut lines = [
            asked("n1", 5_000),
            said("n2", 4_000, "n1"),
            asked("n2", 4_100),
            said("n1", 3_000, "n2"),
        ];
        let said = correct(&mut lines);
        assert!(
            said.last().is_some_and(|s| s.contains("not certain")),
            "{said:?}"
        );
    }

    #[test]
    fn clocks_that_agree_are_left_alone() {
        let mut lines = [
            asked("n1", 5_000),
            said("n2", 5_001, "n1"),
            said("n9", 1, "n8"),
        ];
        assert_eq!(correct(&mut lines), Vec::<String>::new());
    }
}
