//! The book builder against a recorded feed: best bid and ask, with sizes, are those that the venue
//! told at the same update.
//!
//! `PREPX_BINANCE_FEED` names the file: gzip, each line a local time and a stream message
//! (`depthUpdate`, `bookTicker`, `trade`) or a depth snapshot. Without it there is nothing to check.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};

use prepx_domain::Side;
use prepx_domain::decimal::parse;
use prepx_domain::market::{Book, Gap};
use serde_json::Value;

const FEED: &str = "PREPX_BINANCE_FEED";
const SCALE: u32 = 8;

/// A change of levels with the numbers that it covers.
struct Update {
    first: u64,
    last: u64,
    levels: Vec<(Side, i64, i64)>,
}

#[derive(Default)]
struct Feed {
    snapshot: Option<Update>,
    updates: Vec<Update>,
    /// Price and size of bid and ask by update number.
    tickers: BTreeMap<u64, [(i64, i64); 2]>,
}

fn number(value: &Value) -> i64 {
    parse(value.as_str().unwrap(), SCALE).unwrap()
}

fn levels(message: &Value, bids: &str, asks: &str) -> Vec<(Side, i64, i64)> {
    let side = |side, name: &str| {
        let list = message[name].as_array().unwrap();
        list.iter()
            .map(move |level| (side, number(&level[0]), number(&level[1])))
    };
    side(Side::Buy, bids)
        .chain(side(Side::Sell, asks))
        .collect()
}

fn read(path: &str) -> Feed {
    let file = std::fs::File::open(path).unwrap();
    let mut feed = Feed::default();
    for line in BufReader::new(flate2::read::MultiGzDecoder::new(file)).lines() {
        let line = line.unwrap();
        let message: Value = serde_json::from_str(line.split_once(' ').unwrap().1).unwrap();
        let data = &message["data"];
        let at = |name: &str| data[name].as_u64().unwrap();
        if let Some(last) = message["lastUpdateId"].as_u64() {
            feed.snapshot.get_or_insert(Update {
                first: last,
                last,
                levels: levels(&message, "bids", "asks"),
            });
        } else if data["e"] == "depthUpdate" {
            feed.updates.push(Update {
                first: at("U"),
                last: at("u"),
                levels: levels(data, "b", "a"),
            });
        } else if message["stream"].as_str().unwrap().ends_with("bookTicker") {
            let side = |price: &str, qty: &str| (number(&data[price]), number(&data[qty]));
            feed.tickers
                .insert(at("u"), [side("b", "B"), side("a", "A")]);
        }
    }
    feed
}

/// Applies updates after the snapshot; how many times the best was compared.
fn rebuild(feed: &Feed, left_out: Option<usize>) -> Result<usize, Gap> {
    let snapshot = feed.snapshot.as_ref().unwrap();
    let mut book = Book::at(snapshot.last);
    for &(side, price, qty) in &snapshot.levels {
        book.set(side, price, qty);
    }
    let mut compared = 0;
    for (index, update) in feed.updates.iter().enumerate() {
        if left_out == Some(index) || !book.advance(update.first, update.last)? {
            continue;
        }
        for &(side, price, qty) in &update.levels {
            book.set(side, price, qty);
        }
        if let Some(told) = feed.tickers.get(&update.last) {
            let best = [Side::Buy, Side::Sell].map(|side| {
                let level = book.best(side).unwrap();
                (level.price_ticks, level.qty_lots)
            });
            assert_eq!(best, *told, "after update {}", update.last);
            compared += 1;
        }
    }
    Ok(compared)
}

#[test]
fn the_rebuilt_book_is_the_venues_and_a_lost_update_is_noticed() {
    let Ok(path) = std::env::var(FEED) else {
        println!("{FEED} is not set: nothing to check");
        return;
    };
    let feed = read(&path);
    let compared = rebuild(&feed, None).unwrap();
    println!("{} updates, {compared} compared", feed.updates.len());
    assert!(compared > 100, "only {compared} updates could be compared");
    let lost = feed.updates.len() / 2;
    let gap = rebuild(&feed, Some(lost)).unwrap_err();
    assert_eq!(gap.expected, feed.updates[lost].first);
}
