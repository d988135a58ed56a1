//! What owners are asked and answer, as the messages of `prepx.owner.v1`: values of the stages' ports,
//! heads, books, and refusals as statuses. Views of the domain are in [`prepx_proto::owner`].

use std::collections::BTreeMap;

use prepx_bus::TopicPartition;
use prepx_domain::update::Posting;
use prepx_domain::{AccountId, Code};
use prepx_proto::journal::part::present;
use prepx_proto::journal::{Error, Part, postings_from_wire, postings_to_wire};
use prepx_proto::owner::v1;
use prepx_proto::{message, oneof};
use prepx_runtime::status;
use prepx_stage::Head;
use prepx_stage::port::{PastOrders, PastQuery, StageBooks, WhichOrders};
use tonic::Status;

use crate::QueryError;

/// The reason of a refusal by a process that does not own the partition.
pub(crate) const NOT_OWNER: &str = "NOT_OWNER";
/// Lines of one part of a partition's books: some hundred KiB.
const LINES_MAX: usize = 5_000;

/// How far the lanes of a partition have come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lanes {
    /// The last number sent on each, by where it goes.
    pub sent: BTreeMap<TopicPartition, u64>,
    /// The last number taken of each, by the journal of its source.
    pub received: BTreeMap<TopicPartition, u64>,
}

/// How far a partition has come.
pub fn head(head: &Head) -> v1::Head {
    let lanes = |heads: &BTreeMap<TopicPartition, u64>| {
        let lane = |(at, number): (&TopicPartition, &u64)| v1::LaneHead {
            topic: at.topic.name().to_owned(),
            partition: at.partition,
            number: *number,
        };
        heads.iter().map(lane).collect()
    };
    v1::Head {
        epoch: head.epoch,
        seq: head.seq,
        sent: lanes(&head.sent),
        received: lanes(&head.received),
    }
}

impl TryFrom<v1::Head> for Lanes {
    type Error = Error;

    fn try_from(head: v1::Head) -> Result<Lanes, Error> {
        let lane = |lane: v1::LaneHead| -> Result<_, Error> {
            let topic = lane.topic.parse();
            let topic = topic.map_err(|_| Error::Missing("LaneHead.topic"))?;
            let at = TopicPartition {
                topic,
                partition: lane.partition,
            };
            Ok((at, lane.number))
        };
        let lanes = |heads: Vec<v1::LaneHead>| {
            let lanes = heads.into_iter().map(lane);
            lanes.collect::<Result<_, Error>>()
        };
        Ok(Lanes {
            sent: lanes(head.sent)?,
            received: lanes(head.received)?,
        })
    }
}

/// The books of one partition, in parts.
pub fn parts_of_books(head: v1::Head, books: StageBooks) -> Vec<v1::BooksPart> {
    let lines = books.books.into_iter();
    let lines: Vec<Posting> = lines
        .map(|((_, book, asset), amount_minor)| Posting {
            book,
            asset,
            amount_minor,
        })
        .collect();
    let part = |lines: &[Posting]| v1::BooksPart {
        lines: postings_to_wire(None, lines),
        ..v1::BooksPart::default()
    };
    let mut parts: Vec<_> = lines.chunks(LINES_MAX).map(part).collect();
    if parts.is_empty() {
        parts.push(v1::BooksPart::default());
    }
    parts[0].head = Some(head);
    parts[0].accounts = books.accounts;
    parts[0].flaw = books.flaw;
    parts
}

/// The books of a partition from their parts, beside how far its lanes had come.
///
/// # Errors
/// What this version cannot read.
pub fn books_of_parts(
    partition: u32,
    parts: Vec<v1::BooksPart>,
) -> Result<(Lanes, StageBooks), Error> {
    let (mut head, mut books) = (None, StageBooks::default());
    for part in parts {
        head = head.or(part.head);
        books.accounts += part.accounts;
        books.flaw = books.flaw.or(part.flaw);
        let lines = postings_from_wire(None, &part.lines)?.into_iter();
        let line = |line: Posting| ((partition, line.book, line.asset), line.amount_minor);
        books.books.extend(lines.map(line));
    }
    let head = present("BooksPart.head", head)?;
    books.positions.push(head.seq);
    Ok((head.try_into()?, books))
}

/// Who writes what only owners are asked.
struct Owner;

/// Which orders to read, of whom.
pub fn list_orders(account: AccountId, which: WhichOrders) -> v1::ListOrdersRequest {
    (account, which).to_wire()
}

/// The account and which of its orders to read.
///
/// # Errors
/// What is missing, or is no id.
pub fn listed_orders(wire: v1::ListOrdersRequest) -> Result<(AccountId, WhichOrders), Error> {
    Part::from_wire(wire, "the request")
}

message! {
    { (account, which) }: (AccountId, WhichOrders) = ListOrdersRequest { account, which } by Owner
}

oneof! {
    WhichOrders = ListOrdersRequest.which: list_orders_request::Which {
        Id(order) = Id,
        ClientOrderId(name) = ClientOrderId,
        Open = Open,
        Remembered = Remembered,
    } by Owner
}

/// Which past orders to read, of whom.
pub fn list_past_orders(account: AccountId, which: PastOrders) -> v1::ListPastOrdersRequest {
    (account, which).to_wire()
}

/// The account and which of its past orders to read.
///
/// # Errors
/// What is missing, or is no id.
pub fn listed_past_orders(
    wire: v1::ListPastOrdersRequest,
) -> Result<(AccountId, PastOrders), Error> {
    Part::from_wire(wire, "the request")
}

