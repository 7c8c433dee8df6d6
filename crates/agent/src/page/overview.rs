//! `/`: counts, groups, the wall, and the targets, worst first.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use base::Time;
use health::{Row, View};
use maud::{Markup, html};
use url::form_urlencoded::Serializer;

use super::layout::Frame;
use super::{answer, groups, list, nodes, parts, trouble, wall};
use crate::api::{Desk, Filter, Freshness, Overview, Query};
use crate::front::Front;

/// Parameters of the page besides the filter's.
const OWN: [&str; 3] = ["page", "fragment", "wall"];

/// What the page was asked for.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) filter: Filter,
    query: Query,
    /// From 1.
    pub(super) page: usize,
    is_fragment: bool,
}

/// The targets that are meant, in five piles, worst first.
pub(super) type Piles<'a> = [Vec<&'a Row>; 5];

/// `GET /`.
pub(super) async fn show(State(desk): State<Arc<Desk>>, query: Query) -> Response {
    let wish = match Wish::read(query) {
        Ok(wish) => wish,
        Err(why) => {
            return trouble(
                &desk,
                StatusCode::BAD_REQUEST,
                "This address is not understood",
                &why,
            );
        }
    };
    let front = &*desk.front;
    let overview = desk.overview(Freshness::ThisView);
    let view = Arc::clone(&overview.view);
    let now = front.clock.now();
    let piles = pile(front, &view, &wish.filter, now);
    let content = html! {
        (tiles(&overview, &wish))
        div.floor {
            (nodes::strip(view.fleet().map(|fleet| &**fleet)))
            (groups::strip(&overview, &wish))
            (wall::show(&view, &piles, front, now, wish.query.get("wall")))
            section.list aria-label="Targets" {
                @if !wish.is_fragment { (search(&overview, &wish)) }
                (list::show(front, &piles, &wish, view.is_empty(), now))
            }
        }
    };
    let frame = Frame {
        desk: &desk,
        title: String::new(),
        is_live: true,
    };
    answer(if wish.is_fragment {
        frame.fragment(&content)
    } else {
        frame.around(&content)
    })
}

impl Wish {
    fn read(query: Query) -> Result<Self, String> {
        let known: Vec<&str> = Filter::ONCE.into_iter().chain(OWN).collect();
        let filter = query
            .allow(&known, &Filter::REPEATED)
            .and_then(|()| Filter::read(&query))
            .map_err(|problem| problem.detail().to_owned())?;
        let page = match query.get("page") {
            None => 1,
            Some(text) => text
                .parse()
                .ok()
                .filter(|page| (1..=1_000_000).contains(page))
                .ok_or_else(|| format!("'page' is a number from 1, not '{text}'"))?,
        };
        let is_fragment = query.get("fragment").is_some();
        Ok(Self {
            filter,
            query,
            page,
            is_fragment,
        })
    }

    /// This page's address with `key` set to `value`, or without it; back on the first page.
    pub(super) fn address(&self, key: &str, value: Option<&str>) -> String {
        let mut out = Serializer::new(String::new());
        let kept = Filter::ONCE.into_iter().chain(Filter::REPEATED);
        for name in kept.filter(|name| *name != key) {
            for text in self.query.all(name) {
                out.append_pair(name, text);
            }
        }
        if let Some(value) = value {
            out.append_pair(key, value);
        }
        let text = out.finish();
        if text.is_empty() {
            "/".to_owned()
        } else {
            format!("/?{text}")
        }
    }

    /// What was given as `key`.
    pub(super) fn given<'a>(&'a self, key: &'a str) -> &'a str {
        self.query.get(key).unwrap_or_default()
    }
}

fn pile<'a>(front: &Front, view: &'a View, filter: &Filter, now: Time) -> Piles<'a> {
    let mut piles = Piles::default();
    let all = filter.is_empty();
    for row in view.rows(None) {
        if all || filter.matches(front, row, now) {
            piles[rank(front, row, now)].push(row);
        }
    }
    piles
}

fn rank(front: &Front, row: &Row, now: Time) -> usize {
    match row.state() {
        health::State::Down => 0,
        health::State::Unknown => 1,
        health::State::Up if front.is_stale(row, now) => 2,
        health::State::Up => 3,
        health::State::Paused => 4,
    }
}

fn tiles(overview: &Overview, wish: &Wish) -> Markup {
    let counts = overview.view.counts();
    html! {
        nav.tiles data-live="tiles" aria-label="Targets by state" {
            @for state in health::State::ALL {
                (tile(state.name(), counts.of(state), ("state", state.name()), wish))
            }
            (tile("stale", overview.stale, ("stale", "true"), wish))
        }
    }
}

/// A count that leads to the targets that it counts, and back when it is chosen.
fn tile(name: &str, count: usize, (key, value): (&str, &str), wish: &Wish) -> Markup {
    let is_chosen = wish.given(key) == value;
    let class = if count == 0 { "tile none" } else { "tile" };
    html! {
        a class={ (class) " " (name) } href=(wish.address(key, (!is_chosen).then_some(value)))
            aria-current=[is_chosen.then_some("true")]
            title=[(name == "stale").then_some("Not checked for more than 1.5 intervals and a timeout")] {
            span.number { (count) } " "
            span.word { (parts::shape(name)) (name) }
        }
    }
}

fn search(overview: &Overview, wish: &Wish) -> Markup {
    let groups: Vec<&str> = overview
        .groups
        .iter()
        .filter_map(|g| g.name.as_deref())
        .collect();
    html! {
        form #search role="search" method="get" action="/" {
            input #q type="search" name="q" value=(wish.given("q")) autocomplete="off"
                spellcheck="false" maxlength="200" aria-label="Search targets" aria-keyshortcuts="/"
                placeholder="Search name, address, label, error";
            select name="state" aria-label="State" {
                option value="" { "any state" }
                @for state in health::State::ALL {
                    @let name = state.name();
                    option value=(name) selected[wish.given("state") == name] { (name) }
                }
            }
            @if !groups.is_empty() {
                select name="group" aria-label="Group" {
                    option value="" { "any group" }
                    @for group in groups.iter().take(500) {
                        option value=(group) selected[wish.given("group") == *group] { (group) }
                    }
                }
            }
            @for key in ["stale", "label"] {
                @for value in wish.query.all(key) { input type="hidden" name=(key) value=(value); }
            }
            button type="submit" { "Search" }
        }
    }
}
