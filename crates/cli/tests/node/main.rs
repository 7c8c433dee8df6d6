//! The real binary with real sockets, signals and a real disk.
//!
//! One target server in this process answers on every 127.x.y.z address; each test runs nodes of
//! its own with a data directory, a config and ports of its own. No test measures speed: waits
//! end as soon as what is waited for is there, and give up after a generous time.

mod calm;
mod cluster;
mod crash;
mod flood;
mod quickstart;
mod reads;
mod server;
mod signals;
mod strangers;
mod support;
mod verdicts;
