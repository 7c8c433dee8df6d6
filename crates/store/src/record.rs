//! What lies on disk, and how a store is built from it.
//!
//! One record an entry, one a prefix, one for what was seen beyond it and is not held any more, and
//! a few for floors, closed origins and the own ones. Does not know transactions.

use base::Origin;
use base::wire::{Reader, Writer};

use crate::message::{DecodeError, SEQ_MAX, Sent, get_entry, get_seen, put_entry, put_seen};
use crate::{ConfigError, Record, Seen, Store};

const ENTRY: u8 = b'e';
const PREFIX: u8 = b'v';
const GONE: u8 = b'g';
const FLOOR: u8 = b'f';
const RETIRED: u8 = b't';
const OWN: u8 = b'o';

/// A place and its content.
type Placed = (Vec<u8>, Vec<u8>);

fn place(kind: u8, origin: Origin) -> Vec<u8> {
    [&[kind][..], &origin.0.to_be_bytes()].concat()
}

pub(crate) fn entry_place(origin: Origin, seq: u64) -> Vec<u8> {
    [&place(ENTRY, origin)[..], &seq.to_be_bytes()].concat()
}

pub(crate) fn entry(origin: Origin, sent: &Sent) -> Placed {
    let mut w = Writer::new();
    put_entry(&mut w, sent);
    (entry_place(origin, sent.seq), w.finish())
}

pub(crate) fn prefix(origin: Origin, seq: u64) -> Placed {
    (place(PREFIX, origin), number(seq))
}

pub(crate) fn prefix_place(origin: Origin) -> Vec<u8> {
    place(PREFIX, origin)
}

/// What was seen beyond the prefix and is not held any more.
pub(crate) fn gone(origin: Origin, seen: &Seen) -> Placed {
    let mut w = Writer::new();
    w.number(seen.beyond().len() as u64);
    for &(first, last) in seen.beyond() {
        w.number(first);
        w.number(last);
    }
    (place(GONE, origin), w.finish())
}

pub(crate) fn gone_place(origin: Origin) -> Vec<u8> {
    place(GONE, origin)
}

pub(crate) fn floor(origin: Origin, seq: u64) -> Placed {
    (place(FLOOR, origin), number(seq))
}

pub(crate) fn retired(origin: Origin, seen: &Seen) -> Placed {
    let mut w = Writer::new();
    put_seen(&mut w, seen);
    (place(RETIRED, origin), w.finish())
}

pub(crate) fn own(origin: Origin) -> Placed {
    (place(OWN, origin), Vec::new())
}

fn number(n: u64) -> Vec<u8> {
    let mut w = Writer::new();
    w.number(n);
    w.finish()
}

impl Store {
    /// Takes in what the disk held.
    pub(crate) fn restore(&mut self, records: Vec<Record>) -> Result<(), ConfigError> {
        let mut entries = Vec::new();
        for Record { key, content } in records {
            let Some(content) = content else { continue };
            let wrong = |why: String| ConfigError::Record {
                key: key.clone(),
                why,
            };
            let (kind, origin, seq) = parse(&key).map_err(|e| wrong(e.to_string()))?;
            let mut reader = Reader::new(&content);
            if seq > SEQ_MAX {
                return Err(wrong(format!("{seq} is no number of a write")));
            }
            if kind == ENTRY {
                let sent = get_entry(&mut reader, seq).map_err(|e| wrong(e.to_string()))?;
                entries.push((origin, sent));
                continue;
            }
            let slot = usize::from(self.slot(origin));
            let known = &mut self.known[slot];
            if kind == OWN {
                (known.was_mine, known.retiring) = (true, true);
                continue;
            }
            if kind == RETIRED {
                let seen = get_seen(&mut reader).map_err(|e| wrong(e.to_string()))?;
                known.seen.join(&seen);
                (known.retired, known.closed) = (Some(seen.clone()), Some(seen));
                continue;
            }
            let mut next = || match reader.number() {
                Ok(n) if n <= SEQ_MAX => Ok(n),
                Ok(n) => Err(wrong(format!("{n} is no number of a write"))),
                Err(error) => Err(wrong(error.to_string())),
            };
            let n = next()?;
            match kind {
                PREFIX => {
                    known.seen.join(&Seen::up_to(n));
                    known.written = n;
                }
                GONE => {
                    for _ in 0..n {
                        let (first, last) = (next()?, next()?);
                        known.gone.add(first, last);
                        known.seen.add(first, last);
                    }
                    known.gone_written = true;
                }
                FLOOR => known.floor = n,
                other => return Err(wrong(format!("its kind is {other}"))),
            }
        }
        for (origin, sent) in entries {
            let slot = self.slot(origin);
            let context = self.context_of(&sent);
            self.known[usize::from(slot)].seen.add(sent.seq, sent.seq);
            if !self.place(slot, sent.seq, &sent.key, sent.value.as_deref(), context) {
                self.batch
                    .writes
                    .insert(entry_place(origin, sent.seq), None);
            }
        }
        for known in &mut self.known {
            known.durable = known.seen.clone();
        }
        self.batch.changed.clear();
        Ok(())
    }
}

fn parse(key: &[u8]) -> Result<(u8, Origin, u64), DecodeError> {
    let mut reader = Reader::new(key);
    let kind = reader.raw(1)?[0];
    let fixed = |reader: &mut Reader<'_>| -> Result<u64, DecodeError> {
        Ok(u64::from_be_bytes(
            reader.raw(8)?.try_into().expect("eight bytes"),
        ))
    };
    let origin = Origin(fixed(&mut reader)?);
    let seq = if kind == ENTRY {
        fixed(&mut reader)?
    } else {
        0
    };
    Ok((kind, origin, seq))
}
