//! The stages as services reach them: commands through the log, reads from the memory of whoever owns the
//! partition, in this process or another.
//!
//! Owns when a command on an instrument is done, and when the books of all partitions go together. Repeats
//! reads only.

mod history;
mod patience;
mod reach;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use prepx_bus::{Topic, TopicPartition};
use prepx_domain::message::{Command, ToMatching};
use prepx_domain::update::{OrderView, Reply};
use prepx_domain::view::{AccountView, InstrumentView};
use prepx_domain::{AccountId, Slot};
use prepx_proto::journal::part::read;
use prepx_proto::journal::{decode, encode};
use prepx_proto::owner::v1;
use prepx_stage::port::{
    AccountPort, Answer, AuditPort, MatchingPort, ReadError, StageBooks, SubmitError, WhichOrders,
};
use prepx_stage::{Seat, Stage, Topology};
use prepx_trace::{Trace, Traces};

pub use self::history::History;
use self::patience::{AUDIT, READ, unread};
pub use self::reach::{Here, Reach};
use self::reach::{accounts, matching};
use crate::front::{Awaited, Front};
use crate::wire::{self, Lanes};

/// What a caller learns whose command the stage did not answer.
const SILENT: &str = "the stage gave no reply";
/// How often to look whether the account stage has heard of something, or nothing is on its way.
const LOOK: Duration = Duration::from_millis(5);
/// How often at most: as long as a command may take.
const LOOKS_MAX: u32 = 2_000;

/// Both stages. Clones are the same.
#[derive(Clone)]
pub struct Ports(Arc<Shared>);

struct Shared {
    front: Front,
    reach: Reach,
    topology: Topology,
}

impl Ports {
    /// Commands go through `front`, reads to whom `reach` finds.
    pub fn new(front: Front, reach: Reach, topology: Topology) -> Ports {
        Ports(Arc::new(Shared {
            front,
            reach,
            topology,
        }))
    }

    fn account_seat(&self, slot: Slot) -> Seat {
        Stage::ACCOUNT.seat(slot.partition(self.0.topology.account_partitions))
    }

    fn seats(&self, stage: Stage) -> impl Iterator<Item = Seat> {
        self.0.topology.seats(stage)
    }

    fn ask_account(&self, command: &Command, trace: Option<Trace>) -> Result<Awaited, SubmitError> {
        let mut input = Vec::new();
        prepx_trace::put(trace, &mut input);
        encode(command, &mut input);
        let seat = self.account_seat(command.slot);
        self.0.front.ask(seat.commands(), true, input)
    }

    async fn reply(&self, awaited: Awaited) -> Result<Reply, SubmitError> {
        let unknown = |why: String| SubmitError::Unknown(why);
        let bytes = self.0.front.reply(awaited).await?;
        let bytes = bytes.ok_or_else(|| unknown(SILENT.into()))?;
        decode(&bytes).map_err(|error| unknown(error.to_string()))
    }

    /// Has an operator's command decided, then waits until every account partition has heard what it
    /// is told of it.
    async fn instruct(&self, command: ToMatching) -> Result<(), SubmitError> {
        let partition = command
            .slot()
            .partition(self.0.topology.matching_partitions);
        let seat = Stage::MATCHING.seat(partition);
        let mut input = Vec::new();
        encode(&command, &mut input);
        // Repeated later it could undo what came between.
        let awaited = self.0.front.ask(seat.commands(), false, input)?;
        self.0.front.reply(awaited).await?;
        let unknown = |error: ReadError| SubmitError::Unknown(error.to_string());
        let sent = self.lanes(seat).await.map_err(unknown)?.sent.into_iter();
        let heard = sent
            .filter(|(to, _)| to.topic == Topic::OrderExecutions)
            .map(|(to, number)| {
                let by = Stage::ACCOUNT.seat(to.partition);
                self.received(by, seat.journal(), number)
            });
        try_join_all(heard).await.map_err(unknown)?;
        Ok(())
    }

