//! Spans: begun when work begins, exported or dropped when it ends.
//!
//! Every span is judged by itself at its end: it is exported if its trace is sampled, if it failed, or if it took long.
//! Whatever waits for something slow or failed is slow or failed too, so the whole way from the edge to the cause is
//! exported, in every process, and no span has to be kept until its root has ended.

use std::borrow::Cow;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prepx_domain::Micros;
use prepx_env::{Clock as _, Random, SystemClock};

use crate::Trace;

/// How many bits of a trace's id decide whether it is sampled: the random ones of W3C's level 2.
const RANDOM_BITS: u32 = 56;
/// An odd number without a pattern: the distance between the numbers that ids are made from.
const STRIDE: u64 = 0x9e37_79b9_7f4a_7c15;

/// Which spans of a process are exported.
#[derive(Clone, Copy, Debug)]
pub struct Sampling {
    /// How many roots in a million have their whole trace recorded.
    pub sampled_ppm: u32,
    /// From which duration on an unsampled span is exported.
    pub slow: Duration,
    /// Whether the traces of callers of this process are continued. If not, a call begins a trace of its own, with
    /// a link to its caller's.
    pub continues: bool,
}

/// Where exported spans go. Called where a span ends, also on threads that must not wait, so it may drop spans.
pub trait Sink: Send + Sync {
    /// Exports a span that has ended.
    fn export(&self, span: FinishedSpan);
}

/// The kind of a span, as OpenTelemetry has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It answers a call.
    Server,
    /// It calls somebody and waits for the answer.
    Client,
    /// It processes a message of the log.
    Consumer,
}

