//! What order entry knows by itself: calendars. Pure.

pub mod calendar;
