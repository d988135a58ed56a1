//! The use case that shows what an account was worth over time.

use std::collections::BTreeSet;

use prepx_domain::{AccountId, Asset, FieldError, Instrument};

use super::App;
use crate::domain::holdings::CURRENCY;
use crate::domain::points::{Asked, Points};
use crate::domain::worth::Worth;
use crate::error::Error;
use crate::prices;
use crate::store::Store;

/// The most prices that one history needs: points times instruments.
const PRICES_MAX: usize = 200_000;

impl<S: Store> App<S> {
    /// The points that are asked for.
    pub fn points(&self, asked: &Asked<'_>) -> Result<Points, Error> {
        Ok(Points::of(asked, self.deps.clock.now())?)
    }

    /// What an account was worth over time, from the books and the recorded prices.
    pub async fn worth(&self, account: AccountId, points: &Points) -> Result<Worth, Error> {
        let changes = self.books.changes(account, points).await?;
        let changes = changes.ok_or_else(too_much)?;
        let instruments = self.valued(changes.assets().collect()).await?;
        if instruments.len() * points.count > PRICES_MAX {
            return Err(too_much());
        }
        let mut found = Vec::new();
        for instrument in instruments {
            let prices = prices::of(&self.deps.market_data, instrument, points).await;
            found.push(prices.map_err(Error::Prices)?);
        }
        Ok(Worth::of(points, &changes, &found))
    }

    /// The instruments by whose prices assets are valued.
    pub(super) async fn valued(&self, assets: BTreeSet<Asset>) -> Result<Vec<Instrument>, Error> {
        let valued = |instrument: &Instrument| {
            instrument.quote.as_str() == CURRENCY
                && instrument.base.as_str() != CURRENCY
                && assets.contains(&instrument.base)
        };
        let views = self.deps.matching.instruments().await?;
        let instruments = views.iter().map(|view| view.instrument);
        Ok(instruments.filter(valued).collect())
    }
}

fn too_much() -> Error {
    let message = "the account has traded too much in this time for points this narrow: give a \
                   shorter period, or 1D";
    FieldError::new("timeframe", message).into()
}
