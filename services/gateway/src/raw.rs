//! gRPC calls whose messages stay bytes: the transcoder has encoded the request and will decode the reply.

use bytes::{Buf, BufMut, Bytes};
use prepx_runtime::Peer;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Request, Response, Status, Streaming};

/// The largest reply that a client of the JSON API is given, in bytes.
const REPLY_BYTES_MAX: usize = 16 << 20;

/// Calls a method with one message and waits for the one reply.
pub async fn unary(peer: Peer, path: &str, request: Request<Vec<u8>>) -> Result<Bytes, Status> {
    let (mut grpc, path) = ready(peer, path).await?;
    Ok(grpc.unary(request, path, RawCodec).await?.into_inner())
}

/// Calls a method with one message; the replies follow.
pub async fn server_streaming(
    peer: Peer,
    path: &str,
    request: Request<Vec<u8>>,
) -> Result<Response<Streaming<Bytes>>, Status> {
    let (mut grpc, path) = ready(peer, path).await?;
    grpc.server_streaming(request, path, RawCodec).await
}

async fn ready(peer: Peer, path: &str) -> Result<(Grpc<Peer>, PathAndQuery), Status> {
    let path = path
        .parse()
        .map_err(|_| Status::internal("not a method's path"))?;
    let mut grpc = Grpc::new(peer).max_decoding_message_size(REPLY_BYTES_MAX);
    grpc.ready()
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    Ok((grpc, path))
}

/// Bytes as they are.
#[derive(Clone, Copy, Debug, Default)]
struct RawCodec;

impl Codec for RawCodec {
    type Encode = Vec<u8>;
    type Decode = Bytes;
    type Encoder = RawCodec;
    type Decoder = RawCodec;

    fn encoder(&mut self) -> RawCodec {
        RawCodec
    }

    fn decoder(&mut self) -> RawCodec {
        RawCodec
    }
}

impl Encoder for RawCodec {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = buffer.remaining();
        Ok(Some(buffer.copy_to_bytes(length)))
    }
}
