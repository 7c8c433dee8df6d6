//! Promises of probes, held against real servers on loopback.

mod http;
mod keep;
mod secure;
mod servers;
mod silent;
mod tcp;
mod worker;
