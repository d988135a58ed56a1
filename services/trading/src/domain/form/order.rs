//! A new order.

use prepx_domain::message::PlaceOrder;
use prepx_domain::{AccountId, FieldError, Instrument, Micros, OrderKind, Side, TimeInForce};

use super::{Lifetime, check_name, check_side, expiry, positive, wrong};
use crate::domain::calendar::Nyse;

/// How an order executes, as clients say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// At once.
    Market,
    /// At a price or better.
    Limit,
    /// As a market order once triggered.
    Stop,
    /// As a limit order once triggered.
    StopLimit,
    /// Not taken yet.
    TrailingStop,
}

/// An order as a client sent it.
#[derive(Clone, Debug)]
pub struct OrderForm<'a> {
    /// Quantity in text.
    pub qty: Option<&'a str>,
    /// Money instead of a quantity.
    pub notional: Option<&'a str>,
    /// Which way.
    pub side: Option<Side>,
    /// How it executes.
    pub r#type: Option<Type>,
    /// How long it lives.
    pub time_in_force: Option<Lifetime>,
    /// Worst price in text.
    pub limit_price: Option<&'a str>,
    /// Trigger price in text.
    pub stop_price: Option<&'a str>,
    /// The field that makes it more than a simple order, if any.
    pub not_simple: Option<&'static str>,
    /// The side that its position intent demands, if it has one.
    pub intent: Option<Intent>,
    /// Whether it may trade outside the regular session.
    pub extended_hours: bool,
    /// Whether it must not take.
    pub post_only: bool,
    /// The client's name for it, or one that was drawn.
    pub client_order_id: &'a str,
}

/// What an order means for the position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Extends a long position: a buy.
    BuyToOpen,
    /// Reduces a long position: a sell.
    SellToClose,
    /// Of a short position, which cash accounts do not have.
    Short(&'static str),
}

impl OrderForm<'_> {
    /// The command for this form.
    pub fn place(
        &self,
        account: AccountId,
        instrument: &Instrument,
        nyse: &Nyse,
        now: Micros,
    ) -> Result<PlaceOrder, FieldError> {
        self.check_taken()?;
        let side = check_side(self.side)?;
        self.check_intent(side)?;
        let kind = self.kind(instrument)?;
        let time_in_force = self.lifetime()?;
        self.check_combination(kind, time_in_force)?;
        check_name(self.client_order_id)?;
        let Some(qty) = self.qty else {
            return wrong("qty", "qty is required: a positive number such as 1.5");
        };
        Ok(PlaceOrder {
            account,
            symbol: instrument.symbol,
            side,
            kind,
            time_in_force,
            qty_minor: positive("qty", qty, instrument.base_scale)?,
            post_only: self.post_only,
            extended_hours: self.extended_hours,
            expires_at: expiry(time_in_force, self.extended_hours, instrument, nyse, now),
            client_order_id: self.client_order_id.to_owned(),
        })
    }

    /// What this server says it does not take.
    fn check_taken(&self) -> Result<(), FieldError> {
        if let Some(field) = self.not_simple {
            return wrong(field, format!("{field}: only simple orders are taken here"));
        }
        if self.notional.is_some() {
            return wrong("notional", "notional orders are not taken here: give qty");
        }
        if self.r#type == Some(Type::TrailingStop) {
            return wrong(
                "type",
                "type trailing_stop is not taken here: use market, limit, stop or stop_limit",
            );
        }
        Ok(())
    }

    fn check_intent(&self, side: Side) -> Result<(), FieldError> {
        let (name, demanded) = match self.intent {
            None => return Ok(()),
            Some(Intent::BuyToOpen) => ("buy_to_open", Side::Buy),
            Some(Intent::SellToClose) => ("sell_to_close", Side::Sell),
            Some(Intent::Short(name)) => {
                return wrong(
                    "position_intent",
                    format!(
                        "position_intent {name}: cash accounts hold no short positions; use buy_to_open or sell_to_close"
                    ),
                );
            }
        };
        if side == demanded {
            return Ok(());
        }
        wrong(
            "position_intent",
            format!("position_intent {name} contradicts the side"),
        )
    }

    fn kind(&self, instrument: &Instrument) -> Result<OrderKind, FieldError> {
        let Some(r#type) = self.r#type else {
            return wrong(
                "type",
                "type is required: market, limit, stop or stop_limit",
            );
        };
        let (wants_limit, wants_stop) = match r#type {
            Type::Market | Type::TrailingStop => (false, false),
            Type::Limit => (true, false),
            Type::Stop => (false, true),
            Type::StopLimit => (true, true),
        };
        let scale = instrument.quote_scale;
        let limit = price("limit_price", self.limit_price, wants_limit, scale)?;
        let stop = price("stop_price", self.stop_price, wants_stop, scale)?;
        Ok(match (limit, stop) {
            (None, None) => OrderKind::Market,
            (Some(limit), None) => OrderKind::Limit { limit },
            (None, Some(stop)) => OrderKind::Stop { stop },
            (Some(limit), Some(stop)) => OrderKind::StopLimit { stop, limit },
        })
    }

    fn lifetime(&self) -> Result<TimeInForce, FieldError> {
        match self.time_in_force {
            Some(lifetime) => lifetime.known(),
            None => wrong(
                "time_in_force",
                "time_in_force is required: day, gtc, ioc or fok",
            ),
        }
    }

    fn check_combination(&self, kind: OrderKind, tif: TimeInForce) -> Result<(), FieldError> {
        if self.post_only && !matches!(kind, OrderKind::Limit { .. }) {
            return wrong("post_only", "post_only is for limit orders only");
        }
        if self.post_only && !tif.rests() {
            return wrong(
                "post_only",
                "post_only goes with time_in_force day or gtc only",
            );
        }
        if self.extended_hours && !(matches!(kind, OrderKind::Limit { .. }) && tif.rests()) {
            return wrong(
                "extended_hours",
                "extended_hours is for limit orders with time_in_force day or gtc only",
            );
        }
        Ok(())
    }
}

