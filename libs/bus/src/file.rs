//! The file system as the log needs it, behind two small traits, so that the same code runs on
//! the real one and on [`crate::faulty`].
//!
//! Refuses: paths beyond one directory, and to hide an error: the caller decides what it means (a failed
//! sync is fatal, I8).

use std::any::Any;
use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One flat directory of files.
pub trait Dir: Send + Sync {
    /// Creates a file, which must not exist. Its name is safe only after [`Dir::sync`].
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>>;
    /// Opens a file for reading and writing.
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>>;
    /// The names of all files, sorted.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Renames a file, replacing one that has the name. Safe only after [`Dir::sync`].
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file; those who have it open keep it. Safe only after [`Dir::sync`].
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes every creation, renaming and removal so far survive a power loss.
    fn sync(&self) -> io::Result<()>;
    /// Locks the directory for this process until the lock is dropped; `holder` is what a second process is
    /// told about this one.
    fn lock(&self, holder: &str) -> Result<Lock, LockError>;
}

/// An open file.
pub trait File: Send + Sync {
    /// The length in bytes.
    fn size(&self) -> io::Result<u64>;
    /// Fills `buffer` from the byte `at` on; an error if the file ends before.
    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()>;
    /// Writes all of `bytes` from the byte `at` on. Safe only after [`File::sync`].
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()>;
    /// Cuts the file off, or lengthens it with zeros. Safe only after [`File::sync`].
    fn set_size(&self, size: u64) -> io::Result<()>;
    /// Reserves space up to `size`, so that syncs of what is written into it need not change
    /// metadata. What was not written reads as zeros.
    fn allocate(&self, size: u64) -> io::Result<()>;
    /// Makes the content so far survive a power loss. After an error the content is unknown,
    /// for ever: the kernel may have dropped what it could not write.
    fn sync(&self) -> io::Result<()>;
}

/// Holds a directory until dropped.
pub type Lock = Box<dyn Any + Send + Sync>;

/// Why a directory could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("{directory} is in use by {holder}; stop that process or choose another directory")]
    Held {
        /// The directory.
        directory: String,
        /// The holder's description of itself.
        holder: String,
    },
    /// The lock file could not be made or read.
    #[error("cannot lock {directory}: {source}")]
    Io {
        /// The directory.
        directory: String,
        /// Why.
        source: io::Error,
    },
}

/// The name of the file that carries the lock; [`Dir::list`] leaves it out.
pub const LOCK_NAME: &str = "LOCK";

/// A directory of the operating system.
#[derive(Debug)]
pub struct RealDir {
    path: PathBuf,
}

impl RealDir {
    /// Opens the directory and makes it, durably, if it is not there.
    pub fn open(path: &Path) -> io::Result<Arc<RealDir>> {
        create_durably(path)?;
        Ok(Arc::new(RealDir {
            path: path.to_owned(),
        }))
    }

    fn try_lock(&self, holder: &str) -> io::Result<Result<fs::File, String>> {
        let path = self.path.join(LOCK_NAME);
        let file = fs::File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0)?;
                file.write_all_at(holder.as_bytes(), 0)?;
                Ok(Ok(file))
            }
            Err(fs::TryLockError::WouldBlock) => Ok(Err(fs::read_to_string(&path)?)),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

/// Makes a directory and those above it that are missing, each synced into the one above.
fn create_durably(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = match path.parent() {
        None => return Err(io::ErrorKind::NotFound.into()),
        Some(above) if above.as_os_str().is_empty() => Path::new("."),
        Some(above) => above,
    };
    create_durably(above)?;
    match fs::create_dir(path) {
        // Another process was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        result => result?,
    }
    fs::File::open(above)?.sync_all()
}

impl Dir for RealDir {
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let mut options = fs::File::options();
        let file = options
            .read(true)
            .write(true)
            .create_new(true)
            .open(self.path.join(name))?;
        Ok(Arc::new(RealFile(file)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let file = fs::File::options()
            .read(true)
            .write(true)
            .open(self.path.join(name))?;
        Ok(Arc::new(RealFile(file)))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            // A name that is not UTF-8 is not ours.
            if let Ok(name) = entry?.file_name().into_string()
                && name != LOCK_NAME
            {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        fs::File::open(&self.path)?.sync_all()
    }

    fn lock(&self, holder: &str) -> Result<Lock, LockError> {
        let directory = self.path.display().to_string();
        match self.try_lock(holder) {
            Ok(Ok(file)) => Ok(Box::new(file)),
            Ok(Err(holder)) => Err(LockError::Held { directory, holder }),
            Err(source) => Err(LockError::Io { directory, source }),
        }
    }
}

struct RealFile(fs::File);

impl File for RealFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(buffer, at)
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, at)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.0.set_len(size)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        use rustix::fs::FallocateFlags;
        match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), 0, size) {
            // A file system that cannot reserve still holds a longer file; syncs cost more then.
            Err(rustix::io::Errno::OPNOTSUPP) => self.0.set_len(size.max(self.size()?)),
            result => Ok(result?),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_directories_are_made_and_a_file_in_the_way_is_an_error() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("a/b/c");
        let dir = RealDir::open(&path).unwrap();
        dir.create("x").unwrap();
        assert!(RealDir::open(&path.join("x")).is_err());
        assert!(RealDir::open(&path.join("x/y")).is_err());
        assert_eq!(RealDir::open(&path).unwrap().list().unwrap(), ["x"]);
    }

    #[test]
    fn a_real_file_keeps_what_it_is_given() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = RealDir::open(temporary.path()).unwrap();
        let file = dir.create("one").unwrap();
        assert_eq!(
            dir.create("one").err().unwrap().kind(),
            io::ErrorKind::AlreadyExists
        );
        file.allocate(10_000).unwrap();
        file.write_at(5_000, b"hello").unwrap();
        file.sync().unwrap();
        let mut buffer = [1; 7];
        file.read_at(4_999, &mut buffer).unwrap();
        assert_eq!((&buffer, file.size().unwrap()), (b"\0hello\0", 10_000));
        file.set_size(5_002).unwrap();
        let eof = file.read_at(4_999, &mut buffer).unwrap_err();
        assert_eq!(eof.kind(), io::ErrorKind::UnexpectedEof);
        dir.rename("one", "two").unwrap();
        dir.sync().unwrap();
        assert!(dir.open("one").is_err());
        assert_eq!(dir.open("two").unwrap().size().unwrap(), 5_002);
        dir.remove("two").unwrap();
        assert!(dir.list().unwrap().is_empty());
    }
}
