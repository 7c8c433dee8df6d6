//! Small drawings, as SVG whose sizes are attributes: the security policy allows no inline style.

use health::{Finding, Phase, Phases};
use maud::{Markup, html};

use crate::api::{failure, finding_name};
use crate::figures::{Past, RECENT};
use crate::page::words;

/// The phases of one check, side by side, as long as they took.
pub(super) fn phases(phases: &Phases) -> Markup {
    let total = phases.0.iter().map(|&p| u64::from(p)).sum::<u64>();
    let mut from = 0;
    let parts = Phase::ALL.map(|phase| {
        let (start, width) = (from, u64::from(phases.0[phase as usize]));
        from += width;
        (phase, start, width)
    });
    html! {
        @if total > 0 {
            svg.phases viewBox={ "0 0 " (total) " 1" } preserveAspectRatio="none" aria-hidden="true" {
                @for (phase, start, width) in parts {
                    @if width > 0 { rect class=(phase.name()) x=(start) width=(width) height="1" {} }
                }
            }
        }
        ul.legend {
            @for phase in Phase::ALL {
                @let span = phases.get(phase);
                li .none[span.is_zero()] {
                    span class={ "swatch " (phase.name()) } {}
                    (phase.name()) " " b { @if span.is_zero() { "–" } @else { (words::latency(span)) } }
                }
            }
            li.total { "total " b { (words::latency(phases.total())) } }
        }
    }
}

/// How far a counter is: filled and empty pips, or numbers where there are too many.
pub(super) fn pips(count: u16, of: u16, class: &str) -> Markup {
    let count = count.min(of);
    html! {
        @if of <= 12 {
            span class={ "pips " (class) } aria-hidden="true" {
                @for at in 0..of { i .full[at < count] {} }
            }
            " "
        }
        (count) " of " (of)
    }
}

/// The last checks as bars: as high as they took, on a scale of square roots so that a slow one
/// does not hide the others. What failed is also wider and stands on a line.
pub(super) fn recent(recent: &[Past]) -> Markup {
    let longest = recent
        .iter()
        .map(|past| past.latency.as_secs_f64())
        .fold(1e-6, f64::max);
    let empty = RECENT.saturating_sub(recent.len());
    html! {
        svg.recent viewBox={ "0 0 " (RECENT * 10) " 48" } preserveAspectRatio="none" role="img"
            aria-label={ "Last " (recent.len()) " checks" } {
            @for (at, past) in recent.iter().enumerate() {
                @let height = 4.0 + 36.0 * (past.latency.as_secs_f64() / longest).sqrt();
                @let (x, name) = ((at + empty) * 10, finding_name(past.finding));
                g class=(name) {
                    title { (words::moment(past.at)) " UTC: " (tell(past)) }
                    rect.hit x=(x) width="10" height="48" {}
                    rect x=(x + 1) y=(format!("{:.1}", 42.0 - height)) width="8" height=(format!("{height:.1}")) {}
                    @if name != "passed" { rect x=(x) y="44" width="10" height="4" {} }
                }
            }
        }
        p.quiet { "longest " (words::latency(recent.iter().map(|p| p.latency).max().unwrap_or_default())) }
    }
}

fn tell(past: &Past) -> String {
    let took = words::latency(past.latency);
    match past.finding {
        Finding::Passed => format!("passed in {took}"),
        Finding::Failed(reason) => {
            format!(
                "failed after {took}, {}",
                failure(reason, None).unwrap_or_default()
            )
        }
        Finding::Inconclusive(doubt) => format!("could not tell, {}", doubt.words()),
    }
}
