//! Which of several processes takes the stages' outputs: one takes everything ([`Duty`]), or they divide the
//! partitions among them ([`Duties`]).
//!
//! Owns when a consumer takes a partition and when it has let go. Refuses to be what keeps two processes
//! apart: a lease only says whose duty it is, and positions that commit with effects refuse whoever is
//! late (I2).

use std::sync::Arc;

use tokio::sync::watch;

/// A process's duty. Clones are the same.
#[derive(Clone)]
pub struct Duty(Arc<Shared>);

struct Shared {
    mine: watch::Sender<bool>,
    taking: watch::Sender<usize>,
    /// Told when this duty, or one that is shared out with it, comes or is over.
    moved: Arc<watch::Sender<()>>,
}

/// Held while a consumer takes.
pub struct Taking(Arc<Shared>);

impl Duty {
    /// The duty of the only process.
    pub fn always() -> Duty {
        Duty::new(true, Arc::default())
    }

    /// The duty of a process that waits until it is given one.
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

    /// Says that it has come.
    pub fn begin(&self) {
        self.say(true);
    }

    /// Says that it is over. Whoever takes lets go; [`Self::is_free`] tells when.
    pub fn end(&self) {
        self.say(false);
    }

    fn say(&self, mine: bool) {
        self.0.mine.send_replace(mine);
        self.0.moved.send_replace(());
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

    /// Takes it up if it is this process's.
    pub fn take_up(&self) -> Option<Taking> {
        // Counted before looking, so that whoever ends the duty sees it.
        self.0.taking.send_modify(|taking| *taking += 1);
        let taking = Taking(Arc::clone(&self.0));
        self.is_mine().then_some(taking)
    }

    /// Waits for the duty and takes it up.
    pub async fn taken(&self) -> Taking {
        loop {
            self.until(true).await;
            if let Some(taking) = self.take_up() {
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

/// Whose duty each partition of a topic is. Clones are the same.
#[derive(Clone)]
pub struct Duties(Arc<[Duty]>);

impl From<Duty> for Duties {
    /// One duty for all partitions, however many they are.
    fn from(duty: Duty) -> Duties {
        Duties(Arc::new([duty]))
    }
}

impl Duties {
    /// So many duties of a process that waits until it is given each.
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

    /// Tells when any of them has come or is over.
    pub fn watch(&self) -> watch::Receiver<()> {
        // Whoever made them has one at least.
        self.0[0].0.moved.subscribe()
    }
}
