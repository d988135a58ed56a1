//! The event log: topics of partitions on one embedded write-ahead log.
