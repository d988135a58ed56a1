//! Generated gRPC messages, clients and servers, and the descriptors.
