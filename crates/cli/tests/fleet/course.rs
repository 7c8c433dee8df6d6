//! One run: a fleet, everybody who watches it, and what must hold in the end.
//!
//! A test starts a [`Course`], does one thing after the other to its fleet, measures each with
//! [`Course::gap`] or [`Course::equal`], and ends it with [`Course::end`].

use std::time::{Duration, Instant};

use crate::fleet::{EQUAL, Fleet, INTERVAL, is_ill};
use crate::ground::{Ground, NODES};
use crate::machine::Machine;
use crate::report::Report;
use crate::targets::Mood;
use crate::watch::{Fallen, Watch};
use crate::writer::Writer;

/// A target that is down is shown so on all connected nodes after so long: three failures, two
/// timeouts and 2 s.
const SHOWN: Duration = Duration::from_secs(3 + 1 + 2);

/// How big and how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Targets in the config file.
    pub(crate) targets: usize,
    /// How long a partition lasts.
    pub(crate) partition: Duration,
    /// How long a process stands still.
    pub(crate) pause: Duration,
    /// How many nodes are killed, restarted and so on.
    pub(crate) nodes: usize,
}

/// For the landing tests.
pub(crate) const SHORT: Size = Size {
    targets: 200,
    partition: Duration::from_secs(14),
    pause: Duration::from_secs(10),
    nodes: 1,
};

/// As the requirement says.
pub(crate) const LONG: Size = Size {
    targets: 500,
    partition: Duration::from_secs(60),
    pause: Duration::from_secs(20),
    nodes: 5,
};

/// A target that has fallen ill, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outage {
    target: usize,
    from: Instant,
}

/// A check that would be so late is left out, as it should be: where a process was kept waiting for
/// so long, one beat may be missing.
const SKIPPED: Duration = Duration::from_millis(100);

/// A fleet with all its watchers.
pub(crate) struct Course {
    pub(crate) fleet: Fleet,
    pub(crate) report: Report,
    machine: Machine,
    watch: Watch,
    writer: Writer,
    fallen: Fallen,
    size: Size,
    zero: Instant,
}

impl Course {
    pub(crate) fn start(title: &str, ground: Ground, size: Size, more: &[&str]) -> Self {
        let machine = Machine::watch();
        let mut report = Report::default();
        let fleet = Fleet::start(ground, size.targets, more);
        report.part(&format!(
            "{title}: 5 nodes, {} targets, one of 16 ill, every {INTERVAL:?}",
            size.targets
        ));
        let fallen = Fallen::default();
        Self {
            watch: Watch::over(&fleet, &fallen),
            fallen,
            writer: Writer::over(&fleet, u64::from(std::process::id())),
            fleet,
            report,
            machine,
            size,
            zero: Instant::now(),
        }
    }

    /// Seconds since the beginning.
    pub(crate) fn seconds(&self) -> f64 {
        self.zero.elapsed().as_secs_f64()
    }

    /// Has the machine watch the nodes' processes, as they are now.
    pub(crate) fn watch_processes(&self) {
        let ids = self.fleet.nodes.iter().filter_map(crate::node::Node::pid);
        self.machine.processes(ids.collect());
    }

    /// Lets it be for a while.
    pub(crate) fn rest(&self, span: Duration) {
        self.watch_processes();
        std::thread::sleep(span);
    }

    /// No well target went longer without a request since `from` than `most`.
    pub(crate) fn gap(&mut self, what: &str, from: Instant, most: Duration) {
        let until = Instant::now();
        let size = self.size.targets;
        let gaps = self.fleet.targets.gaps(from, until, |nth| nth < size);
        // The machine may have stood still in another gap than the longest.
        let over = |gap: &crate::targets::Gap| {
            let mut still = self.machine.stood_still(gap.from, gap.until);
            if still >= SKIPPED {
                still += INTERVAL;
            }
            (gap.length().saturating_sub(still), still)
        };
        let longest = gaps.first().expect("targets");
        let worst = if longest.length() <= most {
            longest
        } else {
            gaps.iter().max_by_key(|gap| over(gap)).expect("targets")
        };
        let many = gaps.iter().filter(|gap| gap.length() > most).count();
        if many > 0 {
            let longest = longest.length().as_secs_f64();
            let note = format!("{many} targets went longer than that, {longest:.2} s at most");
            self.report.note(&note);
        }
        let (length, still) = (worst.length(), over(worst).1);
        self.report.span(
            &format!("{what}: longest gap of a target"),
            most,
            length,
            still,
        );
        for gap in gaps.iter().filter(|gap| gap.length() > most).take(5) {
            let seen = self.fleet.targets.around(gap, self.zero);
            let from = (gap.from - self.zero).as_secs_f64();
            let still = self.machine.stood_still(gap.from, gap.until).as_secs_f64();
            let target = gap.target;
            self.report.note(&format!(
                "t{target} from {from:.2} s (machine {still:.2} s): {seen}"
            ));
        }
    }

