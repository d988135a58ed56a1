//! The clearing house between the partitions of the bank.

use std::collections::BTreeSet;

use prepx_bus::Topic;
use prepx_domain::{Machine, Micros};
use prepx_stage::{Codec, DecodeError, Route};

use super::{get, put, slot};

#[derive(Clone, Debug)]
pub enum HouseInput {
    Clear {
        to: i64,
        amount: i64,
    },
    /// An operator gives every account number 0 of every partition something.
    Gift {
        amount: i64,
    },
    /// What the follow-up asks for.
    Release {
        to: i64,
    },
    Timer,
}

#[derive(Clone, Debug, PartialEq)]
pub enum HouseEvent {
    Queued { to: i64, amount: i64 },
    Released { to: i64, amount: i64 },
    Gifted { amount: i64 },
}

#[derive(Clone, Debug, PartialEq)]
pub enum HouseOutput {
    Credit { to: i64, amount: i64 },
    Everyone { amount: i64 },
}

/// Payments are queued, and released by the follow-up within the same transition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct House {
    pub queue: BTreeSet<(i64, i64)>,
    pub cleared: i64,
}

impl Machine for House {
    type Input = HouseInput;
    type Event = HouseEvent;
    type Output = HouseOutput;

    fn decide(&self, input: &HouseInput, _now: Micros, events: &mut Vec<HouseEvent>) {
        events.extend(match *input {
            HouseInput::Clear { to, amount } => Some(HouseEvent::Queued { to, amount }),
            HouseInput::Release { to } => {
                let due = self.queue.iter().find(|due| due.0 == to);
                due.map(|&(to, amount)| HouseEvent::Released { to, amount })
            }
            HouseInput::Gift { amount } => Some(HouseEvent::Gifted { amount }),
            HouseInput::Timer => None,
        });
    }

    fn apply(&mut self, event: &HouseEvent) {
        match *event {
            HouseEvent::Queued { to, amount } => drop(self.queue.insert((to, amount))),
            HouseEvent::Released { to, amount } => {
                self.queue.remove(&(to, amount));
                self.cleared += amount;
            }
            HouseEvent::Gifted { .. } => {}
        }
    }

    fn follow_up(&self) -> Option<HouseInput> {
        self.queue
            .first()
            .map(|&(to, _)| HouseInput::Release { to })
    }

    fn outputs(&self, event: &HouseEvent, _now: Micros, outputs: &mut Vec<HouseOutput>) {
        match *event {
            HouseEvent::Queued { .. } => {}
            HouseEvent::Released { to, amount } => outputs.push(HouseOutput::Credit { to, amount }),
            HouseEvent::Gifted { amount } => outputs.push(HouseOutput::Everyone { amount }),
        }
    }
}

/// The clearing house's bytes.
pub struct HouseCodec;

impl Codec for HouseCodec {
    type Machine = House;
    type Sends = (i64, i64);
    type Receives = (i64, i64);
    const STATE_VERSION: u32 = 1;

    fn initial(&self) -> House {
        House::default()
    }

    fn timer(&self) -> HouseInput {
        HouseInput::Timer
    }

    fn encode_input(&self, input: &HouseInput, to: &mut Vec<u8>) {
        match *input {
            HouseInput::Gift { amount } => put((1, [amount, 0, 0, 0]), to),
            _ => unreachable!("never recorded"),
        }
    }

    fn decode_input(&self, topic: Topic, bytes: &[u8]) -> Result<HouseInput, DecodeError> {
        match (topic, get(bytes)?) {
            (Topic::InstrumentCommands, (1, [amount, ..])) => Ok(HouseInput::Gift { amount }),
            (Topic::OrderProcessing, (1, [to, amount, ..])) => Ok(HouseInput::Clear { to, amount }),
            (topic, _) => Err(DecodeError::new("a clearing house's input", topic)),
        }
    }

    fn encode_event(&self, event: &HouseEvent, to: &mut Vec<u8>) {
        put(
            match *event {
                HouseEvent::Queued { to, amount } => (1, [to, amount, 0, 0]),
                HouseEvent::Released { to, amount } => (2, [to, amount, 0, 0]),
                HouseEvent::Gifted { amount } => (3, [amount, 0, 0, 0]),
            },
            to,
        );
    }

    fn decode_event(&self, bytes: &[u8]) -> Result<HouseEvent, DecodeError> {
        Ok(match get(bytes)? {
            (1, [to, amount, ..]) => HouseEvent::Queued { to, amount },
            (2, [to, amount, ..]) => HouseEvent::Released { to, amount },
            (3, [amount, ..]) => HouseEvent::Gifted { amount },
            (tag, _) => return Err(DecodeError::new("a clearing house's event", tag)),
        })
    }

    fn route(&self, output: &HouseOutput) -> Route {
        match *output {
            HouseOutput::Credit { to, .. } => Route::Slot(Topic::OrderExecutions, slot(to)),
            HouseOutput::Everyone { .. } => Route::Every(Topic::OrderExecutions),
        }
    }

    fn encode_output(&self, output: &HouseOutput, to: &mut Vec<u8>) {
        match *output {
            HouseOutput::Credit { to: dest, amount } => put((1, [dest, amount, 0, 0]), to),
            HouseOutput::Everyone { amount } => put((1, [0, amount, 0, 0]), to),
        }
    }

    fn forward(&self, output: HouseOutput) -> Option<(i64, i64)> {
        match output {
            HouseOutput::Credit { to, amount } => Some((to, amount)),
            HouseOutput::Everyone { amount } => Some((0, amount)),
        }
    }

    fn receive(&self, (to, amount): (i64, i64)) -> HouseInput {
        HouseInput::Clear { to, amount }
    }

    fn encode_state(&self, house: &House, to: &mut Vec<u8>) {
        put((1, [house.cleared, 0, 0, 0]), to);
        for &(dest, amount) in &house.queue {
            put((2, [dest, amount, 0, 0]), to);
        }
    }

    fn decode_state(&self, _version: u32, bytes: &[u8]) -> Result<House, DecodeError> {
        let mut house = House::default();
        for chunk in bytes.chunks(33) {
            match get(chunk)? {
                (1, [cleared, ..]) => house.cleared = cleared,
                (_, [to, amount, ..]) => drop(house.queue.insert((to, amount))),
            }
        }
        Ok(house)
    }
}
