//! The operators' service: instruments.

use prepx_domain::instrument::MAX_STEPS;
use prepx_domain::view::InstrumentView;
use prepx_domain::{Asset, Instrument, InstrumentId, Symbol, decimal};
use prepx_proto::convert;
use prepx_proto::trading::v1 as wire;
use prepx_proto::trading::v1::admin_service_server::AdminService;
use tonic::{Request, Response, Status};

use super::{Handler, decode};
use crate::domain::form::positive;
use crate::error::Error;

/// Decimal places of every asset.
const SCALE: u32 = 8;
/// Half width of the price band.
const COLLAR_PPM: i64 = 50_000;

#[tonic::async_trait]
impl AdminService for Handler {
    async fn add_instrument(
        &self,
        request: Request<wire::AddInstrumentRequest>,
    ) -> Result<Response<wire::Instrument>, Status> {
        let wanted = definition(request.get_ref())?;
        Ok(Response::new(show(&self.0.define(wanted).await?)))
    }

    async fn get_instruments(
        &self,
        _request: Request<wire::GetInstrumentsRequest>,
    ) -> Result<Response<wire::GetInstrumentsResponse>, Status> {
        let instruments = self.0.assets().await?.iter().map(show).collect();
        Ok(Response::new(wire::GetInstrumentsResponse { instruments }))
    }

    async fn halt_instrument(
        &self,
        request: Request<wire::HaltInstrumentRequest>,
    ) -> Result<Response<wire::Instrument>, Status> {
        Ok(Response::new(show(
            &self.0.set_halted(&request.get_ref().symbol, true).await?,
        )))
    }

    async fn resume_instrument(
        &self,
        request: Request<wire::ResumeInstrumentRequest>,
    ) -> Result<Response<wire::Instrument>, Status> {
        Ok(Response::new(show(
            &self.0.set_halted(&request.get_ref().symbol, false).await?,
        )))
    }
}

fn name<T: std::str::FromStr<Err = prepx_domain::ascii::Error>>(
    field: &'static str,
    text: &str,
) -> Result<T, Status> {
    text.parse()
        .map_err(|error| decode::invalid(field, format!("{field}: {error}")))
}

/// The definition that a request asks for; its id is allotted later.
fn definition(request: &wire::AddInstrumentRequest) -> Result<Instrument, Status> {
    let symbol: Symbol = name("symbol", &request.symbol)?;
    let class = decode::asset_class(request.class())?;
    let (base, pair_quote) = match symbol.as_str().split_once('/') {
        Some((base, quote)) => (base, Some(quote)),
        None => (symbol.as_str(), None),
    };
    let quote = match (request.quote.as_str(), pair_quote) {
        ("", pair) => pair.unwrap_or("USD"),
        (given, Some(pair)) if given != pair => {
            let message = format!("quote {given} contradicts the pair {symbol}");
            return Err(decode::invalid("quote", message));
        }
        (given, _) => given,
    };
    if quote.contains('/') {
        // Positions are found by their symbols with and without the one slash of a pair.
        let field = pair_quote.map_or("quote", |_| "symbol");
        let message = format!(
            "{field}: {base} paid in {quote} has more than one slash; no asset has one in its name: give a pair \
             such as BTC/USD, or the base as the symbol and its quote asset"
        );
        return Err(decode::invalid(field, message));
    }
    let positive = |field, text: &str| positive(field, text, SCALE).map_err(Error::Form);
    let instrument = Instrument {
        id: InstrumentId::new(0).expect("zero is not negative"),
        symbol,
        class,
        base: name::<Asset>("symbol", base)?,
        quote: name::<Asset>("quote", quote)?,
        base_scale: SCALE,
        quote_scale: SCALE,
        tick_minor: positive("tick_size", &request.tick_size)?,
        lot_minor: positive("lot_size", &request.lot_size)?,
        collar_ppm: COLLAR_PPM,
        maker_fee_ppm: 0,
        taker_fee_ppm: 0,
        calendar: decode::calendar(request.calendar(), class),
        seed_reference_ticks: None,
    };
    if instrument.base == instrument.quote {
        return Err(decode::invalid(
            "quote",
            format!("{symbol} cannot be paid in itself"),
        ));
    }
    let Some(reference) = &request.reference_price else {
        return Ok(instrument);
    };
    let reference_minor = positive("reference_price", reference)?;
    let ticks = instrument.price_ticks(reference_minor).map_err(|_| {
        let tick = decimal::format(instrument.tick_minor, SCALE);
        let message = format!(
            "reference_price {reference} is not a multiple of the tick size {tick} of at most {MAX_STEPS} ticks"
        );
        decode::invalid("reference_price", message)
    })?;
    Ok(Instrument {
        seed_reference_ticks: Some(ticks),
        ..instrument
    })
}

fn show(view: &InstrumentView) -> wire::Instrument {
    let instrument = &view.instrument;
    let money = |minor: i64| decimal::format(minor, instrument.quote_scale);
    wire::Instrument {
        id: instrument.id.to_string(),
        symbol: instrument.symbol.to_string(),
        name: instrument.symbol.to_string(),
        class: convert::asset_class(instrument.class).into(),
        base: instrument.base.to_string(),
        quote: instrument.quote.to_string(),
        tick_size: money(instrument.tick_minor),
        lot_size: decimal::format(instrument.lot_minor, instrument.base_scale),
        calendar: match instrument.calendar {
            prepx_domain::SessionCalendar::Always => wire::TradingCalendar::Always,
            prepx_domain::SessionCalendar::Nyse => wire::TradingCalendar::Nyse,
        }
        .into(),
        reference_price: view
            .reference_ticks
            .and_then(|ticks| instrument.price_minor(ticks))
            .map(money),
        halted: view.halted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defined(symbol: &str, quote: &str) -> Result<(String, String), String> {
        let asked = wire::AddInstrumentRequest {
            symbol: symbol.to_owned(),
            class: wire::AssetClass::Crypto.into(),
            tick_size: "0.01".to_owned(),
            lot_size: "1".to_owned(),
            quote: quote.to_owned(),
            ..wire::AddInstrumentRequest::default()
        };
        let defined = definition(&asked).map_err(|status| status.message().to_owned())?;
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
}
