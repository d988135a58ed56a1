//! What is left when an operator has a stage go on without a message, what `prepx verify` says of it, and
//! how it is ended.

use std::path::Path;
use std::sync::Arc;

use prepx_account::Config;
use prepx_bus::file::RealDir;
use prepx_bus::{EmbeddedLog, Topic};
use prepx_domain::message::{self, Action, PlaceOrder, ToAccount};
use prepx_domain::{AccountId, OrderId, OrderKind, Side, TimeInForce};
use prepx_env::{Clock as _, Random, SystemClock};
use prepx_proto::portfolio::v1::DepositRequest;
use prepx_proto::portfolio::v1::admin_service_client::AdminServiceClient as Portfolio;
use prepx_proto::user::v1::AddAccountRequest;
use prepx_proto::user::v1::user_service_client::UserServiceClient;
use prepx_risk::AccountCodec;
use prepx_stage::lane::Message;
use prepx_stage::{Codec, Parcel, Partition, Seat, Snapshots, Stage, Takeover, Topology};
use prepx_standalone::core::{Options, manifest};
use prepx_trading::MatchingCodec;
use serde_json::{Value, json};

use crate::platform::{Key, Platform, found, prepx};

/// The report of `prepx verify`, which must find nothing.
fn verified(of: &[&str]) -> Value {
    let (code, words) = prepx(&[&["verify", "--json"], of].concat());
    assert_eq!(code, Some(0), "{words}");
    serde_json::from_str(&words).expect("JSON")
}

/// An account that has so much of an asset.
pub async fn add_account(platform: &Platform, email: &str, asset: &str, amount: &str) -> AccountId {
    let request = Key::operator().sign(AddAccountRequest {
        email: email.to_owned(),
        simulated: false,
    });
    let mut users = UserServiceClient::new(platform.peer());
    let made = users.add_account(request).await.expect("it is made");
    let account_id = made.into_inner().account_id;
    let request = Key::operator().sign(DepositRequest {
        account_id: account_id.clone(),
        asset: asset.to_owned(),
        amount: amount.to_owned(),
        idempotency_key: format!("first of {email}"),
    });
    let paid = Portfolio::new(platform.peer()).deposit(request).await;
    paid.expect("it is paid in");
    AccountId::from_uuid(account_id.parse().expect("a UUID")).expect("an account's")
}

/// Ends a platform as an operator does.
pub fn end(mut platform: Platform) {
    platform.terminate();
    assert!(platform.process.wait().expect("it ends").success());
}

/// A good-till-cancelled limit order at 99.
fn order(account: AccountId, side: Side, shares: i64) -> PlaceOrder {
    PlaceOrder {
        account,
        symbol: "LOST".parse().expect("a symbol"),
        side,
        kind: OrderKind::Limit {
            limit: 9_900_000_000,
        },
        time_in_force: TimeInForce::GoodTilCanceled,
        qty_minor: shares * 100_000_000,
        post_only: false,
        extended_hours: false,
        expires_at: None,
        client_order_id: format!("{side:?} {shares}"),
    }
}

/// The stages of a platform that does not run, a decision at a time: what one decides the other has not
/// taken, as when the process dies in between.
struct Steps {
    log: Arc<EmbeddedLog>,
    snapshots: Snapshots,
    topology: Topology,
    accounts: Arc<AccountCodec>,
    matching: Arc<MatchingCodec>,
}

impl Steps {
    fn of(data_dir: &Path) -> Steps {
        let log_dir = RealDir::open(&data_dir.join("log")).expect("a log");
        let log = EmbeddedLog::open(log_dir, Options::new(data_dir).log).expect("nobody holds it");
        let snapshots = RealDir::open(&data_dir.join("snapshots")).expect("a folder");
        let topology = manifest::read(data_dir).expect("a data directory");
        let config = Config::of_partitions(topology.account_partitions);
        Steps {
            log,
            snapshots: Snapshots::new(snapshots),
            topology,
            accounts: Arc::new(AccountCodec::new(config)),
            matching: Arc::new(MatchingCodec::bundled().expect("calendars")),
        }
    }

    fn open<C: Codec>(&self, codec: &Arc<C>, seat: Seat) -> Partition<C> {
        let takeover = Takeover {
            who: "a test",
            now: SystemClock::new().now(),
            reemit: false,
            watch: &(),
        };
        let (codec, log) = (Arc::clone(codec), &*self.log);
        Partition::open(codec, seat, self.topology, log, &self.snapshots, takeover).expect("whole")
    }

    /// Makes durable what a partition has decided. Answers what it sends.
    fn made_durable<C: Codec, R>(
        &self,
        partition: &mut Partition<C>,
        receive: impl Fn(C::Sends) -> R,
    ) -> Vec<Parcel<R>> {
        partition.append(&*self.log).expect("room");
        self.log.flush().expect("a disk");
        let mut sent = Vec::new();
        partition.drain_sent(|_, parcel| sent.push(parcel), receive);
        sent
    }

    /// Has the account stage accept an order. Answers it, and what matching has not heard.
    fn accept(&self, order: PlaceOrder) -> (OrderId, Parcel<prepx_matching::Input>) {
        let account = order.account;
        let at = account.slot().partition(self.topology.account_partitions);
        let mut stage = self.open(&self.accounts, Stage::ACCOUNT.seat(at));
        let command = message::Command {
            id: Random::from_system().uuid(),
            stamped_at: SystemClock::new().now(),
            slot: account.slot(),
            action: Action::Place(order),
        };
        let input = prepx_account::Input::Command(command);
        stage.take_command(0, &input, None).expect("it is decided");
        let receive = |message| self.matching.receive(message);
        let sent = self.made_durable(&mut stage, receive).pop();
        let accepted = stage.machine().open_orders(account).pop();
        let id = accepted.expect("it was accepted").id;
        (id, sent.expect("matching is told"))
    }

