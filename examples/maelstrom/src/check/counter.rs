//! Counters: each final read is a sum that can have come about.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::check::some;
use crate::lab::{History, Outcome, Plan, Request};

/// Each final read is the sum of all acknowledged adds and of any subset of the open ones.
pub(crate) fn check(plan: &Plan, history: &History) -> Result<String, String> {
    let mut definite = 0_i64;
    let mut open = Vec::new();
    for operation in &history.operations {
        if let Request::Count(delta) = operation.request {
            match operation.outcome {
                Outcome::Done(_) => definite += delta,
                Outcome::Open(_) => open.push(delta),
                Outcome::Refused(..) => {}
            }
        }
    }
    let sums = reachable(definite, &open);
    let reads: Vec<(usize, &Value)> = history
        .operations
        .iter()
        .filter(|o| o.is_final)
        .filter_map(|o| Some((o.node, o.answer()?)))
        .collect();
    if reads.len() != plan.nodes {
        let (got, nodes) = (reads.len(), plan.nodes);
        return Err(format!("{got} of {nodes} nodes answered the final read"));
    }
    let is_wrong = |value: &Value| !value.as_i64().is_some_and(|v| sums.contains(&v));
    let wrong = reads.iter().filter(|(_, value)| is_wrong(value));
    let wrong: Vec<String> = wrong
        .map(|(n, value)| format!("n{n} read {value}"))
        .collect();
    let may = match (sums.first(), sums.last()) {
        (Some(low), Some(high)) if low != high => format!(
            "{} sums from {low} to {high} ({} adds are open)",
            sums.len(),
            open.len()
        ),
        _ => definite.to_string(),
    };
    if wrong.is_empty() {
        return Ok(format!("every final read is one of: {may}"));
    }
    Err(format!("{}; may be: {may}", some(&wrong)))
}

/// `definite` plus the sum of any subset of `open`.
fn reachable(definite: i64, open: &[i64]) -> BTreeSet<i64> {
    let mut sums = BTreeSet::from([definite]);
    for delta in open {
        let with: Vec<i64> = sums.iter().map(|sum| sum + delta).collect();
        sums.extend(with);
    }
    sums
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::made::{done, final_read, history, operation};
    use crate::lab::{Operation, Workload};
    use crate::{Code, Lab};

    fn plan() -> Plan {
        let plan = Plan {
            nodes: 1,
            ..Plan::new(Workload::PnCounter)
        };
        Lab::new(plan.clone()).expect("a good plan");
        plan
    }

    fn add(delta: i64) -> Operation {
        done(Request::Count(delta), Value::Null)
    }

    fn open(delta: i64) -> Operation {
        operation(Request::Count(delta), Outcome::Open(String::new()))
    }

    fn refused(delta: i64) -> Operation {
        let outcome = Outcome::Refused(Code::ABORT, String::new());
        operation(Request::Count(delta), outcome)
    }

    #[test]
    fn a_counter_that_is_off_by_one_is_named() {
        let read = |value: i64| history(vec![add(3), add(-1), final_read(0, json!(value))]);
        assert!(check(&plan(), &read(2)).is_ok());
        let said = check(&plan(), &read(3)).unwrap_err();
        assert!(said.contains("n0 read 3"), "{said}");
        assert!(said.contains("may be: 2"), "{said}");
    }

    #[test]
    fn open_adds_may_or_may_not_count_but_never_by_half() {
        let read = |value: i64| {
            let adds = vec![add(10), open(4), open(-7), refused(100)];
            let read = final_read(0, json!(value));
            history(adds.into_iter().chain([read]).collect())
        };
        for possible in [10, 14, 3, 7] {
            assert!(check(&plan(), &read(possible)).is_ok(), "{possible}");
        }
        for impossible in [12, 110, 17, 0] {
            assert!(check(&plan(), &read(impossible)).is_err(), "{impossible}");
        }
    }

    #[test]
    fn a_fraction_or_a_missing_final_read_is_no_sum() {
        let fraction = vec![add(1), final_read(0, json!(1.0))];
        assert!(check(&plan(), &history(fraction)).is_err());
        let said = check(&plan(), &history(vec![add(1)])).unwrap_err();
        assert_eq!(said, "0 of 1 nodes answered the final read");
    }
}
