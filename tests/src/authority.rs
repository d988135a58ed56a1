//! A certificate authority in memory, and the TLS files that it gives to processes.

use std::path::PathBuf;
use std::sync::Arc;

use prepx_domain::Micros;
use prepx_env::{Clock, ManualClock};
use prepx_runtime::tls::{Config, Identity};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, date_time_ymd,
};
use tempfile::TempDir;

/// A day in 2026, when all certificates of these tests are valid.
const TODAY: Micros = Micros(1_780_000_000_000_000);

/// A certificate authority with a key of its own.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new authority under this common name.
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Authority(CertifiedIssuer::self_signed(params, key).expect("signs itself"))
    }

    /// Its own certificate.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a name and for loopback with its key, valid until the end of a year.
    pub fn certified(&self, name: &str, year: i32) -> [String; 2] {
        let names = [name, "127.0.0.1"].map(str::to_owned);
        let mut params = CertificateParams::new(names).expect("names");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, 12, 31);
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("signs");
        [certificate.pem(), key.serialize_pem()]
    }

    /// The files of a process of this name.
    pub fn credentials(&self, name: &str) -> Credentials {
        let credentials = Credentials {
            directory: tempfile::tempdir().expect("a directory"),
        };
        credentials.hold(&self.certified(name, 2030), &self.pem());
        credentials
    }

    /// The identity of a process of this name.
    pub fn identity(&self, name: &str) -> Arc<Identity> {
        self.credentials(name).identity(name)
    }
}

/// A directory with a process's certificate, key and CA.
pub struct Credentials {
    directory: TempDir,
}

impl Credentials {
    /// The path of a file of this name.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("writes");
    }

    /// Replaces certificate, key and CA.
    pub fn hold(&self, [certificate, key]: &[String; 2], ca: &str) {
        self.write("certificate.pem", certificate);
        self.write("key.pem", key);
        self.write("ca.pem", ca);
    }

    /// The settings that name the files.
    pub fn config(&self) -> Config {
        Config {
            certificate: self.path("certificate.pem"),
            key: self.path("key.pem"),
            ca: self.path("ca.pem"),
        }
    }

    /// The identity of the process, as of [`today`].
    pub fn identity(&self, name: &str) -> Arc<Identity> {
        self.identity_at(name, today())
    }

    /// The identity of the process by another clock.
    pub fn identity_at(&self, name: &str, clock: Arc<dyn Clock>) -> Arc<Identity> {
        Arc::new(Identity::inner(&self.config(), name, clock).expect("is right"))
    }
}

/// A clock that stands in 2026.
pub fn today() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(TODAY))
}
