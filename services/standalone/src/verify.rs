//! `prepx verify`: whether the books are right, and the first difference.
//!
//! For a stopped data directory it folds every journal, brings the ledger up to the log's end, and compares: I3
//! (every transition balances, and all books of an asset add up to zero; clearing is zero once the lanes are
//! drained), I4 (accounts hold what their open orders hold, and nothing without an open order), I6 (the ledger in
//! SQL, the stages as they would start, and the fold of the journals from their beginning agree; every row of orders,
//! activities, daily changes and transfers is as the stages emitted it, as far back as the log goes), and the audit
//! chain with its signed roots. If the oldest part was dropped, it starts from the signed checkpoint: that and
//! everything since must result in what the stages have. It takes the directory's lock, so nothing changes meanwhile.
//! A running platform is asked to compare its ledger with its stages at one moment, and to hash again what no root
//! covers yet; its signed roots are checked here. On Apache Kafka the journals are read here in both cases, from the
//! archive where the log has dropped them: as far back as they go they must be what was signed, and result in the
//! same books. Before that every database and key of a data directory must be there and whole; what is missing is never made
//! here. Messages that operators have had skipped are always printed, also with a difference.

mod journals;
mod replay;
mod report;
mod running;
mod stages;

use std::sync::Arc;

use anyhow::{Context as _, Error, Result, anyhow, bail, ensure};
use clap::Args;
use prepx_analytics::Check;
use prepx_bus::file::RealDir;
use prepx_bus::{EmbeddedLog, Log, Topic};
use prepx_domain::update::OrderView;
use prepx_env::SystemClock;
use prepx_portfolio::audit::{self, Counts, Totals};
use prepx_portfolio::{Ledger, Projection};
use prepx_runtime::config::Sources;
use prepx_stage::follow::Tail;
use prepx_stage::port::{PastOrders, UpdatesPort};
use prepx_stage::{Following, Retention, Skip, Stage, Topology};
use prepx_store::Layout;

use crate::client::{Believed, Connection};
use crate::disk::checkpoint::Checkpoint;
use crate::files;
use crate::progress::bar;
use crate::recorded::{Opened, Recorded};
use crate::settings::Settings;
use journals::Extent;
use report::Report;
use stages::{Folded, fold_all};

/// Which books to check.
#[derive(Debug, Args)]
#[command(
    after_help = "Compared in SQL: postings and their opening balances (every change balances, every book is the stages'), and row by
row with the event log, as far back as it goes: orders, activities, daily_changes, simulated, transfers (not their names,
stamps and whether they are settled, which no log has). The signed roots and heads of the audit are checked.
Every database must be whole, and the keys of users there and theirs; a damaged snapshot is a warning.
Not compared: users, keys and sessions, webhooks and dead letters, whose source is SQL itself, not the log; trades,
quotes, bars and books of market data, which hold neither money nor orders; the list of what was skipped.

Of a platform on Apache Kafka (--config of a service, or --log-url and what else it says) the journals are
folded from their beginnings, out of the archive too, beside the platform (--url) or when it does not run.

Exit codes: 0 the books are right, 1 the first difference, which is printed.

Examples:
  prepx verify
  prepx verify --data-dir /var/lib/prepx --json
  prepx verify --url http://127.0.0.1:8080
  prepx verify --url https://prepx.example.com --config risk.toml"
)]
pub struct Verify {
    /// Where it is recorded.
    #[command(flatten)]
    pub recorded: Recorded,
    /// Where its services' schemas are, if not in the data directory: `sql_url` of its settings.
    #[arg(
        long,
        env = "PREPX_SQL_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub sql_url: Option<String>,
    /// A running platform: compares its ledger with its stages at one moment, and checks its signed roots and the
    /// records behind the newest.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// The CA to trust there.
    #[command(flatten)]
    pub believed: Believed,
    /// With --url: an operator's key.
    #[arg(long, env = "PREPX_KEY_ID", default_value = "operator")]
    pub key_id: String,
    /// With --url: its secret; better in the environment than on the command line.
    #[arg(
        long,
        env = "PREPX_SECRET_KEY",
        hide_env_values = true,
        default_value = "operator-secret"
    )]
    pub secret_key: String,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Checks and prints the totals.
