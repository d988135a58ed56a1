//! Where the other services of the platform are.

use prepx_runtime::Peer;
use prepx_runtime::config::Error;
use prepx_runtime::tls::Dialer;
use serde::Deserialize;

/// The addresses of each service's replicas: `http://HOST:PORT`, or `https://HOST:PORT` if `tls` is set,
/// separated by commas. A host may have several addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Peers {
    /// Of the user service.
    pub user: String,
    /// Of the trading service.
    pub trading: String,
    /// Of the risk service.
    pub risk: String,
    /// Of the portfolio service.
    pub portfolio: String,
    /// Of the market-data service.
    pub market_data: String,
    /// Of the analytics service.
    pub analytics: String,
    /// Of the notification service.
    pub notification: String,
}

impl Peers {
    /// The addresses of a service by its name in the settings, such as `market_data`.
    fn addresses(&self, service: &str) -> &str {
        match service {
            "user" => &self.user,
            "trading" => &self.trading,
            "risk" => &self.risk,
            "portfolio" => &self.portfolio,
            "market_data" => &self.market_data,
            "analytics" => &self.analytics,
            "notification" => &self.notification,
            _ => "",
        }
    }

    /// The service of this name in the settings, at any of its replicas that serves. With TLS, the
    /// certificates are of the program's name, such as `prepx-market-data`.
    ///
    /// # Errors
    /// When it has no addresses, or one is not a URL.
    pub fn peer(&self, service: &str, dialer: &Dialer) -> Result<Peer, Error> {
        let addresses = self.addresses(service);
        let urls: Vec<&str> = addresses.split(',').map(str::trim).collect();
        if addresses.is_empty() {
            return Err(Error::Invalid(format!(
                "peers.{service} is not set: give the addresses of its processes, such as \
                 {scheme}://10.0.0.5:9001,{scheme}://10.0.0.6:9001 (PREPX_PEERS__{})",
                service.to_uppercase(),
                scheme = dialer.scheme()
            )));
        }
        let name = format!("prepx-{}", service.replace('_', "-"));
        let peer = dialer.balanced(&name, &urls);
        peer.map_err(|error| Error::Invalid(format!("peers.{service}: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses_are_urls_with_commas_between() {
        let peers = Peers {
            risk: "http://127.0.0.1:1, http://127.0.0.1:2".into(),
            trading: "127.0.0.1:1".into(),
            ..Peers::default()
        };
        let plain = Dialer::default();
        peers.peer("risk", &plain).expect("two addresses");
        let said = peers
            .peer("trading", &plain)
            .expect_err("no URL")
            .to_string();
        assert!(
            said.contains("127.0.0.1:1") && said.contains("http://"),
            "{said}"
        );
        let said = peers.peer("user", &plain).expect_err("not set").to_string();
        assert!(said.contains("PREPX_PEERS__USER"), "{said}");
    }
}
