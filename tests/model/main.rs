//! A model of one lane: an owner that decides inputs into a journal and sends what follows from
//! them, a receiver, takeovers, re-emission, fencing, process deaths and power loss. Every
//! interleaving within small bounds is looked at.
//!
//! The journal, the lane and the receiver's transitions are entries of one log of which a prefix
//! is durable, as in the embedded engine; but here a transition and what it sends are separate
//! entries, so that re-emission has something to do. Each rule can be left out, and the model then
//! finds what it is for.

use stateright::{Checker, Model, Property};

/// The rules of lanes and takeovers; one is left out at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Without {
    Nothing,
    /// A stale owner's appends are taken.
    Fencing,
    /// A new owner sends only what it decides itself.
    Reemission,
    /// The receiver takes whatever comes.
    Deduplication,
    /// A client is told as soon as the decision is made.
    WaitingForTheDisk,
    /// The receiver notes its effect and its place on the lane separately, place first.
    AtomicEffects,
}

struct Lanes {
    without: Without,
    inputs: u8,
    epochs_max: u8,
    sends_max: usize,
    power_losses_max: u8,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq)]
enum Entry {
    /// An owner took the journal over.
    Fence {
        epoch: u8,
    },
    /// A transition of the sender: it decided an input.
    Decided {
        input: u8,
    },
    /// Number `number` on the lane, with what it says.
    Sent {
        number: u8,
        input: u8,
    },
    /// A transition of the receiver: a message's effect and its place on the lane.
    Taken {
        number: u8,
        input: u8,
    },
    /// The same in two parts, the place first.
    Place {
        number: u8,
    },
    Effect {
        input: u8,
    },
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, PartialOrd, Ord)]
struct Owner {
    epoch: u8,
    /// Transitions that it has folded or decided.
    decided: Vec<u8>,
    /// Messages that it has sent, or takes for sent.
    sent: u8,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq)]
struct World {
    log: Vec<Entry>,
    /// How many entries are safe.
    durable: usize,
    /// What the log refuses below; durable as soon as it rises.
    epoch: u8,
    owners: [Option<Owner>; 2],
    /// How far the receiver has read the log since it last started.
    read: usize,
    /// Whether a message did not follow the one before it.
    gap: bool,
    /// Inputs whose decision clients were told.
    told: Vec<u8>,
    power_losses: u8,
}

#[derive(Clone, Debug, PartialEq)]
enum Action {
    TakeOver(usize),
    Decide(usize),
    Send(usize),
    Die(usize),
    Receive,
    ReceiverDies,
    Sync,
    Tell(u8),
    /// The disk has this much of the log.
    PowerLoss(usize),
}

impl World {
    fn journal(&self) -> Vec<u8> {
        let decided = |entry: &Entry| match entry {
            Entry::Decided { input } => Some(*input),
            _ => None,
        };
        self.log.iter().filter_map(decided).collect()
    }

    fn effects(&self) -> Vec<u8> {
        let effect = |entry: &Entry| match entry {
            Entry::Taken { input, .. } | Entry::Effect { input } => Some(*input),
            _ => None,
        };
        self.log.iter().filter_map(effect).collect()
    }

    /// The receiver's last number, from its own transitions.
    fn place(&self) -> u8 {
        let place = |entry: &Entry| match entry {
            Entry::Taken { number, .. } | Entry::Place { number } => Some(*number),
            _ => None,
        };
        self.log.iter().rev().find_map(place).unwrap_or(0)
    }

    /// Drops differences that mean nothing: which process an owner is, and entries that the
    /// receiver only passes over.
    fn normalise(&mut self) {
        self.owners.sort_unstable();
        let passes = |entry: &Entry| !matches!(entry, Entry::Sent { .. });
        while self.log.get(self.read).is_some_and(passes) {
            self.read += 1;
        }
    }

    fn sends(&self) -> usize {
        let sent = |entry: &&Entry| matches!(entry, Entry::Sent { .. });
        self.log.iter().filter(sent).count()
    }
}

impl Lanes {
    fn take_over(&self, world: &mut World, who: usize) {
        world.epoch += 1;
        let decided = world.journal();
        let sent = match self.without {
            Without::Reemission => decided.len() as u8,
            _ => 0,
        };
        world.owners[who] = Some(Owner {
            epoch: world.epoch,
            decided,
            sent,
        });
        // The fence is synced, and everything before it with it.
        world.log.push(Entry::Fence { epoch: world.epoch });
        world.durable = world.log.len();
    }

    fn decide(&self, world: &mut World, who: usize) {
        let current = world.epoch;
        let Some(owner) = &mut world.owners[who] else {
            return;
        };
        if owner.epoch < current && self.without != Without::Fencing {
            // Refused: a stale owner stops.
            world.owners[who] = None;
            return;
        }
        let input = owner.decided.len() as u8;
        owner.decided.push(input);
        world.log.push(Entry::Decided { input });
    }

    fn send(world: &mut World, who: usize) {
        let Some(owner) = &mut world.owners[who] else {
            return;
        };
        let input = owner.decided[usize::from(owner.sent)];
        owner.sent += 1;
        world.log.push(Entry::Sent {
            number: owner.sent,
            input,
        });
    }

    fn receive(&self, world: &mut World) {
        let Some(entry) = world.log.get(world.read).cloned() else {
            return;
        };
        let Entry::Sent { number, input } = entry else {
            world.read += 1;
            return;
        };
        let last = world.place();
        world.read += 1;
        if number <= last && self.without != Without::Deduplication {
            return;
        }
        world.gap |= number > last + 1;
        match self.without {
            Without::AtomicEffects => {
                world
                    .log
                    .extend([Entry::Place { number }, Entry::Effect { input }]);
            }
            _ => world.log.push(Entry::Taken { number, input }),
        }
    }

