//! One target under libFuzzer; which one is said by `ROUNDSMAN_FUZZ_TARGET`.
//!
//! Built and run by `cargo xtask fuzz`.
#![no_main]

use std::sync::OnceLock;

use fuzz::{TARGETS, Target};
use libfuzzer_sys::fuzz_target;

static CHOSEN: OnceLock<&'static Target> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| {
    let target = CHOSEN.get_or_init(|| {
        let name = std::env::var("ROUNDSMAN_FUZZ_TARGET").unwrap_or_default();
        let found = TARGETS.iter().find(|target| target.name == name);
        found.unwrap_or_else(|| panic!("ROUNDSMAN_FUZZ_TARGET is '{name}', which is no target"))
    });
    (target.run)(bytes);
});
