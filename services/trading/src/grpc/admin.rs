//! The operators' service: instruments.

use prepx_domain::decimal;
use prepx_domain::view::InstrumentView;
use prepx_proto::convert;
use prepx_proto::trading::v1 as wire;
use prepx_proto::trading::v1::admin_service_server::AdminService;
use tonic::{Request, Response, Status};

use super::{Handler, decode};

#[tonic::async_trait]
impl AdminService for Handler {
    async fn add_instrument(
        &self,
        request: Request<wire::AddInstrumentRequest>,
    ) -> Result<Response<wire::Instrument>, Status> {
        let form = decode::instrument_form(request.get_ref());
        Ok(Response::new(show(&self.0.define(form).await?)))
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
