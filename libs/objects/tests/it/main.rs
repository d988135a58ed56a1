//! One suite for every place of objects: a directory, a directory that fails on purpose, a bucket.

// Clippy takes only #[test] functions for tests; helpers of a test crate are tests too.
#![allow(clippy::unwrap_used)]

use std::io::ErrorKind;
use std::sync::Arc;

use prepx_bus::faulty::FaultyDir;
use prepx_objects::{Error, Location, Objects};

fn open(url: &str) -> Arc<dyn Objects> {
    Location::parse(url).unwrap().open().unwrap()
}

/// What every place promises. `again` opens the same place as another process would.
fn suite(place: &dyn Objects, again: &dyn Fn() -> Arc<dyn Objects>) {
    let large: Vec<u8> = (0..3_000_000u32).map(|at| at as u8).collect();
    place.put("journal-1-000000000002", b"second").unwrap();
    place.put("journal-1-000000000001", b"first").unwrap();
    place.put("journal-10-000000000001", &large).unwrap();
    place.put("journal-2-000000000001", b"").unwrap();

    let there = again();
    assert_eq!(there.get("journal-1-000000000001").unwrap(), b"first");
    assert_eq!(there.get("journal-10-000000000001").unwrap(), large);
    assert_eq!(there.get("journal-2-000000000001").unwrap(), b"");
    let absent = there.get("journal-3-000000000001").unwrap_err();
    assert_eq!(absent.kind(), ErrorKind::NotFound, "{absent}");
    let listed = there.list("journal-1-").unwrap();
    assert_eq!(listed, ["journal-1-000000000001", "journal-1-000000000002"]);
    assert_eq!(there.list("").unwrap().len(), 4);
    assert!(there.list("snapshots").unwrap().is_empty());

    place.put("journal-1-000000000001", b"another").unwrap();
    assert_eq!(there.get("journal-1-000000000001").unwrap(), b"another");
    there.settle().unwrap();
    there.remove("journal-1-000000000001").unwrap();
    there.remove("journal-1-000000000001").unwrap();
    assert_eq!(
        place.list("journal-1-").unwrap(),
        ["journal-1-000000000002"]
    );
    for name in place.list("").unwrap() {
        place.remove(&name).unwrap();
    }
    assert!(there.list("").unwrap().is_empty());
}

#[test]
fn a_directory_passes_the_suite() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("file:{}/of/objects", directory.path().display());
    suite(&*open(&url), &|| open(&url));
}

#[test]
fn what_was_put_survives_a_loss_of_power() {
    for seed in 0..50 {
        let dir = FaultyDir::new(seed);
        suite(&*dir, &|| dir.clone());
        dir.put("kept", b"before").unwrap();
        dir.put("kept", b"after").unwrap();
        let after = dir.crash();
        assert_eq!(after.get("kept").unwrap(), b"after", "seed {seed}");
    }
}

#[test]
fn an_object_is_whole_whenever_the_machine_dies() {
    for step in 0..20 {
        let dir = FaultyDir::new(step);
        dir.put("kept", b"before").unwrap();
        dir.die_after(step);
        let put = dir.put("kept", b"after, which is longer");
        let found = dir.crash().get("kept").unwrap();
        match put {
            Ok(()) => assert_eq!(found, b"after, which is longer", "step {step}"),
            Err(_) => assert!(
                [&b"before"[..], b"after, which is longer"].contains(&&found[..]),
                "step {step}: {found:?}"
            ),
        }
    }
}

/// Where `make test-s3` has put a bucket; the test is not there without it.
#[cfg(feature = "s3-tests")]
#[test]
fn a_bucket_passes_the_suite() {
    let url = std::env::var("PREPX_TEST_S3")
        .expect("PREPX_TEST_S3 names a bucket: `make test-s3` sets it");
    let place = open(&format!("{url}/suite"));
    let beside = open(&format!("{url}/beside"));
    beside
        .put("journal-1-000000000001", b"of somebody else")
        .unwrap();
    suite(&*place, &|| open(&format!("{url}/suite")));
    assert_eq!(beside.list("").unwrap(), ["journal-1-000000000001"]);
}

#[cfg(feature = "s3-tests")]
#[test]
fn a_bucket_that_is_not_there_says_so() {
    let place = open("s3://no-such-bucket/suite");
    let error = place.put("a", b"b").unwrap_err().to_string();
    assert!(error.contains("no-such-bucket"), "{error}");
}

#[test]
fn a_url_that_names_no_place_is_refused() {
    for url in [
        "",
        "file:",
        "s3:",
        "s3://",
        "s3:///prefix",
        "https://bucket",
        "snapshots",
    ] {
        let refused = Location::parse(url);
        assert!(matches!(refused, Err(Error::Url(_))), "{url}: {refused:?}");
    }
}