    /// Has the matching stage take what account partitions have sent. Answers what it sends to them.
    fn matched(
        &self,
        parcels: &[Parcel<prepx_matching::Input>],
    ) -> Vec<Parcel<prepx_account::Input>> {
        let at = parcels[0].from.partition;
        let mut stage = self.open(&self.matching, Stage::MATCHING.seat(at));
        for parcel in parcels {
            assert!(stage.take_parcel(parcel).expect("it is next"), "room");
        }
        self.made_durable(&mut stage, |message| self.accounts.receive(message))
    }
}

/// Who has not taken a message, and which: as `prepx stage skip` wants them.
fn names<I>(parcel: &Parcel<I>, place: usize) -> (String, String) {
    let seat = match parcel.from.topic {
        Topic::OrderProcessing => Stage::MATCHING.seat(parcel.from.partition),
        _ => Stage::ACCOUNT.seat(parcel.from.partition),
    };
    let number = parcel.first + place as u64;
    let source = parcel.source;
    (seat.to_string(), Message { source, number }.to_string())
}

/// Has a stage go on without a message. Answers what `prepx verify` is to list.
fn skip(data_dir: &str, (partition, message): (&str, &str)) -> Value {
    let place = ["--data-dir", data_dir, "--partition", partition];
    let what = ["--input", message, "--reason", "a test of an operator"];
    let (code, words) = prepx(&[&["stage", "skip"], &place[..], &what[..]].concat());
    assert_eq!(code, Some(0), "{words}");
    json!([{
        "partition": partition,
        "input": message,
        "reason": "a test of an operator",
    }])
}

/// Waits until a platform that runs says that a skip was made: the audit takes it from the journal.
async fn listed(url: &str, skipped: &Value) {
    found("the skip", async || {
        (verified(&["--url", url])["skipped"] == *skipped).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_a_skip_has_lost_is_ended_by_an_operator_and_the_books_are_right() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().to_str().unwrap();
    let platform = Platform::start(directory.path());
    platform.add_instrument("LOST").await;
    let account = add_account(&platform, "lost@example.com", "USD", "1000").await;
    end(platform);

    let (id, unheard) = Steps::of(directory.path()).accept(order(account, Side::Buy, 5));
    let (partition, message) = names(&unheard, 0);
    let skipped = skip(data_dir, (&partition, &message));
    let held = |report: &Value| report["totals"]["USD"]["held"].clone();
    let report = verified(&["--data-dir", data_dir]);
    assert_eq!(
        (held(&report), &report["skipped"]),
        (json!("495"), &skipped)
    );

    let platform = Platform::start(directory.path());
    let url = platform.url.clone();
    listed(&url, &skipped).await;
    assert_eq!(
        held(&verified(&["--url", &url])),
        "495",
        "nothing ends it by itself"
    );
    let id = id.to_string();
    let ending = ["order", "end", "--id", &id, "--reason", "lost by a skip"];
    let (code, words) = prepx(&[&["admin", "--url", &url], &ending[..]].concat());
    assert_eq!(code, Some(0), "{words}");
    found("the end of the order", async || {
        (held(&verified(&["--url", &url])) == "0").then_some(())
    })
    .await;
    let (code, words) = prepx(&[&["admin", "--url", &url], &ending[..]].concat());
    assert_eq!(code, Some(1), "it has ended: {words}");
    end(platform);
    let report = verified(&["--data-dir", data_dir]);
    assert_eq!((held(&report), &report["skipped"]), (json!("0"), &skipped));
    let (_, words) = prepx(&["verify", "--data-dir", data_dir]);
    let said = format!("{partition} went on without {message} (a test of an operator)");
    assert!(words.contains(&said), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_skipped_fill_leaves_wrong_is_named_with_the_skip() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().to_str().unwrap();
    let platform = Platform::start(directory.path());
    platform.add_instrument("LOST").await;
    let seller = add_account(&platform, "seller@example.com", "LOST", "3").await;
    let buyer = add_account(&platform, "buyer@example.com", "USD", "1000").await;
    end(platform);

    let steps = Steps::of(directory.path());
    let unheard = [order(seller, Side::Sell, 3), order(buyer, Side::Buy, 5)];
    let untaken = steps.matched(&unheard.map(|order| steps.accept(order).1));
    drop(steps);
    let bought = |input: &prepx_account::Input| match input {
        prepx_account::Input::FromMatching(ToAccount::Fill(fill)) => fill.account == buyer,
        _ => false,
    };
    let (partition, message) = untaken
        .iter()
        .find_map(|parcel| Some(names(parcel, parcel.inputs.iter().position(bought)?)))
        .expect("the buyer is told");
    let skipped = skip(data_dir, (&partition, &message));

    // The rest is taken: the seller's three shares are on their way for good.
    let platform = Platform::start(directory.path());
    listed(&platform.url, &skipped).await;
    end(platform);
    let (code, words) = prepx(&["verify", "--data-dir", data_dir]);
    assert_eq!(code, Some(1), "{words}");
    let difference = format!(
        "I3: the lanes are drained and clearing has 3 LOST, not 0; as operators decided, \
         {partition} went on without {message} (a test of an operator)"
    );
    assert!(words.contains(&difference), "{words}");
}
