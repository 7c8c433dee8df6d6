//! Cuts a failing plan down to the faults that it needs.

use crate::faults::Plan;
use crate::promises::Promise;
use crate::subject::Mutant;
use crate::world::run;

/// The plan without every fault that `promise` breaks without, and cut off after the break.
#[must_use]
pub fn shrink(plan: &Plan, mutant: Option<Mutant>, promise: Promise) -> Plan {
    let breaks = |plan: &Plan| {
        run(plan, mutant, 0)
            .broken
            .filter(|broken| broken.promise == promise)
    };
    let mut least = plan.clone();
    let Some(broken) = breaks(&least) else {
        return least;
    };
    least.faults.retain(|(at, _)| *at <= broken.at);
    let mut size = least.faults.len().max(1);
    while size > 0 {
        let mut from = 0;
        while from < least.faults.len() {
            let mut fewer = least.clone();
            let until = (from + size).min(fewer.faults.len());
            fewer.faults.drain(from..until);
            if breaks(&fewer).is_some() {
                least = fewer;
            } else {
                from += size;
            }
        }
        size /= 2;
    }
    least
}
