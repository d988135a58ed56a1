//! The user service in another process, as the authenticator sees it.

use futures::future::BoxFuture;
use jsonwebtoken::jwk::{
    AlgorithmParameters, CommonParameters, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse,
    RSAKeyParameters, RSAKeyType,
};
use prepx_domain::Code;
use prepx_proto::user::v1 as wire;
use prepx_proto::user::v1::user_service_client::UserServiceClient;
use prepx_runtime::{Peer, status};

use crate::{Authority, Error, Result};

/// Asks the user service over gRPC.
#[derive(Clone, Debug)]
pub struct RemoteAuthority(UserServiceClient<Peer>);

impl RemoteAuthority {
    /// An authority at this peer.
    pub fn new(user_service: Peer) -> RemoteAuthority {
        RemoteAuthority(UserServiceClient::new(user_service))
    }
}

impl Authority for RemoteAuthority {
    fn exchange<'a>(&'a self, key_id: &'a str, secret: &'a str) -> BoxFuture<'a, Result<String>> {
        let (key_id, secret_key) = (key_id.to_owned(), secret.to_owned());
        let mut client = self.0.clone();
        Box::pin(async move {
            let request = wire::ExchangeKeyRequest { key_id, secret_key };
            match client.exchange_key(request).await {
                Ok(answer) => Ok(answer.into_inner().access_token),
                Err(refused) => Err(refusal(&refused)),
            }
        })
    }

    fn published_keys(&self) -> BoxFuture<'_, Result<JwkSet>> {
        let mut client = self.0.clone();
        Box::pin(async move {
            let answer = client.get_jwks(wire::GetJwksRequest {}).await;
            let keys = answer
                .map_err(|refused| refusal(&refused))?
                .into_inner()
                .keys;
            Ok(JwkSet {
                keys: keys.into_iter().map(jwk).collect(),
            })
        })
    }
}

fn refusal(refused: &tonic::Status) -> Error {
    if status::read(refused).code == Code::Unauthenticated {
        return Error::WrongKey;
    }
    tracing::warn!(%refused, "the user service does not answer");
    Error::Unavailable
}

fn jwk(key: wire::Jwk) -> Jwk {
    Jwk {
        common: CommonParameters {
            public_key_use: Some(PublicKeyUse::Signature),
            key_algorithm: (key.alg == "RS256").then_some(KeyAlgorithm::RS256),
            key_id: Some(key.kid),
            ..CommonParameters::default()
        },
        algorithm: AlgorithmParameters::RSA(RSAKeyParameters {
            key_type: RSAKeyType::RSA,
            n: key.n,
            e: key.e,
        }),
    }
}
