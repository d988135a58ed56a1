//! A change of an order that lives.

use prepx_domain::message::ReplaceOrder;
use prepx_domain::update::OrderView;
use prepx_domain::{FieldError, Instrument, Micros};

use super::{Lifetime, check_name, expiry, positive, wrong};
use crate::domain::calendar::Nyse;

/// A change of an order as a client sent it; what is absent stays.
#[derive(Clone, Debug)]
pub struct ReplaceForm<'a> {
    /// New total quantity in text.
    pub qty: Option<&'a str>,
    /// New worst price in text.
    pub limit_price: Option<&'a str>,
    /// New trigger price in text.
    pub stop_price: Option<&'a str>,
    /// Distance of a trailing stop; not taken yet.
    pub trail: Option<&'a str>,
    /// How long the new order lives.
    pub time_in_force: Option<Lifetime>,
    /// The client's name for the new order, or one that was drawn.
    pub client_order_id: &'a str,
}

impl ReplaceForm<'_> {
    /// The command that replaces `old` as this form asks.
    pub fn replace(
        &self,
        old: &OrderView,
        instrument: &Instrument,
        nyse: &Nyse,
        now: Micros,
    ) -> Result<ReplaceOrder, FieldError> {
        if self.trail.is_some() {
            return wrong("trail", "trail: trailing stops are not taken here");
        }
        check_name(self.client_order_id)?;
        let time_in_force = match self.time_in_force {
            None => None,
            Some(Lifetime::Known(tif)) if tif.rests() => {
                Some((tif, expiry(tif, old.extended_hours, instrument, nyse, now)))
            }
            Some(_) => {
                return wrong(
                    "time_in_force",
                    "time_in_force of a living order is day or gtc",
                );
            }
        };
        let number = |field, text: Option<&str>, scale| {
            text.map(|text| positive(field, text, scale)).transpose()
        };
        let replace = ReplaceOrder {
            account: old.account,
            order: old.id,
            qty_minor: number("qty", self.qty, instrument.base_scale)?,
            limit_minor: number("limit_price", self.limit_price, instrument.quote_scale)?,
            stop_minor: number("stop_price", self.stop_price, instrument.quote_scale)?,
            time_in_force,
            client_order_id: self.client_order_id.to_owned(),
        };
        check_changes(&replace)?;
        Ok(replace)
    }
}

/// Something of the order must change: a new name alone makes no other order.
pub fn check_changes(replace: &ReplaceOrder) -> Result<(), FieldError> {
    let numbers = [replace.qty_minor, replace.limit_minor, replace.stop_minor];
    if replace.time_in_force.is_none() && numbers.iter().all(Option::is_none) {
        let message = "nothing would change: give qty, limit_price, stop_price or time_in_force";
        return wrong("qty", message);
    }
    Ok(())
}
