//! What a process reports: logs on stderr, metrics to be scraped, and traces to a collector if one is
//! configured. It opens no port.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::OnceLock;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use prepx_trace::Trace;
use serde::Deserialize;
use tracing::{Span, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config;
use crate::context::Context;
use crate::filter::{self, Filter};
use crate::method::Method;
use crate::spans::Exporter;

/// The upper bounds of histograms of durations, in seconds.
const BUCKETS_SECONDS: [f64; 15] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5,
    10.0,
];

/// The same for the lifetimes of streams.
const STREAM_BUCKETS_SECONDS: [f64; 6] = [1.0, 10.0, 60.0, 600.0, 3_600.0, 86_400.0];

/// The same for cache lookups, of which those in memory take less than a microsecond.
const LOOKUP_BUCKETS_SECONDS: [f64; 13] = [
    0.000_000_25,
    0.000_000_5,
    0.000_001,
    0.000_002_5,
    0.000_01,
    0.000_1,
    0.000_25,
    0.000_5,
    0.001,
    0.002_5,
    0.005,
    0.01,
    0.025,
];

/// Histograms with their own bounds.
const OWN_BUCKETS: [(&str, &[f64]); 2] = [
    ("prepx_cache_lookup_seconds", &LOOKUP_BUCKETS_SECONDS),
    ("prepx_stream_duration_seconds", &STREAM_BUCKETS_SECONDS),
];

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What is reported, and where to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The form of log lines.
    pub log_format: LogFormat,
    /// Which lines are logged: a level, or levels by module such as `info,prepx_bus=debug`.
    pub log_filter: String,
    /// A file with the filter instead. It is read again while the process runs: a change takes effect within
    /// seconds.
    pub log_filter_file: Option<PathBuf>,
    /// URL of an OTLP collector for traces over gRPC; none are sent without it.
    pub otlp_endpoint: Option<String>,
    /// How many requests in a million have their whole trace sent. The process in which a trace begins decides for
    /// every process that it reaches.
    pub traces_ppm: u32,
    /// Of other requests, only spans that failed or took at least this long are sent.
    pub traces_slow_ms: u64,
    /// Whether the traces of callers are continued. By default those of services are, those of clients are not: a
    /// request of theirs begins a trace of its own, with a link to theirs. For gateways that only a mesh reaches.
    pub traces_continued: Option<bool>,
}

impl Default for Config {
    fn default() -> Config {
        let log_filter = "info".to_owned();
        Config {
            log_format: LogFormat::default(),
            log_filter,
            log_filter_file: None,
            otlp_endpoint: None,
            traces_ppm: 10_000,
            traces_slow_ms: 500,
            traces_continued: None,
        }
    }
}

impl Config {
    /// Runs work before the process reports: its logs are written as they will be later, and its metrics are
    /// counted.
    pub fn logging<T>(&self, work: impl FnOnce() -> T) -> T {
        // If that fails, `Telemetry::begin` fails too, and says why.
        let _metrics = metrics();
        let subscriber = tracing_subscriber::registry()
            .with(EnvFilter::new(&self.log_filter))
            .with(self.lines());
        tracing::subscriber::with_default(subscriber, work)
    }

    /// The log lines on stderr.
    fn lines<S>(&self) -> Box<dyn Layer<S> + Send + Sync>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal());
        match self.log_format {
            LogFormat::Text => lines.boxed(),
            LogFormat::Json => lines.json().boxed(),
        }
    }

    /// Checks these settings.
    pub fn validate(&self) -> Result<(), config::Error> {
        filter::parsed(&self.log_filter, "log_filter")?;
        if let Some(file) = &self.log_filter_file {
            Filter::by(file)?;
        }
        Ok(())
    }
}

/// Why a process cannot report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something else already receives logs or metrics.
    #[error("telemetry was begun twice in one process: {0}")]
    Twice(String),
    /// The file with the filter is not valid.
    #[error(transparent)]
    Filter(#[from] config::Error),
    /// The collector's URL is not valid.
    #[error("otlp_endpoint is {url:?}: {source}; it must be a URL such as http://127.0.0.1:4317")]
    Endpoint {
        /// The URL.
        url: String,
        /// The cause.
        source: opentelemetry_otlp::ExporterBuildError,
    },
}

