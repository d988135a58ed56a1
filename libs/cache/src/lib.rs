//! The cache, rate limits and pub/sub.
