//! What owners of stages answer when they are asked for their state: the messages of
//! `prepx.owner.v1` and how they stand for the views of the domain.
//!
//! Reading is as strict as that of the log.

use prepx_domain::Micros;
use prepx_domain::view::{AccountView, Balance, InstrumentView};

use crate::journal::Error;
use crate::journal::value::{id, pack, present, unpack, uuid};

pub use crate::generated::prepx::owner::v1;

impl From<&AccountView> for v1::AccountView {
    fn from(view: &AccountView) -> Self {
        v1::AccountView {
            account: view.account.raw(),
            user: Some(view.user.into()),
            opened_at_us: view.opened_at.0,
            simulated: view.simulated,
            blocked: view.blocked,
            suspended: view.suspended,
            limits: Some(view.limits.into()),
            balances: view.balances.iter().map(Into::into).collect(),
            open_orders: view.open_orders,
        }
    }
}

impl TryFrom<v1::AccountView> for AccountView {
    type Error = Error;

    fn try_from(wire: v1::AccountView) -> Result<Self, Error> {
        let balances = wire.balances.into_iter().map(TryInto::try_into);
        Ok(AccountView {
            account: id("AccountView.account", wire.account)?,
            user: uuid("AccountView.user", wire.user)?,
            opened_at: Micros(wire.opened_at_us),
            simulated: wire.simulated,
            blocked: wire.blocked,
            suspended: wire.suspended,
            limits: present("AccountView.limits", wire.limits)?.into(),
            balances: balances.collect::<Result<_, _>>()?,
            open_orders: wire.open_orders,
        })
    }
}

impl From<&Balance> for v1::Balance {
    fn from(balance: &Balance) -> Self {
        v1::Balance {
            asset: pack(balance.asset),
            scale: balance.scale,
            available_minor: balance.available_minor,
            held_minor: balance.held_minor,
            cost_minor: balance.cost_minor,
        }
    }
}

impl TryFrom<v1::Balance> for Balance {
    type Error = Error;

    fn try_from(wire: v1::Balance) -> Result<Self, Error> {
        Ok(Balance {
            asset: unpack("Balance.asset", wire.asset)?,
            scale: wire.scale,
            available_minor: wire.available_minor,
            held_minor: wire.held_minor,
            cost_minor: wire.cost_minor,
        })
    }
}

impl From<&InstrumentView> for v1::InstrumentView {
    fn from(view: &InstrumentView) -> Self {
        v1::InstrumentView {
            instrument: Some((&view.instrument).into()),
            halted: view.halted,
            reference_ticks: view.reference_ticks,
        }
    }
}

impl TryFrom<v1::InstrumentView> for InstrumentView {
    type Error = Error;

    fn try_from(wire: v1::InstrumentView) -> Result<Self, Error> {
        Ok(InstrumentView {
            instrument: present("InstrumentView.instrument", wire.instrument)?.try_into()?,
            halted: wire.halted,
            reference_ticks: wire.reference_ticks,
        })
    }
}

#[cfg(test)]
mod tests {
    use prepx_domain::AccountId;
    use prepx_domain::update::{Book, Posting};
    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::journal::tests::arbitrary;
    use crate::journal::{postings_from_wire, postings_to_wire};

    /// What `value` is after its way over the wire, as bytes.
    fn carried<W, T>(value: &T) -> Result<T, Error>
    where
        W: Message + Default + for<'a> From<&'a T>,
        T: TryFrom<W, Error = Error>,
    {
        W::decode(W::from(value).encode_to_vec().as_slice())?.try_into()
    }

    proptest! {
        #[test]
        fn an_account_comes_back_as_it_was(view in arbitrary::account_view()) {
            prop_assert_eq!(carried::<v1::AccountView, _>(&view), Ok(view));
        }

        #[test]
        fn an_instrument_comes_back_as_it_was(view in arbitrary::instrument_view()) {
            prop_assert_eq!(carried::<v1::InstrumentView, _>(&view), Ok(view));
        }

        #[test]
        fn lines_of_books_come_back_with_their_accounts(
            lines in prop::collection::vec(arbitrary::posting(AccountId::new(7).expect("not negative")), 0..20),
        ) {
            let wire = postings_to_wire(None, &lines);
            prop_assert_eq!(postings_from_wire(None, &wire), Ok(lines));
        }
    }

    #[test]
    fn what_is_not_whole_is_an_error() {
        let empty = AccountView::try_from(v1::AccountView::default());
        assert_eq!(empty, Err(Error::Missing("AccountView.user")));
        let empty = InstrumentView::try_from(v1::InstrumentView::default());
        assert_eq!(empty, Err(Error::Missing("InstrumentView.instrument")));
        let nobodys = crate::journal::v1::Posting {
            book: crate::journal::v1::Book::Held as i32,
            asset: 1,
            ..Default::default()
        };
        let read = postings_from_wire(None, &[nobodys]);
        assert_eq!(read, Err(Error::Missing("Posting.account")));
        let fees = Posting {
            book: Book::Fees,
            asset: "A".parse().expect("a name"),
            amount_minor: 1,
        };
        assert_eq!(postings_to_wire(None, &[fees])[0].account, None);
    }
}
