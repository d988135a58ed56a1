//! What order entry decides by itself, pure: calendars and the form of orders.

pub mod calendar;
pub mod form;