    fn lose_power(world: &mut World, left: usize) {
        world.log.truncate(left);
        world.durable = left;
        world.owners = [None, None];
        world.read = 0;
        world.power_losses += 1;
    }
}

impl Model for Lanes {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            log: Vec::new(),
            durable: 0,
            epoch: 0,
            owners: [None, None],
            read: 0,
            gap: false,
            told: Vec::new(),
            power_losses: 0,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        for (who, owner) in world.owners.iter().enumerate() {
            match owner {
                None if world.epoch < self.epochs_max => actions.push(Action::TakeOver(who)),
                None => {}
                Some(owner) => {
                    if (owner.decided.len() as u8) < self.inputs {
                        actions.push(Action::Decide(who));
                    }
                    if usize::from(owner.sent) < owner.decided.len()
                        && world.sends() < self.sends_max
                    {
                        actions.push(Action::Send(who));
                    }
                    actions.push(Action::Die(who));
                }
            }
        }
        if world.read < world.log.len() {
            actions.push(Action::Receive);
        }
        if world.read > 0 && world.sends() > 0 {
            actions.push(Action::ReceiverDies);
        }
        if world.durable < world.log.len() {
            actions.push(Action::Sync);
        }
        if world.power_losses < self.power_losses_max {
            actions.extend((world.durable..=world.log.len()).map(Action::PowerLoss));
        }
        let known = match self.without {
            Without::WaitingForTheDisk => world.log.len(),
            _ => world.durable,
        };
        for entry in &world.log[..known] {
            if let Entry::Decided { input } = entry
                && !world.told.contains(input)
            {
                actions.push(Action::Tell(*input));
            }
        }
    }

    fn next_state(&self, before: &World, action: Action) -> Option<World> {
        let mut world = before.clone();
        match action {
            Action::TakeOver(who) => self.take_over(&mut world, who),
            Action::Decide(who) => self.decide(&mut world, who),
            Action::Send(who) => Self::send(&mut world, who),
            Action::Die(who) => world.owners[who] = None,
            Action::Receive => self.receive(&mut world),
            Action::ReceiverDies => world.read = 0,
            Action::Sync => world.durable = world.log.len(),
            Action::Tell(input) => {
                world.told.push(input);
                world.told.sort_unstable();
            }
            Action::PowerLoss(left) => Self::lose_power(&mut world, left),
        }
        world.normalise();
        Some(world)
    }

    /// A receiver that takes repeats never comes to an end; with all rules nothing is cut off.
    fn within_boundary(&self, world: &World) -> bool {
        let entries = 3 * usize::from(self.inputs) + usize::from(self.epochs_max);
        self.without == Without::Nothing || world.log.len() <= entries + self.sends_max
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("I1: what was told is in the journal", |_, world: &World| {
                let journal = world.journal();
                world.told.iter().all(|input| journal.contains(input))
            }),
            Property::always("I2: nothing is decided twice", |_, world: &World| {
                let journal = world.journal();
                journal
                    .iter()
                    .enumerate()
                    .all(|(at, input)| at == usize::from(*input))
            }),
            Property::always(
                "I2: nothing takes effect twice or out of order",
                |_, world: &World| {
                    let effects = world.effects();
                    effects
                        .iter()
                        .enumerate()
                        .all(|(at, input)| at == usize::from(*input))
                },
            ),
            Property::always("I2: no effect without its decision", |_, world: &World| {
                world.effects().len() <= world.journal().len()
            }),
            Property::always("I1: no lane has a gap", |_, world: &World| !world.gap),
            Property::sometimes("everything arrives", |model: &Lanes, world: &World| {
                world.effects().len() == usize::from(model.inputs)
                    && world.epoch == model.epochs_max
                    && world.power_losses == model.power_losses_max
            }),
        ]
    }
}

fn check(without: Without) -> impl Checker<Lanes> {
    let model = Lanes {
        without,
        inputs: 2,
        epochs_max: 2,
        sends_max: 3,
        power_losses_max: 1,
    };
    model.checker().threads(2).spawn_bfs().join()
}

#[test]
fn with_every_rule_no_interleaving_loses_or_doubles_anything() {
    let checker = check(Without::Nothing);
    assert!(
        checker.unique_state_count() > 10_000,
        "the bounds are too narrow to mean anything"
    );
    println!("{} states", checker.unique_state_count());
    checker.assert_properties();
}

/// Without a rule the model finds the fault that the rule is for.
#[track_caller]
fn finds(without: Without, fault: &'static str) {
    let checker = check(without);
    let path = checker.discovery(fault);
    assert!(
        path.is_some(),
        "{without:?}: the model does not find {fault:?}"
    );
}

#[test]
fn without_fencing_a_stale_owner_decides_twice() {
    finds(Without::Fencing, "I2: nothing is decided twice");
}

#[test]
fn without_reemission_a_lane_has_a_gap() {
    finds(Without::Reemission, "I1: no lane has a gap");
}

#[test]
fn without_deduplication_effects_are_doubled() {
    finds(
        Without::Deduplication,
        "I2: nothing takes effect twice or out of order",
    );
}

#[test]
fn without_waiting_for_the_disk_what_was_told_is_lost() {
    finds(
        Without::WaitingForTheDisk,
        "I1: what was told is in the journal",
    );
}

#[test]
fn without_atomic_effects_an_effect_is_lost() {
    finds(
        Without::AtomicEffects,
        "I2: nothing takes effect twice or out of order",
    );
}
