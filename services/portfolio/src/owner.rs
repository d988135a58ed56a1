//! The order history for the other services: order entry merges it with what the stages remember.

use prepx_auth::ClusterKey;
use prepx_owner::wire;
use prepx_proto::journal::Part as _;
use prepx_proto::owner::v1;
use prepx_proto::owner::v1::order_history_service_server::{
    OrderHistoryService, OrderHistoryServiceServer,
};
use prepx_runtime::{Service, status};
use prepx_stage::port::{HistoryPort, ReadError};
use tonic::{Request, Response, Status};

use crate::books::Books;

/// The service of these books' orders, for callers with the platform's key. It needs no other layer before
/// it: its callers have no principal.
pub fn order_history(books: Books, key: &ClusterKey) -> Service {
    let server = OrderHistoryServiceServer::new(History(books));
    Service::new().grpc(server).layer(key.layer())
}

struct History(Books);

#[tonic::async_trait]
impl OrderHistoryService for History {
    async fn list_past_orders(
        &self,
        request: Request<v1::ListPastOrdersRequest>,
    ) -> Result<Response<v1::ListPastOrdersResponse>, Status> {
        let asked = wire::listed_past_orders(request.into_inner());
        let (account, which) = asked.map_err(|error| wire::unreadable(&error))?;
        let found = self.0.past_orders(account, which).await.map_err(refused)?;
        let orders = found.to_wire();
        Ok(Response::new(v1::ListPastOrdersResponse { orders }))
    }
}

fn refused(error: ReadError) -> Status {
    let told = status::Error::new(error.code(), error.reason(), error.to_string());
    status::of(&told.retry_after(error.retry_after()))
}
