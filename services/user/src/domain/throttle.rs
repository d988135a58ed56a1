//! How often a password may be tried for one address: the same for addresses that nobody has, so
//! that the answer tells nothing.

use std::collections::HashMap;

use prepx_domain::Micros;

/// Counts tries by a hash of the address. Bounded: when it is full, the window that ends first makes
/// room, which an attacker could only use by trying as many passwords as there are entries.
#[derive(Debug)]
pub struct Throttle {
    tries_max: u32,
    window_us: i64,
    entries_max: usize,
    windows: HashMap<[u8; 32], Window>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    ends_at: Micros,
    tries: u32,
}

impl Throttle {
    /// Allows `tries_max` tries in `window_us` microseconds for each of `entries_max` addresses.
    pub fn new(tries_max: u32, window_us: i64, entries_max: usize) -> Throttle {
        Throttle {
            tries_max,
            window_us,
            entries_max,
            windows: HashMap::new(),
        }
    }

    /// Counts a try before it is made, so that many at once do not slip through; when there were too
    /// many, the milliseconds until the next may be made.
    pub fn count(&mut self, address: [u8; 32], now: Micros) -> Result<(), u64> {
        if !self.windows.contains_key(&address) {
            self.make_room(now);
        }
        let fresh = Window {
            ends_at: now.plus_us(self.window_us),
            tries: 0,
        };
        let window = self.windows.entry(address).or_insert(fresh);
        if window.ends_at <= now {
            *window = fresh;
        }
        if window.tries >= self.tries_max {
            let left_us = window.ends_at.0.saturating_sub(now.0);
            return Err(left_us.unsigned_abs().div_ceil(1_000));
        }
        window.tries += 1;
        Ok(())
    }

    /// Forgets the tries of an address: the password was right.
    pub fn forgive(&mut self, address: &[u8; 32]) {
        self.windows.remove(address);
    }

    fn make_room(&mut self, now: Micros) {
        if self.windows.len() < self.entries_max {
            return;
        }
        self.windows.retain(|_, window| window.ends_at > now);
        if self.windows.len() >= self.entries_max {
            let first = self.windows.iter().min_by_key(|(_, window)| window.ends_at);
            if let Some(address) = first.map(|(address, _)| *address) {
                self.windows.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn the_eleventh_try_waits_for_the_end_of_the_window() {
        let mut throttle = Throttle::new(10, 900 * SECOND, 100);
        for try_number in 0..10 {
            assert_eq!(throttle.count([1; 32], Micros(try_number * SECOND)), Ok(()));
        }
        assert_eq!(throttle.count([1; 32], Micros(100 * SECOND)), Err(800_000));
        assert_eq!(
            throttle.count([2; 32], Micros(100 * SECOND)),
            Ok(()),
            "others go on"
        );
        assert_eq!(throttle.count([1; 32], Micros(900 * SECOND)), Ok(()));
    }

    #[test]
    fn a_right_password_clears_the_count() {
        let mut throttle = Throttle::new(1, SECOND, 100);
        assert_eq!(throttle.count([1; 32], Micros(0)), Ok(()));
        assert!(throttle.count([1; 32], Micros(0)).is_err());
        throttle.forgive(&[1; 32]);
        assert_eq!(throttle.count([1; 32], Micros(0)), Ok(()));
    }

    #[test]
    fn memory_is_bounded() {
        let mut throttle = Throttle::new(1, SECOND, 8);
        for address in 0..=255 {
            assert_eq!(
                throttle.count([address; 32], Micros(i64::from(address))),
                Ok(())
            );
            assert!(throttle.windows.len() <= 8);
        }
        assert!(
            throttle.count([255; 32], Micros(300)).is_err(),
            "the newest are remembered"
        );
    }
}
