//! One target's whole order.

use crate::score::{KeyHash, Racer};
use crate::{Member, Standing};

/// All members in the order in which they own `target`, best first.
///
/// The usable come before the draining. Within each of these, the best draw is first; the next
/// place goes to the best draw from a zone that has no place yet, until every zone has one; then
/// the rest follow by their draws. Independent of the order of `members`. O(n²) in zones, O(n log
/// n) in members. Empty when `members` is.
#[must_use]
pub fn order<'a>(target: &str, members: &'a [Member]) -> Vec<&'a Member> {
    let key = KeyHash::of(target);
    let mut by_cost: Vec<(Standing, u64, &Member)> = members
        .iter()
        .map(|m| (m.standing, Racer::new(&m.name, m.weight).cost(key), m))
        .collect();
    by_cost.sort_unstable_by(|a, b| (a.0, a.1, &a.2.name).cmp(&(b.0, b.1, &b.2.name)));
    let usable = by_cost.partition_point(|one| one.0 == Standing::Usable);
    let (usable, draining) = by_cost.split_at(usable);
    let mut ordered = Vec::with_capacity(members.len());
    for part in [usable, draining] {
        spread(part.iter().map(|one| one.2).collect(), &mut ordered);
    }
    ordered
}

/// Appends `part` with the first of each zone in front.
fn spread<'a>(part: Vec<&'a Member>, ordered: &mut Vec<&'a Member>) {
    let mut zones: Vec<&str> = Vec::new();
    let mut rest = Vec::with_capacity(part.len());
    for member in part {
        if zones.contains(&&*member.zone) {
            rest.push(member);
        } else {
            zones.push(&member.zone);
            ordered.push(member);
        }
    }
    ordered.extend(rest);
}
