//! A database on one server or on several, from its URL.

use std::fmt;
use std::sync::Arc;

use sqlx::postgres::PgConnectOptions;

use crate::{Error, Result};

/// A database, from its URL: on the primary and its replicas, whichever of them is which.
#[derive(Clone)]
pub struct Database {
    /// At least one.
    servers: Arc<[PgConnectOptions]>,
    /// Without a password.
    shown: String,
}

impl Database {
    pub(crate) fn parse(url: &str) -> Result<Database> {
        let servers: Vec<_> = each_server(url).map(|url| connect(&url)).collect();
        let servers = servers.into_iter().collect::<Result<Arc<[_]>>>()?;
        let first = &servers[0];
        let Some(database) = first.get_database() else {
            return Err(refused("it names no database"));
        };
        let shown = format!(
            "postgres://{}@{}/{database}",
            first.get_username(),
            names(&servers)
        );
        Ok(Database { servers, shown })
    }

    /// How to connect to each of its servers.
    pub(crate) fn servers(&self) -> &[PgConnectOptions] {
        &self.servers
    }

    /// The same servers' database of another name.
    #[cfg(feature = "suite")]
    pub(crate) fn named(&self, database: &str) -> Database {
        let shown = self
            .shown
            .rsplit_once('/')
            .map_or("", |(servers, _)| servers);
        let named = |server: &PgConnectOptions| server.clone().database(database);
        Database {
            servers: self.servers.iter().map(named).collect(),
            shown: format!("{shown}/{database}"),
        }
    }
}

/// The URL of each server of `postgres://USER@HOST:PORT,HOST:PORT/DATABASE`.
fn each_server(url: &str) -> impl Iterator<Item = String> {
    let begin = url.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = url.split_at(begin);
    let (authority, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (user, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
    hosts
        .split(',')
        .map(move |host| format!("{scheme}{user}{host}{tail}"))
}

fn connect(url: &str) -> Result<PgConnectOptions> {
    url.parse().map_err(|error| match error {
        sqlx::Error::Configuration(why) => refused(&why.to_string()),
        _ => refused("it cannot be read"),
    })
}

fn refused(why: &str) -> Error {
    Error::Database(why.to_owned())
}

/// The name of a server, as operators know it.
pub(super) fn name(server: &PgConnectOptions) -> String {
    format!("{}:{}", server.get_host(), server.get_port())
}

fn names(servers: &[PgConnectOptions]) -> String {
    servers.iter().map(name).collect::<Vec<_>>().join(",")
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({})", self.shown)
    }
}

impl PartialEq for Database {
    fn eq(&self, other: &Database) -> bool {
        self.shown == other.shown
    }
}

impl Eq for Database {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_all_servers_of_a_database() {
        let url = "postgres://prepx:a,b@db-1:6432,db-2,[::1]:7000/prepx?sslmode=disable";
        let database = Database::parse(url).expect("three servers");
        let shown = "postgres://prepx@db-1:6432,db-2:5432,[::1]:7000/prepx";
        assert_eq!(database.to_string(), shown);
        for server in database.servers() {
            assert_eq!(server.get_database(), Some("prepx"));
        }
        assert_eq!(
            Database::parse("postgres://u@db/prepx")
                .expect("one")
                .servers()
                .len(),
            1
        );
        for wrong in ["postgres://u@db-1,/prepx", "postgres://u@db-1,:5/prepx"] {
            assert!(
                matches!(Database::parse(wrong), Err(Error::Database(_))),
                "{wrong}"
            );
        }
    }
}
