//! The configurations of the specs, what must come out of each, and the table of what did.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::tlc::{Check, Run, Tlc};
use crate::process::root;

pub(super) const HEAD: &str =
    "| configuration | must | came out | states | distinct | seconds |\n|---|---|---|---|---|---|";
const RULE: &str = "|---|---|---|---|---|---|";

/// One `.cfg`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Configuration {
    /// Its file's name without the ending.
    name: String,
    /// The property that must be violated, if any.
    must_fail: Option<String>,
    /// The properties over whole behaviours that it names.
    properties: Vec<String>,
}

impl Configuration {
    fn read(name: &str, text: &str) -> Result<Self> {
        let first = text.lines().next().unwrap_or_default();
        let must_fail = match first.strip_prefix("\\* must ") {
            Some("hold") => None,
            Some(rest) => Some(
                rest.strip_prefix("fail: ")
                    .with_context(|| format!("{name}.cfg: first line is {first:?}"))?
                    .to_owned(),
            ),
            None => {
                bail!("{name}.cfg: first line must be `\\* must hold` or `\\* must fail: NAME`")
            }
        };
        let properties = text
            .lines()
            .filter_map(|line| {
                line.strip_prefix("PROPERTIES ")
                    .or_else(|| line.strip_prefix("PROPERTY "))
            })
            .flat_map(|line| line.split_whitespace().map(str::to_owned))
            .collect();
        Ok(Self {
            name: name.to_owned(),
            must_fail,
            properties,
        })
    }

    /// The module that it configures.
    fn spec(&self) -> &str {
        self.name.split('_').next().unwrap_or(&self.name)
    }

    /// Lets TLC say what comes out.
    pub(super) fn check(&self, tlc: &Tlc) -> Result<Row> {
        let run = tlc.run(&Check {
            folder: &root().join("specs"),
            module: self.spec(),
            config: &self.name,
            name: &self.name,
            // A counter-example is soon found.
            is_short: self.must_fail.is_some(),
        })?;
        Ok(self.judge(&run))
    }

    /// Whether `run` ended as it must.
    fn judge(&self, run: &Run) -> Row {
        // TLC doesn't name a violated property over behaviours; with only one there is no doubt.
        let violated = run.violated.clone().or_else(|| {
            (run.is_temporal && self.properties.len() == 1).then(|| self.properties[0].clone())
        });
        let came = match (&violated, run.holds) {
            (None, true) => "holds".to_owned(),
            (Some(name), false) => format!("{name} fails"),
            _ => format!("broke: {}", run.complaint),
        };
        Row {
            name: self.name.clone(),
            must: self
                .must_fail
                .as_ref()
                .map_or_else(|| "hold".to_owned(), |name| format!("fail {name}")),
            is_right: !came.starts_with("broke") && violated == self.must_fail,
            came,
            states: run.states,
            distinct: run.distinct,
            seconds: run.seconds,
        }
    }
}

/// One line of the table.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: String,
    must: String,
    pub(super) came: String,
    pub(super) is_right: bool,
    states: u64,
    distinct: u64,
    seconds: u64,
}

impl Row {
    pub(super) fn line(&self) -> String {
        format!(
            "| {} | {} | {} | {} | {} | {} |",
            self.name, self.must, self.came, self.states, self.distinct, self.seconds
        )
    }
}

/// The configurations in `folder` whose names contain `only`: the ones that must hold first, for
/// they take longest.
pub(super) fn all(folder: &Path, only: &str, long: bool) -> Result<Vec<Configuration>> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .with_context(|| folder.display().to_string())?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|file| file.extension().is_some_and(|end| end == "cfg"));
    files.sort();
    let mut found = Vec::new();
    for file in files {
        let name = file
            .file_stem()
            .and_then(|stem| stem.to_str())
            .context("a configuration's name is plain text")?;
        if !name.contains(only) || (name.ends_with("_long") && !long) {
            continue;
        }
        found.push(Configuration::read(name, &fs::read_to_string(&file)?)?);
    }
    if found.is_empty() {
        bail!("no configuration in {}", folder.display());
    }
    found.sort_by_key(|configuration| configuration.must_fail.is_some());
    Ok(found)
}

