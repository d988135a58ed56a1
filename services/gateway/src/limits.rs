//! Limits on requests from outside, before anything of them is decoded: by address, in total, by user,
//! by the user's tier, and for orders by account; cancels by address alone. Off unless a profile is chosen.
//!
//! Owns: what a request counts for, and the form of a refusal. The cache counts. Calls from within the
//! process do not come this way and are not counted.

pub mod config;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::middleware::Next;
use http::{Extensions, HeaderMap, HeaderName, Method, Request, Response};
use prepx_auth::{Authenticator, Identity, Role};
use prepx_cache::{Allowance, Cache, Limiter, Verdict};
use prepx_domain::Code;
use prepx_env::{Clock, Random};
use prepx_runtime::{body, refusal};
use prepx_transcode::{Error, Router};

use config::{Config, Tier};

/// The methods that place or change orders.
const ORDERING: [&str; 2] = [
    "/prepx.trading.v1.TradingService/SubmitOrder",
    "/prepx.trading.v1.TradingService/ReplaceOrder",
];
/// The methods that only end orders. They have a limit of their own and count against no other: a blocked caller may
/// still get out of the market.
const CANCELLING: [&str; 2] = [
    "/prepx.trading.v1.TradingService/CancelOrder",
    "/prepx.trading.v1.TradingService/CancelAllOrders",
];
/// The stream's orders are counted by the service, which sees how many there are.
const ORDER_STREAM: &str = "/prepx.trading.v1.TradingService/StreamOrders";

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// The limits in force.
pub struct Limits {
    pub config: Config,
    pub cache: Cache,
    pub authenticator: Arc<Authenticator>,
    pub router: Arc<Router>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<Random>,
}

/// Whether orchestrators call this path: they must get an answer whatever the load.
fn is_uncounted(path: &str) -> bool {
    matches!(path, "/api/health" | "/metrics") || path.starts_with("/grpc.health.v1.Health/")
}

