//! What the account stage tells the rest of the platform.

use prepx_domain::AccountId;
use prepx_domain::update::{AccountUpdate, Book, Change, OrderEvent, OrderView, Posting};

use super::part::{present, read, write};
use super::{Error, Part, v1};
use crate::{message, oneof};

/// Its postings need not name its account again.
impl Part for AccountUpdate {
    type Wire = v1::AccountUpdate;

    fn to_wire(&self) -> Self::Wire {
        v1::AccountUpdate {
            account: self.account.raw(),
            at_us: self.at.0,
            change: write(&self.change),
            postings: postings_to_wire(Some(self.account), &self.postings),
        }
    }

    fn from_wire(wire: Self::Wire, _name: &'static str) -> Result<Self, Error> {
        let account = read(wire.account, "AccountUpdate.account")?;
        Ok(AccountUpdate {
            account,
            at: read(wire.at_us, "AccountUpdate.at_us")?,
            change: read(wire.change, "AccountUpdate.change")?,
            postings: postings_from_wire(Some(account), &wire.postings)?,
        })
    }
}

oneof! {
    Change = AccountUpdate.change: account_update::Change {
        Opened { user, simulated } = Opened(OpenAccount),
        Deposited { command, asset, amount_minor } = Deposited(Moved),
        Withdrawn { command, asset, amount_minor } = Withdrawn(Moved),
        Blocked(blocked) = Blocked,
        Suspended(suspended) = Suspended,
        LimitsSet(limits) = LimitsSet,
        Order { order, event } = Order(OrderChange),
    }
}

oneof! {
    OrderEvent = OrderChange.event: order_change::Event {
        New = New,
        Accepted = Accepted,
        PendingNew = PendingNew,
        PendingCancel = PendingCancel,
        PendingReplace = PendingReplace,
        Triggered = Triggered,
        Fill { fill, position_minor } = Fill(OrderFill),
        Replaced = Replaced,
        ReplaceRejected(refusal) = ReplaceRejected,
        Ended(end) = Ended,
    }
}

message! {
    OrderView = OrderView {
        id, account, client_order_id, instrument, symbol, side, time_in_force, post_only,
        extended_hours, status, qty_minor, filled_minor, filled_notional_minor, fee_minor,
        held_minor, end, replaces, replaced_by;
        created_at as created_at_us, updated_at as updated_at_us, expires_at as expires_at_us,
        ended_at as ended_at_us
    } where kind in (r#type, limit_minor, stop_minor)
}

/// Postings of an update of the account `own`, which they need not name again.
pub fn postings_to_wire(own: Option<AccountId>, postings: &[Posting]) -> Vec<v1::Posting> {
    let others = |account: AccountId| (Some(account) != own).then_some(account.raw());
    let to_wire = |posting: &Posting| {
        let (book, account) = match posting.book {
            Book::Available(account) => (v1::Book::Available, others(account)),
            Book::Held(account) => (v1::Book::Held, others(account)),
            Book::Clearing => (v1::Book::Clearing, None),
            Book::Fees => (v1::Book::Fees, None),
            Book::Outside => (v1::Book::Outside, None),
        };
        v1::Posting {
            book: book as i32,
            account,
            asset: posting.asset.to_wire(),
            amount_minor: posting.amount_minor,
        }
    };
    postings.iter().map(to_wire).collect()
}

/// The postings of an update of the account `own`; those of none name the account of each book.
pub fn postings_from_wire(
    own: Option<AccountId>,
    wire: &[v1::Posting],
) -> Result<Vec<Posting>, Error> {
    let from_wire = |wire: &v1::Posting| {
        let account: Option<AccountId> = read(wire.account, "Posting.account")?;
        let account = account.or(own);
        let account = || present("Posting.account", account);
        let book = match v1::Book::try_from(wire.book) {
            Ok(v1::Book::Available) => Book::Available(account()?),
            Ok(v1::Book::Held) => Book::Held(account()?),
            Ok(v1::Book::Clearing) => Book::Clearing,
            Ok(v1::Book::Fees) => Book::Fees,
            Ok(v1::Book::Outside) => Book::Outside,
            Ok(v1::Book::Unspecified) | Err(_) => {
                return Err(Error::Unknown {
                    field: "Posting.book",
                    number: wire.book,
                });
            }
        };
        let asset = read(wire.asset, "Posting.asset")?;
        Ok(Posting {
            book,
            asset,
            amount_minor: wire.amount_minor,
        })
    };
    wire.iter().map(from_wire).collect()
}
