//! How much of a position an order that closes it sells.

use prepx_domain::{FieldError, decimal};

use super::holdings::Position;

/// How much of a position to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// All that is not held by orders.
    All,
    /// A quantity as text.
    Quantity(&'a str),
    /// A percentage as text, above 0 and at most 100; rounded down to the lot size.
    Percentage(&'a str),
}

impl Part<'_> {
    /// The quantity of a position that this is, in base minor units.
    pub fn quantity(self, position: &Position) -> Result<i64, FieldError> {
        let instrument = &position.instrument;
        let wrong =
            |field, error: decimal::Error| FieldError::new(field, format!("{field}: {error}"));
        match self {
            // What orders hold cannot be sold: asking for all of it gets the shortage in the error.
            Part::All => Ok(position.qty_minor - position.qty_minor % instrument.lot_minor),
            Part::Quantity(text) => {
                decimal::parse(text, instrument.base_scale).map_err(|error| wrong("qty", error))
            }
            Part::Percentage(text) => {
                const SCALE: u32 = 8;
                let hundred = 100 * decimal::power_of_ten(SCALE);
                let percentage =
                    decimal::parse(text, SCALE).map_err(|error| wrong("percentage", error))?;
                if !(1..=hundred).contains(&percentage) {
                    let message =
                        format!("percentage is {text}: it must be above 0 and at most 100");
                    return Err(FieldError::new("percentage", message));
                }
                let exact = i128::from(position.qty_minor) * i128::from(percentage);
                let minor =
                    i64::try_from(exact / i128::from(hundred)).unwrap_or(position.qty_minor);
                Ok(minor - minor % instrument.lot_minor)
            }
        }
    }
}
