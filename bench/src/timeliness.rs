//! How well the checks of each target kept their interval, from the target's log.

use std::collections::BTreeSet;

use crate::wire::{Mode, Record};

/// What the log of a window says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timeliness {
    /// Requests that reached targets which answer.
    pub checks: usize,
    /// Targets that were asked.
    pub targets: usize,
    /// Gap between two checks of a target minus the interval, in milliseconds: half are below.
    pub late_p50: f64,
    /// 99 in a hundred are below.
    pub late_p99: f64,
    /// None is above.
    pub late_max: f64,
}

/// Reads `records` of targets asked every `interval_ms`; those that are silent are left out.
#[must_use]
pub fn timeliness(records: &[Record], interval_ms: f64) -> Timeliness {
    let mut answered: Vec<(u32, u64)> = records
        .iter()
        .filter(|record| record.mode != Mode::Silent.code())
        .map(|record| (record.address, record.ns))
        .collect();
    answered.sort_unstable();
    let mut late: Vec<f64> = answered
        .windows(2)
        .filter(|pair| pair[0].0 == pair[1].0)
        .map(|pair| (pair[1].1 - pair[0].1) as f64 / 1e6 - interval_ms)
        .collect();
    late.sort_by(f64::total_cmp);
    let targets: BTreeSet<u32> = answered.iter().map(|(address, _)| *address).collect();
    Timeliness {
        checks: answered.len(),
        targets: targets.len(),
        late_p50: quantile(&late, 0.5),
        late_p99: quantile(&late, 0.99),
        late_max: quantile(&late, 1.0),
    }
}

/// The value below which a share `q` of `sorted` lies; NaN when there is none.
#[must_use]
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let at = (sorted.len() as f64 * q) as usize;
    let last = sorted.len().saturating_sub(1);
    sorted.get(at.min(last)).copied().unwrap_or(f64::NAN)
}

/// The middle value; NaN when there is none.
#[must_use]
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    match (values.get(low), values.get(high)) {
        (Some(low), Some(high)) => f64::midpoint(*low, *high),
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(address: u32, ms: u64, mode: Mode) -> Record {
        Record {
            ns: ms * 1_000_000,
            address,
            mode: mode.code(),
        }
    }

    #[test]
    fn lateness_is_the_gap_between_checks_of_one_target_minus_the_interval() {
        let records = [
            record(1, 0, Mode::Up),
            record(2, 500, Mode::Up),
            record(1, 1_010, Mode::Up),
            record(2, 1_500, Mode::Up),
            record(3, 0, Mode::Silent),
            record(3, 9_000, Mode::Silent),
        ];
        let found = timeliness(&records, 1_000.0);
        assert_eq!((found.checks, found.targets), (4, 2));
        assert_eq!((found.late_p50, found.late_max), (10.0, 10.0));
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(median([3.0, 1.0]), 2.0);
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert!(median([]).is_nan());
    }
}