/// A refused request, and the limiter that refused it.
struct Refused(&'static str, Verdict);

impl Limits {
    /// Answers a request if it is within the limits, with what is left of them.
    pub async fn around(&self, mut request: Request<Body>, next: Next) -> Response<Body> {
        let path = request.uri().path();
        if is_uncounted(path) {
            return next.run(request).await;
        }
        let (mut response, verdict) = match self.admit(&mut request).await {
            Ok(verdict) => (next.run(request).await, verdict),
            Err(refused) => {
                let refusal = refusal::answer(&error(&refused), request.headers(), &self.random);
                (refusal, refused.1)
            }
        };
        self.tell(verdict, response.headers_mut());
        response
    }

    /// Counts a request, by the cheapest limiter first. The verdict is the caller's tightest.
    async fn admit(&self, request: &mut Request<Body>) -> Result<Verdict, Refused> {
        let limits = &self.config;
        let address = address(request.extensions());
        if self.is_one_of(&CANCELLING, request) {
            return self.take(limits.cancels.limiter("cancels"), &address).await;
        }
        let by_address = self
            .take(limits.address.limiter("address"), &address)
            .await?;
        self.take(limits.global.limiter("global"), b"").await?;
        // A caller without a valid key is refused by the service that it calls.
        let Ok(Some(identity)) = self.authenticator.authenticate(request.headers()).await else {
            return Ok(by_address);
        };
        let user = *identity.principal.user_id.as_bytes();
        let mut verdict = self.take(limits.user.limiter("user"), &user).await?;
        let tier = limits.tier(self.tier_of(&identity));
        verdict.narrow(self.take(tier, &user).await?);
        verdict.narrow(self.count_orders(request, &identity).await?);
        request.extensions_mut().insert(identity);
        Ok(verdict)
    }

    async fn take(&self, limiter: Option<Limiter>, key: &[u8]) -> Result<Verdict, Refused> {
        let Some(limiter) = limiter else {
            return Ok(Verdict::UNLIMITED);
        };
        match self.cache.take(&limiter, key, 1).await {
            allowed if allowed.allowed => Ok(allowed),
            refused => Err(Refused(limiter.name(), refused)),
        }
    }

    async fn count_orders(
        &self,
        request: &mut Request<Body>,
        identity: &Identity,
    ) -> Result<Verdict, Refused> {
        let limiter = self.config.trading.limiter("trading");
        let (Some(account), Some(limiter)) = (identity.principal.account_id, limiter) else {
            return Ok(Verdict::UNLIMITED);
        };
        let account = account.raw().to_le_bytes();
        if self.is_one_of(&ORDERING, request) {
            return self.take(Some(limiter), &account).await;
        }
        if body::is_grpc(request.headers()) && request.uri().path() == ORDER_STREAM {
            let allowance = Allowance::new(self.cache.clone(), limiter, &account);
            request.extensions_mut().insert(allowance);
        }
        Ok(Verdict::UNLIMITED)
    }

    /// Whether a request calls one of these methods, none of which only reads.
    fn is_one_of(&self, methods: &[&str], request: &Request<Body>) -> bool {
        let path = request.uri().path();
        if body::is_grpc(request.headers()) {
            return methods.contains(&path);
        }
        let method = request.method();
        if [Method::GET, Method::HEAD, Method::OPTIONS].contains(method) {
            return false;
        }
        let call = self.router.find(method, path);
        call.is_ok_and(|call| methods.contains(&call.route().grpc_path()))
    }

    fn tier_of(&self, identity: &Identity) -> Tier {
        let given = self.config.users.get(&identity.principal.user_id);
        given.copied().unwrap_or(match identity.principal.role {
            Role::Operator => Tier::Enterprise,
            Role::Trader => self.config.default_tier,
        })
    }

    /// Writes what is left in Alpaca's headers; the reset is in seconds since 1970.
    fn tell(&self, verdict: Verdict, headers: &mut HeaderMap) {
        if verdict == Verdict::UNLIMITED {
            return;
        }
        let after_us = i64::try_from(verdict.full_after.as_micros()).unwrap_or(i64::MAX);
        let reset_s = self.clock.now().plus_us(after_us).0.div_euclid(1_000_000) + 1;
        headers.insert(LIMIT, verdict.limit.into());
        headers.insert(REMAINING, verdict.remaining.into());
        headers.insert(RESET, reset_s.into());
    }
}

fn error(Refused(limiter, verdict): &Refused) -> Error {
    let after = Duration::from_millis(verdict.retry_after_ms());
    let message = format!(
        "too many requests, by the limit \"{limiter}\"; nothing was accepted, try again in {after:?}"
    );
    Error::new(Code::TooManyRequests, "RATE_LIMITED", message)
        .with("limiter", *limiter)
        .retry_after(Some(after))
}

/// The client of a request: an IPv4 address, or the /64 of an IPv6 address, which is one customer's.
fn address(extensions: &Extensions) -> Vec<u8> {
    let from = extensions.get::<ConnectInfo<SocketAddr>>();
    match from.map(|from| from.0.ip().to_canonical()) {
        Some(IpAddr::V4(address)) => address.octets().to_vec(),
        Some(IpAddr::V6(address)) => address.octets()[..8].to_vec(),
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_apart_exists() {
        for path in ORDERING.iter().chain(&CANCELLING).chain([&ORDER_STREAM]) {
            let (service, method) = path[1..].split_once('/').unwrap();
            let service = prepx_proto::descriptors()
                .get_service_by_name(service)
                .unwrap();
            assert!(
                service.methods().any(|known| known.name() == method),
                "{path}"
            );
        }
    }

    #[test]
    fn one_customer_is_one_address() {
        let of = |text: &str| {
            let mut extensions = Extensions::new();
            extensions.insert(ConnectInfo(SocketAddr::new(text.parse().unwrap(), 1)));
            address(&extensions)
        };
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.2"), of("10.0.0.1"));
        assert_eq!(of("2001:db8:0:1::1"), of("2001:db8:0:1:ffff::2"));
        assert_ne!(of("2001:db8:0:2::1"), of("2001:db8:0:1::1"));
    }
}
