//! Access tokens: RS256 JSON web tokens, signed by the user service, verified by everybody else.
//!
//! The algorithm is pinned and the key is chosen by id among the published ones, so a token can
//! neither name its own algorithm nor bring its own key. Time is checked here, with the time that
//! the caller passes, and not by the library, which would read the machine's clock.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jsonwebtoken::jwk::{
    AlgorithmParameters, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse, ThumbprintHash,
};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use prepx_domain::{AccountId, Micros};
use prepx_env::Random;
use rsa::pkcs1::EncodeRsaPrivateKey;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Error, Principal, Result, Scopes};

/// How long an access token is valid.
pub const ACCESS_TOKEN_LIFE: Duration = Duration::from_secs(15 * 60);
/// How far two machines' clocks may differ.
const LEEWAY_S: i64 = 30;
const ISSUER: &str = "prepx";
const AUDIENCE: &str = "prepx";
const KEY_BITS: usize = 2_048;
const TOKEN_BYTES_MAX: usize = 4_096;

/// The claims on the wire. Times are in seconds since 1970.
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: Uuid,
    iat: i64,
    exp: i64,
    role: String,
    scope: String,
    key_id: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    account: Option<Uuid>,
}

/// A key that cannot be generated, read or used to sign: a broken store or machine.
#[derive(Debug, thiserror::Error)]
#[error("the signing key cannot be used: {0}")]
pub struct SigningKeyError(String);

/// A private key that signs access tokens. It lives in the user service's store and nowhere else.
pub struct SigningKey {
    kid: String,
    der: Vec<u8>,
    encoding: EncodingKey,
    jwk: Jwk,
}

impl SigningKey {
    /// Generates a key, which takes a good part of a second.
    pub fn generate(random: &Random) -> std::result::Result<SigningKey, SigningKeyError> {
        let failed = |error: &dyn fmt::Display| SigningKeyError(error.to_string());
        let key = rsa::RsaPrivateKey::new(&mut Draw(random), KEY_BITS).map_err(|e| failed(&e))?;
        let der = key.to_pkcs1_der().map_err(|e| failed(&e))?;
        SigningKey::from_der(der.as_bytes())
    }

    /// The key as [`SigningKey::der`] gave it.
    pub fn from_der(der: &[u8]) -> std::result::Result<SigningKey, SigningKeyError> {
        let failed = |error: jsonwebtoken::errors::Error| SigningKeyError(error.to_string());
        let encoding = EncodingKey::from_rsa_der(der);
        let mut jwk = Jwk::from_encoding_key(&encoding, Algorithm::RS256).map_err(failed)?;
        let kid = jwk.thumbprint(ThumbprintHash::SHA256).map_err(failed)?;
        jwk.common.key_id = Some(kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(SigningKey {
            kid,
            der: der.to_vec(),
            encoding,
            jwk,
        })
    }

    /// The private key in PKCS #1 form, to be stored.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Its public half, to be published; its id is the RFC 7638 thumbprint.
    pub fn jwk(&self) -> &Jwk {
        &self.jwk
    }

    /// A token that says who the principal is until [`ACCESS_TOKEN_LIFE`] after `now`, and its end.
    /// Takes some milliseconds.
    pub fn sign(
        &self,
        principal: &Principal,
        now: Micros,
    ) -> std::result::Result<(String, Micros), SigningKeyError> {
        let iat = seconds(now);
        let exp = iat.saturating_add(ACCESS_TOKEN_LIFE.as_secs() as i64);
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: principal.user_id,
            iat,
            exp,
            role: principal.role.to_string(),
            scope: principal.scopes.to_string(),
            key_id: principal.key_id.clone(),
            account: principal.account_id.map(AccountId::uuid),
        };
        let header = Header {
            kid: Some(self.kid.clone()),
            ..Header::new(Algorithm::RS256)
        };
        let token = jsonwebtoken::encode(&header, &claims, &self.encoding)
            .map_err(|error| SigningKeyError(error.to_string()))?;
        Ok((token, Micros(exp.saturating_mul(1_000_000))))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

/// What a valid token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Who it speaks for.
    pub principal: Principal,
    /// When it was signed.
    pub issued_at: Micros,
    /// When it ends.
    pub expires_at: Micros,
}

/// Verifies tokens by the published keys, of which there are several while keys rotate.
#[derive(Debug, Default)]
pub struct Verifier(RwLock<Arc<BTreeMap<String, DecodingKey>>>);

impl Verifier {
    /// Replaces the published keys. Keys that are not for RS256 signatures are left out.
    pub fn publish(&self, keys: &JwkSet) {
        let usable = |jwk: &&Jwk| jwk.common.key_algorithm == Some(KeyAlgorithm::RS256);
        let keyed =
            |jwk: &Jwk| Some((jwk.common.key_id.clone()?, DecodingKey::from_jwk(jwk).ok()?));
        let keys = keys.keys.iter().filter(usable).filter_map(keyed).collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    /// Whether the token names a key that is not published (here).
    pub fn knows_key_of(&self, token: &str) -> bool {
        let kid = jsonwebtoken::decode_header(token)
            .ok()
            .and_then(|header| header.kid);
        kid.is_none_or(|kid| self.keys().contains_key(&kid))
    }

    /// Who the token speaks for at `now`.
    pub fn verify(&self, token: &str, now: Micros) -> Result<Verified> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Error::BadToken("it is too long"));
        }
        let header = jsonwebtoken::decode_header(token)
            .map_err(|_| Error::BadToken("it is not a JSON web token"))?;
        if header.alg != Algorithm::RS256 {
            return Err(Error::BadToken("its algorithm is not RS256"));
        }
        let kid = header.kid.ok_or(Error::BadToken("it names no key"))?;
        let keys = self.keys();
        let key = keys
            .get(&kid)
            .ok_or(Error::BadToken("its key is not published"))?;
        let decoded = jsonwebtoken::decode::<Claims>(token, key, &validation())
            .map_err(|_| Error::BadToken("its signature, issuer, audience or claims are wrong"))?;
        check(decoded.claims, now)
    }

    fn keys(&self) -> Arc<BTreeMap<String, DecodingKey>> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Modulus and exponent of a public RSA key, base64url; `None` for other kinds.
