//! The account stage from outside: hand-computed scenarios and properties.

mod desk;
mod money;
mod orders;
mod races;
mod repeats;
