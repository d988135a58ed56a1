//! The context on the event log: in front of sampled messages only.
//!
//! Messages on the log are Protocol Buffers. The context is their field 1000, 16 bytes of trace id and 8 of span id,
//! big-endian, in front of all other fields. So one comparison tells whether it is there, and a reader that does not know
//! it skips it. No message may have a field of that number.

use crate::Trace;

/// The tag of field 1000 (bytes), and its length.
const HEAD: [u8; 3] = [0xc2, 0x3e, 24];

/// Appends the context of the message that follows, if its trace is sampled.
pub fn put(trace: Option<Trace>, to: &mut Vec<u8>) {
    if let Some(trace) = trace.filter(|trace| trace.sampled) {
        to.extend_from_slice(&HEAD);
        to.extend_from_slice(&trace.id.to_be_bytes());
        to.extend_from_slice(&trace.span.to_be_bytes());
    }
}

/// The context of a message, if it has one, and the message without it.
pub fn split(bytes: &[u8]) -> (Option<Trace>, &[u8]) {
    let Some(rest) = bytes.strip_prefix(&HEAD) else {
        return (None, bytes);
    };
    let parts = rest.split_first_chunk::<16>();
    let parts = parts.and_then(|(id, rest)| Some((id, rest.split_first_chunk::<8>()?)));
    let Some((id, (span, message))) = parts else {
        return (None, bytes);
    };
    let trace = Trace {
        id: u128::from_be_bytes(*id),
        span: u64::from_be_bytes(*span),
        sampled: true,
    };
    (Some(trace), message)
}

/// The contexts of a list's items, by index. Takes no memory while there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traces(Vec<(usize, Trace)>);

impl Traces {
    /// Of a single item.
    pub fn of_one(trace: Option<Trace>) -> Traces {
        let mut traces = Traces::default();
        traces.push(0, trace);
        traces
    }

    /// Of a number of items that the current task asks for.
    pub fn of_current(count: usize) -> Traces {
        let mut traces = Traces::default();
        if let Some(trace) = Trace::current() {
            (0..count).for_each(|place| traces.push(place, Some(trace)));
        }
        traces
    }

    /// Notes the context of an item behind all that were noted, if its trace is sampled.
    pub fn push(&mut self, place: usize, trace: Option<Trace>) {
        if let Some(trace) = trace.filter(|trace| trace.sampled) {
            self.0.push((place, trace));
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them with their indices, in order.
    pub fn iter(&self) -> impl Iterator<Item = (usize, Trace)> {
        self.0.iter().copied()
    }

    /// The context of the item at an index.
    pub fn of(&self, place: usize) -> Option<Trace> {
        if self.0.is_empty() {
            return None;
        }
        let found = self.0.binary_search_by_key(&place, |(place, _)| *place);
        found.ok().map(|at| self.0[at].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: Trace = Trace {
        id: 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c,
        span: 0xb7ad_6b71_6920_3331,
        sampled: true,
    };

    #[test]
    fn golden_bytes_before_a_message() {
        let mut bytes = Vec::new();
        put(Some(TRACE), &mut bytes);
        bytes.extend_from_slice(b"\x08\x07");
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let golden = "c23e180af7651916cd43dd8448eb211c80319cb7ad6b71692033310807";
        assert_eq!(hex, golden);
        assert_eq!(split(&bytes), (Some(TRACE), &b"\x08\x07"[..]));
        for cut in 0..27 {
            assert_eq!(split(&bytes[..cut]), (None, &bytes[..cut]), "cut at {cut}");
        }
    }

    #[test]
    fn what_was_not_sampled_takes_no_byte_and_no_memory() {
        let (mut bytes, mut traces) = (Vec::new(), Traces::default());
        let unsampled = Trace {
            sampled: false,
            ..TRACE
        };
        for trace in [None, Some(unsampled)] {
            put(trace, &mut bytes);
            traces.push(0, trace);
        }
        assert!(bytes.is_empty());
        assert_eq!(traces.0.capacity(), 0);
        assert_eq!(split(b"\x08\x07"), (None, &b"\x08\x07"[..]));
    }

    #[test]
    fn contexts_are_found_by_place() {
        let mut traces = Traces::default();
        traces.push(3, Some(TRACE));
        traces.push(700, Some(Trace { span: 1, ..TRACE }));
        let found = [0, 3, 4, 700].map(|place| traces.of(place).map(|trace| trace.span));
        assert_eq!(found, [None, Some(TRACE.span), None, Some(1)]);
    }
}
