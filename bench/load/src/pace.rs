//! The times at which to send, by a timer of the kernel. It neither spins, which would take one of the
//! cores that load and server share, nor is it as coarse as the timers of an async runtime.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Intended times, evenly spaced. What is sent after its time is late by as much, and that counts.
pub struct Pace {
    timer: AsyncFd<OwnedFd>,
    began: Instant,
    gap: Duration,
    next: u32,
    count: u32,
}

impl Pace {
    /// So many a second, for so long, from now on. Called within a runtime.
    #[expect(
        deprecated,
        reason = "what takes its place is unsafe for descriptors that may be closed meanwhile; an \
                  OwnedFd cannot be"
    )]
    pub fn begin(rate: u64, length: Duration) -> Result<Pace> {
        let gap = Duration::from_nanos(1_000_000_000 / rate);
        let count = u32::try_from(length.as_nanos() / gap.as_nanos());
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let tick = Timespec {
            tv_sec: gap.as_secs().try_into()?,
            tv_nsec: gap.subsec_nanos().into(),
        };
        let every = Itimerspec {
            it_interval: tick,
            it_value: tick,
        };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &every)?;
        Ok(Pace {
            timer: AsyncFd::with_interest(timer, Interest::READABLE)?,
            began: Instant::now(),
            gap,
            next: 0,
            count: count.context("a benchmark is short")?,
        })
    }

    /// Whether there is nothing more to send.
    pub fn is_over(&self) -> bool {
        self.next == self.count
    }

    /// Waits for the next tick. Dropped before it is done, nothing is lost.
    pub async fn tick(&self) -> Result<()> {
        let mut ready = self.timer.readable().await?;
        let mut ticks = [0; 8];
        let read = ready.try_io(|timer| Ok(rustix::io::read(timer, &mut ticks)?));
        if let Ok(read) = read {
            read?;
        }
        Ok(())
    }

    /// The next one whose time has come: its number, when it was to be sent, and how long after the
    /// beginning that is.
    pub fn due(&mut self) -> Option<(usize, Instant, Duration)> {
        let after = self.gap * self.next;
        let intended = self.began + after;
        if self.is_over() || Instant::now() < intended {
            return None;
        }
        self.next += 1;
        Some((self.next as usize - 1, intended, after))
    }
}
