//! Starting and ending.

use std::io::{BufRead as _, Read as _};
use std::path::Path;
use std::process::Stdio;

use prepx_bus::file::RealDir;
use prepx_bus::{Batch, EmbeddedLog, Log as _, Topic};

use crate::platform::{Platform, command, prepx};

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
    let (code, words) = prepx(&["start", "--dev", "--listen", "0.0.0.0:0"]);
    assert_eq!(code, Some(1));
    assert!(words.contains("127.0.0.1"), "{words}");
    let (code, words) = prepx(&["start", "--listen", "nowhere"]);
    assert_eq!(code, Some(2));
    assert!(words.contains("HOST:PORT"), "{words}");
}

#[test]
fn it_listens_where_a_host_is() {
    let directory = tempfile::tempdir().unwrap();
    let mut start = std::process::Command::new(env!("CARGO_BIN_EXE_prepx"));
    start.args(["start", "--dev", "--simulate", "off", "--listen"]);
    start
        .args(["localhost:0", "--data-dir"])
        .arg(directory.path());
    start.stdout(Stdio::piped()).stderr(Stdio::null());
    let platform = Platform::start_by(&mut start);
    assert!(
        platform.url.starts_with("http://127.0.0.1:"),
        "{}",
        platform.url
    );
}

#[tokio::test]
async fn a_new_account_is_shown_also_when_a_deposit_into_it_fails() {
    let directory = tempfile::tempdir().unwrap();
    let platform = Platform::start(directory.path());
    let add = |deposit: &str| {
        let what = ["admin", "account", "add", "--email", "a@example.com"];
        let how = ["--deposit", deposit, "--url", &platform.url];
        prepx(&[&what[..], &how[..]].concat())
    };
    // What is no amount is refused before there is an account.
    let (code, words) = add("USD=lots");
    assert_eq!(code, Some(2), "{words}");
    let (code, words) = add("USD=90000000000");
    assert_eq!(code, Some(1), "{words}");
    assert!(
        words.contains("secret_key ")
            && words.contains("is made: the deposit of 90000000000 USD failed"),
        "{words}"
    );
    let (code, words) = prepx(&["admin", "instrument", "list", "--url", "http://127.0.0.1:1"]);
    assert_eq!(code, Some(1));
    assert!(
        words.ends_with("is --url right? Connection refused (os error 111)\n"),
        "{words}"
    );
}

#[test]
fn nobody_who_reads_is_no_reason_to_panic() {
    let directory = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut lists = std::process::Command::new(env!("CARGO_BIN_EXE_prepx"));
    let lists = lists.args(["admin", "instrument", "list", "--json", "--url"]);
    let mut started = command(directory.path());
    let started = started.stdout(writer.try_clone().unwrap());
    let mut platform = started.stderr(Stdio::piped()).spawn().unwrap();
    let mut said = std::io::BufReader::new(platform.stderr.take().unwrap());
    let url = loop {
        let mut line = String::new();
        assert!(said.read_line(&mut line).unwrap() > 0, "it has ended");
        if let Some((_, health)) = line.split_once("health ") {
            break health.trim().trim_end_matches("/api/health").to_owned();
        }
    };
    let listed = lists.arg(url).stdout(writer).output().unwrap();
    let words = String::from_utf8(listed.stderr).unwrap();
    assert!(!words.contains("panicked"), "{words}");
    assert!(platform.try_wait().unwrap().is_none(), "it goes on");
    platform.kill().unwrap();
    platform.wait().unwrap();
}

/// Puts a message that no version has ever written before the first matching partition.
fn poison(data_dir: &Path) {
    let log_dir = RealDir::open(&data_dir.join("log")).expect("a log");
    let config = prepx_standalone::core::Options::new(data_dir).log;
    let log = EmbeddedLog::open(log_dir, config).expect("a log that nobody holds");
    let mut batch = Batch::new();
    batch.push_with(Topic::OrderProcessing.partition(0), |to| {
        let source = Topic::AccountJournal.partition(0);
        prepx_stage::lane::write(source, 1, 1, &[b"of another version"], to);
    });
    log.append(None, &batch).expect("room");
    log.flush().expect("a disk");
}

#[test]
fn an_operator_skips_a_poison_input_and_the_platform_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().to_str().unwrap();
    let mut platform = Platform::start(directory.path());
    let skip = |input: &str, reason: &str| {
        let place = ["--data-dir", data_dir, "--partition", "matching/0"];
        let what = ["--input", input, "--reason", reason];
        prepx(&[&["stage", "skip"], &place[..], &what[..]].concat())
    };
    let (code, words) = skip("account-journal/0#1", "too early");
    assert_eq!(code, Some(1), "a platform that runs holds its directory");
    assert!(words.contains("in use by"), "{words}");
    platform.terminate();
    assert!(platform.process.wait().unwrap().success());

    poison(directory.path());
    let mut start = command(directory.path());
    let output = start.stderr(Stdio::piped()).output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let asked = "prepx stage skip --partition matching/0 --input account-journal/0#1 --reason";
    assert!(words.contains(asked), "{words}");

    let (code, words) = skip("account-journal/0#2", "not there");
    assert_eq!(code, Some(1));
    assert!(
        words.contains("not an input that matching/0 has yet to take"),
        "{words}"
    );
    assert_eq!(
        skip("account-journal/0#1", " ").0,
        Some(1),
        "a reason is due"
    );
    assert_eq!(skip("nonsense", "no").0, Some(2));
    let (code, words) = skip("account-journal/0#1", "a test of an operator");
    assert_eq!(code, Some(0), "{words}");
    let mut platform = Platform::start(directory.path());
    platform.terminate();
    assert!(platform.process.wait().unwrap().success());
}

#[test]
fn verify_is_of_a_platform_that_runs_or_of_a_directory() {
    let (code, words) = prepx(&["verify", "--url", "http://127.0.0.1:1", "--data-dir", "."]);
    assert_eq!(code, Some(1));
    assert!(
        words.contains("--url") && words.contains("--data-dir"),
        "{words}"
    );
}
