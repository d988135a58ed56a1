//! The bank: it debits and credits, and counts the hours.

use std::collections::BTreeMap;

use prepx_bus::Topic;
use prepx_domain::{Machine, Micros};
use prepx_stage::{Codec, DecodeError, Route};

use super::{POISON, get, put, slot};

#[derive(Clone, Debug)]
pub enum BankInput {
    Deposit {
        id: i64,
        account: i64,
        amount: i64,
    },
    Transfer {
        id: i64,
        from: i64,
        to: i64,
        amount: i64,
    },
    Credit {
        to: i64,
        amount: i64,
    },
    Timer,
}

#[derive(Clone, Debug, PartialEq)]
pub enum BankEvent {
    Deposited {
        id: i64,
        account: i64,
        amount: i64,
    },
    Debited {
        id: i64,
        from: i64,
        to: i64,
        amount: i64,
    },
    Refused {
        id: i64,
    },
    Repeated {
        id: i64,
    },
    Credited {
        to: i64,
        amount: i64,
    },
    Ticked {
        hour: i64,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub enum BankOutput {
    Clear { to: i64, amount: i64 },
    Update { account: i64, balance: i64 },
    Reply { id: i64, done: bool },
}

/// Balances, and the first decision on every command.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bank {
    pub balances: BTreeMap<i64, i64>,
    pub decided: BTreeMap<i64, bool>,
    pub hour: i64,
}

impl Machine for Bank {
    type Input = BankInput;
    type Event = BankEvent;
    type Output = BankOutput;

    fn decide(&self, input: &BankInput, now: Micros, events: &mut Vec<BankEvent>) {
        let known = |id| self.decided.contains_key(&id);
        events.extend(match *input {
            BankInput::Deposit { id, .. } | BankInput::Transfer { id, .. } if known(id) => {
                Some(BankEvent::Repeated { id })
            }
            BankInput::Deposit {
                id,
                account,
                amount,
            } => {
                assert!(amount != POISON, "a deposit that cannot be decided");
                Some(BankEvent::Deposited {
                    id,
                    account,
                    amount,
                })
            }
            BankInput::Transfer {
                id,
                from,
                to,
                amount,
            } => {
                let rich = self.balances.get(&from).is_some_and(|&has| has >= amount);
                Some(match rich {
                    true => BankEvent::Debited {
                        id,
                        from,
                        to,
                        amount,
                    },
                    false => BankEvent::Refused { id },
                })
            }
            BankInput::Credit { to, amount } => {
                assert!(amount != POISON, "a credit that cannot be decided");
                Some(BankEvent::Credited { to, amount })
            }
            BankInput::Timer => {
                let hour = now.0 / 3_600_000_000;
                (hour > self.hour).then_some(BankEvent::Ticked { hour })
            }
        });
    }

    fn apply(&mut self, event: &BankEvent) {
        match *event {
            BankEvent::Deposited {
                id,
                account,
                amount,
            } => {
                *self.balances.entry(account).or_default() += amount;
                self.decided.insert(id, true);
            }
            BankEvent::Debited {
                id, from, amount, ..
            } => {
                *self.balances.entry(from).or_default() -= amount;
                self.decided.insert(id, true);
            }
            BankEvent::Refused { id } => {
                self.decided.insert(id, false);
            }
            BankEvent::Repeated { .. } => {}
            BankEvent::Credited { to, amount } => *self.balances.entry(to).or_default() += amount,
            BankEvent::Ticked { hour } => self.hour = hour,
        }
    }

    fn follow_up(&self) -> Option<BankInput> {
        None
    }

    fn outputs(&self, event: &BankEvent, _now: Micros, outputs: &mut Vec<BankOutput>) {
        let reply = |id| BankOutput::Reply {
            id,
            done: self.decided[&id],
        };
        let update = |account| BankOutput::Update {
            account,
            balance: self.balances[&account],
        };
        match *event {
            BankEvent::Deposited { id, account, .. } => {
                outputs.extend([update(account), reply(id)])
            }
            BankEvent::Debited {
                id,
                from,
                to,
                amount,
            } => {
                outputs.extend([BankOutput::Clear { to, amount }, update(from), reply(id)]);
            }
            BankEvent::Refused { id } | BankEvent::Repeated { id } => outputs.push(reply(id)),
            BankEvent::Credited { to, .. } => outputs.push(update(to)),
            BankEvent::Ticked { .. } => {}
        }
    }
}

/// The bank's bytes.
pub struct BankCodec;

impl Codec for BankCodec {
    type Machine = Bank;
    type Sends = (i64, i64);
    type Receives = (i64, i64);
    const STATE_VERSION: u32 = 1;

