//! The stations as services reach them: the ports of both stages, through the log and by a look into
//! the memory of the owner, which is this process.

use std::time::Duration;

use prepx_account as account;
use prepx_bus::{Topic, TopicPartition};
use prepx_domain::message::{Command, ToMatching};
use prepx_domain::update::{OrderView, Reply};
use prepx_domain::view::{AccountView, InstrumentView};
use prepx_domain::{AccountId, Slot};
use prepx_matching as matching;
use prepx_owner::{Awaited, QueryError, Seats};
use prepx_risk::AccountCodec;
use prepx_stage::port::{
    AccountPort, Answer, AuditPort, MatchingPort, ReadError, StageBooks, SubmitError, WhichOrders,
};
use prepx_stage::{Codec, Partition, Stage};

use super::Stations;
use crate::core::ports::{SILENT, books_at, instruments_of, orders};
use crate::core::slot_of;

/// How often to look whether the account stage has heard of something.
const LOOK: Duration = Duration::from_millis(5);
/// How often at most: as long as a command may take.
const LOOKS_MAX: u32 = 2_000;

impl Stations {
    /// Looks into the account partition of a slot.
    async fn query_account<T: Send + 'static>(
        &self,
        slot: Slot,
        look: impl FnOnce(&Partition<AccountCodec>) -> T + Send + 'static,
    ) -> Result<T, ReadError> {
        let partition = slot.partition(self.0.topology.account_partitions);
        query(&self.0.accounts, partition, look).await
    }

    fn ask_account(&self, command: Command) -> Result<Awaited, SubmitError> {
        let partition = command.slot.partition(self.0.topology.account_partitions);
        let mut input = Vec::new();
        let command = account::Input::Command(command);
        self.0.accounts.codec().encode_input(&command, &mut input);
        let to = Stage::ACCOUNT.seat(partition).commands();
        self.0.front.ask(to, true, input)
    }

    async fn reply(&self, awaited: Awaited) -> Result<Reply, SubmitError> {
        let unknown = |why: String| SubmitError::Unknown(why);
        let heard = self.0.front.reply(awaited).await?;
        let bytes = heard.ok_or_else(|| unknown(SILENT.into()))?;
        AccountCodec::decode_reply(&bytes).map_err(|error| unknown(error.to_string()))
    }

    /// Has an operator's command decided, then waits until every account partition has heard what it
    /// is told of it.
    async fn instruct(&self, command: ToMatching) -> Result<(), SubmitError> {
        let partition = slot_of(&command).partition(self.0.topology.matching_partitions);
        let seat = Stage::MATCHING.seat(partition);
        let mut input = Vec::new();
        let command = matching::Input::Command(command);
        self.0.matching.codec().encode_input(&command, &mut input);
        // Repeated later it could undo what came between.
        let awaited = self.0.front.ask(seat.commands(), false, input)?;
        let unknown = |why: String| SubmitError::Unknown(why);
        self.0.front.reply(awaited).await?;
        let sent = |owner: &Partition<_>| owner.head().sent.clone();
        let sent = query(&self.0.matching, partition, sent).await;
        let sent = sent.map_err(|error| unknown(error.to_string()))?;
        let lanes = sent.into_iter();
        for (to, number) in lanes.filter(|(to, _)| to.topic == Topic::OrderExecutions) {
            let received = self.received(to.partition, seat.journal(), number).await;
            received.map_err(|error| unknown(error.to_string()))?;
        }
        Ok(())
    }

    /// Waits until an account partition has taken a message of a lane.
    async fn received(&self, by: u32, lane: TopicPartition, number: u64) -> Result<(), ReadError> {
        for _ in 0..LOOKS_MAX {
            let last = move |owner: &Partition<_>| owner.head().received.get(&lane).copied();
            if query(&self.0.accounts, by, last).await? >= Some(number) {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(ReadError::Unavailable("the account stage is behind".into()))
    }

    /// The books of every partition, and whether no message was on its way between them.
    async fn look_at_books(&self) -> Result<(StageBooks, bool), ReadError> {
        let mut found = StageBooks::default();
        let mut lanes = Lanes::default();
        for number in 0..self.0.topology.matching_partitions {
            let head = |owner: &Partition<_>| (owner.seat().journal(), owner.head().clone());
            lanes.add(query(&self.0.matching, number, head).await?);
        }
        for number in 0..self.0.topology.account_partitions {
            let look = move |owner: &Partition<AccountCodec>| {
                let head = (owner.seat().journal(), owner.head().clone());
                (head, books_at(number, owner))
            };
            let (head, books) = query(&self.0.accounts, number, look).await?;
            lanes.add(head);
            found.add(books);
        }
        Ok((found, lanes.are_drained()))
    }
}

async fn query<C: Codec, T: Send + 'static>(
    seats: &Seats<C>,
    partition: u32,
    look: impl FnOnce(&Partition<C>) -> T + Send + 'static,
) -> Result<T, ReadError> {
    let seen = seats.query(partition, look).await;
    seen.map_err(|error| match error {
        QueryError::Busy { retry_after } => ReadError::Busy { retry_after },
        gone => ReadError::Unavailable(gone.to_string()),
    })
}