message! {
    { (account, which) }: (AccountId, PastOrders) = ListPastOrdersRequest { account, which } by Owner
}

oneof! {
    PastOrders = ListPastOrdersRequest.which: list_past_orders_request::Which {
        Id(order) = Id,
        ClientOrderId(name) = ClientOrderId,
        Query(query) = Query,
    } by Owner
}

message! {
    PastQuery = PastQuery {
        only_ended, side, symbols, newest_first, limit; after as after_us, until as until_us
    } by Owner
}

/// The refusal of a request that cannot be read.
pub fn unreadable(error: &Error) -> Status {
    status::of(&status::Error::new(
        Code::Invalid,
        "INVALID_FIELD",
        error.to_string(),
    ))
}

impl From<QueryError> for Status {
    fn from(error: QueryError) -> Status {
        let words = error.to_string();
        let told = match error {
            QueryError::NotOwner { epoch } => {
                status::Error::new(Code::Unavailable, NOT_OWNER, words)
                    .with("epoch", epoch.to_string())
            }
            QueryError::Busy { retry_after } => {
                let told = status::Error::new(Code::TooManyRequests, "BUSY", words);
                told.retry_after(Some(retry_after))
            }
            QueryError::Unavailable(_) => {
                status::Error::new(Code::Unavailable, "UNAVAILABLE", words)
            }
        };
        status::of(&told)
    }
}

#[cfg(test)]
mod tests {
    use prepx_bus::Topic;
    use prepx_domain::{Micros, OrderId, Side};
    use proptest::option;
    use proptest::prelude::*;
    use proptest::sample::select;
    use prost::Message;

    use super::*;

    /// The message as it comes out of its bytes.
    fn carried<M: Message + Default>(message: &M) -> M {
        M::decode(message.encode_to_vec().as_slice()).unwrap()
    }

    fn account() -> impl Strategy<Value = AccountId> {
        (0..=i64::MAX).prop_map(|raw| AccountId::new(raw).unwrap())
    }

    fn order() -> impl Strategy<Value = OrderId> {
        (0..=i64::MAX).prop_map(|raw| OrderId::new(raw).unwrap())
    }

    fn which() -> impl Strategy<Value = WhichOrders> {
        prop_oneof![
            order().prop_map(WhichOrders::Id),
            ".{0,128}".prop_map(WhichOrders::ClientOrderId),
            Just(WhichOrders::Open),
            Just(WhichOrders::Remembered),
        ]
    }

    prop_compose! {
        fn query()(
            (only_ended, newest_first, limit) in any::<(bool, bool, u32)>(),
            after in option::of(any::<i64>().prop_map(Micros)),
            until in option::of(any::<i64>().prop_map(Micros)),
            side in option::of(select(vec![Side::Buy, Side::Sell])),
            symbols in prop::collection::vec("[A-Z/]{0,9}", 0..4),
        ) -> PastQuery {
            PastQuery { only_ended, after, until, side, symbols, newest_first, limit }
        }
    }

    fn past() -> impl Strategy<Value = PastOrders> {
        prop_oneof![
            order().prop_map(PastOrders::Id),
            ".{0,128}".prop_map(PastOrders::ClientOrderId),
            query().prop_map(PastOrders::Query),
        ]
    }

    fn lanes() -> impl Strategy<Value = BTreeMap<TopicPartition, u64>> {
        let at = (select(Topic::ALL), 0u32..9).prop_map(|(topic, number)| topic.partition(number));
        prop::collection::btree_map(at, any::<u64>(), 0..9)
    }

    proptest! {
        #[test]
        fn what_is_asked_of_orders_arrives(account in account(), which in which()) {
            let wire = carried(&list_orders(account, which.clone()));
            prop_assert_eq!(listed_orders(wire), Ok((account, which)));
        }

        #[test]
        fn what_is_asked_of_past_orders_arrives(account in account(), which in past()) {
            let wire = carried(&list_past_orders(account, which.clone()));
            prop_assert_eq!(listed_past_orders(wire), Ok((account, which)));
        }

        #[test]
        fn lanes_arrive(sent in lanes(), received in lanes(), seq in any::<u64>()) {
            let head = Head { seq, sent, received, ..Head::default() };
            let wire = carried(&super::head(&head));
            prop_assert_eq!(wire.seq, seq);
            let Head { sent, received, .. } = head;
            prop_assert_eq!(Lanes::try_from(wire), Ok(Lanes { sent, received }));
        }
    }

    #[test]
    fn what_is_not_whole_is_an_error() {
        let missing = Err(Error::Missing("ListOrdersRequest.which"));
        assert_eq!(listed_orders(v1::ListOrdersRequest::default()), missing);
        let missing = Err(Error::Missing("BooksPart.head"));
        assert_eq!(books_of_parts(0, Vec::new()), missing);
        let lane = v1::LaneHead {
            topic: "no-topic".into(),
            ..v1::LaneHead::default()
        };
        let head = v1::Head {
            sent: vec![lane],
            ..v1::Head::default()
        };
        let unknown = Err(Error::Missing("LaneHead.topic"));
        assert_eq!(Lanes::try_from(head), unknown);
    }

    #[test]
    fn a_process_that_does_not_own_says_what_it_knows() {
        let told = status::read(&QueryError::NotOwner { epoch: 7 }.into());
        assert_eq!(
            (told.code, told.reason.as_str()),
            (Code::Unavailable, NOT_OWNER)
        );
        assert_eq!(told.details["epoch"], "7");
    }
}
