//! `owners`: who would check what, computed offline from names alone.
//!
//! The very function that nodes decide by. Targets come as arguments or one a line; a list of a
//! million is answered as it is read.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufRead, IsTerminal};
use std::process::ExitCode;

use health::owners::{Member, WEIGHT_MAX, order};
use serde::Serialize;

use crate::arguments::Owners;
use crate::failure::Failure;
use crate::out;
use crate::table::{cut, plain, rows};

/// What a line of standard input may hold.
const LINE_MAX: usize = 64 << 10;
/// Targets answered before what they yield is written.
const AT_ONCE: usize = 1_000;

/// Prints the order of every target, or how many targets each member gets.
pub(crate) fn owners(owners: &Owners) -> Result<ExitCode, Failure> {
    let members = members(&owners.members)?;
    let mut answer = Answer::new(owners, &members);
    if owners.targets.is_empty() {
        let input = io::stdin();
        if input.is_terminal() {
            let text = "which targets? name them, or give one a line on standard input";
            return Err(Failure::Input(text.to_owned()));
        }
        each_line(input.lock(), |target| answer.target(target))?;
    } else if owners.targets.iter().any(String::is_empty) {
        let text = "a target is an empty word; leave it out";
        return Err(Failure::Input(text.to_owned()));
    } else {
        let targets = owners.targets.iter();
        targets.for_each(|target| answer.target(target));
    }
    answer.end();
    Ok(ExitCode::SUCCESS)
}

/// Reads `a,b=2,c@zone`; weight and zone of one member in either order.
fn members(text: &str) -> Result<Vec<Member>, Failure> {
    let wrong = |text: String| Failure::Input(format!("--members: {text}"));
    let mut all: Vec<Member> = Vec::new();
    for part in text.split(',').map(str::trim) {
        let member = member(part).map_err(wrong)?;
        if all.iter().any(|other| other.name == member.name) {
            let text = format!("'{}' is given twice; keep one", plain(&member.name));
            return Err(wrong(text));
        }
        all.push(member);
    }
    Ok(all)
}

fn member(part: &str) -> Result<Member, String> {
    let end = part.find(['=', '@']).unwrap_or(part.len());
    let (name, mut rest) = part.split_at(end);
    if name.is_empty() {
        let what = if part.is_empty() {
            "an empty part"
        } else {
            part
        };
        return Err(format!(
            "{what} names no member; write NAME[=WEIGHT][@ZONE],…"
        ));
    }
    let mut member = Member::new(name);
    let (mut has_weight, mut has_zone) = (false, false);
    while let Some(kind) = rest.chars().next() {
        let end = rest[1..].find(['=', '@']).map_or(rest.len(), |at| at + 1);
        let value = &rest[1..end];
        let seen = if kind == '=' {
            &mut has_weight
        } else {
            &mut has_zone
        };
        if std::mem::replace(seen, true) {
            return Err(format!("'{}' has two of '{kind}'; keep one", plain(part)));
        }
        if kind == '=' {
            let weight = value.parse().ok().filter(|w| (1..=WEIGHT_MAX).contains(w));
            member.weight = weight.ok_or_else(|| {
                let (name, value) = (plain(name), plain(value));
                format!(
                    "the weight of '{name}' is '{value}'; it is a number from 1 to {WEIGHT_MAX}"
                )
            })?;
        } else if value.is_empty() {
            return Err(format!(
                "'{}' has an empty zone; leave '@' out",
                plain(part)
            ));
        } else {
            member.zone = value.into();
        }
        rest = &rest[end..];
    }
    Ok(member)
}

/// Calls `take` with every line that is not empty.
fn each_line(mut input: impl BufRead, mut take: impl FnMut(&str)) -> Result<(), Failure> {
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let mut bounded = io::Read::take(&mut input, LINE_MAX as u64 + 1);
        let read = bounded.read_until(b'\n', &mut line);
        let read = read.map_err(|error| Failure::Other(format!("standard input: {error}")))?;
        if read == 0 {
            return Ok(());
        }
        let wrong = |what: &str| Failure::Input(format!("standard input, line {number}: {what}"));
        if line.len() > LINE_MAX {
            return Err(wrong("longer than 64 KiB; is it a list of names?"));
        }
        let text = std::str::from_utf8(&line).map_err(|_| wrong("not UTF-8"))?;
        let text = text.trim_end_matches(['\n', '\r']);
        if !text.is_empty() {
            take(text);
        }
    }
    Ok(())
}

/// One target, as `--json` prints it.
#[derive(Serialize)]
struct Item<'a> {
    target: &'a str,
    owners: Vec<&'a str>,
}

/// What is printed, gathered for some targets at a time.
struct Answer<'a> {
    members: &'a [Member],
    form: Form,
    /// How wide the targets' column is; a longer name is shown whole all the same.
    width: usize,
    /// Where lines are cut: at the edge of a terminal, and nowhere for a program.
    columns: usize,
    count: usize,
    owned: BTreeMap<&'a str, usize>,
    text: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Lines,
    Json,
    Summary,
}

