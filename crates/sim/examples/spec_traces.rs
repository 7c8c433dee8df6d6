//! Writes traces of the real cores into a folder, for `cargo xtask specs` to check.
//!
//! `good_…` must be allowed by the specs, `bad_…` (with a defect put into the core) refused.

use std::path::PathBuf;
use std::{env, fs, io};

use membership::Mutation;
use sim::spec_trace;
use store::Mutation as Rule;

/// Rules of the store whose breaking shows in what nodes show.
const BROKEN: [(&str, Rule); 6] = [
    ("truncated", Rule::TruncateAndAdvance),
    ("no_collapse", Rule::NoCollapse),
    ("floor_ignored", Rule::FloorIgnored),
    ("cleared_early", Rule::ContextClearedEarly),
    ("counter_rolled_back", Rule::CounterRolledBack),
    ("deletes_without_dots", Rule::DeletesWithoutDots),
];

fn main() -> io::Result<()> {
    let mut arguments = env::args().skip(1);
    let folder = PathBuf::from(
        arguments
            .next()
            .unwrap_or_else(|| "target/specs/recorded".into()),
    );
    let seeds: u64 = arguments
        .next()
        .and_then(|word| word.parse().ok())
        .unwrap_or(3);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    for seed in 0..seeds {
        let trace = spec_trace::membership(seed, Mutation::None);
        fs::write(folder.join(format!("good_membership_{seed}.trace")), trace)?;
        let trace = spec_trace::store(seed, None);
        fs::write(folder.join(format!("good_store_{seed}.trace")), trace)?;
    }
    let trace = spec_trace::membership(0, Mutation::ForgetsDeadSoon);
    fs::write(folder.join("bad_membership_forgets_dead_soon.trace"), trace)?;
    for (name, rule) in BROKEN {
        let trace = spec_trace::store(0, Some(rule));
        fs::write(folder.join(format!("bad_store_{name}.trace")), trace)?;
    }
    Ok(())
}
