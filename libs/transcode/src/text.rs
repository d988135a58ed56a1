//! Single values as text: in a path, in a query, in a JSON string or number. Each is read into the
//! bytes that protobuf has for it, and written from them.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD};
use base64::{alphabet, engine::DecodePaddingMode, engine::GeneralPurposeConfig};
use jiff::fmt::temporal::Pieces;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp, civil};
use prost::encoding::encode_varint;

use crate::json::number_length;
use crate::plan::{EnumPlan, Kind, Plans, Shape};
use crate::wire::{write_bytes, zigzag};

/// The longest number, in characters.
const MAX_NUMBER_LENGTH: usize = 64;
/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z, the range of google.protobuf.Timestamp.
const TIMESTAMP_SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
/// 1970-01-01T00:00:00.
const EPOCH: civil::DateTime = civil::DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
/// Where the exchange is whose clock clients ask for.
static NEW_YORK: LazyLock<TimeZone> = LazyLock::new(|| {
    TimeZone::get("America/New_York").expect("the zone is bundled in the program")
});
/// About 10,000 years, the range of google.protobuf.Duration.
const MAX_DURATION_SECONDS: i64 = 315_576_000_000;
/// Of "2024-01-02"; whatever has a time is longer.
const BARE_DATE_LENGTH: usize = 10;

/// Accepts both alphabets' padding habits: browsers leave the padding out.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);
const PLAIN: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);

/// What would be right instead of a text that [`read`] refused.
pub(crate) fn expected_instead(plans: &Plans, kind: Kind, text: &str) -> String {
    let number = matches!(
        kind,
        Kind::Decimal | Kind::Number | Kind::Float | Kind::Double
    );
    if number && text.len() > MAX_NUMBER_LENGTH {
        return format!("a number of at most {MAX_NUMBER_LENGTH} characters");
    }
    let whole = matches!(
        kind,
        Kind::Int32
            | Kind::Sint32
            | Kind::Sfixed32
            | Kind::Uint32
            | Kind::Fixed32
            | Kind::Int64
            | Kind::Sint64
            | Kind::Sfixed64
            | Kind::Uint64
            | Kind::Fixed64
    );
    // What the type can hold says nothing to who gave no whole number at all: the method takes far less.
    if whole && text.parse::<i128>().is_err() {
        return "a whole number".to_owned();
    }
    if kind == Kind::String {
        return "a string without the character U+0000".to_owned();
    }
    expected(plans, kind)
}

/// What would be right, for a value of this kind.
pub(crate) fn expected(plans: &Plans, kind: Kind) -> String {
    let text = match kind {
        Kind::Bool => "true or false",
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            "a whole number from -2147483648 to 2147483647"
        }
        Kind::Uint32 | Kind::Fixed32 => "a whole number from 0 to 4294967295",
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            "a whole number from -9223372036854775808 to 9223372036854775807"
        }
        Kind::Uint64 | Kind::Fixed64 => "a whole number from 0 to 18446744073709551615",
        Kind::Float | Kind::Double => "a finite number",
        Kind::String => "a string",
        Kind::Bytes => "a string of base64",
        Kind::Decimal | Kind::Number => "a decimal number such as 12.5",
        Kind::Date => "a date such as 2024-01-02",
        Kind::TimestampUs | Kind::EndUs | Kind::NewYorkUs => "a time such as 2024-01-02T15:04:05Z",
        Kind::Enum(id) => return choices(&plans.enums[id]),
        Kind::Message(id) => match plans.messages[id].shape {
            Shape::Timestamp => "a time such as 2024-01-02T15:04:05Z",
            Shape::Duration => "a duration such as \"1.5s\"",
            Shape::Object | Shape::Union | Shape::Value => "an object",
            Shape::Flat => "a value of another type",
        },
    };
    text.to_owned()
}

fn choices(plan: &EnumPlan) -> String {
    let quoted: Vec<String> = plan
        .choices
        .iter()
        .map(|choice| format!("{choice:?}"))
        .collect();
    match quoted.as_slice() {
        [one] => one.clone(),
        _ => format!("one of {}", quoted.join(", ")),
    }
}

