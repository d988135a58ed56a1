//! The instruments that order entry knows. Definitions never change, so they are kept, and asked for again
//! only when a symbol is not among them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use prepx_domain::ascii::{is_named, without_slash};
use prepx_domain::view::InstrumentView;
use prepx_domain::{Instrument, InstrumentId};
use prepx_stage::port::{MatchingPort, ReadError};
use uuid::Uuid;

/// The instrument that a UUID names, if it is one.
pub fn instrument_id(text: &str) -> Option<InstrumentId> {
    let uuid: Uuid = text.parse().ok()?;
    InstrumentId::from_uuid(uuid)
}

/// A read-through list of definitions.
pub struct Instruments {
    matching: Arc<dyn MatchingPort>,
    /// By symbol without its slash.
    known: RwLock<BTreeMap<String, Instrument>>,
    /// One refresh at a time: a flood of unknown symbols asks the owners once, not once each.
    refresh: tokio::sync::Mutex<()>,
}

impl Instruments {
    /// An empty list over the matching stage.
    pub fn new(matching: Arc<dyn MatchingPort>) -> Self {
        Instruments {
            matching,
            known: RwLock::default(),
            refresh: tokio::sync::Mutex::default(),
        }
    }

    /// The instrument of a symbol, with or without its slash.
    pub async fn by_symbol(&self, symbol: &str) -> Result<Option<Instrument>, ReadError> {
        self.find(|known| {
            let found = known.get(&without_slash(symbol)).copied();
            found.filter(|instrument| is_named(instrument.symbol.as_str(), symbol))
        })
        .await
    }

    /// The instrument with this id.
    pub async fn by_id(&self, id: InstrumentId) -> Result<Option<Instrument>, ReadError> {
        self.find(|known| {
            known
                .values()
                .find(|instrument| instrument.id == id)
                .copied()
        })
        .await
    }

    /// Every instrument as it is now, in the order of the symbols.
    pub async fn all(&self) -> Result<Vec<InstrumentView>, ReadError> {
        let views = self.matching.instruments().await?;
        self.remember(&views);
        Ok(views)
    }

    /// The instrument of a symbol or a UUID as it is now.
    pub async fn view(&self, symbol_or_id: &str) -> Result<Option<InstrumentView>, ReadError> {
        let id = instrument_id(symbol_or_id);
        let is_wanted = |view: &InstrumentView| match id {
            Some(id) => view.instrument.id == id,
            None => is_named(view.instrument.symbol.as_str(), symbol_or_id),
        };
        Ok(self.all().await?.into_iter().find(is_wanted))
    }

    async fn find(
        &self,
        look_up: impl Fn(&BTreeMap<String, Instrument>) -> Option<Instrument>,
    ) -> Result<Option<Instrument>, ReadError> {
        let look = || look_up(&self.known.read().unwrap_or_else(PoisonError::into_inner));
        if let Some(found) = look() {
            return Ok(Some(found));
        }
        let _one_at_a_time = self.refresh.lock().await;
        if let Some(found) = look() {
            return Ok(Some(found));
        }
        self.remember(&self.matching.instruments().await?);
        Ok(look())
    }

    fn remember(&self, views: &[InstrumentView]) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for view in views {
            known
                .entry(without_slash(view.instrument.symbol.as_str()))
                .or_insert(view.instrument);
        }
    }
}
