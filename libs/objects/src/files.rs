//! Objects as the files of one directory: every [`Dir`] can hold objects.

use std::io;

use prepx_bus::file::Dir;

use crate::Objects;

/// The file name ending of objects that are still being written. Such files are not objects.
const TEMPORARY: &str = ".part";

impl<D: Dir + ?Sized> Objects for D {
    /// Written beside under a temporary name, synced, renamed, the directory synced.
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let temporary = format!("{name}{TEMPORARY}");
        // One that was being written when the process died is of no use.
        absent(Dir::remove(self, &temporary))?;
        let file = self.create(&temporary)?;
        file.write_at(0, bytes)?;
        file.sync()?;
        self.rename(&temporary, name)?;
        self.sync()
    }

    fn get(&self, name: &str) -> io::Result<Vec<u8>> {
        let file = self.open(name)?;
        let mut bytes = vec![0; file.size()? as usize];
        file.read_at(0, &mut bytes)?;
        Ok(bytes)
    }

    fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        let mut names = Dir::list(self)?;
        names.retain(|name| name.starts_with(prefix) && !name.ends_with(TEMPORARY));
        Ok(names)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        absent(Dir::remove(self, name))
    }

    fn settle(&self) -> io::Result<()> {
        self.sync()
    }
}

fn absent(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
