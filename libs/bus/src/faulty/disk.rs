//! The simulated disk: what was written, which part of it is durable, and what happens to the rest when power is lost.

use std::collections::BTreeMap;
use std::io;

use crate::random::SplitMix;

pub struct Disk {
    random: SplitMix,
    /// Rises with every crash and kill; handles of earlier lives are dead.
    pub life: u64,
    pub inodes: Vec<Inode>,
    pub names: BTreeMap<String, usize>,
    pub durable_names: BTreeMap<String, usize>,
    pub unsynced_names: Vec<NameChange>,
    pub holder: Option<String>,
    pub capacity_bytes: u64,
    pub syncs_until_failure: Option<u64>,
    pub writes_until_death: Option<u64>,
}

#[derive(Default)]
pub struct Inode {
    pub durable: Vec<u8>,
    pub current: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Clone)]
pub enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Size(usize),
}

pub enum NameChange {
    Create(String, usize),
    Rename(String, String, usize),
    Remove(String),
}

impl Disk {
    pub fn new(seed: u64) -> Disk {
        Disk {
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
        }
    }

    pub fn check_life(&self, life: u64) -> io::Result<()> {
        match self.writes_until_death {
            _ if life != self.life => Err(io::Error::other("the process has crashed")),
            Some(0) => Err(io::Error::other("the process is dying")),
            _ => Ok(()),
        }
    }

    /// Counts a change; true when the process dies of it.
    pub fn dies(&mut self) -> bool {
        if let Some(left) = &mut self.writes_until_death {
            *left -= 1;
            return *left == 0;
        }
        false
    }

    pub fn check_space(&self, inode: usize, size: usize) -> io::Result<()> {
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

    pub fn change(&mut self, inode: usize, change: Change) -> io::Result<()> {
        let inode = &mut self.inodes[inode];
        change.apply_to(&mut inode.current);
        inode.unsynced.push(change);
        match self.dies() {
            true => Err(io::Error::other("the process died in a write")),
            false => Ok(()),
        }
    }

    pub fn sync_file(&mut self, inode: usize) -> io::Result<()> {
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

    pub fn rename(&mut self, change: NameChange) -> io::Result<()> {
        change.apply_to(&mut self.names);
        self.unsynced_names.push(change);
        match self.dies() {
            true => Err(io::Error::other("the process died at a name")),
            false => Ok(()),
        }
    }

    pub fn lose_power(&mut self) {
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
