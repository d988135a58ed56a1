//! Which lines are logged, and how that changes while the process runs: by a file that is checked
//! periodically.

use std::fs;
use std::path::{Path, PathBuf};

use tracing_subscriber::{EnvFilter, Registry, reload};

use crate::config::Error;

/// The layer that filters lines, and can be changed.
pub(crate) type Filtered = reload::Layer<EnvFilter, Registry>;

/// A file with the filter of log lines.
pub(crate) struct Filter {
    file: PathBuf,
    /// Its last content, valid or not.
    said: String,
    handle: reload::Handle<EnvFilter, Registry>,
}

impl Filter {
    /// The filter that the file has now.
    ///
    /// # Errors
    /// When it cannot be read, or is not a filter.
    pub(crate) fn by(file: &Path) -> Result<(Filter, Filtered), Error> {
        let said = read(file)?;
        let (layer, handle) = reload::Layer::new(parsed(&said, &file.display().to_string())?);
        let file = file.to_owned();
        Ok((Filter { file, said, handle }, layer))
    }

    /// Checks whether the file has changed. An error is logged once, and changes nothing.
    pub(crate) fn look(&mut self) {
        match self.changed() {
            Ok(false) => {}
            Ok(true) => tracing::warn!(filter = self.said, "another filter of the log is in force"),
            Err(error) => tracing::warn!(%error, "the filter of the log stays as it was"),
        }
    }

    fn changed(&mut self) -> Result<bool, Error> {
        // A file that is being replaced exists again at the next check.
        let said = read(&self.file).unwrap_or_else(|_| self.said.clone());
        if said == self.said {
            return Ok(false);
        }
        self.said.clone_from(&said);
        let filter = parsed(&said, &self.file.display().to_string())?;
        let reloaded = self.handle.reload(filter);
        reloaded.map_err(|error| Error::Invalid(error.to_string()))?;
        Ok(true)
    }
}

fn read(file: &Path) -> Result<String, Error> {
    let said = fs::read_to_string(file).map_err(|error| {
        let file = file.display();
        Error::Invalid(format!("log_filter_file {file} cannot be read: {error}"))
    })?;
    Ok(said.trim().to_owned())
}

/// Parses a filter; the error names its source.
pub(crate) fn parsed(said: &str, name: &str) -> Result<EnvFilter, Error> {
    EnvFilter::try_new(said).map_err(|error| {
        Error::Invalid(format!(
            "{name} is {said:?}: {error}; it must be a level such as info, or levels by module such as \
             info,prepx_bus=debug"
        ))
    })
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn what_the_file_says_takes_effect_and_what_is_wrong_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("filter");
        assert!(Filter::by(&file).is_err(), "there is no file");
        fs::write(&file, "info\n").unwrap();
        let (mut filter, layer) = Filter::by(&file).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let tells = || tracing::enabled!(tracing::Level::DEBUG);
            assert!(!filter.changed().unwrap() && !tells());
            fs::write(&file, "debug").unwrap();
            assert!(filter.changed().unwrap() && tells());
            fs::write(&file, "=loud=").unwrap();
            let error = filter.changed().unwrap_err().to_string();
            assert!(error.contains("=loud=") && tells(), "{error}");
            fs::remove_file(&file).unwrap();
            assert!(!filter.changed().unwrap() && tells());
        });
    }
}