    /// A target of `owner`'s, or of anybody, that was well falls ill now.
    pub(crate) fn outage(&self, owner: Option<usize>) -> Outage {
        let asked = &self.fleet.nodes[owner.unwrap_or(0)].door;
        let is_owned = |nth: &usize| {
            let answer = asked.get(&format!("/v1/targets/t{nth}"));
            let target = answer.expect("it runs").1;
            owner.is_none_or(|owner| target["owner"] == format!("n{owner}"))
        };
        let mut fallen = self.fallen.lock().expect("nobody panics");
        let mut well = (0..self.size.targets).filter(|nth| !is_ill(*nth) && !fallen.contains(nth));
        let target = well.find(is_owned).expect("everybody owns some");
        fallen.insert(target);
        self.fleet.targets.set(target, Mood::Ill);
        Outage {
            target,
            from: Instant::now(),
        }
    }

    /// All of `nodes` show it within the promised time and `more`: as down, or where there is no
    /// majority as unknown. Then it is well again.
    pub(crate) fn shown(&mut self, what: &str, outage: Outage, nodes: &[usize], more: Duration) {
        let Outage { target, from } = outage;
        let path = format!("/v1/targets/t{target}");
        for &nth in nodes {
            let node = &self.fleet.nodes[nth];
            let is_many = self.fleet.seen_by(nth).len() * 2 > NODES;
            node.wait("an outage is shown", || {
                let answer = node.door.get(&path);
                answer.is_some_and(|(_, target)| {
                    target["state"] == "down" || (!is_many && target["state"] == "unknown")
                })
            });
        }
        let took = from.elapsed();
        let still = self.machine.stood_still(from, Instant::now());
        let what = format!("{what}: an outage is shown after");
        self.report.span(&what, SHOWN + more, took, still);
        self.fleet.targets.set(target, Mood::Well);
    }

    /// A node comes to see exactly these alive: what is meant to be a fault is one. Where few are
    /// left to confirm a suspicion that takes up to half a minute.
    pub(crate) fn sees(&mut self, nth: usize, expected: &[usize]) {
        let names: Vec<String> = expected.iter().map(|nth| format!("n{nth}")).collect();
        let end = Instant::now() + Duration::from_secs(30);
        let mut alive = self.fleet.seen_by(nth);
        while alive != names && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(200));
            alive = self.fleet.seen_by(nth);
        }
        let (required, measured) = (names.join(" "), alive.join(" "));
        let what = format!("meanwhile n{nth} sees alive");
        self.report
            .line(&what, &required, &measured, alive == names);
    }

    /// All nodes answer equally within 5 s.
    pub(crate) fn equal(&mut self, what: &str, from: Instant) {
        self.writer.rest(true);
        self.watch_processes();
        let (took, settled) = self.fleet.wait_equal(from);
        let still = self.machine.stood_still(from, from + took);
        self.report.span(
            &format!("{what}: all answer equally after"),
            EQUAL,
            took,
            still,
        );
        let settled = settled.as_secs_f64();
        let note = format!("all of it fresh, and everybody alive, after {settled:.2} s");
        self.report.note(&note);
        self.writer.rest(false);
    }

    /// What must hold over the whole run.
    pub(crate) fn end(mut self) {
        let written = self.writer.end();
        self.fleet.wait_equal(Instant::now());
        let (alarms, answers) = self.watch.end();
        self.report.part("over the whole run");
        self.report
            .none("answers that call a well target down", &alarms);
        self.report
            .note(&format!("of {answers} times that a node was asked"));
        let invented: Vec<String> = self
            .fleet
            .changes()
            .into_iter()
            .filter(|(name, number, _, _)| name.starts_with('t') && *number > 1)
            .filter(|(name, _, _, to)| {
                let nth = name[1..].parse().expect("a number");
                let has_fallen = self.fallen.lock().expect("nobody panics").contains(&nth);
                let is_so = has_fallen || (is_ill(nth) && to == "down");
                !is_so
            })
            .map(|change| format!("{change:?}"))
            .collect();
        self.report.none("changes that no target made", &invented);
        let doors = self.fleet.nodes.iter().map(|node| &node.door);
        let lost: Vec<String> = doors.flat_map(|door| written.against(door)).collect();
        self.report.none("acknowledged writes lost, or back", &lost);
        let (made, deleted) = written.acknowledged();
        self.report.note(&format!(
            "of {made} targets made and {deleted} deleted through the API"
        ));
        let worst = self.machine.worst().as_millis();
        self.report
            .note(&format!("the machine stood still for {worst} ms at most"));
        self.report.end();
    }
}
