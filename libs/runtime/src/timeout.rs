//! The `grpc-timeout` header: at most eight digits and a unit.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};

/// The header's name.
pub const HEADER: &str = "grpc-timeout";

/// The caller's timeout, if the header has one that can be parsed.
pub fn read(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(HEADER)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3_600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// The header's value for the remaining time; a time that has passed becomes the shortest one.
pub fn value(left: Duration) -> HeaderValue {
    const MOST: u128 = 99_999_999;
    let text = match (left.as_micros(), left.as_millis(), left.as_secs()) {
        (micros, _, _) if micros <= MOST => format!("{}u", micros.max(1)),
        (_, millis, _) if millis <= MOST => format!("{millis}m"),
        (_, _, seconds) => format!("{}S", u128::from(seconds).min(MOST)),
    };
    HeaderValue::from_str(&text).expect("digits and a letter are a header value")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(
            HEADER,
            HeaderValue::from_str(text).expect("test values are ASCII"),
        );
        read(&headers)
    }

    #[test]
    fn what_is_written_is_read() {
        for left in [1, 1_000, 99_999_999, 100_000_000, 3_600_000_000] {
            let left = Duration::from_micros(left);
            let text = value(left).to_str().expect("ASCII").to_owned();
            assert_eq!(read_text(&text), Some(left), "{text}");
        }
        assert_eq!(value(Duration::ZERO), "1u");
        assert_eq!(value(Duration::MAX), "99999999S");
    }

    #[test]
    fn nonsense_is_no_timeout() {
        for text in ["", "S", "5", "123456789S", "-1S", "1.5S", "5s", "5é"] {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
                headers.insert(HEADER, value);
            }
            assert_eq!(read(&headers), None, "{text:?}");
        }
        assert_eq!(read_text("2H"), Some(Duration::from_secs(7_200)));
    }
}
