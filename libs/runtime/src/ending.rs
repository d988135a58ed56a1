//! Response bodies that end early: their credentials were revoked, or the process is shutting down.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tonic::Status;

/// A body that continues until its own end, or until something else ends it: then its source is dropped and
/// the trailers say why.
pub struct Ending<B> {
    body: B,
    over: Option<BoxFuture<'static, Option<Status>>>,
    is_over: bool,
}

impl<B> Ending<B> {
    /// A body that ends by itself.
    pub fn by_itself(body: B) -> Ending<B> {
        Ending {
            body,
            over: None,
            is_over: false,
        }
    }

    /// A body that ends when `over` does, with its status.
    pub fn when(over: impl Future<Output = Status> + Send + 'static, body: B) -> Ending<B> {
        Ending {
            over: Some(over.map(Some).boxed()),
            ..Ending::by_itself(body)
        }
    }

    /// A body that ends when `over` does, as if it had come to its own end.
    pub fn quietly(over: impl Future<Output = ()> + Send + 'static, body: B) -> Ending<B> {
        Ending {
            over: Some(over.map(|()| None).boxed()),
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
        let over = self.over.as_mut().map(|over| over.poll_unpin(context));
        if let Some(Poll::Ready(status)) = over {
            (self.body, self.over, self.is_over) = (B::default(), None, true);
            let trailers = status.as_ref().and_then(trailers);
            return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        // Also while something could still end it early: an answer of headers alone must be marked as such,
        // or clients wait for trailers that do not come.
        self.is_over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.over {
            Some(_) if !self.is_end_stream() => SizeHint::default(),
            _ => self.body.size_hint(),
        }
    }
}

/// The refusal at the end of a stream. A status of ours always fits into trailers; without them the client
/// would see a broken stream.
fn trailers(status: &Status) -> Option<HeaderMap> {
    let mut trailers = HeaderMap::new();
    let written = status.add_header(&mut trailers);
    written.is_ok().then_some(trailers)
}

#[cfg(test)]
mod tests {
    use http_body_util::{Empty, Full};

    use super::*;

    #[test]
    fn what_is_over_already_says_so_whatever_could_end_it() {
        let headers_alone = Ending::when(std::future::pending(), Empty::<&[u8]>::new());
        assert!(headers_alone.is_end_stream());
        assert_eq!(headers_alone.size_hint().exact(), Some(0));
        let more = Ending::when(std::future::pending(), Full::new(&b"more"[..]));
        assert!(!more.is_end_stream());
        assert_eq!(more.size_hint().exact(), None, "it may be cut short");
    }
}
