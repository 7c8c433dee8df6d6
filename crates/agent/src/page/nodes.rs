//! A strip of nodes: who is there, how many targets each owns, who is suspected or dead.

use health::{Fleet, Seat};
use maud::{Markup, html};

use super::parts;

/// How many nodes are shown, those in trouble first; `roundsman members` lists all.
const SHOWN: usize = 24;

/// All nodes, on a node among others.
pub(super) fn strip(fleet: Option<&Fleet>) -> Markup {
    let Some(fleet) = fleet else {
        return html! { section.groups data-live="nodes" aria-label="Nodes" {} };
    };
    let mut seats: Vec<&Seat> = fleet.members.iter().filter(|s| s.state != "left").collect();
    seats.sort_by_key(|seat| (shape(seat) == "up", &seat.name));
    let hidden = seats.len().saturating_sub(SHOWN);
    let (seen, known) = fleet.seen_of_known();
    html! {
        section.groups data-live="nodes" aria-label="Nodes" {
            h2 { "Nodes " small { (seen) " of " (known) " answer" } }
            ul {
                @for seat in seats.iter().take(SHOWN) { li { (one(seat, &fleet.me)) } }
            }
            @if hidden > 0 { p.more { "and " (hidden) " more" } }
        }
    }
}

fn one(seat: &Seat, me: &str) -> Markup {
    html! {
        span.group title=(seat.address) {
            span.name { (parts::shape(shape(seat))) " " (seat.name)
                @if *seat.name == *me { small { " (this one)" } }
            } " "
            span.tally {
                @if seat.state == "alive" { span { (seat.owned) @if seat.owned == 1 { " target" } @else { " targets" } } }
                @else { span class=(shape(seat)) { (seat.state) } }
                @if seat.is_draining && seat.state == "alive" { " " span { "draining" } }
            }
        }
    }
}

/// The shape that a target in like condition would have.
fn shape(seat: &Seat) -> &'static str {
    match seat.state {
        "alive" if seat.is_draining => "paused",
        "alive" => "up",
        "suspect" => "unknown",
        _ => "down",
    }
}
