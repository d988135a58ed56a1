//! What owners of accounts do with their endpoints.

use std::sync::Arc;

use prepx_domain::AccountId;
use prepx_env::{Clock, Random};
use prepx_proto::notification::v1::TradeEvent;
use uuid::Uuid;

use super::endpoint::{Endpoint, Events, Place};
use super::keys::Keys;
use super::store::Store;
use super::{Error, Networks, Result};

/// The use cases.
pub struct App {
    /// The endpoints.
    pub store: Store,
    /// Their secrets.
    pub keys: Keys,
    /// Where they may be.
    pub networks: Networks,
    /// How many an account may have.
    pub endpoints_max: u32,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Draws ids.
    pub random: Arc<Random>,
}

impl App {
    /// Creates an endpoint, and returns its secret.
    pub async fn create(
        &self,
        account: AccountId,
        url: &str,
        events: &[i32],
    ) -> Result<(Endpoint, String)> {
        let endpoint = Endpoint {
            id: self.random.uuid(),
            account,
            place: Place::parse(url, self.networks)?,
            events: wanted(events)?,
            created_at: self.clock.now(),
            disabled_at: None,
        };
        if !self.store.insert(&endpoint, self.endpoints_max).await? {
            return Err(Error::TooMany(self.endpoints_max));
        }
        let secret = self.keys.secret(endpoint.id);
        Ok((endpoint, secret))
    }

    /// The endpoints of an account.
    pub async fn list(&self, account: AccountId) -> Result<Vec<Endpoint>> {
        Ok(self.store.of_account(account).await?)
    }

    /// Deletes an endpoint. The error does not show whether it is another account's (I9).
    pub async fn delete(&self, account: AccountId, id: &str) -> Result<()> {
        let unknown = || Error::Unknown(id.chars().take(64).collect());
        let id: Uuid = id.parse().map_err(|_| unknown())?;
        match self.store.delete(account, id).await? {
            true => Ok(()),
            false => Err(unknown()),
        }
    }
}

fn wanted(events: &[i32]) -> Result<Events> {
    let known = |number: &i32| match TradeEvent::try_from(*number) {
        Ok(TradeEvent::Unspecified) | Err(_) => Err(Error::UnknownEvent(*number)),
        Ok(event) => Ok(event),
    };
    let events: Result<Vec<_>> = events.iter().map(known).collect();
    Ok(Events::of(events?))
}
