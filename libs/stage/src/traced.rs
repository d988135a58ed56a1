//! Spans of an order's way through the log: one for each step that takes a traced message.
//!
//! Owns their names and attributes, which are OpenTelemetry's for messaging. Refuses to know whether somebody
//! collects them.

use prepx_bus::TopicPartition;
use prepx_trace::{Kind, Span, Told, Trace};

use crate::follow::Batch;
use crate::topology::Seat;

/// What is decided now, to what it belongs.
pub(crate) struct Followed {
    /// What follows from it belongs to this.
    pub trace: Trace,
    /// What it is about.
    pub subject: Option<String>,
}

impl Followed {
    /// Says what it is about if nobody has.
    pub fn name(&mut self, subject: impl FnOnce() -> Option<String>) {
        if self.subject.is_none() {
            self.subject = subject();
        }
    }
}

/// What an input belongs to, if that is told, and where its record stands.
#[derive(Clone, Copy)]
pub(crate) struct At(pub Option<Trace>, pub TopicPartition, pub u64);

impl At {
    /// What a stage tells of its decision.
    pub fn decided(&self, by: Seat, seq: u64, events: usize, subject: Option<String>) -> Told {
        let At(_, from, offset) = *self;
        let mut told = processed(from, offset, by.to_string());
        told.attributes.push(("prepx.seq", seq.into()));
        told.attributes
            .push(("prepx.events", (events as u64).into()));
        if let Some(subject) = subject {
            told.attributes.push(("prepx.order_id", subject.into()));
        }
        told
    }
}

/// Begins a span for each message of a batch of which a trace is told.
pub(crate) fn begin(batch: &Batch) -> Vec<(Span, u64)> {
    let runs = batch.runs.iter().filter(|run| !run.traces.is_empty());
    let messages = runs.flat_map(|run| {
        let places = run.traces.iter();
        places.filter_map(|(place, trace)| Some((trace, run.messages.get(place)?.offset)))
    });
    let begun = messages.filter_map(|(trace, offset)| Some((Span::under(trace)?, offset)));
    begun.collect()
}

/// Tells that the messages have taken effect with a consumer.
pub(crate) fn end(spans: Vec<(Span, u64)>, from: TopicPartition, consumer: &str) {
    for (span, offset) in spans {
        span.end(None, || processed(from, offset, consumer.to_owned()));
    }
}

fn processed(from: TopicPartition, offset: u64, by: String) -> Told {
    let topic = from.topic.name();
    Told {
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
