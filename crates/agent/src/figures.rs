//! The hot figures of owned targets: what changes with every outcome.
//!
//! Atomics beside the view, only for targets that are checked here. One writer (the driver), any
//! number of readers (API, page, metrics), no lock: a reader may see one figure newer than another.
//! Each target also keeps its last [`RECENT`] outcomes; they are gone after a restart.
//! Does not know names or states.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed};

use arc_swap::{ArcSwap, ArcSwapOption};
use base::{Duration, Slot, Time, Wall};
use health::{Doubt, Finding, Findings, Outcome, Phase, Phases, Reason};

pub use health::Past;

/// How many outcomes of each target are kept.
pub const RECENT: usize = 24;
const PAGE: usize = 256;

/// The figures of all slots that are checked; a place for each slot, in pages that never move.
#[derive(Debug)]
pub struct Figures {
    pages: ArcSwap<Vec<Page>>,
}

type Page = Arc<[ArcSwapOption<Figure>; PAGE]>;

/// One target's figures, read at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// When the last outcome that could tell came in.
    pub checked_at: Option<Time>,
    /// The last outcome of all, inconclusive ones too.
    pub last: Option<Past>,
    /// Its phases.
    pub phases: Phases,
    /// What differs from check to check; `None` when passed.
    pub detail: Option<Arc<str>>,
    /// The address that was asked.
    pub address: Option<IpAddr>,
    /// The status of an HTTP answer.
    pub http_status: Option<u16>,
    /// When the certificate ends.
    pub cert_expiry: Option<Wall>,
}

#[derive(Debug, Default)]
struct Figure {
    checked_at: AtomicU64,
    written: AtomicU32,
    http_status: AtomicU16,
    phases: [AtomicU32; 5],
    cert_expiry: AtomicI64,
    address: [AtomicU64; 2],
    detail: ArcSwapOption<Arc<str>>,
    recent: [[AtomicU64; 2]; RECENT],
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            pages: ArcSwap::from_pointee(Vec::new()),
        }
    }
}

impl Figures {
    /// Makes room for `slot`, or forgets what it held for an earlier target.
    pub fn clear(&self, slot: Slot) {
        if slot.index() / PAGE >= self.pages.load().len() {
            let mut more = (*self.pages.load_full()).clone();
            more.resize_with(slot.index() / PAGE + 1, || {
                Arc::new(std::array::from_fn(|_| ArcSwapOption::empty()))
            });
            self.pages.store(Arc::new(more));
        }
        let pages = self.pages.load();
        pages[slot.index() / PAGE][slot.index() % PAGE].store(Some(Arc::default()));
    }

    /// What is in `slot` is not checked here any more: it has no figures.
    pub fn forget(&self, slot: Slot) {
        if let Some(page) = self.pages.load().get(slot.index() / PAGE) {
            page[slot.index() % PAGE].store(None);
        }
    }

    /// What a slot holds; looked at for each outcome.
    fn with<T>(&self, slot: Slot, look: impl FnOnce(&Figure) -> T) -> Option<T> {
        let pages = self.pages.load();
        let figure = pages.get(slot.index() / PAGE)?[slot.index() % PAGE].load();
        figure.as_deref().map(look)
    }

    /// Writes down an outcome that came in at `at`, by the wall clock at `wall`, and was judged as
    /// `finding`.
    ///
    /// Only the driver calls this. A slot without room is left alone.
    pub fn record(&self, slot: Slot, at: Time, wall: Wall, finding: Finding, outcome: &Outcome) {
        self.with(slot, |figure| figure.record(at, wall, finding, outcome));
    }

    /// The figures of `slot` now; empty for one that was never checked.
    #[must_use]
    pub fn read(&self, slot: Slot) -> Reading {
        self.with(slot, Figure::read).unwrap_or_default()
    }

    /// All of `slot` that an account of its target holds.
    #[must_use]
    pub fn findings(&self, slot: Slot) -> Findings {
        let recent = self.recent(slot);
        if recent.is_empty() {
            return Findings::default();
        }
        let reading = self.read(slot);
        Findings {
            recent,
            phases: reading.phases,
            detail: reading.detail,
            address: reading.address,
            http_status: reading.http_status,
            cert_expiry: reading.cert_expiry,
        }
    }

    /// When the last outcome of `slot` that could tell came in.
    #[must_use]
    pub fn checked_at(&self, slot: Slot) -> Option<Time> {
        let at = self.with(slot, |figure| figure.checked_at.load(Relaxed))?;
        (at > 0).then_some(Time(at))
    }

