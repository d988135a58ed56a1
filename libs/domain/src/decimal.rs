//! Exact decimal text ↔ scaled integers, and the two ways in which money is rounded.
//!
//! `scale` is the number of decimal places of the smallest unit: `12.5` at scale 8 is 1,250,000,000 units. Nothing here
//! rounds silently on input.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::fmt::Write as _;

/// The most decimal places that any asset, tick or lot has.
pub const MAX_SCALE: u32 = 12;

/// Why a text is not a number of the asked scale.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a decimal number at all.
    #[error("{0:?} is not a decimal number such as 12.5")]
    Malformed(String),
    /// More decimal places than the scale holds.
    #[error("{text} has more than {scale} decimal places")]
    TooPrecise {
        /// The number as it was given.
        text: String,
        /// How many places are allowed.
        scale: u32,
    },
    /// Beyond what 64 bits hold at this scale.
    #[error("{text} is too large: at most {max} here")]
    TooLarge {
        /// The number as it was given.
        text: String,
        /// The largest number of this scale.
        max: String,
    },
}

/// Reads a decimal number, plain or with an exponent (clients' JSON writers produce `1e-05`), as
/// minor units of `scale`. Trailing zeros do not count as precision.
pub fn parse(text: &str, scale: u32) -> Result<i64, Error> {
    let malformed = || Error::Malformed(text.chars().take(40).collect());
    if text.is_empty() || text.len() > 64 {
        return Err(malformed());
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i16>().map_err(|_| malformed())?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
        return Err(malformed());
    }
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_end_matches('0');
    let dropped = digits.len().saturating_sub(significant.len()) as i64;
    // The value is `significant` × 10^shift minor units.
    let shift = i64::from(scale)
        .saturating_add(i64::from(exponent))
        .saturating_sub(fraction.len() as i64)
        .saturating_add(dropped);
    let significant = significant.trim_start_matches('0');
    if significant.is_empty() {
        return Ok(0);
    }
    if shift < 0 {
        return Err(Error::TooPrecise {
            text: text.to_owned(),
            scale,
        });
    }
    scaled(significant, shift, negative).ok_or_else(|| Error::TooLarge {
        text: text.to_owned(),
        max: format(i64::MAX, scale),
    })
}

fn scaled(significant: &str, shift: i64, negative: bool) -> Option<i64> {
    let factor = 10i64.checked_pow(u32::try_from(shift).ok()?)?;
    let magnitude = significant.parse::<i64>().ok()?.checked_mul(factor)?;
    Some(if negative {
        magnitude.saturating_neg()
    } else {
        magnitude
    })
}

/// Writes minor units of `scale` without trailing zeros: `12.5`, `-0.00000001`, `0`.
pub fn format(minor: i64, scale: u32) -> String {
    let digits = format!(
        "{:0width$}",
        minor.unsigned_abs(),
        width = (scale as usize).saturating_add(1)
    );
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(scale as usize));
    let fraction = fraction.trim_end_matches('0');
    let sign = if minor < 0 { "-" } else { "" };
    if fraction.is_empty() {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{fraction}")
    }
}

