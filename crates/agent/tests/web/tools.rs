//! Programs that some tests need, and how a test says that one is missing.

use std::io::Write;
use std::path::PathBuf;

/// The program named by `variable`, or `name` in the path. Without it the test is counted as
/// skipped, in plain sight.
pub(crate) fn find(variable: &str, name: &str) -> Option<PathBuf> {
    if let Some(given) = std::env::var_os(variable) {
        return Some(given.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file());
    if found.is_none() {
        skipped(name);
    }
    found
}

fn skipped(name: &str) {
    if let Some(list) = std::env::var_os("ROUNDSMAN_TEST_SKIPS") {
        let mut list = std::fs::File::options()
            .append(true)
            .create(true)
            .open(list)
            .expect("the list of skips opens");
        writeln!(list, "needs {name}").expect("a line fits");
    }
    let mut out = std::io::stderr();
    writeln!(out, "SKIPPED: needs {name}").expect("standard error takes a line");
}
