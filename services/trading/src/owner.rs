//! Answers other services about this process's matching partitions.

use prepx_auth::ClusterKey;
use prepx_owner::{Seats, wire};
use prepx_proto::owner::v1;
use prepx_proto::owner::v1::matching_owner_service_server::{
    MatchingOwnerService, MatchingOwnerServiceServer,
};
use prepx_runtime::Service;
use tonic::{Request, Response, Status};

use crate::events::MatchingCodec;

/// The service of this process's matching partitions, for callers with the platform's key. It needs no other
/// layer before it: its callers have no principal.
pub fn owner(seats: Seats<MatchingCodec>, key: &ClusterKey) -> Service {
    let server = MatchingOwnerServiceServer::new(Owner(seats));
    Service::new().grpc(server).layer(key.layer())
}

struct Owner(Seats<MatchingCodec>);

#[tonic::async_trait]
impl MatchingOwnerService for Owner {
    async fn get_head(
        &self,
        request: Request<v1::GetHeadRequest>,
    ) -> Result<Response<v1::Head>, Status> {
        let partition = request.get_ref().partition;
        let look = self.0.query(partition, |owner| wire::head(owner.head()));
        Ok(Response::new(look.await?))
    }
}
