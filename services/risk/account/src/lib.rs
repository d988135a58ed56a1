//! The account stage: cash, holds, positions, limits and orders of accounts, pure.
