//! When something was wrong between or on the hosts, as the plan says: what time-bound promises
//! are measured from.

use std::collections::BTreeSet;

use base::{Duration, Time};

use crate::cluster::{Fault, Host, Link, Plan};

/// Nothing passes from one host to another in this span.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cut {
    from: Host,
    to: Host,
    begins: Time,
    ends: Time,
}

/// What goes wrong in a plan, in time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// When anything began or ended, in order.
    moments: Vec<Time>,
    cuts: Vec<Cut>,
    /// When links were not good.
    rough: Vec<(Time, Time)>,
    /// A process stood still, or its disk was slow.
    stalls: Vec<(Host, Time, Time)>,
    /// How much longer a disk took in a span.
    disks: Vec<(Host, Time, Time, Duration)>,
}

impl Trouble {
    /// Reads a plan.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let mut trouble = Self::default();
        let mut rough_from = None;
        let heal = |at: Time| {
            let later = plan.faults.iter().filter(|(when, _)| *when >= at);
            let heals = later.filter(|(_, fault)| matches!(fault, Fault::Heal));
            heals.map(|(when, _)| *when).next().unwrap_or(plan.end)
        };
        for (at, fault) in &plan.faults {
            let at = *at;
            trouble.moments.push(at);
            let (from, to, span) = match fault {
                Fault::Partition(these, span) => {
                    let others = (0..plan.hosts).map(Host).filter(|h| !these.contains(h));
                    let others: Vec<Host> = others.collect();
                    trouble.cut(&others, these, at, (at + *span).min(heal(at)));
                    (these.clone(), others, *span)
                }
                Fault::OneWay(from, to, span) => (from.clone(), to.clone(), *span),
                Fault::Weather(link) => {
                    if let Some(from) = rough_from.take() {
                        trouble.rough.push((from, at));
                    }
                    rough_from = (*link != Link::lan()).then_some(at);
                    continue;
                }
                Fault::Rough(..) => {
                    trouble.rough.push((at, heal(at)));
                    continue;
                }
                Fault::Pause(host, span) | Fault::SlowDisk(host, _, span) => {
                    if let Fault::SlowDisk(_, slower, _) = fault {
                        trouble
                            .disks
                            .push((*host, at, at + *span + *slower, *slower));
                    }
                    trouble.stalls.push((*host, at, at + *span));
                    trouble.moments.push(at + *span);
                    continue;
                }
                Fault::Crash(_, span, _) | Fault::CrashAll(span) => {
                    trouble.moments.push(at + *span);
                    continue;
                }
                Fault::BackUp(_) | Fault::Move(_) | Fault::Resettle(..) | Fault::Heal => continue,
            };
            let ends = (at + span).min(heal(at));
            trouble.moments.push(ends);
            trouble.cut(&from, &to, at, ends);
        }
        trouble
            .rough
            .extend(rough_from.map(|from| (from, plan.end)));
        trouble.moments.sort_unstable();
        trouble.mend_together();
        trouble
    }

    /// The end of one cut mends the link, whatever else had cut it.
    fn mend_together(&mut self) {
        let cuts = self.cuts.clone();
        for cut in &mut self.cuts {
            let same = cuts.iter().filter(|o| (o.from, o.to) == (cut.from, cut.to));
            let mends = same.map(|o| o.ends).filter(|ends| *ends > cut.begins);
            cut.ends = mends.min().unwrap_or(cut.ends);
        }
    }

    fn cut(&mut self, from: &[Host], to: &[Host], begins: Time, ends: Time) {
        for &from in from {
            let cuts = to.iter().filter(|to| **to != from).map(|&to| Cut {
                from,
                to,
                begins,
                ends,
            });
            self.cuts.extend(cuts);
        }
    }

    /// Something more went wrong now.
    pub(super) fn note(&mut self, now: Time) {
        let at = self.moments.partition_point(|moment| *moment <= now);
        self.moments.insert(at, now);
    }

    /// Since when nothing has begun or ended.
    #[must_use]
    pub fn quiet_since(&self, now: Time) -> Time {
        let past = self.moments.partition_point(|moment| *moment <= now);
        past.checked_sub(1)
            .map_or(Time::ZERO, |at| self.moments[at])
    }

    /// How many things began or ended after `from` and not after `until`, and when the last did;
    /// what happens at one moment is one thing.
    #[must_use]
    pub fn happened(&self, from: Time, until: Time) -> (usize, Time) {
        let begin = self.moments.partition_point(|moment| *moment <= from);
        let end = self.moments.partition_point(|moment| *moment <= until);
        let within = &self.moments[begin..end];
        let count = within.chunk_by(|a, b| a == b).count();
        (count, within.last().copied().unwrap_or(from))
    }

    /// Whether nothing begins or ends within this span.
    #[must_use]
    pub fn is_quiet(&self, from: Time, until: Time) -> bool {
        self.quiet_since(until) < from
    }

    /// Whether links were bad at some moment of this span.
    #[must_use]
    pub fn is_rough(&self, from: Time, until: Time) -> bool {
        self.rough
            .iter()
            .any(|(begins, ends)| *begins <= until && from < *ends)
    }

    /// Whether anything could pass from `from` to `to` at some moment of this span.
    #[must_use]
    pub fn is_open(&self, from: Host, to: Host, since: Time, until: Time) -> bool {
        !self
            .cuts
            .iter()
            .any(|cut| (cut.from, cut.to) == (from, to) && cut.begins <= since && until < cut.ends)
    }

    /// Whether anything is cut now.
    #[must_use]
    pub fn has_cuts(&self, now: Time) -> bool {
        self.cuts
            .iter()
            .any(|cut| cut.begins <= now && now < cut.ends)
    }

    /// Whether a cut has ended in this span before now.
    #[must_use]
    pub fn has_healed(&self, now: Time, span: Duration) -> bool {
        let within = |ends: Time| ends <= now && now.since(ends) < span;
        self.cuts.iter().any(|cut| within(cut.ends))
    }

    /// Whether some direction is cut now whose other is open.
    #[must_use]
    pub fn is_one_way(&self, now: Time) -> bool {
        self.cuts.iter().any(|cut| {
            cut.begins <= now && now < cut.ends && self.is_open(cut.to, cut.from, now, now)
        })
    }

    /// Whether two hosts that can't talk now both can with a third: none of them is gone for the
    /// others then.
    #[must_use]
    pub fn is_partial(&self, now: Time) -> bool {
        let open = |a, b| self.is_open(a, b, now, now) && self.is_open(b, a, now, now);
        let cut = |cut: &&Cut| cut.begins <= now && now < cut.ends;
        let hosts: BTreeSet<Host> = self.cuts.iter().map(|cut| cut.from).collect();
        let mut cuts = self.cuts.iter().filter(cut);
        cuts.any(|cut| {
            let mut third = hosts.iter().filter(|h| **h != cut.from && **h != cut.to);
            third.any(|third| open(cut.from, *third) && open(cut.to, *third))
        })
    }

    /// Whether that was so at some moment of this span.
    #[must_use]
    pub fn was_one_way(&self, from: Time, until: Time) -> bool {
        let within = |cut: &&Cut| cut.begins <= until && from < cut.ends;
        let mut cuts = self.cuts.iter().filter(within);
        cuts.any(|cut| {
            let at = cut.begins.max(from);
            self.is_open(cut.to, cut.from, at, at)
        })
    }

    /// How much longer a write of this host takes now, or took when those that are under way began.
    #[must_use]
    pub fn slow_disk(&self, host: Host, now: Time) -> Duration {
        let of_host = self.disks.iter().filter(|(of, ..)| *of == host);
        let slow =
            of_host.filter(|(_, from, until, slower)| *from <= now && now < *until + *slower);
        slow.map(|(.., slower)| *slower).max().unwrap_or_default()
    }

    /// When this host last went on after it had stood still.
    #[must_use]
    pub fn went_on(&self, host: Host, now: Time) -> Option<Time> {
        let stalls = self.stalls.iter().filter(|(of, ..)| *of == host);
        stalls
            .map(|(.., ends)| *ends)
            .filter(|ends| *ends <= now)
            .max()
    }

    /// For how long processes and disks stood still that did so in this span, all added up.
    #[must_use]
    pub fn stalled(&self, from: Time, until: Time) -> Duration {
        let within = |stall: &&(Host, Time, Time)| stall.1 <= until && from < stall.2;
        let stalls = self.stalls.iter().filter(within);
        stalls.map(|(_, begins, ends)| ends.since(*begins)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read_as_spans() {
        let mut plan = Plan::calm(1, 3, Duration::from_secs(100));
        let ten = Duration::from_secs(10);
        let at = |seconds: u64| Time(seconds * 1_000_000);
        plan.faults = vec![
            (at(10), Fault::Partition(vec![Host(0)], ten)),
            (at(30), Fault::OneWay(vec![Host(0)], vec![Host(1)], ten)),
            (at(50), Fault::Weather(Link::lossy(100))),
            (at(60), Fault::Weather(Link::lan())),
            (at(70), Fault::Pause(Host(1), ten)),
            (at(90), Fault::Heal),
        ];
        let trouble = Trouble::of(&plan);
        assert!(!trouble.is_open(Host(0), Host(2), at(10), at(19)));
        assert!(trouble.is_open(Host(0), Host(2), at(10), at(20)));
        assert!(!trouble.is_open(Host(2), Host(0), at(12), at(12)));
        assert!(trouble.is_open(Host(1), Host(2), at(12), at(12)));
        assert!(!trouble.is_one_way(at(12)) && trouble.is_one_way(at(35)));
        assert!(trouble.is_rough(at(55), at(70)) && !trouble.is_rough(at(60), at(99)));
        assert!(!trouble.is_partial(at(12)) && trouble.is_partial(at(35)));
        assert!(trouble.has_healed(at(24), ten) && !trouble.has_healed(at(19), ten));
        assert_eq!(trouble.stalled(at(75), at(76)), ten);
        assert_eq!(trouble.quiet_since(at(29)), at(20));
        assert_eq!(trouble.happened(at(9), at(19)), (1, at(10)));
        assert_eq!(trouble.happened(at(10), at(30)), (2, at(30)));
        assert_eq!(trouble.happened(at(41), at(49)), (0, at(41)));
        assert!(trouble.is_quiet(at(21), at(29)) && !trouble.is_quiet(at(21), at(30)));
    }
}
