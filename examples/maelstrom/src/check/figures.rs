//! What a lab measured: messages for each operation, and how long news takes to be everywhere.

use std::collections::{BTreeMap, BTreeSet};

use base::{Duration, Time};
use serde_json::Value;

use crate::check::Check;
use crate::lab::{History, Outcome, Plan, Request, Traffic};

/// The figures of one lab.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Operations started, the final reads among them.
    pub operations: usize,
    /// Those that change something: broadcasts and adds.
    pub writes: usize,
    /// Refused: they surely did not happen.
    pub refused: usize,
    /// Open: nobody knows.
    pub open: usize,
    /// Messages between nodes, from the first `init` to the last read, those lost included.
    pub servers: Traffic,
    /// Messages between nodes for each operation: Maelstrom's `:servers :msgs-per-op`.
    pub messages_per_operation: f64,
    /// The stricter count: the same messages for each operation that changes something.
    pub messages_per_write: Option<f64>,
    /// Stable latency as Maelstrom has it: from when an element was known to the last client's read
    /// that missed it, 0 if none did. Sees only what the clients happened to read.
    pub stable: Option<Quantiles>,
    /// How many elements some client's read missed although they were known.
    pub stale: usize,
    /// Stable latency as the observer saw it: from the acknowledgement to the last read of any node
    /// that missed the element, plus the observer's interval, which makes it an upper bound.
    pub visible: Option<Quantiles>,
    /// How often the network was cut.
    pub cuts: u64,
}

/// Some of a list of durations, in order: each is the smallest that so many are not above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantiles {
    /// Half.
    pub p50: Duration,
    /// 95 of a hundred.
    pub p95: Duration,
    /// 99 of a hundred.
    pub p99: Duration,
    /// All.
    pub max: Duration,
}

impl Quantiles {
    /// Of a list in any order; `None` of an empty one.
    #[must_use]
    pub fn of(mut all: Vec<Duration>) -> Option<Self> {
        all.sort_unstable();
        let max = *all.last()?;
        let at = |percent: usize| all[(all.len() * percent).div_ceil(100) - 1];
        Some(Self {
            p50: at(50),
            p95: at(95),
            p99: at(99),
            max,
        })
    }
}

/// Measures a history.
#[must_use]
pub fn figures(plan: &Plan, history: &History) -> Figures {
    let count = |keep: fn(&Outcome) -> bool| {
        let all = history.operations.iter();
        all.filter(|o| keep(&o.outcome)).count()
    };
    let operations = history.operations.len();
    let is_write = |r: &Request| matches!(r, Request::Insert(_) | Request::Count(_));
    let writes = history.operations.iter().filter(|o| is_write(&o.request));
    let writes = writes.count();
    let messages = usize::try_from(history.servers.messages).expect("as many as were sent");
    let stable = if plan.workload.is_set() {
        stable_latencies(history)
    } else {
        Vec::new()
    };
    Figures {
        operations,
        writes,
        refused: count(|o| matches!(o, Outcome::Refused(..))),
        open: count(|o| matches!(o, Outcome::Open(_))),
        servers: history.servers,
        messages_per_operation: crate::check::ratio(messages, operations),
        messages_per_write: (writes > 0).then(|| crate::check::ratio(messages, writes)),
        stale: stable.iter().filter(|d| !d.is_zero()).count(),
        stable: Quantiles::of(stable),
        visible: plan.watch_every.and_then(|every| {
            let seen = history.watched.elements.values();
            Quantiles::of(seen.map(|e| visible(*e, every)).collect())
        }),
        cuts: history.cuts,
    }
}

/// An element that the observer never missed was there within its first round of reads.
fn visible((known, missing): (Time, Option<Time>), every: Duration) -> Duration {
    missing.map_or(Duration::ZERO, |at| at.since(known)) + every
}

/// For each known element: how long after that a client's read still missed it.
fn stable_latencies(history: &History) -> Vec<Duration> {
    let mut known: BTreeMap<u64, Time> = BTreeMap::new();
    let mut reads: Vec<(Time, BTreeSet<u64>)> = Vec::new();
    for operation in &history.operations {
        let mut knows = |element: u64| {
            let at = known.entry(element).or_insert(operation.completed);
            *at = (*at).min(operation.completed);
        };
        match (&operation.request, &operation.outcome) {
            (Request::Insert(element), Outcome::Done(_)) => knows(*element),
            (Request::Read, Outcome::Done(Value::Array(list))) => {
                let shown: BTreeSet<u64> = list.iter().filter_map(Value::as_u64).collect();
                shown.iter().copied().for_each(&mut knows);
                reads.push((operation.invoked, shown));
            }
            _ => {}
        }
    }
    // The latest read first: the first that misses an element is the last that did.
    reads.sort_by_key(|(invoked, _)| std::cmp::Reverse(*invoked));
    let latency = |(element, known): (&u64, &Time)| {
        let after = reads.iter().take_while(|(invoked, _)| invoked >= known);
        let mut missing = after.filter(|(_, shown)| !shown.contains(element));
        missing
            .next()
            .map_or(Duration::ZERO, |(at, _)| at.since(*known))
    };
    known.iter().map(latency).collect()
}

