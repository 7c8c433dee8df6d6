//! Prints the targets' names, one a line, and writes their corpora into the folder that is given.

use std::io::Write;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).unwrap_or_else(|| "corpus".into());
    let mut out = io::stdout().lock();
    for target in fuzz::TARGETS {
        let place = Path::new(&folder).join(target.name);
        fs::create_dir_all(&place)?;
        for (n, piece) in (target.corpus)().iter().enumerate() {
            fs::write(place.join(format!("valid-{n}")), piece)?;
        }
        writeln!(out, "{}", target.name)?;
    }
    Ok(())
}
