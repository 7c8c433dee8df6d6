//! What target server and orchestrator say to each other, and the log's records.

use std::net::Ipv4Addr;

/// The kernel's monotonic clock in nanoseconds: the same in every process.
#[must_use]
pub fn now_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let (seconds, nanos) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
    seconds * 1_000_000_000 + nanos
}

/// The address of the `index`-th target: 127.1.0.1 upward, each a target of its own.
#[must_use]
pub fn address(index: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x7f01_0001 + index)
}

/// How a target behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Answers 200.
    #[default]
    Up,
    /// Answers 503.
    Unavailable,
    /// Resets the connection after accepting it.
    Reset,
    /// Accepts and stays silent.
    Silent,
}

impl Mode {
    /// The modes in which a target is down.
    pub const DOWN: [Self; 3] = [Self::Unavailable, Self::Reset, Self::Silent];

    /// The mode as a byte of a record.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The mode with this code.
    #[must_use]
    pub const fn of(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Up),
            1 => Some(Self::Unavailable),
            2 => Some(Self::Reset),
            3 => Some(Self::Silent),
            _ => None,
        }
    }

    /// For people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Unavailable => "503",
            Self::Reset => "reset",
            Self::Silent => "silent",
        }
    }
}

/// One request that reached a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// When, on the monotonic clock.
    pub ns: u64,
    /// Which target.
    pub address: u32,
    /// How the target behaved.
    pub mode: u8,
}

impl Record {
    /// Bytes of one record.
    pub const SIZE: usize = 16;

    /// The record as bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..8].copy_from_slice(&self.ns.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.address.to_le_bytes());
        bytes[12] = self.mode;
        bytes
    }

    /// The record that was written as `bytes`.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, mode, ..] = bytes;
        Self {
            ns: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            address: u32::from_le_bytes([i, j, k, l]),
            mode,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_as_it_was() {
        let record = Record {
            ns: 0x0102_0304_0506_0708,
            address: 0x7f01_0001,
            mode: 3,
        };
        assert_eq!(Record::from_bytes(record.to_bytes()), record);
    }

    #[test]
    fn every_mode_comes_back_from_its_code() {
        for mode in [Mode::Up].into_iter().chain(Mode::DOWN) {
            assert_eq!(Mode::of(mode.code()), Some(mode));
        }
        assert_eq!(Mode::of(4), None);
    }

    #[test]
    fn targets_have_addresses_of_their_own() {
        assert_eq!(address(0).to_string(), "127.1.0.1");
        assert_eq!(address(99_999).to_string(), "127.2.134.160");
    }
}