/// Limits that a lab must keep.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bars {
    /// Fewer messages between nodes for each operation than this.
    pub messages_per_operation: Option<f64>,
    /// The median of the stable latency is below this.
    pub median: Option<Duration>,
    /// The maximum of the stable latency is below this.
    pub max: Option<Duration>,
}

impl Bars {
    /// One check for each limit that is set. Latencies are the observer's where there is one.
    #[must_use]
    pub fn checks(&self, figures: &Figures) -> Vec<Check> {
        let latency = figures.visible.or(figures.stable);
        let below = |got: Option<Duration>, bar: Duration| match got {
            Some(got) if got < bar => Ok(format!("{got:.0?}, wanted below {bar:?}")),
            Some(got) => Err(format!("{got:.0?}, wanted below {bar:?}")),
            None => Err("nothing was measured".to_owned()),
        };
        let messages = self.messages_per_operation.map(|bar| {
            let got = figures.messages_per_operation;
            let said = format!("{got:.2}, wanted below {bar}");
            let result = if got < bar { Ok(said) } else { Err(said) };
            Check::new("messages per operation", result)
        });
        let median = self.median.map(|bar| {
            let got = latency.map(|q| q.p50);
            Check::new("median latency", below(got, bar))
        });
        let max = self.max.map(|bar| {
            let got = latency.map(|q| q.max);
            Check::new("maximum latency", below(got, bar))
        });
        [messages, median, max].into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::made::{done, history};
    use crate::lab::{Operation, Workload};

    fn insert(element: u64, completed: u64) -> Operation {
        Operation {
            completed: Time(completed),
            ..done(Request::Insert(element), Value::Null)
        }
    }

    fn read(invoked: u64, shown: Value) -> Operation {
        Operation {
            invoked: Time(invoked),
            completed: Time(invoked + 1),
            ..done(Request::Read, shown)
        }
    }

    #[test]
    fn stable_latency_ends_with_the_last_read_that_missed_the_element() {
        let operations = vec![
            insert(1, 10),
            insert(2, 20),
            read(15, json!([])),
            read(40, json!([1])),
            read(60, json!([1, 2])),
        ];
        let micros = Duration::from_micros;
        let got = stable_latencies(&history(operations));
        assert_eq!(got, [micros(5), micros(20)]);
    }

    #[test]
    fn an_element_seen_before_its_acknowledgement_is_known_from_then_on() {
        let operations = vec![
            insert(1, 100),
            read(10, json!([1])),
            read(50, json!([])),
            read(200, json!([1])),
        ];
        let got = stable_latencies(&history(operations));
        assert_eq!(got, [Duration::from_micros(39)]);
    }

    #[test]
    fn quantiles_are_members_of_the_list() {
        let all = (1..=200).rev().map(Duration::from_millis).collect();
        let quantiles = Quantiles::of(all).unwrap();
        let millis = Duration::from_millis;
        assert_eq!(quantiles.p50, millis(100));
        assert_eq!(quantiles.p95, millis(190));
        assert_eq!(quantiles.p99, millis(198));
        assert_eq!(quantiles.max, millis(200));
        assert_eq!(Quantiles::of(vec![millis(3)]).unwrap().p50, millis(3));
        assert_eq!(Quantiles::of(Vec::new()), None);
    }

    #[test]
    fn messages_are_counted_for_each_operation_and_for_each_write() {
        let mut history = history(vec![insert(1, 1), read(2, json!([1]))]);
        history.servers.messages = 24;
        let got = figures(&Plan::new(Workload::GSet), &history);
        assert!((got.messages_per_operation - 12.0).abs() < 1e-9);
        assert!((got.messages_per_write.unwrap() - 24.0).abs() < 1e-9);
    }

    #[test]
    fn a_bar_is_kept_only_below_it_and_prefers_what_the_observer_saw() {
        let mut seen = figures(&Plan::new(Workload::GSet), &history(vec![insert(1, 1)]));
        seen.visible = Quantiles::of(vec![Duration::from_millis(400)]);
        let bars = Bars {
            messages_per_operation: Some(20.0),
            median: Some(Duration::from_millis(400)),
            max: Some(Duration::from_millis(600)),
        };
        let passed: Vec<bool> = bars.checks(&seen).iter().map(|c| c.passed).collect();
        assert_eq!(passed, [true, false, true]);
    }
}
