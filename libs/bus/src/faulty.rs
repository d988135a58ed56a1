//! A directory in memory that loses, as a real one may, everything it was not told to keep.
//!
//! Owns: the difference between written and durable. On [`FaultyDir::crash`] each unsynced write
//! is kept, dropped or torn at any byte, and each unsynced name may appear or not, all drawn from
//! the caller's seed, so that a failing run can be run again. Refuses: to lose what was synced.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::file::{Dir, File, Lock, LockError};
use crate::random::SplitMix;

/// A handle on a simulated disk, for one life of the process that uses it.
pub struct FaultyDir {
    disk: Arc<Mutex<Disk>>,
    life: u64,
}

struct Disk {
    random: SplitMix,
    /// Rises with every crash and kill; handles of earlier lives are dead.
    life: u64,
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    unsynced_names: Vec<NameChange>,
    holder: Option<String>,
    capacity_bytes: u64,
    syncs_until_failure: Option<u64>,
    writes_until_death: Option<u64>,
}

#[derive(Default)]
struct Inode {
    durable: Vec<u8>,
    current: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Size(usize),
}

enum NameChange {
    Create(String, usize),
    Rename(String, String, usize),
    Remove(String),
}

impl FaultyDir {
    /// An empty disk; all its misfortune comes from `seed`.
    pub fn new(seed: u64) -> Arc<FaultyDir> {
        let disk = Disk {
            random: SplitMix::new(seed),
            life: 0,
            inodes: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            unsynced_names: Vec::new(),
            holder: None,
            capacity_bytes: u64::MAX,
            syncs_until_failure: None,
            writes_until_death: None,
        };
        Arc::new(FaultyDir {
            disk: Arc::new(Mutex::new(disk)),
            life: 0,
        })
    }

    /// Power loss. Every handle so far is dead; the answer is the disk as it is found after.
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

    /// Flips bits of one byte of a file, behind everybody's back.
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

impl Disk {
    fn check_life(&self, life: u64) -> io::Result<()> {
        match self.writes_until_death {
            _ if life != self.life => Err(io::Error::other("the process has crashed")),
            Some(0) => Err(io::Error::other("the process is dying")),
            _ => Ok(()),
        }
    }

    /// Counts a change; true when the process dies of it.
    fn dies(&mut self) -> bool {
        if let Some(left) = &mut self.writes_until_death {
            *left -= 1;
            return *left == 0;
        }
        false
    }

    fn check_space(&self, inode: usize, size: usize) -> io::Result<()> {
        let used: usize = self
            .names
            .values()
            .map(|&inode| self.inodes[inode].current.len())
            .sum();
        let more = size.saturating_sub(self.inodes[inode].current.len());
        if (used + more) as u64 > self.capacity_bytes {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn change(&mut self, inode: usize, change: Change) -> io::Result<()> {
        let inode = &mut self.inodes[inode];
        change.apply_to(&mut inode.current);
        inode.unsynced.push(change);
        match self.dies() {
            true => Err(io::Error::other("the process died in a write")),
            false => Ok(()),
        }
    }

    fn sync_file(&mut self, inode: usize) -> io::Result<()> {
        let fails = match &mut self.syncs_until_failure {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        };
        // A process that dies in a sync has started it: all, some or none is on the disk, which
        // is what unsynced means.
        if self.dies() {
            return Err(io::Error::other("the process died in a sync"));
        }
        let file = &mut self.inodes[inode];
        let unsynced = std::mem::take(&mut file.unsynced);
        if fails {
            // As on Linux: the kernel still shows what was written, takes it for clean, and no
            // later sync will write it.
            for change in unsynced {
                self.random.tear(change, &mut file.durable);
            }
            return Err(io::Error::other("the disk failed to sync"));
        }
        for change in unsynced {
            change.apply_to(&mut file.durable);
        }
        Ok(())
    }

    fn rename(&mut self, change: NameChange) -> io::Result<()> {
        change.apply_to(&mut self.names);
        self.unsynced_names.push(change);
        match self.dies() {
            true => Err(io::Error::other("the process died at a name")),
            false => Ok(()),
        }
    }

    fn lose_power(&mut self) {
        for change in std::mem::take(&mut self.unsynced_names) {
            if self.random.below(2) == 0 {
                change.apply_to(&mut self.durable_names);
            }
        }
        self.names = self.durable_names.clone();
        for inode in &mut self.inodes {
            for change in std::mem::take(&mut inode.unsynced) {
                self.random.tear(change, &mut inode.durable);
            }
            inode.current.clone_from(&inode.durable);
        }
    }
}

impl Change {
    fn apply_to(&self, content: &mut Vec<u8>) {
        match self {
            Change::Size(size) => content.resize(*size, 0),
            Change::Write { at, bytes } => {
                let end = at + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*at..end].copy_from_slice(bytes);
            }
        }
    }
}

impl NameChange {
    fn apply_to(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            NameChange::Create(name, inode) => {
                names.insert(name.clone(), *inode);
            }
            // An entry of a directory is a name and a file. Whichever changes before this one are
            // lost, the new name is that of the file that was renamed, never of one that had the old
            // name earlier: so what is synced and then renamed is whole under its new name.
            NameChange::Rename(from, to, inode) => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
            NameChange::Remove(name) => {
                names.remove(name);
            }
        }
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

impl SplitMix {
    /// Keeps a change, drops it, or keeps a part of it: the first bytes, the last, or all but a
    /// hole, since a disk writes its sectors in any order.
    fn tear(&mut self, change: Change, content: &mut Vec<u8>) {
        let fate = self.below(5);
        match (fate, change) {
            (0, _) => {}
            (1, change) | (_, change @ Change::Size(_)) => change.apply_to(content),
            (fate, Change::Write { at, bytes }) => {
                let (first, second) = (self.below(bytes.len() + 1), self.below(bytes.len() + 1));
                let (low, high) = (first.min(second), first.max(second));
                let mut keep = |from: usize, to: usize| {
                    let change = Change::Write {
                        at: at + from,
                        bytes: bytes[from..to].to_vec(),
                    };
                    change.apply_to(content);
                };
                match fate {
                    2 => keep(0, low),
                    3 => keep(high, bytes.len()),
                    _ => {
                        keep(0, low);
                        keep(high, bytes.len());
                    }
                }
            }
        }
    }
}
