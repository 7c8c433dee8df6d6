//! Promises that were broken: the first time of each is kept, the others are counted.

use base::Time;

use crate::cluster::Host;
use crate::fleet::promises::Promise;

/// A promise that was broken, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// Which.
    pub promise: Promise,
    /// When first.
    pub at: Time,
    /// On which node; `None` for what concerns many.
    pub host: Option<Host>,
    /// Of which target, if of one.
    pub target: Option<String>,
    /// How, as a sentence.
    pub how: String,
    /// How often in all.
    pub count: u64,
}

/// All of a run.
#[derive(Debug, Default)]
pub(super) struct Breaks {
    pub(super) all: Vec<Breach>,
}

impl Breaks {
    pub(super) fn add(&mut self, at: Time, host: Option<Host>, promise: Promise, how: String) {
        if let Some(known) = self.all.iter_mut().find(|known| known.promise == promise) {
            known.count += 1;
            return;
        }
        // What a judge says begins with the target, where it is about one.
        let first = how.split([' ', ':']).next().unwrap_or_default();
        let is_target = first
            .strip_prefix('t')
            .is_some_and(|n| n.parse::<u32>().is_ok());
        self.all.push(Breach {
            promise,
            at,
            host,
            target: is_target.then(|| first.to_owned()),
            how,
            count: 1,
        });
    }

    pub(super) fn count(&self, promise: Promise) -> u64 {
        let known = self.all.iter().find(|known| known.promise == promise);
        known.map_or(0, |known| known.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_breach_of_each_promise_is_kept_and_the_others_are_counted() {
        let mut breaks = Breaks::default();
        for second in 1..4 {
            let how = format!("t{second} was checked twice");
            breaks.add(Time(second), None, Promise::NoBurst, how);
        }
        breaks.add(Time(9), Some(Host(1)), Promise::Equal, "all differ".into());
        assert_eq!(breaks.count(Promise::NoBurst), 3);
        assert_eq!(breaks.count(Promise::HonestAge), 0);
        assert_eq!(breaks.all[0].at, Time(1));
        assert_eq!(breaks.all[0].target.as_deref(), Some("t1"));
        assert_eq!(breaks.all[1].target, None);
    }
}
