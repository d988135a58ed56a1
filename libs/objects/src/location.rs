//! Where objects are, as a URL says it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use prepx_bus::file::RealDir;

use crate::Objects;

/// A place for objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// The files of a directory, which is created if it is not there.
    Directory(PathBuf),
    /// The objects of a bucket whose names begin with a prefix.
    Bucket {
        /// The bucket's name.
        name: String,
        /// Without a slash at either end.
        prefix: String,
    },
}

/// Why there is no place for objects.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL names no place.
    #[error("{0:?} names no object storage; it must be file:DIRECTORY or s3://BUCKET[/PREFIX]")]
    Url(String),
    /// This program cannot use what the URL names.
    #[error(
        "{0} is in a bucket, and this program was built without S3: build it with \
         `cargo build --release --features kafka`, which has it"
    )]
    WithoutS3(String),
    /// It cannot be used.
    #[error("object storage {place}: {source}")]
    Io {
        /// Which.
        place: String,
        /// Why.
        source: io::Error,
    },
}

impl Location {
    /// Reads a URL: `file:DIRECTORY` or `s3://BUCKET[/PREFIX]`.
    ///
    /// Of a bucket the rest is said as to every tool for S3: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
    /// `AWS_REGION`, `AWS_ENDPOINT_URL` where it is not Amazon's; a role of the machine or the pod is taken too.
    ///
    /// # Errors
    /// A URL of another form.
    pub fn parse(url: &str) -> Result<Location, Error> {
        if let Some(rest) = url.strip_prefix("s3://") {
            let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            if !name.is_empty() {
                return Ok(Location::Bucket {
                    name: name.to_owned(),
                    prefix: prefix.trim_matches('/').to_owned(),
                });
            }
        }
        match url.strip_prefix("file:") {
            Some(directory) if !directory.is_empty() => Ok(Location::Directory(directory.into())),
            _ => Err(Error::Url(url.to_owned())),
        }
    }

    /// Opens the place. Whether a bucket is there shows with the first call.
    ///
    /// # Errors
    /// A directory that cannot be used; a bucket, for a program that was built without S3.
    pub fn open(&self) -> Result<Arc<dyn Objects>, Error> {
        match self {
            Location::Directory(path) => {
                let opened = RealDir::open(path).map_err(|source| Error::Io {
                    place: path.display().to_string(),
                    source,
                })?;
                Ok(opened)
            }
            Location::Bucket { name, prefix } => bucket(name, prefix),
        }
    }
}

#[cfg(feature = "s3")]
fn bucket(name: &str, prefix: &str) -> Result<Arc<dyn Objects>, Error> {
    let opened = crate::s3::Bucket::open(name, prefix).map_err(|source| Error::Io {
        place: format!("s3://{name}/{prefix}"),
        source,
    })?;
    Ok(Arc::new(opened))
}

#[cfg(not(feature = "s3"))]
fn bucket(name: &str, prefix: &str) -> Result<Arc<dyn Objects>, Error> {
    Err(Error::WithoutS3(format!("s3://{name}/{prefix}")))
}
