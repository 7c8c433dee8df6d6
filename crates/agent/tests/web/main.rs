//! API and page over a node of invented targets: every answer as `openapi.json` says, metrics as
//! Prometheus reads them, the page in a real browser.

mod answers;
mod browser;
#[path = "../../../cli/tests/page/devtools.rs"]
mod devtools;
mod fake;
mod metrics;
mod openapi;
mod page;
mod random;
mod schema;
mod sockets;
mod tools;
