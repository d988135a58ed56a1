//! JSON of messages that belong to no route, such as those of a WebSocket.

use prost_reflect::MessageDescriptor;

use crate::decode::Decoder;
use crate::encode::Encoder;
use crate::error::Error;
use crate::fault::Fault;
use crate::plan::{MessageId, Plans};
use crate::route::{BuildError, malformed_reply};

/// Reads and writes one type of message as JSON, by the same rules as the routes do.
#[derive(Debug)]
pub struct Codec {
    plans: Plans,
    message: MessageId,
}

impl Codec {
    /// For a message.
    ///
    /// # Errors
    /// When it has no JSON form.
    pub fn build(message: &MessageDescriptor) -> Result<Codec, BuildError> {
        let mut plans = Plans::default();
        let root = plans.add(message).map_err(|problem| BuildError {
            method: message.full_name().to_owned(),
            problem,
        })?;
        Ok(Codec {
            plans,
            message: root,
        })
    }

    /// Appends the JSON of a message.
    ///
    /// # Errors
    /// [`prepx_domain::Code::Internal`] when these are not the bytes of such a message.
    pub fn encode(&self, message: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let start = out.len();
        Encoder::new(&self.plans, out)
            .message(self.message, message)
            .map_err(|_| {
                out.truncate(start);
                malformed_reply()
            })
    }

    /// The protobuf of a JSON text.
    ///
    /// # Errors
    /// As [`crate::Call::decode`].
    pub fn decode(&self, json: &[u8]) -> Result<Vec<u8>, Error> {
        let mut out = Vec::with_capacity(json.len());
        let decoded = Decoder::new(&self.plans, json, false)
            .and_then(|decoder| decoder.whole_message(self.message, 0, &mut out));
        decoded.map_err(Fault::into_error)?;
        Ok(out)
    }
}
