//! What operators do about dead letters, over gRPC: decode, call, encode.

use std::time::Duration;

use prepx_domain::{Code, Micros};
use prepx_errand::letters::Place;
use prepx_errand::{Act, Attempt, Desk, Letter, VerdictError};
use prepx_proto::notification::v1 as wire;
use prepx_proto::notification::v1::admin_service_server::AdminService;
use prepx_runtime::status;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::effect::headers;
use crate::grpc::invalid;

/// The longest page.
const PAGE_MAX: u32 = 100;
/// How many letters may be named at once.
const IDS_MAX: usize = 1_000;

/// Dead letters of the groups of this service.
pub struct Grpc(pub Desk);

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl AdminService for Grpc {
    async fn list_dead_letters(
        &self,
        request: Request<wire::ListDeadLettersRequest>,
    ) -> Answer<wire::ListDeadLettersResponse> {
        let asked = request.get_ref();
        let group = self.group(&asked.group)?;
        let limit = asked.limit.unwrap_or(PAGE_MAX);
        if !(1..=PAGE_MAX).contains(&limit) {
            let message = format!("limit is {limit}: 1 to {PAGE_MAX} would be right");
            return Err(invalid("limit", message));
        }
        let after = place(&asked.page_token)?;
        let page = self.0.letters.page(group, after, limit).await;
        let page = page.map_err(|error| refusal(&error.into()))?;
        let whole = page.len() == limit as usize;
        let next = page.last().filter(|_| whole).map(token);
        Ok(Response::new(wire::ListDeadLettersResponse {
            letters: page.into_iter().map(letter).collect(),
            next_page_token: next,
        }))
    }

    async fn get_dead_letter(
        &self,
        request: Request<wire::GetDeadLetterRequest>,
    ) -> Answer<wire::DeadLetterDetails> {
        let asked = &request.get_ref().letter_id;
        let found = match asked.parse() {
            Ok(id) => self.0.letters.get(id).await,
            Err(_) => Ok(None),
        };
        let found = found.map_err(|error| refusal(&error.into()))?;
        let found = found.ok_or_else(|| {
            let named: String = asked.chars().take(64).collect();
            let message = format!("there is no dead letter `{named}`");
            status::of(&status::Error::new(
                Code::NotFound,
                "UNKNOWN_LETTER",
                message,
            ))
        })?;
        let event = found.errand.event;
        let attempts = found.errand.attempts.iter();
        Ok(Response::new(wire::DeadLetterDetails {
            payload: String::from_utf8_lossy(&found.errand.payload).into_owned(),
            attempts: attempts.map(|attempt| shown(event, attempt)).collect(),
            letter: Some(letter(found)),
        }))
    }

    async fn replay_dead_letters(
        &self,
        request: Request<wire::SettleDeadLettersRequest>,
    ) -> Answer<wire::SettleDeadLettersResponse> {
        self.settle(request, Act::Replay).await
    }

    async fn drop_dead_letters(
        &self,
        request: Request<wire::SettleDeadLettersRequest>,
    ) -> Answer<wire::SettleDeadLettersResponse> {
        self.settle(request, Act::Drop).await
    }
}

impl Grpc {
    async fn settle(
        &self,
        request: Request<wire::SettleDeadLettersRequest>,
        act: Act,
    ) -> Answer<wire::SettleDeadLettersResponse> {
        let by = prepx_auth::principal(request.extensions()).map_err(|e| e.status())?;
        let by = by.user_id;
        let wire::SettleDeadLettersRequest { group, ids, all } = request.into_inner();
        let group = self.group(&group)?;
        let ids = named(&ids, all)?;
        let desk = self.0.clone();
        // What has begun continues when its caller goes away.
        let settled = tokio::spawn(async move {
            match ids {
                Some(ids) => desk.settle(group, &ids, act, by).await,
                None => desk.settle_all(group, act, by).await,
            }
        });
        let settled = settled.await.map_err(|_| status::internal())?;
        let letters = settled.map_err(|error| refusal(&error))?;
        Ok(Response::new(wire::SettleDeadLettersResponse { letters }))
    }

    /// The group of this name; of none, all.
    fn group(&self, name: &str) -> Result<Option<&'static str>, Status> {
        if name.is_empty() {
            return Ok(None);
        }
        let groups = self.0.groups.iter().map(|group| group.name);
        let found = groups.clone().find(|group| *group == name);
        found.map(Some).ok_or_else(|| {
            let named: String = name.chars().take(64).collect();
            let there = groups.collect::<Vec<_>>().join(", ");
            invalid(
                "group",
                format!("there is no group `{named}`; there are {there}"),
            )
        })
    }
}

/// The letters that are named; `None` of all.
fn named(ids: &[String], all: bool) -> Result<Option<Vec<Uuid>>, Status> {
    match (ids.len(), all) {
        (0, true) => return Ok(None),
        (0, false) | (1.., true) => {
            let message = "name letters by `ids`, or say `all`: one of the two";
            return Err(invalid("ids", message));
        }
        (count, false) if count > IDS_MAX => {
            let message = format!("{count} ids at once: give at most {IDS_MAX}, or `all`");
            return Err(invalid("ids", message));
        }
        _ => {}
    }
    let read = |id: &String| {
        id.parse().map_err(|_| {
            let named: String = id.chars().take(64).collect();
            invalid("ids", format!("`{named}` is not the UUID of a letter"))
        })
    };
    Ok(Some(ids.iter().map(read).collect::<Result<_, _>>()?))
}

fn letter(letter: Letter) -> wire::DeadLetter {
    let Letter {
        group,
        died_at,
        errand,
    } = letter;
    let last = errand.attempts.last();
    wire::DeadLetter {
        id: errand.id.to_string(),
        group,
        died_at: died_at.0,
        attempts: u32::try_from(errand.attempts.len()).unwrap_or(u32::MAX),
        last_failure: last.map(|last| last.failure.clone()).unwrap_or_default(),
        what: errand.what,
        target: errand.target.to_string(),
    }
}

fn shown(event: Uuid, attempt: &Attempt) -> wire::DeliveryAttempt {
    let sent = headers(event, attempt.at).into_iter();
    let named = sent.map(|(name, value)| (name.to_owned(), value));
    wire::DeliveryAttempt {
        at: attempt.at.0,
        tried: attempt.tried,
        failure: attempt.failure.clone(),
        headers: named.filter(|_| attempt.tried).collect(),
    }
}

fn token(last: &Letter) -> String {
    format!("{}.{}", last.died_at.0, last.errand.id)
}

fn place(token: &str) -> Result<Option<Place>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let read = || {
        let (at, id) = token.split_once('.')?;
        let (at, id) = (at.parse().ok()?, id.parse().ok()?);
        Some(Place {
            died_at: Micros(at),
            id,
        })
    };
    let message = "page_token is invalid: give the next_page_token of the page before";
    read()
        .map(Some)
        .ok_or_else(|| invalid("page_token", message))
}

fn refusal(error: &VerdictError) -> Status {
    let (reason, words) = match error {
        VerdictError::Late => ("LATE", error.to_string()),
        VerdictError::Store(store) if store.is_retryable() => ("BUSY", error.to_string()),
        VerdictError::Append(_) => ("LOG_UNAVAILABLE", error.to_string()),
        VerdictError::Wait(_) => return status::outcome_unknown(),
        VerdictError::Store(_) | VerdictError::Thread(_) => {
            tracing::error!(%error, "a call about dead letters failed");
            return status::internal();
        }
    };
    let told = status::Error::new(Code::Unavailable, reason, words);
    status::of(&told.retry_after(Some(Duration::from_secs(1))))
}
