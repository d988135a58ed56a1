//! The order history, as the portfolio service keeps it.

use prepx_auth::Caller;
use prepx_domain::AccountId;
use prepx_domain::update::OrderView;
use prepx_proto::journal::part::read;
use prepx_proto::owner::v1::order_history_service_client::OrderHistoryServiceClient;
use prepx_stage::port::{Answer, HistoryPort, PastOrders, ReadError};

use super::patience::{READ, unread};
use super::reach::MESSAGE_BYTES_MAX;
use crate::wire;

/// The order history behind a peer. Clones are the same.
#[derive(Clone)]
pub struct History(Caller);

impl History {
    /// Of the service that this leads to.
    pub fn new(portfolio: Caller) -> History {
        History(portfolio)
    }
}

impl HistoryPort for History {
    fn past_orders(
        &self,
        account: AccountId,
        which: PastOrders,
    ) -> Answer<Result<Vec<OrderView>, ReadError>> {
        let client = OrderHistoryServiceClient::new(self.0.clone());
        let client = client.max_decoding_message_size(MESSAGE_BYTES_MAX);
        let request = wire::list_past_orders(account, which);
        Box::pin(async move {
            let ask = |_| {
                let (mut client, request) = (client.clone(), request.clone());
                async move { Ok(client.list_past_orders(request).await?.into_inner()) }
            };
            let found = READ.ask(ask).await?;
            read(found.orders, "ListPastOrdersResponse.orders").map_err(unread)
        })
    }
}
