//! A database on one server or on several, from its URL.

use std::fmt;
use std::sync::Arc;

use prepx_location::{Servers, Tls};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::{Error, Result};

/// A database, from its URL: a primary and its replicas, in any order.
#[derive(Clone)]
pub struct Database {
    /// At least one.
    servers: Arc<[PgConnectOptions]>,
    /// The files that TLS needs.
    files: Tls,
    /// Without a password.
    shown: String,
}

impl Database {
    pub(crate) fn parse(url: &str) -> Result<Database> {
        let (is_tls, files) = tls(url)?;
        let mode = match is_tls {
            true => PgSslMode::VerifyFull,
            false => PgSslMode::Disable,
        };
        let servers = each_server(url).map(|url| Ok(connect(&url)?.ssl_mode(mode)));
        let servers = servers.collect::<Result<Arc<[_]>>>()?;
        let first = &servers[0];
        let Some(database) = first.get_database() else {
            return Err(refused("it names no database"));
        };
        let shown = format!(
            "postgres://{}@{}/{database}",
            first.get_username(),
            names(&servers)
        );
        Ok(Database {
            servers,
            files,
            shown,
        })
    }

    /// Checks that its files exist.
    ///
    /// # Errors
    /// Names the first that cannot be read.
    pub(crate) fn check(&self) -> Result<()> {
        let checked = self.files.check();
        checked.map_err(|problem| Error::Database(problem.to_string()))
    }

    /// How to connect to each of its servers.
    pub(crate) fn servers(&self) -> &[PgConnectOptions] {
        &self.servers
    }

    /// Another database on the same servers.
    #[cfg(feature = "suite")]
    pub(crate) fn named(&self, database: &str) -> Database {
        let shown = self
            .shown
            .rsplit_once('/')
            .map_or("", |(servers, _)| servers);
        let named = |server: &PgConnectOptions| server.clone().database(database);
        Database {
            servers: self.servers.iter().map(named).collect(),
            files: self.files.clone(),
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

/// Whether TLS is used, and with which files. Only two modes: PostgreSQL's other modes fall back to plain
/// text, or accept any server.
fn tls(url: &str) -> Result<(bool, Tls)> {
    let Some((_, query)) = url.split_once('?') else {
        return Ok((false, Tls::default()));
    };
    // The servers are parsed elsewhere.
    let told = Servers::parse(&format!("_:0?{query}"));
    let mut told = told.ok_or_else(|| refused("behind the ? are no NAME=VALUE&NAME=VALUE"))?;
    let mode = told.take("sslmode");
    let files = Tls::take(&mut told);
    let files = files.ok_or_else(|| refused("sslcert and sslkey are said together"))?;
    match mode.as_deref() {
        Some("verify-full") => Ok((true, files)),
        None | Some("disable") if files == Tls::default() => Ok((false, files)),
        None | Some("disable") => Err(refused(
            "sslrootcert, sslcert and sslkey are for TLS: say sslmode=verify-full too",
        )),
        Some(other) => Err(refused(&format!(
            "sslmode={other} may go on in plain text, or believe whoever answers: use verify-full, with \
             sslrootcert=FILE where the servers' CA is none that browsers know, or disable"
        ))),
    }
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
    fn a_url_says_how_servers_are_known() {
        let parse =
            |query: &str| Database::parse(&format!("postgres://u:secret@db-1,db-2/prepx{query}"));
        let modes = |query: &str| {
            let database = parse(query).expect(query);
            let modes = database
                .servers()
                .iter()
                .map(|server| server.get_ssl_mode());
            let full = modes.filter(|mode| matches!(mode, PgSslMode::VerifyFull));
            full.count()
        };
        assert_eq!(modes(""), 0);
        assert_eq!(modes("?sslmode=disable&statement-cache-capacity=0"), 0);
        assert_eq!(modes("?sslmode=verify-full"), 2);
        let query = "?sslmode=verify-full&sslrootcert=/ca&sslcert=/own&sslkey=/key";
        assert_eq!(modes(query), 2);
        let missing = parse(query).expect(query).check().unwrap_err();
        assert!(missing.to_string().contains("sslrootcert=/ca"), "{missing}");
        for (wrong, says) in [
            ("?sslmode=prefer", "sslmode=prefer"),
            ("?sslmode=require", "use verify-full"),
            ("?sslmode=verify-full&options=", "NAME=VALUE"),
            ("?sslrootcert=/ca", "say sslmode=verify-full"),
            ("?sslmode=verify-full&sslcert=/own", "sslcert and sslkey"),
        ] {
            let refused = parse(wrong).unwrap_err().to_string();
            assert!(refused.contains(says), "{wrong}: {refused}");
        }
    }

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
