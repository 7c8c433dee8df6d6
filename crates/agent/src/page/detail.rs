//! `/targets/{name}`: one target in full.

mod chart;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use base::{Duration, Time, Wall};
use health::{Explanation, Finding, Missing, State as Condition};
use maud::{Markup, html};

use super::layout::Frame;
use super::{answer, not_found, parts, trouble, words};
use crate::api::{
    Change, Desk, Name, Query, Story, definition_to_json, encode_segment, failure, masked, missing,
    name_of, order,
};
use crate::front::Front;

/// How long the page waits for the driver, which gives the owner half a second.
const PATIENCE: Duration = Duration::from_millis(750);

/// `GET /targets/{name}`.
pub(super) async fn show(State(desk): State<Arc<Desk>>, name: Name, query: Query) -> Response {
    let name = match name_of(name) {
        Ok(name) => name,
        Err(why) => return trouble(&desk, StatusCode::BAD_REQUEST, "No such name", why.detail()),
    };
    let front = &*desk.front;
    if front.view.load().get(&name).is_none() {
        return not_found(&desk, &format!("There is no target “{name}”."));
    }
    // Without an answer the owner's part is missing, and all else is shown.
    let answer_in_time = tokio::time::timeout(PATIENCE, front.account(&name)).await;
    let told = answer_in_time.ok().and_then(Result::ok);
    let told = told.unwrap_or(Err(Missing::TooMany));
    let Some(story) = Story::tell(front, &name, told) else {
        return not_found(&desk, &format!("There is no target “{name}”."));
    };
    let content = html! {
        div.one data-live="target" {
            p.back { a href="/" data-back { "← All targets" } }
            (head(front, &story))
            div.cards {
                (last(&story))
                (counters(&story))
                (recent(&story))
                (changes(&story))
                (definition(&story))
            }
        }
    };
    let frame = Frame {
        desk: &desk,
        title: name,
        is_live: true,
    };
    let is_fragment = query.get("fragment").is_some();
    answer(if is_fragment {
        frame.fragment(&content)
    } else {
        frame.around(&content)
    })
}

fn head(front: &Front, story: &Story) -> Markup {
    let (definition, row) = (&story.row.definition, &story.row);
    let is_stale = front.is_stale(row, story.now);
    html! {
        header.who {
            h1 {
                (parts::state(row.status.state)) " " span.name { (row.name()) } " "
                small { "for " (parts::ago(row.status.since, story.wall)) }
            }
            @if is_stale { span.badge.stale { (parts::shape("stale")) "stale" } }
            @if row.votes.as_ref().is_some_and(|votes| votes.contested) {
                span.badge { "contested: others see it answer" }
            }
            @if row.shadowed() { span.badge { "the API's definition is shadowed by the file's" } }
            p.where {
                span { (masked(definition.probe.address())) }
                span { (definition.probe.kind()) " every " (words::exact(definition.interval))
                    ", timeout " (words::exact(definition.timeout)) }
                @if let Some(group) = definition.group.as_deref() {
                    span { "group " a href={ "/?group=" (encode_segment(group)) } { (group) } }
                }
                @let order = order(front, row);
                @match order.split_first() {
                    Some((owner, standbys)) => span {
                        "checked by " (owner)
                        @if !standbys.is_empty() { ", then " (standbys.join(", ")) }
                    }
                    None => span { "checked by nobody who answers" }
                }
                span { "defined in the " (match row.source.name() { "api" => "API", other => other }) }
            }
            @if !definition.labels.is_empty() {
                ul.labels {
                    @for (key, value) in &definition.labels {
                        @let pair = format!("{key}={value}");
                        li { a href={ "/?label=" (encode_segment(&pair)) } { (key) "=" b { (value) } } }
                    }
                }
            }
            p class={ "why " (row.status.state.name()) } { (story.why()) "." }
            @if let Some(votes) = &row.votes { p.quiet { "Votes: " (ballots(&votes.votes)) } }
            @if !story.accusations.is_empty() { p.quiet { "Do not answer: " (accused(story)) } }
        }
    }
}

fn ballots(votes: &[health::Vote]) -> String {
    let said = |vote: &health::Vote| {
        let word = match vote.passed {
            Some(true) => "passed",
            Some(false) => "failed",
            None => "silent",
        };
        format!("{} {word}", vote.node)
    };
    votes.iter().map(said).collect::<Vec<_>>().join(", ")
}

/// Accusations that are shown at most, the newest; `explain` has more.
const ACCUSED_SHOWN: usize = 6;

fn accused(story: &Story) -> String {
    let skip = story.accusations.len().saturating_sub(ACCUSED_SHOWN);
    let said = story.accusations[skip..]
        .iter()
        .map(|said| format!("{} ({} says)", said.member, said.by));
    said.collect::<Vec<_>>().join(", ")
}