///
/// # Errors
/// The first difference, or why it could not be checked.
pub fn run(options: Verify) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let report = runtime.block_on(async {
        match &options.url {
            None => stopped(&settings_of(&options)?, &options.recorded).await,
            Some(url) => {
                let (ca, key_id) = (&options.believed.ca, &options.key_id);
                let to = Connection::new(url, ca, key_id, &options.secret_key)?;
                running::verify(&to, &options.recorded).await
            }
        }
    });
    if let (true, Err(error)) = (options.json, &report) {
        println!("{}", report::refused(error));
    }
    report?.print(options.json);
    Ok(())
}

/// The platform's settings, as far as they matter here.
fn settings_of(options: &Verify) -> Result<Settings> {
    let file = options.recorded.config.clone();
    let mut settings: Settings = Sources {
        file,
        ..Sources::default()
    }
    .load()?;
    if let Some(data_dir) = &options.recorded.data_dir {
        settings.data_dir.clone_from(data_dir);
    }
    if let Some(sql_url) = &options.sql_url {
        settings.sql_url.clone_from(sql_url);
    }
    Ok(settings)
}

/// Verifies a platform that is not running.
async fn stopped(settings: &Settings, recorded: &Recorded) -> Result<Report> {
    let opened = recorded.open("prepx verify")?;
    let topology = opened.topology;
    let (folded, found) = match opened.embedded() {
        Some(log) => directory(settings, &opened, log).await?,
        None => on_kafka(settings, &opened).await?,
    };
    let layout = settings.layout(topology.account_partitions)?;
    let ledger = Ledger::open(&layout).await.context("the ledger")?;
    catch_up(&opened.log, &ledger, topology).await?;
    let updates = opened.updates(&settings.data_dir)?;
    let compared = async {
        let compared = compare(&folded, &ledger, topology).await?;
        let rows = rows(&layout, &ledger, updates, topology).await?;
        Ok::<_, Error>(Report {
            rows: Some(rows),
            ..compared
        })
    };
    let compared = compared.await;
    ledger.close().await;
    let compared = compared.map_err(|difference| report::explain(difference, &found.skipped))?;
    Ok(Report {
        audit: Some(found.audit),
        checkpoint: found.checkpoint,
        journals: found.extent,
        skipped: found.skipped,
        ..compared
    })
}

/// What was found of a platform that does not run.
struct Found {
    audit: prepx_analytics::Totals,
    checkpoint: Option<Checkpoint>,
    extent: Option<Extent>,
    skipped: Vec<Skip>,
}

/// The stages of an embedded data directory, as they would start and by the fold of everything recorded.
async fn directory(
    settings: &Settings,
    opened: &Opened,
    embedded: &EmbeddedLog,
) -> Result<(Folded, Found)> {
    let (data_dir, location) = (&settings.data_dir, settings.location()?);
    let topology = opened.topology;
    files::check(settings, files::has_told(embedded, topology)).await?;
    for path in files::damaged_snapshots(&data_dir.join("snapshots"), topology)? {
        let path = path.display();
        eprintln!(
            "warning: {path} is damaged, or of another version: a start passes this snapshot over"
        );
    }
    let folded = fold_all(&*opened.log, &opened.snapshots, topology)?;
    for (partition, stage) in folded.accounts.iter().enumerate() {
        let holds = stage.machine.check_invariants();
        holds.map_err(|difference| anyhow!("account partition {partition}: {difference}"))?;
    }
    let log_dir = RealDir::open(&data_dir.join("log"))?;
    let replayed = replay::replay(data_dir, (&*log_dir, embedded), &location, topology).await?;
    replayed.compare(&folded)?;
    let found = Found {
        audit: replayed.audit,
        checkpoint: replayed.checkpoint,
        extent: None,
        skipped: replayed.skipped,
    };
    Ok((folded, found))
}

/// The stages of a platform on Kafka, by the fold of their journals.
async fn on_kafka(settings: &Settings, opened: &Opened) -> Result<(Folded, Found)> {
    let topology = opened.topology;
    let seats = [Stage::ACCOUNT, Stage::MATCHING].map(|stage| topology.seats(stage));
    let _nobody_comes_meanwhile = opened.nobody_has(seats.into_iter().flatten())?;
    let (location, begins) = (settings.location()?, journals::begins(opened));
    let key = prepx_analytics::public_key(&settings.data_dir)?;
    let check = Check::open(&location, topology, key.as_ref(), begins).await?;
    let journals = journals::fold_all(opened, check, &[])?;
    let found = Found {
        audit: journals.audit,
        checkpoint: None,
        extent: Some(journals.extent),
        skipped: journals.skipped,
    };
    Ok((journals.folded, found))
}