const BEGIN: &str = "<!-- written by cargo xtask specs --write -->";
const END: &str = "<!-- end -->";

/// Puts `rows` into the table of `file`; what was not checked this time stays as it was.
pub(super) fn write_table(file: &Path, rows: &[Row]) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let (before, rest) = text.split_once(BEGIN).context("README.md lacks its mark")?;
    let (table, after) = rest
        .split_once(END)
        .context("README.md lacks its end mark")?;
    let folder = file.parent().context("the table lies beside the specs")?;
    let lines = merged(table, rows, |name| {
        folder.join(format!("{name}.cfg")).is_file()
    });
    let text = format!("{before}{BEGIN}\n{HEAD}\n{lines}{END}{after}");
    fs::write(file, text).with_context(|| file.display().to_string())
}

/// The lines of `table` with those of `rows` in their place, in the order of their names.
fn merged(table: &str, rows: &[Row], is_there: impl Fn(&str) -> bool) -> String {
    let old = table.lines().skip_while(|line| *line != RULE).skip(1);
    let named = old.filter_map(|line| Some((line.split(' ').nth(1)?.to_owned(), line.to_owned())));
    let mut lines: BTreeMap<String, String> = named.filter(|(name, _)| is_there(name)).collect();
    lines.extend(rows.iter().map(|row| (row.name.clone(), row.line())));
    lines
        .into_values()
        .fold(String::new(), |all, line| all + &line + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(property: &str) -> Configuration {
        let text = format!("\\* must fail: {property}\nSPECIFICATION Spec\nPROPERTY Converges\n");
        Configuration::read("Swim_x", &text).unwrap()
    }

    fn run(holds: bool, violated: Option<&str>, is_temporal: bool) -> Run {
        Run {
            holds,
            violated: violated.map(str::to_owned),
            is_temporal,
            ..Run::default()
        }
    }

    #[test]
    fn a_variant_that_passes_is_wrong() {
        assert!(!failing("Converges").judge(&run(true, None, false)).is_right);
    }

    #[test]
    fn a_variant_must_fail_by_the_named_property() {
        assert!(failing("Converges").judge(&run(false, None, true)).is_right);
        assert!(!failing("Clean").judge(&run(false, None, true)).is_right);
        let clean = run(false, Some("Clean"), false);
        assert!(failing("Clean").judge(&clean).is_right);
        assert!(!failing("Converges").judge(&clean).is_right);
    }

    #[test]
    fn a_run_that_broke_is_never_right() {
        let holding = Configuration::read("Swim_x", "\\* must hold\n").unwrap();
        assert!(holding.judge(&run(true, None, false)).is_right);
        assert!(!holding.judge(&run(false, None, false)).is_right);
        assert!(
            !failing("Converges")
                .judge(&run(false, None, false))
                .is_right
        );
    }

    #[test]
    fn a_configuration_that_does_not_say_what_must_come_out_is_refused() {
        assert!(Configuration::read("Swim_x", "SPECIFICATION Spec\n").is_err());
        assert!(Configuration::read("Swim_x", "\\* must be nice\n").is_err());
    }

    #[test]
    fn the_spec_is_what_stands_before_the_first_underscore() {
        assert_eq!(failing("Converges").spec(), "Swim");
    }

    #[test]
    fn rows_of_checks_that_were_not_made_stay_if_their_checks_are_there() {
        let row = failing("Converges").judge(&run(false, None, true));
        let table = format!("\n{HEAD}\n| Old | hold | holds | 1 | 1 | 1 |\n| Swim_a | hold |\n");
        let merged = merged(&table, &[row], |name| name != "Old");
        let lines: Vec<&str> = merged.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("| Swim_a |"));
        assert!(lines[1].starts_with("| Swim_x | fail Converges |"));
    }
}
