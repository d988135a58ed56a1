//! The time that a stage records: the wall clock, unless that has jumped.

use std::time::Duration;

use prepx_domain::Micros;
use prepx_env::Clock;

/// A wall clock that deviates from the monotonic clock by more than this has jumped, and is not followed.
const STEP_MAX_US: i64 = 1_000_000;

/// Follows a wall clock as long as it agrees with the monotonic clock.
///
/// Slow corrections are followed. After a jump the monotonic clock is followed instead, until the wall clock is back or an
/// operator restarts the process.
#[derive(Debug)]
pub struct SteadyClock {
    anchor_wall: Micros,
    anchor_monotonic: Duration,
    stepped: bool,
}

impl SteadyClock {
    /// A clock that starts at the current wall-clock time.
    pub fn new(clock: &dyn Clock) -> SteadyClock {
        SteadyClock {
            anchor_wall: clock.now(),
            anchor_monotonic: clock.monotonic(),
            stepped: false,
        }
    }

    /// The time now.
    pub fn now(&mut self, clock: &dyn Clock) -> Micros {
        let (wall, monotonic) = (clock.now(), clock.monotonic());
        let elapsed = monotonic.saturating_sub(self.anchor_monotonic).as_micros();
        let elapsed_us = i64::try_from(elapsed).unwrap_or(i64::MAX);
        let expected = self.anchor_wall.plus_us(elapsed_us);
        let step_us = wall.0.saturating_sub(expected.0);
        let stepped = step_us.saturating_abs() > STEP_MAX_US;
        if stepped != self.stepped {
            self.stepped = stepped;
            self.tell(step_us);
        }
        if stepped {
            return expected;
        }
        (self.anchor_wall, self.anchor_monotonic) = (wall, monotonic);
        wall
    }

    /// Whether the wall clock has jumped and is not being followed.
    pub fn is_stepped(&self) -> bool {
        self.stepped
    }

    fn tell(&self, step_us: i64) {
        if self.stepped {
            tracing::error!(
                step_us,
                "the wall clock was stepped and is not followed; set it right, then restart"
            );
        } else {
            tracing::warn!("the wall clock is right again and is followed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prepx_env::ManualClock;

    #[test]
    fn a_step_is_not_followed_and_a_slow_correction_is() {
        let start = Micros(1_800_000_000_000_000);
        let clock = ManualClock::new(start);
        let mut steady = SteadyClock::new(&clock);
        clock.advance(Duration::from_secs(5));
        assert_eq!(steady.now(&clock), start.plus_us(5_000_000));

        clock.jump_to(start.plus_us(5_400_000));
        assert_eq!(steady.now(&clock), start.plus_us(5_400_000));
        assert!(!steady.is_stepped());

        clock.jump_to(start.plus_us(3_600_000_000));
        clock.advance(Duration::from_secs(1));
        assert_eq!(steady.now(&clock), start.plus_us(6_400_000));
        assert!(steady.is_stepped());

        clock.jump_to(start.plus_us(6_500_000));
        assert_eq!(steady.now(&clock), start.plus_us(6_500_000));
        assert!(!steady.is_stepped());
    }
}
