//! The market-data service.
