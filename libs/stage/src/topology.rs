//! The topics and partitions of the stages.

use std::fmt;
use std::str::FromStr;

use prepx_bus::{Topic, TopicPartition};

/// A stage, identified by its topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// The topic of its transitions.
    pub journal: Topic,
    /// The topic of clients' and operators' commands to it.
    pub commands: Topic,
    /// The topic on which it receives lanes from the other stage.
    pub lanes: Topic,
}

impl Stage {
    /// The account stage.
    pub const ACCOUNT: Stage = Stage {
        journal: Topic::AccountJournal,
        commands: Topic::TradingCommands,
        lanes: Topic::OrderExecutions,
    };
    /// The matching stage.
    pub const MATCHING: Stage = Stage {
        journal: Topic::MatchingJournal,
        commands: Topic::InstrumentCommands,
        lanes: Topic::OrderProcessing,
    };

    /// One of the stage's partitions.
    pub const fn seat(self, partition: u32) -> Seat {
        Seat {
            stage: self,
            partition,
        }
    }
}

/// One partition of a stage. All of its topics have the same partition number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// The stage.
    pub stage: Stage,
    /// Its partition.
    pub partition: u32,
}

impl fmt::Display for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.stage {
            Stage::ACCOUNT => "account",
            _ => "matching",
        };
        write!(f, "{name}/{}", self.partition)
    }
}

impl FromStr for Seat {
    type Err = String;

    fn from_str(text: &str) -> Result<Seat, String> {
        let parse = || {
            let (name, partition) = text.split_once('/')?;
            let stage = match name {
                "account" => Stage::ACCOUNT,
                "matching" => Stage::MATCHING,
                _ => return None,
            };
            Some(stage.seat(partition.parse().ok()?))
        };
        parse().ok_or_else(|| {
            format!("{text:?} is not a partition of a stage, such as account/2 or matching/0")
        })
    }
}

impl Seat {
    /// The seat that a journal belongs to; `None` for other topics.
    pub fn of_journal(journal: TopicPartition) -> Option<Seat> {
        Seat::by(|stage| stage.journal, journal)
    }

    /// The seat that receives lanes there; `None` for other topics.
    pub fn of_lanes(lanes: TopicPartition) -> Option<Seat> {
        Seat::by(|stage| stage.lanes, lanes)
    }

    fn by(topic: impl Fn(Stage) -> Topic, at: TopicPartition) -> Option<Seat> {
        let mut stages = [Stage::ACCOUNT, Stage::MATCHING].into_iter();
        let stage = stages.find(|stage| topic(*stage) == at.topic)?;
        Some(stage.seat(at.partition))
    }

    /// Its journal, which also identifies it as the source of a lane.
    pub const fn journal(self) -> TopicPartition {
        self.stage.journal.partition(self.partition)
    }

    /// The partition of commands to it.
    pub const fn commands(self) -> TopicPartition {
        self.stage.commands.partition(self.partition)
    }

    /// The partition on which it receives lanes.
    pub const fn lanes(self) -> TopicPartition {
        self.stage.lanes.partition(self.partition)
    }
}

/// The number of partitions of each stage. Written once, when the data is created: partition counts never change in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topology {
    /// Partitions of the account stage and of all topics by account.
    pub account_partitions: u32,
    /// Partitions of the matching stage and of all topics by instrument.
    pub matching_partitions: u32,
}

impl Topology {
    /// The number of partitions of a topic.
    pub const fn partitions(self, topic: Topic) -> u32 {
        match topic {
            Topic::MatchingJournal
            | Topic::InstrumentCommands
            | Topic::OrderProcessing
            | Topic::MarketData => self.matching_partitions,
            _ => self.account_partitions,
        }
    }

    /// Every seat of a stage.
    pub fn seats(self, stage: Stage) -> impl Iterator<Item = Seat> {
        (0..self.partitions(stage.journal)).map(move |partition| stage.seat(partition))
    }
}
