//! What one process accepts from outside, and the defaults.

use serde::Deserialize;

use crate::config;

/// The smallest buffer that hyper works with.
const HEADER_BYTES_MIN: usize = 8_192;

/// What one process accepts from outside.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Open connections; further ones wait to be accepted.
    pub connections: usize,
    /// How long a TLS handshake may take.
    pub handshake_timeout_ms: u64,
    /// The largest header of a request: its path and fields, with 32 bytes for each field, as HTTP/2 counts.
    /// Twice as much is read, so that a sender of too much gets an answer.
    pub header_bytes: usize,
    /// How long a header may take, and how long a connection over HTTP/1.1 may be idle.
    pub header_timeout_ms: u64,
    /// The largest body of a request; a route may allow less.
    pub body_bytes: usize,
    /// How long a body may take after its header.
    pub body_timeout_ms: u64,
    /// How long a client may read nothing of its answers before its connection is closed: bytes that it
    /// does not acknowledge, and over HTTP/2 answers to which it gives no window (for these up to a quarter
    /// longer).
    pub unread_timeout_ms: u32,
    /// How many bytes of its answers one connection of a client may leave unread. Beyond that, requests are
    /// refused before they begin and answers to reads are withheld; a connection with twice as much is
    /// closed.
    pub connection_unread_bytes: usize,
    /// How many bytes of their answers all connections may leave unread. Beyond that, those that have left
    /// most for longest are closed.
    pub unread_bytes: usize,
    /// The most requests at a time on one HTTP/2 connection.
    pub http2_streams: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 10_000,
            handshake_timeout_ms: 10_000,
            header_bytes: 32_768,
            header_timeout_ms: 20_000,
            body_bytes: 1_048_576,
            body_timeout_ms: 20_000,
            unread_timeout_ms: 60_000,
            connection_unread_bytes: 16 << 20,
            unread_bytes: 256 << 20,
            http2_streams: 1_024,
        }
    }
}

impl Limits {
    /// The same for a port that services call: there one connection carries what many clients do not read,
    /// and only the sum is limited.
    pub(crate) fn among_services(self) -> Limits {
        Limits {
            connection_unread_bytes: self.unread_bytes,
            ..self
        }
    }

    /// How much of a header is read. Beyond that hyper itself answers 431, without a body.
    pub(super) fn header_buffer_bytes(&self) -> usize {
        self.header_bytes.max(HEADER_BYTES_MIN).saturating_mul(2)
    }

    /// Checks these limits.
    pub fn validate(&self) -> Result<(), config::Error> {
        config::at_least("connections", self.connections as u64, 1)?;
        config::at_least("handshake_timeout_ms", self.handshake_timeout_ms, 1)?;
        config::at_least(
            "header_bytes",
            self.header_bytes as u64,
            HEADER_BYTES_MIN as u64,
        )?;
        config::at_least("header_timeout_ms", self.header_timeout_ms, 1)?;
        config::at_least("body_bytes", self.body_bytes as u64, 1)?;
        config::at_least("body_timeout_ms", self.body_timeout_ms, 1)?;
        config::at_least("unread_timeout_ms", self.unread_timeout_ms.into(), 1)?;
        config::at_least(
            "connection_unread_bytes",
            self.connection_unread_bytes as u64,
            1,
        )?;
        config::at_least("unread_bytes", self.unread_bytes as u64, 1)?;
        config::at_least("http2_streams", self.http2_streams.into(), 1)
    }
}