    fn initial(&self) -> Bank {
        Bank::default()
    }

    fn timer(&self) -> BankInput {
        BankInput::Timer
    }

    fn encode_input(&self, input: &BankInput, to: &mut Vec<u8>) {
        match *input {
            BankInput::Deposit {
                id,
                account,
                amount,
            } => put((1, [id, account, amount, 0]), to),
            BankInput::Transfer {
                id,
                from,
                to: dest,
                amount,
            } => {
                put((2, [id, from, dest, amount]), to);
            }
            BankInput::Credit { .. } | BankInput::Timer => unreachable!("never recorded"),
        }
    }

    fn decode_input(&self, topic: Topic, bytes: &[u8]) -> Result<BankInput, DecodeError> {
        match (topic, get(bytes)?) {
            (Topic::TradingCommands, (1, [id, account, amount, _])) => Ok(BankInput::Deposit {
                id,
                account,
                amount,
            }),
            (Topic::TradingCommands, (2, [id, from, to, amount])) => Ok(BankInput::Transfer {
                id,
                from,
                to,
                amount,
            }),
            (Topic::OrderExecutions, (1, [to, amount, ..])) => Ok(BankInput::Credit { to, amount }),
            (topic, _) => Err(DecodeError::new("a bank's input", topic)),
        }
    }

    fn encode_event(&self, event: &BankEvent, to: &mut Vec<u8>) {
        put(
            match *event {
                BankEvent::Deposited {
                    id,
                    account,
                    amount,
                } => (1, [id, account, amount, 0]),
                BankEvent::Debited {
                    id,
                    from,
                    to,
                    amount,
                } => (2, [id, from, to, amount]),
                BankEvent::Refused { id } => (3, [id, 0, 0, 0]),
                BankEvent::Repeated { id } => (4, [id, 0, 0, 0]),
                BankEvent::Credited { to, amount } => (5, [to, amount, 0, 0]),
                BankEvent::Ticked { hour } => (6, [hour, 0, 0, 0]),
            },
            to,
        );
    }

    fn decode_event(&self, bytes: &[u8]) -> Result<BankEvent, DecodeError> {
        Ok(match get(bytes)? {
            (1, [id, account, amount, _]) => BankEvent::Deposited {
                id,
                account,
                amount,
            },
            (2, [id, from, to, amount]) => BankEvent::Debited {
                id,
                from,
                to,
                amount,
            },
            (3, [id, ..]) => BankEvent::Refused { id },
            (4, [id, ..]) => BankEvent::Repeated { id },
            (5, [to, amount, ..]) => BankEvent::Credited { to, amount },
            (6, [hour, ..]) => BankEvent::Ticked { hour },
            (tag, _) => return Err(DecodeError::new("a bank's event", tag)),
        })
    }

    fn route(&self, output: &BankOutput) -> Route {
        match *output {
            BankOutput::Clear { to, .. } => Route::Slot(Topic::OrderProcessing, slot(to + 1)),
            BankOutput::Update { .. } => Route::Own(Topic::PortfolioUpdates),
            BankOutput::Reply { .. } => Route::Reply,
        }
    }

    fn encode_output(&self, output: &BankOutput, to: &mut Vec<u8>) {
        match *output {
            BankOutput::Clear { to: dest, amount } => put((1, [dest, amount, 0, 0]), to),
            BankOutput::Update { account, balance } => put((2, [account, balance, 0, 0]), to),
            BankOutput::Reply { id, done } => put((3, [id, i64::from(done), 0, 0]), to),
        }
    }

    fn forward(&self, output: BankOutput) -> Option<(i64, i64)> {
        match output {
            BankOutput::Clear { to, amount } => Some((to, amount)),
            _ => None,
        }
    }

    fn receive(&self, (to, amount): (i64, i64)) -> BankInput {
        BankInput::Credit { to, amount }
    }

    fn encode_state(&self, bank: &Bank, to: &mut Vec<u8>) {
        for (&account, &balance) in &bank.balances {
            put((1, [account, balance, 0, 0]), to);
        }
        for (&id, &done) in &bank.decided {
            put((2, [id, i64::from(done), 0, 0]), to);
        }
        put((3, [bank.hour, 0, 0, 0]), to);
    }

    fn decode_state(&self, _version: u32, bytes: &[u8]) -> Result<Bank, DecodeError> {
        let mut bank = Bank::default();
        for chunk in bytes.chunks(33) {
            match get(chunk)? {
                (1, [account, balance, ..]) => drop(bank.balances.insert(account, balance)),
                (2, [id, done, ..]) => drop(bank.decided.insert(id, done == 1)),
                (_, [hour, ..]) => bank.hour = hour,
            }
        }
        Ok(bank)
    }
}
