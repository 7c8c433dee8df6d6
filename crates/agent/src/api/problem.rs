//! An error as every client reads it: `application/problem+json` (RFC 9457).

use axum::http::StatusCode;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::token::Missing;
use crate::config::Fault;
use crate::front::Unanswered;

/// Why a request was not done. Unless the detail says otherwise, nothing was changed.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: String,
    errors: Vec<Mistake>,
    missing: Option<Box<Missing>>,
    /// Its name in lower case, and its value.
    header: Option<(&'static str, &'static str)>,
}

/// One mistake in what was sent, or in a file.
#[derive(Debug, Serialize)]
struct Mistake {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    line: Option<u32>,
    column: Option<u32>,
    message: String,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [Mistake],
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<&'a Missing>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            errors: Vec::new(),
            missing: None,
            header: None,
        }
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// There is no target of this name.
    pub(crate) fn no_target(name: &str) -> Self {
        Self::not_found(format!("there is no target '{name}'"))
    }

    /// What was sent reads as JSON but is no definition.
    pub(crate) fn faults(faults: &[Fault]) -> Self {
        Self::mistakes(faults.iter().map(|fault| Mistake {
            file: None,
            ..Mistake::of(fault)
        }))
    }

    /// A file is wrong.
    pub(crate) fn faults_in_files(faults: &[Fault]) -> Self {
        Self::mistakes(faults.iter().map(Mistake::of))
    }

    /// The node does not take the definition.
    pub(crate) fn refused(messages: Vec<String>) -> Self {
        Self::mistakes(messages.into_iter().map(|message| Mistake {
            file: None,
            line: None,
            column: None,
            message,
        }))
    }

    fn mistakes(mistakes: impl Iterator<Item = Mistake>) -> Self {
        let errors: Vec<Mistake> = mistakes.collect();
        let detail = match errors.as_slice() {
            [one] => one.message.clone(),
            several => format!("{} mistakes; nothing was changed", several.len()),
        };
        Self {
            errors,
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
        }
    }

    /// The same with a header that says the way out.
    pub(crate) fn with(self, name: &'static str, value: &'static str) -> Self {
        Self {
            header: Some((name, value)),
            ..self
        }
    }

    /// The same with what was waited for in vain.
    pub(super) fn missing(self, missing: Missing) -> Self {
        Self {
            missing: Some(Box::new(missing)),
            ..self
        }
    }

    /// What went wrong, for people.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    pub(crate) fn into_answer(self) -> Response {
        self.into_response()
    }
}

impl Mistake {
    fn of(fault: &Fault) -> Self {
        Self {
            file: Some(fault.file.to_string()),
            line: Some(fault.line),
            column: Some(fault.column),
            message: fault.message.clone(),
        }
    }
}

impl From<Unanswered> for Problem {
    fn from(why: Unanswered) -> Self {
        match why {
            Unanswered::Busy | Unanswered::Stopping | Unanswered::Disk => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, why.to_string()).with("retry-after", "1")
            }
            Unanswered::Late => Self::new(StatusCode::GATEWAY_TIMEOUT, why.to_string()),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Body {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            errors: &self.errors,
            missing: self.missing.as_deref(),
        };
        let text = serde_json::to_string(&body).expect("plain text and numbers serialize");
        let kind = HeaderValue::from_static("application/problem+json");
        let mut response = (self.status, [(header::CONTENT_TYPE, kind)], text).into_response();
        if let Some((name, value)) = self.header {
            let (name, value) = (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
            response.headers_mut().insert(name, value);
        }
        response
    }
}
