//! An oracle in membership's place: who can be talked to, and who must be waited for.
//!
//! A host is live to another while both run and both directions between them are open, and for
//! [`Detector::patience`] longer; it stays in the other's frontier for [`Detector::retention`]
//! longer. So a long partition takes nodes out of each other's frontier, as membership would.

use base::{Duration, Time};

use super::node::{Call, PATIENCE, Replica, id_of};
use super::view::Core;
use crate::cluster::{Host, World};

/// What every host would know of every other.
#[derive(Clone, Debug)]
pub struct Detector {
    /// How long a silent host is still live.
    pub patience: Duration,
    /// How long a silent host is still waited for.
    pub retention: Duration,
    /// When two hosts could last talk to each other; by observer, then by the observed.
    heard: Vec<Vec<Time>>,
    /// What each host's present life was told.
    told: Vec<Option<(u64, Call)>>,
    due: Time,
}

/// How often the oracle looks.
const EVERY: Duration = Duration::from_millis(250);

impl Detector {
    /// An oracle over `hosts` hosts, all of them heard of at the start.
    #[must_use]
    pub fn new(hosts: u32, retention: Duration) -> Self {
        let count = hosts as usize;
        Self {
            patience: PATIENCE.min(retention),
            retention,
            heard: vec![vec![Time::ZERO; count]; count],
            told: vec![None; count],
            due: Time::ZERO,
        }
    }

    /// Tells every running host what has changed for it; call it before every step.
    pub fn look<C: Core>(&mut self, world: &mut World<Replica<C>>) {
        let now = world.now();
        if now < self.due {
            return;
        }
        self.due = now + EVERY;
        let hosts: Vec<Host> = (0..self.heard.len())
            .map(|n| Host(u32::try_from(n).expect("few hosts")))
            .collect();
        let runs: Vec<bool> = hosts.iter().map(|&host| world.is_running(host)).collect();
        for &one in hosts.iter().filter(|host| runs[host.index()]) {
            for &other in hosts.iter().filter(|host| runs[host.index()]) {
                if world.network.is_open(one, other) && world.network.is_open(other, one) {
                    self.heard[one.index()][other.index()] = now;
                }
            }
        }
        for &host in hosts.iter().filter(|host| runs[host.index()]) {
            let call = self.call(now, host, &hosts);
            let said = Some((world.life(host), call.clone()));
            if self.told[host.index()] != said {
                self.told[host.index()] = said;
                world.call_at(now, host, call);
            }
        }
    }

    fn call(&self, now: Time, host: Host, hosts: &[Host]) -> Call {
        let within = |span: Duration| {
            hosts
                .iter()
                .filter(|&&other| other != host)
                .filter(|other| now.since(self.heard[host.index()][other.index()]) <= span)
                .map(|&other| id_of(other))
                .collect()
        };
        Call::Peers(within(self.patience), within(self.retention))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Fault, Happened, Plan};
    use crate::store::node::Tuning;

    /// What host 0 was told, in order: how many are live, how many are waited for.
    fn told(fault: Fault) -> Vec<(usize, usize)> {
        let plan = Plan::calm(1, 3, Duration::from_secs(40));
        let tuning = Tuning {
            sealed: true,
            marker: None,
        };
        let mut world = World::new(plan, move |boot| {
            Replica::<::store::Store>::new(&boot, &tuning, |_| {})
        });
        world.fault_at(Time(5_000_000), fault);
        // Something happens all the time, so that the oracle can look.
        for n in 0..400 {
            world.fault_at(Time(n * 100_000), Fault::BackUp(Host(0)));
        }
        let mut detector = Detector::new(3, Duration::from_secs(8));
        let mut told = Vec::new();
        loop {
            detector.look(&mut world);
            let Some(step) = world.step() else {
                return told;
            };
            if let (Some(Host(0)), Happened::Called(Call::Peers(live, frontier))) =
                (step.host, step.what)
            {
                told.push((live.len(), frontier.len()));
            }
        }
    }

    #[test]
    fn a_long_partition_takes_a_host_out_of_the_frontier_until_it_ends() {
        let fault = Fault::Partition(vec![Host(2)], Duration::from_secs(20));
        assert_eq!(told(fault), [(2, 2), (1, 2), (1, 1), (2, 2)]);
    }

    #[test]
    fn a_short_one_is_not_even_noticed() {
        let fault = Fault::Partition(vec![Host(2)], Duration::from_secs(1));
        assert_eq!(told(fault), [(2, 2)]);
    }
}
