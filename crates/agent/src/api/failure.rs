//! The words in which a target's trouble is told: one place for API, events and page.

use health::{Finding, Reason, Row, State};

use crate::figures::Reading;

/// "refused: 127.0.0.1:9": the reason's words and what was special this time; `None` without a
/// reason.
pub(crate) fn failure(reason: Reason, detail: Option<&str>) -> Option<String> {
    if reason == Reason::None {
        return None;
    }
    let words = reason.words();
    Some(match detail.filter(|detail| !detail.is_empty()) {
        None => words,
        Some(detail) => format!("{words}: {detail}"),
    })
}

/// The reason's stable code; `None` without a reason.
pub(crate) fn code(reason: Reason) -> Option<String> {
    (reason != Reason::None).then(|| reason.code())
}

/// Why `row` is in trouble: its last outcome if that failed, else its status if it is down.
pub(crate) fn error_of(row: &Row, reading: &Reading) -> Option<String> {
    if let Some(Finding::Failed(reason)) = reading.last.map(|last| last.finding) {
        return failure(reason, reading.detail.as_deref());
    }
    if row.state() == State::Down {
        let status = row.status();
        return failure(status.reason, status.detail.as_deref());
    }
    None
}
