//! The engine against the rules (scenarios) and against the slow, obvious book (properties).

mod generator;
mod property;
mod run;
mod scenarios;
mod script;
