//! Which engine, from one URL.

use std::time::Duration;

const PREFIX: &str = "prepx";
const TIMEOUT: Duration = Duration::from_millis(100);

/// Where the cache is, and so which engine serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// `memory:`: the memory of this process.
    Memory,
    /// `redis://HOST:PORT` or `redis-cluster://HOST:PORT,HOST:PORT`: Redis or Valkey behind it, and behind that
    /// Memcached with `?memcached=HOST:PORT,HOST:PORT`.
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
    /// The servers of Memcached behind them, none or some.
    pub memcached: Vec<(String, u16)>,
    /// The longest that one command may take before it is given up.
    pub timeout: Duration,
}

/// A URL that names no engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the cache {0:?} is not known: use `memory:`, `redis://HOST:PORT[/PREFIX]` or \
     `redis-cluster://HOST:PORT,HOST:PORT[/PREFIX]`, a prefix of letters, digits, `-` and `_`, and \
     `?memcached=HOST:PORT,HOST:PORT` behind either for one more level"
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
        let (rest, memcached) = match rest.split_once('?') {
            Some((rest, behind)) => (rest, listed(behind.strip_prefix("memcached=")?)?),
            None => (rest, Vec::new()),
        };
        let (servers, prefix) = rest.split_once('/').unwrap_or((rest, PREFIX));
        let in_prefix = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let servers = listed(servers).filter(|servers| is_cluster || servers.len() == 1)?;
        let known = !prefix.is_empty() && prefix.chars().all(in_prefix);
        known.then(|| RedisLocation {
            servers,
            is_cluster,
            prefix: prefix.to_owned(),
            memcached,
            timeout: TIMEOUT,
        })
    }
}

fn listed(servers: &str) -> Option<Vec<(String, u16)>> {
    servers.split(',').map(server).collect()
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
            memcached: Vec::new(),
            timeout: TIMEOUT,
        })
    }

    fn behind(location: Location, servers: &[(&str, u16)]) -> Location {
        let Location::Redis(location) = location else {
            panic!("{location:?} has nothing behind it");
        };
        let servers = servers
            .iter()
            .map(|(host, port)| ((*host).to_owned(), *port));
        let memcached = servers.collect();
        Location::Redis(RedisLocation {
            memcached,
            ..location
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
            (
                "redis://a:1?memcached=[::1]:2",
                behind(redis(&[("a", 1)], false, "prepx"), &[("::1", 2)]),
            ),
            (
                "redis-cluster://a:1/x?memcached=b:2,c:3",
                behind(redis(&[("a", 1)], true, "x"), &[("b", 2), ("c", 3)]),
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
            "redis://a:1?",
            "redis://a:1?memcached=",
            "redis://a:1?memcached=b",
            "redis://a:1?other=b:1",
            "memory:?memcached=b:1",
            "memcached://a:1",
        ] {
            assert_eq!(Location::parse(wrong), Err(UnknownUrl(wrong.to_owned())));
        }
    }
}
