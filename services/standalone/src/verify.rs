//! `prepx verify`: whether the books are right, and where they first are not.
//!
//! Of a stopped data directory it folds every journal, brings the ledger up to the log's end and
//! compares: I3 (every transition balances, and all books of an asset add up to zero; clearing is
//! zero once the lanes are drained), I4 (accounts hold what their open orders hold, and nothing
//! without), I6 (the ledger in SQL, the stages as they would start, and the fold of the journals
//! from their beginning say the same), and the audit chain with its signed roots. Where the oldest was
//! dropped it starts from the signed checkpoint: what it says and everything since must come to what
//! the stages have. It takes the
//! directory's lock, so nothing moves meanwhile. A platform that runs is asked to compare its ledger
//! with its stages at one moment and to hash again what no root covers yet; its signed roots are
//! checked here. Either way what operators had stages go on without is said, beside a difference too.

mod replay;
mod report;
mod stages;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Error, Result, anyhow, bail, ensure};
use clap::Args;
use prepx_bus::file::RealDir;
use prepx_bus::{EmbeddedLog, Log, Topic};
use prepx_domain::update::OrderView;
use prepx_env::SystemClock;
use prepx_platform::DATA_DIR;
use prepx_portfolio::audit::{self, Totals};
use prepx_portfolio::{Ledger, Projection};
use prepx_proto::analytics::v1 as audit_wire;
use prepx_proto::analytics::v1::audit_service_client::AuditServiceClient;
use prepx_proto::portfolio::v1 as wire;
use prepx_proto::portfolio::v1::admin_service_client::AdminServiceClient;
use prepx_runtime::config::Sources;
use prepx_stage::follow::Tail;
use prepx_stage::port::PastOrders;
use prepx_stage::{Following, Retention, Skip, Snapshots, Topology};

use crate::client::{Believed, Connection, words};
use crate::core::{Options, manifest};
use crate::progress::bar;
use crate::settings::Settings;
use report::Report;
use stages::{Folded, fold_all};

/// Signed roots, or skips, that are asked for at once.
const A_PAGE: i32 = 1_000;

/// Which books to check.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 the books are right, 1 the first difference, which is printed.

Examples:
  prepx verify
  prepx verify --data-dir /var/lib/prepx --json
  prepx verify --url http://127.0.0.1:8080"
)]
pub struct Verify {
    /// The data directory of a platform that does not run, however it ended.
    #[arg(long, value_name = "DIR", default_value = DATA_DIR, conflicts_with = "url")]
    pub data_dir: PathBuf,
    /// The file of its settings, when it has shards (`sql_shards`).
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    pub config: Option<PathBuf>,
    /// Where its services' schemas are, if not in the data directory: `sql_url` of its settings.
    #[arg(
        long,
        env = "PREPX_SQL_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub sql_url: Option<String>,
    /// A platform that runs: its ledger beside its stages at one moment, its signed roots, and the
    /// records behind the newest.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Whom to believe there.
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
/// The first difference, or what kept it from looking.
pub fn run(options: Verify) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let report = runtime.block_on(async {
        match &options.url {
            None => directory(&settings_of(&options)?).await,
            Some(url) => {
                let (ca, key_id) = (&options.believed.ca, &options.key_id);
                let to = Connection::new(url, ca, key_id, &options.secret_key)?;
                running(&to).await
            }
        }
    });
    if let (true, Err(error)) = (options.json, &report) {
        println!("{}", report::refused(error));
    }
    report?.print(options.json);
    Ok(())
}

/// Has a platform that runs compare its ledger with its stages.
async fn running(to: &Connection) -> Result<Report> {
    let skipped = skips(to).await?;
    let compared = books(to).await;
    let compared = compared.map_err(|difference| report::explain(difference, &skipped))?;
    Ok(Report {
        skipped,
        ..compared
    })
}

/// What the stages of a platform that runs went on without.
async fn skips(to: &Connection) -> Result<Vec<Skip>> {
    let mut client = AuditServiceClient::new(to.peer());
    let (mut skipped, mut last) = (Vec::new(), 0);
    loop {
        let request = audit_wire::GetAuditSkipsRequest {
            after: Some(last),
            limit: Some(A_PAGE),
        };
        let page = client.get_audit_skips(to.request(request)).await;
        let page = page.map_err(words)?.into_inner().skips;
        let Some(newest) = page.last() else {
            return Ok(skipped);
        };
        ensure!(newest.number > last, "the numbers of skips do not rise");
        last = newest.number;
        for shown in page {
            skipped.push(report::skip(shown)?);
        }
    }
}

