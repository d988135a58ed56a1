//! Which of several processes takes the stages' outputs: one takes all of them ([`Duty`]), or they divide the partitions
//! among them ([`Duties`]).
//!
//! Owns when a consumer may take a partition and when it has stopped. Refuses to guarantee that only one process does:
//! a lease only assigns the duty, and positions that commit together with effects reject a late process (I2).

use std::sync::Arc;

use tokio::sync::watch;

/// Whether this process should take something. Clones share the state.
#[derive(Clone)]
pub struct Duty(Arc<Shared>);

struct Shared {
    mine: watch::Sender<bool>,
    taking: watch::Sender<usize>,
    /// Notified when this duty, or another of the same [`Duties`], begins or ends.
    moved: Arc<watch::Sender<()>>,
}

/// Held while a consumer takes. See [`Duty::is_free`].
pub struct Taking(Arc<Shared>);

impl Duty {
    /// The duty of the only process.
    pub fn always() -> Duty {
        Duty::new(true, Arc::default())
    }

    /// The duty of a process that stands by until [`Self::begin`].
    pub fn standing_by() -> Duty {
        Duty::new(false, Arc::default())
    }

    fn new(mine: bool, moved: Arc<watch::Sender<()>>) -> Duty {
        Duty(Arc::new(Shared {
            mine: watch::Sender::new(mine),
            taking: watch::Sender::new(0),
            moved,
        }))
    }

    /// Assigns it to this process.
    pub fn begin(&self) {
        self.say(true);
    }

    /// Takes it from this process. The consumer then stops; [`Self::is_free`] says when it has.
    pub fn end(&self) {
        self.say(false);
    }

    fn say(&self, mine: bool) {
        self.0.mine.send_replace(mine);
        self.0.moved.send_replace(());
    }

    /// Whether no consumer holds a [`Taking`].
    pub fn is_free(&self) -> bool {
        *self.0.taking.borrow() == 0
    }

    /// Whether it is this process's duty.
    pub fn is_mine(&self) -> bool {
        *self.0.mine.borrow()
    }

    /// Watches whether it is this process's duty.
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.0.mine.subscribe()
    }

    /// Starts taking if it is this process's duty.
    pub fn take_up(&self) -> Option<Taking> {
        // Counted before looking, so that a concurrent `end` sees it.
        self.0.taking.send_modify(|taking| *taking += 1);
        let taking = Taking(Arc::clone(&self.0));
        self.is_mine().then_some(taking)
    }

    /// Waits until it is this process's duty and starts taking.
    pub async fn taken(&self) -> Taking {
        loop {
            self.until(true).await;
            if let Some(taking) = self.take_up() {
                return taking;
            }
        }
    }

    /// Waits until it is not this process's duty.
    pub async fn over(&self) {
        self.until(false).await;
    }

    async fn until(&self, mine: bool) {
        // The sender is held here, so it is never dropped.
        let _ = self.watch().wait_for(|now| *now == mine).await;
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        self.0.taking.send_modify(|taking| *taking -= 1);
    }
}

/// The duties of a topic's partitions. Clones share the state.
#[derive(Clone)]
pub struct Duties(Arc<[Duty]>);

impl From<Duty> for Duties {
    /// One duty for all partitions, however many they are.
    fn from(duty: Duty) -> Duties {
        Duties(Arc::new([duty]))
    }
}

impl Duties {
    /// The duties of a process that stands by for each partition.
    pub fn standing_by(partitions: u32) -> Duties {
        let moved = Arc::<watch::Sender<()>>::default();
        let duty = |_| Duty::new(false, Arc::clone(&moved));
        Duties((0..partitions).map(duty).collect())
    }

    /// The duty of a partition.
    pub fn of(&self, partition: u32) -> &Duty {
        match &self.0[..] {
            [whole] => whole,
            each => &each[partition as usize],
        }
    }

    /// Watches for any of them to begin or end.
    pub fn watch(&self) -> watch::Receiver<()> {
        // There is at least one.
        self.0[0].0.moved.subscribe()
    }
}
