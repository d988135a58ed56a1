//! How a URL names servers: `SCHEME://USER:PASSWORD@HOST:PORT,HOST:PORT/PATH?NAME=VALUE&NAME=VALUE`.
//!
//! Owns that form, which the engines of log, store and cache have in common, and the settings of TLS to them ([`Tls`]).
//! Refuses to connect, to know an engine, and to show a password.

mod tls;

use std::fmt;

use percent_encoding::percent_decode_str;

pub use tls::{Tls, Unreadable};

/// What of a URL stands behind its `://`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Servers {
    /// Who asks; nobody in particular where it is not said.
    pub login: Option<Login>,
    /// Where they are, in the order of the URL; an IPv6 address without its brackets.
    pub hosts: Vec<(String, u16)>,
    /// What stands behind the first slash after them.
    pub path: Option<String>,
    parameters: Vec<(String, String)>,
}

/// Who asks.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user's name.
    pub user: String,
    /// The user's password, which `Debug` leaves out.
    pub password: String,
}

impl Servers {
    /// Reads what stands behind `://`; none when it has another form.
    pub fn parse(rest: &str) -> Option<Servers> {
        let (rest, query) = rest
            .split_once('?')
            .map_or((rest, None), |(rest, query)| (rest, Some(query)));
        let (authority, path) = rest
            .split_once('/')
            .map_or((rest, None), |(rest, path)| (rest, Some(path)));
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (Some(Login::parse(login)?), hosts),
            None => (None, authority),
        };
        Some(Servers {
            login,
            hosts: hosts_of(hosts)?,
            path: path.map(str::to_owned),
            parameters: query.map_or(Some(Vec::new()), parameters)?,
        })
    }

    /// Takes the value of a parameter out, if it is there.
    pub fn take(&mut self, name: &str) -> Option<String> {
        let at = self.parameters.iter().position(|(told, _)| told == name)?;
        Some(self.parameters.remove(at).1)
    }

    /// Whether every parameter has been taken out: what is left, nobody knows.
    pub fn is_understood(&self) -> bool {
        self.parameters.is_empty()
    }
}

impl Login {
    fn parse(text: &str) -> Option<Login> {
        let (user, password) = text.split_once(':')?;
        Some(Login {
            user: decoded(user)?,
            password: decoded(password)?,
        })
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({})", self.user)
    }
}

/// `HOST:PORT,HOST:PORT`; none when one of them is none.
pub fn hosts_of(text: &str) -> Option<Vec<(String, u16)>> {
    text.split(',').map(host).collect()
}

/// A URL as messages may show it: without what stands before the servers.
pub fn shown(url: &str) -> String {
    let begin = url.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = url.split_at(begin);
    // A password that is not encoded may hold whatever sign: better too much is left out than too little.
    match rest.rfind('@') {
        Some(at) => format!("{scheme}…{}", &rest[at..]),
        None => url.to_owned(),
    }
}

fn host(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    // An IPv6 address stands in brackets here, and not where it is used.
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let port = port.parse().ok()?;
    (!host.is_empty()).then(|| (bare.unwrap_or(host).to_owned(), port))
}

fn parameters(query: &str) -> Option<Vec<(String, String)>> {
    let pair = |pair: &str| {
        let (name, value) = pair
            .split_once('=')
            .filter(|(_, value)| !value.is_empty())?;
        Some((name.to_owned(), decoded(value)?))
    };
    query.split('&').map(pair).collect()
}

fn decoded(text: &str) -> Option<String> {
    let text = percent_decode_str(text).decode_utf8().ok()?;
    Some(text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_servers_and_who_asks_them() {
        let text = "prepx:a%2Fb%3A@a:1,[::1]:2/x-1?memcached=b:3&sslrootcert=/run/ca%20.crt";
        let mut servers = Servers::parse(text).unwrap();
        let hosts = vec![("a".to_owned(), 1), ("::1".to_owned(), 2)];
        assert_eq!(servers.hosts, hosts);
        assert_eq!(servers.path.as_deref(), Some("x-1"));
        let login = servers.login.clone().unwrap();
        assert_eq!((&*login.user, &*login.password), ("prepx", "a/b:"));
        assert_eq!(servers.take("memcached").as_deref(), Some("b:3"));
        assert!(!servers.is_understood());
        assert_eq!(servers.take("sslrootcert").as_deref(), Some("/run/ca .crt"));
        assert!(servers.is_understood());
        assert_eq!(servers.take("sslrootcert"), None);
        for wrong in ["", "a", ":1", "a:1,", "user@a:1", "a:1?", "a:1?x", "a:1?x="] {
            assert_eq!(Servers::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let login = Servers::parse("u:secret@a:1").unwrap();
        assert!(!format!("{login:?}").contains("secret"));
        for (url, expected) in [
            ("redis://a:1/x", "redis://a:1/x"),
            ("redis://u:secret@a:1/x?y=z", "redis://…@a:1/x?y=z"),
            ("redis://u:se/cr@et@a:1", "redis://…@a:1"),
            ("u:secret@a:1", "…@a:1"),
        ] {
            assert_eq!(shown(url), expected);
        }
    }
}
