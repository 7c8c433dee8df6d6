//! Sockets, disk, clock, probes, API and page around one node.

pub mod probe;
