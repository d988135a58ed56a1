//! Webhooks over gRPC: decode, call, encode.

use std::sync::Arc;

use prepx_auth::Scope;
use prepx_domain::Code;
use prepx_proto::notification::v1 as wire;
use prepx_proto::notification::v1::webhook_service_server::WebhookService;
use prepx_runtime::status;
use tonic::{Request, Response, Status};

use super::Error;
use super::app::App;
use super::endpoint::Endpoint;
use crate::grpc::permit;

/// The service on top of the use cases.
pub struct Grpc(pub Arc<App>);

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl WebhookService for Grpc {
    async fn create_webhook(
        &self,
        request: Request<wire::CreateWebhookRequest>,
    ) -> Answer<wire::CreateWebhookResponse> {
        let account = prepx_auth::account(&request)?;
        let caller = prepx_auth::principal(request.extensions()).map_err(|e| e.status())?;
        permit(caller, Scope::OrdersRead)?;
        let wire::CreateWebhookRequest { url, events } = request.into_inner();
        let app = Arc::clone(&self.0);
        // A write that has begun continues when its caller goes away.
        let made = tokio::spawn(async move { app.create(account, &url, &events).await });
        let made = made.await.map_err(|_| status::internal())?;
        let (endpoint, secret) = made.map_err(|error| refusal(&error))?;
        let wire::Webhook {
            id,
            url,
            events,
            status,
            created_at,
        } = webhook(endpoint);
        Ok(Response::new(wire::CreateWebhookResponse {
            id,
            url,
            events,
            status,
            created_at,
            secret,
        }))
    }

    async fn list_webhooks(
        &self,
        request: Request<wire::ListWebhooksRequest>,
    ) -> Answer<wire::ListWebhooksResponse> {
        let listed = self.0.list(prepx_auth::account(&request)?).await;
        let listed = listed.map_err(|error| refusal(&error))?;
        let webhooks = listed.into_iter().map(webhook).collect();
        Ok(Response::new(wire::ListWebhooksResponse { webhooks }))
    }

    async fn delete_webhook(
        &self,
        request: Request<wire::DeleteWebhookRequest>,
    ) -> Answer<wire::DeleteWebhookResponse> {
        let account = prepx_auth::account(&request)?;
        let deleted = self.0.delete(account, &request.get_ref().webhook_id).await;
        deleted.map_err(|error| refusal(&error))?;
        Ok(Response::new(wire::DeleteWebhookResponse {}))
    }
}

fn webhook(endpoint: Endpoint) -> wire::Webhook {
    let status = match endpoint.disabled_at {
        None => wire::WebhookStatus::Enabled,
        Some(_) => wire::WebhookStatus::Disabled,
    };
    wire::Webhook {
        id: endpoint.id.to_string(),
        url: endpoint.place.url,
        events: endpoint.events.iter().map(i32::from).collect(),
        status: status.into(),
        created_at: endpoint.created_at.0,
    }
}

/// The error for the caller. Faults of ours are logged here with their cause, which the caller does not
/// see.
fn refusal(error: &Error) -> Status {
    if error.code() == Code::Internal {
        tracing::error!(%error, "a call about webhooks failed");
        return status::internal();
    }
    let mut told = status::Error::new(error.code(), error.reason(), error.to_string());
    if error.code() == Code::Unavailable {
        told.retry_after_ms = Some(1_000);
    }
    status::of(&told)
}
