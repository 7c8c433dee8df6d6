//! The wall: one small square per target, so that thousands of states are seen at a glance.
//!
//! Kept light: at most 5,000 squares and less than a megabyte; the script gets it again only
//! when a square changed.

use base::Time;

use health::{Row, View};
use maud::{Markup, html};

use super::overview::Piles;
use crate::api::encode_segment;
use crate::front::Front;

/// Fewer targets are seen at a glance in the table.
const FROM: usize = 200;
const SQUARES: usize = 5_000;
const BYTES: usize = 900_000;
/// About what a square takes besides its name.
const SQUARE_BYTES: usize = 80;

/// The wall of the targets in `piles`, or an empty place for it; `seen` names the wall that the
/// reader has.
pub(super) fn show(
    view: &View,
    piles: &Piles<'_>,
    front: &Front,
    now: Time,
    seen: Option<&str>,
) -> Markup {
    let mut rows: Vec<&Row> = piles.iter().flatten().copied().collect();
    let bytes: usize = rows
        .iter()
        .map(|row| row.name().len() * 3 + SQUARE_BYTES)
        .sum();
    if view.len() <= FROM || rows.is_empty() || rows.len() > SQUARES || bytes > BYTES {
        return html! { section.wall data-live="wall" {} };
    }
    rows.sort_unstable_by(|a, b| a.name().cmp(b.name()));
    let letters: Vec<(&Row, &str)> = rows
        .iter()
        .map(|row| (*row, letter(front, row, now)))
        .collect();
    let version = version(&letters);
    if seen == Some(&version) {
        return html! { section.wall data-live="wall" data-same {} };
    }
    let size = match rows.len() {
        0..=600 => "large",
        601..=2_000 => "medium",
        _ => "small",
    };
    html! {
        section.wall data-live="wall" data-version=(version) aria-label="All found targets, by name" {
            h2 { "At a glance " small { (rows.len()) " by name" } }
            div class={ "squares " (size) } {
                @for (row, letter) in letters { (square(row, letter)) }
            }
        }
    }
}

fn square(row: &Row, letter: &str) -> Markup {
    let name = row.name();
    let words = match letter {
        "s" => "up, stale",
        _ => row.state().name(),
    };
    html! {
        a class=(letter) href={ "/targets/" (encode_segment(name)) } tabindex="-1"
            title={ (name) ": " (words) } aria-label={ (name) " " (words) } {}
    }
}

fn letter(front: &Front, row: &Row, now: Time) -> &'static str {
    match row.state() {
        health::State::Down => "d",
        health::State::Unknown => "q",
        health::State::Up if front.is_stale(row, now) => "s",
        health::State::Up => "u",
        health::State::Paused => "p",
    }
}

fn version(letters: &[(&Row, &str)]) -> String {
    let mut text = String::new();
    for (row, letter) in letters {
        text.push_str(row.name());
        // No name holds a line break.
        text.push('\n');
        text.push_str(letter);
    }
    format!("{:016x}", base::hash64(text.as_bytes()))
}