/// What partitions have sent to each other and what they have received.
#[derive(Default)]
struct Lanes {
    sent: Vec<(TopicPartition, TopicPartition, u64)>,
    received: Vec<(TopicPartition, TopicPartition, u64)>,
}

impl Lanes {
    fn add(&mut self, (journal, head): (TopicPartition, prepx_stage::Head)) {
        let stage = match journal.topic {
            Topic::AccountJournal => Stage::ACCOUNT,
            _ => Stage::MATCHING,
        };
        let lanes = stage.seat(journal.partition).lanes();
        let between =
            |to: &TopicPartition| [Stage::ACCOUNT.lanes, Stage::MATCHING.lanes].contains(&to.topic);
        let sent = head.sent.into_iter().filter(|(to, _)| between(to));
        self.sent
            .extend(sent.map(|(to, number)| (journal, to, number)));
        let received = head.received.into_iter();
        self.received
            .extend(received.map(|(from, number)| (from, lanes, number)));
    }

    fn are_drained(mut self) -> bool {
        self.sent.sort_unstable();
        self.received.sort_unstable();
        self.sent == self.received
    }
}

impl AccountPort for Stations {
    fn submit(&self, commands: Vec<Command>) -> Answer<Vec<Result<Reply, SubmitError>>> {
        let stations = self.clone();
        Box::pin(async move {
            let asked = commands
                .into_iter()
                .map(|command| stations.ask_account(command));
            let asked: Vec<_> = asked.collect();
            let mut outcomes = Vec::with_capacity(asked.len());
            for awaited in asked {
                outcomes.push(match awaited {
                    Ok(awaited) => stations.reply(awaited).await,
                    Err(error) => Err(error),
                });
            }
            outcomes
        })
    }

    fn account(&self, account: AccountId) -> Answer<Result<Option<AccountView>, ReadError>> {
        let stations = self.clone();
        Box::pin(async move {
            let look = move |owner: &Partition<AccountCodec>| owner.machine().account(account);
            stations.query_account(account.slot(), look).await
        })
    }

    fn orders(
        &self,
        account: AccountId,
        which: WhichOrders,
    ) -> Answer<Result<Vec<OrderView>, ReadError>> {
        let stations = self.clone();
        Box::pin(async move {
            let look =
                move |owner: &Partition<AccountCodec>| orders(owner.machine(), account, &which);
            stations.query_account(account.slot(), look).await
        })
    }
}

impl MatchingPort for Stations {
    fn command(&self, command: ToMatching) -> Answer<Result<(), SubmitError>> {
        let stations = self.clone();
        Box::pin(async move { stations.instruct(command).await })
    }

    fn instruments(&self) -> Answer<Result<Vec<InstrumentView>, ReadError>> {
        let stations = self.clone();
        Box::pin(async move {
            let look = |owner: &Partition<AccountCodec>| instruments_of(owner.machine());
            query(&stations.0.accounts, 0, look).await
        })
    }
}

impl AuditPort for Stations {
    /// Tries for a while to find a moment at which nothing is on its way, because only then do the
    /// books of all partitions together balance.
    fn books(&self) -> Answer<Result<StageBooks, ReadError>> {
        let stations = self.clone();
        Box::pin(async move {
            for _ in 0..LOOKS_MAX {
                let (found, drained) = stations.look_at_books().await?;
                if drained {
                    return Ok(found);
                }
                tokio::time::sleep(LOOK).await;
            }
            let why = "messages are on their way between the stages all the time";
            Err(ReadError::Unavailable(why.into()))
        })
    }
}
