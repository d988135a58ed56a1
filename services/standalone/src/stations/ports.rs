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
use prepx_risk::AccountCodec;
use prepx_stage::port::{
    AccountPort, Answer, AuditPort, MatchingPort, ReadError, StageBooks, SubmitError, WhichOrders,
};
use prepx_stage::{Codec, Partition, Seat, Stage};

use super::Stations;
use super::asking::Awaited;
use super::driver::Seated;
use crate::core::ports::{SILENT, books_at, instruments_of, orders};
use crate::core::slot_of;

/// How often to look whether the account stage has heard of something.
const LOOK: Duration = Duration::from_millis(5);
/// How often at most: as long as a command may take.
const LOOKS_MAX: u32 = 2_000;

impl Stations {
    fn account_seat(&self, slot: Slot) -> &Seated<AccountCodec> {
        let partition = slot.partition(self.0.topology.account_partitions);
        &self.0.accounts[partition as usize]
    }

    /// Puts a command on the log.
    fn ask(&self, seat: Seat, repeats: bool, input: Vec<u8>) -> Result<Awaited, SubmitError> {
        if self.0.closed.load(std::sync::atomic::Ordering::Acquire) {
            return Err(SubmitError::Closed("this process is draining".into()));
        }
        self.0.asking.ask(seat.commands(), repeats, input)
    }

    fn ask_account(&self, command: Command) -> Result<Awaited, SubmitError> {
        let partition = command.slot.partition(self.0.topology.account_partitions);
        let mut input = Vec::new();
        let command = account::Input::Command(command);
        self.0.codecs.0.encode_input(&command, &mut input);
        self.ask(Stage::ACCOUNT.seat(partition), true, input)
    }

    async fn reply(&self, awaited: Awaited) -> Result<Reply, SubmitError> {
        let unknown = |why: String| SubmitError::Unknown(why);
        let heard = awaited.await.map_err(|_| unknown(self.silence()))?;
        let bytes = heard.ok_or_else(|| unknown(SILENT.into()))?;
        AccountCodec::decode_reply(&bytes).map_err(|error| unknown(error.to_string()))
    }

    /// Why nobody answers.
    fn silence(&self) -> String {
        match &*self.0.failure.borrow() {
            Some(failure) => failure.to_string(),
            None => "no reply has come in time".into(),
        }
    }

    /// Has an operator's command decided, then waits until every account partition has heard what it
    /// is told of it.
    async fn instruct(&self, command: ToMatching) -> Result<(), SubmitError> {
        let partition = slot_of(&command).partition(self.0.topology.matching_partitions);
        let seat = Stage::MATCHING.seat(partition);
        let mut input = Vec::new();
        let command = matching::Input::Command(command);
        self.0.codecs.1.encode_input(&command, &mut input);
        // Repeated later it could undo what came between.
        let awaited = self.ask(seat, false, input)?;
        let unknown = |why: String| SubmitError::Unknown(why);
        awaited.await.map_err(|_| unknown(self.silence()))?;
        let matching = &self.0.matching[partition as usize];
        let sent = self
            .query(matching, |owner| owner.head().sent.clone())
            .await;
        let sent = sent.map_err(|error| unknown(error.to_string()))?;
        let lanes = sent.into_iter();
        for (to, number) in lanes.filter(|(to, _)| to.topic == Topic::OrderExecutions) {
            let account = &self.0.accounts[to.partition as usize];
            let received = self.received(account, seat.journal(), number).await;
            received.map_err(|error| unknown(error.to_string()))?;
        }
        Ok(())
    }

    /// Waits until a partition has taken a message of a lane.
    async fn received<C: Codec>(
        &self,
        by: &Seated<C>,
        lane: TopicPartition,
        number: u64,
    ) -> Result<(), ReadError> {
        for _ in 0..LOOKS_MAX {
            let last = move |owner: &Partition<C>| owner.head().received.get(&lane).copied();
            if self.query(by, last).await? >= Some(number) {
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
        for seated in &self.0.matching {
            let head = |owner: &Partition<_>| (owner.seat().journal(), owner.head().clone());
            lanes.add(self.query(seated, head).await?);
        }
        for (number, seated) in (0u32..).zip(&self.0.accounts) {
            let look = move |owner: &Partition<AccountCodec>| {
                let head = (owner.seat().journal(), owner.head().clone());
                (head, books_at(number, owner))
            };
            let (head, books) = self.query(seated, look).await?;
            lanes.add(head);
            found.add(books);
        }
        Ok((found, lanes.are_drained()))
    }
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
            let seated = stations.account_seat(account.slot());
            let look = move |owner: &Partition<AccountCodec>| owner.machine().account(account);
            stations.query(seated, look).await
        })
    }

    fn orders(
        &self,
        account: AccountId,
        which: WhichOrders,
    ) -> Answer<Result<Vec<OrderView>, ReadError>> {
        let stations = self.clone();
        Box::pin(async move {
            let seated = stations.account_seat(account.slot());
            let look =
                move |owner: &Partition<AccountCodec>| orders(owner.machine(), account, &which);
            stations.query(seated, look).await
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
            let Some(first) = stations.0.accounts.first() else {
                return Ok(Vec::new());
            };
            let look = |owner: &Partition<AccountCodec>| instruments_of(owner.machine());
            stations.query(first, look).await
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