fn price(
    field: &'static str,
    text: Option<&str>,
    wanted: bool,
    scale: u32,
) -> Result<Option<i64>, FieldError> {
    match (text, wanted) {
        (None, false) => Ok(None),
        (Some(text), true) => positive(field, text, scale).map(Some),
        (None, true) => wrong(field, format!("{field} is required for this type of order")),
        (Some(_), false) => wrong(field, format!("{field} is not for this type of order")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use prepx_domain::{AssetClass, fixture};

    /// Whole shares, ticks of a cent.
    fn instrument() -> Instrument {
        Instrument {
            symbol: "AAPL".parse().expect("a symbol"),
            class: AssetClass::UsEquity,
            base: "AAPL".parse().expect("an asset"),
            lot_minor: 100_000_000,
            ..fixture::bitcoin()
        }
    }

    fn limit_buy() -> OrderForm<'static> {
        OrderForm {
            qty: Some("3.0"),
            notional: None,
            side: Some(Side::Buy),
            r#type: Some(Type::Limit),
            time_in_force: Some(Lifetime::Known(TimeInForce::Day)),
            limit_price: Some("1.25"),
            stop_price: None,
            not_simple: None,
            intent: None,
            extended_hours: false,
            post_only: false,
            client_order_id: "mine",
        }
    }

    fn check(form: OrderForm<'_>, expect: Expect) {
        let nyse = Nyse::bundled().expect("it parses");
        let account = AccountId::new(7).expect("not negative");
        let placed = form.place(account, &instrument(), &nyse, Micros(1_000_000));
        expect.assert_eq(&match placed {
            Ok(order) => format!(
                "{:?} {:?} {} until {:?}",
                order.side, order.kind, order.qty_minor, order.expires_at
            ),
            Err(error) => format!("{}: {error}", error.field),
        });
    }

    #[test]
    fn a_good_form_becomes_exact_numbers() {
        check(
            limit_buy(),
            expect!["Buy Limit { limit: 125000000 } 300000000 until Some(Micros(86400000000))"],
        );
        check(
            OrderForm {
                r#type: Some(Type::StopLimit),
                stop_price: Some("1e0"),
                time_in_force: Some(Lifetime::Known(TimeInForce::GoodTilCanceled)),
                ..limit_buy()
            },
            expect!["Buy StopLimit { stop: 100000000, limit: 125000000 } 300000000 until None"],
        );
    }

    #[test]
    fn a_bad_form_says_what_would_be_right() {
        check(
            OrderForm {
                side: None,
                ..limit_buy()
            },
            expect!["side: side is required: buy or sell"],
        );
        check(
            OrderForm {
                qty: None,
                ..limit_buy()
            },
            expect!["qty: qty is required: a positive number such as 1.5"],
        );
        check(
            OrderForm {
                qty: Some("-1"),
                ..limit_buy()
            },
            expect!["qty: qty is -1: it must be above 0"],
        );
        check(
            OrderForm {
                qty: Some("1e-9"),
                ..limit_buy()
            },
            expect!["qty: qty: 1e-9 has more than 8 decimal places"],
        );
        check(
            OrderForm {
                limit_price: None,
                ..limit_buy()
            },
            expect!["limit_price: limit_price is required for this type of order"],
        );
        check(
            OrderForm {
                stop_price: Some("1"),
                ..limit_buy()
            },
            expect!["stop_price: stop_price is not for this type of order"],
        );
    }

    #[test]
    fn what_is_not_taken_yet_is_named() {
        check(
            OrderForm {
                notional: Some("5"),
                qty: None,
                ..limit_buy()
            },
            expect!["notional: notional orders are not taken here: give qty"],
        );
        check(
            OrderForm {
                not_simple: Some("take_profit"),
                ..limit_buy()
            },
            expect!["take_profit: take_profit: only simple orders are taken here"],
        );
        check(
            OrderForm {
                r#type: Some(Type::TrailingStop),
                ..limit_buy()
            },
            expect![
                "type: type trailing_stop is not taken here: use market, limit, stop or stop_limit"
            ],
        );
        check(
            OrderForm {
                intent: Some(Intent::SellToClose),
                ..limit_buy()
            },
            expect!["position_intent: position_intent sell_to_close contradicts the side"],
        );
        check(
            OrderForm {
                time_in_force: Some(Lifetime::Auction("opg")),
                ..limit_buy()
            },
            expect!["time_in_force: time_in_force opg is not taken here: use day, gtc, ioc or fok"],
        );
        check(
            OrderForm {
                post_only: true,
                time_in_force: Some(Lifetime::Known(TimeInForce::FillOrKill)),
                ..limit_buy()
            },
            expect!["post_only: post_only goes with time_in_force day or gtc only"],
        );
        let long = "x".repeat(129);
        check(
            OrderForm {
                client_order_id: &long,
                ..limit_buy()
            },
            expect!["client_order_id: client_order_id has 129 characters: give 0 to 128"],
        );
    }
}