fn last(story: &Story) -> Markup {
    let reading = &story.reading;
    html! {
        section.card.wide aria-label="Last check" {
            h2 { "Last check" }
            @if let Some(last) = reading.last {
                p.result {
                    (verdict(last.finding, reading.detail.as_deref()))
                    " · " (parts::ago(last.at, story.wall)) " ago"
                }
                (chart::phases(&reading.phases))
                dl {
                    @if let Some(status) = reading.http_status { dt { "HTTP status" } dd { (status) } }
                    @if let Some(address) = reading.address { dt { "Address" } dd { (address) } }
                    @if let Some(at) = reading.cert_expiry { (certificate(at, story.wall)) }
                }
            } @else {
                p.quiet { (story.by.as_ref().err().map_or_else(|| "Not checked yet.".to_owned(), missing)) }
            }
        }
    }
}

fn verdict(finding: Finding, detail: Option<&str>) -> Markup {
    match finding {
        Finding::Passed => html! { b.up { "passed" } },
        Finding::Failed(reason) => html! {
            b.down { "failed" } " " (failure(reason, detail).unwrap_or_default())
        },
        Finding::Inconclusive(doubt) => html! {
            b.unknown { "could not tell" } " " (doubt.words())
        },
    }
}

fn certificate(ends: Wall, now: Wall) -> Markup {
    let left = words::between(now, ends);
    let soon = left < Duration::from_hours(14 * 24);
    html! {
        dt { "Certificate" }
        dd .unknown[soon && !left.is_zero()] .down[left.is_zero()] {
            @if left.is_zero() { "ended " } @else { "ends in " (words::span(left)) ", " }
            (words::moment(ends)) " UTC"
        }
    }
}

fn counters(story: &Story) -> Markup {
    let rule = story.row.definition.rule;
    let Some(counters) = story.counters.as_ref() else {
        return html! {
            section.card aria-label="Counters" {
                h2 { "Counters" }
                p.quiet { (story.by.as_ref().err().map(missing).unwrap_or_default()) }
            }
        };
    };
    let (window, failures) = if rule.of > rule.fall {
        let seen = u64::MAX >> (64 - u32::from(rule.of).clamp(1, 64));
        let failures = (counters.window & seen).count_ones();
        (
            format!("of the last {}", rule.of),
            u16::try_from(failures).unwrap_or(u16::MAX),
        )
    } else {
        ("in a row".to_owned(), counters.failures)
    };
    // Only what leads away from the present state: the rest stands still.
    let state = story.row.status.state;
    html! {
        section.card aria-label="Counters" {
            h2 { "Counters" }
            dl {
                @if matches!(state, Condition::Up | Condition::Unknown) {
                    dt { "Failures " (window) " until down" }
                    dd { (chart::pips(failures, rule.fall, "down")) }
                }
                @if state == Condition::Down {
                    dt { "Successes in a row until up" }
                    dd { (chart::pips(counters.successes, rule.rise, "up")) }
                }
                dt { "Next check" }
                dd { (next_check(counters, story.now)) }
            }
        }
    }
}

fn next_check(counters: &Explanation, now: Time) -> Markup {
    html! {
        @if counters.in_flight { "under way" }
        @else if let Some(due) = counters.next_due {
            "in " (words::span(due.since(now) + Duration::from_millis(500)))
        } @else { "none while paused" }
    }
}

fn recent(story: &Story) -> Markup {
    html! {
        section.card.wide aria-label="Recent checks" {
            h2 { "Recent checks " small { "latency, newest right" } }
            @if story.recent.is_empty() { p.quiet { "None since its owner started." } }
            @else { (chart::recent(&story.recent)) }
        }
    }
}

fn changes(story: &Story) -> Markup {
    let changes = &story.changes;
    html! {
        section.card.wide aria-label="Changes" {
            h2 { "Changes " small { (story.row.status.transition) " in all" } }
            @if changes.is_empty() { p.quiet { "None yet." } }
            @else {
                table.changes {
                    thead { tr {
                        th scope="col" { "When (UTC)" } th scope="col" { "State" }
                        th scope="col" { "Lasted" } th.error scope="col" { "Why" }
                    } }
                    tbody {
                        @for (at, change) in changes.iter().enumerate().rev() {
                            (one_change(change, changes.get(at + 1), story.wall))
                        }
                    }
                }
            }
        }
    }
}

fn one_change(change: &Change, next: Option<&Change>, now: Wall) -> Markup {
    let transition = &change.transition;
    html! {
        tr data-key=(transition.number) {
            td.when { (words::moment(transition.at)) }
            td { (parts::state(transition.to)) }
            td.lasted {
                @if let Some(next) = next {
                    (words::span(words::between(transition.at, next.transition.at)))
                } @else { (parts::ago(transition.at, now)) " so far" }
            }
            td.error { (change.error().unwrap_or_default()) }
        }
    }
}

fn definition(story: &Story) -> Markup {
    let definition = &story.row.definition;
    let json = serde_json::to_string_pretty(&definition_to_json(definition)).unwrap_or_default();
    let api = format!("/v1/targets/{}", encode_segment(story.row.name()));
    html! {
        section.card.wide aria-label="Definition" {
            h2 { "Definition" }
            pre { code { (json) } }
            p.quiet {
                "As JSON: " a href=(api) { "target" } " · " a href={ (api) "/explain" } { "explain" }
                " · " a href={ (api) "/history" } { "history" }
            }
        }
    }
}
