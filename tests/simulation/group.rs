//! The processes that share a stage's partitions by leases of a group: they join, leave, die and are not heard of, and
//! each hears of a change when the seed lets it, not when it happens.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prepx_bus::lease::{Group, Member};
use prepx_bus::{Change, Leases};

use crate::clients::Dice;

/// A member, by the order in which they joined.
pub type Worker = u32;

const WORKERS_MAX: usize = 4;
/// What members are told of a session; nobody is timed.
const SESSION: Duration = Duration::from_secs(3);

/// How often partitions changed hands by the group's word.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moves {
    /// Revoked, handed over and released.
    pub handed_over: u64,
    /// Lost, because the group had not heard of the holder.
    pub lost: u64,
}

pub struct Workers {
    group: Arc<Group>,
    members: BTreeMap<Worker, (Arc<Member>, Life)>,
    next: Worker,
    /// Who was granted each partition, as far as it has heard.
    holders: Vec<Option<Worker>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Stays,
    Leaves,
}

impl Workers {
    /// Two processes, which have heard of nothing yet.
    pub fn new(partitions: u32) -> Workers {
        let mut workers = Workers {
            group: Group::new(partitions, SESSION),
            members: BTreeMap::new(),
            next: 0,
            holders: vec![None; partitions as usize],
        };
        (0..2).for_each(|_| workers.join());
        workers
    }

    /// Who believes that it holds a partition.
    pub fn holder(&self, at: usize) -> Option<Worker> {
        self.holders[at]
    }

    /// All of them, whether they stay or leave.
    pub fn all(&self) -> Vec<Worker> {
        self.members.keys().copied().collect()
    }

    /// One joins, leaves, dies or is not heard of for a session. The partitions of one that has died.
    pub fn stir(&mut self, dice: &Dice) -> Vec<usize> {
        let staying = self.staying();
        let who = staying[dice.below(staying.len() as u64) as usize];
        match dice.below(6) {
            0 if self.members.len() < WORKERS_MAX => self.join(),
            1 if staying.len() > 1 => self.leave(who),
            2 if staying.len() > 1 => return self.forget(who),
            _ => self.members[&who].0.expire(),
        }
        Vec::new()
    }

    fn staying(&self) -> Vec<Worker> {
        let stays = |(_, (_, life)): &(&Worker, &(Arc<Member>, Life))| *life == Life::Stays;
        self.members
            .iter()
            .filter(stays)
            .map(|(who, _)| *who)
            .collect()
    }

    fn join(&mut self) {
        self.members
            .insert(self.next, (self.group.join(), Life::Stays));
        self.next += 1;
    }

    fn leave(&mut self, who: Worker) {
        if let Some((member, life)) = self.members.get_mut(&who) {
            member.leave();
            *life = Life::Leaves;
        }
    }

    /// A member is gone, and with it what it held.
    fn forget(&mut self, who: Worker) -> Vec<usize> {
        self.members.remove(&who);
        let held = |at: &usize| self.holders[*at] == Some(who);
        let held: Vec<usize> = (0..self.holders.len()).filter(held).collect();
        held.iter().for_each(|at| self.holders[*at] = None);
        held
    }

    /// The next change that a member hears of, if there is one. Whoever leaves and hears of nothing more is gone.
    pub fn hear(&mut self, who: Worker) -> Option<Change> {
        let (member, life) = self.members.get(&who)?;
        let change = member.next(Duration::ZERO).expect("the group takes it");
        match change {
            Some(Change::Granted(at)) => self.holders[at as usize] = Some(who),
            None if *life == Life::Leaves => drop(self.forget(who)),
            _ => {}
        }
        change
    }

    /// Whether a member holds a partition; it does not any more.
    pub fn let_go(&mut self, who: Worker, at: usize) -> bool {
        self.holders[at].take_if(|holder| *holder == who).is_some()
    }

    /// The group is told that a member has let go of what was revoked.
    pub fn release(&self, who: Worker, at: u32) {
        if let Some((member, _)) = self.members.get(&who) {
            member.release(at);
        }
    }
}
