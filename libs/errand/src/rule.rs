//! What happens to an errand after an attempt: done, tried again later, or dead. Pure.

use bytes::Bytes;
use prepx_bus::TopicPartition;
use prepx_domain::Micros;
use uuid::Uuid;

/// The message of a lane that an errand follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The journal of the sender.
    pub source: TopicPartition,
    /// The transition that caused it.
    pub seq: u64,
    /// Its number on the lane.
    pub number: u64,
}

/// An effect to have outside the platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errand {
    /// The message that it follows from.
    pub origin: Origin,
    /// The same in every attempt.
    pub id: Uuid,
    /// The event, the same for all errands that follow from it.
    pub event: Uuid,
    /// Whom it is for.
    pub target: Uuid,
    /// What it is about, such as `fill`.
    pub what: String,
    /// The content to deliver.
    pub payload: Bytes,
    /// When it is due.
    pub due: Micros,
    /// The failed attempts since it was made or replayed, oldest first.
    pub attempts: Vec<Attempt>,
}

/// A failed attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When it began.
    pub at: Micros,
    /// Why it failed. Names no address.
    pub failure: String,
    /// Whether anything was sent. If not, the turn ended before it was this errand's.
    pub tried: bool,
}

/// The outcome of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// Nobody wants it any longer.
    Gone,
    /// It failed.
    Failed(Attempt),
}

/// Where an errand goes after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nowhere.
    Over,
    /// Into this retry topic, from 0.
    Retry(usize),
    /// To the dead letters.
    Dead,
}

impl Errand {
    /// Notes the outcome of an attempt that ended at `now`, and says where the errand goes. `delays_us` has the delay of each
    /// retry topic.
    pub fn settle(&mut self, outcome: Outcome, now: Micros, delays_us: &[i64]) -> Next {
        let Outcome::Failed(attempt) = outcome else {
            return Next::Over;
        };
        let level = self.attempts.len();
        self.attempts.push(attempt);
        match delays_us.get(level) {
            Some(&delay_us) => {
                self.due = now.plus_us(delay_us);
                Next::Retry(level)
            }
            None => Next::Dead,
        }
    }

    /// The same without past attempts: due at once.
    #[must_use]
    pub fn anew(self, now: Micros) -> Errand {
        Errand {
            due: now,
            attempts: Vec::new(),
            ..self
        }
    }

    /// Whether the turn ended before it, the last time.
    pub fn was_passed_over(&self) -> bool {
        self.attempts.last().is_some_and(|last| !last.tried)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use prepx_bus::Topic;
    use proptest::prelude::*;

    use super::*;

    pub fn errand(number: u64, target: u128) -> Errand {
        Errand {
            origin: Origin {
                source: Topic::AccountJournal.partition(2),
                seq: 40 + number,
                number,
            },
            id: Uuid::from_u128(u128::from(number) << 64 | target),
            event: Uuid::from_u128(number.into()),
            target: Uuid::from_u128(target),
            what: "fill".to_owned(),
            payload: Bytes::from_static(b"{}"),
            due: Micros(0),
            attempts: Vec::new(),
        }
    }

    pub fn failed(at: i64) -> Outcome {
        Outcome::Failed(Attempt {
            at: Micros(at),
            failure: "HTTP 500".to_owned(),
            tried: true,
        })
    }

    proptest! {
        /// However long attempts take: each delay once, in order, then dead; what works is over at once.
        #[test]
        fn each_failure_waits_longer_until_the_last(
            steps in prop::collection::vec(0i64..1_000, 0..4), lasted in prop::collection::vec(0i64..50, 5),
            works_at in 0usize..8,
        ) {
            let mut delay = 0;
            let delays: Vec<i64> = steps.iter().map(|step| { delay += step; delay }).collect();
            let (mut errand, mut now) = (errand(1, 1), 0);
            for turn in 0.. {
                now += lasted[turn];
                let outcome = if turn == works_at { Outcome::Done } else { failed(now) };
                let next = errand.settle(outcome, Micros(now), &delays);
                if turn == works_at {
                    prop_assert_eq!(next, Next::Over);
                    break;
                }
                prop_assert_eq!(errand.attempts.len(), turn + 1);
                if turn == delays.len() {
                    prop_assert_eq!(next, Next::Dead);
                    break;
                }
                prop_assert_eq!(next, Next::Retry(turn));
                prop_assert_eq!(errand.due, Micros(now + delays[turn]));
                now = errand.due.0;
            }
            let again = errand.clone().anew(Micros(now));
            prop_assert_eq!((again.attempts.len(), again.due, again.id), (0, Micros(now), errand.id));
        }
    }

    #[test]
    fn what_nobody_wants_is_not_tried_again() {
        let next = errand(1, 1).settle(Outcome::Gone, Micros(5), &[10]);
        assert_eq!(next, Next::Over);
    }
}
