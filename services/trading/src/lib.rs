//! The trading service.
