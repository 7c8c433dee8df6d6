//! Writes traces of the real cores into a folder, for `cargo xtask specs` to check.
//!
//! `good_…` must be allowed by the specs, `bad_…` (with a defect put into the core) refused.

use std::path::PathBuf;
use std::{env, fs, io};

use membership::Mutation;
use sim::spec_trace;

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
    fs::write(folder.join("bad_membership_forgets_dead_soon.trace"), trace)
}
