//! How the messages of a server stream follow each other in an HTTP answer.

use crate::error::Error;

/// The frame around each message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events: `data: {…}` and an empty line.
    Events,
    /// JSON and a newline.
    Lines,
}

impl Framing {
    /// What the client asked for. Events are the default, because the clients of the trading events
    /// stream expect them without asking.
    pub fn from_accept(accept: Option<&str>) -> Framing {
        const LINES: [&str; 4] = [
            "application/x-ndjson",
            "application/ndjson",
            "application/jsonl",
            "application/json",
        ];
        let media = |range: &str| {
            range
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase()
        };
        for range in accept.unwrap_or_default().split(',').map(media) {
            if range == "text/event-stream" {
                return Framing::Events;
            }
            if LINES.contains(&range.as_str()) {
                return Framing::Lines;
            }
        }
        Framing::Events
    }

    /// The Content-Type of the answer.
    pub fn content_type(self) -> &'static str {
        match self {
            Framing::Events => "text/event-stream",
            Framing::Lines => "application/x-ndjson",
        }
    }

    /// What may be sent when there is nothing to say, so that nobody in between hangs up.
    pub fn keep_alive(self) -> &'static [u8] {
        match self {
            Framing::Events => b":\n\n",
            Framing::Lines => b"\n",
        }
    }

    /// Appends the error that ends a stream: an event of type `error`, or `{"error":{…}}` on a line.
    pub fn write_error(self, error: &Error, request_id: &str, out: &mut Vec<u8>) {
        match self {
            Framing::Events => {
                out.extend_from_slice(b"event: error\ndata: ");
                out.extend_from_slice(&error.to_json(request_id));
            }
            Framing::Lines => {
                out.extend_from_slice(b"{\"error\":");
                out.extend_from_slice(&error.to_json(request_id));
                out.push(b'}');
            }
        }
        out.extend_from_slice(self.after());
    }

    pub(crate) fn before(self) -> &'static [u8] {
        match self {
            Framing::Events => b"data: ",
            Framing::Lines => b"",
        }
    }

    pub(crate) fn after(self) -> &'static [u8] {
        match self {
            Framing::Events => b"\n\n",
            Framing::Lines => b"\n",
        }
    }
}
