//! Scenarios as text: one input a line, and below each what others are told of it.
//!
//! ```text
//! A 1 buy 5 @100 [stop=99] [protect=98] [ioc|fok|day] [post] [ext] [awaits] [exp=1000]
//! A replace 1 by 2 buy 3 @100
//! A cancel 1
//! halt | resume | timer | wait 1000
//! ```
//!
//! Accounts are letters, orders numbers, prices ticks, quantities lots, times microseconds from the
//! start. A price of `@market` is a market order; with `stop=` it is a stop.

use std::fmt::Write;

use prepx_domain::message::{BookOrder, BookReplace, ToAccount, ToMatching};
use prepx_domain::update::MarketChange;
use prepx_domain::{AccountId, Instrument, InstrumentId, OrderId, OrderKind, Side, TimeInForce};

use super::run::{Run, START};
use crate::{Input, Output};

/// Runs the script of a scenario through the engine and the reference; the inputs with what they
/// cause. What a scenario says of that, its indented lines, does not count.
pub(super) fn play(scenario: &str, instrument: &Instrument) -> String {
    let mut run = Run::new();
    let mut now = START;
    let define = Input::Command(ToMatching::Define(*instrument));
    run.step(&define, now).expect("the books agree");
    let mut text = String::new();
    for line in scenario.lines().filter(|line| !line.starts_with(' ')) {
        writeln!(text, "{line}").expect("text is written");
        if let Some(us) = line.strip_prefix("wait ") {
            now = now.plus_us(us.parse().expect("microseconds"));
            continue;
        }
        let input = parse(line, instrument.id);
        let outputs = run.step(&input, now).expect("the books agree");
        for output in outputs {
            writeln!(text, "    {}", show(&output)).expect("text is written");
        }
    }
    run.inspect_and_restore().expect("the state is sound");
    text
}

pub(super) fn parse(line: &str, instrument: InstrumentId) -> Input {
    let words: Vec<&str> = line.split_whitespace().collect();
    let command = match words[..] {
        ["timer"] => return Input::Timer,
        ["halt"] => ToMatching::Halt(instrument),
        ["resume"] => ToMatching::Resume(instrument),
        [account, "cancel", order] => ToMatching::Cancel {
            account: account_id(account),
            instrument,
            order: order_id(order),
            answered: false,
        },
        [account, "end", order] => ToMatching::Cancel {
            account: account_id(account),
            instrument,
            order: order_id(order),
            answered: true,
        },
        [account, "replace", old, "by", ref new @ ..] => ToMatching::Replace(BookReplace {
            old: order_id(old),
            new: order(account, new, instrument),
        }),
        [account, ref placed @ ..] => ToMatching::Place(order(account, placed, instrument)),
        [] => panic!("an empty line"),
    };
    Input::Command(command)
}

fn number(word: &str) -> i64 {
    word.parse().expect("a number")
}

fn order_id(word: &str) -> OrderId {
    OrderId::new(number(word)).expect("not negative")
}

fn account_id(word: &str) -> AccountId {
    let letter = i64::from(word.as_bytes()[0] - b'A');
    AccountId::new(letter << 22 | letter << 10).expect("not negative")
}

fn order(account: &str, words: &[&str], instrument: InstrumentId) -> BookOrder {
    let [id, side, qty, price, options @ ..] = words else {
        panic!("order id, side, quantity and price, not {words:?}");
    };
    let value = |name: &str| {
        let mut named = options.iter().filter_map(|option| option.split_once('='));
        named
            .find(|option| option.0 == name)
            .map(|option| number(option.1))
    };
    let has = |name: &str| options.contains(&name);
    let limit = price.trim_start_matches('@').parse().ok();
    BookOrder {
        order: order_id(id),
        account: account_id(account),
        instrument,
        side: if *side == "buy" {
            Side::Buy
        } else {
            Side::Sell
        },
        kind: match (value("stop"), limit) {
            (None, None) => OrderKind::Market,
            (None, Some(limit)) => OrderKind::Limit { limit },
            (Some(stop), None) => OrderKind::Stop { stop },
            (Some(stop), Some(limit)) => OrderKind::StopLimit { stop, limit },
        },
        time_in_force: match () {
            () if has("ioc") => TimeInForce::ImmediateOrCancel,
            () if has("fok") => TimeInForce::FillOrKill,
            () if has("day") => TimeInForce::Day,
            () => TimeInForce::GoodTilCanceled,
        },
        qty_lots: number(qty),
        protect_ticks: value("protect"),
        post_only: has("post"),
        extended_hours: has("ext"),
        awaits_session: has("awaits"),
        expires_at: value("exp").map(|us| START.plus_us(us)),
    }
}

fn show(output: &Output) -> String {
    match output {
        Output::Account { slot, message } => {
            let account = char::from(b'A' + slot.number() as u8);
            format!("{account}: {}", show_message(message))
        }
        Output::Everyone(message) => format!("all: {}", show_message(message)),
        Output::Market(update) => {
            format!("market {}: {}", update.number, show_change(&update.change))
        }
    }
}

fn show_message(message: &ToAccount) -> String {
    match message {
        ToAccount::Defined(_) => "defined".to_owned(),
        ToAccount::Halted { halted, .. } => format!("halted {halted}"),
        ToAccount::Reference { price_ticks, .. } => format!("reference {price_ticks}"),
        ToAccount::Session { phase, .. } => format!("session {phase:?}"),
        ToAccount::Absent { order, .. } => format!("{} is absent", order.raw()),
        ToAccount::Parked { order, .. } => format!("{} parked", order.raw()),
        ToAccount::Entered { order, .. } => format!("{} entered", order.raw()),
        ToAccount::Triggered { order, .. } => format!("{} triggered", order.raw()),
        ToAccount::Fill(fill) => format!(
            "{} {} {:?} {}@{} costs {} fee {} cum {}",
            fill.order.raw(),
            if fill.maker { "made" } else { "took" },
            fill.side,
            fill.qty_lots,
            fill.price_ticks,
            fill.notional_minor,
            fill.fee_minor,
            fill.cum_lots,
        ),
        ToAccount::Replaced {
            old, new, cum_lots, ..
        } => format!("{} replaced by {} cum {cum_lots}", old.raw(), new.raw()),
        ToAccount::ReplaceRejected {
            old, new, refusal, ..
        } => format!("{} not replaced by {}: {refusal:?}", old.raw(), new.raw()),
        ToAccount::Ended {
            order,
            cum_lots,
            end,
            ..
        } => format!("{} ended {end:?} cum {cum_lots}", order.raw()),
    }
}

fn show_change(change: &MarketChange) -> String {
    match change {
        MarketChange::Defined(_) => "defined".to_owned(),
        MarketChange::Halted(halted) => format!("halted {halted}"),
        MarketChange::Trade {
            price_ticks,
            qty_lots,
            taker,
            ..
        } => format!("trade {qty_lots}@{price_ticks} {taker:?}"),
        MarketChange::Level {
            side,
            price_ticks,
            qty_lots,
        } => format!("{side:?} {price_ticks} has {qty_lots}"),
    }
}