/// The process's reporting. Flushes traces when it ends.
pub struct Telemetry {
    metrics: PrometheusHandle,
    exporter: Option<Exporter>,
    filter: Option<Filter>,
}

impl Telemetry {
    /// Begins to report. Once per process, inside the tokio runtime. `continues` is the default of whether
    /// the traces of callers are continued.
    ///
    /// # Errors
    /// When something reports already, or the collector's URL is not valid.
    pub fn begin(
        config: &Config,
        service: &'static str,
        continues: bool,
    ) -> Result<Telemetry, Error> {
        let metrics = metrics()?;
        let exporter = Exporter::begin(config, service, continues)?;
        // A filter that can change takes a lock for each line and span, so it is used only if asked for.
        let (filter, changing) = match &config.log_filter_file {
            Some(file) => Some(Filter::by(file)?).unzip(),
            None => (None, None),
        };
        let fixed = changing
            .is_none()
            .then(|| EnvFilter::new(&config.log_filter));
        tracing_subscriber::registry()
            .with(changing)
            .with(fixed)
            .with(config.lines())
            .try_init()
            .map_err(|error| Error::Twice(error.to_string()))?;
        Ok(Telemetry {
            metrics,
            exporter,
            filter,
        })
    }

    /// The task that follows the filter's file, if there is one.
    pub(crate) fn filter(&mut self) -> Option<Filter> {
        self.filter.take()
    }

    /// The page that Prometheus scrapes.
    pub fn metrics(&self) -> PrometheusHandle {
        self.metrics.clone()
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.exporter.iter().for_each(Exporter::end);
    }
}

/// The metrics of this process, recorded from this call on.
///
/// # Errors
/// When another recorder was installed before.
pub fn metrics() -> Result<PrometheusHandle, Error> {
    static HANDLE: OnceLock<Result<PrometheusHandle, String>> = OnceLock::new();
    let handle = HANDLE.get_or_init(|| {
        builder()
            .and_then(PrometheusBuilder::install_recorder)
            .map_err(|error| error.to_string())
    });
    handle.clone().map_err(Error::Twice)
}

/// A recorder whose histograms have our buckets.
pub(crate) fn builder() -> Result<PrometheusBuilder, BuildError> {
    let builder = PrometheusBuilder::new().set_buckets(&BUCKETS_SECONDS);
    OWN_BUCKETS.iter().fold(builder, |builder, (name, bounds)| {
        let named = Matcher::Full((*name).to_owned());
        builder?.set_buckets_for_metric(named, bounds)
    })
}

/// The upper bounds of a histogram's buckets, without the last one, which is infinite.
pub(crate) fn bounds(name: &str) -> &'static [f64] {
    let own = OWN_BUCKETS.iter().find(|(own, _)| *own == name);
    own.map_or(&BUCKETS_SECONDS, |(_, bounds)| bounds)
}

/// The span of one call, for the lines that are logged while it is answered.
pub(crate) fn call_span(method: &Method, context: &Context, trace: Option<Trace>) -> Span {
    let request_id = context.request_id();
    let trace_id = tracing::field::Empty;
    let span = tracing::info_span!("call", method = method.path, request_id, trace_id);
    // A request without an id of its own gets the trace's.
    if let Some(Trace { id, .. }) = trace
        && u128::from_str_radix(request_id, 16) != Ok(id)
    {
        span.record(
            "trace_id",
            tracing::field::display(format_args!("{id:032x}")),
        );
    }
    span
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_is_none_is_refused_with_an_example() {
        let config = Config {
            log_filter: "=loud=".to_owned(),
            ..Config::default()
        };
        let error = config.validate().expect_err("not a filter").to_string();
        assert!(
            error.contains("=loud=") && error.contains("info,prepx_bus=debug"),
            "{error}"
        );
        Config::default().validate().expect("the default is right");
    }
}
