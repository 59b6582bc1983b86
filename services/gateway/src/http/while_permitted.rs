//! An answer that goes on only while its receiver may have it: a large one takes minutes, and the right is judged when it
//! is used.

use super::answer::Answer;
use bytes::Bytes;
use core::pin::Pin;
use core::task::{Context, Poll};
use http_body_util::{BodyExt, combinators::BoxBody};
use hyper::body::{Body, Frame, SizeHint};
use std::io::Error;

/// Asks before each piece; a no breaks the connection off, since a length was promised.
pub(crate) fn while_permitted(
    answer: Answer,
    permitted: impl Fn() -> bool + Send + Sync + Unpin + 'static,
) -> Answer {
    answer.map(|body| WhilePermitted { body, permitted }.boxed())
}

struct WhilePermitted<F> {
    body: BoxBody<Bytes, Error>,
    permitted: F,
}

impl<F: Fn() -> bool + Unpin> Body for WhilePermitted<F> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if !(self.permitted)() {
            return Poll::Ready(Some(Err(Error::other("its receiver may not have it any more"))));
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