/// Appends the protobuf value (without its key) that a text stands for; `None` when it stands for
/// none of this kind.
pub(crate) fn read(plans: &Plans, kind: Kind, text: &str, out: &mut Vec<u8>) -> Option<()> {
    match kind {
        Kind::Bool => encode_varint(u64::from(read_bool(text)?), out),
        Kind::Int32 => encode_varint(i64::from(read_i32(text)?) as u64, out),
        Kind::Sint32 => encode_varint(zigzag(i64::from(read_i32(text)?)), out),
        Kind::Sfixed32 => out.extend_from_slice(&read_i32(text)?.to_le_bytes()),
        Kind::Uint32 => encode_varint(u64::from(read_u32(text)?), out),
        Kind::Fixed32 => out.extend_from_slice(&read_u32(text)?.to_le_bytes()),
        Kind::Int64 => encode_varint(read_i64(text)? as u64, out),
        Kind::Sint64 => encode_varint(zigzag(read_i64(text)?), out),
        Kind::Sfixed64 => out.extend_from_slice(&read_i64(text)?.to_le_bytes()),
        Kind::Uint64 => encode_varint(read_u64(text)?, out),
        Kind::Fixed64 => out.extend_from_slice(&read_u64(text)?.to_le_bytes()),
        Kind::Float => {
            out.extend_from_slice(&(read_float(text, f64::from(f32::MAX))? as f32).to_le_bytes())
        }
        Kind::Double => out.extend_from_slice(&read_float(text, f64::MAX)?.to_le_bytes()),
        // No name or note has the character, and not every store can keep it.
        Kind::String if text.contains('\0') => return None,
        Kind::String => write_bytes(out, text.as_bytes()),
        Kind::Bytes => write_bytes(
            out,
            &PLAIN.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()?,
        ),
        Kind::Decimal | Kind::Number => write_bytes(out, read_decimal(text)?.as_bytes()),
        Kind::Date => write_bytes(out, read_date(text)?.to_string().as_bytes()),
        Kind::TimestampUs | Kind::NewYorkUs => encode_varint(micros(read_timestamp(text)?), out),
        Kind::EndUs => encode_varint(micros(read_end(text)?), out),
        Kind::Enum(id) => {
            let number = *plans.enums[id].numbers.get(text)?;
            encode_varint(i64::from(number) as u64, out);
        }
        Kind::Message(id) => match plans.messages[id].shape {
            Shape::Timestamp => {
                let moment = read_timestamp(text)?;
                let nanoseconds = moment.as_nanos();
                let seconds = i64::try_from(nanoseconds.div_euclid(1_000_000_000)).ok()?;
                write_seconds(seconds, nanoseconds.rem_euclid(1_000_000_000) as i32, out);
            }
            Shape::Duration => {
                let (seconds, nanos) = read_duration(text)?;
                write_seconds(seconds, nanos, out);
            }
            _ => return None,
        },
    }
    Some(())
}

/// A Timestamp or a Duration: fields 1 and 2, with the length in front.
fn write_seconds(seconds: i64, nanos: i32, out: &mut Vec<u8>) {
    let start = out.len();
    prost::encoding::int64::encode(1, &seconds, out);
    prost::encoding::int32::encode(2, &nanos, out);
    crate::wire::prefix_length(out, start);
}

fn read_bool(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" | "1" => Some(true),
        "false" | "False" | "FALSE" | "0" => Some(false),
        _ => None,
    }
}

/// Whole numbers may be written with a fraction of zero or an exponent: `3.0`, `1e3`.
fn read_i64(text: &str) -> Option<i64> {
    let plain = text.parse().ok();
    plain.or_else(|| prepx_domain::decimal::parse(text, 0).ok())
}

fn read_u64(text: &str) -> Option<u64> {
    let plain = text.parse().ok();
    plain.or_else(|| u64::try_from(read_i64(text)?).ok())
}

fn read_i32(text: &str) -> Option<i32> {
    i32::try_from(read_i64(text)?).ok()
}

fn read_u32(text: &str) -> Option<u32> {
    u32::try_from(read_i64(text)?).ok()
}

fn read_float(text: &str, max: f64) -> Option<f64> {
    if text.len() > MAX_NUMBER_LENGTH || number_length(text.as_bytes()) != text.len() {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.abs() <= max)
}

/// An exact decimal, as written. It must be a JSON number; strings may also begin with `+` or with
/// the point, which is repaired so that what is inside can always be written outside.
fn read_decimal(text: &str) -> Option<std::borrow::Cow<'_, str>> {
    if text.len() > MAX_NUMBER_LENGTH {
        return None;
    }
    if !text.is_empty() && number_length(text.as_bytes()) == text.len() {
        return Some(text.into());
    }
    let (sign, digits) = match text.as_bytes().first() {
        Some(b'+') => ("", &text[1..]),
        Some(b'-') => ("-", &text[1..]),
        _ => ("", text),
    };
    let zero = if digits.starts_with('.') { "0" } else { "" };
    let repaired = if digits.starts_with('-') {
        String::new()
    } else {
        format!("{sign}{zero}{digits}")
    };
    (!repaired.is_empty() && number_length(repaired.as_bytes()) == repaired.len())
        .then(|| repaired.into())
}

fn read_date(text: &str) -> Option<civil::Date> {
    // The day as the client wrote it, whatever the offset behind it: "2024-01-02T00:00:00-05:00".
    if text.len() > 10 {
        read_timestamp(text)?;
    }
    let date: civil::Date = text.get(..10)?.parse().ok()?;
    (1..=9999).contains(&date.year()).then_some(date)
}

