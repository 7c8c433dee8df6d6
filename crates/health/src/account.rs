//! What only a target's owner knows of it: given when somebody asks, and never kept elsewhere.
//!
//! Recent outcomes live with whoever probes, counters with the owner's node; an [`Account`] holds
//! both. Tagged fields like every record, fields of a newer version are skipped, and no length is
//! believed before the bytes are there. Does not know who asks whom, or when (`node/inquire.rs`).

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use base::wire::{DecodeError, Reader, Writer};
use base::{Duration, Time, Wall};

use crate::input::Explanation;
use crate::outcome::{Doubt, Finding, Phases, Reason};
use crate::record::{get_state, state_number};

/// Outcomes that one account holds at most; of more the newest are told.
pub(crate) const PASTS_MAX: usize = 64;
/// Bytes of a detail that are told at most; the rest is cut.
const DETAIL_MAX: usize = 1_024;
/// Nodes that are named as unable at most.
const UNABLE_MAX: usize = 64;
/// A check that is further away than this is as far away as this.
const AHEAD_MAX: Duration = Duration::from_hours(24);

/// One outcome of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Past {
    /// When it came in, by the wall clock of the node that probed.
    pub at: Wall,
    /// What it counted as.
    pub finding: Finding,
    /// All phases together.
    pub latency: Duration,
}

/// What was found of a target lately, as whoever probes keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// The last outcomes, oldest first; at most 64 of them travel.
    pub recent: Vec<Past>,
    /// The phases of the last one.
    pub phases: Phases,
    /// What differs from check to check, of the last one; at most 1,024 bytes of it travel.
    pub detail: Option<Arc<str>>,
    /// The address that was asked.
    pub address: Option<IpAddr>,
    /// The status of an HTTP answer.
    pub http_status: Option<u16>,
    /// When the certificate ends.
    pub cert_expiry: Option<Wall>,
}

/// What an owner says of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The owner's name.
    pub by: Arc<str>,
    /// The verdict in the making; its times are on this node's clock.
    pub explanation: Explanation,
    /// What the owner has found.
    pub findings: Findings,
    /// Nodes that are left out of the target's order for now: they can't probe it, or were
    /// outvoted on it. At most 64.
    pub unable: Vec<Arc<str>>,
}

/// Why there is no account of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// There is no target of this name.
    NoTarget,
    /// Nobody who lives owns it.
    Unowned,
    /// Its owner, by this name, did not answer within half a second.
    Silent(Arc<str>),
    /// Whoever was asked, by this name, does not own it (any more, or yet).
    Disowned(Arc<str>),
    /// So many questions wait already that this one was not asked.
    TooMany,
}

impl Account {
    /// Its bytes, as seen at `now`.
    pub(crate) fn encode(&self, now: Time) -> Vec<u8> {
        let mut w = Writer::new();
        w.field_bytes(1, self.by.as_bytes());
        put_explanation(&mut w, now, &self.explanation);
        let Findings {
            recent,
            phases,
            detail,
            address,
            http_status,
            cert_expiry,
        } = &self.findings;
        let skip = recent.len().saturating_sub(PASTS_MAX);
        w.field(8, |w| put_pasts(w, &recent[skip..]));
        w.field(9, |w| phases.0.iter().for_each(|&p| w.number(p.into())));
        if let Some(detail) = detail {
            w.field_bytes(10, cut(detail).as_bytes());
        }
        if let Some(address) = address {
            w.field_bytes(11, &to_v6(*address).octets());
        }
        if let Some(status) = http_status {
            w.field_number(12, u64::from(*status));
        }
        if let Some(expiry) = cert_expiry {
            w.field(13, |w| w.signed(expiry.0));
        }
        for name in self.unable.iter().take(UNABLE_MAX) {
            w.field_bytes(14, name.as_bytes());
        }
        w.finish()
    }