/// The value of an attribute: ids and numbers, never personal data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(Cow<'static, str>),
    /// A number.
    Number(i64),
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text.into())
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Value {
        Value::Text(text.into())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Value {
        Value::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Value {
        Value::Number(number.into())
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Value {
        Value::Number(number.into())
    }
}

/// What an exported span says besides its times and its parent. Built only for a span that is exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Details {
    /// Its kind.
    pub kind: Kind,
    /// Its name, from a small set.
    pub name: Cow<'static, str>,
    /// Its attributes.
    pub attributes: Vec<(&'static str, Value)>,
}

/// A span that is exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedSpan {
    /// Its own ids.
    pub trace: Trace,
    /// The id of its parent.
    pub parent: Option<u64>,
    /// The span of another trace that caused this one.
    pub link: Option<Trace>,
    /// Its kind, name and attributes.
    pub details: Details,
    /// How it failed, from a closed set.
    pub failure: Option<&'static str>,
    /// When it ended.
    pub ended: Micros,
    /// How long it took.
    pub took: Duration,
}

struct Installed {
    sampling: Sampling,
    /// Trace ids whose random bits are below this are sampled.
    sampled_below: u64,
    sink: Box<dyn Sink>,
    clock: SystemClock,
    /// Keeps outsiders from predicting ids, or choosing one that is sampled.
    secret: u64,
    drawn: AtomicU64,
}

static INSTALLED: OnceLock<Installed> = OnceLock::new();

/// Lets this process export spans from now on. Works once per process; returns whether this was the first time.
pub fn install(sampling: Sampling, sink: Box<dyn Sink>, random: &Random) -> bool {
    let installed = Installed {
        sampled_below: sampled_below(sampling.sampled_ppm),
        sampling,
        sink,
        clock: SystemClock::new(),
        secret: random.next_u64(),
        drawn: AtomicU64::new(0),
    };
    INSTALLED.set(installed).is_ok()
}

/// Whether callers' traces are continued here.
pub fn continues() -> bool {
    INSTALLED
        .get()
        .is_some_and(|installed| installed.sampling.continues)
}

fn sampled_below(ppm: u32) -> u64 {
    let share = u128::from(ppm.min(1_000_000)) << RANDOM_BITS;
    u64::try_from(share / 1_000_000).unwrap_or(u64::MAX)
}

/// Mixes a number over all 64 bits, without collisions (the finalizer of SplitMix64).
const fn spread(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

impl Installed {
    /// A new id. Ids need not be fit for secrets, so drawing one takes no lock.
    fn draw(&self) -> u64 {
        let number = self.drawn.fetch_add(1, Ordering::Relaxed);
        spread(self.secret.wrapping_add(number.wrapping_mul(STRIDE))).max(1)
    }

    fn draw_trace(&self) -> u128 {
        (u128::from(self.draw()) << 64) | u128::from(self.draw())
    }

    fn is_sampled(&self, id: u128) -> bool {
        (id as u64) & ((1 << RANDOM_BITS) - 1) < self.sampled_below
    }

    fn begin(&self, id: u128, sampled: bool) -> Span {
        let span = self.draw();
        Span {
            trace: Trace { id, span, sampled },
            parent: None,
            link: None,
            lasting: false,
            began: self.clock.monotonic(),
        }
    }

    fn end(
        &self,
        span: Span,
        failure: Option<&'static str>,
        details: impl FnOnce() -> Details,
    ) -> Option<u128> {
        let took = self.clock.monotonic().saturating_sub(span.began);
        let slow = !span.lasting && took >= self.sampling.slow;
        if !span.trace.sampled && failure.is_none() && !slow {
            return None;
        }
        self.sink.export(FinishedSpan {
            trace: span.trace,
            parent: span.parent,
            link: span.link,
            details: details(),
            failure,
            ended: self.clock.now(),
            took,
        });
        Some(span.trace.id)
    }
}

/// Work in progress. If it is dropped without an end, it is not exported.
#[derive(Debug)]
pub struct Span {
    trace: Trace,
    parent: Option<u64>,
    link: Option<Trace>,
    lasting: bool,
    began: Duration,
}

impl Span {
    /// Begins a trace; none if this process exports none.
    pub fn root() -> Option<Span> {
        let installed = INSTALLED.get()?;
        let id = installed.draw_trace();
        Some(installed.begin(id, installed.is_sampled(id)))
    }

    /// Begins the trace of one of many items, such as a command of a stream, only if it is sampled. For the same id and
    /// process that is always or never the case.
    pub fn sampled_root(of: u128) -> Option<Span> {
        let installed = INSTALLED.get()?;
        let low = spread(of as u64 ^ installed.secret);
        let high = spread((of >> 64) as u64 ^ low);
        let id = (u128::from(low) << 64) | u128::from(high);
        let sampled = id != 0 && installed.is_sampled(id);
        sampled.then(|| installed.begin(id, true))
    }

    /// Begins work that belongs to no trace, to be exported only if it fails or takes long.
    pub fn unsampled_root() -> Option<Span> {
        let installed = INSTALLED.get()?;
        Some(installed.begin(installed.draw_trace(), false))
    }

    /// Begins a child of another span; none if this process exports none.
    pub fn under(parent: Trace) -> Option<Span> {
        let installed = INSTALLED.get()?;
        let mut span = installed.begin(parent.id, parent.sampled);
        span.parent = Some(parent.span);
        Some(span)
    }

    /// Begins a child of the span that the current task works for.
    pub fn under_current() -> Option<Span> {
        Trace::current().and_then(Span::under)
    }

    /// The same with a link to a span of another trace.
    #[must_use]
    pub fn linked(self, link: Option<Trace>) -> Span {
        Span { link, ..self }
    }

    /// The same for work that may take any time, such as a stream, and is never slow.
    #[must_use]
    pub fn lasting(self, lasting: bool) -> Span {
        Span { lasting, ..self }
    }

    /// Its ids, for its children.
    pub const fn trace(&self) -> Trace {
        self.trace
    }

    /// Ends it. If it is exported, `details` is called for the rest of it, and the id of its trace is returned.
    pub fn end(
        self,
        failure: Option<&'static str>,
        details: impl FnOnce() -> Details,
    ) -> Option<u128> {
        INSTALLED.get()?.end(self, failure, details)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Keeps what it takes.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<FinishedSpan>>>);

    impl Sink for Kept {
        fn export(&self, span: FinishedSpan) {
            self.0.lock().expect("no test panics with it").push(span);
        }
    }

    fn installed(sampled_ppm: u32, slow: Duration) -> (Installed, Kept) {
        let kept = Kept::default();
        let sampling = Sampling {
            sampled_ppm,
            slow,
            continues: false,
        };
        let installed = Installed {
            sampled_below: super::sampled_below(sampled_ppm),
            sampling,
            sink: Box::new(kept.clone()),
            clock: SystemClock::new(),
            secret: 7,
            drawn: AtomicU64::new(0),
        };
        (installed, kept)
    }

    #[test]
    fn as_many_roots_are_sampled_as_were_asked_for() {
        for ppm in [0, 10_000, 500_000, 1_000_000] {
            let (installed, _) = installed(ppm, Duration::MAX);
            let ids = (0..200_000).map(|_| u128::from(installed.draw()));
            let sampled = ids.filter(|id| installed.is_sampled(*id)).count();
            let due = ppm as usize / 5;
            assert!(sampled.abs_diff(due) <= 400, "{sampled} of {due}");
            let exact = ppm == 0 || ppm == 1_000_000;
            assert!(!exact || sampled == due, "{sampled} of {due}");
        }
    }

    #[test]
    fn before_anything_is_installed_nothing_is_begun() {
        // The one test of this process that asks the process itself.
        assert!(Span::root().is_none() && Span::sampled_root(7).is_none());
        assert!(!continues());
    }

    #[test]
    fn each_span_is_judged_by_itself() {
        let cases = [
            (true, None, false, 1),
            (false, None, false, 0),
            (false, Some("UNAVAILABLE"), false, 1),
            (false, None, true, 1),
        ];
        for (sampled, failure, slow, exported) in cases {
            let slow = if slow { Duration::ZERO } else { Duration::MAX };
            let (installed, kept) = installed(0, slow);
            let span = installed.begin(7, sampled);
            installed.end(span, failure, || Details {
                kind: Kind::Server,
                name: "a call".into(),
                attributes: Vec::new(),
            });
            let kept = kept.0.lock().expect("no test panics with it").clone();
            assert_eq!(kept.len(), exported, "{sampled} {failure:?} {slow:?}");
        }
    }

    #[test]
    fn what_lasts_is_never_slow() {
        let (installed, kept) = installed(0, Duration::ZERO);
        let span = installed.begin(7, false).lasting(true);
        installed.end(span, None, || unreachable!("it is not exported"));
        assert!(kept.0.lock().expect("no test panics with it").is_empty());
    }
}
