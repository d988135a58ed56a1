//! How a service starts, serves, reports and ends.