    /// What the bytes say, its spans counted from `now`.
    pub(crate) fn decode(bytes: &[u8], now: Time) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let mut by: Option<Arc<str>> = None;
        let mut explanation = Explanation::default();
        let mut findings = Findings::default();
        let mut unable = Vec::new();
        while let Some((tag, mut field)) = r.field()? {
            match tag {
                1 => by = Some(field.rest_text()?.into()),
                2..=7 => take_explanation(&mut explanation, tag, field, now)?,
                8 => findings.recent = get_pasts(field)?,
                9 => {
                    for phase in &mut findings.phases.0 {
                        *phase = field.small("phase")?;
                    }
                }
                10 => findings.detail = Some(cut(field.rest_text()?).into()),
                11 => {
                    let octets: [u8; 16] = field.raw(16)?.try_into().expect("sixteen bytes");
                    findings.address = Some(Ipv6Addr::from(octets).to_canonical());
                }
                12 => findings.http_status = Some(field.small("http status")?),
                13 => findings.cert_expiry = Some(Wall(field.signed()?)),
                14 if unable.len() < UNABLE_MAX => unable.push(field.rest_text()?.into()),
                _ => {}
            }
        }
        Ok(Self {
            by: by.ok_or(DecodeError::Missing("by"))?,
            explanation,
            findings,
            unable,
        })
    }
}

fn put_explanation(w: &mut Writer, now: Time, explanation: &Explanation) {
    w.field_number(2, state_number(explanation.state));
    w.field_number(3, u64::from(explanation.failures));
    w.field_number(4, u64::from(explanation.successes));
    w.field_number(5, explanation.window);
    w.field_number(6, u64::from(explanation.in_flight));
    if let Some(due) = explanation.next_due {
        w.field_number(7, crate::clock::micros(due.since(now)));
    }
}

fn take_explanation(
    explanation: &mut Explanation,
    tag: u64,
    mut field: Reader<'_>,
    now: Time,
) -> Result<(), DecodeError> {
    match tag {
        2 => explanation.state = get_state(field.number()?)?,
        3 => explanation.failures = field.small("failures")?,
        4 => explanation.successes = field.small("successes")?,
        5 => explanation.window = field.number()?,
        6 => explanation.in_flight = field.number()? == 1,
        _ => {
            let ahead = Duration::from_micros(field.number()?).min(AHEAD_MAX);
            explanation.next_due = Some(now + ahead);
        }
    }
    Ok(())
}

/// Times as what lies between them: most are small.
fn put_pasts(w: &mut Writer, pasts: &[Past]) {
    let mut before = 0;
    for past in pasts {
        w.signed(past.at.0.wrapping_sub(before));
        before = past.at.0;
        let (kind, more) = match past.finding {
            Finding::Passed => (0, 0),
            Finding::Failed(reason) => (1, u64::from(reason.to_stored())),
            Finding::Inconclusive(doubt) => (2, doubt as u64),
        };
        w.number(more << 2 | kind);
        w.number(crate::clock::micros(past.latency));
    }
}

fn get_pasts(mut r: Reader<'_>) -> Result<Vec<Past>, DecodeError> {
    let mut pasts = Vec::new();
    let mut at = 0_i64;
    while !r.is_empty() {
        if pasts.len() == PASTS_MAX {
            return Err(DecodeError::TooLong);
        }
        at = at.wrapping_add(r.signed()?);
        let what = r.number()?;
        let finding = match (what & 3, what >> 2) {
            (0, _) => Finding::Passed,
            (1, reason) => Finding::Failed(Reason::from_stored(
                u32::try_from(reason).map_err(|_| DecodeError::TooLong)?,
            )),
            (_, doubt) => Finding::Inconclusive(doubt_of(doubt)),
        };
        let latency = Duration::from_micros(r.number()?);
        pasts.push(Past {
            at: Wall(at),
            finding,
            latency,
        });
    }
    Ok(pasts)
}

/// A doubt of a newer version reads as the one that says least.
fn doubt_of(number: u64) -> Doubt {
    let at = usize::try_from(number).ok();
    let doubt = at.and_then(|at| Doubt::ALL.get(at));
    doubt.copied().unwrap_or(Doubt::Unable)
}

/// The beginning of a text, as far as it is told.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(DETAIL_MAX)]
}

