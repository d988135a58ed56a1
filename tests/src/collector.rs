//! A collector of traces, as processes send them by OTLP. Owns what it was sent; refuses to judge it.

use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use prepx_runtime::Drain;
use prepx_runtime::serve::{Limits, serve};
use tonic::{Request, Response, Status};

/// Keeps every span.
#[derive(Clone, Default)]
pub struct Collector(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        let spans = scopes.flat_map(|scope| scope.spans);
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(spans);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Starts one on a free port of loopback, for as long as the runtime lives; and its URL.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start() -> (Collector, String) {
        let collector = Collector::default();
        let service = TraceServiceServer::new(collector.clone());
        let routes = tonic::service::Routes::new(service).into_axum_router();
        let listener = prepx_runtime::listen(([127, 0, 0, 1], 0).into()).await;
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("is bound");
        tokio::spawn(async move {
            let (drain, _control) = Drain::new();
            serve(listener, routes, Limits::default(), drain).await;
        });
        (collector, format!("http://{address}"))
    }

    /// What it was sent until now. A process that has ended has sent everything.
    pub fn spans(&self) -> Vec<Span> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
