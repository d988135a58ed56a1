//! The clock, ids and randomness: the only place that reads them.
