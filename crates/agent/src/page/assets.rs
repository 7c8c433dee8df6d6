//! Style and script, built into the binary and named by their content.

use std::sync::LazyLock;

use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

use super::not_found;
use crate::api::Desk;

/// A file under `/static/` whose name changes with its content, so that it may be kept for ever.
#[derive(Debug)]
pub(super) struct Asset {
    file: String,
    kind: &'static str,
    text: &'static str,
}

pub(super) static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("css", "text/css; charset=utf-8", include_str!("app.css")));
pub(super) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new(
        "js",
        "text/javascript; charset=utf-8",
        include_str!("app.js"),
    )
});
pub(super) static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("svg", "image/svg+xml", include_str!("icon.svg")));

impl Asset {
    fn new(extension: &str, kind: &'static str, text: &'static str) -> Self {
        let hash = base::hash64(text.as_bytes());
        Self {
            file: format!("app-{hash:016x}.{extension}"),
            kind,
            text,
        }
    }

    /// Where it is served.
    pub(super) fn place(&self) -> String {
        format!("/static/{}", self.file)
    }
}

/// `GET /static/{file}`.
pub(super) async fn serve(State(desk): State<Arc<Desk>>, Path(file): Path<String>) -> Response {
    let all = [&*STYLE, &*SCRIPT, &*ICON];
    let Some(asset) = all.into_iter().find(|asset| asset.file == file) else {
        return not_found(&desk, "There is no such file in this version.");
    };
    let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.kind)),
        (header::CACHE_CONTROL, forever),
    ];
    (headers, asset.text).into_response()
}
