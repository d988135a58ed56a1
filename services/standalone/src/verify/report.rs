//! What `prepx verify` prints.

use anyhow::{Error, Result, anyhow};
use prepx_domain::decimal::{format, format_grouped};
use prepx_domain::{Asset, Micros, decimal};
use prepx_portfolio::audit::{Counts, Total, Totals};
use prepx_proto::analytics::v1 as audit_wire;
use prepx_proto::portfolio::v1 as wire;
use prepx_stage::Skip;
use serde_json::{Value, json};

use super::journals::Extent;
use crate::disk::checkpoint::Checkpoint;

/// Decimal places of amounts, as everywhere outside.
const SCALE: u32 = 8;

/// A total as the API shows it.
pub(super) fn total(shown: &wire::BooksTotal) -> Result<(Asset, Total)> {
    let minor = |text: &str| decimal::parse(text, SCALE).map_err(Error::from);
    let total = Total {
        available_minor: minor(&shown.available)?,
        held_minor: minor(&shown.held)?,
        clearing_minor: minor(&shown.clearing)?,
        fees_minor: minor(&shown.fees)?,
        outside_minor: minor(&shown.outside)?,
    };
    Ok((shown.asset.parse()?, total))
}

/// A skip as the API shows it.
pub(super) fn skip(shown: audit_wire::AuditSkip) -> Result<Skip> {
    Ok(Skip {
        seat: shown.partition.parse().map_err(Error::msg)?,
        message: shown.input.parse().map_err(Error::msg)?,
        reason: shown.reason,
    })
}

/// A difference, with what was skipped: it may be what is missing for it.
pub(super) fn explain(difference: Error, skipped: &[Skip]) -> Error {
    if skipped.is_empty() {
        return difference;
    }
    let skipped: Vec<String> = skipped.iter().map(Skip::to_string).collect();
    anyhow!(
        "{difference:#}; as operators decided, {}",
        skipped.join("; ")
    )
}

/// The first difference, or what kept it from looking, for programs.
pub(super) fn refused(error: &Error) -> Value {
    json!({"ok": false, "difference": prepx_platform::explained(error)})
}

/// That everything is right, and how much there is of it.
pub(super) struct Report {
    /// The last transition of each account partition.
    pub positions: Vec<u64>,
    pub accounts: u64,
    pub postings: u64,
    /// Messages between the stages; clearing is checked when there are none.
    pub undelivered: u64,
    /// Of a platform that runs: its signed roots, and the records behind the newest.
    pub signed: Option<prepx_analytics::Totals>,
    /// What of the audit chain was checked, the journals too; only of a data directory.
    pub audit: Option<prepx_analytics::Totals>,
    /// From where on, if the oldest was dropped.
    pub checkpoint: Option<Checkpoint>,
    /// How much of the journals was folded, where they are on Apache Kafka and were read.
    pub journals: Option<Extent>,
    /// How many rows of the tables are what was told.
    pub rows: Option<Counts>,
    /// What stages went on without.
    pub skipped: Vec<Skip>,
    pub totals: Totals,
}

impl Report {
    pub fn print(&self, as_json: bool) {
        if as_json {
            println!("{}", self.json());
            return;
        }
        println!(
            "the books are right: {} accounts, {} postings, transitions {:?}",
            self.accounts, self.postings, self.positions
        );
        for (asset, total) in &self.totals.0 {
            let columns = total
                .columns()
                .map(|(name, minor)| format!("{name} {}", format_grouped(minor, SCALE)));
            println!("{asset}: {}", columns.join(", "));
        }
        if let Some(rows) = self.rows {
            print_rows(rows);
        }
        if let Some(audit) = &self.signed {
            println!(
                "{} signed roots are right and lead to the heads of the audit chain, the {} records \
                 behind the newest too, {} not audited yet; of a data directory all journals are \
                 hashed again",
                audit.roots, audit.records, audit.unaudited
            );
        }
        if let Some(audit) = &self.audit {
            println!(
                "the audit chain is right: {} signed roots, {} records, {} not audited yet",
                audit.roots, audit.records, audit.unaudited
            );
        }
        if let Some(from) = &self.checkpoint {
            println!(
                "from the signed checkpoint {} of {} on, after the transitions {:?}: what is older of \
                 the simulated market was dropped",
                from.number,
                moment(from.created_at),
                from.transitions()
            );
        }
        if let Some(journals) = &self.journals {
            print_extent(journals);
        }
        for skipped in &self.skipped {
            println!("{skipped}: what it would have done is missing for good");
        }
        if self.undelivered > 0 {
            println!(
                "{} messages are on their way between the stages; clearing has what they move",
                self.undelivered
            );
        }
    }

    fn json(&self) -> Value {
        let total = |(asset, total): (&Asset, &Total)| {
            let amounts = total.columns().into_iter();
            let amounts =
                amounts.map(|(name, minor)| (name.to_owned(), format(minor, SCALE).into()));
            (asset.to_string(), Value::Object(amounts.collect()))
        };
        let audit = self.audit.or(self.signed).map(|audit| {
            json!({
                "roots": audit.roots,
                "records": audit.records,
                "unaudited": audit.unaudited,
            })
        });
        let checkpoint = self.checkpoint.as_ref().map(|from| {
            json!({
                "number": from.number,
                "created_at": moment(from.created_at),
                "positions": from.transitions(),
            })
        });
        let skipped = self.skipped.iter().map(|skipped| {
            json!({
                "partition": skipped.seat.to_string(),
                "input": skipped.message.to_string(),
                "reason": skipped.reason,
            })
        });
        let journals = self.journals.as_ref().map(|journals| {
            let cut = journals.cut.iter();
            let cut = cut.map(|(seat, from)| json!({"partition": seat.to_string(), "from": from}));
            json!({"transitions": journals.transitions, "cut": cut.collect::<Vec<_>>()})
        });
        let rows = self
            .rows
            .map(|rows| json!({"compared": rows.compared, "beyond": rows.beyond}));
        json!({
            "ok": true,
            "rows": rows,
            "journals": journals,
            "skipped": skipped.collect::<Vec<_>>(),
            "audit": audit,
            "checkpoint": checkpoint,
            "accounts": self.accounts,
            "postings": self.postings,
            "positions": self.positions,
            "undelivered": self.undelivered,
            "totals": self.totals.0.iter().map(total).collect::<serde_json::Map<_, _>>(),
        })
    }
}

fn print_rows(rows: Counts) {
    println!(
        "{} rows of orders, activities, daily changes and transfers are what the log says",
        rows.compared
    );
    if rows.beyond > 0 {
        println!(
            "of {} more the log does not say anything: they are older than it is, or transfers without a decision",
            rows.beyond
        );
    }
}

fn print_extent(journals: &Extent) {
    println!(
        "the journals are right: {} transitions come to the newest snapshots and to the books, and what was \
         chained and signed of them is theirs",
        journals.transitions
    );
    for (seat, from) in &journals.cut {
        println!(
            "of {seat} only from transition {from} on: what is older is neither on the log nor archived"
        );
    }
}

fn moment(at: Micros) -> String {
    let moment = jiff::Timestamp::from_microsecond(at.0);
    moment.map_or_else(|_| at.0.to_string(), |moment| moment.to_string())
}
