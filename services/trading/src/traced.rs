//! Spans of order entry: from handing a command to the account stage until its decision is durable.

use prepx_domain::message::Command;
use prepx_domain::update::{Ack, Reply};
use prepx_stage::port::SubmitError;
use prepx_trace::{Kind, Span, Told, Traces};
use uuid::Uuid;

/// How a command came out.
type Outcome = Result<Reply, SubmitError>;

/// The span of a single command, under the call that it came with.
pub struct Single {
    span: Option<Span>,
    command: Uuid,
}

impl Single {
    /// Begins it.
    pub fn begin(command: Uuid) -> Single {
        Single {
            span: Span::under_current(),
            command,
        }
    }

    /// What the command belongs to.
    pub fn traces(&self) -> Traces {
        Traces::of_one(self.span.as_ref().map(Span::trace))
    }

    /// Ends it.
    pub fn end(self, outcome: &Outcome) {
        if let Some(span) = self.span {
            end(span, self.command, outcome);
        }
    }
}

/// The spans of a batch of an order-entry stream. Each command that is sampled is a trace of its own, because the call
/// that brings them may last for hours.
pub struct Batch {
    /// With the places and ids of their commands.
    spans: Vec<(usize, Uuid, Span)>,
    /// Of all together: told if they fail or take long.
    whole: Option<Span>,
    /// What the commands belong to.
    traces: Traces,
}

impl Batch {
    /// Begins them.
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

    /// What the commands belong to, by their places.
    pub fn traces(&self) -> Traces {
        self.traces.clone()
    }

    /// Ends them.
    pub fn end(self, outcomes: &[Outcome]) {
        if let Some(whole) = self.whole {
            let failure = outcomes.iter().find_map(failure);
            whole.end(failure, || Told {
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
        Told {
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
