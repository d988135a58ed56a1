//! What every simulated platform has, however its owners are connected: clients who ask until they are
//! told, and partitions that must agree when everybody has been.

use prepx_bus::Log;
use prepx_domain::message::{Action, Command};
use prepx_domain::{AccountId, Micros, Slot};
use prepx_risk::AccountCodec;
use prepx_stage::{Partition, Snapshots, Stage};
use prepx_trading::MatchingCodec;

use crate::clients::Clients;
use crate::{Report, TOPOLOGY, account, checks, matching};

/// Rounds after which it is taken never to come to rest.
const ROUNDS_MAX: u32 = 50;

/// A platform of one process or many.
pub trait Platform {
    fn clients(&self) -> &Clients;
    fn clients_mut(&mut self) -> &mut Clients;
    fn now(&self) -> Micros;
    fn log(&self) -> &dyn Log;
    fn snapshots(&self) -> Snapshots;
    /// Who owns the account stage's partitions. What they know is ahead of what is durable.
    fn accounts(&self) -> impl Iterator<Item = &Partition<AccountCodec>>;
    /// Who owns the matching stage's.
    fn matching(&self) -> impl Iterator<Item = &Partition<MatchingCodec>>;
    /// A client's command is on its way.
    fn ask(&mut self, at: usize, command: &Command);
    /// The operator asks for what nobody knows to be defined.
    fn define(&mut self);
    /// Everything that is on its way arrives, and clients are told. Without faults.
    fn settle(&mut self);

    fn ask_all(&mut self, all: &[(usize, Command)]) {
        all.iter().for_each(|(at, command)| self.ask(*at, command));
    }

    /// Every client asks for an account.
    fn open_all(&mut self) {
        let now = self.now();
        let all = self.clients_mut().open_all(now);
        self.ask_all(&all);
    }

    /// Every client that has an account pays something in.
    fn fund_all(&mut self) {
        let now = self.now();
        let all = self.clients_mut().fund_all(now);
        self.ask_all(&all);
    }

    /// Every client has an account with something in it, before the first fault.
    fn fund(&mut self) {
        self.settle();
        self.open_all();
        self.settle();
        self.fund_all();
        self.settle();
    }

    /// How far everybody has come: at rest nobody takes anything.
    fn heads(&self) -> Vec<u64> {
        let accounts = self.accounts().map(|owner| owner.head().seq);
        accounts
            .chain(self.matching().map(|owner| owner.head().seq))
            .collect()
    }

    /// Everybody asks until they are told, and asks everything again.
    fn come_to_rest(&mut self) {
        for round in 0.. {
            assert!(round < ROUNDS_MAX, "it does not come to rest");
            self.define();
            let unanswered = self.clients().unanswered();
            self.ask_all(&unanswered);
            if round == 2 {
                let everything = self.clients().everything();
                self.ask_all(&everything);
            }
            let before = self.heads();
            self.settle();
            if round > 2 && unanswered.is_empty() && self.heads() == before {
                return;
            }
        }
    }

    /// Every partition is what its journal says (I6).
    fn fold_is_live(&self) {
        let (log, snapshots) = (self.log(), self.snapshots());
        for live in self.accounts() {
            checks::fold_is_live(&*account(), live, log, &snapshots);
        }
        for live in self.matching() {
            checks::fold_is_live(&*matching(), live, log, &snapshots);
        }
    }

    /// What was decided is what is decided again (I7).
    fn decides_again(&self) {
        let (log, snapshots) = (self.log(), self.snapshots());
        for seat in TOPOLOGY.seats(Stage::ACCOUNT) {
            checks::decides_again(account(), seat, log, &snapshots);
        }
        for seat in TOPOLOGY.seats(Stage::MATCHING) {
            checks::decides_again(matching(), seat, log, &snapshots);
        }
    }

    /// All must agree, at rest. Answers what came of the run.
    fn agree(&self) -> Report {
        assert_eq!(self.clients().unanswered().len(), 0, "everybody was told");
        assert_eq!(self.accounts().count() + self.matching().count(), 4);
        self.fold_is_live();
        self.decides_again();
        checks::books_balance(self.accounts(), self.clients());
        checks::books_and_accounts_agree(self.accounts(), self.matching());
        checks::lanes_are_dense(self.log(), TOPOLOGY);
        Report {
            fingerprint: checks::fingerprint(self.log(), TOPOLOGY),
            orders: self.clients().orders().len(),
            trades: checks::traded(self.accounts()),
            parked: checks::parked(self.matching()),
            epoch: self.accounts().map(|owner| owner.head().epoch).max(),
        }
    }
}

/// The platform with an account of 100 USD on it, everything durable and told.
pub fn funded<P: Platform>(mut platform: P) -> (P, AccountId) {
    let user = platform.clients().user(0).0;
    let open = Action::OpenAccount {
        user,
        simulated: false,
    };
    let at = ask(&mut platform, Slot::of_user(user), open);
    platform.settle();
    assert!(platform.clients().was_told(at));
    let opened = platform.clients().user(0).1;
    let account = opened.expect("the account was opened");
    deposit(&mut platform, account);
    platform.settle();
    assert_eq!(balance(&platform, account), 100);
    (platform, account)
}

fn ask(platform: &mut impl Platform, slot: Slot, action: Action) -> usize {
    let now = platform.now();
    let (at, command) = platform.clients_mut().ask(slot, now, action);
    platform.ask(at, &command);
    at
}

/// Another 100 USD.
pub fn deposit(platform: &mut impl Platform, account: AccountId) -> usize {
    let action = Action::Deposit {
        account,
        asset: "USD".parse().expect("an asset"),
        amount_minor: 100,
    };
    ask(platform, account.slot(), action)
}

/// As the owner knows it, which is ahead of what is durable.
pub fn balance(platform: &impl Platform, account: AccountId) -> i64 {
    let number = account.slot().partition(TOPOLOGY.account_partitions);
    let mut owners = platform.accounts();
    let owner = owners.find(|owner| owner.seat().partition == number);
    let view = owner.and_then(|owner| owner.machine().account(account));
    view.map_or(0, |view| view.balances[0].available_minor)
}

/// What the client does not know it asks again, and then it stands once.
#[track_caller]
pub fn asks_again_and_stands_once(platform: &mut impl Platform, account: AccountId) {
    platform.come_to_rest();
    assert_eq!(balance(platform, account), 200, "I1, I2");
    platform.agree();
}
