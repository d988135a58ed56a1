//! Errands as bytes on the topics of a group. Each is a lane record with one message, numbered as the message that it
//! comes from, so that whoever can read topics can read these too.

use prepx_domain::Micros;
use prepx_proto::errand::v1;
use prepx_stage::follow::{Batch, Message, Run};
use prepx_stage::lane;
use prost::Message as _;
use uuid::Uuid;

use crate::error::{Error, Malformed};
use crate::{Attempt, Errand, Origin};

/// What a record of a topic of dead letters says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// An errand has failed for good.
    Letter(Box<Errand>),
    /// An operator has decided about one.
    Verdict(Verdict),
}

/// What an operator has decided about a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub id: Uuid,
    pub by: Uuid,
    pub replay: bool,
}

/// Appends the record of an errand that waits.
pub(crate) fn put_errand(errand: &Errand, to: &mut Vec<u8>) {
    put(errand.origin, &to_wire(errand).encode_to_vec(), to);
}

/// Appends the record of a note that stands for this origin.
pub(crate) fn put_note(origin: Origin, note: &Note, to: &mut Vec<u8>) {
    use v1::dead_letter_note::Note as Wire;
    let note = Some(match note {
        Note::Letter(errand) => Wire::Letter(to_wire(errand)),
        Note::Verdict(verdict) => Wire::Verdict(v1::Verdict {
            id: bytes_of(verdict.id),
            by: bytes_of(verdict.by),
            replay: verdict.replay,
        }),
    });
    put(origin, &v1::DeadLetterNote { note }.encode_to_vec(), to);
}

fn put(origin: Origin, message: &[u8], to: &mut Vec<u8>) {
    lane::write(origin.source, origin.seq, origin.number, &[message], to);
}

/// The messages of a batch with what they come of.
pub(crate) fn messages(runs: Vec<Run>) -> impl Iterator<Item = (Origin, Message)> {
    runs.into_iter().flat_map(|run| {
        let source = run.source;
        let numbered = (run.first..).zip(run.messages);
        numbered.map(move |(number, message)| {
            let seq = message.seq;
            let origin = Origin {
                source,
                seq,
                number,
            };
            (origin, message)
        })
    })
}

/// The errands of a batch, each with its offset.
pub(crate) fn errands(mut batch: Batch) -> Result<Vec<(u64, Errand)>, Error> {
    let runs = std::mem::take(&mut batch.runs);
    let read = |(origin, message): (Origin, Message)| {
        let errand = errand(origin, &message.payload);
        let errand = errand.map_err(|source| batch.poison(&message, source))?;
        Ok((message.offset, errand))
    };
    messages(runs).map(read).collect()
}

/// The notes of a batch, each with its origin.
pub(crate) fn notes(mut batch: Batch) -> Result<Vec<Note>, Error> {
    let runs = std::mem::take(&mut batch.runs);
    let read = |(origin, message): (Origin, Message)| {
        let note = note(origin, &message.payload);
        Ok(note.map_err(|source| batch.poison(&message, source))?)
    };
    messages(runs).map(read).collect()
}

/// An errand as it is kept beside the log: its record.
pub(crate) fn errand_of_record(bytes: &[u8]) -> Result<Errand, Malformed> {
    let damaged = |_| Malformed::Part("the record");
    let run = lane::Run::decode(bytes).map_err(damaged)?;
    let (number, message) = (run.messages().next())
        .ok_or(Malformed::Part("the message"))?
        .map_err(damaged)?;
    let (source, seq) = (run.source, run.seq);
    let origin = Origin {
        source,
        seq,
        number,
    };
    errand(origin, &bytes::Bytes::copy_from_slice(message))
}

