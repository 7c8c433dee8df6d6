//! Courses on which nodes come back at other addresses, as containers and leases have it.
//!
//! Every config file goes on naming the addresses from the beginning. Who moves finds the others by
//! what is on its disk, or through one that has not moved; whoever had neither could be found by
//! nobody, so such courses are not drawn. Does not know how a node is found.

use base::{Duration, Rng, Time};

use super::course::{Course, START, bad_link, small, span};
use super::node::Call;
use crate::cluster::{DiskAfter, Fault, Host, Link, Place};

impl Course {
    pub(super) fn draw_moves(&mut self, rng: &mut Rng) {
        if rng.chance(30) {
            self.all_move(rng);
        } else {
            self.some_move(rng);
        }
        self.plan.faults.sort_by_key(|(at, _)| *at);
        self.calls.sort_by_key(|(at, ..)| *at);
    }

    /// All move, one after the other. Then no list names anybody any more.
    fn all_move(&mut self, rng: &mut Rng) {
        let whole = self.plan.calm_from.since(Time::ZERO + START);
        let step = whole * 7 / 10 / self.plan.hosts;
        let part = |rng: &mut Rng, most: Duration| {
            Duration::from_millis(rng.below(u64::try_from(most.as_millis()).expect("a span")))
        };
        for host in (0..self.plan.hosts).map(Host) {
            let at = Time::ZERO + START + step * host.0 + part(rng, step / 4);
            let away = Duration::from_millis(200) + part(rng, step / 2);
            self.stop(rng, host, (at, away), DiskAfter::Kept);
            self.plan
                .faults
                .push((at, Fault::Resettle(host, Place::Fresh)));
        }
        let all_have = Time::ZERO + START + whole * 7 / 10;
        let mut may_lose_a_disk = true;
        for _ in 0..rng.below(4) {
            let (at, until) = span(rng, all_have, self.plan.calm_from);
            let (host, away) = (self.any(rng), until.since(at));
            let fault = match rng.below(6) {
                0 => Fault::CrashAll(away.min(Duration::from_secs(10))),
                // Where it has moved to the others remember.
                1 if std::mem::take(&mut may_lose_a_disk) => {
                    Fault::Crash(host, away, DiskAfter::Wiped)
                }
                1 | 2 => Fault::Crash(host, away, DiskAfter::Kept),
                3 => Fault::Pause(host, away),
                _ => Fault::Partition(self.some(rng), away),
            };
            self.plan.faults.push((at, fault));
        }
    }

    /// One stays where it is; others move, also to where another was, or lose their disk meanwhile.
    fn some_move(&mut self, rng: &mut Rng) {
        let stays = self.any(rng);
        for _ in 0..1 + rng.below(6) {
            let (at, until) = span(rng, Time::ZERO + START, self.plan.calm_from);
            let away = until.since(at);
            let host = self.any_but(rng, &[stays]);
            let other = self.any_but(rng, &[stays, host]);
            let place = if rng.chance(40) {
                // It is gone as well, or the address would not be free.
                let before = Time(at.0 - rng.below(2_000_000));
                let until = at + away + Duration::from_millis(rng.below(6_000));
                let disk = disk_after(rng);
                let gone = until.min(self.plan.calm_from).since(before);
                self.plan
                    .faults
                    .push((before, Fault::Crash(other, gone, disk)));
                Place::Of(other)
            } else {
                Place::Fresh
            };
            let disk = disk_after(rng);
            self.stop(rng, host, (at, away), disk);
            self.plan.faults.push((at, Fault::Resettle(host, place)));
            self.hinder(rng, (host, stays), (at, until));
        }
    }

    /// A process is killed, or asked to leave if it may keep its disk.
    fn stop(&mut self, rng: &mut Rng, host: Host, (at, away): (Time, Duration), disk: DiskAfter) {
        if disk == DiskAfter::Kept && rng.chance(30) {
            let within = Duration::from_millis(500 + rng.below(8_000)).min(away);
            self.calls.push((at, host, Call::Leave(within)));
        } else {
            self.plan.faults.push((at, Fault::Crash(host, away, disk)));
        }
    }

    /// Something between a host that moves and the others, often until after it is back. Who stays
    /// goes on: while it stood still those who have moved would be apart though nothing is cut.
    fn hinder(&mut self, rng: &mut Rng, (host, stays): (Host, Host), (at, until): (Time, Time)) {
        let until = (until + Duration::from_millis(rng.below(8_000))).min(self.plan.calm_from);
        let span = until.since(at);
        let fault = match rng.below(12) {
            0..3 => Fault::Partition(vec![host], span),
            3 => Fault::Partition(self.some(rng), span),
            4 => Fault::OneWay(self.some(rng), vec![host], span),
            5 => Fault::OneWay(vec![host], self.some(rng), span),
            6 | 7 => {
                let good = Fault::Weather(Link::lan());
                self.plan.faults.push((until, good));
                Fault::Weather(bad_link(rng))
            }
            8 => Fault::Pause(self.any_but(rng, &[stays]), span),
            _ => return,
        };
        self.plan.faults.push((at, fault));
    }

    fn any_but(&self, rng: &mut Rng, not: &[Host]) -> Host {
        let hosts = (0..self.plan.hosts).map(Host);
        let others: Vec<Host> = hosts.filter(|host| !not.contains(host)).collect();
        others[small(rng.below(others.len() as u64)) as usize]
    }
}

fn disk_after(rng: &mut Rng) -> DiskAfter {
    if rng.chance(20) {
        DiskAfter::Wiped
    } else {
        DiskAfter::Kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Kind;

    fn moves(course: &Course) -> Vec<(Host, Place)> {
        let faults = course.plan.faults.iter();
        let moves = faults.filter_map(|(_, fault)| match fault {
            Fault::Resettle(host, place) => Some((*host, *place)),
            _ => None,
        });
        moves.collect()
    }

    #[test]
    fn somebody_moves_and_one_stays_or_all_keep_their_disks_until_they_have_moved() {
        let (mut of_another, mut all) = (0, 0);
        for seed in 0..300 {
            let course = Course::draw(Kind::Moves, seed);
            let moves = moves(&course);
            assert!(!moves.is_empty(), "seed {seed}");
            of_another += usize::from(moves.iter().any(|(_, place)| *place != Place::Fresh));
            let hosts = (0..course.plan.hosts).map(Host);
            let moved = |host: Host| {
                let is_it =
                    |(who, place): &(Host, Place)| *who == host || *place == Place::Of(host);
                moves.iter().any(is_it)
            };
            if hosts.clone().all(moved) {
                all += 1;
                assert!(moves.iter().all(|(_, place)| *place == Place::Fresh));
                let faults = course.plan.faults.iter();
                let is_lost = |(_, fault): &&(Time, Fault)| {
                    matches!(fault, Fault::Crash(_, _, DiskAfter::Wiped))
                };
                assert!(faults.filter(is_lost).count() <= 1, "seed {seed}");
            }
        }
        assert!(of_another > 100 && all > 60, "{of_another}, {all}");
    }
}
