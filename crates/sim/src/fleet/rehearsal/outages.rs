//! Each outage from its begin until every running node shows it, and from its end until every
//! running node shows that.

use base::{Duration, Time};
use health::State;

use super::Spread;

/// What a target is in the middle of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Its outage is to come.
    Well,
    /// It fails, and some node does not show it yet.
    Failing,
    /// It fails, and every node has shown it.
    Shown,
    /// It answers again, and some node does not show that yet.
    Recovering,
    /// It is up everywhere again.
    Over,
}

/// One target that fails once.
#[derive(Clone, Debug)]
pub(super) struct Outage {
    pub(super) target: usize,
    pub(super) from: Time,
    pub(super) until: Time,
    stage: Stage,
    /// Which hosts have shown what they are waited for.
    hosts: Vec<bool>,
}

/// All outages of a run.
#[derive(Debug)]
pub(super) struct Outages {
    all: Vec<Outage>,
    /// By target.
    of: Vec<Option<usize>>,
    /// Those under way: places in `all`.
    open: Vec<usize>,
    /// The next to begin: a place in `all`, which is in the order of begins.
    next: usize,
    shown: [Vec<Duration>; 2],
    recovered: [Vec<Duration>; 2],
    pub(super) unseen: usize,
}

/// Something that a host is waited for to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    pub(super) place: usize,
    pub(super) target: usize,
    pub(super) state: State,
}

impl Outages {
    /// These, each a target with its begin and end; no target twice.
    pub(super) fn new(mut spans: Vec<(usize, Time, Time)>, targets: usize, hosts: usize) -> Self {
        spans.sort_by_key(|(target, from, _)| (*from, *target));
        let mut of = vec![None; targets];
        let mut all = Vec::new();
        for (target, from, until) in spans {
            of[target] = Some(all.len());
            all.push(Outage {
                target,
                from,
                until,
                stage: Stage::Well,
                hosts: vec![false; hosts],
            });
        }
        Self {
            all,
            of,
            open: Vec::new(),
            next: 0,
            shown: [Vec::new(), Vec::new()],
            recovered: [Vec::new(), Vec::new()],
            unseen: 0,
        }
    }

    /// What a target is for everybody at this moment, and since when.
    pub(super) fn phase(&self, target: usize, now: Time) -> (State, Time) {
        match self.of[target].map(|place| &self.all[place]) {
            Some(outage) if now >= outage.until => (State::Up, outage.until),
            Some(outage) if now >= outage.from => (State::Down, outage.from),
            _ => (State::Up, Time::ZERO),
        }
    }

    /// Lets outages begin and end up to now.
    pub(super) fn advance(&mut self, now: Time) {
        while let Some(outage) = self.all.get_mut(self.next).filter(|o| o.from <= now) {
            outage.stage = Stage::Failing;
            self.open.push(self.next);
            self.next += 1;
        }
        for &place in &self.open {
            let outage = &mut self.all[place];
            let fails = matches!(outage.stage, Stage::Failing | Stage::Shown);
            if fails && outage.until <= now {
                self.unseen += usize::from(outage.stage == Stage::Failing);
                outage.stage = Stage::Recovering;
                outage.hosts.fill(false);
            }
        }
    }

