//! The table of targets, a hundred to a page.

use base::{Time, Wall};
use health::{Finding, OpenRow};
use maud::{Markup, html};

use super::overview::{Piles, Wish};
use super::{parts, words};
use crate::api::{encode_segment, error_of, masked};
use crate::front::Front;

const ROWS: usize = 100;

/// What a newcomer needs to see a first target.
const FIRST_STEPS: &str = "\
targets:
  - name: shop
    http: https://shop.example/healthz
    interval: 10s
  - name: database
    tcp: 10.0.0.9:5432
";

/// The page of targets that was asked for, and the way to the others.
pub(super) fn show(
    front: &Front,
    piles: &Piles<'_>,
    wish: &Wish,
    has_none: bool,
    now: Time,
) -> Markup {
    let found: usize = piles.iter().map(Vec::len).sum();
    let pages = found.div_ceil(ROWS).max(1);
    let page = wish.page.min(pages);
    let rows = piles.iter().flatten().skip((page - 1) * ROWS).take(ROWS);
    let wall = front.clock.wall();
    html! {
        div data-live="list" {
            @if has_none {
                (no_targets())
            } @else if found == 0 {
                section.empty {
                    h1 { "Nothing matches" }
                    p { a href="/" { "Show all targets" } }
                }
            } @else {
                table {
                    caption.unseen { "Targets, worst first" }
                    thead { tr {
                        th scope="col" { "State" } th scope="col" { "Target" } th.since scope="col" { "For" }
                        th.latency scope="col" { "Latency" } th.error scope="col" { "Error" }
                    } }
                    tbody { @for row in rows { (line(front, &row.open(), now, wall)) } }
                }
                (paging(wish, page, pages, found))
            }
        }
    }
}

fn line(front: &Front, row: &OpenRow, now: Time, wall: Wall) -> Markup {
    let reading = front.figures.read(row.slot);
    let name = row.name();
    let doubt = match reading.last.map(|last| last.finding) {
        Some(Finding::Inconclusive(doubt)) => Some(doubt.words()),
        _ => None,
    };
    html! {
        tr data-key=(name) class=(row.status.state.name()) {
            td.state-cell {
                (parts::state(row.status.state))
                @if front.is_stale(row, now) { " " span.badge.stale { (parts::shape("stale")) "stale" } }
            }
            th scope="row" {
                a href={ "/targets/" (encode_segment(name)) } data-row { (name) }
                span.address { (masked(row.definition.probe.address())) }
            }
            td.since { (parts::ago(row.status.since, wall)) }
            td.latency { @if let Some(last) = reading.last { (words::latency(last.latency)) } }
            td.error {
                @if let Some(error) = error_of(row, &reading) { (error) }
                @else if let Some(doubt) = doubt { span.doubt { "could not tell: " (doubt) } }
            }
        }
    }
}

fn paging(wish: &Wish, page: usize, pages: usize, found: usize) -> Markup {
    let to = |page: usize| wish.address("page", Some(&page.to_string()));
    let (first, last) = ((page - 1) * ROWS + 1, (page * ROWS).min(found));
    html! {
        nav.paging aria-label="Pages" {
            span { (first) "–" (last) " of " (found) }
            @if page > 1 { a rel="prev" href=(to(page - 1)) { "← Previous" } }
            @if page < pages { a rel="next" href=(to(page + 1)) { "Next →" } }
        }
    }
}

fn no_targets() -> Markup {
    html! {
        section.empty {
            h1 { "No targets yet" }
            p { "Name what to check in a file, and start with it:" }
            pre { code { (FIRST_STEPS) } }
            pre { code { "roundsman run targets.yaml" } }
            p { "Targets also come and go through the API, with " code { "PUT /v1/targets/NAME" }
                "; see " a href="/openapi.json" { "/openapi.json" } "." }
        }
    }
}
