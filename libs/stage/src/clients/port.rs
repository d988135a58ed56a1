//! The interfaces through which services use the stages, wherever these run: in this process through the core's rings,
//! elsewhere through the log and the owners' addresses. Callers do not know which.
//!
//! No answer shows anything that is not durable (I8).

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

/// How much of the log is read at once.
const READ_BYTES: usize = 4 << 20;

/// An answer that arrives later. Dropping it does not stop a write that has begun.
pub type Answer<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Why a command has no decision.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The queue is full; nothing was accepted (I10).
    #[error("the order path is busy and accepted nothing; try again in {} ms", retry_after.as_millis())]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// This process is draining or has no owner for the slot; nothing was accepted.
    #[error("the order path is not open here: {0}; nothing was accepted, try again")]
    Closed(String),
    /// It was accepted, but its decision did not arrive: it may or may not take effect.
    #[error("the outcome is unknown: {0}; ask for the order, or send the same command again")]
    Unknown(String),
}

impl SubmitError {
    /// The code of this error. Once a command was accepted, never a code on which clients resend by themselves: that
    /// would double it.
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

    /// When to try again, if nothing was accepted.
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
    /// The code of this error.
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
    /// The order with this id.
    Id(OrderId),
    /// The newest order with this client order id.
    ClientOrderId(String),
    /// The open orders.
    Open,
    /// The open orders, and those that ended recently, as far as the owner remembers.
    Remembered,
}

/// The account stage.
pub trait AccountPort: Send + Sync {
    /// Submits commands, which are decided in order; returns one outcome for each, in the same order. `traces` has
    /// the traces of sampled commands by index.
    fn submit(
        &self,
        commands: Vec<Command>,
        traces: Traces,
    ) -> Answer<Vec<Result<Reply, SubmitError>>>;

    /// An account's current state; `None` if it does not exist.
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
    /// Submits an operator's command on an instrument; returns when the decision is durable.
    fn command(&self, command: ToMatching) -> Answer<Result<(), SubmitError>>;

    /// All instruments, in the order of their symbols.
    fn instruments(&self) -> Answer<Result<Vec<InstrumentView>, ReadError>>;
}

/// Which past orders of an account to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PastOrders {
    /// The order with this id.
    Id(OrderId),
    /// The newest order with this client order id.
    ClientOrderId(String),
    /// The orders that match.
    Query(PastQuery),
}

/// A page of past orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastQuery {
    /// Only those that have ended.
    pub only_ended: bool,
    /// Only those accepted after this moment.
    pub after: Option<Micros>,
    /// Only those accepted until this moment.
    pub until: Option<Micros>,
    /// Only this side.
    pub side: Option<Side>,
    /// Only these symbols, with or without slash; all when empty.
    pub symbols: Vec<String>,
    /// Whether the newest come first.
    pub newest_first: bool,
    /// At most this many.
    pub limit: u32,
}

/// All orders ever, of which the account stage remembers only the latest. Includes everything that was acknowledged
/// to an account before the read; the stage has more recent data on open orders.
pub trait HistoryPort: Send + Sync {
    /// Past orders of an account, in the requested order.
    fn past_orders(
        &self,
        account: AccountId,
        which: PastOrders,
    ) -> Answer<Result<Vec<OrderView>, ReadError>>;
}

/// A book of the ledger: the partition of the account stage that keeps it, the book, and its asset.
pub type Line = (u32, Book, Asset);

/// The books of all account stages at one vector of journal positions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StageBooks {
    /// The last transition of each partition.
    pub positions: Vec<u64>,
    /// Totals in minor units, without those that are zero.
    pub books: BTreeMap<Line, i64>,
    /// The number of accounts.
    pub accounts: u64,
    /// The first violation of an invariant in the stages' own state (I3, I4).
    pub flaw: Option<String>,
}

impl StageBooks {
    /// Adds the books of another partition.
    pub fn add(&mut self, next: StageBooks) {
        self.positions.extend(next.positions);
        self.books.extend(next.books);
        self.accounts += next.accounts;
        self.flaw = self.flaw.take().or(next.flaw);
    }
}

/// Reads the books of all stages, for comparing them with the ledger. For operators only: it walks the stages' whole state.
pub trait AuditPort: Send + Sync {
    /// The stages' current books.
    fn books(&self) -> Answer<Result<StageBooks, ReadError>>;
}

/// Reads all updates of accounts, as far back as the log has them.
pub trait UpdatesPort: Send + Sync {
    /// Calls back with every durable record of `portfolio-updates`, and possibly of other topics, in the order of each
    /// partition. Blocks.
    fn each_record(&self, seen: &mut dyn FnMut(TopicPartition, &Record)) -> Result<(), ReadError>;
}

/// The updates on a log.
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

/// Shows operators how far the stages have come.
pub trait HeadsPort: Send + Sync {
    /// Every partition of the stages that may run in this process.
    fn seats(&self) -> Vec<Seat>;

    /// How far the partitions that it owns have come, without those that cannot be read now.
    fn heads(&self) -> Answer<Vec<(Seat, Head)>>;
}