/// Writes minor units for people: two places at least, thousands apart: `1,234.50`.
pub fn format_grouped(minor: i64, scale: u32) -> String {
    let plain = format(minor.saturating_abs(), scale);
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    let mut text = String::from(if minor < 0 { "-" } else { "" });
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && whole.len().saturating_sub(index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    let _infallible = write!(text, ".{fraction:0<2}");
    text
}

/// 10^`scale`, for scales up to [`MAX_SCALE`].
pub const fn power_of_ten(scale: u32) -> i64 {
    10i64.pow(if scale < MAX_SCALE { scale } else { MAX_SCALE })
}

/// `numerator / denominator` rounded half to even; `None` when the result leaves `i64` or the
/// denominator is not positive.
pub fn div_half_even(numerator: i128, denominator: i128) -> Option<i64> {
    if denominator <= 0 {
        return None;
    }
    let (quotient, rest) = (
        numerator.div_euclid(denominator),
        numerator.rem_euclid(denominator),
    );
    let twice = rest.checked_mul(2)?;
    let up = twice > denominator || (twice == denominator && quotient.rem_euclid(2) == 1);
    i64::try_from(quotient.checked_add(i128::from(up))?).ok()
}

/// `numerator / denominator` rounded towards positive infinity, as holds are.
pub fn div_ceil(numerator: i128, denominator: i128) -> Option<i64> {
    if denominator <= 0 {
        return None;
    }
    let up = numerator.rem_euclid(denominator) != 0;
    i64::try_from(
        numerator
            .div_euclid(denominator)
            .checked_add(i128::from(up))?,
    )
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    fn check(text: &str, scale: u32, expect: Expect) {
        expect.assert_eq(&match parse(text, scale) {
            Ok(minor) => minor.to_string(),
            Err(error) => error.to_string(),
        });
    }

    #[test]
    fn reads_what_clients_write() {
        check("12.5", 8, expect!["1250000000"]);
        check("3.0", 0, expect!["3"]);
        check("-0.10", 2, expect!["-10"]);
        check("1e-05", 8, expect!["1000"]);
        check("1.5E+3", 2, expect!["150000"]);
        check(".5", 2, expect!["50"]);
        check("0.000", 0, expect!["0"]);
        check("9223372036854775807", 0, expect!["9223372036854775807"]);
    }

    #[test]
    fn says_what_would_be_right() {
        check(
            "",
            2,
            expect![[r#""" is not a decimal number such as 12.5"#]],
        );
        check(
            "1,5",
            2,
            expect![[r#""1,5" is not a decimal number such as 12.5"#]],
        );
        check(
            "NaN",
            2,
            expect![[r#""NaN" is not a decimal number such as 12.5"#]],
        );
        check(
            "1e",
            2,
            expect![[r#""1e" is not a decimal number such as 12.5"#]],
        );
        check(
            "--1",
            2,
            expect![[r#""--1" is not a decimal number such as 12.5"#]],
        );
        check("0.001", 2, expect!["0.001 has more than 2 decimal places"]);
        check(
            "1e400",
            2,
            expect!["1e400 is too large: at most 92233720368547758.07 here"],
        );
        check(
            "99999999999999999999",
            0,
            expect!["99999999999999999999 is too large: at most 9223372036854775807 here"],
        );
    }

    #[test]
    fn groups_for_people() {
        assert_eq!(format_grouped(123_456_000_000, 8), "1,234.56");
        assert_eq!(format_grouped(-100_000_000_000_000, 8), "-1,000,000.00");
        assert_eq!(format_grouped(1, 8), "0.00000001");
    }

    #[test]
    fn halves_go_to_even() {
        let rounded: Vec<_> = [-5, -3, -1, 1, 3, 5]
            .iter()
            .map(|&n| div_half_even(n, 2))
            .collect();
        assert_eq!(rounded, [-2, -2, 0, 0, 2, 2].map(Some));
        assert_eq!(div_ceil(-3, 2), Some(-1));
        assert_eq!(div_half_even(1, 0), None);
        assert_eq!(div_ceil(i128::from(i64::MAX) * 3, 2), None);
    }

    proptest! {
        #[test]
        fn text_round_trips(minor in any::<i64>().prop_filter("one more than the positive range", |m| *m != i64::MIN), scale in 0..=MAX_SCALE) {
            prop_assert_eq!(parse(&format(minor, scale), scale), Ok(minor));
        }

        #[test]
        fn garbage_never_panics(text in ".{0,70}", scale in 0..=MAX_SCALE) {
            let _any_outcome = parse(&text, scale);
        }

        #[test]
        fn half_even_is_nearest(n in any::<i64>(), d in 1i64..1_000_000) {
            let q = i128::from(div_half_even(n.into(), d.into()).expect("within range"));
            let distance = (q * i128::from(d) - i128::from(n)).abs() * 2;
            prop_assert!(distance <= i128::from(d));
        }
    }
}
