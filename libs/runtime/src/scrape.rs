//! The page of a process's metrics: Prometheus' text format, or OpenMetrics' for scrapers that ask for it, which
//! Prometheus does. Only OpenMetrics has exemplars.
//!
//! The exporter renders the former; the latter is made from it here, line by line.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use http::{HeaderMap, header};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::exemplars::{self, Buckets};

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The handler of `/metrics`.
pub fn page<S: Clone + Send + Sync + 'static>(metrics: PrometheusHandle) -> MethodRouter<S> {
    get(async move |headers: HeaderMap| answer(&metrics, &headers))
}

fn answer(metrics: &PrometheusHandle, asked: &HeaderMap) -> Response {
    let page = metrics.render();
    let (kind, page) = match takes_open_metrics(asked) {
        true => (OPEN_METRICS, open_metrics(&page)),
        false => (TEXT, page),
    };
    ([(header::CONTENT_TYPE, kind)], page).into_response()
}

/// A client that can read OpenMetrics prefers it, so the weights are not compared.
fn takes_open_metrics(asked: &HeaderMap) -> bool {
    let mut accepted = asked.get_all(header::ACCEPT).iter();
    accepted.any(|kinds| {
        let kinds = kinds.to_str().unwrap_or_default().split(',');
        let mut names = kinds.filter_map(|kind| kind.split(';').next());
        names.any(|name| name.trim() == "application/openmetrics-text")
    })
}

/// The same page in OpenMetrics' format, with exemplars.
fn open_metrics(text: &str) -> String {
    let mut page = String::with_capacity(text.len());
    let mut at = Place::default();
    for line in text.lines() {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            put_family(&mut page, family);
        } else if let Some(bucket) = Bucket::parse(line) {
            at.move_to(bucket.series);
            bucket.put(&mut page, at.exemplar());
        } else if !line.is_empty() && !line.starts_with('#') {
            page.push_str(line);
            page.push('\n');
        }
    }
    page.push_str("# EOF\n");
    page
}

/// The name and the type of the samples that follow. The counters of a family end with `_total`; its name does not.
fn put_family(page: &mut String, family: &str) {
    let counter = family.strip_suffix(" counter");
    let _ = match counter.map(|name| (name, name.strip_suffix("_total"))) {
        Some((_, Some(name))) => writeln!(page, "# TYPE {name} counter"),
        Some((name, None)) => writeln!(page, "# TYPE {name} unknown"),
        None => writeln!(page, "# TYPE {family}"),
    };
}

/// The line of one bucket of a histogram.
struct Bucket<'l> {
    /// All labels before `le`.
    series: &'l str,
    bound: &'l str,
    count: &'l str,
}

impl<'l> Bucket<'l> {
    fn parse(line: &'l str) -> Option<Bucket<'l>> {
        let (sample, count) = line.rsplit_once(' ')?;
        let (series, bound) = sample.strip_suffix("\"}")?.rsplit_once("le=\"")?;
        series.contains("_bucket{").then_some(Bucket {
            series,
            bound,
            count,
        })
    }

    fn put(&self, page: &mut String, exemplar: Option<exemplars::Exemplar>) {
        let (series, bound, count) = (self.series, canonical(self.bound), self.count);
        let _ = write!(page, "{series}le=\"{bound}\"}} {count}");
        if let Some(exemplar) = exemplar {
            let _ = write!(page, " # {exemplar}");
        }
        page.push('\n');
    }
}

/// The bound in OpenMetrics' form, which is that of Go: `1.0`, `2.5e-07`.
fn canonical(bound: &str) -> String {
    let finite = bound.parse::<f64>().ok().filter(|bound| bound.is_finite());
    let Some(number) = finite else {
        return bound.to_owned();
    };
    let text = format!("{number:?}");
    match text.split_once("e-") {
        Some((digits, exponent)) => format!("{digits}e-{exponent:0>2}"),
        None => text,
    }
}

/// The position in the page: which bucket of which histogram.
#[derive(Default)]
struct Place {
    series: String,
    buckets: Option<Arc<Buckets>>,
    bucket: usize,
}

impl Place {
    fn move_to(&mut self, series: &str) {
        if self.series == series {
            self.bucket += 1;
            return;
        }
        self.series.replace_range(.., series);
        self.buckets = exemplars::of(series);
        self.bucket = 0;
    }

    fn exemplar(&self) -> Option<exemplars::Exemplar> {
        self.buckets.as_ref()?.last(self.bucket)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;

    use super::*;
    use crate::{Durations, telemetry};

    #[test]
    fn a_bucket_names_the_last_trace_that_was_exported() {
        let recorder = telemetry::builder().expect("buckets").build_recorder();
        metrics::with_local_recorder(&recorder, || {
            let labels = [("method", "/prepx.test.v1.Test/Slow".to_owned())];
            let name = "prepx_stream_duration_seconds";
            let seconds = Durations::of(name, &labels);
            for (took, trace_id) in [(0.5, Some(1)), (0.25, Some(0xfe)), (1.0, None)] {
                seconds.record(Duration::from_secs_f64(took), trace_id);
            }
            // A second handle on the same histogram; a value above all bounds.
            let again = Durations::of(name, &labels);
            again.record(Duration::from_secs(100_000), Some(3));
        });
        let page = open_metrics(&recorder.handle().render());
        let series = "prepx_stream_duration_seconds_bucket{method=\"/prepx.test.v1.Test/Slow\",le=";
        let buckets: Vec<_> = page
            .lines()
            .filter_map(|line| line.strip_prefix(series))
            // Without the time.
            .map(|line| match line.contains('#') {
                true => line.rsplit_once(' ').expect("a time").0,
                false => line,
            })
            .collect();
        assert_eq!(
            buckets,
            [
                "\"1.0\"} 3 # {trace_id=\"000000000000000000000000000000fe\"} 0.25",
                "\"10.0\"} 3",
                "\"60.0\"} 3",
                "\"600.0\"} 3",
                "\"3600.0\"} 3",
                "\"86400.0\"} 3",
                "\"+Inf\"} 4 # {trace_id=\"00000000000000000000000000000003\"} 100000",
            ],
            "{page}"
        );
    }

    #[test]
    fn families_are_named_as_open_metrics_has_them() {
        let text = "# HELP a_total of a\n# TYPE a_total counter\na_total{b=\"c\"} 1\n\n# TYPE d counter\nd 2\n\n\
            # TYPE e gauge\ne 0.5\n\n# TYPE f histogram\nf_bucket{le=\"0.00000025\"} 1\nf_bucket{le=\"+Inf\"} 2\n\
            f_sum 3\nf_count 2\n\n";
        let page = "# TYPE a counter\na_total{b=\"c\"} 1\n# TYPE d unknown\nd 2\n\
            # TYPE e gauge\ne 0.5\n# TYPE f histogram\nf_bucket{le=\"2.5e-07\"} 1\nf_bucket{le=\"+Inf\"} 2\n\
            f_sum 3\nf_count 2\n# EOF\n";
        assert_eq!(open_metrics(text), page);
    }

    #[test]
    fn open_metrics_is_for_those_who_ask_for_it() {
        let asked = |accept: Option<&'static str>| {
            let accept = accept.map(|kinds| (header::ACCEPT, HeaderValue::from_static(kinds)));
            takes_open_metrics(&accept.into_iter().collect())
        };
        let prometheus =
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3,*/*;q=0.2";
        assert!(asked(Some(prometheus)));
        assert!(!asked(Some("text/plain;version=0.0.4")) && !asked(Some("*/*")) && !asked(None));
    }
}
