//! Starting and ending.

use std::io::Read as _;
use std::process::{Command, Stdio};

use crate::platform::{Platform, command};

#[test]
fn sigterm_ends_it_with_zero_and_the_directory_can_be_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let mut platform = Platform::start(directory.path());
        platform.terminate();
        assert!(platform.process.wait().unwrap().success());
    }
}

#[test]
fn a_second_start_on_one_directory_says_who_holds_it() {
    let directory = tempfile::tempdir().unwrap();
    let platform = Platform::start(directory.path());
    let mut second = command(directory.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut words = String::new();
    second
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut words)
        .unwrap();
    assert_eq!(second.wait().unwrap().code(), Some(1));
    let holder = format!("process {}", platform.process.id());
    assert!(
        words.contains("in use by") && words.contains(&holder),
        "{words}"
    );
}

#[test]
fn the_published_keys_serve_loopback_only() {
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_prepx"))
            .args(arguments)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, words) = run(&["start", "--dev", "--listen", "0.0.0.0:0"]);
    assert_eq!(code, Some(1));
    assert!(words.contains("127.0.0.1"), "{words}");
    let (code, _) = run(&["start", "--listen", "nowhere"]);
    assert_eq!(code, Some(2));
}
