//! A schema whose rows belong to account partitions, in one database or spread over several.
//!
//! Everything of an account is in one partition, and every partition is wholly in one shard, so a transaction never
//! spans two shards. Operators say which partition is where ([`Layout`]). Refuses to open shards of which one has
//! rows that belong to another, and to move anything.

use futures::future::try_join_all;

use crate::{Error, Location, Migration, Options, Pool, Result, query};

/// Which shard has which partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    shards: Vec<Location>,
    /// The shard of each partition; empty when one shard holds all of them.
    shard_of: Vec<usize>,
}

impl From<Location> for Layout {
    /// All partitions in one shard.
    fn from(location: Location) -> Layout {
        Layout {
            shards: vec![location],
            shard_of: Vec::new(),
        }
    }
}

impl Layout {
    /// Shards with the partitions of each, which are `partitions` in total.
    ///
    /// # Errors
    /// A partition that is in no shard or in two, or does not exist.
    pub fn of(shards: Vec<(Location, Vec<u32>)>, partitions: u32) -> Result<Layout> {
        let mut shard_of = vec![None; partitions as usize];
        let (shards, held): (Vec<Location>, Vec<Vec<u32>>) = shards.into_iter().unzip();
        for (shard, held) in held.into_iter().enumerate() {
            for partition in held {
                let there = shard_of.get_mut(partition as usize);
                let there = there.ok_or(Error::Layout(partition, "does not exist"))?;
                if there.replace(shard).is_some() {
                    return Err(Error::Layout(partition, "is in two shards"));
                }
            }
        }
        let numbered = (0u32..).zip(shard_of);
        let missing = |partition| Error::Layout(partition, "is in no shard");
        let shard_of = numbered.map(|(number, shard)| shard.ok_or_else(|| missing(number)));
        Ok(Layout {
            shards,
            shard_of: shard_of.collect::<Result<_>>()?,
        })
    }

    /// How many partitions there are.
    pub fn partitions(&self) -> u32 {
        self.shard_of.len().max(1) as u32
    }

    /// The number of a partition's shard, from 0.
    pub fn shard_of(&self, partition: u32) -> usize {
        match &self.shard_of[..] {
            [] => 0,
            shard_of => shard_of[partition as usize],
        }
    }
}

/// An open schema in all its shards. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shards {
    layout: Layout,
    pools: Vec<Pool>,
}

impl Shards {
    /// Opens the schema in each shard, as [`Pool::open`] does. [`Error::Misplaced`] if a shard has the
    /// position of a partition that the layout assigns to another one.
    pub async fn open(
        layout: &Layout,
        options: &Options,
        migrations: &[Migration],
    ) -> Result<Shards> {
        let opened = (layout.shards.iter()).map(|shard| Pool::open(shard, options, migrations));
        let shards = Shards {
            layout: layout.clone(),
            pools: try_join_all(opened).await?,
        };
        for (shard, pool) in shards.pools.iter().enumerate() {
            let placed = query("SELECT DISTINCT source_partition FROM positions");
            for row in placed.fetch_all(&mut pool.read().await?).await? {
                let partition = row.number("source_partition")?;
                if layout
                    .shard_of
                    .get(partition as usize)
                    .is_some_and(|its| *its != shard)
                {
                    return Err(Error::Misplaced(partition));
                }
            }
        }
        Ok(shards)
    }

    /// The shard of a partition.
    pub fn of(&self, partition: u32) -> &Pool {
        &self.pools[self.layout.shard_of(partition)]
    }

    /// Every shard.
    pub fn all(&self) -> &[Pool] {
        &self.pools
    }

    /// The layout.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// [`Pool::close`] of every shard.
    pub async fn close(&self) {
        for pool in &self.pools {
            pool.close().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn shard(name: &str, partitions: &[u32]) -> (Location, Vec<u32>) {
        (Location::Sqlite(PathBuf::from(name)), partitions.to_vec())
    }

    #[test]
    fn every_partition_is_in_one_shard() {
        let layout = Layout::of(vec![shard("a", &[0, 3]), shard("b", &[2, 1])], 4);
        let layout = layout.expect("all of them");
        assert_eq!(
            [0, 1, 2, 3].map(|partition| layout.shard_of(partition)),
            [0, 1, 1, 0]
        );
        assert_eq!(layout.partitions(), 4);
        let check = |shards, said: &str| {
            let refused = Layout::of(shards, 3).expect_err(said).to_string();
            assert!(refused.contains(said), "{refused}");
        };
        check(vec![shard("a", &[0, 1])], "partition 2 is in no shard");
        check(
            vec![shard("a", &[0, 1]), shard("b", &[1, 2])],
            "partition 1 is in two shards",
        );
        check(
            vec![shard("a", &[0, 1, 2, 3])],
            "partition 3 does not exist",
        );
        let (one, _) = shard("a", &[]);
        let one = Layout::from(one);
        assert_eq!(
            (one.shard_of(0), one.shard_of(4_000), one.partitions()),
            (0, 0, 1)
        );
    }
}