/// Applies the records that the log has and the ledger has not. Nothing is released: other consumers may
/// still need what the ledger has.
async fn catch_up(log: &Arc<dyn Log>, ledger: &Ledger, topology: Topology) -> Result<()> {
    let retention = Arc::new(Retention::new(Arc::clone(log)));
    let mut left = 0;
    for (partition, next) in (0u32..).zip(ledger.positions(topology.account_partitions).await?) {
        let updates = Topic::PortfolioUpdates.partition(partition);
        let end = log.end(updates);
        ensure!(
            next <= end,
            "I6: the ledger has taken {updates} up to offset {next}, the log ends at {end}"
        );
        left += end - next;
        retention.release("verify", updates, log.start(updates))?;
    }
    let following = Following {
        tail: Tail::new(Arc::clone(log)),
        retention,
        topology,
        clock: Arc::new(SystemClock::new()),
        duties: prepx_stage::Duty::always().into(),
    };
    let bar = bar("ledger", left);
    let mut projection = Projection::open(following, ledger.clone()).await?;
    let taken = projection
        .catch_up(|batch| bar.inc(batch.next - batch.from))
        .await;
    bar.finish_and_clear();
    taken.context("the ledger cannot take what the log has")
}

async fn compare(folded: &Folded, ledger: &Ledger, topology: Topology) -> Result<Report> {
    let (unbalanced, postings) = ledger.balance().await?;
    if let Some(found) = unbalanced {
        bail!(audit::describe(&found));
    }
    let lanes = ledger.lanes(topology.account_partitions).await?;
    for (partition, (stage, &taken)) in (0u32..).zip(folded.accounts.iter().zip(&lanes)) {
        let updates = Topic::PortfolioUpdates.partition(partition);
        let sent = stage.head.sent.get(&updates).copied().unwrap_or_default();
        ensure!(
            sent == taken,
            "I6: account partition {partition} told {sent} changes, the ledger has {taken}"
        );
    }
    let everything = vec![i64::MAX as u64; folded.accounts.len()];
    let books = ledger.sums(&everything).await?;
    audit::compare(&folded.books(), &books).map_err(Error::msg)?;
    let totals = Totals::of(&books);
    totals.check_conserved().map_err(Error::msg)?;
    compare_orders(folded, ledger).await?;
    let undelivered = folded.undelivered();
    if undelivered == 0 {
        totals.check_drained().map_err(Error::msg)?;
    }
    Ok(Report {
        positions: folded.accounts.iter().map(|stage| stage.head.seq).collect(),
        accounts: folded.account_ids().count() as u64,
        postings,
        undelivered,
        signed: None,
        audit: None,
        checkpoint: None,
        journals: None,
        rows: None,
        skipped: Vec::new(),
        totals,
    })
}

/// Every row of the tables must be as the stages emitted it.
async fn rows(
    layout: &Layout,
    ledger: &Ledger,
    updates: Arc<dyn UpdatesPort>,
    topology: Topology,
) -> Result<Counts> {
    let partitions = topology.account_partitions;
    let tables = prepx_portfolio::compared(layout, ledger.clone(), updates, partitions);
    let tables = tables.await.context("the transfers")?;
    let compared = tables.compare().await;
    tables.transfers.close().await;
    compared?.map_err(Error::msg)
}

/// Open orders must be in the books as the stage has them.
async fn compare_orders(folded: &Folded, ledger: &Ledger) -> Result<()> {
    let open: Vec<OrderView> = folded.open_orders().collect();
    let bar = bar("orders", open.len() as u64);
    for order in open {
        let which = PastOrders::Id(order.id);
        let mut view = ledger.view(order.account).await?;
        let found = view.orders(order.account, &which).await?.pop();
        ensure!(
            found.as_ref() == Some(&order),
            "I6: order {}: the account stage has {order:?}, the books {found:?}",
            order.id
        );
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
