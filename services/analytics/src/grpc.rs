//! The audit trail over gRPC: decode, read, encode. The protos say who may call.

use std::sync::Arc;

use ed25519_dalek::VerifyingKey;
use prepx_bus::{Log, ReadError};
use prepx_proto::analytics::v1 as wire;
use prepx_proto::analytics::v1::audit_service_server::AuditService;
use prepx_runtime::status;
use prepx_stage::{Skip, Topology};
use prepx_store::Error as StoreError;
use tokio::sync::Mutex;
use tonic::{Request, Response, Status};

use crate::chain::Head;
use crate::error::Error;
use crate::hex;
use crate::root::{Root, Signed};
use crate::store::Audit;
use crate::verify::{Newest, VerifyError};

const LIMIT_DEFAULT: i32 = 100;
const LIMIT_MAX: i32 = 1_000;

/// How often the reading of the journals is restarted because a newer root has released what was being
/// read.
const CHECKS_MAX: u32 = 3;

/// Answers from what is committed, and from the durable journals.
pub struct Handler {
    pub audit: Audit,
    pub public_key: VerifyingKey,
    pub log: Arc<dyn Log>,
    pub topology: Topology,
    /// Only one call at a time hashes the journals again.
    pub checking: Mutex<()>,
}

#[tonic::async_trait]
impl AuditService for Handler {
    async fn get_audit_roots(
        &self,
        request: Request<wire::GetAuditRootsRequest>,
    ) -> Result<Response<wire::GetAuditRootsResponse>, Status> {
        let asked = request.get_ref();
        let limit = limit_of(asked.limit.unwrap_or(LIMIT_DEFAULT))?;
        let roots = self.audit.roots(asked.after.unwrap_or(0), limit).await?;
        let roots = roots
            .iter()
            .map(|(number, signed)| self.show(*number, signed))
            .collect::<Result<_, _>>()?;
        Ok(Response::new(wire::GetAuditRootsResponse { roots }))
    }

    async fn get_audit_heads(
        &self,
        _request: Request<wire::GetAuditHeadsRequest>,
    ) -> Result<Response<wire::GetAuditHeadsResponse>, Status> {
        let heads = self.audit.heads().await?;
        let heads = heads.iter().map(head).collect();
        Ok(Response::new(wire::GetAuditHeadsResponse { heads }))
    }

    async fn get_audit_skips(
        &self,
        request: Request<wire::GetAuditSkipsRequest>,
    ) -> Result<Response<wire::GetAuditSkipsResponse>, Status> {
        let asked = request.get_ref();
        let limit = limit_of(asked.limit.unwrap_or(LIMIT_DEFAULT))?;
        let skips = self.audit.skips(asked.after.unwrap_or(0), limit).await?;
        let skips = skips.into_iter().map(skip).collect();
        Ok(Response::new(wire::GetAuditSkipsResponse { skips }))
    }

    async fn check_audit_journals(
        &self,
        _request: Request<wire::CheckAuditJournalsRequest>,
    ) -> Result<Response<wire::AuditJournalsCheck>, Status> {
        let _alone = self.checking.lock().await;
        let mut checked = self.check().await;
        for _ in 1..CHECKS_MAX {
            if !matches!(&checked, Err(VerifyError::Read { source, .. }) if is_gone(source)) {
                break;
            }
            checked = self.check().await;
        }
        match checked {
            Ok(check) => Ok(Response::new(check)),
            Err(VerifyError::Difference(difference)) => {
                tracing::error!(%difference, "alarm: the journals are not what was chained");
                Ok(Response::new(wire::AuditJournalsCheck {
                    difference: Some(difference.to_string()),
                    ..wire::AuditJournalsCheck::default()
                }))
            }
            Err(VerifyError::Store(error)) => Err(error.into()),
            Err(VerifyError::Read { source, .. }) => Err(Error::Read(source).into()),
        }
    }
}

/// Whether a newer root has released the wanted records.
const fn is_gone(error: &ReadError) -> bool {
    matches!(error, ReadError::Truncated { .. })
}

impl Handler {
    /// Hashes again what no root covers, on a thread of its own.
    async fn check(&self) -> Result<wire::AuditJournalsCheck, VerifyError> {
        let newest = Newest::of(&self.audit, self.topology, &self.public_key).await?;
        let (root, log) = (newest.root, Arc::clone(&self.log));
        let hashed = tokio::task::spawn_blocking(move || newest.over(&*log)).await;
        let totals = hashed.map_err(|panic| Error::Damaged(panic.to_string()))??;
        Ok(wire::AuditJournalsCheck {
            root,
            records: totals.records,
            unaudited: totals.unaudited,
            difference: None,
        })
    }

    fn show(&self, number: u64, signed: &Signed) -> Result<wire::AuditRoot, Error> {
        let root = Root::decode(&signed.body)
            .ok_or_else(|| Error::Damaged(format!("the bytes of root {number} are not a root")))?;
        Ok(wire::AuditRoot {
            number: root.number,
            created_at: root.created_at.0,
            heads: root.heads.iter().map(head).collect(),
            previous: hex::encode(&root.previous),
            hash: hex::encode(&signed.hash()),
            signature: hex::encode(&signed.signature),
            public_key: hex::encode(self.public_key.as_bytes()),
        })
    }
}

fn head(head: &Head) -> wire::AuditHead {
    wire::AuditHead {
        topic: head.journal.topic.name().to_owned(),
        partition: head.journal.partition,
        next_offset: head.next_offset,
        hash: hex::encode(&head.hash),
    }
}

fn skip((number, skip): (u64, Skip)) -> wire::AuditSkip {
    wire::AuditSkip {
        number,
        partition: skip.seat.to_string(),
        input: skip.message.to_string(),
        reason: skip.reason,
    }
}

fn limit_of(limit: i32) -> Result<u32, Status> {
    if !(1..=LIMIT_MAX).contains(&limit) {
        let message = format!("limit is {limit}; give 1 to {LIMIT_MAX}");
        return Err(status::invalid("limit", message));
    }
    Ok(limit.unsigned_abs())
}

impl From<Error> for Status {
    fn from(error: Error) -> Status {
        tracing::error!(%error, "the audit trail cannot be read");
        match error {
            Error::Store(StoreError::Busy | StoreError::Timeout) => {
                let words = "the audit trail cannot be read right now; try again";
                status::of(&status::Error::new(
                    status::Code::Unavailable,
                    "UNAVAILABLE",
                    words,
                ))
            }
            // Only operators call this, and they need to know.
            Error::Damaged(_) => status::of(&status::Error::new(
                status::Code::Internal,
                "AUDIT_DAMAGED",
                format!("audit: {error}"),
            )),
            _ => status::internal(),
        }
    }
}
