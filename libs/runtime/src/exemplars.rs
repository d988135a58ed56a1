//! Histograms of durations whose buckets name a trace. From a bar of slow calls an operator gets to one of them.
//!
//! Owns the last exported trace of every bucket. Refuses anything that is not bounded: whoever makes a histogram
//! takes its labels from closed lists, and a bucket keeps one trace. The traces are the process's own, as its
//! metrics are; the page that shows both is [`scrape`](crate::scrape)'s.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, RwLock};
use std::time::Duration;

use metrics::Histogram;
use prepx_domain::Micros;
use prepx_env::{Clock as _, SystemClock};

use crate::telemetry;

/// The last exported trace of a bucket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exemplar {
    trace_id: u128,
    took: Duration,
    at: Micros,
}

/// The form of OpenMetrics, after a bucket's count: the labels, the value in seconds, and the time.
impl fmt::Display for Exemplar {
    fn fmt(&self, into: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, took, at) = (self.trace_id, self.took.as_secs_f64(), self.at.0);
        let (seconds, micros) = (at / 1_000_000, at % 1_000_000);
        write!(
            into,
            "{{trace_id=\"{id:032x}\"}} {took} {seconds}.{micros:06}"
        )
    }
}

/// The exemplars of one histogram, by bucket; the last place is for values above all bounds.
#[derive(Debug)]
pub(crate) struct Buckets {
    bounds: &'static [f64],
    last: Box<[Mutex<Option<Exemplar>>]>,
}

impl Buckets {
    fn of(bounds: &'static [f64]) -> Buckets {
        let last = (0..=bounds.len()).map(|_| Mutex::new(None)).collect();
        Buckets { bounds, last }
    }

    fn keep(&self, exemplar: Exemplar) {
        let seconds = exemplar.took.as_secs_f64();
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        *self.last[bucket]
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(exemplar);
    }

    /// The last one of a bucket, counted from the lowest.
    pub(crate) fn last(&self, bucket: usize) -> Option<Exemplar> {
        let kept = self.last.get(bucket)?;
        *kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All histograms with exemplars, by the text before `le` on the page.
type Series = HashMap<String, Arc<Buckets>>;

static SERIES: LazyLock<RwLock<Series>> = LazyLock::new(RwLock::default);

/// The exemplars of a histogram, by the text before `le` in the lines of its buckets.
pub(crate) fn of(series: &str) -> Option<Arc<Buckets>> {
    let all = SERIES.read().unwrap_or_else(PoisonError::into_inner);
    all.get(series).cloned()
}

/// A histogram of durations with exemplars. Those of the same name and labels are one.
pub struct Durations {
    histogram: Histogram,
    buckets: Arc<Buckets>,
}

impl Durations {
    /// The histogram with this name and these labels. Their values come from closed lists and contain no `"`, `\`
    /// or line break.
    pub fn of(name: &'static str, labels: &[(&'static str, String)]) -> Durations {
        let mut series = format!("{name}_bucket{{");
        for (label, value) in labels {
            let _ = write!(series, "{label}=\"{value}\",");
        }
        let mut all = SERIES.write().unwrap_or_else(PoisonError::into_inner);
        let made = || Arc::new(Buckets::of(telemetry::bounds(name)));
        Durations {
            histogram: metrics::histogram!(name, labels),
            buckets: Arc::clone(all.entry(series).or_insert_with(made)),
        }
    }

    /// Counts one duration, and the id of its trace if that was exported.
    pub fn record(&self, took: Duration, trace_id: Option<u128>) {
        self.histogram.record(took);
        if let Some(trace_id) = trace_id {
            let at = SystemClock::new().now();
            self.buckets.keep(Exemplar { trace_id, took, at });
        }
    }
}
