//! Which engine, from one URL.

use std::time::Duration;

const PREFIX: &str = "prepx";
const TIMEOUT: Duration = Duration::from_millis(100);

/// Where the cache is, and so which engine serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// `memory:`: the memory of this process.
    Memory,
    /// `redis://HOST:PORT` or `redis-cluster://HOST:PORT,HOST:PORT`: Redis or Valkey behind it.
    Redis(RedisLocation),
}

/// Redis servers and what there is PrepX's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisLocation {
    /// The servers to ask first: one, or some of a cluster.
    pub servers: Vec<(String, u16)>,
    /// Whether they are a Redis Cluster.
    pub is_cluster: bool,
    /// What keys and channels begin with, a colon behind it. Two platforms on one server differ in it.
    pub prefix: String,
    /// The longest that one command may take before it is given up.
    pub timeout: Duration,
}

/// A URL that names no engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the cache {0:?} is not known: use `memory:`, `redis://HOST:PORT[/PREFIX]` or \
     `redis-cluster://HOST:PORT,HOST:PORT[/PREFIX]`, a prefix of letters, digits, `-` and `_`"
)]
pub struct UnknownUrl(String);

impl Location {
    /// Reads a URL.
    ///
    /// # Errors
    /// A scheme, a server or a prefix that cannot be.
    pub fn parse(url: &str) -> Result<Location, UnknownUrl> {
        let location = if url == "memory:" {
            Some(Location::Memory)
        } else if let Some(rest) = url.strip_prefix("redis-cluster://") {
            RedisLocation::parse(rest, true).map(Location::Redis)
        } else {
            let rest = url.strip_prefix("redis://");
            rest.and_then(|rest| RedisLocation::parse(rest, false))
                .map(Location::Redis)
        };
        location.ok_or_else(|| UnknownUrl(url.to_owned()))
    }
}

impl RedisLocation {
    fn parse(rest: &str, is_cluster: bool) -> Option<RedisLocation> {
        let (servers, prefix) = rest.split_once('/').unwrap_or((rest, PREFIX));
        let in_prefix = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let servers: Option<Vec<_>> = servers.split(',').map(server).collect();
        let servers = servers.filter(|servers| is_cluster || servers.len() == 1)?;
        let known = !prefix.is_empty() && prefix.chars().all(in_prefix);
        known.then(|| RedisLocation {
            servers,
            is_cluster,
            prefix: prefix.to_owned(),
            timeout: TIMEOUT,
        })
    }
}

fn server(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    // An IPv6 address stands in brackets here, and not where it is used.
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let port = port.parse().ok()?;
    (!host.is_empty()).then(|| (bare.unwrap_or(host).to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redis(servers: &[(&str, u16)], is_cluster: bool, prefix: &str) -> Location {
        let servers = servers
            .iter()
            .map(|(host, port)| ((*host).to_owned(), *port));
        Location::Redis(RedisLocation {
            servers: servers.collect(),
            is_cluster,
            prefix: prefix.to_owned(),
            timeout: TIMEOUT,
        })
    }

    #[test]
    fn a_url_names_an_engine_and_a_place() {
        for (url, expected) in [
            ("memory:", Location::Memory),
            ("redis://a:6379", redis(&[("a", 6379)], false, "prepx")),
            ("redis://[::1]:1/x-1", redis(&[("::1", 1)], false, "x-1")),
            (
                "redis-cluster://a:1,b:2/two",
                redis(&[("a", 1), ("b", 2)], true, "two"),
            ),
        ] {
            assert_eq!(Location::parse(url), Ok(expected));
        }
        for wrong in [
            "",
            "memory",
            "memory:8MiB",
            "redis://localhost",
            "redis://:1",
            "redis://a:1,b:1",
            "redis://a:1/",
            "redis-cluster://a:1,",
            "redis-cluster://a:1/{x}",
        ] {
            assert_eq!(Location::parse(wrong), Err(UnknownUrl(wrong.to_owned())));
        }
    }
}
