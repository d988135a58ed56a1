//! Authentication and authorization: principals, access tokens, API keys and the checks on them.
//!
//! How trust travels (I9: every query carries the principal):
//!
//! 1. A client shows an API key (`APCA-API-KEY-ID` and `APCA-API-SECRET-KEY`, or HTTP Basic) or an
//!    access token (`Authorization: Bearer`), over HTTP and gRPC alike.
//! 2. The [`Authenticator`] exchanges a key for an access token of 15 minutes by asking the user service
//!    once, and caches the answer. It verifies tokens itself, with the published keys.
//! 3. To another process the gateway sends that access token: it is signed by the user service,
//!    so no caller can forge it, and every service verifies it again. Within one process it inserts
//!    the [`Identity`] into the request's extensions. Those are not sent over any wire, so a request
//!    from outside never has one.
//! 4. The [`AuthLayer`] around every service takes the identity from the extensions or from the
//!    headers, and checks the method's [`Policy`], which comes from the options in the protos. A
//!    method without options needs a principal.
//!
//! Calls that services make on their own behalf carry the platform's [`ClusterKey`] instead of a principal. Of the methods
//! that clients may call, it grants access to those that need `data:read`, whose answers are the same for everybody.
//!
//! A revoked key or session is refused immediately by the process that revokes it, and the streams opened with it end;
//! other processes refuse it when its access token expires, at most 15 minutes later.
//!
//! This crate stores nothing and reads no clock. Passwords belong to the user service.

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
