//! Principals, access tokens, API keys and the checks on them.
