//! Spans of an order's way through the log: one for each step that takes a traced message.
//!
//! Owns their names and attributes, which follow OpenTelemetry's conventions for messaging. Refuses to know whether
//! they are exported.

use prepx_bus::TopicPartition;
use prepx_trace::{Details, Kind, Span, Trace};

use crate::follow::Batch;
use crate::topology::Seat;

/// The trace and the subject of the input that is being decided.
pub(crate) struct Followed {
    /// The trace that its outputs continue.
    pub trace: Trace,
    /// The order that it is about.
    pub subject: Option<String>,
}

impl Followed {
    /// Sets the subject, unless it is set already.
    pub fn name(&mut self, subject: impl FnOnce() -> Option<String>) {
        if self.subject.is_none() {
            self.subject = subject();
        }
    }
}

/// An input's trace, if it has one, its partition and its offset.
#[derive(Clone, Copy)]
pub(crate) struct At(pub Option<Trace>, pub TopicPartition, pub u64);

impl At {
    /// The details of the span of a stage's decision.
    pub fn decided(&self, by: Seat, seq: u64, events: usize, subject: Option<String>) -> Details {
        let At(_, from, offset) = *self;
        let mut details = processed(from, offset, by.to_string());
        let attributes = &mut details.attributes;
        attributes.push(("prepx.seq", seq.into()));
        attributes.push(("prepx.events", (events as u64).into()));
        if let Some(subject) = subject {
            attributes.push(("prepx.order_id", subject.into()));
        }
        details
    }
}

/// Begins a span for each traced message of a batch.
pub(crate) fn begin(batch: &Batch) -> Vec<(Span, u64)> {
    let runs = batch.runs.iter().filter(|run| !run.traces.is_empty());
    let messages = runs.flat_map(|run| {
        let places = run.traces.iter();
        places.filter_map(|(place, trace)| Some((trace, run.messages.get(place)?.offset)))
    });
    let begun = messages.filter_map(|(trace, offset)| Some((Span::under(trace)?, offset)));
    begun.collect()
}

/// Ends the spans of messages that a consumer has processed.
pub(crate) fn end(spans: Vec<(Span, u64)>, from: TopicPartition, consumer: &str) {
    for (span, offset) in spans {
        span.end(None, || processed(from, offset, consumer.to_owned()));
    }
}

fn processed(from: TopicPartition, offset: u64, by: String) -> Details {
    let topic = from.topic.name();
    Details {
        kind: Kind::Consumer,
        name: format!("process {topic}").into(),
        attributes: vec![
            ("messaging.destination.name", topic.into()),
            (
                "messaging.destination.partition.id",
                from.partition.to_string().into(),
            ),
            ("messaging.kafka.offset", offset.into()),
            ("messaging.consumer.group.name", by.into()),
        ],
    }
}
