//! Sets, by the rules of Jepsen's set-full checker: nothing lost, nothing invented, nothing twice.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::check::{Check, some};
use crate::lab::{History, Operation, Outcome, Plan, Request};

/// The three rules.
pub(crate) fn checks(plan: &Plan, history: &History) -> Vec<Check> {
    let set = Set::of(history);
    vec![
        Check::new("nothing lost", set.lost(plan)),
        Check::new("nothing invented", set.invented()),
        Check::new("nothing twice", set.twice()),
    ]
}

struct Set<'a> {
    /// Elements whose insertion was acknowledged.
    acknowledged: BTreeSet<u64>,
    /// Elements that may be in the set.
    attempted: BTreeSet<u64>,
    /// Answered reads.
    reads: Vec<(&'a Operation, &'a [Value])>,
    /// Reads whose answer is no list.
    strange: Vec<String>,
}

impl<'a> Set<'a> {
    fn of(history: &'a History) -> Self {
        let mut set = Self {
            acknowledged: BTreeSet::new(),
            attempted: BTreeSet::new(),
            reads: Vec::new(),
            strange: Vec::new(),
        };
        for operation in &history.operations {
            match (&operation.request, &operation.outcome) {
                (Request::Insert(element), Outcome::Done(_)) => {
                    set.acknowledged.insert(*element);
                    set.attempted.insert(*element);
                }
                (Request::Insert(element), Outcome::Open(_)) => {
                    set.attempted.insert(*element);
                }
                (Request::Read, Outcome::Done(Value::Array(list))) => {
                    set.reads.push((operation, list));
                }
                (Request::Read, Outcome::Done(other)) => {
                    set.strange
                        .push(format!("n{} read {other}", operation.node));
                }
                _ => {}
            }
        }
        set
    }

    /// Whatever was acknowledged, or seen by anybody, is in every final read.
    fn lost(&self, plan: &Plan) -> Result<String, String> {
        let finals: Vec<_> = self.reads.iter().filter(|(o, _)| o.is_final).collect();
        if finals.len() != plan.nodes {
            let (got, nodes) = (finals.len(), plan.nodes);
            return Err(format!("{got} of {nodes} nodes answered the final read"));
        }
        let seen = self.reads.iter().flat_map(|(_, list)| *list);
        let seen = seen.filter_map(Value::as_u64);
        let mut wanted: BTreeSet<u64> = seen.filter(|e| self.attempted.contains(e)).collect();
        wanted.extend(&self.acknowledged);
        let mut lost = Vec::new();
        for (operation, list) in finals {
            let shown: BTreeSet<u64> = list.iter().filter_map(Value::as_u64).collect();
            let missing = wanted.difference(&shown);
            lost.extend(missing.map(|element| format!("{element} on n{}", operation.node)));
        }
        if lost.is_empty() {
            let nodes = plan.nodes;
            return Ok(format!("{} elements on all {nodes} nodes", wanted.len()));
        }
        Err(format!(
            "{} are missing at the end: {}",
            lost.len(),
            some(&lost)
        ))
    }

    /// Nothing is read that nobody asked to insert.
    fn invented(&self) -> Result<String, String> {
        let mut invented = self.strange.clone();
        for (operation, list) in &self.reads {
            for value in *list {
                if !value.as_u64().is_some_and(|e| self.attempted.contains(&e)) {
                    invented.push(format!("{value} on n{}", operation.node));
                }
            }
        }
        if invented.is_empty() {
            return Ok(format!("in {} reads", self.reads.len()));
        }
        Err(format!(
            "{} were never inserted: {}",
            invented.len(),
            some(&invented)
        ))
    }