const fn to_v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::outcome::Phase;
    use crate::status::State;

    /// An account with something in every field.
    pub(crate) fn account() -> Account {
        let past = |at, finding| Past {
            at: Wall(at),
            finding,
            latency: Duration::from_micros(1_234),
        };
        Account {
            by: "n2".into(),
            explanation: Explanation {
                state: State::Up,
                failures: 2,
                successes: 0,
                window: 0b11,
                in_flight: true,
                next_due: Some(Time(1_500_000)),
            },
            findings: Findings {
                recent: vec![
                    past(1_700_000_000_000, Finding::Passed),
                    past(
                        1_700_000_001_000,
                        Finding::Failed(Reason::Timeout(Phase::Connect)),
                    ),
                    past(
                        1_699_999_999_000,
                        Finding::Inconclusive(Doubt::NothingAnswers),
                    ),
                    past(1_700_000_003_000, Finding::Failed(Reason::Status(503))),
                ],
                phases: Phases([1, 2, 3, 4, 5]),
                detail: Some("expected 200-299".into()),
                address: Some("10.0.0.9".parse().expect("an address")),
                http_status: Some(503),
                cert_expiry: Some(Wall(-5)),
            },
            unable: vec!["n1".into(), "n7".into()],
        }
    }

    #[test]
    fn an_account_comes_back_with_its_spans_from_the_moment_it_arrived() {
        let told = account();
        let bytes = told.encode(Time(1_000_000));
        assert!(bytes.len() < 200, "{} bytes", bytes.len());
        let heard = Account::decode(&bytes, Time(70_000_000)).unwrap();
        let mut expected = told;
        expected.explanation.next_due = Some(Time(70_500_000));
        assert_eq!(heard, expected);
    }

    #[test]
    fn an_account_of_a_target_that_was_never_checked_is_empty_and_comes_back() {
        let told = Account {
            by: "n1".into(),
            explanation: Explanation::default(),
            findings: Findings::default(),
            unable: Vec::new(),
        };
        assert_eq!(Account::decode(&told.encode(Time(5)), Time(5)), Ok(told));
    }

    #[test]
    fn what_is_too_long_is_cut_by_the_teller_and_refused_by_the_hearer() {
        let mut told = account();
        told.findings.detail = Some("é".repeat(5_000).into());
        let one = told.findings.recent[0];
        told.findings.recent = vec![one; 500];
        told.findings.recent[499].at = Wall(7);
        let bytes = told.encode(Time(0));
        assert!(bytes.len() < 2_000, "{} bytes", bytes.len());
        let heard = Account::decode(&bytes, Time(0)).unwrap().findings;
        assert_eq!(heard.recent.len(), PASTS_MAX);
        assert_eq!(heard.recent[PASTS_MAX - 1].at, Wall(7));
        assert_eq!(heard.detail.map(|detail| detail.len()), Some(DETAIL_MAX));
        let mut w = Writer::new();
        w.field_bytes(1, b"n1");
        w.field(8, |w| put_pasts(w, &vec![one; PASTS_MAX + 1]));
        let too_many = Account::decode(&w.finish(), Time(0));
        assert_eq!(too_many, Err(DecodeError::TooLong));
    }

    #[test]
    fn a_detail_is_never_cut_within_a_character() {
        let text = format!("a{}", "é".repeat(DETAIL_MAX));
        assert_eq!(cut(&text).len(), DETAIL_MAX - 1);
    }

    #[test]
    fn no_bytes_whatever_make_the_reader_panic() {
        let bytes = account().encode(Time(0));
        for len in 0..bytes.len() {
            let _ = Account::decode(&bytes[..len], Time(0));
        }
        let mut rng = base::Rng::new(9);
        for _ in 0..50_000 {
            let mut broken = bytes.clone();
            for _ in 0..=rng.below(3) {
                let at = usize::try_from(rng.below(bytes.len() as u64)).unwrap();
                broken[at] = u8::try_from(rng.below(256)).unwrap();
            }
            if let Ok(heard) = Account::decode(&broken, Time(u64::MAX - 1)) {
                let _ = heard.encode(Time(0));
            }
        }
    }
}
