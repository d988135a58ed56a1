//! The ids of events and the secrets of endpoints. Both are derived from a key in the data directory, so
//! that a copy of the store alone signs nothing, and ids do not show how much the platform trades.

use std::io;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use prepx_env::Random;
use prepx_errand::Origin;
use prepx_store::secret;
use sha2::Sha256;
use uuid::Uuid;

const FILE_NAME: &str = "webhooks.key";

/// Derives ids and secrets from the key.
#[derive(Clone)]
pub struct Keys {
    events: [u8; 32],
    secrets: [u8; 32],
}

impl Keys {
    /// From the key in this directory, which is drawn at the first start.
    ///
    /// # Errors
    /// When the directory cannot be used.
    pub fn open(directory: &Path, random: &Random) -> io::Result<Keys> {
        let path = directory.join(FILE_NAME);
        let drawn = secret::drawn_once(&path, random, || random.bytes::<32>().to_vec())?;
        Ok(Keys::of(&drawn))
    }

    fn of(key: &[u8]) -> Keys {
        Keys {
            events: blake3::derive_key("prepx 2026 ids of events of webhooks", key),
            secrets: blake3::derive_key("prepx 2026 secrets of webhooks", key),
        }
    }

    /// The id of the event in a message.
    pub fn event(&self, origin: Origin) -> Uuid {
        let mut name = [0; 14];
        name[..2].copy_from_slice(&origin.source.topic.code().to_be_bytes());
        name[2..6].copy_from_slice(&origin.source.partition.to_be_bytes());
        name[6..].copy_from_slice(&origin.number.to_be_bytes());
        uuid_of(&self.events, &name)
    }

    /// The id of an event for one endpoint.
    pub fn errand(&self, event: Uuid, endpoint: Uuid) -> Uuid {
        let mut name = [0; 32];
        name[..16].copy_from_slice(event.as_bytes());
        name[16..].copy_from_slice(endpoint.as_bytes());
        uuid_of(&self.events, &name)
    }

    /// The secret with which events for an endpoint are signed.
    pub fn secret(&self, endpoint: Uuid) -> String {
        let hash = blake3::keyed_hash(&self.secrets, endpoint.as_bytes());
        format!("whsec_{}", hash.to_hex())
    }
}

fn uuid_of(key: &[u8; 32], name: &[u8]) -> Uuid {
    let hash = blake3::keyed_hash(key, name);
    let mut id = [0; 16];
    id.copy_from_slice(&hash.as_bytes()[..16]);
    uuid::Builder::from_random_bytes(id).into_uuid()
}

/// The signature of a body that is sent at this time, in hex: HMAC-SHA256 of the seconds, a full stop, and
/// the body.
pub fn signature(secret: &str, timestamp_s: i64, body: &[u8]) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of every length");
    mac.update(timestamp_s.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use prepx_bus::Topic;

    use super::*;

    #[test]
    fn a_signature_is_what_receivers_compute() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac whsec_00
        let signed = signature("whsec_00", 1_700_000_000, br#"{"a":1}"#);
        expect!["45cffce3b675935877c716288bfe48276b43036345fecebf62b30649bd0946a7"]
            .assert_eq(&signed);
    }

    #[test]
    fn ids_and_secrets_stay_and_differ() {
        let keys = Keys::of(&[7; 32]);
        let origin = |number| Origin {
            source: Topic::AccountJournal.partition(1),
            seq: 9,
            number,
        };
        let event = keys.event(origin(1));
        assert_eq!(
            event,
            keys.event(Origin {
                seq: 10,
                ..origin(1)
            })
        );
        assert_ne!(event, keys.event(origin(2)));
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_ne!(keys.errand(event, one), keys.errand(event, two));
        assert_ne!(keys.secret(one), keys.secret(two));
        assert_ne!(keys.secret(one), Keys::of(&[8; 32]).secret(one));
    }
}
