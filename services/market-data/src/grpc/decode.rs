//! Decodes requests for past data.

use prepx_domain::{AssetClass, Micros, day};
use prepx_proto::market_data::v1 as wire;
use prepx_proto::trading::v1::Sort;

use crate::app::{Query, SYMBOLS_MAX, symbols};
use crate::error::Error;
use crate::page::{self, Token};

/// The range of times in requests: 1970 to the end of 9999.
const MOMENTS_US: std::ops::RangeInclusive<i64> = 0..=253_402_300_799_999_999;

/// The fields that all requests for past data have, undecoded.
pub struct Asked {
    symbols: String,
    start_us: Option<i64>,
    end_us: Option<i64>,
    limit: Option<i32>,
    newest_first: bool,
    page_token: String,
    currency: String,
}

macro_rules! asked {
    ($($request:ident),*) => {$(
        impl From<wire::$request> for Asked {
            fn from(request: wire::$request) -> Asked {
                Asked {
                    newest_first: request.sort() == Sort::Desc,
                    symbols: request.symbols,
                    start_us: request.start,
                    end_us: request.end,
                    limit: request.limit,
                    page_token: request.page_token,
                    currency: request.currency,
                }
            }
        }
    )*};
}

asked!(GetBarsRequest, GetQuotesRequest, GetTradesRequest);

/// A decoded request.
pub fn query(asked: Asked, class: AssetClass, now: Micros) -> Result<Query, Error> {
    currency(&asked.currency)?;
    let start = asked
        .start_us
        .map_or_else(|| day::start(class, now), Micros);
    // There is no data of the future.
    let end = asked.end_us.map_or(now.max(start), Micros);
    for (field, at) in [("start", start), ("end", end)] {
        if !MOMENTS_US.contains(&at.0) {
            let message = format!("{field} is out of range: give a time from 1970 to 9999");
            return Err(Error::field(field, message));
        }
    }
    if end < start {
        let message = "end is before start: give an end that is not";
        return Err(Error::field("end", message.to_owned()));
    }
    let limit = page::limit(asked.limit).map_err(|limit| {
        let message = format!("limit is {limit}: it must be 1 or more");
        Error::field("limit", message)
    })?;
    let symbols = symbols(&asked.symbols, SYMBOLS_MAX)?;
    let past = match asked.page_token.as_str() {
        "" => None,
        text => Some(token(text).filter(|token| symbols.contains(&token.symbol))),
    };
    if past == Some(None) {
        let message = "page_token is not the next_page_token of a page of the same question";
        return Err(Error::field("page_token", message.to_owned()));
    }
    Ok(Query {
        symbols,
        start,
        end,
        newest_first: asked.newest_first,
        past: past.flatten(),
        limit,
    })
}

fn token(text: &str) -> Option<Token> {
    Token::parse(text).filter(|token| MOMENTS_US.contains(&token.place.at.0))
}

/// There is only one currency.
pub fn currency(given: &str) -> Result<(), Error> {
    if given.is_empty() || given.eq_ignore_ascii_case("USD") {
        return Ok(());
    }
    let given: String = given.chars().take(12).collect();
    let message = format!("currency is {given:?}: prices are in USD");
    Err(Error::field("currency", message))
}
