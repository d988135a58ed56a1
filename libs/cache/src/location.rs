//! Which engine, from one URL.

use std::time::Duration;

use prepx_location::{Login, Servers, Tls, Unreadable, hosts_of, shown};

const PREFIX: &str = "prepx";
const TIMEOUT: Duration = Duration::from_millis(100);

/// Where the cache is, and so which engine serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "a process has one or two of them"
)]
pub enum Location {
    /// `memory:`: the memory of this process.
    Memory,
    /// `redis://HOST:PORT` or `redis-cluster://HOST:PORT,HOST:PORT`: Redis or Valkey behind it, and behind that
    /// Memcached with `?memcached=HOST:PORT,HOST:PORT`. `rediss` and `rediss-cluster` speak TLS to Redis, with the
    /// parameters of [`Tls`].
    Redis(RedisLocation),
}

/// Redis servers, and which keys on them are PrepX's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisLocation {
    /// The servers to ask first: one, or some of a cluster.
    pub servers: Vec<(String, u16)>,
    /// Whether they are a Redis Cluster.
    pub is_cluster: bool,
    /// Whom to trust, if TLS is spoken.
    pub tls: Option<Tls>,
    /// The user and password to sign in with, if any.
    pub login: Option<Login>,
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
     `?memcached=HOST:PORT,HOST:PORT` behind either for one more level; `rediss` and `rediss-cluster` for TLS, \
     then `?sslrootcert=FILE` for a CA of your own, `&sslcert=FILE&sslkey=FILE` where clients have certificates; \
     `USER:PASSWORD@` before the first host where it is asked for"
)]
pub struct UnknownUrl(String);

impl Location {
    /// Reads a URL.
    ///
    /// # Errors
    /// An invalid scheme, server, prefix or parameter.
    pub fn parse(url: &str) -> Result<Location, UnknownUrl> {
        let location = match url.split_once("://") {
            None if url == "memory:" => Some(Location::Memory),
            None => None,
            Some((scheme, rest)) => RedisLocation::parse(scheme, rest).map(Location::Redis),
        };
        location.ok_or_else(|| UnknownUrl(shown(url)))
    }

    /// Whether the files that it names are there.
    ///
    /// # Errors
    /// Names the first that cannot be read.
    pub fn check(&self) -> Result<(), Unreadable> {
        match self {
            Location::Redis(RedisLocation { tls: Some(tls), .. }) => tls.check(),
            Location::Memory | Location::Redis(_) => Ok(()),
        }
    }
}

impl RedisLocation {
    fn parse(scheme: &str, rest: &str) -> Option<RedisLocation> {
        let (is_tls, is_cluster) = match scheme {
            "redis" => (false, false),
            "rediss" => (true, false),
            "redis-cluster" => (false, true),
            "rediss-cluster" => (true, true),
            _ => return None,
        };
        let mut told = Servers::parse(rest)?;
        let tls = match is_tls {
            true => Some(Tls::take(&mut told)?),
            false => None,
        };
        let memcached = match told.take("memcached") {
            Some(servers) => hosts_of(&servers)?,
            None => Vec::new(),
        };
        let prefix = told.path.clone().unwrap_or_else(|| PREFIX.to_owned());
        let in_prefix = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let known = told.is_understood()
            && (is_cluster || told.hosts.len() == 1)
            && !prefix.is_empty()
            && prefix.chars().all(in_prefix);
        known.then_some(RedisLocation {
            servers: told.hosts,
            is_cluster,
            tls,
            login: told.login,
            prefix,
            memcached,
            timeout: TIMEOUT,
        })
    }
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
            tls: None,
            login: None,
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
            "redis://a:1?sslrootcert=/ca",
            "rediss://a:1?sslcert=/own",
            "memory:?memcached=b:1",
            "memcached://a:1",
        ] {
            assert_eq!(Location::parse(wrong), Err(UnknownUrl(wrong.to_owned())));
        }
    }

    #[test]
    fn a_url_says_how_servers_are_known_and_who_asks() {
        let url = "rediss-cluster://prepx:secret@a:1,b:2/x?sslrootcert=/ca&memcached=c:3";
        let Ok(Location::Redis(location)) = Location::parse(url) else {
            panic!("{url} is not read");
        };
        let ca = Some("/ca".into());
        assert_eq!(location.tls, Some(Tls { ca, own: None }));
        assert_eq!(location.login.map(|login| login.user), Some("prepx".into()));
        assert_eq!(location.memcached, [("c".to_owned(), 3)]);
        assert!(location.is_cluster);
        let refused = Location::parse("redis://u:secret@a").unwrap_err();
        assert!(!refused.to_string().contains("secret"), "{refused}");
    }
}
