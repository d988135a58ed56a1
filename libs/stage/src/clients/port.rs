//! The stages as services reach them, wherever they run: in this process through the core's rings,
//! elsewhere through the log and the owners' addresses. Nothing above this seam knows which.
//!
//! Nothing is answered that is not durable (I8).

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use prepx_bus::{Log, Record, Topic, TopicPartition};
use prepx_domain::message::{Command, ToMatching};
use prepx_domain::update::{Book, OrderView, Reply};
use prepx_domain::view::{AccountView, InstrumentView};
use prepx_domain::{AccountId, Asset, Code, Micros, OrderId, Side};
use prepx_trace::Traces;

use crate::{Head, Seat, Topology};

/// How much of what was told is read at once.
const READ_BYTES: usize = 4 << 20;

/// An answer that arrives later. Dropping it does not stop a write that has begun.
pub type Answer<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Why a command has no decision.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The queue is full: nothing was accepted (I10).
    #[error("the order path is busy and accepted nothing; try again in {} ms", retry_after.as_millis())]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// This process is draining or has no owner for the slot: nothing was accepted.
    #[error("the order path is not open here: {0}; nothing was accepted, try again")]
    Closed(String),
    /// It was accepted and its decision did not arrive: it may or may not take effect.
    #[error("the outcome is unknown: {0}; ask for the order, or send the same command again")]
    Unknown(String),
}

impl SubmitError {
    /// The closed code of this error. Never one that clients resend by themselves once a command was
    /// accepted: that would double it.
    pub const fn code(&self) -> Code {
        match self {
            SubmitError::Busy { .. } => Code::TooManyRequests,
            SubmitError::Closed(_) | SubmitError::Unknown(_) => Code::Unavailable,
        }
    }

    /// The stable name of the reason, for programs.
    pub const fn reason(&self) -> &'static str {
        match self {
            SubmitError::Busy { .. } => "BUSY",
            SubmitError::Closed(_) => "UNAVAILABLE",
            SubmitError::Unknown(_) => "OUTCOME_UNKNOWN",
        }
    }

    /// When to try again, where nothing was accepted.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            SubmitError::Busy { retry_after } => Some(*retry_after),
            SubmitError::Closed(_) | SubmitError::Unknown(_) => None,
        }
    }
}

/// Why a read has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Too many reads wait (I10).
    #[error("too many reads are waiting; try again in {} ms", retry_after.as_millis())]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// No owner could be asked.
    #[error("no owner of the partition answers: {0}; try again")]
    Unavailable(String),
}

impl ReadError {
    /// The closed code of this error.
    pub const fn code(&self) -> Code {
        match self {
            ReadError::Busy { .. } => Code::TooManyRequests,
            ReadError::Unavailable(_) => Code::Unavailable,
        }
    }

    /// The stable name of the reason, for programs.
    pub const fn reason(&self) -> &'static str {
        match self {
            ReadError::Busy { .. } => "BUSY",
            ReadError::Unavailable(_) => "UNAVAILABLE",
        }
    }

    /// When to try again.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            ReadError::Busy { retry_after } => Some(*retry_after),
            ReadError::Unavailable(_) => None,
        }
    }
}

/// Which of an account's orders to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhichOrders {
    /// The one with this id.
    Id(OrderId),
    /// The newest with this name.
    ClientOrderId(String),
    /// Those that live.
    Open,
    /// Those that live and those that ended lately, as far as the owner remembers.
    Remembered,
}

/// The account stage.
pub trait AccountPort: Send + Sync {
    /// Has commands decided, in their order; one outcome for each, in the same order. `traces` says what
    /// they belong to, by their places, as far as that is told.
    fn submit(
        &self,
        commands: Vec<Command>,
        traces: Traces,
    ) -> Answer<Vec<Result<Reply, SubmitError>>>;

    /// The account as it is now, if it is known.
    fn account(&self, account: AccountId) -> Answer<Result<Option<AccountView>, ReadError>>;

    /// Orders of an account, oldest first; empty when there are none.
    fn orders(
        &self,
        account: AccountId,
        which: WhichOrders,
    ) -> Answer<Result<Vec<OrderView>, ReadError>>;
}

