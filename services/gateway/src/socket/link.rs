//! The stream of the notification service underneath a socket.

use std::future::pending;
use std::sync::Arc;

use futures::stream;
use prepx_auth::{Identity, on_behalf};
use prepx_proto::notification::v1 as wire;
use prepx_proto::notification::v1::notification_service_client::NotificationServiceClient;
use prepx_runtime::Peer;
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

/// The most changes that may be on their way.
const CHANGES_MAX: usize = 16;

/// A listener at the notification service.
pub struct Link {
    changes: mpsc::Sender<wire::SubscribeRequest>,
    told: Streaming<wire::SubscribeResponse>,
}

impl Link {
    /// Begins to listen, to nothing yet.
    ///
    /// # Errors
    /// When the service takes no more listeners, or cannot be reached.
    pub async fn open(peer: Peer, identity: &Arc<Identity>) -> Result<Link, Status> {
        let (changes, wanted) = mpsc::channel(CHANGES_MAX);
        let wanted = stream::unfold(wanted, |mut wanted| async {
            Some((wanted.recv().await?, wanted))
        });
        let request = on_behalf(identity, wanted);
        let answer = NotificationServiceClient::new(peer)
            .subscribe(request)
            .await?;
        let told = answer.into_inner();
        Ok(Link { changes, told })
    }

    /// Sends a change on its way. Whether there was room: it must not be waited for here, because the
    /// service reads changes only while it is read.
    pub fn change(&self, change: wire::subscribe_request::Change) -> bool {
        let change = Some(change);
        self.changes
            .try_send(wire::SubscribeRequest { change })
            .is_ok()
    }
}

/// What is told next; waits for ever without a link.
pub async fn next(link: &mut Option<Link>) -> Result<wire::subscribe_response::Message, Status> {
    let Some(link) = link else {
        return pending().await;
    };
    loop {
        let Some(told) = link.told.message().await? else {
            return Err(Status::unavailable("the stream has ended"));
        };
        if let Some(message) = told.message {
            return Ok(message);
        }
    }
}
