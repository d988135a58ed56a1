//! TLS to the servers: the trusted CA and the client's certificate, from PEM files. The files are read when connections
//! are set up, not again later.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use fred::error::{Error, ErrorKind};
use fred::types::config::{TlsConfig, TlsConnector, TlsHostMapping};
use prepx_location::Tls;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// What every connection to servers that speak TLS begins with.
pub(super) fn config(tls: &Tls) -> Result<TlsConfig, Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions();
    let builder = builder.map_err(refused)?;
    let builder = builder.with_root_certificates(roots(tls.ca.as_deref())?);
    let config = match &tls.own {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let key = PrivateKeyDer::from_pem_file(key).map_err(|why| wrong(key, &why))?;
            let own = builder.with_client_auth_cert(certificates(certificate)?, key);
            own.map_err(|why| wrong(certificate, &why))?
        }
    };
    Ok(TlsConfig {
        connector: TlsConnector::from(config),
        // A cluster reports its nodes by address: they are verified by the name of the one that was asked.
        hostnames: TlsHostMapping::DefaultHost,
    })
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, Error> {
    let Some(ca) = ca else {
        let known = webpki_roots::TLS_SERVER_ROOTS.iter().cloned();
        return Ok(RootCertStore::from_iter(known));
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca)? {
        roots.add(certificate).map_err(|why| wrong(ca, &why))?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found = CertificateDer::pem_file_iter(path).map_err(|why| wrong(path, &why))?;
    let found: Vec<_> = found
        .collect::<Result<_, _>>()
        .map_err(|why| wrong(path, &why))?;
    match found.is_empty() {
        true => Err(wrong(path, &"it has no certificate in it")),
        false => Ok(found),
    }
}

fn wrong(path: &Path, why: &dyn Display) -> Error {
    refused(format!("{}: {why}", path.display()))
}

fn refused(why: impl Display) -> Error {
    Error::new(ErrorKind::Tls, why.to_string())
}