/// Time since 1970-01-01T00:00:00Z. Taken apart by hand, because jiff's timestamps end two days before the year 9999
/// does, which clients write where they mean any time.
fn read_timestamp(text: &str) -> Option<SignedDuration> {
    if !text.as_bytes().first()?.is_ascii_digit() || text.contains('[') {
        return None;
    }
    // A "+" that was not encoded in a query arrives as a space: "2024-01-02T00:00:00 00:00".
    let offset = text
        .len()
        .checked_sub(6)
        .filter(|&index| text.as_bytes()[index] == b' ');
    let repaired = match offset {
        Some(index) if index > 10 => Some(format!("{}+{}", &text[..index], &text[index + 1..])),
        _ => None,
    };
    let pieces = Pieces::parse(repaired.as_deref().unwrap_or(text)).ok()?;
    let offset = pieces.to_numeric_offset().unwrap_or(Offset::UTC);
    let local = pieces.date().to_datetime(pieces.time().unwrap_or_default());
    let since = local.duration_since(EPOCH);
    let moment = since - SignedDuration::from_secs(offset.seconds().into());
    // A fraction before 1970 belongs to the second before.
    let second = i64::try_from(moment.as_nanos().div_euclid(1_000_000_000)).ok()?;
    TIMESTAMP_SECONDS.contains(&second).then_some(moment)
}

/// The end of an interval, which belongs to it: of a bare date the last microsecond.
fn read_end(text: &str) -> Option<SignedDuration> {
    let moment = read_timestamp(text)?;
    let bare_date = text.len() <= BARE_DATE_LENGTH;
    Some(if bare_date {
        moment + (SignedDuration::from_hours(24) - SignedDuration::from_micros(1))
    } else {
        moment
    })
}

/// As an `int64` stands on the wire.
fn micros(moment: SignedDuration) -> u64 {
    moment.as_nanos().div_euclid(1_000) as u64
}

/// Whole seconds and nanoseconds, both with the sign.
fn read_duration(text: &str) -> Option<(i64, i32)> {
    let number = text.strip_suffix('s')?;
    let (negative, digits) = match number.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, number),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = digits
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    if whole.is_empty() || fraction.len() > 9 || !all_digits {
        return None;
    }
    let seconds: i64 = whole
        .parse()
        .ok()
        .filter(|&whole| whole <= MAX_DURATION_SECONDS)?;
    let nanos: i32 = format!("{fraction:0<9}").parse().ok()?;
    Some(if negative {
        (-seconds, -nanos)
    } else {
        (seconds, nanos)
    })
}

/// Appends `"2024-01-02T15:04:05.123Z"`; false when the moment is out of range. The fraction has 0, 3,
/// 6 or 9 digits.
pub(crate) fn write_timestamp(seconds: i64, nanos: i64, out: &mut Vec<u8>) -> bool {
    if !TIMESTAMP_SECONDS.contains(&seconds) || !(0..1_000_000_000).contains(&nanos) {
        return false;
    }
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil_from_days(days);
    out.push(b'"');
    digits(year, 4, out);
    out.push(b'-');
    digits(month, 2, out);
    out.push(b'-');
    digits(day, 2, out);
    out.push(b'T');
    digits(second / 3_600, 2, out);
    out.push(b':');
    digits(second / 60 % 60, 2, out);
    out.push(b':');
    digits(second % 60, 2, out);
    write_fraction(nanos, out);
    out.extend_from_slice(b"Z\"");
    true
}

/// Appends `"2024-01-02T10:04:05-05:00"`, the time and the offset of New York; false when it is not a valid time.
pub(crate) fn write_new_york(micros: i64, out: &mut Vec<u8>) -> bool {
    let Ok(moment) = Timestamp::from_microsecond(micros) else {
        return false;
    };
    let offset = i64::from(NEW_YORK.to_offset(moment).seconds());
    let (second, micro) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    if !write_timestamp(second + offset, micro * 1_000, out) {
        return false;
    }
    // The offset in place of the Z.
    out.truncate(out.len() - b"Z\"".len());
    out.push(if offset < 0 { b'-' } else { b'+' });
    digits(offset.abs() / 3_600, 2, out);
    out.push(b':');
    digits(offset.abs() / 60 % 60, 2, out);
    out.push(b'"');
    true
}

/// Appends `"1.5s"`; false when it is not a valid duration.
pub(crate) fn write_duration(seconds: i64, nanos: i64, out: &mut Vec<u8>) -> bool {
    let opposed = (seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0);
    if opposed || seconds.abs() > MAX_DURATION_SECONDS || nanos.abs() >= 1_000_000_000 {
        return false;
    }
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    out.extend_from_slice(format!("\"{sign}{}", seconds.abs()).as_bytes());
    write_fraction(nanos.abs(), out);
    out.extend_from_slice(b"s\"");
    true
}

fn write_fraction(nanos: i64, out: &mut Vec<u8>) {
    if nanos == 0 {
        return;
    }
    out.push(b'.');
    if nanos % 1_000_000 == 0 {
        digits(nanos / 1_000_000, 3, out);
    } else if nanos % 1_000 == 0 {
        digits(nanos / 1_000, 6, out);
    } else {
        digits(nanos, 9, out);
    }
}

/// Appends base64 in double quotes.
pub(crate) fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
    out.push(b'"');
}

fn digits(value: i64, width: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + width, b'0');
    let mut rest = value;
    for place in out[start..].iter_mut().rev() {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

/// Year, month and day of a number of days since 1970-01-01, in the Gregorian calendar: Howard
/// Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 {
        month_index + 3
    } else {
        month_index - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}