    /// What a host has not shown yet of all that is under way.
    pub(super) fn waits(&self, host: usize) -> impl Iterator<Item = Wait> + '_ {
        let open = self.open.iter().map(|&place| (place, &self.all[place]));
        open.filter_map(move |(place, outage)| {
            let state = match outage.stage {
                Stage::Failing => State::Down,
                Stage::Recovering => State::Up,
                Stage::Well | Stage::Shown | Stage::Over => return None,
            };
            let target = outage.target;
            (!outage.hosts[host]).then_some(Wait {
                place,
                target,
                state,
            })
        })
    }

    /// A host has shown what it was waited for.
    pub(super) fn shows(&mut self, host: usize, place: usize) {
        self.all[place].hosts[host] = true;
    }

    /// Closes what every host in `running` has shown; `is_far` says of a span whether no kill,
    /// return or partition was near. What is near counts from the last of these, `fault`: that is
    /// what is promised.
    pub(super) fn close(
        &mut self,
        now: Time,
        running: &[bool],
        fault: Time,
        is_far: impl Fn(Time, Time) -> bool,
    ) {
        let span = |from: Time| {
            let kind = usize::from(!is_far(from, now));
            let from = if kind == 0 { from } else { from.max(fault) };
            (kind, now.since(from))
        };
        for &place in &self.open {
            let outage = &mut self.all[place];
            let mut hosts = running.iter().zip(&outage.hosts);
            if !hosts.all(|(runs, shows)| !runs || *shows) || !running.contains(&true) {
                continue;
            }
            match outage.stage {
                Stage::Failing => {
                    let (kind, span) = span(outage.from);
                    self.shown[kind].push(span);
                    outage.stage = Stage::Shown;
                }
                Stage::Recovering => {
                    let (kind, span) = span(outage.until);
                    self.recovered[kind].push(span);
                    outage.stage = Stage::Over;
                }
                Stage::Well | Stage::Shown | Stage::Over => {}
            }
        }
        let all = &self.all;
        self.open.retain(|&place| all[place].stage != Stage::Over);
    }

    /// A host was started anew: what is under way it has not shown.
    pub(super) fn forgets(&mut self, host: usize) {
        for &place in &self.open {
            self.all[place].hosts[host] = false;
        }
    }

    /// From the begins, far from and near to faults.
    pub(super) fn shown(&self) -> [Spread; 2] {
        self.shown.clone().map(Spread::of)
    }

    /// From the ends, far from and near to faults.
    pub(super) fn recovered(&self) -> [Spread; 2] {
        self.recovered.clone().map(Spread::of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(second: u64) -> Time {
        Time(second * 1_000_000)
    }

    fn outages() -> Outages {
        Outages::new(vec![(1, at(10), at(40))], 2, 2)
    }

    fn waited(outages: &Outages, host: usize) -> Vec<State> {
        outages.waits(host).map(|wait| wait.state).collect()
    }

    #[test]
    fn an_outage_is_shown_once_the_last_running_host_shows_it() {
        let mut outages = outages();
        outages.advance(at(9));
        assert_eq!(waited(&outages, 0), []);
        outages.advance(at(10));
        assert_eq!(waited(&outages, 1), [State::Down]);
        outages.shows(0, 0);
        outages.close(at(20), &[true, true], at(0), |_, _| true);
        assert_eq!(outages.shown()[0].count, 0);
        outages.shows(1, 0);
        outages.close(at(25), &[true, true], at(0), |_, _| true);
        assert_eq!(outages.shown()[0].max, Duration::from_secs(15));
        assert_eq!(waited(&outages, 0), []);
    }

    #[test]
    fn who_is_dead_is_not_waited_for_and_who_was_started_anew_is() {
        let mut outages = outages();
        outages.advance(at(10));
        outages.shows(0, 0);
        outages.shows(1, 0);
        outages.forgets(1);
        outages.close(at(20), &[true, true], at(0), |_, _| false);
        assert_eq!(outages.shown()[1].count, 0);
        outages.close(at(22), &[true, false], at(0), |_, _| false);
        assert_eq!(outages.shown()[1].max, Duration::from_secs(12));
    }

    #[test]
    fn what_is_near_a_fault_counts_from_the_last_fault() {
        let mut outages = outages();
        outages.advance(at(10));
        outages.shows(0, 0);
        outages.shows(1, 0);
        outages.close(at(30), &[true, true], at(25), |_, _| false);
        assert_eq!(outages.shown()[1].max, Duration::from_secs(5));
    }

    #[test]
    fn an_outage_that_nobody_has_shown_by_its_end_is_unseen() {
        let mut outages = outages();
        outages.advance(at(10));
        outages.advance(at(40));
        assert_eq!(outages.unseen, 1);
        assert_eq!(waited(&outages, 0), [State::Up]);
        outages.close(at(41), &[false, false], at(0), |_, _| true);
        outages.shows(0, 0);
        outages.close(at(42), &[true, false], at(0), |_, _| true);
        assert_eq!(outages.recovered()[0].max, Duration::from_secs(2));
    }

    #[test]
    fn a_target_is_down_for_everybody_between_begin_and_end() {
        let outages = outages();
        assert_eq!(outages.phase(0, at(20)), (State::Up, Time::ZERO));
        assert_eq!(outages.phase(1, at(9)), (State::Up, Time::ZERO));
        assert_eq!(outages.phase(1, at(10)), (State::Down, at(10)));
        assert_eq!(outages.phase(1, at(40)), (State::Up, at(40)));
    }

    #[test]
    fn a_spread_names_the_middle_the_last_of_a_hundred_and_the_greatest() {
        let seconds = |n| Duration::from_secs(n);
        let spread = Spread::of((1..=200).rev().map(seconds).collect());
        assert_eq!((spread.count, spread.median), (200, seconds(100)));
        assert_eq!((spread.p99, spread.max), (seconds(198), seconds(200)));
        assert_eq!(Spread::of(vec![seconds(3)]).p99, seconds(3));
        assert_eq!(Spread::of(Vec::new()), Spread::default());
    }
}
