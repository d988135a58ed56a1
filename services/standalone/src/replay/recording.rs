//! A recorded market in LOBSTER's form: what happened, and the book after each message.
//!
//! Prices are dollars × 10,000 and times seconds after midnight, as in the files. A header line is
//! understood, and so is gzip. Refuses files whose lines do not parse, with the line's number.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use prepx_domain::Side;

/// Prices beyond it stand for "there is no such level" in the book file.
const PRICE_MAX: i64 = 9_999_999_999;
/// Most lines of one file that are read.
const LINES_MAX: usize = 20_000_000;

/// What a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A limit order joined the book.
    Add,
    /// An order lost a part of its size.
    Shrink,
    /// An order left the book.
    Delete,
    /// A visible order traded.
    Execute,
    /// A hidden order traded: the book does not show it.
    Hidden,
    /// An auction traded.
    Cross,
    /// Trading stopped.
    Halt,
    /// Quotes are taken again, but nothing trades.
    Quoting,
    /// Trading goes on.
    Resume,
}

/// One line of the message file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Microseconds after midnight.
    pub at_us: i64,
    /// What happened.
    pub kind: Kind,
    /// The recorded order; 0 for hidden ones.
    pub order: u64,
    /// Shares.
    pub size: i64,
    /// Dollars × 10,000.
    pub price: i64,
    /// The side of the resting order.
    pub side: Side,
}

/// A price and the shares there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Dollars × 10,000.
    pub price: i64,
    /// Shares.
    pub size: i64,
}

/// The book after a message, as far as it was recorded; best first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Who wants to buy.
    pub bids: Vec<Level>,
    /// Who wants to sell.
    pub asks: Vec<Level>,
}

impl Row {
    /// The levels of a side.
    pub fn side(&self, side: Side) -> &[Level] {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }
}

/// Messages, and the book after each of them if it was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    /// In their order.
    pub messages: Vec<Message>,
    /// One for each message, or none at all.
    pub rows: Vec<Row>,
}

impl Recording {
    /// Reads the files.
    ///
    /// # Errors
    /// Names the file and the line that is not right.
    pub fn open(messages: &Path, book: Option<&Path>) -> Result<Recording> {
        let recording = Recording {
            messages: read(messages, parse_message)?,
            rows: book.map_or(Ok(Vec::new()), |book| read(book, parse_row))?,
        };
        ensure!(
            !recording.messages.is_empty(),
            "{} has no messages",
            messages.display()
        );
        let (lines, rows) = (recording.messages.len(), recording.rows.len());
        ensure!(
            book.is_none() || lines == rows,
            "{lines} messages and {rows} rows of the book: there is a row for each message in files that belong together"
        );
        Ok(recording)
    }
}

