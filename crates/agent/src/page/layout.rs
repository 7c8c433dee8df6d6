//! What stands around every page: head, top bar, and the places that the script writes to.

use maud::{DOCTYPE, Markup, html};

use super::{assets, parts, words};
use crate::api::{Desk, rfc3339};

/// A page's outside.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub(super) desk: &'a Desk,
    pub(super) title: String,
    /// Whether the script keeps it up to date.
    pub(super) is_live: bool,
}

impl Frame<'_> {
    /// The whole document.
    pub(super) fn around(&self, content: &Markup) -> Markup {
        let down = self.desk.front.view.load().counts().down;
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    (title(down, &self.title))
                    link rel="icon" href=(assets::ICON.place());
                    link rel="stylesheet" href=(assets::STYLE.place());
                    @if self.is_live { script defer src=(assets::SCRIPT.place()) {} }
                }
                body {
                    (parts::shapes())
                    (self.bar())
                    main { (content) }
                    p #said .unseen role="status" aria-live="polite" {}
                }
            }
        }
    }

    /// What the script fetches: the title and the content alone.
    pub(super) fn fragment(&self, content: &Markup) -> Markup {
        let down = self.desk.front.view.load().counts().down;
        html! { (title(down, &self.title)) (self.pulse()) (content) }
    }

    fn bar(&self) -> Markup {
        let node = &*self.desk.front.identity.name;
        html! {
            header.bar {
                a.brand href="/" { img src=(assets::ICON.place()) alt="" width="22" height="22"; "roundsman" }
                span.node { "node " b { (node) } }
                (self.pulse())
            }
        }
    }

    fn pulse(&self) -> Markup {
        let now = self.desk.front.clock.wall();
        html! {
            span #pulse data-now=(rfc3339(now)) {
                "as of " (&words::moment(now)[11..]) " UTC"
            }
        }
    }
}

fn title(down: usize, title: &str) -> Markup {
    html! {
        title {
            @if down > 0 { "(" (down) " down) " }
            @if !title.is_empty() { (title) " · " }
            "roundsman"
        }
    }
}
