//! Small pieces that several pages show.

use base::Wall;
use health::State;
use maud::{Markup, html};

use super::words;
use crate::api::rfc3339;

/// A state as shape, colour and word.
pub(super) fn state(state: State) -> Markup {
    html! {
        span class={ "state " (state.name()) } { (shape(state.name())) (state.name()) }
    }
}

/// The shape that stands for a state (or for "stale"), so that colour is not the only sign.
pub(super) fn shape(name: &str) -> Markup {
    html! { svg class={ "shape " (name) } aria-hidden="true" { use href={ "#s-" (name) }; } }
}

/// The shapes, once per page.
pub(super) fn shapes() -> Markup {
    html! {
        svg.sprite aria-hidden="true" {
            symbol id="s-down" viewBox="0 0 12 12" { path d="M.6 1.6h10.8L6 11.2z"; }
            symbol id="s-unknown" viewBox="0 0 12 12" { path d="M6 .2 11.8 6 6 11.8.2 6z"; }
            symbol id="s-up" viewBox="0 0 12 12" { circle cx="6" cy="6" r="5"; }
            symbol id="s-paused" viewBox="0 0 12 12" { path d="M2 1.2h3v9.6H2zM7 1.2h3v9.6H7z"; }
            symbol id="s-stale" viewBox="0 0 12 12" {
                path d="M6 .8a5.2 5.2 0 1 0 0 10.4A5.2 5.2 0 0 0 6 .8zM5.2 2.8h1.5v3l2.2 1.7-.9 1.2-2.8-2.2z"
                    fill-rule="evenodd";
            }
        }
    }
}

/// How long ago `at` was; the script counts on from there.
pub(super) fn ago(at: Wall, now: Wall) -> Markup {
    html! {
        time datetime=(rfc3339(at)) data-span title={ (words::moment(at)) " UTC" } {
            (words::span(words::between(at, now)))
        }
    }
}