    /// Waits until a partition has taken a message of a lane.
    async fn received(&self, by: Seat, lane: TopicPartition, number: u64) -> Result<(), ReadError> {
        for _ in 0..LOOKS_MAX {
            if self.lanes(by).await?.received.get(&lane) >= Some(&number) {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(ReadError::Unavailable("the account stage is behind".into()))
    }

    /// How far the lanes of a partition have come.
    async fn lanes(&self, seat: Seat) -> Result<Lanes, ReadError> {
        let head = self.0.reach.ask(
            READ,
            |_| seat,
            |owner, seat| async move {
                let partition = seat.partition;
                let request = v1::GetHeadRequest { partition };
                let head = match seat.stage {
                    Stage::ACCOUNT => accounts(owner).get_head(request).await?,
                    _ => matching(owner).get_head(request).await?,
                };
                Ok(head.into_inner())
            },
        );
        head.await?.try_into().map_err(unread)
    }

    /// The books of a partition, and how far its lanes had come.
    async fn books_of(&self, seat: Seat) -> Result<(Seat, Lanes, StageBooks), ReadError> {
        let partition = seat.partition;
        let parts = self.0.reach.ask(
            AUDIT,
            |_| seat,
            |owner, _| async move {
                let request = v1::GetBooksRequest { partition };
                let mut parts = accounts(owner).get_books(request).await?.into_inner();
                let mut all = Vec::new();
                while let Some(part) = parts.message().await? {
                    all.push(part);
                }
                Ok(all)
            },
        );
        let parts = parts.await?;
        let (lanes, books) = wire::books_of_parts(partition, parts).map_err(unread)?;
        Ok((seat, lanes, books))
    }

    /// The lanes of every partition of a stage.
    async fn all_lanes(&self, stage: Stage) -> Result<Vec<(Seat, Lanes)>, ReadError> {
        let one = async |seat| self.lanes(seat).await.map(|lanes| (seat, lanes));
        try_join_all(self.seats(stage).map(one)).await
    }

    /// The books of every partition, if no message was on its way between them.
    async fn look_at_books(&self) -> Result<Option<StageBooks>, ReadError> {
        let matching = self.all_lanes(Stage::MATCHING).await?;
        // Books are large: they are worth asking for only at a quiet moment.
        let accounts = self.all_lanes(Stage::ACCOUNT).await?;
        if !are_drained(matching.iter().chain(&accounts)) {
            return Ok(None);
        }
        let books = self.seats(Stage::ACCOUNT).map(|seat| self.books_of(seat));
        let (mut found, mut accounts) = (StageBooks::default(), Vec::new());
        for (seat, lanes, books) in try_join_all(books).await? {
            accounts.push((seat, lanes));
            found.add(books);
        }
        Ok(are_drained(matching.iter().chain(&accounts)).then_some(found))
    }
}

/// Whether everything that partitions had sent to each other had been received.
fn are_drained<'a>(all: impl Iterator<Item = &'a (Seat, Lanes)>) -> bool {
    let between =
        |to: &TopicPartition| [Stage::ACCOUNT.lanes, Stage::MATCHING.lanes].contains(&to.topic);
    let (mut sent, mut received) = (Vec::new(), Vec::new());
    for (seat, lanes) in all {
        let out = lanes.sent.iter().filter(|(to, _)| between(to));
        sent.extend(out.map(|(to, number)| (seat.journal(), *to, *number)));
        let taken = lanes.received.iter();
        received.extend(taken.map(|(from, number)| (*from, seat.lanes(), *number)));
    }
    sent.sort_unstable();
    received.sort_unstable();
    sent == received
}

impl AccountPort for Ports {
    fn submit(
        &self,
        commands: Vec<Command>,
        traces: Traces,
    ) -> Answer<Vec<Result<Reply, SubmitError>>> {
        let ports = self.clone();
        Box::pin(async move {
            let asked = commands.iter().enumerate();
            let asked = asked.map(|(place, one)| ports.ask_account(one, traces.of(place)));
            let asked: Vec<_> = asked.collect();
            let mut outcomes = Vec::with_capacity(asked.len());
            for awaited in asked {
                outcomes.push(match awaited {
                    Ok(awaited) => ports.reply(awaited).await,
                    Err(error) => Err(error),
                });
            }
            outcomes
        })
    }

    fn account(&self, account: AccountId) -> Answer<Result<Option<AccountView>, ReadError>> {
        let ports = self.clone();
        Box::pin(async move {
            let seat = ports.account_seat(account.slot());
            let account = account.raw();
            let found = ports.0.reach.ask(
                READ,
                |_| seat,
                |owner, _| async move {
                    let request = v1::GetAccountRequest { account };
                    Ok(accounts(owner).get_account(request).await?.into_inner())
                },
            );
            let found = found.await?.account;
            read(found, "GetAccountResponse.account").map_err(unread)
        })
    }

    fn orders(
        &self,
        account: AccountId,
        which: WhichOrders,
    ) -> Answer<Result<Vec<OrderView>, ReadError>> {
        let ports = self.clone();
        Box::pin(async move {
            let seat = ports.account_seat(account.slot());
            let request = wire::list_orders(account, which);
            let found = ports.0.reach.ask(
                READ,
                |_| seat,
                |owner, _| {
                    let request = request.clone();
                    async move { Ok(accounts(owner).list_orders(request).await?.into_inner()) }
                },
            );
            let found = found.await?;
            read(found.orders, "ListOrdersResponse.orders").map_err(unread)
        })
    }
}

impl MatchingPort for Ports {
    fn command(&self, command: ToMatching) -> Answer<Result<(), SubmitError>> {
        let ports = self.clone();
        Box::pin(async move { ports.instruct(command).await })
    }

    /// Every account partition knows every instrument, so one whose owner is away need not be waited for.
    fn instruments(&self) -> Answer<Result<Vec<InstrumentView>, ReadError>> {
        let ports = self.clone();
        Box::pin(async move {
            let partitions = ports.0.topology.account_partitions;
            let seat = |attempt: u32| Stage::ACCOUNT.seat(attempt % partitions);
            let found = ports.0.reach.ask(READ, seat, |owner, seat| async move {
                let partition = seat.partition;
                let request = v1::ListInstrumentsRequest { partition };
                Ok(accounts(owner)
                    .list_instruments(request)
                    .await?
                    .into_inner())
            });
            let found = found.await?;
            read(found.instruments, "ListInstrumentsResponse.instruments").map_err(unread)
        })
    }
}

impl AuditPort for Ports {
    /// Tries for a while to find a moment at which nothing is on its way, because only then do the
    /// books of all partitions together balance.
    fn books(&self) -> Answer<Result<StageBooks, ReadError>> {
        let ports = self.clone();
        Box::pin(async move {
            for _ in 0..LOOKS_MAX {
                if let Some(found) = ports.look_at_books().await? {
                    return Ok(found);
                }
                tokio::time::sleep(LOOK).await;
            }
            let why = "messages are on their way between the stages all the time";
            Err(ReadError::Unavailable(why.into()))
        })
    }
}