pub fn rsa_components(key: &Jwk) -> Option<(&str, &str)> {
    match &key.algorithm {
        AlgorithmParameters::RSA(key) => Some((&key.n, &key.e)),
        _ => None,
    }
}

fn validation() -> Validation {
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.validate_exp = false;
    validation
}

fn check(claims: Claims, now: Micros) -> Result<Verified> {
    let now_s = seconds(now);
    if claims.exp.saturating_add(LEEWAY_S) <= now_s {
        return Err(Error::Expired);
    }
    let life_s = ACCESS_TOKEN_LIFE.as_secs() as i64;
    if claims.iat.saturating_sub(LEEWAY_S) > now_s || claims.exp.saturating_sub(claims.iat) > life_s
    {
        return Err(Error::BadToken("its times are wrong"));
    }
    let account_id = match claims.account {
        None => None,
        Some(uuid) => {
            Some(AccountId::from_uuid(uuid).ok_or(Error::BadToken("its account is none"))?)
        }
    };
    let principal = Principal {
        user_id: claims.sub,
        account_id,
        role: claims
            .role
            .parse()
            .map_err(|()| Error::BadToken("its role is unknown"))?,
        scopes: Scopes::parse(&claims.scope)
            .map_err(|_| Error::BadToken("it has an unknown scope"))?,
        key_id: claims.key_id,
    };
    let micros = |seconds: i64| Micros(seconds.saturating_mul(1_000_000));
    Ok(Verified {
        principal,
        issued_at: micros(claims.iat),
        expires_at: micros(claims.exp),
    })
}

fn seconds(at: Micros) -> i64 {
    at.0.div_euclid(1_000_000)
}

/// Our randomness in the form that the RSA library takes.
struct Draw<'a>(&'a Random);

impl rsa::rand_core::RngCore for Draw<'_> {
    fn next_u32(&mut self) -> u32 {
        u32::from_le_bytes(self.0.bytes())
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }

    fn try_fill_bytes(
        &mut self,
        bytes: &mut [u8],
    ) -> std::result::Result<(), rsa::rand_core::Error> {
        self.0.fill(bytes);
        Ok(())
    }
}

impl rsa::rand_core::CryptoRng for Draw<'_> {}