fn read<T>(path: &Path, parse: fn(&[i64], i64) -> Result<T>) -> Result<Vec<T>> {
    let what = || path.display().to_string();
    let file = File::open(path).with_context(what)?;
    let reader: Box<dyn Read> = if path.extension().is_some_and(|end| end == "gz") {
        Box::new(flate2::read::MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let mut parsed = Vec::new();
    for (index, line) in BufReader::new(reader).lines().enumerate() {
        let number = index + 1;
        let place = || format!("{}, line {number}", path.display());
        ensure!(index < LINES_MAX, "{} is longer than that", place());
        let line = line.with_context(place)?;
        let is_header = index == 0 && line.starts_with(|first: char| first.is_alphabetic());
        if is_header || line.trim().is_empty() {
            continue;
        }
        let (fields, fraction_us) = fields(&line).with_context(place)?;
        parsed.push(parse(&fields, fraction_us).with_context(place)?);
    }
    Ok(parsed)
}

/// The whole numbers of a line, and the fraction of its first field in millionths.
fn fields(line: &str) -> Result<(Vec<i64>, i64)> {
    let (mut fields, mut fraction_us) = (Vec::new(), 0);
    for (index, field) in line.trim().split(',').enumerate() {
        let (whole, fraction) = field.split_once('.').unwrap_or((field, ""));
        ensure!(
            index == 0 || fraction.is_empty(),
            "{field:?} is not a whole number"
        );
        if !fraction.is_empty() {
            let digits: String = fraction.chars().chain("000000".chars()).take(6).collect();
            fraction_us = digits
                .parse()
                .with_context(|| format!("{field:?} is not a time"))?;
        }
        let number = whole.trim().parse();
        fields.push(number.with_context(|| format!("{field:?} is not a whole number"))?);
    }
    Ok((fields, fraction_us))
}

fn parse_message(fields: &[i64], fraction_us: i64) -> Result<Message> {
    let &[seconds, kind, order, size, price, direction] = fields else {
        bail!(
            "a message has 6 fields (time, type, order id, size, price, direction), this has {}",
            fields.len()
        );
    };
    let kind = match (kind, price) {
        (1, _) => Kind::Add,
        (2, _) => Kind::Shrink,
        (3, _) => Kind::Delete,
        (4, _) => Kind::Execute,
        (5, _) => Kind::Hidden,
        (6, _) => Kind::Cross,
        (7, -1) => Kind::Halt,
        (7, 0) => Kind::Quoting,
        (7, 1) => Kind::Resume,
        _ => bail!("there is no message of type {kind} with price {price}: types are 1 to 7"),
    };
    let visible = matches!(
        kind,
        Kind::Add | Kind::Shrink | Kind::Delete | Kind::Execute
    );
    ensure!(
        !visible || (1..1 << 40).contains(&size),
        "size {size} is not a number of shares"
    );
    ensure!(
        !visible || (1..PRICE_MAX).contains(&price),
        "price {price} is not dollars × 10,000"
    );
    ensure!(
        (0..=86_400).contains(&seconds),
        "{seconds} seconds are not of one day"
    );
    Ok(Message {
        at_us: seconds * 1_000_000 + fraction_us,
        kind,
        order: u64::try_from(order).with_context(|| format!("{order} is no order id"))?,
        size,
        price,
        side: match direction {
            1 => Side::Buy,
            -1 => Side::Sell,
            other => bail!("direction {other} is neither 1 (buy) nor -1 (sell)"),
        },
    })
}

fn parse_row(fields: &[i64], _: i64) -> Result<Row> {
    ensure!(
        !fields.is_empty() && fields.len().is_multiple_of(4),
        "a row has ask price, ask size, bid price, bid size a level, this has {} fields",
        fields.len()
    );
    let mut row = Row::default();
    for level in fields.chunks_exact(4) {
        let &[ask, ask_size, bid, bid_size] = level else {
            unreachable!("chunks of four have four")
        };
        for (levels, price, size) in [
            (&mut row.asks, ask, ask_size),
            (&mut row.bids, bid, bid_size),
        ] {
            if size > 0 && (1..PRICE_MAX).contains(&price) {
                levels.push(Level { price, size });
            }
        }
    }
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(line: &str) -> Result<Message> {
        let (fields, fraction_us) = fields(line)?;
        parse_message(&fields, fraction_us)
    }

    #[test]
    fn messages_are_read_as_recorded() {
        let add = message("34200.18961,1,11885113,21,2238100,1").unwrap();
        let wanted = Message {
            at_us: 34_200_189_610,
            kind: Kind::Add,
            order: 11_885_113,
            size: 21,
            price: 2_238_100,
            side: Side::Buy,
        };
        assert_eq!(add, wanted);
        let nanoseconds = message("34200.000000123,3,1,2,300,-1").unwrap();
        assert_eq!(
            (nanoseconds.at_us, nanoseconds.side),
            (34_200_000_000, Side::Sell)
        );
        assert_eq!(message("36023,7,0,0,-1,-1").unwrap().kind, Kind::Halt);
        assert_eq!(message("36723,7,0,0,1,-1").unwrap().kind, Kind::Resume);
    }

    #[test]
    fn what_is_not_a_message_is_refused_with_a_reason() {
        for (line, reason) in [
            ("34200,1,2,3,4", "6 fields"),
            ("34200,8,1,1,1,1", "no message of type 8"),
            ("34200,1,1,0,100,1", "size 0"),
            ("34200,1,1,5,100,0", "direction 0"),
            ("34200,1,x,5,100,1", "\"x\" is not a whole number"),
            ("34200,1,1,5,-3,1", "price -3"),
            ("90000,1,1,5,100,1", "90000 seconds"),
        ] {
            let refusal = format!("{:#}", message(line).unwrap_err());
            assert!(refusal.contains(reason), "{line}: {refusal}");
        }
    }

    #[test]
    fn levels_that_are_not_there_are_left_out() {
        let row = parse_row(&[2_239_500, 100, -9_999_999_999, 0], 0).unwrap();
        let ask = Level {
            price: 2_239_500,
            size: 100,
        };
        assert_eq!(
            (row.side(Side::Sell), row.side(Side::Buy)),
            (&[ask][..], &[][..])
        );
        assert!(parse_row(&[1, 2, 3], 0).is_err());
    }
}
