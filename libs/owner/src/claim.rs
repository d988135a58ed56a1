//! A process's claim to own a partition, and the place on the log where it can be checked.

use std::sync::Arc;

use prepx_bus::{Log, Owner};

/// An owner with its handle.
#[derive(Clone)]
pub(crate) struct Claim {
    log: Arc<dyn Log>,
    owner: Owner,
}

impl Claim {
    pub fn new(log: Arc<dyn Log>, owner: Owner) -> Claim {
        Claim { log, owner }
    }

    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// Whether nobody has fenced it; nothing when nobody can say.
    pub fn ask(&self) -> Option<bool> {
        self.log.holds(self.owner).ok()
    }
}
