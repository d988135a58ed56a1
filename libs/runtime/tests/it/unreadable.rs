//! Requests that are not what the method takes: refused as the client's mistake, with a code.

use http_body_util::{BodyExt as _, Full};
use prepx_runtime::guard::Limits;
use prepx_runtime::status::{self, Code};
use prepx_runtime::{Drain, Peer};
use tonic::Status;
use tonic::body::Body;
use tower::ServiceExt as _;

use crate::bank::{Bank, radio as radio_of};

const UNARY: &str = "/prepx.portfolio.v1.AdminService/Withdraw";
const STREAM: &str = "/prepx.notification.v1.NotificationService/Subscribe";

/// What the bytes of a request get, from its headers or its trailers.
async fn refused(peer: Peer, path: &str, bytes: &'static [u8]) -> status::Error {
    let request = http::Request::post(path)
        .header("content-type", "application/grpc")
        .body(Body::new(Full::from(bytes)))
        .expect("a request");
    let response = peer.oneshot(request).await.expect("answers");
    let (headers, body) = response.into_parts();
    let status = match Status::from_header_map(&headers.headers) {
        Some(status) => status,
        None => {
            let whole = body.collect().await.expect("ends");
            let trailers = whole.trailers().expect("it has a status");
            Status::from_header_map(trailers).expect("it has a status")
        }
    };
    assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status:?}");
    status::read(&status)
}

#[tokio::test]
async fn what_cannot_be_read_is_the_clients_mistake_and_says_which() {
    let bank = || Bank::open().service(Limits::default()).peer();
    let (drain, _control) = Drain::new();
    let radio = || radio_of(drain.clone()).service(Limits::default()).peer();
    for (bytes, word) in [
        (&b"\0\0\0\0\x03\xff\xff\xff"[..], "varint"),
        (b"\0\0\0\0\x04\x0a\x02\xc3\x28", "Protobuf"),
        (b"\0\0\0\0\x09abc", "EOF"),
        (b"\x01\0\0\0\x03abc", "compressed-flag"),
        (b"\x07\0\0\0\0", "compression flag: 7"),
    ] {
        for error in [
            refused(bank(), UNARY, bytes).await,
            refused(radio(), STREAM, bytes).await,
        ] {
            assert_eq!(
                (error.code, error.reason.as_str()),
                (Code::Unreadable, "UNREADABLE_MESSAGE")
            );
            assert!(error.message.contains(word), "{error:?}");
        }
    }
    let nothing = refused(bank(), UNARY, b"").await;
    assert_eq!(nothing.code, Code::Unreadable);
    let giant = refused(bank(), UNARY, b"\0\xff\xff\xff\xff").await;
    assert_eq!(
        (giant.code, giant.reason.as_str()),
        (Code::TooLarge, "MESSAGE_TOO_LARGE")
    );
    assert!(giant.message.contains("4194304 bytes"), "{giant:?}");
}
