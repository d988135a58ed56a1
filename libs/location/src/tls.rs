//! What TLS to servers needs, as a URL says it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::Servers;

/// Whom to believe, and who asks, in PEM files. The names are PostgreSQL's, for all engines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// `sslrootcert`: the certificates that the servers' are signed by. Those that browsers know, where it
    /// is not said.
    pub ca: Option<PathBuf>,
    /// `sslcert` and `sslkey`: the certificate of who asks, then those between it and the CA; and its key,
    /// not encrypted.
    pub own: Option<(PathBuf, PathBuf)>,
}

/// A file of them cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{parameter}={}: it cannot be read: {problem}; it must be a PEM file", path.display())]
pub struct Unreadable {
    parameter: &'static str,
    path: PathBuf,
    problem: io::Error,
}

impl Tls {
    /// Takes what is said of it out of a URL; none when a certificate is named without its key, or a key
    /// without its certificate.
    pub fn take(servers: &mut Servers) -> Option<Tls> {
        let mut file = |name| servers.take(name).map(PathBuf::from);
        let ca = file("sslrootcert");
        let own = match (file("sslcert"), file("sslkey")) {
            (None, None) => None,
            (certificate, key) => Some((certificate?, key?)),
        };
        Some(Tls { ca, own })
    }

    /// Whether the files are there and can be read. What they say, only a handshake tells.
    ///
    /// # Errors
    /// Names the first that cannot be read, and its parameter.
    pub fn check(&self) -> Result<(), Unreadable> {
        let own = self.own.iter();
        let own = own.flat_map(|(certificate, key)| [("sslcert", certificate), ("sslkey", key)]);
        let ca = self.ca.iter().map(|ca| ("sslrootcert", ca));
        ca.chain(own).try_for_each(|(name, path)| read(name, path))
    }
}

fn read(parameter: &'static str, path: &Path) -> Result<(), Unreadable> {
    let unreadable = |problem| Unreadable {
        parameter,
        path: path.to_owned(),
        problem,
    };
    fs::read(path).map(drop).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Option<Tls> {
        Tls::take(&mut Servers::parse(text).unwrap())
    }

    #[test]
    fn a_certificate_comes_with_its_key() {
        assert_eq!(told("a:1"), Some(Tls::default()));
        let tls = told("a:1?sslrootcert=/ca&sslcert=/own&sslkey=/key").unwrap();
        assert_eq!(tls.ca, Some("/ca".into()));
        assert_eq!(tls.own, Some(("/own".into(), "/key".into())));
        for half in ["a:1?sslcert=/own", "a:1?sslkey=/key"] {
            assert_eq!(told(half), None);
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let ca = directory.path().join("ca.crt");
        let tls = Tls {
            ca: Some(ca.clone()),
            own: None,
        };
        let refused = tls.check().unwrap_err().to_string();
        assert!(refused.starts_with(&format!("sslrootcert={}", ca.display())));
        fs::write(&ca, "PEM").unwrap();
        tls.check().unwrap();
    }
}
