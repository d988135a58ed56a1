//! What waits for the disk: answers that may leave when the log is durable up to their position
//! (I8).

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use prepx_bus::Position;

/// Hands an answer over; must be short, it runs on the thread that syncs.
pub type Deliver = Box<dyn FnOnce() + Send>;

/// Answers in the order of their positions. Bounded by what the gate lets in.
#[derive(Default)]
pub struct Release(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    queue: VecDeque<(Position, Deliver)>,
    /// The log is dead: nothing that waits may leave any more.
    dead: bool,
}

impl Release {
    /// Adds answers that may leave when `position` is durable. Positions only rise.
    pub fn hold(&self, position: Position, answers: impl Iterator<Item = Deliver>) {
        let mut waiting = self.lock();
        if !waiting.dead {
            waiting
                .queue
                .extend(answers.map(|deliver| (position, deliver)));
        }
    }

    /// Lets everything up to `durable` leave.
    pub fn advance(&self, durable: Position) {
        let due: Vec<(Position, Deliver)> = {
            let mut waiting = self.lock();
            let count = waiting
                .queue
                .partition_point(|&(position, _)| position <= durable);
            waiting.queue.drain(..count).collect()
        };
        for (_, deliver) in due {
            deliver();
        }
    }

    /// Drops everything that waits: those who asked learn that the outcome is unknown.
    pub fn kill(&self) {
        let dropped = {
            let mut waiting = self.lock();
            waiting.dead = true;
            std::mem::take(&mut waiting.queue)
        };
        drop(dropped);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn answers_leave_in_order_and_only_when_durable() {
        let release = Release::default();
        let (told, heard) = mpsc::channel();
        let answer = |number: u32| -> Deliver {
            let told = told.clone();
            Box::new(move || told.send(number).unwrap())
        };
        release.hold(Position(10), [answer(1), answer(2)].into_iter());
        release.hold(Position(20), [answer(3)].into_iter());
        release.advance(Position(9));
        assert_eq!(heard.try_iter().count(), 0);
        release.advance(Position(10));
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), [1, 2]);
        release.kill();
        release.hold(Position(30), [answer(4)].into_iter());
        release.advance(Position(99));
        drop((release, told));
        assert_eq!(
            heard.iter().count(),
            0,
            "what was not durable was never told"
        );
    }
}