/// The matching stage.
pub trait MatchingPort: Send + Sync {
    /// Has an operator's command on an instrument decided; returns when it is durable.
    fn command(&self, command: ToMatching) -> Answer<Result<(), SubmitError>>;

    /// All instruments, in the order of their symbols.
    fn instruments(&self) -> Answer<Result<Vec<InstrumentView>, ReadError>>;
}

/// Which past orders of an account to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PastOrders {
    /// The one with this id.
    Id(OrderId),
    /// The newest with this name.
    ClientOrderId(String),
    /// Those that match.
    Query(PastQuery),
}

/// A page of past orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastQuery {
    /// Only those that nothing more happens to.
    pub only_ended: bool,
    /// Only those accepted after this moment.
    pub after: Option<Micros>,
    /// Only those accepted until this moment.
    pub until: Option<Micros>,
    /// Only this side.
    pub side: Option<Side>,
    /// Only these symbols, with or without slash; all when empty.
    pub symbols: Vec<String>,
    /// Which end comes first.
    pub newest_first: bool,
    /// At most this many.
    pub limit: u32,
}

/// The orders of all time, which the account stage does not remember for ever. What an account was
/// told before it asks is in it; of orders that live, the stage knows more.
pub trait HistoryPort: Send + Sync {
    /// Past orders of an account, in the order that was asked for.
    fn past_orders(
        &self,
        account: AccountId,
        which: PastOrders,
    ) -> Answer<Result<Vec<OrderView>, ReadError>>;
}

/// A book of the ledger: the partition of the account stage that keeps it, which, and of which
/// asset.
pub type Line = (u32, Book, Asset);

/// What all account stages have at one vector of journal positions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StageBooks {
    /// The last transition of each partition.
    pub positions: Vec<u64>,
    /// In minor units; books that come to zero are left out.
    pub books: BTreeMap<Line, i64>,
    /// How many accounts there are.
    pub accounts: u64,
    /// The first thing that is wrong with the stages' own state (I3, I4).
    pub flaw: Option<String>,
}

impl StageBooks {
    /// Adds those of the partition that comes next.
    pub fn add(&mut self, next: StageBooks) {
        self.positions.extend(next.positions);
        self.books.extend(next.books);
        self.accounts += next.accounts;
        self.flaw = self.flaw.take().or(next.flaw);
    }
}

/// Whoever compares the books with the stages. An operator's tool: it walks everything that the
/// stages have.
pub trait AuditPort: Send + Sync {
    /// What the stages have now.
    fn books(&self) -> Answer<Result<StageBooks, ReadError>>;
}

/// Whoever goes through all updates of accounts, as far back as they are kept.
pub trait UpdatesPort: Send + Sync {
    /// Shows every durable record of `portfolio-updates`, and maybe of other topics, in the order of each partition.
    /// Blocks.
    fn each_record(&self, seen: &mut dyn FnMut(TopicPartition, &Record)) -> Result<(), ReadError>;
}

/// The updates that a log has.
pub struct LoggedUpdates {
    /// The log.
    pub log: Arc<dyn Log>,
    /// How many partitions there are.
    pub topology: Topology,
}

impl UpdatesPort for LoggedUpdates {
    fn each_record(&self, seen: &mut dyn FnMut(TopicPartition, &Record)) -> Result<(), ReadError> {
        let unreadable = |error: prepx_bus::ReadError| ReadError::Unavailable(error.to_string());
        for partition in 0..self.topology.account_partitions {
            let updates = Topic::PortfolioUpdates.partition(partition);
            let end = self.log.end(updates);
            let mut next = self.log.start(updates);
            while next < end {
                let records = self
                    .log
                    .read(updates, next, READ_BYTES)
                    .map_err(unreadable)?;
                let Some(last) = records.last() else { break };
                next = last.offset + 1;
                records.iter().for_each(|record| seen(updates, record));
            }
        }
        Ok(())
    }
}

/// Whoever shows operators how far the stages have come.
pub trait HeadsPort: Send + Sync {
    /// Every partition of the stages that this process has a share in.
    fn seats(&self) -> Vec<Seat>;

    /// How far those that it owns have come. One that cannot be looked into now is left out.
    fn heads(&self) -> Answer<Vec<(Seat, Head)>>;
}
