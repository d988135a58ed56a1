//! Answers other services from the memory of this process's account partitions.

use futures::stream::{Iter, iter};
use prepx_auth::ClusterKey;
use prepx_domain::AccountId;
use prepx_owner::{Seats, wire};
use prepx_proto::journal::Part as _;
use prepx_proto::journal::part::read;
use prepx_proto::owner::v1;
use prepx_proto::owner::v1::account_owner_service_server::{
    AccountOwnerService, AccountOwnerServiceServer,
};
use prepx_runtime::Service;
use prepx_stage::Partition;
use tonic::{Request, Response, Status};

use crate::events::AccountCodec;
use crate::views;

/// The service of this process's account partitions, for callers with the platform's key. It needs no other
/// layer before it: its callers have no principal.
pub fn owner(seats: Seats<AccountCodec>, key: &ClusterKey) -> Service {
    let server = AccountOwnerServiceServer::new(Owner(seats));
    Service::new().grpc(server).layer(key.layer())
}

struct Owner(Seats<AccountCodec>);

impl Owner {
    async fn look<T: Send + 'static>(
        &self,
        partition: u32,
        look: impl FnOnce(&Partition<AccountCodec>) -> T + Send + 'static,
    ) -> Result<T, Status> {
        Ok(self.0.query(partition, look).await?)
    }

    fn partition_of(&self, account: AccountId) -> u32 {
        account
            .slot()
            .partition(self.0.topology().account_partitions)
    }
}

#[tonic::async_trait]
impl AccountOwnerService for Owner {
    async fn get_account(
        &self,
        request: Request<v1::GetAccountRequest>,
    ) -> Result<Response<v1::GetAccountResponse>, Status> {
        let account = read(request.get_ref().account, "GetAccountRequest.account");
        let account = account.map_err(|error| wire::unreadable(&error))?;
        let look = move |owner: &Partition<AccountCodec>| owner.machine().account(account);
        let found = self.look(self.partition_of(account), look).await?;
        let account = found.to_wire();
        Ok(Response::new(v1::GetAccountResponse { account }))
    }

    async fn list_orders(
        &self,
        request: Request<v1::ListOrdersRequest>,
    ) -> Result<Response<v1::ListOrdersResponse>, Status> {
        let asked = wire::listed_orders(request.into_inner());
        let (account, which) = asked.map_err(|error| wire::unreadable(&error))?;
        let look =
            move |owner: &Partition<AccountCodec>| views::orders(owner.machine(), account, &which);
        let found = self.look(self.partition_of(account), look).await?;
        let orders = found.to_wire();
        Ok(Response::new(v1::ListOrdersResponse { orders }))
    }

    async fn list_instruments(
        &self,
        request: Request<v1::ListInstrumentsRequest>,
    ) -> Result<Response<v1::ListInstrumentsResponse>, Status> {
        let look = |owner: &Partition<AccountCodec>| views::instruments(owner.machine());
        let found = self.look(request.get_ref().partition, look).await?;
        let instruments = found.to_wire();
        Ok(Response::new(v1::ListInstrumentsResponse { instruments }))
    }

    type GetBooksStream = Iter<std::vec::IntoIter<Result<v1::BooksPart, Status>>>;

    async fn get_books(
        &self,
        request: Request<v1::GetBooksRequest>,
    ) -> Result<Response<Self::GetBooksStream>, Status> {
        let partition = request.get_ref().partition;
        let look = move |owner: &Partition<AccountCodec>| {
            (wire::head(owner.head()), views::books(partition, owner))
        };
        let (head, books) = self.look(partition, look).await?;
        let parts = wire::parts_of_books(head, books).into_iter().map(Ok);
        Ok(Response::new(iter(parts.collect::<Vec<_>>())))
    }

    async fn get_head(
        &self,
        request: Request<v1::GetHeadRequest>,
    ) -> Result<Response<v1::Head>, Status> {
        let look = |owner: &Partition<AccountCodec>| wire::head(owner.head());
        let head = self.look(request.get_ref().partition, look).await?;
        Ok(Response::new(head))
    }
}
