//! Whose duty it is to take what stages tell, where several processes stand ready and one of them does.
//!
//! Owns when a consumer takes and when it has let go. Refuses to be what keeps two from taking: a lease
//! says whose duty it is, and positions that commit with effects refuse whoever is late (I2).

use std::sync::Arc;

use tokio::sync::watch;

/// A process's duty. Clones are the same.
#[derive(Clone)]
pub struct Duty(Arc<Shared>);

struct Shared {
    mine: watch::Sender<bool>,
    taking: watch::Sender<usize>,
}

/// Held while a consumer takes.
pub struct Taking(Arc<Shared>);

impl Duty {
    /// Of the only process.
    pub fn always() -> Duty {
        Duty::new(true)
    }

    /// Of one that waits until it is told.
    pub fn standing_by() -> Duty {
        Duty::new(false)
    }

    fn new(mine: bool) -> Duty {
        Duty(Arc::new(Shared {
            mine: watch::Sender::new(mine),
            taking: watch::Sender::new(0),
        }))
    }

    /// Says that it has come.
    pub fn begin(&self) {
        self.0.mine.send_replace(true);
    }

    /// Says that it is over. Whoever takes lets go; [`Self::is_free`] tells when.
    pub fn end(&self) {
        self.0.mine.send_replace(false);
    }

    /// Whether nobody takes here.
    pub fn is_free(&self) -> bool {
        *self.0.taking.borrow() == 0
    }

    /// Whether it is this process's duty.
    pub fn is_mine(&self) -> bool {
        *self.0.mine.borrow()
    }

    /// Whether it is this process's duty, as it changes.
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.0.mine.subscribe()
    }

    /// Waits for the duty and takes it up.
    pub async fn taken(&self) -> Taking {
        loop {
            self.until(true).await;
            // Counted before looking again, so that whoever ends the duty sees it.
            self.0.taking.send_modify(|taking| *taking += 1);
            let taking = Taking(Arc::clone(&self.0));
            if self.is_mine() {
                return taking;
            }
        }
    }

    /// Ends when the duty is over.
    pub async fn over(&self) {
        self.until(false).await;
    }

    async fn until(&self, mine: bool) {
        // The sender is held here: it is never gone.
        let _ = self.watch().wait_for(|now| *now == mine).await;
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        self.0.taking.send_modify(|taking| *taking -= 1);
    }
}