    /// The last outcomes of `slot`, oldest first.
    #[must_use]
    pub fn recent(&self, slot: Slot) -> Vec<Past> {
        self.with(slot, Figure::recent).unwrap_or_default()
    }
}

impl From<&Findings> for Reading {
    /// What another node found, of which it is not said when on this node's clock.
    fn from(findings: &Findings) -> Self {
        Self {
            checked_at: None,
            last: findings.recent.last().copied(),
            phases: findings.phases,
            detail: findings.detail.clone(),
            address: findings.address,
            http_status: findings.http_status,
            cert_expiry: findings.cert_expiry,
        }
    }
}

impl Figure {
    fn record(&self, at: Time, wall: Wall, finding: Finding, outcome: &Outcome) {
        if !matches!(finding, Finding::Inconclusive(_)) {
            self.checked_at.store(at.0, Relaxed);
        }
        for (place, micros) in self.phases.iter().zip(outcome.phases.0) {
            place.store(micros, Relaxed);
        }
        self.http_status
            .store(outcome.http_status.unwrap_or(0), Relaxed);
        if let Some(expiry) = outcome.cert_expiry {
            self.cert_expiry.store(expiry.0, Relaxed);
        }
        let bits = outcome
            .address
            .map_or(0, |address| to_v6(address).to_bits());
        self.address[0].store(u64::try_from(bits >> 64).expect("the upper half"), Relaxed);
        self.address[1].store(
            u64::try_from(bits & u128::from(u64::MAX)).expect("the lower half"),
            Relaxed,
        );
        if outcome.detail.is_some() || self.detail.load().is_some() {
            self.detail.store(outcome.detail.clone().map(Arc::new));
        }
        let written = self.written.load(Relaxed);
        let [when, what] = &self.recent[written as usize % RECENT];
        when.store(wall.0.cast_unsigned(), Relaxed);
        what.store(pack(finding, outcome.phases.total()), Relaxed);
        self.written.store(written.wrapping_add(1).max(1), Relaxed);
    }

    fn read(&self) -> Reading {
        let written = self.written.load(Relaxed);
        if written == 0 {
            return Reading::default();
        }
        let checked_at = self.checked_at.load(Relaxed);
        let [upper, lower] = &self.address;
        let bits = u128::from(upper.load(Relaxed)) << 64 | u128::from(lower.load(Relaxed));
        let http_status = self.http_status.load(Relaxed);
        let cert_expiry = self.cert_expiry.load(Relaxed);
        let detail = self.detail.load_full();
        Reading {
            checked_at: (checked_at > 0).then_some(Time(checked_at)),
            last: self.past(written.wrapping_sub(1)),
            phases: Phases(std::array::from_fn(|i| self.phases[i].load(Relaxed))),
            detail: detail.map(|detail| Arc::<str>::clone(&detail)),
            address: (bits != 0).then(|| Ipv6Addr::from_bits(bits).to_canonical()),
            http_status: (http_status > 0).then_some(http_status),
            cert_expiry: (cert_expiry != 0).then_some(Wall(cert_expiry)),
        }
    }

    fn recent(&self) -> Vec<Past> {
        let written = self.written.load(Relaxed);
        let kept = u32::try_from(RECENT).expect("a small constant");
        let first = written - kept.min(written);
        (first..written).filter_map(|n| self.past(n)).collect()
    }

    fn past(&self, n: u32) -> Option<Past> {
        let [when, what] = &self.recent[n as usize % RECENT];
        let (finding, latency) = unpack(what.load(Relaxed))?;
        Some(Past {
            at: Wall(when.load(Relaxed).cast_signed()),
            finding,
            latency,
        })
    }
}

fn to_v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

/// Latency in the upper half, the stored reason above the kind in the lower.
fn pack(finding: Finding, latency: Duration) -> u64 {
    let (kind, reason) = match finding {
        Finding::Passed => (1, 0),
        Finding::Failed(reason) => (2, reason.to_stored()),
        Finding::Inconclusive(doubt) => (3 + doubt as u64, 0),
    };
    let micros = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX);
    u64::from(micros) << 32 | u64::from(reason) << 8 | kind
}

