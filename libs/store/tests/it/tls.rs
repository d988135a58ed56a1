//! Servers that speak TLS, and what is not believed of them: `tests/servers/postgres.py run --tls`.

use prepx_store::{Durability, Location, Options, Pool, Result, query, suite};

async fn open(url: &str) -> Result<Pool> {
    let location = Location::parse(url).expect("a URL of PostgreSQL");
    let options = Options {
        wait_ms_max: 2_000,
        ..Options::new("tls", Durability::Source)
    };
    Pool::open(&location, &options, &[]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_known_by_its_ca_and_its_name() {
    let url = std::env::var(suite::SERVER).expect("it names a server");
    let pool = open(&url).await.expect("the server that the URL says");
    let mut reader = pool.read().await.expect("read");
    let ours = query("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl");
    let version: Option<String> = ours.scalar(&mut reader).await.expect("TLS");
    assert_eq!(version.as_deref(), Some("TLSv1.3"));

    let (start, ca) = url.split_once("&sslrootcert=").expect("a run with --tls");
    let plain = start.replace("verify-full", "disable");
    let elsewhere = url.replace("127.0.0.1", "localhost");
    for (why, url) in [
        ("a CA that browsers do not know", start),
        ("plain text", &*plain),
        ("another name", &*elsewhere),
    ] {
        let opened = open(url).await;
        assert!(opened.is_err(), "{why}");
    }
    let missing = open(&format!("{start}&sslrootcert={ca}.not")).await;
    let missing = missing.expect_err("a file that is not there").to_string();
    assert!(missing.contains(&format!("{ca}.not")), "{missing}");
}
