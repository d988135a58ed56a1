//! The one error form of the public API, and its two translations: the JSON body of an HTTP answer,
//! and a gRPC status with `google.rpc.ErrorInfo`.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use prepx_domain::Code;
use prost::Message as _;

use crate::json::write_string;

/// The `domain` of every ErrorInfo that PrepX writes.
pub const DOMAIN: &str = "prepx";
/// The ErrorInfo metadata key under which a service names one of the closed set of codes.
pub const CODE_KEY: &str = "code";
const ERROR_INFO_URL: &str = "type.googleapis.com/google.rpc.ErrorInfo";
const RETRY_INFO_URL: &str = "type.googleapis.com/google.rpc.RetryInfo";
/// The longest message and the longest detail: over gRPC they travel in trailers, twice, and clients
/// take 16 KiB of those.
const TEXT_BYTES_MAX: usize = 1_000;
/// What is kept of each end of a longer one.
const END_BYTES: usize = 480;

/// Why a request is refused or has failed, as the client is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Which of the closed set.
    pub code: Code,
    /// A stable word for programs, in upper snake case: `UNKNOWN_FIELD`.
    pub reason: String,
    /// What was wrong, with which value, and what would be right.
    pub message: String,
    /// The parts of the message for programs: `field`, `value`, `expected`, `allow`, …
    pub details: BTreeMap<String, String>,
    /// When it makes sense to try again, for `Retry-After`.
    pub retry_after_ms: Option<u64>,
}

impl Error {
    /// An error without details.
    pub fn new(code: Code, reason: &str, message: impl Into<String>) -> Error {
        Error {
            code,
            reason: reason.to_owned(),
            message: bounded(message.into()),
            details: BTreeMap::new(),
            retry_after_ms: None,
        }
    }

    /// The same with one more detail.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Error {
        self.details.insert(key.to_owned(), bounded(value.into()));
        self
    }

    /// The same with a time after which to try again, if there is one.
    #[must_use]
    pub fn retry_after(mut self, after: Option<Duration>) -> Error {
        self.retry_after_ms = after.and_then(|after| u64::try_from(after.as_millis()).ok());
        self
    }

    /// The HTTP status of the answer.
    pub fn http_status(&self) -> http::StatusCode {
        http::StatusCode::from_u16(self.code.http_status())
            .expect("every code of the closed set begins with an HTTP status")
    }

    /// The methods that the path does know, for the `Allow` header of a 405.
    pub fn allow(&self) -> Option<&str> {
        self.details.get("allow").map(String::as_str)
    }

    /// `{"code":int,"message":str,"reason":str,"request_id":str,"details":{…}}`.
    pub fn to_json(&self, request_id: &str) -> Vec<u8> {
        let mut out = format!("{{\"code\":{},\"message\":", self.code).into_bytes();
        write_string(&mut out, &self.message);
        for (key, value) in [("reason", self.reason.as_str()), ("request_id", request_id)] {
            out.push(b',');
            write_string(&mut out, key);
            out.push(b':');
            write_string(&mut out, value);
        }
        out.extend_from_slice(b",\"details\":{");
        for (index, (key, value)) in self.details.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_string(&mut out, key);
            out.push(b':');
            write_string(&mut out, value);
        }
        out.extend_from_slice(b"}}");
        out
    }

    /// From a gRPC status: its code, its message, and the bytes of `grpc-status-details-bin` (a
    /// `google.rpc.Status`; empty when there are none). The code of the closed set is taken from
    /// ErrorInfo if a service named one there, else it follows from the gRPC code. Statuses that a
    /// service did not make on purpose tell clients nothing of our insides.
    pub fn from_status(grpc_code: i32, message: &str, details: &[u8]) -> Error {
        let status = RpcStatus::decode(details).unwrap_or_default();
        let info: Option<ErrorInfo> = find(&status, ERROR_INFO_URL);
        let retry: Option<RetryInfo> = find(&status, RETRY_INFO_URL);
        let deliberate = info.is_some();
        let info = info.unwrap_or_default();
        let mut details: BTreeMap<String, String> = info.metadata.into_iter().collect();
        let named = details.remove(CODE_KEY).and_then(|text| text.parse().ok());
        let code = named
            .and_then(Code::from_number)
            .unwrap_or_else(|| from_grpc(grpc_code));
        let (reason, message) = if deliberate {
            (info.reason, message.to_owned())
        } else {
            (default_reason(code).to_owned(), outward(code, message))
        };
        let retry_after_ms = retry.and_then(|retry| retry.retry_delay).and_then(|delay| {
            let seconds = u64::try_from(delay.seconds).ok()?;
            let millis = u64::try_from(delay.nanos / 1_000_000).ok()?;
            Some(seconds.saturating_mul(1_000).saturating_add(millis))
        });
        Error {
            code,
            reason,
            message,
            details,
            retry_after_ms,
        }
    }

    /// As a gRPC status: its code, its message, and the bytes of `grpc-status-details-bin`. The inverse
    /// of [`Error::from_status`].
    pub fn to_status(&self) -> (i32, String, Vec<u8>) {
        let mut metadata: HashMap<String, String> = self.details.clone().into_iter().collect();
        metadata.insert(CODE_KEY.to_owned(), self.code.number().to_string());
        let info = ErrorInfo {
            reason: self.reason.clone(),
            domain: DOMAIN.to_owned(),
            metadata,
        };
        let mut details = vec![any(ERROR_INFO_URL, &info)];
        if let Some(millis) = self.retry_after_ms {
            let delay = prost_types::Duration {
                seconds: i64::try_from(millis / 1_000).unwrap_or(i64::MAX),
                nanos: i32::try_from(millis % 1_000).unwrap_or(0) * 1_000_000,
            };
            details.push(any(
                RETRY_INFO_URL,
                &RetryInfo {
                    retry_delay: Some(delay),
                },
            ));
        }
        let code = to_grpc(self.code);
        let status = RpcStatus {
            code,
            message: self.message.clone(),
            details,
        };
        (code, self.message.clone(), status.encode_to_vec())
    }
}

