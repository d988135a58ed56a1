//! What owners of stages answer when they are asked for their state: the messages of
//! `prepx.owner.v1` and how they stand for the views of the domain.
//!
//! Reading is as strict as that of the log.

use prepx_domain::view::{AccountView, Balance, InstrumentView};

use crate::message;

pub use crate::generated::prepx::owner::v1;

message! {
    AccountView = AccountView {
        account, user, simulated, blocked, suspended, limits, balances, open_orders;
        opened_at as opened_at_us
    }
}

message! { Balance = Balance { asset, scale, available_minor, held_minor, cost_minor } }

message! { InstrumentView = InstrumentView { instrument, halted, reference_ticks } }

#[cfg(test)]
mod tests {
    use prepx_domain::AccountId;
    use prepx_domain::update::{Book, Posting};
    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::journal::tests::arbitrary;
    use crate::journal::{Error, Part, postings_from_wire, postings_to_wire};

    /// What `value` is after its way over the wire, as bytes.
    fn carried<T: Part<Wire: Message + Default>>(value: &T) -> Result<T, Error> {
        let wire = T::Wire::decode(value.to_wire().encode_to_vec().as_slice())?;
        T::from_wire(wire, "the message")
    }

    proptest! {
        #[test]
        fn an_account_comes_back_as_it_was(view in arbitrary::account_view()) {
            prop_assert_eq!(carried(&view), Ok(view));
        }

        #[test]
        fn an_instrument_comes_back_as_it_was(view in arbitrary::instrument_view()) {
            prop_assert_eq!(carried(&view), Ok(view));
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
        let empty = AccountView::from_wire(v1::AccountView::default(), "");
        assert_eq!(empty, Err(Error::Missing("AccountView.user")));
        let empty = InstrumentView::from_wire(v1::InstrumentView::default(), "");
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
