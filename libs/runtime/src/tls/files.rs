//! The PEM files: read, parsed, and checked against each other before anything relies on them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::ServerCertVerifier as _;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, CertificateError, RootCertStore};

use super::{Config, Error, PublicConfig, set};

/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// The last second of the year 9999, which certificates that do not end have for their end (RFC 5280,
/// 4.1.2.5), and one more.
const LATE: Duration = Duration::from_secs(253_402_300_800);

/// The files, and the table of the settings that names them.
#[derive(Clone, Debug)]
pub(super) struct Files {
    table: &'static str,
    certificate: PathBuf,
    key: PathBuf,
    /// Where callers have to show a certificate as well.
    ca: Option<PathBuf>,
}

/// The contents of the files, so that unchanged ones are not parsed again.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Text {
    certificate: Vec<u8>,
    key: Vec<u8>,
    ca: Option<Vec<u8>>,
}

/// The credentials of a process: its certificates with their key, and the CA.
pub(super) struct Credentials {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
    pub ca: Option<Arc<RootCertStore>>,
    /// When the first certificate expires.
    pub end: Option<UnixTime>,
}

impl From<&Config> for Files {
    fn from(config: &Config) -> Files {
        Files {
            table: "tls",
            certificate: config.certificate.clone(),
            key: config.key.clone(),
            ca: Some(config.ca.clone()),
        }
    }
}

impl From<&PublicConfig> for Files {
    fn from(config: &PublicConfig) -> Files {
        Files {
            table: "public_tls",
            certificate: config.certificate.clone(),
            key: config.key.clone(),
            ca: None,
        }
    }
}

impl Files {
    pub fn read(&self) -> Result<Text, Error> {
        let read = |path: &Path, wrong: fn(&Files, String) -> Error| {
            bytes(path).map_err(|problem| wrong(self, problem))
        };
        let ca = self.ca.as_deref();
        Ok(Text {
            certificate: read(&self.certificate, Files::wrong_certificate)?,
            key: read(&self.key, Files::wrong_key)?,
            ca: ca.map(|ca| read(ca, Files::wrong_ca)).transpose()?,
        })
    }

    /// The credentials in the files, if they fit together: the key is that of the certificate, and with a CA the
    /// certificate is one that the other processes accept for `name`.
    pub fn credentials(
        &self,
        text: &Text,
        name: &ServerName<'_>,
        provider: &Arc<CryptoProvider>,
        now: UnixTime,
    ) -> Result<Credentials, Error> {
        let chain = certificates(&text.certificate);
        let chain = chain.map_err(|problem| self.wrong_certificate(problem))?;
        let key = PrivateKeyDer::from_pem_slice(&text.key);
        let key = key.map_err(|problem| self.wrong_key(format!("no private key: {problem}")))?;
        CertifiedKey::from_der(chain.clone(), key.clone_key(), provider).map_err(|problem| {
            let certificate = self.certificate.display();
            self.wrong_key(format!("not the key of {certificate}: {problem}"))
        })?;
        let ca = text.ca.as_deref().map(roots).transpose();
        let ca = ca.map_err(|problem| self.wrong_ca(problem))?;
        let (roots, judged) = match &ca {
            Some(ca) => (ca.clone(), self.believed(&chain, ca, name, provider, now)),
            None => {
                let itself = alone(&chain);
                let itself = itself.map_err(|problem| self.unusable(&problem))?;
                let judged = self.in_time(&chain, &itself, name, provider, now);
                (itself, judged)
            }
        };
        judged?;
        let end = end(&chain, &roots, name, provider);
        Ok(Credentials {
            chain,
            key,
            ca,
            end,
        })
    }

    /// Checks that other processes will accept the certificate, as a server's and as a client's.
    fn believed(
        &self,
        chain: &[CertificateDer<'_>],
        ca: &Arc<RootCertStore>,
        name: &ServerName<'_>,
        provider: &Arc<CryptoProvider>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let callers = verifier(ca, provider).map_err(|no| self.wrong_ca(no.to_string()))?;
        let called = |()| match chain.split_first() {
            Some((own, between)) => callers.verify_client_cert(own, between, now).map(drop),
            None => Ok(()),
        };
        let judged = judged(chain, ca, name, provider, now).and_then(called);
        judged.map_err(|why| Error {
            right: format!(
                "valid now, of the CA in {}, with the DNS name {}, for servers and clients",
                self.ca.as_deref().unwrap_or(Path::new("")).display(),
                name.to_str()
            ),
            ..self.wrong_certificate(format!("other services would refuse it: {why}"))
        })
    }

    /// Whether a certificate is valid now, whose CA is not known here.
    fn in_time(
        &self,
        chain: &[CertificateDer<'_>],
        itself: &Arc<RootCertStore>,
        name: &ServerName<'_>,
        provider: &Arc<CryptoProvider>,
        now: UnixTime,
    ) -> Result<(), Error> {
        use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
        // Its time is looked at first; what else is said of it is for clients to judge.
        match judged(chain, itself, name, provider, now) {
            Err(rustls::Error::InvalidCertificate(
                why @ (Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. }),
            )) => Err(Error {
                right: "a certificate that is valid now".to_owned(),
                ..self.unusable(&rustls::Error::InvalidCertificate(why))
            }),
            _ => Ok(()),
        }
    }

    /// The table of the settings that names them.
    pub const fn table(&self) -> &'static str {
        self.table
    }

