//! The suite that every engine of [`Leases`] passes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::{Change, Leases};

/// How many partitions there are to share.
pub const PARTITIONS: u32 = 4;
/// How long one call waits for a change.
const CALL: Duration = Duration::from_millis(20);
/// How many calls of all members are enough for any group on any machine; nothing is measured.
const CALLS_MAX: u32 = 5_000;

/// A group under test, without members yet.
pub trait Engine {
    /// One more member of the group, as another process has it.
    fn join(&mut self) -> Arc<dyn Leases>;

    /// Makes a member unheard of for a session; nobody calls it until the others have what it had. An engine
    /// whose time passes by itself has nothing to do.
    fn silence(&mut self, member: &Arc<dyn Leases>);
}

/// A check of the suite.
pub type Check = fn(&mut dyn Engine);

/// All checks by name.
pub const CHECKS: &[(&str, Check)] = &[
    ("a_lone_member_has_everything", a_lone_member_has_everything),
    ("members_share_and_hand_over", members_share_and_hand_over),
    (
        "nothing_moves_before_it_is_released",
        nothing_moves_before_it_is_released,
    ),
    (
        "who_leaves_hands_over_everything",
        who_leaves_hands_over_everything,
    ),
    (
        "who_is_silent_loses_everything_and_may_come_back",
        who_is_silent_loses_everything,
    ),
    (
        "who_is_gone_leaves_its_partitions",
        who_is_gone_leaves_its_partitions,
    ),
];

/// Runs every check on an engine of its own.
pub fn run<E: Engine>(mut fresh: impl FnMut() -> E) {
    for (name, check) in CHECKS {
        eprintln!("conformance of leases: {name}");
        check(&mut fresh());
    }
}

/// A member with what it has, as it has heard.
struct Process {
    leases: Arc<dyn Leases>,
    has: BTreeSet<u32>,
    /// Of those, what it is to release.
    asked: BTreeSet<u32>,
    lost: BTreeSet<u32>,
}

impl Process {
    fn join(engine: &mut dyn Engine) -> Process {
        Process {
            leases: engine.join(),
            has: BTreeSet::new(),
            asked: BTreeSet::new(),
            lost: BTreeSet::new(),
        }
    }

    fn hear(&mut self) {
        let change = self.leases.next(CALL).expect("the group takes its members");
        match change {
            None => {}
            Some(Change::Granted(granted)) => {
                assert!(self.has.insert(granted), "{granted} is granted twice");
            }
            Some(Change::Revoked(revoked)) => {
                assert!(self.has.contains(&revoked), "{revoked} was never granted");
                assert!(self.asked.insert(revoked), "{revoked} is revoked twice");
            }
            Some(Change::Lost(lost)) => {
                assert!(self.has.remove(&lost), "{lost} was never granted");
                self.asked.remove(&lost);
                self.lost.insert(lost);
            }
        }
    }

    fn release(&mut self) {
        for released in std::mem::take(&mut self.asked) {
            self.has.remove(&released);
            self.leases.release(released);
        }
    }
}

/// Has members hear until it is as it should be. No two have one partition meanwhile.
fn until(members: &mut [&mut Process], releases: bool, done: impl Fn(&[&mut Process]) -> bool) {
    for _ in 0..CALLS_MAX {
        for member in members.iter_mut() {
            member.hear();
            if releases {
                member.release();
            }
        }
        let mut all = BTreeSet::new();
        for partition in members.iter().flat_map(|member| &member.has) {
            assert!(all.insert(*partition), "two members have {partition}");
        }
        if done(members) {
            return;
        }
    }
    let has: Vec<_> = members.iter().map(|member| &member.has).collect();
    panic!("it does not come to what it should be; members have {has:?}");
}

fn has_all(member: &Process) -> bool {
    member.has.len() == PARTITIONS as usize && member.asked.is_empty()
}

fn share(members: &[&mut Process]) -> bool {
    let equal = PARTITIONS as usize / members.len();
    members.iter().all(|member| member.has.len() == equal)
}

/// Who is alone has each partition once.
pub fn a_lone_member_has_everything(engine: &mut dyn Engine) {
    let mut member = Process::join(engine);
    assert!(member.leases.session() > Duration::ZERO);
    until(&mut [&mut member], true, |all| has_all(all[0]));
    assert_eq!(member.has, (0..PARTITIONS).collect());
}

/// Two share, four have one each, whoever comes when.
pub fn members_share_and_hand_over(engine: &mut dyn Engine) {
    let mut first = Process::join(engine);
    until(&mut [&mut first], true, |all| has_all(all[0]));
    let mut second = Process::join(engine);
    until(&mut [&mut first, &mut second], true, share);
    assert!(first.lost.is_empty(), "what is handed over is not lost");
    let (mut third, mut fourth) = (Process::join(engine), Process::join(engine));
    let mut all = [&mut first, &mut second, &mut third, &mut fourth];
    until(&mut all, true, share);
}

/// What is revoked stays where it is until it is let go.
pub fn nothing_moves_before_it_is_released(engine: &mut dyn Engine) {
    let mut first = Process::join(engine);
    until(&mut [&mut first], true, |all| has_all(all[0]));
    let mut second = Process::join(engine);
    let asked = |all: &[&mut Process]| all[0].asked.len() == PARTITIONS as usize / 2;
    until(&mut [&mut first, &mut second], false, asked);
    for _ in 0..20 {
        until(&mut [&mut first, &mut second], false, |_| true);
        assert!(second.has.is_empty(), "it is granted before it is released");
    }
    until(&mut [&mut first, &mut second], true, share);
}

/// Who leaves is asked for all that it has, and the others get it.
pub fn who_leaves_hands_over_everything(engine: &mut dyn Engine) {
    let (mut first, mut second) = (Process::join(engine), Process::join(engine));
    until(&mut [&mut first, &mut second], true, share);
    first.leases.leave();
    until(&mut [&mut first, &mut second], true, |all| {
        all[0].has.is_empty() && has_all(all[1])
    });
    assert!(first.lost.is_empty(), "what is handed over is not lost");
    for _ in 0..20 {
        until(&mut [&mut first, &mut second], true, |_| true);
    }
    assert!(has_all(&second), "who has left gets nothing more");
}

/// Who is not heard of for a session loses all, hears that first when it is back, and gets a share again.
pub fn who_is_silent_loses_everything(engine: &mut dyn Engine) {
    let (mut first, mut second) = (Process::join(engine), Process::join(engine));
    until(&mut [&mut first, &mut second], true, share);
    engine.silence(&first.leases);
    let had = std::mem::take(&mut first.has);
    until(&mut [&mut second], true, |all| has_all(all[0]));
    first.has.clone_from(&had);
    while first.lost != had {
        let before = first.has.clone();
        first.hear();
        assert!(first.has.is_subset(&before), "it hears of its loss first");
    }
    until(&mut [&mut first, &mut second], true, share);
}

/// Who is dropped without a word leaves its partitions to the others.
pub fn who_is_gone_leaves_its_partitions(engine: &mut dyn Engine) {
    let (mut first, mut second) = (Process::join(engine), Process::join(engine));
    until(&mut [&mut first, &mut second], true, share);
    drop(first);
    until(&mut [&mut second], true, |all| has_all(all[0]));
}
