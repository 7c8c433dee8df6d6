//! The checkers' rules, applied to a history.

mod counter;
mod figures;
mod plain;
mod set;

pub use figures::{Bars, Figures, Quantiles, figures};

use crate::lab::{History, Outcome, Plan, Workload};

/// One rule, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The rule's name.
    pub name: &'static str,
    /// Whether it holds.
    pub passed: bool,
    /// What was counted, or who broke it.
    pub said: String,
}

impl Check {
    pub(crate) fn new(name: &'static str, result: Result<String, String>) -> Self {
        let passed = result.is_ok();
        let (Ok(said) | Err(said)) = result;
        Self { name, passed, said }
    }
}

/// Every rule for this lab: the protocol's, availability, and the workload's own.
#[must_use]
pub fn check(plan: &Plan, history: &History) -> Vec<Check> {
    let mut checks = vec![
        Check::new("protocol", protocol(history)),
        Check::new("availability", availability(plan, history)),
    ];
    match plan.workload {
        Workload::Echo => checks.push(Check::new("echo", plain::echo(history))),
        Workload::UniqueIds => checks.push(Check::new("unique-ids", plain::unique_ids(history))),
        Workload::Broadcast | Workload::GSet => checks.extend(set::checks(plan, history)),
        Workload::GCounter | Workload::PnCounter => {
            checks.push(Check::new("counter", counter::check(plan, history)));
        }
    }
    checks
}

fn protocol(history: &History) -> Result<String, String> {
    match history.misdeeds.as_slice() {
        [] => Ok("every message had a sender and a receiver".to_owned()),
        [first, ..] => Err(format!(
            "{first} ({} misdeeds kept)",
            history.misdeeds.len()
        )),
    }
}

fn availability(plan: &Plan, history: &History) -> Result<String, String> {
    let all = history.operations.len();
    let done = history.operations.iter().filter(|o| o.answer().is_some());
    let done = done.count();
    if all == 0 {
        return Err("no operation was started".to_owned());
    }
    let share = ratio(done, all);
    let said = format!("{done} of {all} operations answered");
    if share >= plan.availability {
        return Ok(said);
    }
    let first = history.operations.iter().find(|o| o.answer().is_none());
    let why = first.map_or_else(String::new, |o| {
        let why = match &o.outcome {
            Outcome::Refused(code, text) => format!("error {}: {text}", code.0),
            Outcome::Open(text) => text.clone(),
            Outcome::Done(_) => unreachable!("it has no answer"),
        };
        format!("; first at {} s, n{}: {why}", o.invoked, o.node)
    });
    let least = plan.availability;
    Err(format!("{said}, wanted a share of {least}{why}"))
}

/// The share of `part` in `whole`.
pub(crate) fn ratio(part: usize, whole: usize) -> f64 {
    let exact = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    exact(part) / exact(whole).max(1.0)
}

/// The first few of a list, for a message.
pub(crate) fn some<T: std::fmt::Display>(all: &[T]) -> String {
    let shown: Vec<String> = all.iter().take(5).map(T::to_string).collect();
    let dots = if all.len() > 5 { ", …" } else { "" };
    format!("{}{dots}", shown.join(", "))
}

#[cfg(test)]
pub(crate) mod made {
    //! Histories made by hand.

    use base::Time;
    use serde_json::Value;

    use crate::lab::{History, Operation, Outcome, Request};

    pub(crate) fn operation(request: Request, outcome: Outcome) -> Operation {
        Operation {
            node: 0,
            request,
            is_final: false,
            invoked: Time(0),
            completed: Time(1),
            outcome,
        }
    }

    pub(crate) fn done(request: Request, answer: Value) -> Operation {
        operation(request, Outcome::Done(answer))
    }

    pub(crate) fn final_read(node: usize, answer: Value) -> Operation {
        Operation {
            node,
            is_final: true,
            ..done(Request::Read, answer)
        }
    }

    pub(crate) fn history(operations: Vec<Operation>) -> History {
        History {
            operations,
            ..History::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::made::{done, history, operation};
    use super::*;
    use crate::Code;
    use crate::lab::Request;

    fn plan() -> Plan {
        Plan::new(Workload::Echo)
    }

    #[test]
    fn an_unanswered_operation_costs_availability_and_is_shown() {
        let open = Outcome::Open("no answer".to_owned());
        let all = vec![
            done(Request::Generate, Value::Null),
            operation(Request::Generate, open),
        ];
        let said = availability(&plan(), &history(all.clone())).unwrap_err();
        assert!(said.contains("1 of 2"), "{said}");
        assert!(said.contains("no answer"), "{said}");
        let half = Plan {
            availability: 0.5,
            ..plan()
        };
        assert!(availability(&half, &history(all)).is_ok());
    }

    #[test]
    fn a_refused_operation_is_not_available_either() {
        let refused = Outcome::Refused(Code(11), "not now".to_owned());
        let all = vec![operation(Request::Generate, refused)];
        let said = availability(&plan(), &history(all)).unwrap_err();
        assert!(said.contains("error 11: not now"), "{said}");
    }

    #[test]
    fn a_lab_without_operations_proves_nothing() {
        assert!(availability(&plan(), &History::default()).is_err());
    }
}
