//! For how long a read that nobody has answered is asked again. Commands are never repeated here.

use std::time::Duration;

use prepx_proto::journal::Error;
use prepx_runtime::status::{self, Code};
use prepx_stage::port::ReadError;
use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::Status;

use crate::RETRY_AFTER;

/// The wait before the second attempt; each further one is twice as long.
const WAIT_FIRST: Duration = Duration::from_millis(5);
/// The longest wait between two attempts.
const WAIT_MAX: Duration = Duration::from_millis(100);

/// How long to ask.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// An attempt that takes longer is given up: whoever is asked may be dead or held up, and somebody else
    /// have its place by now.
    pub each: Duration,
    /// All attempts together.
    pub in_all: Duration,
}

/// For a look at a few values. In all it is twice what the takeover from an owner that was killed may take.
pub(super) const READ: Patience = Patience {
    each: Duration::from_secs(1),
    in_all: Duration::from_secs(10),
};

/// For a walk over everything that a partition has.
pub(super) const AUDIT: Patience = Patience {
    each: Duration::from_secs(20),
    in_all: Duration::from_secs(30),
};

impl Patience {
    /// Asks until there is an answer. `ask` is given the number of the attempt, from 0.
    pub async fn ask<T, F>(self, ask: impl Fn(u32) -> F) -> Result<T, ReadError>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let end = Instant::now() + self.in_all;
        let (mut attempt, mut wait) = (0, WAIT_FIRST);
        loop {
            let until = end.min(Instant::now() + self.each);
            let why = match timeout_at(until, ask(attempt)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(status)) => again(&status)?,
                Err(_) => "it takes too long to answer".to_owned(),
            };
            tracing::debug!(attempt, why, "a read is not answered");
            let next = Instant::now() + wait;
            if next >= end {
                return Err(ReadError::Unavailable(why));
            }
            sleep_until(next).await;
            (attempt, wait) = (attempt + 1, WAIT_MAX.min(wait * 2));
        }
    }
}

/// Why a read was not answered, if another attempt may be.
fn again(status: &Status) -> Result<String, ReadError> {
    let told = status::read(status);
    // A status that no service has made comes from a connection: it may be whole again, or not needed.
    let from_transport = status.details().is_empty() && status.code() != tonic::Code::Unimplemented;
    match told.code {
        Code::TooManyRequests => Err(ReadError::Busy {
            retry_after: told
                .retry_after_ms
                .map_or(RETRY_AFTER, Duration::from_millis),
        }),
        Code::Unavailable | Code::DeadlineExceeded => Ok(told.message),
        _ if from_transport => Ok(told.message),
        _ => {
            // What is wrong between services is for operators; nobody else could help it.
            tracing::error!(
                message = told.message,
                reason = told.reason,
                "a read was refused"
            );
            Err(ReadError::Unavailable("it refuses to answer".into()))
        }
    }
}

/// An answer that this version cannot read.
pub(super) fn unread(error: Error) -> ReadError {
    tracing::error!(%error, "an answer cannot be read");
    ReadError::Unavailable("its answer cannot be read".into())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;

    use super::*;

    fn refusal(code: Code, reason: &str) -> Status {
        status::of(&status::Error::new(code, reason, "words"))
    }

    async fn given_up(status: impl Fn() -> Status) -> (u32, ReadError) {
        let asked = Cell::new(0);
        let ask = |attempt| {
            assert_eq!(attempt, asked.get());
            asked.set(attempt + 1);
            let status = status();
            async move { Err::<(), _>(status) }
        };
        let error = READ.ask(ask).await.expect_err("nobody answers");
        (asked.get(), error)
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_pass_is_waited_for_and_a_refusal_is_not() {
        let unavailable = |words: &str| ReadError::Unavailable(words.into());
        for passing in [
            refusal(Code::Unavailable, "NOT_OWNER"),
            // As tonic makes them of a connection that breaks.
            Status::unknown("h2 protocol error"),
            Status::unavailable("tcp connect error"),
        ] {
            let begun = Instant::now();
            let (asked, error) = given_up(|| passing.clone()).await;
            assert!((50..200).contains(&asked), "{asked} attempts");
            assert!(matches!(error, ReadError::Unavailable(_)), "{error:?}");
            let took = begun.elapsed();
            assert!(
                READ.in_all - WAIT_MAX < took && took <= READ.in_all,
                "{took:?}"
            );
        }
        let refused = given_up(|| refusal(Code::Unauthenticated, "CLUSTER_KEY")).await;
        assert_eq!(refused, (1, unavailable("it refuses to answer")));
        let missing = given_up(|| Status::unimplemented("no such method")).await;
        assert_eq!(missing, (1, unavailable("it refuses to answer")));
        let full = given_up(|| {
            let retry_after = Duration::from_millis(70);
            crate::QueryError::Busy { retry_after }.into()
        });
        let retry_after = Duration::from_millis(70);
        assert_eq!(full.await, (1, ReadError::Busy { retry_after }));
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_answer_is_given_up_for_another_attempt() {
        let ask = |attempt| async move {
            match attempt {
                0 | 1 => pending().await,
                _ => Ok(attempt),
            }
        };
        let begun = Instant::now();
        assert_eq!(READ.ask(ask).await, Ok(2));
        assert!(begun.elapsed() < READ.each * 3);
        let silent = READ.ask(|_| pending::<Result<(), Status>>()).await;
        let words = ReadError::Unavailable("it takes too long to answer".into());
        assert_eq!(silent, Err(words));
    }
}
