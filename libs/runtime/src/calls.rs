//! Rate, errors and duration of calls by method. The handles are made at a method's first call and kept: on
//! the order path a look-up by name and labels would cost more than everything else here.

use std::array;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics::{Counter, Gauge};
use tonic::Code;

use crate::exemplars::Durations;
use crate::method::Method;

/// The number of gRPC codes.
const CODES: usize = 17;

/// The metrics of every method that has been called.
pub(crate) struct Calls {
    methods: Box<[OnceLock<Arc<Meters>>]>,
}

impl Calls {
    pub(crate) fn new() -> Calls {
        Calls {
            methods: (0..Method::count()).map(|_| OnceLock::new()).collect(),
        }
    }

    pub(crate) fn of(&self, method: &'static Method) -> &Arc<Meters> {
        self.methods[method.number].get_or_init(|| Arc::new(Meters::of(method)))
    }
}

/// The metrics of a method.
pub(crate) struct Meters {
    method: &'static str,
    in_flight: Gauge,
    seconds: Durations,
    ended: [OnceLock<Counter>; CODES],
}

impl Meters {
    fn of(method: &'static Method) -> Meters {
        let path = method.path.as_str();
        // How long a stream lives says nothing about how fast it is answered.
        let labels = [("method", path.to_owned())];
        let seconds = match method.streaming {
            true => Durations::of("prepx_stream_duration_seconds", &labels),
            false => Durations::of("prepx_call_duration_seconds", &labels),
        };
        Meters {
            method: path,
            in_flight: metrics::gauge!("prepx_calls_in_flight", "method" => path),
            seconds,
            ended: array::from_fn(|_| OnceLock::new()),
        }
    }

    pub(crate) fn began(&self) {
        self.in_flight.increment(1.0);
    }

    /// With the id of its trace, if that was exported.
    pub(crate) fn ended(&self, code: Code, after: Duration, trace_id: Option<u128>) {
        self.in_flight.decrement(1.0);
        self.seconds.record(after, trace_id);
        let counter = || {
            let labels = [("method", self.method), ("code", label(code))];
            metrics::counter!("prepx_calls_total", &labels)
        };
        self.ended[code as usize].get_or_init(counter).increment(1);
    }
}

pub(crate) const fn label(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_and_streams_are_timed_apart() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            let calls = Calls::new();
            for path in ["SubmitOrder", "StreamOrders"] {
                let path = format!("/prepx.trading.v1.TradingService/{path}");
                let meters = calls.of(Method::of(&path));
                meters.began();
                meters.ended(Code::Ok, Duration::from_millis(1), None);
            }
        });
        let page = recorder.handle().render();
        let lines = |start: &str| page.lines().filter(|line| line.starts_with(start)).count();
        assert_eq!(lines("prepx_call_duration_seconds_count"), 1, "{page}");
        assert_eq!(lines("prepx_stream_duration_seconds_count"), 1, "{page}");
        assert_eq!(lines("prepx_calls_total"), 2, "{page}");
    }
}
