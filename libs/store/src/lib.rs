//! The SQL store: pools, migrations and transactions.
