//! Spans of order entry: from handing a command to the account stage until its decision is durable.

use prepx_domain::message::Command;
use prepx_domain::update::{Ack, Reply};
use prepx_stage::port::SubmitError;
use prepx_trace::{Details, Kind, Span, Traces};
use uuid::Uuid;

/// How a command came out.
type Outcome = Result<Reply, SubmitError>;

/// The span of a single command, under the call that it came with.
pub struct Single {
    span: Option<Span>,
    command: Uuid,
}

impl Single {
    /// Begins the span.
    pub fn begin(command: Uuid) -> Single {
        Single {
            span: Span::under_current(),
            command,
        }
    }

    /// The trace context to submit the command with.
    pub fn traces(&self) -> Traces {
        Traces::of_one(self.span.as_ref().map(Span::trace))
    }

    /// Ends the span.
    pub fn end(self, outcome: &Outcome) {
        if let Some(span) = self.span {
            end(span, self.command, outcome);
        }
    }
}

/// The spans of a batch of an order-entry stream. Each command that is sampled is a trace of its own, because the call
/// that brings them may last for hours.
pub struct Batch {
    /// Each with its command's place in the batch and id.
    spans: Vec<(usize, Uuid, Span)>,
    /// The span of the whole batch, exported only if it fails or is slow.
    whole: Option<Span>,
    /// The trace contexts of the commands.
    traces: Traces,
}

impl Batch {
    /// Begins the spans.
    pub fn begin(commands: &[Command]) -> Batch {
        let (mut spans, mut traces) = (Vec::new(), Traces::default());
        for (place, command) in commands.iter().enumerate() {
            if let Some(span) = Span::sampled_root(command.id.as_u128()) {
                traces.push(place, Some(span.trace()));
                spans.push((place, command.id, span));
            }
        }
        Batch {
            spans,
            whole: Span::unsampled_root(),
            traces,
        }
    }

    /// The trace contexts to submit the commands with, by place.
    pub fn traces(&self) -> Traces {
        self.traces.clone()
    }

    /// Ends the spans.
    pub fn end(self, outcomes: &[Outcome]) {
        if let Some(whole) = self.whole {
            let failure = outcomes.iter().find_map(failure);
            whole.end(failure, || Details {
                kind: Kind::Client,
                name: "submit a batch".into(),
                attributes: vec![("prepx.commands", (outcomes.len() as u64).into())],
            });
        }
        for (place, command, span) in self.spans {
            if let Some(outcome) = outcomes.get(place) {
                end(span, command, outcome);
            }
        }
    }
}

fn end(span: Span, command: Uuid, outcome: &Outcome) {
    span.end(failure(outcome), || {
        let mut attributes = vec![("prepx.command_id", command.to_string().into())];
        let order = match outcome.as_ref().map(|reply| &reply.outcome) {
            Ok(Ok(Ack::Order(order))) => Some(order.id),
            Ok(Ok(Ack::PastOrder(order))) => Some(*order),
            _ => None,
        };
        attributes.extend(order.map(|order| ("prepx.order_id", order.to_string().into())));
        if let Ok(Reply {
            outcome: Err(reject),
            ..
        }) = outcome
        {
            attributes.push(("prepx.reject", reject.reason().into()));
        }
        Details {
            kind: Kind::Client,
            name: "submit a command".into(),
            attributes,
        }
    });
}

/// Why a command has no decision, if that is a failure and not a full queue.
fn failure(outcome: &Outcome) -> Option<&'static str> {
    match outcome {
        Ok(_) | Err(SubmitError::Busy { .. }) => None,
        Err(error) => Some(error.reason()),
    }
}
