//! Every decoder over broken bytes, for some seconds; `cargo xtask fuzz` goes on for minutes.

use base::Rng;
use fuzz::{TARGETS, Target, mutate};

/// Inputs per target.
const INPUTS: u64 = 100_000;

fn storm(target: &Target) {
    let corpus = (target.corpus)();
    assert!(
        !corpus.is_empty(),
        "{} has nothing to start from",
        target.name
    );
    let any = |rng: &mut Rng| {
        let at = rng.below(corpus.len() as u64);
        &corpus[usize::try_from(at).expect("below a length")]
    };
    for seed in 0..INPUTS {
        let mut rng = Rng::new(seed);
        let (one, other) = (any(&mut rng), any(&mut rng));
        let input = mutate(&mut rng, one, other);
        let ran = std::panic::catch_unwind(|| (target.run)(&input));
        assert!(
            ran.is_ok(),
            "{} panics at seed {seed}: {input:02x?}",
            target.name
        );
    }
}

#[test]
fn no_decoder_panics_whatever_the_bytes_are() {
    std::thread::scope(|scope| {
        let half = TARGETS.len().div_ceil(2);
        for targets in TARGETS.chunks(half) {
            scope.spawn(move || targets.iter().for_each(storm));
        }
    });
}

#[test]
fn what_the_corpus_holds_is_taken_by_its_target() {
    for target in TARGETS {
        (target.corpus)()
            .iter()
            .for_each(|piece| (target.run)(piece));
        (target.run)(&[]);
    }
}
