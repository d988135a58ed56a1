//! Answers that end early when what they were asked with is revoked.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use crate::Error;

/// A body that goes on until its own end, or until a revocation: then what is behind it is dropped and
/// the trailers say so.
pub struct Ending<B> {
    body: B,
    revoked: Option<BoxFuture<'static, ()>>,
    is_over: bool,
}

impl<B> Ending<B> {
    /// A body that ends by itself.
    pub(crate) fn by_itself(body: B) -> Ending<B> {
        Ending {
            body,
            revoked: None,
            is_over: false,
        }
    }

    /// A body that ends when `revoked` does.
    pub(crate) fn when(revoked: impl Future<Output = ()> + Send + 'static, body: B) -> Ending<B> {
        Ending {
            revoked: Some(revoked.boxed()),
            ..Ending::by_itself(body)
        }
    }
}

impl<B: Body + Default + Unpin> Body for Ending<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let revoked = self
            .revoked
            .as_mut()
            .map(|revoked| revoked.poll_unpin(context));
        if let Some(Poll::Ready(())) = revoked {
            (self.body, self.revoked, self.is_over) = (B::default(), None, true);
            return Poll::Ready(trailers().map(|trailers| Ok(Frame::trailers(trailers))));
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || (self.revoked.is_none() && self.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        match self.revoked {
            Some(_) => SizeHint::default(),
            None => self.body.size_hint(),
        }
    }
}

/// The refusal at the end of a stream. A status of ours always fits into trailers; without them the
/// client would see a stream that was cut off.
fn trailers() -> Option<HeaderMap> {
    let mut trailers = HeaderMap::new();
    let written = Error::Revoked.status().add_header(&mut trailers);
    written.is_ok().then_some(trailers)
}