    /// No read shows an element more than once.
    fn twice(&self) -> Result<String, String> {
        let mut twice = Vec::new();
        for (operation, list) in &self.reads {
            let mut times: BTreeMap<String, u64> = BTreeMap::new();
            if list.len()
                == list
                    .iter()
                    .filter_map(Value::as_u64)
                    .collect::<BTreeSet<_>>()
                    .len()
            {
                continue;
            }
            for value in *list {
                *times.entry(value.to_string()).or_default() += 1;
            }
            let many = times.into_iter().filter(|(_, n)| *n > 1);
            twice.extend(many.map(|(v, n)| format!("{v} {n} times on n{}", operation.node)));
        }
        if twice.is_empty() {
            return Ok(format!("in {} reads", self.reads.len()));
        }
        Err(format!(
            "{} shown more than once: {}",
            twice.len(),
            some(&twice)
        ))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::made::{done, final_read, history, operation};
    use crate::lab::Workload;

    fn failed(operations: Vec<Operation>) -> Vec<(&'static str, String)> {
        let plan = Plan {
            nodes: 2,
            ..Plan::new(Workload::GSet)
        };
        let checks = checks(&plan, &history(operations));
        let failed = checks.into_iter().filter(|c| !c.passed);
        failed.map(|c| (c.name, c.said)).collect()
    }

    fn insert(element: u64) -> Operation {
        done(Request::Insert(element), Value::Null)
    }

    #[test]
    fn all_elements_everywhere_is_fine_in_any_order() {
        let reads = [final_read(0, json!([1, 2])), final_read(1, json!([2, 1]))];
        let all = [insert(1), insert(2)].into_iter().chain(reads);
        assert_eq!(failed(all.collect()), []);
    }

    #[test]
    fn an_acknowledged_element_missing_on_one_node_is_lost() {
        let all = vec![
            insert(7),
            final_read(0, json!([7])),
            final_read(1, json!([])),
        ];
        let expected = "1 are missing at the end: 7 on n1".to_owned();
        assert_eq!(failed(all), [("nothing lost", expected)]);
    }

    #[test]
    fn an_open_insert_may_be_missing_but_once_seen_it_must_stay() {
        let open = operation(Request::Insert(7), Outcome::Open(String::new()));
        let none = [final_read(0, json!([])), final_read(1, json!([]))];
        let never = [open.clone()].into_iter().chain(none.clone());
        assert_eq!(failed(never.collect()), []);
        let seen = [open, done(Request::Read, json!([7]))];
        let lost = failed(seen.into_iter().chain(none).collect());
        assert_eq!(lost.len(), 1, "{lost:?}");
        assert!(lost[0].1.contains("7 on n0, 7 on n1"), "{lost:?}");
    }

    #[test]
    fn a_stale_read_in_between_is_no_fault() {
        let all = vec![
            insert(7),
            done(Request::Read, json!([])),
            final_read(0, json!([7])),
            final_read(1, json!([7])),
        ];
        assert_eq!(failed(all), []);
    }

    #[test]
    fn elements_that_nobody_inserted_are_invented_whatever_they_are() {
        for strange in [json!([9]), json!(["x"]), json!([-1]), json!(17)] {
            let all = vec![
                done(Request::Read, strange.clone()),
                final_read(0, json!([])),
                final_read(1, json!([])),
            ];
            let failed = failed(all);
            assert_eq!(failed[0].0, "nothing invented", "{strange}: {failed:?}");
        }
    }

    #[test]
    fn an_element_shown_twice_in_one_read_is_named() {
        let all = vec![
            insert(7),
            final_read(0, json!([7, 7])),
            final_read(1, json!([7])),
        ];
        let expected = "1 shown more than once: 7 2 times on n0".to_owned();
        assert_eq!(failed(all), [("nothing twice", expected)]);
    }

    #[test]
    fn without_every_final_read_nothing_is_proven() {
        let failed = failed(vec![insert(7), final_read(0, json!([7]))]);
        let expected = "1 of 2 nodes answered the final read".to_owned();
        assert_eq!(failed, [("nothing lost", expected)]);
    }
}
