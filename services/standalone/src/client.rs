//! A connection of the command line to a platform that runs.

use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, ensure};
use clap::Args;
use prepx_auth::ApiKey;
use prepx_env::SystemClock;
use prepx_runtime::{Peer, status};
use prepx_transcode::Codec;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Request, Status};

/// Which CA to trust.
#[derive(Clone, Debug, Args)]
pub struct Believed {
    /// With an https URL: the CA that issued the platform's certificate, in PEM.
    #[arg(
        long,
        env = "PREPX_CA",
        help_heading = "Platform",
        global = true,
        value_name = "FILE",
        default_value = "/etc/ssl/certs/ca-certificates.crt"
    )]
    pub ca: PathBuf,
}

/// Where to call, and as whom.
pub struct Connection {
    peer: Peer,
    key_id: MetadataValue<Ascii>,
    secret_key: MetadataValue<Ascii>,
}

impl Connection {
    /// A connection that is opened at the first call.
    ///
    /// # Errors
    /// When the URL is not one, the CA cannot be read, or the key has characters that no header can carry.
    pub fn new(url: &str, ca: &Path, key_id: &str, secret_key: &str) -> Result<Connection> {
        let peer = match url.starts_with("https://") {
            true => Peer::public(url, ca, Arc::new(SystemClock::new()))?,
            false => {
                let wrong = || format!("{url:?} is not a URL such as http://127.0.0.1:8080");
                ensure!(url.starts_with("http://"), wrong());
                Peer::remote(url).with_context(wrong)?
            }
        };
        Connection::over(peer, key_id, secret_key)
    }

    /// The services of this process.
    ///
    /// # Errors
    /// When the key has characters that no header can carry.
    pub fn local(peer: &Peer, key: &ApiKey) -> Result<Connection> {
        Connection::over(peer.clone(), &key.key_id, &key.secret)
    }

    fn over(peer: Peer, key_id: &str, secret_key: &str) -> Result<Connection> {
        let key_id = key_id
            .parse()
            .context("the key id has characters that no header can carry")?;
        let secret_key = secret_key
            .parse()
            .context("the secret key has characters that no header can carry")?;
        Ok(Connection {
            peer,
            key_id,
            secret_key,
        })
    }

    /// The transport of generated clients.
    pub fn peer(&self) -> Peer {
        self.peer.clone()
    }

    /// A request with the key on it.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request
            .metadata_mut()
            .insert("apca-api-key-id", self.key_id.clone());
        request
            .metadata_mut()
            .insert("apca-api-secret-key", self.secret_key.clone());
        request
    }
}

/// An answer as the JSON API has it. `name` is the whole name of the message.
///
/// # Errors
/// When it has no JSON form, which is a bug.
pub fn json(name: &str, message: &impl prost::Message) -> Result<String> {
    let form = prepx_proto::descriptors().get_message_by_name(name);
    let codec = Codec::build(&form.with_context(|| format!("the protos have no {name}"))?)?;
    let mut body = Vec::new();
    codec.encode(&message.encode_to_vec(), &mut body)?;
    Ok(String::from_utf8(body)?)
}

/// What is behind everything else, such as that nobody listens there.
fn deepest(refusal: &Status) -> String {
    let causes = std::iter::successors(refusal.source(), |&cause| cause.source());
    let last = causes.last().map(ToString::to_string);
    last.unwrap_or_else(|| refusal.message().to_owned())
}

/// A refusal in words.
pub fn words(refusal: Status) -> anyhow::Error {
    if refusal.details().is_empty() {
        // No service of ours said this: it is the connection, and its own words help.
        return anyhow!(
            "cannot reach the platform, is --url right? {}",
            deepest(&refusal)
        );
    }
    let error = status::read(&refusal);
    anyhow!("{} ({})", error.message, error.code.number())
}