impl<'a> Answer<'a> {
    fn new(owners: &Owners, members: &'a [Member]) -> Self {
        let form = match (owners.summary, owners.json) {
            (true, _) => Form::Summary,
            (false, true) => Form::Json,
            (false, false) => Form::Lines,
        };
        let longest = owners.targets.iter().map(|t| t.chars().count()).max();
        Self {
            members,
            form,
            width: longest.unwrap_or(24).clamp(6, 40),
            columns: match io::stdout().is_terminal() {
                true => out::columns(),
                false => usize::MAX,
            },
            count: 0,
            owned: BTreeMap::new(),
            text: String::new(),
        }
    }

    fn target(&mut self, target: &str) {
        let ordered = order(target, self.members);
        let first = self.count == 0;
        self.count += 1;
        match self.form {
            Form::Summary => *self.owned.entry(&ordered[0].name).or_default() += 1,
            Form::Json => {
                let owners = ordered.iter().map(|m| &*m.name).collect();
                let item = serde_json::to_string(&Item { target, owners });
                let item = item.expect("text can be written as JSON");
                let _ = write!(self.text, "{}{item}", if first { "[" } else { "," });
            }
            Form::Lines => {
                if first {
                    let _ = writeln!(self.text, "{:<1$}  OWNERS", "TARGET", self.width);
                }
                let names: Vec<String> = ordered.iter().map(|m| plain(&m.name)).collect();
                let (target, names) = (plain(target), names.join(" "));
                let line = format!("{target:<0$}  {names}", self.width);
                self.text += &cut(&line, self.columns);
                self.text.push('\n');
            }
        }
        if self.count.is_multiple_of(AT_ONCE) {
            self.write();
        }
    }

    fn write(&mut self) {
        out::bytes(self.text.as_bytes());
        self.text.clear();
    }

    fn end(mut self) {
        match self.form {
            Form::Summary => return self.summary(),
            Form::Json => self.text += if self.count == 0 { "[]\n" } else { "]\n" },
            Form::Lines => {}
        }
        self.write();
    }

    fn summary(&self) {
        let all: u32 = self.members.iter().map(|m| m.weight).sum();
        let percent = |part: usize, of: usize| match of {
            0 => "-".to_owned(),
            _ => format!("{}.{} %", part * 100 / of, part * 1_000 / of % 10),
        };
        let cells: Vec<[String; 6]> = self
            .members
            .iter()
            .map(|m| {
                let owned = self.owned.get(&*m.name).copied().unwrap_or(0);
                [
                    plain(&m.name),
                    plain(&m.zone),
                    m.weight.to_string(),
                    owned.to_string(),
                    percent(owned, self.count),
                    percent(m.weight as usize, all as usize),
                ]
            })
            .collect();
        let headings = ["NAME", "ZONE", "WEIGHT", "OWNED", "SHARE", "BY WEIGHT"];
        rows(headings, &cells, out::columns())
            .iter()
            .for_each(out::say);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weight_and_zone_come_in_either_order() {
        let all = members("a, b=2,c@eu,d=3@us,e@us=3").unwrap();
        let read: Vec<(&str, u32, &str)> =
            all.iter().map(|m| (&*m.name, m.weight, &*m.zone)).collect();
        let expected = [
            ("a", 1, ""),
            ("b", 2, ""),
            ("c", 1, "eu"),
            ("d", 3, "us"),
            ("e", 3, "us"),
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn what_is_wrong_is_named_with_a_way_out() {
        for (text, said) in [
            ("", "an empty part names no member"),
            ("a,,b", "an empty part names no member"),
            ("a,a", "'a' is given twice"),
            (
                "a=0",
                "the weight of 'a' is '0'; it is a number from 1 to 1000",
            ),
            ("a=x", "is 'x'"),
            ("a=", "is ''"),
            ("a=-1", "is '-1'"),
            ("a=1=2", "two of '='"),
            ("a@", "an empty zone"),
            ("=2", "=2 names no member"),
        ] {
            let Err(Failure::Input(message)) = members(text) else {
                panic!("{text} was taken");
            };
            assert!(message.contains(said), "{text}: {message}");
        }
    }

    #[test]
    fn lines_are_read_whole_and_bounded() {
        let mut read = Vec::new();
        each_line(&b"a\r\n\nb c\nlast"[..], |line| read.push(line.to_owned())).unwrap();
        assert_eq!(read, ["a", "b c", "last"]);
        let long = vec![b'x'; LINE_MAX + 2];
        assert!(each_line(&long[..], |_| {}).is_err());
        assert!(each_line(&b"\xff\n"[..], |_| {}).is_err());
    }
}
