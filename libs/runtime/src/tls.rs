//! Mutual TLS among the processes of a platform, and TLS towards its clients.
//!
//! Owns which files hold a process's identity and trust ([`Config`], [`PublicConfig`]), that their current
//! content is in force ([`Identity`]), and connections to other processes ([`Dialer`]). TLS 1.3 and nothing
//! older. Refuses to know who may do what: every process with a certificate of the platform's CA belongs to the
//! platform.

mod connect;
mod files;
mod handshake;
mod identity;

use std::path::{Path, PathBuf};

use serde::Deserialize;
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::config;

pub(crate) use self::connect::Place;
pub use self::connect::{DialError, Dialer};
pub(crate) use self::handshake::{Prompt, handshake, speaks_http2};
pub use self::identity::Identity;

/// Who calls at the port of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Callers {
    /// Other services of the platform: [`Config`] says how it is secured.
    Services,
    /// Anybody: [`PublicConfig`] says how it is secured.
    #[default]
    Clients,
}

/// The identity of a process towards the others of its platform, in PEM files. All three, or none: then
/// nothing between the processes is encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The certificate of this process, then those between it and the CA.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The CA by which the certificates of all processes are signed. It must be the platform's own: every process
    /// with a certificate of it may call.
    pub ca: PathBuf,
}

impl Config {
    /// Whether there is anything.
    pub fn is_set(&self) -> bool {
        set(&self.certificate)
    }

    /// Whether all is said, or nothing.
    pub fn validate(&self) -> Result<(), config::Error> {
        let Config {
            certificate,
            key,
            ca,
        } = self;
        all_or_none(
            "tls",
            &[("certificate", certificate), ("key", key), ("ca", ca)],
        )
    }
}

/// The identity of a process towards its clients, in PEM files. Both, or none: then it speaks plain text to
/// them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PublicConfig {
    /// The certificate, then those between it and the CA that clients know.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl PublicConfig {
    /// Whether there is anything.
    pub fn is_set(&self) -> bool {
        set(&self.certificate)
    }

    /// Whether all is said, or nothing.
    pub fn validate(&self) -> Result<(), config::Error> {
        let PublicConfig { certificate, key } = self;
        all_or_none("public_tls", &[("certificate", certificate), ("key", key)])
    }
}

fn server_name(name: &str) -> Result<ServerName<'static>, rustls::Error> {
    let parsed = ServerName::try_from(name.to_owned());
    parsed.map_err(|_| rustls::Error::General(format!("{name:?} is no DNS name")))
}

fn set(path: &Path) -> bool {
    !path.as_os_str().is_empty()
}

fn all_or_none(table: &str, settings: &[(&str, &Path)]) -> Result<(), config::Error> {
    let missing = settings.iter().find(|(_, path)| !set(path));
    let there = settings.iter().find(|(_, path)| set(path));
    match (there, missing) {
        (Some((there, _)), Some((missing, _))) => Err(config::Error::Invalid(format!(
            "{table}.{there} is set and {table}.{missing} is not: set all of {table}, or nothing of it"
        ))),
        _ => Ok(()),
    }
}

/// Why a process cannot be who it should be: which setting, what it says, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} is {}: {problem}; it must be {right}", path.display())]
pub struct Error {
    pub(crate) setting: String,
    pub(crate) path: PathBuf,
    pub(crate) problem: String,
    pub(crate) right: String,
}
