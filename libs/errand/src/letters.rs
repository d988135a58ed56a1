//! The dead letters of groups, as operators see them: the current state of the dead-letter topics, in the store of the
//! service that has the groups, with the positions up to which the topics have been read (I2).

use prepx_domain::Micros;
use prepx_store::{Connection, Error, Pool, Result, Row, Tx, query};
use uuid::Uuid;

use crate::wire;
use crate::{Errand, Group};

/// The tables that the groups of a schema need, as a migration of the service.
pub const TABLES: &str = include_str!("../migrations/errands.sql");

/// An errand that has failed for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The group.
    pub group: String,
    /// When it was given up.
    pub died_at: Micros,
    /// The errand.
    pub errand: Errand,
}

/// Where a page of letters begins: after this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// When it was given up.
    pub died_at: Micros,
    /// Its errand.
    pub id: Uuid,
}

/// Dead letters in SQL.
#[derive(Clone, Debug)]
pub struct Letters(pub(crate) Pool);

const SELECT: &str = "SELECT group_name, died_at_us, record FROM dead_letters ";

impl Letters {
    /// On an open schema that has [`TABLES`].
    pub const fn new(pool: Pool) -> Letters {
        Letters(pool)
    }

    /// The oldest letters after a place, of a group or of all.
    ///
    /// # Errors
    /// The store's.
    pub async fn page(
        &self,
        group: Option<&str>,
        after: Option<Place>,
        limit: u32,
    ) -> Result<Vec<Letter>> {
        let mut page = query(SELECT);
        page.push("WHERE 1 = 1");
        if let Some(group) = group {
            page.push(" AND group_name = ").push_bind(group);
        }
        if let Some(after) = after {
            page.push(" AND (died_at_us, letter_id) > (")
                .push_bind(after.died_at.0)
                .push(", ")
                .push_bind(after.id.as_bytes().as_slice())
                .push(")");
        }
        page.push(" ORDER BY died_at_us, letter_id LIMIT ")
            .push_bind(limit);
        let rows = page.fetch_all(&mut self.0.read().await?).await?;
        rows.iter().map(letter).collect()
    }

    /// One of them.
    ///
    /// # Errors
    /// The store's.
    pub async fn get(&self, id: Uuid) -> Result<Option<Letter>> {
        let row = query(SELECT);
        let mut row = row;
        row.push("WHERE letter_id = ")
            .push_bind(id.as_bytes().as_slice());
        let row = row.fetch_optional(&mut self.0.read().await?).await?;
        row.as_ref().map(letter).transpose()
    }

    /// Those of these that are there.
    ///
    /// # Errors
    /// The store's.
    pub async fn among(&self, group: Option<&str>, ids: &[Uuid]) -> Result<Vec<Letter>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut found = query(SELECT);
        found.push("WHERE letter_id IN ");
        found.push_list(ids.iter().map(|id| id.as_bytes().as_slice()));
        if let Some(group) = group {
            found.push(" AND group_name = ").push_bind(group);
        }
        let rows = found.fetch_all(&mut self.0.read().await?).await?;
        rows.iter().map(letter).collect()
    }

    /// How many a group has.
    ///
    /// # Errors
    /// The store's.
    pub async fn count(&self, group: &str) -> Result<u64> {
        count(group, &mut self.0.read().await?).await
    }
}

pub(crate) async fn count(group: &str, on: impl Into<Connection<'_>>) -> Result<u64> {
    let count = query("SELECT count(*) FROM dead_letters WHERE group_name = $1");
    let count: Option<i64> = count.bind(group).scalar(on).await?;
    Ok(count.and_then(|count| count.try_into().ok()).unwrap_or(0))
}

/// Stores a letter; there is one per errand.
pub(crate) async fn keep(tx: &mut Tx, group: &Group, errand: &Errand) -> Result<()> {
    let died_at = errand.attempts.last().map_or(errand.due, |last| last.at);
    let mut record = Vec::new();
    wire::put_errand(errand, &mut record);
    query(
        "INSERT INTO dead_letters (letter_id, group_name, died_at_us, record) VALUES ($1, $2, $3, $4)
         ON CONFLICT (letter_id) DO UPDATE SET died_at_us = excluded.died_at_us, record = excluded.record",
    )
    .bind(errand.id.as_bytes().as_slice())
    .bind(group.name)
    .bind(died_at.0)
    .bind(record)
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes a letter, if it is there.
pub(crate) async fn take(tx: &mut Tx, group: &Group, id: Uuid) -> Result<Option<Errand>> {
    let row = query(
        "DELETE FROM dead_letters WHERE letter_id = $1 AND group_name = $2
         RETURNING group_name, died_at_us, record",
    );
    let row = row.bind(id.as_bytes().as_slice()).bind(group.name);
    let row = row.fetch_optional(tx).await?;
    Ok(row.as_ref().map(letter).transpose()?.map(|one| one.errand))
}

/// Deletes a group's oldest letters beyond a number; returns how many those were.
pub(crate) async fn forget_beyond(tx: &mut Tx, group: &Group, letters_max: u64) -> Result<u64> {
    query(
        "DELETE FROM dead_letters WHERE letter_id IN (
            SELECT letter_id FROM dead_letters WHERE group_name = $1
            ORDER BY died_at_us DESC, letter_id DESC LIMIT 9223372036854775807 OFFSET $2)",
    )
    .bind(group.name)
    .bind(i64::try_from(letters_max).unwrap_or(i64::MAX))
    .execute(tx)
    .await
}

fn letter(row: &Row) -> Result<Letter> {
    let record: Vec<u8> = row.get("record")?;
    Ok(Letter {
        group: row.get("group_name")?,
        died_at: Micros(row.get("died_at_us")?),
        errand: wire::errand_of_record(&record).map_err(|_| Error::Damaged("record"))?,
    })
}
