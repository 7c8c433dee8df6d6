//! One config file that several nodes write before they have met.

use super::*;
use crate::cluster::Notice;

/// Broken by: every definition that comes after its revision has it announced again.
#[test]
fn a_revision_that_several_write_at_once_is_announced_once_by_each_node() {
    for split_ms in [200, 500, 900, 1_300, 2_000] {
        let mut world = World::new(4, 300);
        // Two halves write the same file, and meet.
        for (a, b) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
            world.cut.extend([(a, b), (b, a)]);
        }
        world.run_ms(6_000 + split_ms);
        world.cut.clear();
        world.run(20);
        for host in &world.hosts {
            let said = host.notices.iter();
            let said: Vec<_> = said
                .filter(|n| matches!(n, Notice::Revision { .. }))
                .collect();
            let is_new = said.windows(2).all(|pair| pair[0] != pair[1]);
            assert!(is_new, "{split_ms} ms: {said:?}");
        }
    }
}
