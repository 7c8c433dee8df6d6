//! Random courses of definitions that come, change and go on any node while nodes restart, give
//! their targets away and are cut off: in the end all show the same, and every target is checked
//! once in its beat.

use super::*;
use base::Rng;

const HOSTS: usize = 3;

fn any(rng: &mut Rng, name: &str) -> Arc<Definition> {
    let confirm = u8::try_from(rng.below(3)).expect("it is small");
    let mut definition = Definition::clone(&target(name, confirm));
    definition.interval = Duration::from_secs(1 + rng.below(3));
    definition.paused = rng.chance(15);
    definition.rule.fall = 1 + u16::try_from(rng.below(3)).expect("it is small");
    definition.rule.of = definition.rule.fall;
    Arc::new(definition)
}

fn file(rng: &mut Rng) -> Vec<Arc<Definition>> {
    let names = (0..8).map(|i| format!("t{i}"));
    let some: Vec<String> = names.filter(|_| rng.chance(70)).collect();
    some.iter().map(|name| any(rng, name)).collect()
}

/// A world and what each host's config file says.
struct Course {
    rng: Rng,
    world: World,
    files: Vec<Vec<Arc<Definition>>>,
}

impl Course {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let file = file(&mut rng);
        let files = vec![file.clone(); HOSTS];
        let mut world = World::with_file(HOSTS, file);
        world.run(8);
        Self { rng, world, files }
    }

    fn step(&mut self) {
        let Self { rng, world, files } = self;
        let at = usize::try_from(rng.below(HOSTS as u64)).expect("one of a few");
        let other = (at + 1) % HOSTS;
        let name = format!("t{}", rng.below(10));
        match rng.below(12) {
            0..=2 => world.give(at, Input::Put(Request(1), any(rng, &name))),
            3 | 4 => world.give(at, Input::Delete(Request(2), name.as_str().into())),
            5 | 6 => {
                let is_anothers = rng.chance(30);
                files[at] = match is_anothers {
                    true => files[other].clone(),
                    false => file(rng),
                };
                world.give(at, Input::Load(Source::File, files[at].clone()));
            }
            7 => {
                world.kill(at);
                world.run_ms(rng.below(2) * rng.below(9_000));
                world.file = files[at].clone();
                world.boot(at);
            }
            8 => {
                world.cut.insert((at, other));
                if rng.chance(70) {
                    world.cut.insert((other, at));
                }
            }
            9 => world.cut.clear(),
            10 => world.give(at, Input::Drain(Request(3))),
            _ => {
                let is_well = rng.chance(60);
                let finding = if is_well { Finding::Passed } else { REFUSED };
                match rng.chance(50) {
                    true => world.everybody_sees(&name, finding),
                    false => world.sees(at, &name, finding),
                }
            }
        }
        // Much happens at once, and then for a while nothing.
        let ms = if rng.chance(40) { 20 } else { 4_000 };
        world.run_ms(rng.below(ms));
    }

    fn end(&mut self) {
        self.world.cut.clear();
        self.world.seen.clear();
        self.world.run(60);
    }

    fn shown(&self, at: usize) -> Vec<(Arc<Definition>, Status, Vec<Arc<str>>)> {
        let view = self.world.node(at).view();
        let rows = view.rows(None);
        let row = |row: &Row| {
            let owners = view.owners(row.slot).cloned().collect();
            (row.definition(), row.status(), owners)
        };
        rows.map(row).collect()
    }
}

/// Broken by: a target that joins the beat and leaves it with one input is left on it for ever, so
/// that it is checked though it is paused, or twice.
#[test]
fn whatever_came_changed_and_went_all_show_the_same_and_check_each_target_once_in_its_beat() {
    for seed in 300..350 {
        let mut course = Course::new(seed);
        for _ in 0..5 + course.rng.below(25) {
            course.step();
        }
        course.end();
        let shown = course.shown(0);
        for at in 1..HOSTS {
            assert_eq!(course.shown(at), shown, "seed {seed}, n{at}");
        }
        let from = course.world.now;
        course.world.run(12);
        for (definition, status, _) in shown {
            let (name, interval) = (&definition.name, definition.interval.as_secs());
            let checks = course.world.probes_of(name, from, course.world.now);
            let (due, state) = match definition.paused {
                true => (0, State::Paused),
                false => (12 / interval, State::Up),
            };
            assert_eq!(status.state, state, "seed {seed}, {name}");
            assert_eq!(checks as u64, due, "seed {seed}, {name}");
        }
    }
}
