//! Faults between the nodes: partitions, one-way cuts, loss, a node that reaches no target, and one
//! that is cut off from all.

use std::time::{Duration, Instant};

use crate::course::{Course, LONG, SHORT, Size};
use crate::fleet::{DETECTION, INTERVAL, ROUGH_DETECTION};
use crate::ground::{Ground, NODES, Weather};

fn heal(course: &mut Course, what: &str) {
    let dropped = course.fleet.ground.make(&Weather::default());
    let note = format!("{dropped} packets were dropped on their way");
    course.report.note(&note);
    let healed = Instant::now();
    course.equal(what, healed);
}

fn all_cuts(ground: Ground, size: Size) {
    let mut course = Course::start("namespaces", ground, size, &[]);
    let from = Instant::now();
    course.fleet.ground.make(&Weather::parted(&[0, 1]));
    course.rest(size.partition / 2);
    course.sees(0, &[0, 1]);
    course.sees(2, &[2, 3, 4]);
    let outage = course.outage(None);
    course.shown("in a partition", outage, &[0, 1, 2, 3, 4], Duration::ZERO);
    course.rest(size.partition.saturating_sub(from.elapsed()));
    heal(
        &mut course,
        &format!("partition 2/3 for {:?}", size.partition),
    );
    course.gap("partition 2/3", from, DETECTION + INTERVAL);

    let from = Instant::now();
    let cuts = (0..NODES).filter(|to| *to != 3).map(|to| (3, to)).collect();
    course.fleet.ground.make(&Weather {
        cuts,
        ..Weather::default()
    });
    course.rest(size.partition / 2);
    heal(&mut course, "nobody hears n3, which hears all");
    course.gap("one-way cut", from, DETECTION + INTERVAL);

    let from = Instant::now();
    course.fleet.ground.make(&Weather {
        loss: 10,
        ..Weather::default()
    });
    let outage = course.outage(None);
    course.shown("with loss", outage, &[0, 1, 2, 3, 4], Duration::ZERO);
    course.rest(size.partition / 2);
    heal(&mut course, "10 % of all packets lost");
    course.gap("10 % loss", from, ROUGH_DETECTION + INTERVAL);

    let from = Instant::now();
    let blind = [2].into();
    course.fleet.ground.make(&Weather {
        blind,
        ..Weather::default()
    });
    // Nobody is missing: its peers say that its targets answer, and take them.
    let outage = course.outage(Some(2));
    let all = [0, 1, 2, 3, 4];
    course.shown("of a blind node's target", outage, &all, DETECTION);
    course.rest(size.partition / 2);
    heal(&mut course, "n2 reached no target");
    course.gap("n2 reached no target", from, DETECTION + INTERVAL);

    let from = Instant::now();
    let alone = [4].into();
    course.fleet.ground.make(&Weather {
        alone,
        ..Weather::default()
    });
    course.rest(size.partition);
    // The one that is alone takes longer to believe it: nobody confirms its suspicions.
    course.sees(0, &[0, 1, 2, 3]);
    heal(&mut course, "n4 reached nothing at all");
    course.gap("n4 reached nothing", from, DETECTION + INTERVAL);
    course.end();
}

fn run(size: Size) {
    if Ground::namespaces(move |ground| all_cuts(ground, size)).is_none() {
        crate::skip("needs network namespaces, ip and nft");
    }
}

#[test]
fn cuts_and_loss_between_nodes_raise_no_alarm_and_heal_within_seconds() {
    run(SHORT);
}

#[test]
#[ignore = "takes minutes: `cargo xtask bench fleet`"]
fn long_cuts_and_loss() {
    run(LONG);
}
