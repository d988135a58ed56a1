//! The definition of an instrument.

use std::str::FromStr;

use prepx_domain::instrument::MAX_STEPS;
use prepx_domain::{
    Asset, AssetClass, FieldError, Instrument, InstrumentId, Micros, SessionCalendar, Slot, Symbol,
    ascii, decimal,
};

use super::{positive, wrong};

/// Decimal places of every asset.
const SCALE: u32 = 8;
/// Half width of the price band.
const COLLAR_PPM: i64 = 50_000;

/// An instrument as an operator defines it.
#[derive(Clone, Debug)]
pub struct InstrumentForm<'a> {
    /// What it is called: the base asset, or a pair such as `BTC/USD`.
    pub symbol: &'a str,
    /// What kind of asset it trades.
    pub class: Option<AssetClass>,
    /// The asset that it is paid in; empty for that of the pair, else USD.
    pub quote: &'a str,
    /// The smallest step of its price, in text.
    pub tick_size: &'a str,
    /// The smallest step of its quantity, in text.
    pub lot_size: &'a str,
    /// When it trades; by its class where it is absent.
    pub calendar: Option<SessionCalendar>,
    /// A price to begin with, in text.
    pub reference_price: Option<&'a str>,
}

impl InstrumentForm<'_> {
    /// The instrument of this form, with an id that it has if it is listed at `now`.
    pub fn instrument(&self, now: Micros) -> Result<Instrument, FieldError> {
        let symbol: Symbol = parse("symbol", self.symbol)?;
        let Some(class) = self.class else {
            return wrong("class", "class is required: us_equity or crypto");
        };
        let (base, quote) = self.assets(symbol)?;
        let mut instrument = Instrument {
            id: InstrumentId::next(Slot::of_symbol(symbol.as_str()), now, None),
            symbol,
            class,
            base,
            quote,
            base_scale: SCALE,
            quote_scale: SCALE,
            tick_minor: positive("tick_size", self.tick_size, SCALE)?,
            lot_minor: positive("lot_size", self.lot_size, SCALE)?,
            collar_ppm: COLLAR_PPM,
            maker_fee_ppm: 0,
            taker_fee_ppm: 0,
            calendar: self.calendar.unwrap_or(usual_calendar(class)),
            seed_reference_ticks: None,
        };
        if base == quote {
            return wrong("quote", format!("{symbol} cannot be paid in itself"));
        }
        if let Some(reference) = self.reference_price {
            instrument.seed_reference_ticks = Some(reference_ticks(&instrument, reference)?);
        }
        Ok(instrument)
    }

    /// What it trades, and what that is paid in.
    fn assets(&self, symbol: Symbol) -> Result<(Asset, Asset), FieldError> {
        let (base, pair_quote) = match symbol.as_str().split_once('/') {
            Some((base, quote)) => (base, Some(quote)),
            None => (symbol.as_str(), None),
        };
        let quote = match (self.quote, pair_quote) {
            ("", pair) => pair.unwrap_or("USD"),
            (given, Some(pair)) if given != pair => {
                return wrong(
                    "quote",
                    format!("quote {given} contradicts the pair {symbol}"),
                );
            }
            (given, _) => given,
        };
        if quote.contains('/') {
            // Positions are found by their symbols with and without the one slash of a pair.
            let field = pair_quote.map_or("quote", |_| "symbol");
            let message = format!(
                "{field}: {base} paid in {quote} has more than one slash; no asset has one in its name: give a \
                 pair such as BTC/USD, or the base as the symbol and its quote asset"
            );
            return wrong(field, message);
        }
        Ok((parse("symbol", base)?, parse("quote", quote)?))
    }
}

/// The asset of a new instrument that cannot be what a listed one means by its name, and the symbol of that one. The ledger
/// knows an asset by its name alone, so shares and a currency of one name would be one balance.
pub fn ambiguous_asset<'a>(
    new: &Instrument,
    listed: impl IntoIterator<Item = &'a Instrument>,
) -> Option<(Asset, Symbol)> {
    let is_share = |of: &Instrument, asset| of.class == AssetClass::UsEquity && of.base == asset;
    listed.into_iter().find_map(|old| {
        let shared = [new.base, new.quote]
            .into_iter()
            .filter(|&asset| asset == old.base || asset == old.quote);
        let mut ambiguous = shared.filter(|&asset| is_share(new, asset) != is_share(old, asset));
        ambiguous.next().map(|asset| (asset, old.symbol))
    })
}

