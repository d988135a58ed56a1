//! Request bodies with limits on their size and time. Streams over gRPC are exempt, because they have no
//! natural end; the decoder limits each of their messages.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Buf as _;
use futures::StreamExt as _;
use http::{HeaderMap, header};
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

/// Why a body ended early. [`Error::of`] finds it in the error that wraps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is larger than the limit.
    #[error("the body is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// It took longer than the limit.
    #[error("the body did not arrive within {limit:?}")]
    TooSlow {
        /// The limit.
        limit: Duration,
    },
}

impl Error {
    /// The [`Error`] behind an error, if there is one.
    pub fn of(error: &(dyn std::error::Error + 'static)) -> Option<Error> {
        std::iter::successors(Some(error), |error| error.source())
            .find_map(|error| error.downcast_ref::<Error>().copied())
    }
}

/// Whether a request or an answer is gRPC.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE);
    content_type
        .is_some_and(|content_type| content_type.as_bytes().starts_with(b"application/grpc"))
}

/// How much of a body that is too large is still read and discarded: a client that is sending does not
/// listen yet, and would not see the answer if the connection were closed under it.
const DISCARDED_BYTES_MAX: usize = 64 << 20;

/// A body that ends with an error when it exceeds a size or a time.
pub(crate) struct Bounded {
    body: Body,
    /// The bytes that may still come.
    left_bytes: usize,
    limit_bytes: usize,
    /// Whether it is too large already and is only discarded.
    discarding: bool,
    limit: Duration,
    over: Pin<Box<Sleep>>,
}

impl Bounded {
    pub(crate) fn new(body: Body, limit_bytes: usize, limit: Duration) -> Bounded {
        let over = Box::pin(tokio::time::sleep_until(Instant::now() + limit));
        Bounded {
            body,
            left_bytes: limit_bytes,
            limit_bytes,
            discarding: false,
            limit,
            over,
        }
    }

    /// Counts a frame; returns whether it may be passed on.
    fn takes(&mut self, size: usize) -> Result<bool, Error> {
        if let Some(left_bytes) = self.left_bytes.checked_sub(size) {
            self.left_bytes = left_bytes;
            return Ok(!self.discarding);
        }
        if self.discarding {
            return Err(self.too_large());
        }
        (self.discarding, self.left_bytes) = (true, DISCARDED_BYTES_MAX);
        Ok(false)
    }

    fn too_large(&self) -> Error {
        Error::TooLarge {
            limit_bytes: self.limit_bytes,
        }
    }
}

/// Reads a body that is refused already, within its bounds, and throws it away: as with [`DISCARDED_BYTES_MAX`].
pub(crate) async fn discard(body: Body) {
    let mut frames = body.into_data_stream();
    while let Some(Ok(_)) = frames.next().await {}
}

impl http_body::Body for Bounded {
    type Data = bytes::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        loop {
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
                let late = self.over.as_mut().poll(context);
                let why = match self.discarding {
                    true => self.too_large(),
                    false => Error::TooSlow { limit: self.limit },
                };
                return late.map(|()| Some(Err(axum::Error::new(why))));
            };
            let size = match &frame {
                Some(Ok(frame)) => frame.data_ref().map_or(0, |data| data.remaining()),
                None if self.discarding => {
                    self.discarding = false;
                    return Poll::Ready(Some(Err(axum::Error::new(self.too_large()))));
                }
                _ => return Poll::Ready(frame),
            };
            match self.takes(size) {
                Ok(true) => return Poll::Ready(frame),
                Ok(false) => {}
                Err(error) => return Poll::Ready(Some(Err(axum::Error::new(error)))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_ends_at_its_size_and_at_its_time() {
        let limit = Duration::from_secs(30);
        let whole = Bounded::new(Body::from("12345"), 5, limit).collect().await;
        assert_eq!(whole.expect("fits").to_bytes(), "12345");
        let large = Bounded::new(Body::from("123456"), 5, limit).collect().await;
        let error = large.expect_err("is too large");
        assert_eq!(Error::of(&error), Some(Error::TooLarge { limit_bytes: 5 }));
        let half = futures::stream::iter([Ok::<_, std::io::Error>("123")]);
        let never = Body::from_stream(half.chain(futures::stream::pending()));
        let error = Bounded::new(never, 5, limit)
            .collect()
            .await
            .expect_err("never ends");
        assert_eq!(Error::of(&error), Some(Error::TooSlow { limit }));
        let more = futures::stream::iter([Ok::<_, std::io::Error>("123456")]);
        let never = Body::from_stream(more.chain(futures::stream::pending()));
        let error = Bounded::new(never, 5, limit)
            .collect()
            .await
            .expect_err("never ends, and is too large already");
        assert_eq!(Error::of(&error), Some(Error::TooLarge { limit_bytes: 5 }));
    }
}
