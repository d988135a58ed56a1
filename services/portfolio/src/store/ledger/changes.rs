//! How an account's holdings have changed over time: by day from the sums that the projection stores,
//! within days from activities and their postings.

use std::collections::BTreeMap;

use prepx_domain::{AccountId, Asset, Micros};
use prepx_store::{Error, Result, Row, Tx, query};

use super::{AVAILABLE, HELD, View, columns};
use crate::domain::activity::Kind;
use crate::domain::points::{DAY_US, Points};
use crate::domain::worth::{Changes, Shift};
use crate::projection::Rows;

/// The most activities that are added up for points narrower than a day.
pub const ACTIVITIES_MAX: i64 = 500_000;

impl View {
    /// What an account had and how it changed; `None` if it changed more than [`ACTIVITIES_MAX`] times and
    /// points are narrower than a day.
    pub async fn changes(
        &mut self,
        account: AccountId,
        points: &Points,
    ) -> Result<Option<Changes>> {
        let opening = self.opening(account, points.midnight()).await?;
        let rows = if points.width.us == DAY_US {
            self.of_days(account, points).await?
        } else if self.is_too_busy(account, points).await? {
            return Ok(None);
        } else {
            self.within_days(account, points).await?
        };
        let shifts = rows.iter().map(shift_of).collect::<Result<_>>()?;
        Ok(Some(Changes { opening, shifts }))
    }

    async fn opening(
        &mut self,
        account: AccountId,
        before: Micros,
    ) -> Result<BTreeMap<Asset, i64>> {
        let rows = query(
            "SELECT asset, CAST(SUM(change_minor) AS BIGINT) AS minor FROM daily_changes
             WHERE account_id = $1 AND day_us < $2
             GROUP BY asset HAVING SUM(change_minor) <> 0",
        )
        .bind(account.raw())
        .bind(before.0)
        .fetch_all(&mut self.0)
        .await?;
        let read = |row: &Row| Ok((asset_of(row)?, row.get("minor")?));
        rows.iter().map(read).collect()
    }

    async fn of_days(&mut self, account: AccountId, points: &Points) -> Result<Vec<Row>> {
        let days = query(
            "SELECT day_us AS at_us, asset, change_minor, paid_minor FROM daily_changes
             WHERE account_id = $1 AND day_us >= $2 AND day_us < $3 ORDER BY day_us, asset",
        );
        let days = days.bind(account.raw());
        let days = days.bind(points.midnight().0).bind(points.end().0);
        days.fetch_all(&mut self.0).await
    }

    async fn is_too_busy(&mut self, account: AccountId, points: &Points) -> Result<bool> {
        let activities = query(
            "SELECT COUNT(*) FROM (SELECT 1 FROM activities
             WHERE account_id = $1 AND at_us >= $2 AND at_us < $3 LIMIT $4) AS counted",
        )
        .bind(account.raw())
        .bind(points.midnight().0)
        .bind(points.end().0)
        .bind(ACTIVITIES_MAX + 1)
        .scalar(&mut self.0)
        .await?;
        Ok(activities.unwrap_or(0) > ACTIVITIES_MAX)
    }

    /// A trade and its fee are two activities of one message.
    async fn within_days(&mut self, account: AccountId, points: &Points) -> Result<Vec<Row>> {
        let [deposit, withdrawal, journal] =
            [Kind::CashDeposit, Kind::CashWithdrawal, Kind::Journal]
                .map(|kind| i64::from(kind.code()));
        let changes = query(
            "SELECT told.at_us / $4 * $4 AS at_us, asset,
                    CAST(SUM(amount_minor) AS BIGINT) AS change_minor,
                    CAST(SUM(CASE WHEN told.paid THEN amount_minor ELSE 0 END) AS BIGINT)
                        AS paid_minor
             FROM (SELECT DISTINCT source_partition, number, at_us, type IN ($5, $6, $7) AS paid
                   FROM activities
                   WHERE account_id = $1 AND at_us >= $2 AND at_us < $3) AS told
             JOIN postings ON postings.source_partition = told.source_partition
                          AND postings.number = told.number
             WHERE postings.account_id = $1 AND book IN ($8, $9)
             GROUP BY 1, 2 ORDER BY 1, 2",
        );
        let changes = changes.bind(account.raw());
        let changes = changes.bind(points.midnight().0).bind(points.end().0);
        let changes = changes.bind(points.width.us);
        let changes = changes.bind(deposit).bind(withdrawal).bind(journal);
        let changes = changes.bind(AVAILABLE).bind(HELD);
        changes.fetch_all(&mut self.0).await
    }
}

/// Adds the changes that follow from messages to their days.
pub(super) async fn write(tx: &mut Tx, rows: &Rows) -> Result<()> {
    let days: Vec<_> = rows.days.iter().collect();
    let into = "INSERT INTO daily_changes (account_id, asset, day_us, change_minor, paid_minor)";
    let added = "ON CONFLICT (account_id, asset, day_us)
        DO UPDATE SET change_minor = daily_changes.change_minor + excluded.change_minor,
                      paid_minor = daily_changes.paid_minor + excluded.paid_minor";
    tx.insert_rows(
        into,
        5,
        added,
        &days,
        |((account, asset, day), moved), values| {
            columns::day(*account, *asset, *day, **moved, values);
        },
    )
    .await
}

fn asset_of(row: &Row) -> Result<Asset> {
    let asset: String = row.get("asset")?;
    asset.parse().map_err(|_| Error::Damaged("asset"))
}

fn shift_of(row: &Row) -> Result<Shift> {
    Ok(Shift {
        at: Micros(row.get("at_us")?),
        asset: asset_of(row)?,
        change_minor: row.get("change_minor")?,
        paid_minor: row.get("paid_minor")?,
    })
}