fn usual_calendar(class: AssetClass) -> SessionCalendar {
    match class {
        AssetClass::Crypto => SessionCalendar::Always,
        AssetClass::UsEquity => SessionCalendar::Nyse,
    }
}

fn reference_ticks(instrument: &Instrument, reference: &str) -> Result<i64, FieldError> {
    let reference_minor = positive("reference_price", reference, SCALE)?;
    instrument.price_ticks(reference_minor).or_else(|_| {
        let tick = decimal::format(instrument.tick_minor, SCALE);
        let message = format!(
            "reference_price {reference} is not a multiple of the tick size {tick} of at most {MAX_STEPS} ticks"
        );
        wrong("reference_price", message)
    })
}

fn parse<T: FromStr<Err = ascii::Error>>(field: &'static str, text: &str) -> Result<T, FieldError> {
    text.parse()
        .or_else(|error| wrong(field, format!("{field}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defined(symbol: &str, quote: &str) -> Result<(String, String), String> {
        let form = InstrumentForm {
            symbol,
            class: Some(AssetClass::Crypto),
            quote,
            tick_size: "0.01",
            lot_size: "1",
            calendar: None,
            reference_price: None,
        };
        let defined = form.instrument(Micros(0)).map_err(|error| error.message)?;
        Ok((defined.base.to_string(), defined.quote.to_string()))
    }

    #[test]
    fn a_pair_has_one_slash() {
        let pair = |base: &str, quote: &str| Ok((base.to_owned(), quote.to_owned()));
        assert_eq!(defined("A/B", ""), pair("A", "B"));
        assert_eq!(defined("A/C", "C"), pair("A", "C"));
        assert_eq!(defined("A", "B"), pair("A", "B"));
        for (symbol, quote, said) in [
            ("A/B/C", "", "symbol: A paid in B/C has more than one slash"),
            ("A", "B/C", "quote: A paid in B/C has more than one slash"),
            ("A//", "", "symbol: A paid in / has more than one slash"),
            ("/B", "", "symbol: \"\" has 0 characters"),
            ("A/", "", "quote: \"\" has 0 characters"),
        ] {
            let refused = defined(symbol, quote).unwrap_err();
            assert!(refused.starts_with(said), "{symbol}: {refused}");
        }
    }

    #[test]
    fn shares_and_currencies_of_one_name_are_not_both_listed() {
        let listed = |symbol, class, quote| {
            let form = InstrumentForm {
                symbol,
                class: Some(class),
                quote,
                tick_size: "0.01",
                lot_size: "1",
                calendar: None,
                reference_price: None,
            };
            form.instrument(Micros(0)).unwrap()
        };
        let (share, pair) = (AssetClass::UsEquity, AssetClass::Crypto);
        let known = [
            listed("ETH/USD", pair, ""),
            listed("AAPL", share, ""),
            listed("DOGE/XBT", pair, ""),
        ];
        let with = |new| ambiguous_asset(&new, &known).map(|(asset, _)| asset.to_string());
        let some = |asset: &str| Some(asset.to_owned());
        assert_eq!(with(listed("ETH", share, "")), some("ETH"));
        assert_eq!(with(listed("AAPL/USD", pair, "")), some("AAPL"));
        assert_eq!(with(listed("BTC/AAPL", pair, "")), some("AAPL"));
        assert_eq!(with(listed("USD", share, "EUR")), some("USD"));
        assert_eq!(with(listed("XBT", share, "")), some("XBT"));
        for right in [
            listed("ETH/XBT", pair, ""),
            listed("AAPL/XBT", share, "XBT"),
            listed("MSFT", share, ""),
        ] {
            assert_eq!(with(right), None, "{}", right.symbol);
        }
    }
}
