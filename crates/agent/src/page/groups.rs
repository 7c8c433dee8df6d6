//! A strip of groups: each with its counts as a bar, the worst first.

use health::{Counts, State};
use maud::{Markup, html};

use super::overview::Wish;
use crate::api::{Group, Overview};

/// How many groups are shown; the rest are found by search.
const SHOWN: usize = 24;

/// All groups, if there is more than one.
pub(super) fn strip(overview: &Overview, wish: &Wish) -> Markup {
    let mut groups: Vec<&Group> = overview.groups.iter().collect();
    groups.sort_by_key(|g| {
        (
            std::cmp::Reverse((g.counts.down, g.counts.unknown)),
            g.name.is_none(),
        )
    });
    let hidden = groups.len().saturating_sub(SHOWN);
    html! {
        section.groups data-live="groups" aria-label="Groups" {
            @if groups.len() > 1 {
                h2 { "Groups" }
                ul {
                    @for group in groups.iter().take(SHOWN) { li { (one(group, wish)) } }
                }
                @if hidden > 0 { p.more { "and " (hidden) " more, found by search" } }
            }
        }
    }
}

fn one(group: &Group, wish: &Wish) -> Markup {
    let inside = html! {
        span.name { (group.name.as_deref().unwrap_or("no group")) } " "
        span.tally {
            @for state in State::ALL {
                @let count = group.counts.of(state);
                @if count > 0 { span class=(state.name()) { (count) " " (state.name()) } " " }
            }
        }
        (bar(&group.counts))
    };
    let Some(name) = group.name.as_deref() else {
        return html! { span.group { (inside) } };
    };
    let is_chosen = wish.given("group") == name;
    html! {
        a.group href=(wish.address("group", (!is_chosen).then_some(name)))
            aria-current=[is_chosen.then_some("true")] { (inside) }
    }
}

fn bar(counts: &Counts) -> Markup {
    let total = counts.total().max(1);
    let mut from = 0;
    let parts = State::ALL.map(|state| {
        let (start, count) = (from, counts.of(state));
        from += count;
        (state.name(), start, count)
    });
    html! {
        svg.share viewBox={ "0 0 " (total) " 1" } preserveAspectRatio="none" aria-hidden="true" {
            @for (name, start, count) in parts {
                @if count > 0 { rect class=(name) x=(start) width=(count) height="1" {} }
            }
        }
    }
}
