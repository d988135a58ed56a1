//! What happens at a desk as text: one step a line, and below each what the stage tells of it.
//!
//! ```text
//! buy 3 @1150 [stop=1100] | sell 0.5 market [stop=950]
//! amend 1 to 20 @1000 | change 1 qty=400 limit=1000 stop=900 name=c4
//! cancel 1 | cancel all | operator ends 1
//! made 4 of 1 @1000 | took 4 of 1 @1000 | triggered 1 | absent 1
//! replaced 1 by 2 cum 0 | rejected 1 by 2 halted|not_living|post_only|traded=12
//! end 1 filled|expired|requested|protect_price
//! open | deposit USD 5 | withdraw USD 5 | balances
//! ```
//!
//! Orders are numbers in the order of their appearance, quantities shares, those of trades lots, prices ticks,
//! amounts minor units. A line that begins with `#` is a remark.

use std::fmt::Write as _;

use prepx_domain::decimal;
use prepx_domain::message::{Action, CancelReason, End, Refusal, ToAccount};
use prepx_domain::{OrderKind, Side};

use crate::desk::Desk;

/// Does what a scenario says; its steps with what they cause. What the scenario itself says of that, its
/// indented lines, does not count.
pub fn play(scenario: &str, mut desk: Desk) -> String {
    let mut text = String::new();
    for line in scenario.lines().filter(|line| !line.starts_with(' ')) {
        writeln!(text, "{line}").unwrap();
        if !line.starts_with('#') {
            for told in step(&mut desk, line).lines() {
                writeln!(text, "    {told}").unwrap();
            }
        }
    }
    text
}

fn step(desk: &mut Desk, line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["open"] => desk.open(),
        ["balances"] => desk.balances(),
        ["deposit", asset, amount] => desk.deposit(asset, number(amount)),
        ["withdraw", asset, amount] => desk.withdraw(asset, number(amount)),
        ["buy", ref ask @ ..] => place(desk, Side::Buy, ask),
        ["sell", ref ask @ ..] => place(desk, Side::Sell, ask),
        ["amend", order, "to", shares, price] => {
            desk.amend(index(order), number(shares), number(price))
        }
        ["change", order, ref fields @ ..] => change(desk, index(order), fields),
        ["cancel", "all"] => {
            let account = desk.account;
            desk.command(Action::CancelAll { account })
        }
        ["cancel", order] => desk.cancel(index(order)),
        ["operator", "ends", order] => desk.end_by_operator(index(order)),
        ["absent", order] => desk.absent(index(order)),
        ["triggered", order] => {
            let (account, order) = (desk.account, desk.order(index(order)));
            desk.market(ToAccount::Triggered { account, order })
        }
        ["made", lots, "of", order, price] => desk.fill(index(order), number(lots), number(price)),
        ["took", lots, "of", order, price] => {
            desk.trade(index(order), number(lots), number(price), false)
        }
        ["replaced", old, "by", new, "cum", lots] => {
            desk.replaced(index(old), index(new), number(lots))
        }
        ["rejected", old, "by", new, why] => desk.rejected(index(old), index(new), refusal(why)),
        ["end", order, how] => desk.end(index(order), end(how)),
        _ => panic!("no step: {line:?}"),
    }
}

fn place(desk: &mut Desk, side: Side, words: &[&str]) -> String {
    let [shares, price, options @ ..] = words else {
        panic!("shares and a price, not {words:?}");
    };
    let stop = options
        .first()
        .map(|option| number(option.strip_prefix("stop=").unwrap()));
    let limit = (*price != "market").then(|| number(price));
    let kind = match (stop, limit) {
        (None, None) => OrderKind::Market,
        (None, Some(limit)) => OrderKind::Limit { limit },
        (Some(stop), None) => OrderKind::Stop { stop },
        (Some(stop), Some(limit)) => OrderKind::StopLimit { stop, limit },
    };
    let mut ask = desk.ask(side, kind, 0);
    ask.qty_minor = decimal::parse(shares, 2).unwrap();
    desk.command(Action::Place(ask))
}

fn change(desk: &mut Desk, order: usize, fields: &[&str]) -> String {
    let mut ask = desk.change(order);
    for field in fields {
        match field.split_once('=').unwrap() {
            ("qty", value) => ask.qty_minor = Some(number(value)),
            ("limit", value) => ask.limit_minor = Some(number(value)),
            ("stop", value) => ask.stop_minor = Some(number(value)),
            ("name", value) => ask.client_order_id = value.to_owned(),
            _ => panic!("no field: {field:?}"),
        }
    }
    desk.command(Action::Replace(ask))
}

fn refusal(word: &str) -> Refusal {
    match word {
        "halted" => Refusal::Halted,
        "not_living" => Refusal::NotLiving,
        "post_only" => Refusal::PostOnlyWouldTrade,
        _ => Refusal::QuantityTraded {
            cum_lots: number(word.strip_prefix("traded=").unwrap()),
        },
    }
}

fn end(word: &str) -> End {
    match word {
        "filled" => End::Filled,
        "expired" => End::Expired,
        "requested" => End::Canceled(CancelReason::Requested),
        "protect_price" => End::Canceled(CancelReason::ProtectPrice),
        _ => panic!("no end: {word:?}"),
    }
}

fn number(word: &str) -> i64 {
    word.trim_start_matches('@').parse().unwrap()
}

fn index(word: &str) -> usize {
    word.parse().unwrap()
}
