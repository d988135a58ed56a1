//! A directory in memory that loses, as a real one may, everything that was not synced.
//!
//! Owns: the difference between written and durable. On [`FaultyDir::crash`] each unsynced write is kept,
//! dropped or torn at any byte, and each unsynced name may appear or not, all drawn from the caller's seed,
//! so that a failing run can be repeated. Refuses: to lose what was synced.

mod disk;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::disk::{Change, Disk, Inode, NameChange};
use crate::file::{Dir, File, Lock, LockError};

/// A handle on a simulated disk, for one life of the process that uses it.
pub struct FaultyDir {
    disk: Arc<Mutex<Disk>>,
    life: u64,
}

impl FaultyDir {
    /// An empty disk; all its faults come from `seed`.
    pub fn new(seed: u64) -> Arc<FaultyDir> {
        Arc::new(FaultyDir {
            disk: Arc::new(Mutex::new(Disk::new(seed))),
            life: 0,
        })
    }

    /// Power loss. Every handle so far is dead; returns the disk as it is found afterwards.
    pub fn crash(&self) -> Arc<FaultyDir> {
        let mut disk = self.disk();
        disk.lose_power();
        self.reborn(disk)
    }

    /// `kill -9`: every handle so far is dead, but the kernel still holds what was written.
    pub fn kill(&self) -> Arc<FaultyDir> {
        self.reborn(self.disk())
    }

    /// Lets `count` syncs succeed and the one after fail.
    pub fn fail_sync_after(&self, count: u64) {
        self.disk().syncs_until_failure = Some(count);
    }

    /// Lets `count` changes (writes, sizes, syncs, names) happen; the next is done or half done
    /// and everything from then on fails, as if the process had stopped right there.
    pub fn die_after(&self, count: u64) {
        self.disk().writes_until_death = Some(count);
    }

    /// Bounds the sum of all files; writing more fails with [`io::ErrorKind::StorageFull`].
    pub fn set_capacity(&self, capacity_bytes: u64) {
        self.disk().capacity_bytes = capacity_bytes;
    }

    /// Flips bits of one byte of a file, as a failing disk would.
    ///
    /// # Panics
    /// If there is no such file or byte.
    pub fn corrupt(&self, name: &str, at: usize, flip: u8) {
        let mut disk = self.disk();
        let inode = disk.names[name];
        let inode = &mut disk.inodes[inode];
        inode.current[at] ^= flip;
        // What was never synced is not on the disk yet.
        if let Some(byte) = inode.durable.get_mut(at) {
            *byte ^= flip;
        }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reborn(&self, mut disk: MutexGuard<'_, Disk>) -> Arc<FaultyDir> {
        disk.life += 1;
        disk.holder = None;
        disk.syncs_until_failure = None;
        disk.writes_until_death = None;
        Arc::new(FaultyDir {
            disk: Arc::clone(&self.disk),
            life: disk.life,
        })
    }

    fn alive(&self) -> io::Result<MutexGuard<'_, Disk>> {
        let disk = self.disk();
        disk.check_life(self.life)?;
        Ok(disk)
    }

    fn file(&self, inode: usize) -> Arc<dyn File> {
        Arc::new(FaultyFile {
            disk: Arc::clone(&self.disk),
            life: self.life,
            inode,
        })
    }
}

impl Dir for FaultyDir {
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let mut disk = self.alive()?;
        if disk.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = disk.inodes.len();
        disk.inodes.push(Inode::default());
        disk.rename(NameChange::Create(name.to_owned(), inode))?;
        Ok(self.file(inode))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let disk = self.alive()?;
        let inode = disk.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.file(*inode))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.alive()?.names.keys().cloned().collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = self.alive()?;
        let inode = *disk.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        disk.rename(NameChange::Rename(from.to_owned(), to.to_owned(), inode))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut disk = self.alive()?;
        if !disk.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        disk.rename(NameChange::Remove(name.to_owned()))
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = self.alive()?;
        if disk.dies() {
            return Err(io::Error::other("the process died in a sync"));
        }
        disk.durable_names = disk.names.clone();
        disk.unsynced_names.clear();
        Ok(())
    }

    fn lock(&self, holder: &str) -> Result<Lock, LockError> {
        let directory = "the faulty directory".to_owned();
        match self.alive() {
            Err(source) => Err(LockError::Io { directory, source }),
            Ok(mut disk) => match &disk.holder {
                Some(holder) => Err(LockError::Held {
                    directory,
                    holder: holder.clone(),
                }),
                None => {
                    disk.holder = Some(holder.to_owned());
                    Ok(Box::new(Held {
                        disk: Arc::clone(&self.disk),
                        life: self.life,
                    }))
                }
            },
        }
    }
}

struct Held {
    disk: Arc<Mutex<Disk>>,
    life: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        if disk.life == self.life {
            disk.holder = None;
        }
    }
}

struct FaultyFile {
    disk: Arc<Mutex<Disk>>,
    life: u64,
    inode: usize,
}

impl FaultyFile {
    fn alive(&self) -> io::Result<MutexGuard<'_, Disk>> {
        let disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        disk.check_life(self.life)?;
        Ok(disk)
    }
}

impl File for FaultyFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.alive()?.inodes[self.inode].current.len() as u64)
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        let disk = self.alive()?;
        let current = &disk.inodes[self.inode].current;
        let range = at as usize..at as usize + buffer.len();
        buffer.copy_from_slice(current.get(range).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.alive()?;
        disk.check_space(self.inode, at as usize + bytes.len())?;
        disk.change(
            self.inode,
            Change::Write {
                at: at as usize,
                bytes: bytes.to_vec(),
            },
        )
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        let mut disk = self.alive()?;
        disk.check_space(self.inode, size as usize)?;
        disk.change(self.inode, Change::Size(size as usize))
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        match self.size()? {
            present if present < size => self.set_size(size),
            _ => Ok(()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.alive()?.sync_file(self.inode)
    }
}
