//! What a restart needs, as bytes: statuses with their counters, and the node's origin.
//!
//! Tagged fields like the definition codec; fields of a newer version are skipped.

use base::wire::{DecodeError, Reader, Writer};
use base::{Origin, Version, Wall};

use crate::outcome::Reason;
use crate::status::{State, Status, Transition};
use crate::verdict::Counters;

pub(crate) fn encode_version(version: Version) -> Vec<u8> {
    let mut w = Writer::new();
    w.field_number(1, version.origin.0);
    w.field_number(2, version.seq);
    w.finish()
}

pub(crate) fn decode_version(bytes: &[u8]) -> Result<Version, DecodeError> {
    let mut r = Reader::new(bytes);
    let mut version = Version::default();
    while let Some((tag, mut field)) = r.field()? {
        match tag {
            1 => version.origin = Origin(field.number()?),
            2 => version.seq = field.number()?,
            _ => {}
        }
    }
    Ok(version)
}

/// A status as tagged fields, 1 to 6; 7 and 8 are free for whoever adds to it.
pub(crate) fn put_status(w: &mut Writer, status: &Status) {
    w.field_number(1, state_number(status.state));
    w.field(2, |w| w.signed(status.since.0));
    w.field_number(3, u64::from(status.transition));
    w.field_number(4, u64::from(status.reason.to_stored()));
    if let Some(detail) = &status.detail {
        w.field_bytes(5, detail.as_bytes());
    }
    for transition in &status.recent {
        w.field(6, |w| put_transition(w, transition));
    }
}

pub(crate) fn encode_status(status: &Status, counters: &Counters) -> Vec<u8> {
    let mut w = Writer::new();
    put_status(&mut w, status);
    w.field(7, |w| {
        w.number(u64::from(counters.failures));
        w.number(u64::from(counters.successes));
        w.number(counters.window);
    });
    w.finish()
}

pub(crate) fn decode_status(bytes: &[u8]) -> Result<(Status, Counters), DecodeError> {
    let mut r = Reader::new(bytes);
    let (mut status, mut recent, mut counters) =
        (Status::default(), Vec::new(), Counters::default());
    while let Some((tag, mut field)) = r.field()? {
        match tag {
            1 => status.state = get_state(field.number()?)?,
            2 => status.since = Wall(field.signed()?),
            3 => status.transition = field.small("transition")?,
            4 => status.reason = Reason::from_stored(field.small("reason")?),
            5 => status.detail = Some(field.rest_text()?.into()),
            6 => recent.push(get_transition(field)?),
            7 => {
                counters.failures = field.small("failures")?;
                counters.successes = field.small("successes")?;
                counters.window = field.number()?;
            }
            _ => {}
        }
    }
    let skip = recent.len().saturating_sub(Status::RECENT_MAX);
    status.recent = recent.split_off(skip).into();
    counters.state = status.state;
    Ok((status, counters))
}

/// The number of the last transition in an encoded status that was read before.
pub(crate) fn transition_in(bytes: &[u8]) -> u32 {
    let mut r = Reader::new(bytes);
    while let Ok(Some((tag, mut field))) = r.field() {
        if tag == 3 {
            return field.small("transition").unwrap_or(0);
        }
    }
    0
}

fn put_transition(w: &mut Writer, transition: &Transition) {
    w.number(u64::from(transition.number));
    w.signed(transition.at.0);
    w.number(state_number(transition.from));
    w.number(state_number(transition.to));
    w.number(u64::from(transition.reason.to_stored()));
    w.number(transition.seq);
}

fn get_transition(mut r: Reader<'_>) -> Result<Transition, DecodeError> {
    Ok(Transition {
        number: r.small("transition")?,
        at: Wall(r.signed()?),
        from: get_state(r.number()?)?,
        to: get_state(r.number()?)?,
        reason: Reason::from_stored(r.small("reason")?),
        seq: r.number()?,
    })
}

pub(crate) const fn state_number(state: State) -> u64 {
    match state {
        State::Unknown => 0,
        State::Up => 1,
        State::Down => 2,
        State::Paused => 3,
    }
}

pub(crate) const fn get_state(value: u64) -> Result<State, DecodeError> {
    match value {
        0 => Ok(State::Unknown),
        1 => Ok(State::Up),
        2 => Ok(State::Down),
        3 => Ok(State::Paused),
        value => Err(DecodeError::Unknown {
            what: "state",
            value,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Phase;

    #[test]
    fn a_status_comes_back_with_its_history_and_counters() {
        let mut status = Status::new(Wall(-5));
        for i in 1..=11 {
            let to = if i % 2 == 0 { State::Up } else { State::Down };
            let reason = Reason::Timeout(Phase::Tls);
            status = status.changed(
                to,
                Wall(i),
                reason,
                Some("after 2s".into()),
                40 + i.unsigned_abs(),
            );
        }
        let counters = Counters {
            state: State::Down,
            failures: 0,
            successes: 1,
            window: 5,
        };
        assert_eq!(
            decode_status(&encode_status(&status, &counters)),
            Ok((status, counters))
        );
    }

    #[test]
    fn a_version_comes_back() {
        let version = Version {
            origin: Origin(u64::MAX),
            seq: 7,
        };
        assert_eq!(decode_version(&encode_version(version)), Ok(version));
    }

    #[test]
    fn a_state_of_a_newer_version_is_an_error() {
        let mut w = Writer::new();
        w.field_number(1, 9);
        assert!(decode_status(&w.finish()).is_err());
    }
}
