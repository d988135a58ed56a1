//! Shows the progress of work to people: a bar on stderr if that is a terminal. A start, which nobody may
//! be watching, writes lines to the log otherwise. Refuses to show what takes only a moment.

use std::cell::Cell;
use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use prepx_env::Clock;
use prepx_stage::{RecoveryObserver, Seat};

/// Work that takes no longer than this is not shown.
const A_MOMENT: Duration = Duration::from_secs(1);
/// The time between two updates of a bar.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// The time between two lines of the log.
const BETWEEN_LINES: Duration = Duration::from_secs(2);

/// A bar on stderr, if that is a terminal.
pub(crate) fn bar(what: &'static str, length: u64) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{prefix:>20} {wide_bar} {pos}/{len} {per_sec}, {eta} left");
    ProgressBar::new(length)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_prefix(what)
}

/// Shows how the stages fold their journals at a start.
pub(crate) struct Recovery<'a> {
    clock: &'a dyn Clock,
    bar: ProgressBar,
    /// On the clock's monotonic time.
    next: Cell<Duration>,
}

impl<'a> Recovery<'a> {
    /// Begins now.
    pub fn new(clock: &'a dyn Clock) -> Recovery<'a> {
        let bar = bar("recovery", 0);
        bar.set_draw_target(ProgressDrawTarget::hidden());
        Recovery {
            next: Cell::new(clock.monotonic() + A_MOMENT),
            clock,
            bar,
        }
    }

    /// Whether the next update is due.
    fn is_due(&self, pause: Duration) -> bool {
        let now = self.clock.monotonic();
        let is_due = now >= self.next.get();
        if is_due {
            self.next.set(now + pause);
        }
        is_due
    }

    fn show(&self, seat: Seat, records: u64, of: u64) {
        if self.bar.is_hidden() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_prefix(seat.to_string());
        self.bar.set_length(of);
        self.bar.set_position(records);
    }
}

impl RecoveryObserver for Recovery<'_> {
    fn folded(&self, seat: Seat, records: u64, of: u64) {
        let is_seen = std::io::stderr().is_terminal();
        let pause = if is_seen {
            BETWEEN_LOOKS
        } else {
            BETWEEN_LINES
        };
        match (self.is_due(pause), is_seen) {
            (false, _) => {}
            (true, true) => self.show(seat, records, of),
            (true, false) => tracing::info!(partition = %seat, records, of, "recovering"),
        }
    }
}

impl Drop for Recovery<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use prepx_domain::Micros;
    use prepx_env::ManualClock;

    use super::*;

    #[test]
    fn nothing_is_said_for_a_moment_and_then_at_its_pace() {
        let clock = ManualClock::new(Micros(0));
        let recovery = Recovery::new(&clock);
        let said = (0..50).map(|_| {
            clock.advance(Duration::from_millis(100));
            recovery.is_due(BETWEEN_LINES)
        });
        let said: Vec<usize> = (1..).zip(said).filter(|at| at.1).map(|at| at.0).collect();
        assert_eq!(said, [10, 30, 50], "tenths of a second");
    }
}
