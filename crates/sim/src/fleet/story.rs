//! What happened in a run as log lines of each node, the way the agent writes them as JSON.
//!
//! So the same tool reads both (`cargo xtask timeline`). A line carries what the host's own clock
//! said and, which only the simulator knows, the true time. The first line in which the run of a
//! mutant differs from the run without the mutation is its first wrong step ([`first_wrong`]).

use std::fmt::Write;
use std::sync::Arc;

use base::Time;
use health::{Finding, Notice};

use super::course::Course;
use super::node::{Call, Word, name_of};
use super::promises::Broken;
use crate::cluster::{EPOCH_MS, Happened, Host};

/// One line of a node's log; of the world's where no host is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// On the world's own clock.
    pub at: Time,
    /// Whose.
    pub host: Option<Host>,
    /// As a log calls it.
    pub level: &'static str,
    /// What.
    pub message: &'static str,
    /// In which words.
    pub fields: Vec<(&'static str, String)>,
}

/// The first step in which a run differs from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It did this, and the other did not.
    Did(Line),
    /// The other did this.
    Omitted(Line),
}

/// The first line in which `broken` differs from `sound`, the same course without the mutation.
#[must_use]
pub fn first_wrong(broken: &[Line], sound: &[Line]) -> Option<Wrong> {
    let at = (0..broken.len().max(sound.len())).find(|&at| broken.get(at) != sound.get(at))?;
    let is_later = |line: &Line| sound[at..].contains(line);
    match (broken.get(at), sound.get(at)) {
        (Some(line), Some(_)) if !is_later(line) => Some(Wrong::Did(line.clone())),
        (_, Some(line)) => Some(Wrong::Omitted(line.clone())),
        (Some(line), None) => Some(Wrong::Did(line.clone())),
        (None, None) => None,
    }
}

impl Line {
    /// The node's name, or `world`.
    #[must_use]
    pub fn node(&self) -> Arc<str> {
        self.host
            .map_or_else(|| "world".into(), |host| name_of(host, 0))
    }

    /// As the agent's `--log-format json` writes it, with the true time as `world_us`.
    #[must_use]
    pub fn to_json(&self, course: &Course) -> String {
        let skew = self.host.map_or(0, |host| course.skews[host.index()]);
        let micros = (EPOCH_MS * 1_000 + self.at.0).saturating_add_signed(skew * 1_000);
        let mut text = format!(
            "{{\"timestamp\":\"{}\",\"level\":\"{}\",\"fields\":{{\"message\":{}",
            rfc3339(micros),
            self.level,
            quoted(self.message)
        );
        for (key, value) in &self.fields {
            let plain = value.parse::<i64>().is_ok();
            let value = if plain { value.clone() } else { quoted(value) };
            write!(text, ",\"{key}\":{value}").expect("a string takes it");
        }
        write!(text, "}},\"target\":\"sim\",\"world_us\":{}}}", self.at.0).expect("it takes it");
        text
    }
}

/// All lines of a run; nothing is kept unless somebody listens.
#[derive(Debug, Default)]
pub(super) struct Story(Option<Vec<Line>>);

impl Story {
    pub(super) const fn kept() -> Self {
        Self(Some(Vec::new()))
    }

    pub(super) fn into_lines(self) -> Vec<Line> {
        self.0.unwrap_or_default()
    }

