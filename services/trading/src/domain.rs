//! What order entry knows by itself: calendars and the form of orders. Pure.

pub mod calendar;
pub mod form;
