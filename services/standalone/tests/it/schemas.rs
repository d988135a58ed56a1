//! Tables that are made before any service starts.

use std::process::{Command, Output};

use expect_test::expect;

fn apply(url: &str, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prepx"));
    command.args(["schemas", "apply"]).args(more).env_clear();
    command
        .env("PREPX_SQL_URL", url)
        .output()
        .expect("the program runs")
}

#[test]
fn schemas_are_made_once_and_found_up_to_date_then() {
    let directory = tempfile::tempdir().expect("a directory");
    let url = format!("sqlite:{}", directory.path().display());
    for _ in 0..2 {
        let done = apply(&url, &[]);
        let errors = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{errors}");
        expect![[r#"
            user is up to date
            market-data is up to date
            analytics is up to date
            notification is up to date
            portfolio is up to date
        "#]]
        .assert_eq(&String::from_utf8_lossy(&done.stdout));
    }
    let done = apply(&url, &["--json"]);
    expect![[r#"
        {"schema":"user","up_to_date":true}
        {"schema":"market-data","up_to_date":true}
        {"schema":"analytics","up_to_date":true}
        {"schema":"notification","up_to_date":true}
        {"schema":"portfolio","up_to_date":true}
    "#]]
    .assert_eq(&String::from_utf8_lossy(&done.stdout));
    let made = std::fs::read_dir(directory.path()).expect("is there");
    let names = made.map(|entry| entry.expect("a file").file_name());
    let mut names: Vec<_> = names.filter_map(|name| name.into_string().ok()).collect();
    names.retain(|name| name.ends_with(".db"));
    names.sort_unstable();
    expect![[r#"
        [
            "audit.db",
            "market_data.db",
            "notification.db",
            "portfolio.db",
            "transfers.db",
            "user.db",
        ]
    "#]]
    .assert_debug_eq(&names);
}

#[test]
fn a_place_that_is_none_is_named() {
    let refused = apply("mysql://db/prepx", &[]);
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("sql_url") && said.contains("mysql"), "{said}");
}
