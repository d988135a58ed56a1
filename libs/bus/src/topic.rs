//! The closed set of topics, by name and by the code that is written on disk.
//!
//! Refuses: topics made up at run time. A new topic is a new variant with a code never used before.

use std::fmt;
use std::str::FromStr;

macro_rules! topics {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $name:literal;)*) => {
        /// A topic of the event log.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum Topic {
            $($(#[$doc])* $variant = $code,)*
        }

        impl Topic {
            /// Every topic, in the order of its code.
            pub const ALL: &'static [Topic] = &[$(Topic::$variant,)*];

            /// The name outside, for example `order-processing`.
            pub const fn name(self) -> &'static str {
                match self { $(Topic::$variant => $name,)* }
            }

            /// The topic with this code, if there is one.
            pub const fn from_code(code: u16) -> Option<Topic> {
                match code { $($code => Some(Topic::$variant),)* _ => None }
            }
        }
    };
}

topics! {
    /// Orders, cancels, replaces and money commands of clients.
    TradingCommands = 1, "trading-commands";
    /// Accepted orders, from account partitions to matching partitions.
    OrderProcessing = 2, "order-processing";
    /// Executions, definitions, halts and reference prices, from matching to account partitions.
    OrderExecutions = 3, "order-executions";
    /// What users see of their orders, positions and cash.
    PortfolioUpdates = 4, "portfolio-updates";
    /// Trades and book deltas.
    MarketData = 5, "market-data";
    /// Sign-ups, sign-ins and changes of users. Nothing writes it yet.
    UserEvents = 6, "user-events";
    /// Limits hit, kill switches, breakers. Nothing writes it yet.
    RiskEvents = 7, "risk-events";
    /// What is to be pushed, mailed or sent to sockets. Nothing writes it yet.
    NotificationQueue = 8, "notification-queue";
    /// Behaviour and business events. Nothing writes it yet.
    AnalyticsQueue = 9, "analytics-queue";
    /// Who did what. Nothing writes it yet.
    AuditLogs = 10, "audit-logs";
    /// Define, halt and resume, to matching partitions.
    InstrumentCommands = 11, "instrument-commands";
    /// Outcomes of commands, for their senders.
    CommandReplies = 12, "command-replies";
    /// Which process owns which stage partition, with epoch and address.
    StageOwners = 13, "stage-owners";
    /// Transitions of the account stage.
    AccountJournal = 14, "account-journal";
    /// Transitions of the matching stage.
    MatchingJournal = 15, "matching-journal";
    /// Webhooks that wait for their second attempt.
    WebhookRetries1 = 16, "webhook-retries-1";
    /// Webhooks that wait for their third attempt.
    WebhookRetries2 = 17, "webhook-retries-2";
    /// Webhooks that wait for their fourth attempt.
    WebhookRetries3 = 18, "webhook-retries-3";
    /// Webhooks that wait for their last attempt.
    WebhookRetries4 = 19, "webhook-retries-4";
    /// Webhooks that could not be delivered, and what operators decide about them.
    WebhookDeadLetters = 20, "webhook-dead-letters";
}

impl Topic {
    /// The code on disk; never changes.
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// Whether the topic holds journals, which only the fenced owner of a partition may append to.
    pub const fn is_journal(self) -> bool {
        matches!(self, Topic::AccountJournal | Topic::MatchingJournal)
    }

    /// The given partition of this topic.
    pub const fn partition(self, partition: u32) -> TopicPartition {
        TopicPartition {
            topic: self,
            partition,
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no topic's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no topic is named {0:?}; the names are those of Topic::ALL, such as \"order-processing\"")]
pub struct UnknownTopic(pub String);

impl FromStr for Topic {
    type Err = UnknownTopic;

    fn from_str(name: &str) -> Result<Topic, UnknownTopic> {
        Topic::ALL
            .iter()
            .copied()
            .find(|topic| topic.name() == name)
            .ok_or_else(|| UnknownTopic(name.to_owned()))
    }
}

/// One ordered sequence of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: Topic,
    /// The partition within the topic, from 0; below [`TopicPartition::COUNT_MAX`].
    pub partition: u32,
}

impl TopicPartition {
    /// A topic has at most this many partitions: as many as there are slots.
    pub const COUNT_MAX: u32 = 4_096;
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_codes_lead_back_to_the_topic() {
        for &topic in Topic::ALL {
            assert_eq!(topic.name().parse(), Ok(topic));
            assert_eq!(Topic::from_code(topic.code()), Some(topic));
        }
        assert_eq!(Topic::from_code(0), None);
        assert_eq!(
            "orders".parse::<Topic>(),
            Err(UnknownTopic("orders".into()))
        );
    }

    #[test]
    fn codes_on_disk_never_change() {
        let codes: Vec<String> = Topic::ALL
            .iter()
            .map(|t| format!("{}={}", t.name(), t.code()))
            .collect();
        assert_eq!(
            codes.join(" "),
            "trading-commands=1 order-processing=2 order-executions=3 portfolio-updates=4 \
             market-data=5 user-events=6 risk-events=7 notification-queue=8 analytics-queue=9 \
             audit-logs=10 instrument-commands=11 command-replies=12 stage-owners=13 \
             account-journal=14 matching-journal=15 webhook-retries-1=16 webhook-retries-2=17 \
             webhook-retries-3=18 webhook-retries-4=19 webhook-dead-letters=20"
        );
    }
}
