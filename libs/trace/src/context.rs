//! The context that travels: from task to task, and from process to process in the header `traceparent`.

use std::future::Future;

tokio::task_local! {
    static CURRENT: Option<Trace>;
}

/// The ids of a span, as its children know them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The id of the whole trace; not zero.
    pub id: u128,
    /// The id of the span; not zero.
    pub span: u64,
    /// Whether the whole trace is exported, as its root has decided.
    pub sampled: bool,
}

impl Trace {
    /// The span that the current task works for, if any.
    pub fn current() -> Option<Trace> {
        CURRENT.try_with(|current| *current).ok().flatten()
    }

    /// From the value of the header `traceparent` (W3C Trace Context, of version 00 or a later one).
    pub fn parse(text: &str) -> Option<Trace> {
        let hex = |digits: &str| {
            digits
                .bytes()
                .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
        };
        let mut parts = text.split('-');
        let mut next = |len: usize| parts.next().filter(|part| part.len() == len && hex(part));
        let (version, id, span, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        // Later versions may add to it; this one may not.
        if version == "ff" || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let trace = Trace {
            id: u128::from_str_radix(id, 16).ok()?,
            span: u64::from_str_radix(span, 16).ok()?,
            sampled: u8::from_str_radix(flags, 16).ok()? & 1 == 1,
        };
        (trace.id != 0 && trace.span != 0).then_some(trace)
    }

    /// The value of the header `traceparent`.
    pub fn traceparent(self) -> String {
        let flags = u8::from(self.sampled);
        format!("00-{:032x}-{:016x}-{flags:02x}", self.id, self.span)
    }
}

/// Does work for a span, or for none.
pub fn scope<F: Future>(trace: Option<Trace>, work: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(trace, work)
}

/// Work that moves to another task, for the span that the current task works for.
pub fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
    scope(Trace::current(), work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back_and_what_is_none_is_refused() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let trace = Trace::parse(text).expect("the example of the standard");
        assert!(trace.sampled);
        assert_eq!(trace.traceparent(), text);
        let later = format!("01{}-more", &text[2..]);
        assert_eq!(Trace::parse(&later), Some(trace));
        for wrong in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(Trace::parse(wrong), None, "{wrong}");
        }
    }

    #[tokio::test]
    async fn work_in_another_task_is_carried_by_who_says_so() {
        let trace = Trace::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
        assert_eq!(Trace::current(), None);
        let current = || async { Trace::current() };
        let seen = scope(trace, async {
            let alone = tokio::spawn(current()).await;
            let along = tokio::spawn(carried(current())).await;
            (Trace::current(), alone.ok().flatten(), along.ok().flatten())
        });
        assert_eq!(seen.await, (trace, None, trace));
    }
}
