//! Transports over real sockets on loopback: what peers say to each other, and what strangers try.

mod floods;
mod logs;
mod relay;
mod replays;
mod rotation;
mod stage;
mod strangers;
mod streams;
mod talk;