fn unpack(word: u64) -> Option<(Finding, Duration)> {
    let reason = u32::try_from(word >> 8 & 0x00ff_ffff).expect("24 bits");
    let finding = match word & 0xff {
        0 => return None,
        1 => Finding::Passed,
        2 => Finding::Failed(Reason::from_stored(reason)),
        n => Finding::Inconclusive(*Doubt::ALL.get(usize::try_from(n - 3).expect("a byte"))?),
    };
    Some((finding, Duration::from_micros(word >> 32)))
}

/// The phases of a reading by name, those that happened only.
#[must_use]
pub fn named_phases(phases: &Phases) -> Vec<(&'static str, Duration)> {
    Phase::ALL
        .into_iter()
        .map(|p| (p.name(), phases.get(p)))
        .filter(|(_, span)| !span.is_zero())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(finding: Finding, micros: u32) -> Outcome {
        let mut outcome = Outcome::new(finding);
        outcome.phases = Phases([0, micros, 0, 0, 0]);
        outcome
    }

    #[test]
    fn a_slot_that_was_never_checked_reads_empty() {
        let figures = Figures::default();
        assert_eq!(figures.read(Slot(9)), Reading::default());
        figures.clear(Slot(9));
        assert_eq!(figures.read(Slot(9)), Reading::default());
        assert_eq!(figures.recent(Slot(9)), []);
    }

    #[test]
    fn what_is_not_checked_here_any_more_has_no_figures_and_takes_none() {
        let figures = Figures::default();
        figures.clear(Slot(600));
        let passed = outcome(Finding::Passed, 7);
        let record = || figures.record(Slot(600), Time(1), Wall(1), Finding::Passed, &passed);
        record();
        assert_eq!(figures.recent(Slot(600)).len(), 1);
        figures.forget(Slot(600));
        record();
        assert_eq!(figures.read(Slot(600)), Reading::default());
        figures.forget(Slot(70_000));
        figures.clear(Slot(600));
        assert_eq!(figures.recent(Slot(600)), []);
    }

    #[test]
    fn the_last_outcomes_come_back_oldest_first() {
        let figures = Figures::default();
        figures.clear(Slot(300));
        for i in 1..=40_u64 {
            let finding = if i % 2 == 0 {
                Finding::Passed
            } else {
                Finding::Failed(Reason::Status(503))
            };
            let wall = Wall(i64::try_from(i).unwrap() * 1_000);
            figures.record(Slot(300), Time(i), wall, finding, &outcome(finding, 7));
        }
        let recent = figures.recent(Slot(300));
        assert_eq!(recent.len(), RECENT);
        assert_eq!(recent.first().map(|p| p.at), Some(Wall(17_000)));
        assert_eq!(
            recent.last(),
            Some(&Past {
                at: Wall(40_000),
                finding: Finding::Passed,
                latency: Duration::from_micros(7)
            })
        );
        assert_eq!(recent[0].finding, Finding::Failed(Reason::Status(503)));
    }

    #[test]
    fn an_inconclusive_outcome_is_shown_but_does_not_count_as_a_check() {
        let figures = Figures::default();
        figures.clear(Slot(0));
        figures.record(
            Slot(0),
            Time(5),
            Wall(0),
            Finding::Passed,
            &outcome(Finding::Passed, 1),
        );
        let doubt = Finding::Inconclusive(Doubt::Ports);
        figures.record(Slot(0), Time(9), Wall(0), doubt, &outcome(doubt, 1));
        let reading = figures.read(Slot(0));
        assert_eq!(reading.checked_at, Some(Time(5)));
        assert_eq!(reading.last.map(|p| p.finding), Some(doubt));
    }

    #[test]
    fn addresses_of_both_families_come_back() {
        let figures = Figures::default();
        figures.clear(Slot(0));
        for text in ["127.0.0.1", "2001:db8::7", "::1"] {
            let address: IpAddr = text.parse().unwrap();
            let mut outcome = outcome(Finding::Passed, 1);
            outcome.address = Some(address);
            figures.record(Slot(0), Time(1), Wall(0), Finding::Passed, &outcome);
            assert_eq!(figures.read(Slot(0)).address, Some(address));
        }
    }

    #[test]
    fn a_reused_slot_remembers_nothing() {
        let figures = Figures::default();
        figures.clear(Slot(0));
        let mut failed = outcome(Finding::Failed(Reason::Refused), 1);
        failed.detail = Some("127.0.0.1:9".into());
        figures.record(Slot(0), Time(1), Wall(0), failed.finding, &failed);
        figures.clear(Slot(0));
        assert_eq!(figures.read(Slot(0)), Reading::default());
    }
}
