//! Secrets in files of a data directory. Each is drawn once and never changes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use prepx_env::Random;

/// The bytes of a file that only its owner may read. The first caller draws them and syncs them to the disk
/// before they are used; if several processes start at the same time, one draws and all read the same.
///
/// # Errors
/// When the directory cannot be used.
pub fn drawn_once(
    path: &Path,
    random: &Random,
    draw: impl FnOnce() -> Vec<u8>,
) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        found => return found,
    }
    let draft = path.with_extension(format!("{:016x}.new", random.next_u64()));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(&draw())?;
    file.sync_all()?;
    // A hard link is created completely or not at all, and never replaces a file.
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    if let Some(directory) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        File::open(directory)?.sync_all()?;
    }
    fs::read(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn whoever_asks_first_draws_for_all() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a.key");
        let begin = Barrier::new(8);
        let drawn: Vec<_> = thread::scope(|scope| {
            let (path, begin) = (&path, &begin);
            let asked = (0..8).map(|number| {
                scope.spawn(move || {
                    begin.wait();
                    drawn_once(path, &Random::from_seed(number), || vec![number as u8; 32])
                })
            });
            let asked: Vec<_> = asked.collect();
            let drawn = asked.into_iter().map(|one| one.join().expect("no panic"));
            drawn
                .map(|one| one.expect("the directory can be used"))
                .collect()
        });
        assert_eq!(drawn[0].len(), 32);
        assert!(drawn.iter().all(|one| *one == drawn[0]), "{drawn:?}");
        let mode = path.metadata().expect("is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let left = fs::read_dir(directory.path()).expect("is there").count();
        assert_eq!(left, 1, "drafts are removed");
    }
}
