//! Traces of calls: continued from the caller's or begun, passed to the next process, sent to a collector.
//!
//! Owns whose traces are continued. A call within this process always continues its caller's trace. A call
//! from outside does where [`prepx_trace::continues`] says so; otherwise it begins a trace of its own with a
//! link to the caller's, because a caller that chooses the trace could have everything sampled, or put its
//! calls into another caller's trace.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::trace::{
    Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanLinks, SpanProcessor as _};
use prepx_env::Random;
use prepx_trace::{Details, FinishedSpan, Kind, Sampling, Sink, Span, Trace, Value};
use tonic::Code;

use crate::calls::label;
use crate::method::Method;
use crate::telemetry::{Config, Error};

/// The header by which a trace goes from process to process (W3C Trace Context).
pub const HEADER: HeaderName = HeaderName::from_static("traceparent");

/// The export of spans to a collector. [`Exporter::end`] sends what is left.
pub(crate) struct Exporter(Arc<BatchSpanProcessor>);

impl Exporter {
    /// Begins to send to the collector that the settings name, if they do.
    pub(crate) fn begin(
        config: &Config,
        service: &'static str,
        continues: bool,
    ) -> Result<Option<Exporter>, Error> {
        let Some(url) = &config.otlp_endpoint else {
            return Ok(None);
        };
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_endpoint(url)
            .build()
            .map_err(|source| Error::Endpoint {
                url: url.clone(),
                source,
            })?;
        let resource = opentelemetry_sdk::Resource::builder()
            .with_service_name(service)
            .build();
        let mut processor = BatchSpanProcessor::builder(exporter).build();
        processor.set_resource(&resource);
        let processor = Arc::new(processor);
        let sampling = Sampling {
            sampled_ppm: config.traces_ppm,
            slow: Duration::from_millis(config.traces_slow_ms),
            continues: config.traces_continued.unwrap_or(continues),
        };
        let sink = Collector {
            processor: Arc::clone(&processor),
            scope: InstrumentationScope::builder("prepx").build(),
        };
        let random = Random::from_system();
        match prepx_trace::install(sampling, Box::new(sink), &random) {
            true => Ok(Some(Exporter(processor))),
            false => Err(Error::Twice("traces are sent already".to_owned())),
        }
    }

    /// Sends what is left.
    pub(crate) fn end(&self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// Puts spans into a bounded queue, which a thread sends in batches; what finds no room is dropped.
struct Collector {
    processor: Arc<BatchSpanProcessor>,
    scope: InstrumentationScope,
}

impl Sink for Collector {
    fn export(&self, span: FinishedSpan) {
        self.processor.on_end(data(span, self.scope.clone()));
    }
}

fn data(span: FinishedSpan, instrumentation_scope: InstrumentationScope) -> SpanData {
    let ended_us = u64::try_from(span.ended.0).unwrap_or_default();
    let end_time = UNIX_EPOCH + Duration::from_micros(ended_us);
    let mut attributes: Vec<_> = span.details.attributes.into_iter().map(attribute).collect();
    if !span.trace.sampled {
        // Says why a span stands alone: those beside it that were fast are not exported.
        let why = if span.failure.is_some() {
            "failed"
        } else {
            "slow"
        };
        attributes.push(KeyValue::new("prepx.kept", why));
    }
    let mut links = SpanLinks::default();
    let linked = span
        .link
        .map(|link| Link::with_context(context(link, true)));
    links.links.extend(linked);
    SpanData {
        span_context: context(span.trace, false),
        parent_span_id: span.parent.map_or(SpanId::INVALID, SpanId::from),
        parent_span_is_remote: false,
        span_kind: match span.details.kind {
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
            Kind::Consumer => SpanKind::Consumer,
        },
        name: span.details.name,
        start_time: end_time.checked_sub(span.took).unwrap_or(UNIX_EPOCH),
        end_time,
        attributes,
        dropped_attributes_count: 0,
        events: Default::default(),
        links,
        status: span.failure.map_or(Status::Unset, Status::error),
        instrumentation_scope,
    }
}

fn context(trace: Trace, is_remote: bool) -> SpanContext {
    let (id, span) = (TraceId::from(trace.id), SpanId::from(trace.span));
    let flags = TraceFlags::SAMPLED;
    SpanContext::new(id, span, flags, is_remote, TraceState::NONE)
}

fn attribute((name, value): (&'static str, Value)) -> KeyValue {
    match value {
        Value::Text(text) => KeyValue::new(name, text),
        Value::Number(number) => KeyValue::new(name, number),
    }
}

/// Begins the span of a request; none if no traces are exported.
pub fn begin(headers: &HeaderMap) -> Option<Span> {
    if let Some(caller) = Trace::current() {
        return Span::under(caller);
    }
    let caller = headers.get(HEADER).and_then(|value| value.to_str().ok());
    match caller.and_then(Trace::parse) {
        Some(caller) if prepx_trace::continues() => Span::under(caller),
        caller => Some(Span::root()?.linked(caller)),
    }
}

/// Writes the current trace into the headers of a call to another process.
pub(crate) fn inject(headers: &mut HeaderMap) {
    let value = Trace::current().map(|trace| HeaderValue::try_from(trace.traceparent()));
    if let Some(Ok(value)) = value {
        headers.insert(HEADER, value);
    }
}

/// Ends the span of a call. Returns the id of its trace if the span is exported.
pub(crate) fn end(
    span: Span,
    method: &'static Method,
    code: Code,
    request_id: &HeaderValue,
) -> Option<u128> {
    span.end(is_failure(code).then(|| label(code)), || Details {
        kind: Kind::Server,
        name: method.path.trim_start_matches('/').into(),
        attributes: vec![
            ("rpc.system", "grpc".into()),
            ("rpc.grpc.status_code", (code as u32).into()),
            ("prepx.request_id", request_id_value(request_id)),
        ],
    })
}

/// The request id as an attribute.
pub fn request_id_value(request_id: &HeaderValue) -> Value {
    let text = request_id.to_str().unwrap_or_default();
    text.to_owned().into()
}

/// Whether a code stands for a fault of the server, and not of the request.
const fn is_failure(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}
