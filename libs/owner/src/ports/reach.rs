//! The way to a partition's owner: into this process's own routes, or over a channel that is kept for the
//! next call.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use prepx_auth::{Caller, ClusterKey};
use prepx_proto::owner::v1::account_owner_service_client::AccountOwnerServiceClient;
use prepx_proto::owner::v1::matching_owner_service_client::MatchingOwnerServiceClient;
use prepx_runtime::Peer;
use prepx_runtime::status::{self, Code};
use prepx_runtime::tls::Dialer;
use prepx_stage::port::ReadError;
use prepx_stage::{Seat, Stage};
use tokio::runtime::Handle;
use tonic::Status;

use super::patience::Patience;
use crate::Directory;
use crate::wire::NOT_OWNER;

/// Channels that are kept: more than a platform has owners at a time.
const CHANNELS_MAX: usize = 256;
/// The largest message: an account's remembered orders, or a part of a partition's books.
pub(super) const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// This process among the owners.
#[derive(Clone, Debug)]
pub struct Here {
    /// As the directory has it, `host:port`.
    pub address: String,
    /// The routes of the owner services in this process.
    pub peer: Peer,
}

/// Finds owners and the way to them. Clones are the same.
#[derive(Clone)]
pub struct Reach(Arc<Shared>);

struct Shared {
    directory: Directory,
    here: Option<Here>,
    key: ClusterKey,
    dialer: Dialer,
    /// By service and address.
    channels: Mutex<BTreeMap<(&'static str, String), Peer>>,
    /// Where channels live: consumers ask from runtimes of their own, which end before the process does.
    home: Option<Handle>,
}

impl Reach {
    /// By this directory. `here` is none in a process that owns nothing. Channels live on the runtime that
    /// this is made in, if there is one, and else on that of whoever asks first.
    pub fn new(directory: Directory, key: ClusterKey, here: Option<Here>, dialer: Dialer) -> Reach {
        Reach(Arc::new(Shared {
            directory,
            here,
            key,
            dialer,
            channels: Mutex::default(),
            home: Handle::try_current().ok(),
        }))
    }

    /// Asks the owner of a partition until there is an answer. `seat` says which for each attempt.
    pub(super) async fn ask<T, F>(
        &self,
        patience: Patience,
        seat: impl Fn(u32) -> Seat,
        call: impl Fn(Caller, Seat) -> F,
    ) -> Result<T, ReadError>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let ask = |attempt| {
            let seat = seat(attempt);
            let asked = self.caller(seat).map(|caller| call(caller, seat));
            async move { asked?.await }
        };
        patience.ask(ask).await
    }

    /// How the owner of a partition is called.
    fn caller(&self, seat: Seat) -> Result<Caller, Status> {
        let nobody = || {
            let words = format!("nobody is known to own {seat}");
            status::of(&status::Error::new(Code::Unavailable, NOT_OWNER, words))
        };
        let shared = &self.0;
        let owner = shared.directory.owner(seat).ok_or_else(nobody)?;
        let here = shared.here.as_ref();
        let peer = match here.filter(|here| here.address == owner.address) {
            Some(here) => here.peer.clone(),
            None => self
                .channel(service_of(seat), &owner.address)
                .ok_or_else(nobody)?,
        };
        Ok(shared.key.caller(peer))
    }

    /// The channel to a process of a service; none when its address is none.
    fn channel(&self, service: &'static str, address: &str) -> Option<Peer> {
        let channels = self.0.channels.lock();
        let mut channels = channels.unwrap_or_else(PoisonError::into_inner);
        let at = (service, address.to_owned());
        if let Some(channel) = channels.get(&at) {
            return Some(channel.clone());
        }
        if channels.len() >= CHANNELS_MAX {
            // Most are of processes that have gone. Calls that are under way keep theirs.
            channels.clear();
        }
        let _at_home = self.0.home.as_ref().map(Handle::enter);
        let opened = self.0.dialer.remote(service, address);
        let channel = opened
            .inspect_err(|error| tracing::error!(%error, address, "an owner has no address"))
            .ok()?;
        channels.insert(at, channel.clone());
        Some(channel)
    }
}

/// The service whose processes own the partitions of a stage: the identity that they have to show.
fn service_of(seat: Seat) -> &'static str {
    match seat.stage {
        Stage::ACCOUNT => "prepx-risk",
        _ => "prepx-trading",
    }
}

/// The client of an owner of account partitions.
pub(super) fn accounts(caller: Caller) -> AccountOwnerServiceClient<Caller> {
    AccountOwnerServiceClient::new(caller).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

/// The client of an owner of matching partitions.
pub(super) fn matching(caller: Caller) -> MatchingOwnerServiceClient<Caller> {
    MatchingOwnerServiceClient::new(caller)
}