fn note(origin: Origin, bytes: &bytes::Bytes) -> Result<Note, Malformed> {
    use v1::dead_letter_note::Note as Wire;
    let note = v1::DeadLetterNote::decode(bytes.clone())?.note;
    Ok(match note.ok_or(Malformed::Part("DeadLetterNote.note"))? {
        Wire::Letter(letter) => Note::Letter(Box::new(from_wire(origin, letter)?)),
        Wire::Verdict(verdict) => Note::Verdict(Verdict {
            id: uuid("Verdict.id", &verdict.id)?,
            by: uuid("Verdict.by", &verdict.by)?,
            replay: verdict.replay,
        }),
    })
}

fn errand(origin: Origin, bytes: &bytes::Bytes) -> Result<Errand, Malformed> {
    from_wire(origin, v1::Errand::decode(bytes.clone())?)
}

fn to_wire(errand: &Errand) -> v1::Errand {
    let attempt = |attempt: &Attempt| v1::Attempt {
        at_us: attempt.at.0,
        failure: attempt.failure.clone(),
        tried: attempt.tried,
    };
    v1::Errand {
        id: bytes_of(errand.id),
        event: bytes_of(errand.event),
        target: bytes_of(errand.target),
        what: errand.what.clone(),
        payload: errand.payload.clone(),
        due_us: errand.due.0,
        attempts: errand.attempts.iter().map(attempt).collect(),
    }
}

fn from_wire(origin: Origin, wire: v1::Errand) -> Result<Errand, Malformed> {
    let attempt = |attempt: v1::Attempt| Attempt {
        at: Micros(attempt.at_us),
        failure: attempt.failure,
        tried: attempt.tried,
    };
    Ok(Errand {
        origin,
        id: uuid("Errand.id", &wire.id)?,
        event: uuid("Errand.event", &wire.event)?,
        target: uuid("Errand.target", &wire.target)?,
        what: wire.what,
        payload: wire.payload,
        due: Micros(wire.due_us),
        attempts: wire.attempts.into_iter().map(attempt).collect(),
    })
}

fn bytes_of(id: Uuid) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(id.as_bytes())
}

fn uuid(field: &'static str, bytes: &[u8]) -> Result<Uuid, Malformed> {
    Uuid::from_slice(bytes).map_err(|_| Malformed::Part(field))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::rule::tests::{errand as sample, failed};

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn golden_bytes_of_an_errand() {
        let mut errand = sample(7, 3);
        errand.settle(failed(1_000_000), Micros(1_500_000), &[5_000_000]);
        let mut bytes = Vec::new();
        put_errand(&errand, &mut bytes);
        expect!["010e022f0701570a10000000000000000700000000000000031210000000000000000000000000000000071a1000000000000000000000000000000003220466696c6c2a027b7d30a0dd8c033a1008c0843d120848545450203530301801"].assert_eq(&hex(&bytes));
        assert_eq!(errand_of_record(&bytes), Ok(errand));
        for cut in 0..bytes.len() {
            assert!(errand_of_record(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn golden_bytes_of_notes() {
        let origin = sample(7, 3).origin;
        let letter = Note::Letter(Box::new(sample(7, 3)));
        let verdict = Note::Verdict(Verdict {
            id: Uuid::from_u128(1),
            by: Uuid::from_u128(2),
            replay: true,
        });
        let mut shown = Vec::new();
        for expected in [letter, verdict] {
            let mut bytes = Vec::new();
            put_note(origin, &expected, &mut bytes);
            shown.push(hex(&bytes));
            let run = lane::Run::decode(&bytes).unwrap();
            let (_, message) = run.messages().next().unwrap().unwrap();
            let message = bytes::Bytes::copy_from_slice(message);
            assert_eq!(note(origin, &message), Ok(expected));
        }
        expect![[r#"
            010e022f0701420a400a10000000000000000700000000000000031210000000000000000000000000000000071a1000000000000000000000000000000003220466696c6c2a027b7d
            010e022f07012812260a10000000000000000000000000000000011210000000000000000000000000000000021801"#]].assert_eq(&shown.join("\n"));
    }
}
