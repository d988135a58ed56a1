//! What came of a replay, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::plan::Counts;

/// What came of a replay.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    /// Whether everything that the recording can tell was so.
    pub agrees: bool,
    /// How the messages were understood.
    pub messages: Counts,
    /// What was sent and what was answered.
    pub orders: Orders,
    /// Executions, order id by order id.
    pub executions: Executions,
    /// The book after each message.
    pub book: Book,
    /// What differed first.
    pub first_difference: Option<String>,
    /// How long it took.
    pub elapsed_ms: u64,
}

/// Commands and their decisions.
#[derive(Debug, Default, Serialize)]
pub struct Orders {
    /// Commands that were sent.
    pub sent: u64,
    /// Those that were acknowledged.
    pub acknowledged: u64,
    /// Those that were refused, by reason.
    pub refused: BTreeMap<String, u64>,
}

/// Recorded executions and the engine's.
#[derive(Debug, Default, Serialize)]
pub struct Executions {
    /// In the recording.
    pub recorded: u64,
    /// Of them, those of orders that the recording added, in the order of their priority.
    pub reproducible: u64,
    /// Of them, those that the engine made: the same order, price and size.
    pub reproduced: u64,
    /// Of them, those that it made otherwise.
    pub different: u64,
}

/// Best bids and asks with their sizes, a side of a row at a time.
#[derive(Debug, Default, Serialize)]
pub struct Book {
    /// Sides that follow from the row before and the message.
    pub derived: u64,
    /// Of them, those that the engine showed.
    pub agreed: u64,
    /// Of them, those that nobody could see: only the last quote of each millisecond is kept.
    pub unseen: u64,
    /// Quotes of the engine that the recording does not explain.
    pub unexplained: u64,
    /// Sides that only the row tells: a level came into view, or orders left unseen.
    pub not_derivable: u64,
    /// Why nothing was compared, if so.
    pub not_compared: Option<String>,
}

impl Summary {
    /// Notes a difference.
    pub fn differs(&mut self, what: impl FnOnce() -> String) {
        self.first_difference.get_or_insert_with(what);
    }

    /// For people.
    pub fn show(&self) -> String {
        let Summary {
            messages,
            orders,
            executions,
            book,
            ..
        } = self;
        let mut text = format!(
            "messages      {} added, {} shrunk, {} deleted, {} executed, {} hidden, {} crossed, {} halts\n\
             unknown       {} executions and {} cancels of orders that the recording never added; {} orders left unseen\n\
             impossible    {} executions past an older order at their price\n\
             commands      {} sent, {} acknowledged\n",
            messages.added,
            messages.shrunk,
            messages.deleted,
            messages.executed,
            messages.hidden,
            messages.crossed,
            messages.halts,
            messages.executions_unknown,
            messages.cancels_unknown,
            messages.left_unseen,
            messages.executions_against_priority,
            orders.sent,
            orders.acknowledged,
        );
        for (reason, count) in &orders.refused {
            let _ = writeln!(text, "refused       {count} {reason}");
        }
        let _ = writeln!(
            text,
            "executions    {} recorded, {} reproducible, {} reproduced, {} different",
            executions.recorded,
            executions.reproducible,
            executions.reproduced,
            executions.different,
        );
        let _ = match &book.not_compared {
            Some(why) => writeln!(text, "book          not compared: {why}"),
            None => writeln!(
                text,
                "book          {} sides of rows derived, {} agreed, {} unseen between quotes; {} quotes unexplained; {} sides told by the row alone; {} rows contradict what was before",
                book.derived,
                book.agreed,
                book.unseen,
                book.unexplained,
                book.not_derivable,
                messages.rows_contradicting,
            ),
        };
        if let Some(difference) = &self.first_difference {
            let _ = writeln!(text, "differs first {difference}");
        }
        let seconds = self.elapsed_ms / 1_000;
        let _ = writeln!(
            text,
            "took          {seconds}.{:03} s",
            self.elapsed_ms % 1_000
        );
        text
    }
}