/// The books and the audit chain of a platform that runs.
async fn books(to: &Connection) -> Result<Report> {
    let request = to.request(wire::AuditBooksRequest {});
    let answer = AdminServiceClient::new(to.peer())
        .audit_books(request)
        .await;
    let audit = answer.map_err(words)?.into_inner();
    ensure!(
        audit.difference.is_none(),
        audit.difference.unwrap_or_default()
    );
    let signed = signed_roots(to).await?;
    let totals = audit.totals.iter().map(report::total);
    Ok(Report {
        positions: audit.positions,
        accounts: audit.accounts,
        postings: audit.postings,
        undelivered: 0,
        signed: Some(signed),
        audit: None,
        checkpoint: None,
        skipped: Vec::new(),
        totals: Totals(totals.collect::<Result<_>>()?),
    })
}

/// Checks every root of a platform that runs: numbers, links, signatures, and that they lead to the
/// newest heads. The records between the last root and the heads the platform hashes again.
async fn signed_roots(to: &Connection) -> Result<prepx_analytics::Totals> {
    let mut client = AuditServiceClient::new(to.peer());
    let mut shown = prepx_analytics::Shown::default();
    loop {
        let request = audit_wire::GetAuditRootsRequest {
            after: Some(shown.number()),
            limit: Some(A_PAGE),
        };
        let page = client.get_audit_roots(to.request(request)).await;
        let page = page.map_err(words)?.into_inner().roots;
        for root in &page {
            let taken = shown.take(root);
            taken.map_err(|difference| anyhow!("audit: {difference}"))?;
        }
        if page.is_empty() {
            break;
        }
    }
    let heads = to.request(audit_wire::GetAuditHeadsRequest {});
    let heads = client.get_audit_heads(heads).await.map_err(words)?;
    let roots = shown.number();
    let finished = shown.finish(&heads.into_inner().heads);
    finished.map_err(|difference| anyhow!("audit: {difference}"))?;
    let request = to.request(audit_wire::CheckAuditJournalsRequest {});
    let checked = client.check_audit_journals(request).await.map_err(words)?;
    let checked = checked.into_inner();
    if let Some(difference) = checked.difference {
        bail!("audit: {difference}");
    }
    Ok(prepx_analytics::Totals {
        roots,
        records: checked.records,
        unaudited: checked.unaudited,
    })
}

/// What the platform was set to, as far as it matters here.
fn settings_of(options: &Verify) -> Result<Settings> {
    let file = options.config.clone();
    let mut settings: Settings = Sources {
        file,
        ..Sources::default()
    }
    .load()?;
    settings.data_dir = options.data_dir.clone();
    if let Some(sql_url) = &options.sql_url {
        settings.sql_url.clone_from(sql_url);
    }
    Ok(settings)
}

/// Verifies a data directory that nobody runs on.
async fn directory(settings: &Settings) -> Result<Report> {
    let (data_dir, location) = (&settings.data_dir, settings.location()?);
    let topology = manifest::read(data_dir)
        .with_context(|| format!("{} is no data directory of prepx", data_dir.display()))?;
    let mut options = Options::new(data_dir);
    options.log.holder = format!("prepx verify, process {}", std::process::id());
    let log_dir = RealDir::open(&data_dir.join("log"))?;
    let embedded = EmbeddedLog::open(log_dir.clone(), options.log).context("the event log")?;
    let log: Arc<dyn Log> = embedded.clone();
    let snapshots = Snapshots::new(RealDir::open(&data_dir.join("snapshots"))?);

    let folded = fold_all(&*log, &snapshots, topology)?;
    for (partition, stage) in folded.accounts.iter().enumerate() {
        let holds = stage.machine.check_invariants();
        holds.map_err(|difference| anyhow!("account partition {partition}: {difference}"))?;
    }
    let replayed = replay::replay(data_dir, (&*log_dir, &embedded), &location, topology).await?;
    replayed.compare(&folded)?;
    let layout = settings.layout(topology.account_partitions)?;
    let ledger = Ledger::open(&layout).await.context("the ledger")?;
    catch_up(&log, &ledger, topology).await?;
    let compared = compare(&folded, &ledger, topology).await;
    ledger.close().await;
    let compared = compared.map_err(|difference| report::explain(difference, &replayed.skipped))?;
    Ok(Report {
        audit: Some(replayed.audit),
        checkpoint: replayed.checkpoint,
        skipped: replayed.skipped,
        ..compared
    })
}

/// Takes what the log has and the ledger has not. Nothing is let go of: other consumers may still
/// need what the ledger has.
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
        duty: prepx_stage::Duty::always(),
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
        skipped: Vec::new(),
        totals,
    })
}

/// Orders that live must be in the books as the stage sees them.
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
