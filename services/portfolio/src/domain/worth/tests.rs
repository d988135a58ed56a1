//! Histories computed by hand.

use expect_test::{Expect, expect};
use prepx_domain::decimal::format;
use prepx_domain::fixture;

use super::*;
use crate::domain::holdings::{CURRENCY_SCALE, RATIO_SCALE};
use crate::domain::points::Asked;

const ONE: i64 = 100_000_000;
const HOUR_US: i64 = 3_600_000_000;
/// 2026-11-21T00:00:00Z.
const MIDNIGHT: Micros = Micros(1_795_219_200_000_000);

fn asset(name: &str) -> Asset {
    name.parse().unwrap()
}

fn coin() -> Instrument {
    Instrument {
        lot_minor: ONE / 1_000,
        ..fixture::bitcoin()
    }
}

fn hours(count: i64) -> Points {
    let asked = Asked {
        timeframe: "1H",
        start: Some(MIDNIGHT.plus_us(HOUR_US)),
        ..Asked::default()
    };
    Points::of(&asked, MIDNIGHT.plus_us((1 + count) * HOUR_US)).unwrap()
}

fn shift(hour: i64, name: &str, change: i64, paid: i64) -> Shift {
    Shift {
        at: MIDNIGHT.plus_us(hour * HOUR_US),
        asset: asset(name),
        change_minor: change,
        paid_minor: paid,
    }
}

fn check(changes: &Changes, prices: &[Prices], expected: Expect) {
    let worth = Worth::of(&hours(4), changes, prices);
    let money = |minor| format(minor, CURRENCY_SCALE);
    let mut text = format!("base {}\n", money(worth.base_minor));
    for point in &worth.points {
        let hour = (point.at.0 - MIDNIGHT.0) / HOUR_US;
        let (equity, profit) = (money(point.equity_minor), money(point.profit_minor));
        let ratio = format(point.profit_ratio, RATIO_SCALE);
        text += &format!("{hour} h: {equity}, profit {profit}, {ratio}\n");
    }
    expected.assert_eq(&text);
}

/// 1,000 USD and 2 BTC at 100; 50 USD come before the first point.
fn opening() -> BTreeMap<Asset, i64> {
    BTreeMap::from([(asset("USD"), 1_000 * ONE), (asset("BTC"), 2 * ONE)])
}

#[test]
fn equity_and_profit_by_hand() {
    let changes = Changes {
        opening: opening(),
        shifts: vec![
            shift(0, "USD", 50 * ONE, 50 * ONE),
            // Buys 1 at 110 with a fee of 0.5.
            shift(1, "BTC", ONE, 0),
            shift(1, "USD", -110 * ONE - ONE / 2, 0),
            // 100 USD and 1 BTC, worth 120 then, are paid in: no profit.
            shift(3, "BTC", ONE, ONE),
            shift(3, "USD", 100 * ONE, 100 * ONE),
            // Sells all 4 at 90 with a fee of 0.36.
            shift(4, "BTC", -4 * ONE, 0),
            shift(4, "USD", 360 * ONE - 36 * ONE / 100, 0),
        ],
    };
    let close = |hour: i64, price: i64| (MIDNIGHT.plus_us(hour * HOUR_US), price * ONE);
    let prices = Prices {
        instrument: coin(),
        opening_minor: Some(100 * ONE),
        closes_minor: vec![close(1, 110), close(3, 120), close(4, 90)],
    };
    // 939.50 + 3 × 110, of 1,250; then 1,039.50 + 4 × 120, of 1,250 + 100 + 120; then 1,399.14.
    check(
        &changes,
        &[prices],
        expect![[r#"
            base 1250
            1 h: 1269.5, profit 19.5, 0.0156
            2 h: 1269.5, profit 19.5, 0.0156
            3 h: 1519.5, profit 49.5, 0.03367347
            4 h: 1399.14, profit -70.86, -0.04820408
        "#]],
    );
}

#[test]
fn what_has_no_price_has_no_value_and_nothing_put_in_no_ratio() {
    let changes = Changes {
        opening: BTreeMap::from([(asset("DUST"), 7 * ONE)]),
        shifts: vec![shift(2, "USD", ONE, 0)],
    };
    check(
        &changes,
        &[],
        expect![[r#"
            base 0
            1 h: 0, profit 0, 0
            2 h: 1, profit 1, 0
            3 h: 1, profit 1, 0
            4 h: 1, profit 1, 0
        "#]],
    );
}

#[test]
fn what_was_paid_in_counts_at_the_prices_before() {
    let changes = Changes {
        opening: opening(),
        shifts: vec![
            shift(1, "USD", 500 * ONE, 500 * ONE),
            shift(2, "USD", -90 * ONE, -40 * ONE),
            shift(2, "BTC", ONE, 0),
            shift(3, "BTC", 3 * ONE, 3 * ONE),
            shift(3, "DUST", 7 * ONE, 7 * ONE),
        ],
    };
    let prices = Prices {
        instrument: coin(),
        opening_minor: Some(100 * ONE),
        closes_minor: vec![(MIDNIGHT.plus_us(HOUR_US), 110 * ONE)],
    };
    let paid: Vec<_> = changes
        .paid_assets()
        .map(|asset| asset.to_string())
        .collect();
    assert_eq!(paid, ["USD", "USD", "BTC", "DUST"]);
    assert_eq!(changes.paid_minor(&[prices]), (500 - 40 + 3 * 100) * ONE);
}
