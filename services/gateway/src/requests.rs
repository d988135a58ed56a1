//! Rate, errors and duration of requests over HTTP, by route. The handles are made once and kept.
//!
//! A route is named by its template, so there are as many names as routes; what matches none is `other`. Calls
//! over gRPC are counted by the guard around the services.

use std::array;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::middleware::Next;
use http::{Request, Response};
use metrics::{Counter, Gauge};
use prepx_runtime::{Durations, guard, spans};
use prepx_trace::{Details, Kind, Span, Trace};
use prepx_transcode::{Route, Router};
use tokio::time::Instant;

/// The statuses that are counted by themselves, and one for all others.
const STATUSES: [(u16, &str); 20] = [
    (101, "101"),
    (200, "200"),
    (201, "201"),
    (204, "204"),
    (207, "207"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (408, "408"),
    (409, "409"),
    (413, "413"),
    (422, "422"),
    (426, "426"),
    (429, "429"),
    (500, "500"),
    (503, "503"),
    (504, "504"),
    (0, "other"),
];

/// The metrics of all routes.
pub struct Requests {
    in_flight: Gauge,
    /// For the JSON API, by the route's index in the router.
    routes: HashMap<usize, (Arc<Route>, Meters)>,
    /// For paths that are not calls of a service; they take GET.
    pages: HashMap<&'static str, Meters>,
    other: Meters,
}

/// The metrics of a route.
struct Meters {
    method: String,
    route: String,
    seconds: OnceLock<Durations>,
    ended: [OnceLock<Counter>; STATUSES.len()],
}

impl Requests {
    /// The metrics of a router's routes, and of these paths.
    pub fn new(router: &Router, pages: impl Iterator<Item = &'static str>) -> Requests {
        let of = |route: &Arc<Route>| {
            let method = route.http_method().map_or("any", http::Method::as_str);
            let meters = Meters::of(method, route.template());
            (place_of(route), (Arc::clone(route), meters))
        };
        Requests {
            in_flight: metrics::gauge!("prepx_http_requests_in_flight"),
            routes: router.routes().map(of).collect(),
            pages: pages.map(|path| (path, Meters::of("GET", path))).collect(),
            other: Meters::of("other", "other"),
        }
    }

    /// Counts a request, until the head of its answer is complete.
    pub async fn around(&self, request: Request<Body>, next: Next) -> Response<Body> {
        let page = self.pages.get(request.uri().path());
        let mut under_way = InFlight::begin(&self.in_flight, spans::begin(request.headers()));
        let began = Instant::now();
        let response = prepx_trace::scope(under_way.trace(), next.run(request)).await;
        let route = response.extensions().get::<Arc<Route>>();
        let route = route.and_then(|route| self.routes.get(&place_of(route)));
        let meters = page
            .or(route.map(|(_, meters)| meters))
            .unwrap_or(&self.other);
        let took = began.elapsed();
        let exported = under_way.end(meters, &response);
        meters.seconds().record(took, exported);
        meters.ended(response.status().as_u16()).increment(1);
        response
    }
}

/// The index of a status in the table.
fn place_of_status(status: u16) -> usize {
    let place = STATUSES.iter().position(|(known, _)| *known == status);
    place.unwrap_or(STATUSES.len() - 1)
}

/// A status as it is counted.
fn label(status: u16) -> &'static str {
    STATUSES[place_of_status(status)].1
}

/// Identifies a route within its router at the lowest cost. Valid as long as the router lives.
fn place_of(route: &Arc<Route>) -> usize {
    Arc::as_ptr(route).addr()
}

impl Meters {
    fn of(method: &str, route: &str) -> Meters {
        Meters {
            method: method.to_owned(),
            route: route.to_owned(),
            seconds: OnceLock::new(),
            ended: array::from_fn(|_| OnceLock::new()),
        }
    }

    fn labels(&self) -> Vec<(&'static str, String)> {
        vec![
            ("method", self.method.clone()),
            ("route", self.route.clone()),
        ]
    }

    fn seconds(&self) -> &Durations {
        let made = || Durations::of("prepx_http_request_duration_seconds", &self.labels());
        self.seconds.get_or_init(made)
    }

    fn ended(&self, status: u16) -> &Counter {
        let place = place_of_status(status);
        self.ended[place].get_or_init(|| {
            let mut labels = self.labels();
            labels.push(("status", STATUSES[place].1.to_owned()));
            metrics::counter!("prepx_http_requests_total", &labels)
        })
    }
}

/// A request in progress. Counted even if its caller goes away.
struct InFlight<'r> {
    gauge: &'r Gauge,
    span: Option<Span>,
}

impl<'r> InFlight<'r> {
    fn begin(gauge: &'r Gauge, span: Option<Span>) -> InFlight<'r> {
        gauge.increment(1.0);
        InFlight { gauge, span }
    }

    /// The trace context for everything that is done for the request.
    fn trace(&self) -> Option<Trace> {
        self.span.as_ref().map(Span::trace)
    }

    /// Returns the id of its trace if that is exported.
    fn end(&mut self, meters: &Meters, response: &Response<Body>) -> Option<u128> {
        let span = self.span.take()?;
        let status = response.status();
        let failure = status.is_server_error().then(|| label(status.as_u16()));
        span.end(failure, || {
            let id = response.headers().get(guard::REQUEST_ID);
            let id = id.map(|id| ("prepx.request_id", spans::request_id_value(id)));
            let attributes = [
                ("http.request.method", meters.method.clone().into()),
                ("http.route", meters.route.clone().into()),
                ("http.response.status_code", status.as_u16().into()),
            ];
            Details {
                kind: Kind::Server,
                name: format!("{} {}", meters.method, meters.route).into(),
                attributes: attributes.into_iter().chain(id).collect(),
            }
        })
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.gauge.decrement(1.0);
        if let Some(span) = self.span.take() {
            span.end(None, || Details {
                kind: Kind::Server,
                name: "given up by the caller".into(),
                attributes: Vec::new(),
            });
        }
    }
}
