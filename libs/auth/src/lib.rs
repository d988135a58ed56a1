//! Who is asking, and whether they may: principals, access tokens, API keys and the checks on them.
//!
//! How trust travels (I9: every query carries the principal):
//!
//! 1. A client shows an API key (`APCA-API-KEY-ID` and `APCA-API-SECRET-KEY`, or HTTP Basic) or an
//!    access token (`Authorization: Bearer`), over HTTP and gRPC alike.
//! 2. The [`Authenticator`] turns a key into an access token of 15 minutes by asking the user service
//!    once, and keeps the answer. A token it verifies by itself with the published keys.
//! 3. Towards another process the gateway sends that access token: it is signed by the user service,
//!    so no caller can forge it, and every service verifies it again. Within one process it inserts
//!    the [`Identity`] into the request's extensions, which do not travel over any wire: a request
//!    from outside always begins without.
//! 4. The [`AuthLayer`] around every service finds the identity, in the extensions or by the
//!    headers, and checks the method's [`Policy`], which comes from the options in the protos. A
//!    method that says nothing needs a principal.
//!
//! What services ask of each other on nobody's behalf carries no principal but the [`ClusterKey`] of their
//! platform. Of what clients may call it opens what `data:read` opens, which is the same for everybody.
//!
//! A revoked key or session is refused at once in the process that revokes it, and the streams that
//! were opened with it end; other processes refuse it when its access token ends, at most 15 minutes
//! later.
//!
//! This crate stores nothing and asks no clock of its own. Passwords belong to the user service.

mod authenticator;
mod cluster;
mod credentials;
mod error;
mod key;
mod layer;
mod policy;
mod principal;
mod remote;
mod revoked;
mod sealed;
mod token;

pub use authenticator::{Authenticator, Authority, Identity};
pub use cluster::{
    BadClusterKey, CLUSTER_KEY, Caller, ClusterKey, ClusterKeyLayer, ClusterKeyService,
};
pub use credentials::Credentials;
pub use error::{Error, Result};
pub use jsonwebtoken::jwk::{Jwk, JwkSet};
pub use key::{ApiKey, SecretHash};
pub use layer::{AuthLayer, AuthService, account, identity, on_behalf, principal};
pub use policy::{Access, Policy, PolicyError, Rule};
pub use principal::{Principal, Role, Scope, Scopes};
pub use remote::RemoteAuthority;
pub use revoked::Revocations;
pub use token::{
    ACCESS_TOKEN_LIFE, SigningKey, SigningKeyError, Verified, Verifier, rsa_components,
};
