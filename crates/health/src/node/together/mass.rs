//! Very many targets fail at once: more opinions are asked for than anybody may give.

use super::*;

fn counts(world: &World, at: usize) -> (usize, usize, usize) {
    let counts = world.node(at).view().counts();
    (counts.up, counts.down, counts.unknown)
}

fn fail(world: &mut World, share: usize, hosts: usize) {
    let names: Vec<Arc<str>> = world.file.iter().map(|d| Arc::clone(&d.name)).collect();
    for name in names.into_iter().step_by(share) {
        for host in 0..hosts {
            world.seen.insert((host, Arc::clone(&name)), REFUSED);
        }
    }
}

/// Broken by: opinions in the order in which they were asked for. Each came when its case was over
/// and had been opened anew behind all others, and no target was ever confirmed after the first.
#[test]
fn half_of_all_targets_fail_at_once_and_all_of_them_come_down_and_up_again() {
    let mut world = World::new(3, 1_200);
    world.run(15);
    assert_eq!(counts(&world, 0), (1_200, 0, 0));
    let before: u64 = (0..3).map(|at| world.node(at).tally().opinions).sum();
    fail(&mut world, 2, 3);
    // 600 targets; three nodes give 50 opinions a second, and each target needs one at least.
    world.run(14);
    for at in 0..3 {
        assert_eq!(counts(&world, at), (600, 600, 0), "node {at}");
    }
    let after: u64 = (0..3).map(|at| world.node(at).tally().opinions).sum();
    let given = after - before;
    assert!(given <= 14 * 150 + 150, "{given} opinions");
    world.seen.clear();
    world.run(6);
    for at in 0..3 {
        assert_eq!(counts(&world, at), (1_200, 0, 0), "node {at}");
    }
}

/// A target that is asked after each minute would wait for a minute if late word were lost.
#[test]
fn word_that_comes_after_the_patience_still_confirms() {
    let mut world = World::new(3, 1);
    world.run(12);
    // Every probe takes longer than the patience of a second and a half.
    world.probe_ms = 1_800;
    fail(&mut world, 1, 3);
    world.run(12);
    for at in 0..3 {
        assert_eq!(counts(&world, at), (0, 1, 0), "node {at}");
    }
}