    /// What TLS itself does not take.
    pub fn unusable(&self, problem: &rustls::Error) -> Error {
        self.wrong_certificate(problem.to_string())
    }

    fn wrong_certificate(&self, problem: String) -> Error {
        Error {
            setting: format!("{}.certificate", self.table),
            path: self.certificate.clone(),
            problem,
            right: "a PEM file with the certificate of this process, and after it those between it and \
                    the CA"
                .to_owned(),
        }
    }

    fn wrong_key(&self, problem: String) -> Error {
        Error {
            setting: format!("{}.key", self.table),
            path: self.key.clone(),
            problem,
            right: format!(
                "a PEM file with the private key of {}.certificate, not encrypted",
                self.table
            ),
        }
    }

    fn wrong_ca(&self, problem: String) -> Error {
        Error {
            setting: format!("{}.ca", self.table),
            path: self.ca.clone().unwrap_or_default(),
            problem,
            right: CA.to_owned(),
        }
    }
}

/// What a file with a CA is.
const CA: &str = "a PEM file with the certificates that others' are signed by";

/// The CA in a file that a setting names.
///
/// # Errors
/// Names the setting and the file.
pub(super) fn ca(setting: &str, path: &Path) -> Result<Arc<RootCertStore>, Error> {
    let read = bytes(path).and_then(|text| roots(&text));
    read.map_err(|problem| Error {
        setting: setting.to_owned(),
        path: path.to_owned(),
        problem,
        right: CA.to_owned(),
    })
}

/// The last certificate of a chain as what is believed.
fn alone(chain: &[CertificateDer<'static>]) -> Result<Arc<RootCertStore>, rustls::Error> {
    let mut roots = RootCertStore::empty();
    if let Some(last) = chain.last() {
        roots.add(last.clone())?;
    }
    Ok(Arc::new(roots))
}

/// Verifies a server's certificates as a client does.
fn judged(
    chain: &[CertificateDer<'_>],
    roots: &Arc<RootCertStore>,
    name: &ServerName<'_>,
    provider: &Arc<CryptoProvider>,
    at: UnixTime,
) -> Result<(), rustls::Error> {
    let (own, between) = chain
        .split_first()
        .ok_or(rustls::Error::NoCertificatesPresented)?;
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.clone(), provider.clone());
    let verifier = verifier.build();
    let verifier = verifier.map_err(|why| rustls::Error::General(why.to_string()))?;
    verifier
        .verify_server_cert(own, between, name, &[], at)
        .map(drop)
}

/// When a certificate expires.
fn end(
    chain: &[CertificateDer<'_>],
    roots: &Arc<RootCertStore>,
    name: &ServerName<'_>,
    provider: &Arc<CryptoProvider>,
) -> Option<UnixTime> {
    match judged(
        chain,
        roots,
        name,
        provider,
        UnixTime::since_unix_epoch(LATE),
    ) {
        Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext {
            not_after,
            ..
        })) => Some(not_after),
        _ => None,
    }
}

/// The verifier of callers' certificates.
pub(super) fn verifier(
    ca: &Arc<RootCertStore>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, VerifierBuilderError> {
    WebPkiClientVerifier::builder_with_provider(ca.clone(), provider.clone()).build()
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    if !set(path) {
        return Err("not set".to_owned());
    }
    let found = fs::metadata(path).map_err(|why| format!("it cannot be read: {why}"))?;
    if !found.is_file() || found.len() > FILE_BYTES_MAX {
        return Err(format!(
            "it is not a file of at most {FILE_BYTES_MAX} bytes"
        ));
    }
    fs::read(path).map_err(|why| format!("it cannot be read: {why}"))
}

fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    match found {
        Ok(found) if found.is_empty() => Err("it has no certificate in it".to_owned()),
        Ok(found) => Ok(found),
        Err(pem::Error::MissingSectionEnd { .. }) => Err("it ends within a certificate".to_owned()),
        Err(problem) => Err(format!("it is not PEM: {problem}")),
    }
}

fn roots(text: &[u8]) -> Result<Arc<RootCertStore>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(text)? {
        let added = roots.add(certificate);
        added.map_err(|problem| format!("one of its certificates is none of a CA: {problem}"))?;
    }
    Ok(Arc::new(roots))
}