    pub(super) fn add(
        &mut self,
        at: Time,
        host: Option<Host>,
        level: &'static str,
        message: &'static str,
        fields: Vec<(&'static str, String)>,
    ) {
        if let Some(lines) = &mut self.0 {
            lines.push(Line {
                at,
                host,
                level,
                message,
                fields,
            });
        }
    }

    pub(super) const fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    /// What has happened to a host.
    pub(super) fn happened(
        &mut self,
        at: Time,
        host: Option<Host>,
        what: &Happened<Call>,
        probed: Option<Arc<str>>,
    ) {
        let mut add = |message, fields| self.add(at, host, "INFO", message, fields);
        match what {
            Happened::Booted => {
                let node = host.map(|host| name_of(host, 0)).unwrap_or_default();
                add("running", vec![("node", node.to_string())]);
            }
            Happened::Crashed => add("the process dies", Vec::new()),
            Happened::Faulted(fault) => add("fault", vec![("what", format!("{fault:?}"))]),
            Happened::Called(Call::Put(request, definition)) => {
                let name = definition.name.to_string();
                add(
                    "asked to define",
                    vec![("name", name), ("request", request.0.to_string())],
                );
            }
            Happened::Called(Call::Delete(request, name)) => {
                let name = name.to_string();
                add(
                    "asked to remove",
                    vec![("name", name), ("request", request.0.to_string())],
                );
            }
            Happened::Called(Call::Load(file)) => {
                add(
                    "the config file has changed",
                    vec![("targets", file.len().to_string())],
                );
            }
            Happened::Called(Call::Drain(_)) => add("asked to give all targets away", Vec::new()),
            Happened::Called(Call::Leave(_)) => add("asked to leave", Vec::new()),
            Happened::Called(Call::Probed { finding, .. }) => {
                if let Some(name) = probed {
                    let fields = vec![("name", name.to_string()), ("finding", found(*finding))];
                    self.add(at, host, "TRACE", "checked", fields);
                }
            }
            Happened::Received(..)
            | Happened::Ticked
            | Happened::Persisted(_)
            | Happened::Moved => {}
        }
    }

    /// What a node said.
    pub(super) fn said(&mut self, at: Time, host: Host, word: &Word) {
        let host = Some(host);
        match word {
            Word::Probe {
                definition,
                is_opinion: false,
                ..
            } => {
                let name = definition.name.to_string();
                self.add(at, host, "TRACE", "checks", vec![("name", name)]);
            }
            Word::Event(event) => {
                let t = event.transition;
                let fields = vec![
                    ("name", event.target.to_string()),
                    ("number", t.number.to_string()),
                    ("from", t.from.name().to_owned()),
                    ("to", t.to.name().to_owned()),
                    ("reason", t.reason.words().to_owned()),
                ];
                self.add(at, host, "INFO", "transition", fields);
            }
            Word::Answer(request, answer) => {
                let fields = vec![
                    ("request", request.0.to_string()),
                    ("answer", format!("{answer:?}")),
                ];
                self.add(at, host, "INFO", "answered", fields);
            }
            Word::Notice(notice) => {
                let (level, message, fields) = told(notice);
                self.add(at, host, level, message, fields);
            }
            Word::Refused => self.add(at, host, "ERROR", "the name is taken", Vec::new()),
            Word::Left => self.add(at, host, "INFO", "left", Vec::new()),
            Word::Probe { .. } | Word::Defined(_) | Word::View => {}
        }
    }

    /// A promise is broken: the end.
    pub(super) fn broken(&mut self, broken: &Broken) {
        let fields = vec![
            ("promise", format!("{:?}", broken.promise)),
            ("how", broken.how.clone()),
        ];
        self.add(
            broken.at,
            broken.host,
            "ERROR",
            "a promise is broken",
            fields,
        );
    }
}

type Told = (&'static str, &'static str, Vec<(&'static str, String)>);

/// A notice in the words of the agent's log.
fn told(notice: &Notice) -> Told {
    let names = |names: &[Arc<str>]| names.join(" ");
    match notice {
        Notice::Accused { member, by } => {
            let fields = vec![("member", member.to_string()), ("by", by.to_string())];
            ("DEBUG", "does not answer", fields)
        }
        Notice::Member {
            member,
            state,
            incarnation,
        } => {
            let fields = vec![
                ("member", member.to_string()),
                ("state", (*state).to_owned()),
                ("incarnation", incarnation.to_string()),
            ];
            ("INFO", "member", fields)
        }
        Notice::TooNew {
            from,
            version,
            ours,
        } => {
            let fields = vec![
                ("from", from.to_string()),
                ("version", version.to_string()),
                ("ours", ours.to_string()),
            ];
            (
                "WARN",
                "packets of a newer wire version are refused",
                fields,
            )
        }
        Notice::Asked { target, case, of } => {
            let fields = vec![
                ("name", target.to_string()),
                ("case", case.to_string()),
                ("of", names(of)),
            ];
            ("INFO", "asks others what they see", fields)
        }
        Notice::Opinion {
            target,
            case,
            to,
            finding,
        } => {
            let fields = vec![
                ("name", target.to_string()),
                ("case", case.to_string()),
                ("to", to.to_string()),
                ("finding", found(*finding)),
            ];
            ("INFO", "said what it sees", fields)
        }
        Notice::Ruled {
            target,
            case,
            ruling,
            votes,
        } => {
            let fields = vec![
                ("name", target.to_string()),
                ("case", case.to_string()),
                ("ruling", (*ruling).to_owned()),
                ("votes", health::votes_in_words(votes)),
            ];
            ("INFO", "ruled", fields)
        }
        Notice::Moved {
            is_taken,
            other,
            why,
            count,
            first,
        } => {
            let fields = vec![
                ("count", count.to_string()),
                ("other", other.to_string()),
                ("why", (*why).to_owned()),
                ("first", names(first)),
            ];
            let message = if *is_taken {
                "took over"
            } else {
                "handed over"
            };
            ("INFO", message, fields)
        }
        Notice::Promise {
            owner,
            interval,
            age,
            is_late,
        } => {
            let fields = vec![
                ("owner", owner.to_string()),
                ("interval_ms", interval.as_millis().to_string()),
                ("age_ms", age.as_millis().to_string()),
            ];
            let message = if *is_late { "stale" } else { "fresh again" };
            ("INFO", message, fields)
        }
        Notice::Promised {
            interval,
            age,
            except,
        } => {
            let fields = vec![
                ("interval_ms", interval.as_millis().to_string()),
                ("age_ms", age.as_millis().to_string()),
                ("except", except.to_string()),
            ];
            ("TRACE", "promises", fields)
        }
        Notice::Collapsed { target } => {
            let fields = vec![("name", target.to_string())];
            ("INFO", "made one of several statuses", fields)
        }
        other @ (Notice::MassLoss { .. }
        | Notice::CopiedDisk { .. }
        | Notice::Renamed(_)
        | Notice::Revision { .. }
        | Notice::Adopted { .. }
        | Notice::Blind { .. }
        | Notice::Sees
        | Notice::Untold { .. }) => ("INFO", "notice", vec![("what", format!("{other:?}"))]),
    }
}

fn found(finding: Finding) -> String {
    match finding {
        Finding::Passed => "passed".to_owned(),
        Finding::Failed(reason) => format!("failed: {}", reason.words()),
        Finding::Inconclusive(doubt) => format!("can't tell: {}", doubt.words()),
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => write!(out, "\\u{:04x}", u32::from(c)).expect("a string takes it"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A moment since 1970 as RFC 3339 in UTC (days to dates after Howard Hinnant's algorithm).
fn rfc3339(micros: u64) -> String {
    let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = era * 400 + year + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{micros:06}Z",
        second / 3_600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Plan;
    use crate::fleet::Kind;
    use base::{Duration, Rng};

    fn line(at: u64, message: &'static str) -> Line {
        Line {
            at: Time(at),
            host: Some(Host(1)),
            level: "INFO",
            message,
            fields: vec![("name", "a \"b\"\n".to_owned()), ("number", "7".to_owned())],
        }
    }

    #[test]
    fn a_line_is_json_as_the_agent_writes_it() {
        let plan = Plan::calm(1, 2, Duration::from_secs(1));
        let mut course = Course::still(Kind::Still, plan, 1, &mut Rng::new(1));
        course.skews = vec![0, -20];
        let json = line(1_500_000, "transition").to_json(&course);
        let expected = "{\"timestamp\":\"2023-11-14T22:13:21.480000Z\",\"level\":\"INFO\",\"fields\":{\"message\":\"transition\",\"name\":\"a \\\"b\\\"\\u000a\",\"number\":7},\"target\":\"sim\",\"world_us\":1500000}";
        assert_eq!(json, expected);
    }

    #[test]
    fn the_first_wrong_step_is_what_was_done_or_what_was_not() {
        let sound = [line(1, "a"), line(2, "asks"), line(3, "b")];
        assert_eq!(first_wrong(&sound, &sound), None);
        let hasty = [line(1, "a"), line(2, "writes"), line(3, "b")];
        assert_eq!(
            first_wrong(&hasty, &sound),
            Some(Wrong::Did(line(2, "writes")))
        );
        let lazy = [line(1, "a"), line(3, "b")];
        assert_eq!(
            first_wrong(&lazy, &sound),
            Some(Wrong::Omitted(line(2, "asks")))
        );
        assert_eq!(
            first_wrong(&sound[..1], &sound),
            Some(Wrong::Omitted(line(2, "asks")))
        );
        let more = [line(1, "a"), line(2, "asks"), line(3, "b"), line(4, "c")];
        assert_eq!(first_wrong(&more, &sound), Some(Wrong::Did(line(4, "c"))));
    }
}