/// A text without its middle when that is too long: it begins with what is wrong, with a value that
/// may have any length, and ends with what would be right.
fn bounded(text: String) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        return text;
    }
    let head = text.floor_char_boundary(END_BYTES);
    let tail = text.ceil_char_boundary(text.len() - END_BYTES);
    format!("{}…{}", &text[..head], &text[tail..])
}

/// The gRPC code that goes with a code of the closed set.
pub fn to_grpc(code: Code) -> i32 {
    match code {
        Code::Unreadable | Code::Invalid | Code::TooLarge | Code::HeaderTooLarge => 3,
        Code::DeadlineExceeded => 4,
        Code::NotFound => 5,
        Code::Conflict | Code::InsufficientBalance | Code::TradingBlocked => 9,
        Code::Forbidden => 7,
        Code::TooManyRequests => 8,
        Code::MethodNotAllowed => 12,
        Code::Internal => 13,
        Code::Unavailable => 14,
        Code::Unauthenticated => 16,
    }
}

/// The code of the closed set for a gRPC status whose sender named none. Cancelled and unknown
/// outcomes are 503, which clients do not resend, and not 429 or 504, which they do.
fn from_grpc(code: i32) -> Code {
    match code {
        3 | 11 => Code::Invalid,
        4 => Code::DeadlineExceeded,
        5 => Code::NotFound,
        6 | 9 | 10 => Code::Conflict,
        7 => Code::Forbidden,
        8 => Code::TooManyRequests,
        1 | 14 => Code::Unavailable,
        16 => Code::Unauthenticated,
        _ => Code::Internal,
    }
}

fn default_reason(code: Code) -> &'static str {
    match code {
        Code::Unreadable => "UNREADABLE",
        Code::Unauthenticated => "UNAUTHENTICATED",
        Code::Forbidden => "FORBIDDEN",
        Code::InsufficientBalance => "INSUFFICIENT_BALANCE",
        Code::TradingBlocked => "TRADING_BLOCKED",
        Code::NotFound => "NOT_FOUND",
        Code::MethodNotAllowed => "METHOD_NOT_ALLOWED",
        Code::Conflict => "CONFLICT",
        Code::TooLarge => "TOO_LARGE",
        Code::Invalid => "INVALID",
        Code::TooManyRequests => "TOO_MANY_REQUESTS",
        Code::HeaderTooLarge => "HEADER_TOO_LARGE",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
    }
}

/// The message for a status that carries no ErrorInfo: transport failures and faults name hosts,
/// types and lines, which are ours to log and not the client's to read.
fn outward(code: Code, message: &str) -> String {
    match code {
        Code::Internal => "something went wrong on our side; the request id finds it".to_owned(),
        Code::Unavailable => "the service does not answer now; try again shortly".to_owned(),
        Code::DeadlineExceeded => "the answer took longer than its limit; try again".to_owned(),
        _ => message.to_owned(),
    }
}

fn find<M: prost::Message + Default>(status: &RpcStatus, type_url: &str) -> Option<M> {
    let detail = status
        .details
        .iter()
        .find(|detail| detail.type_url == type_url)?;
    M::decode(detail.value.as_slice()).ok()
}

fn any(type_url: &str, message: &impl prost::Message) -> prost_types::Any {
    prost_types::Any {
        type_url: type_url.to_owned(),
        value: message.encode_to_vec(),
    }
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

/// `google.rpc.ErrorInfo`.
#[derive(Clone, PartialEq, prost::Message)]
struct ErrorInfo {
    #[prost(string, tag = "1")]
    reason: String,
    #[prost(string, tag = "2")]
    domain: String,
    #[prost(map = "string, string", tag = "3")]
    metadata: HashMap<String, String>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, prost::Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<prost_types::Duration>,
}
