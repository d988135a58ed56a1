//! Processes that know each other by certificates, and clients that know the platform by one.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::routing::get;
use prepx_runtime::serve::Limits;
use prepx_runtime::tls::{Config as Tls, Dialer, Identity, PublicConfig};
use prepx_runtime::{Config, Peer, Probes, guard, listen, telemetry};
use prepx_tests::authority::{Authority, Credentials, today};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::bank::{Bank, client, deposit, withdrawal};
use crate::hosted::{PATIENCE, Running};
use crate::sockets::until_closed;

const YEARS: Duration = Duration::from_secs(6 * 366 * 86_400);

/// A bank of this identity.
async fn bank(identity: Arc<Identity>, limits: Limits) -> Running {
    let greet = async |mut socket: WebSocket| drop(socket.send("a greeting".into()).await);
    let page = Router::new().route("/", get(async || "a page")).route(
        "/socket",
        get(async move |up: WebSocketUpgrade| up.on_upgrade(greet)),
    );
    let service = Bank::open().service(guard::Limits::default()).http(page);
    let config = Config {
        limits,
        ..Config::default()
    };
    Running::before(Some(identity), None, service, config).await
}

fn address(of: &Running) -> &str {
    of.url.trim_start_matches("http://")
}

/// Calls it once; what came of it in words.
async fn called(peer: Peer) -> String {
    let mut client = client(peer);
    let call = client.withdraw(withdrawal());
    let answer = tokio::time::timeout(PATIENCE, call).await;
    match answer.expect("there is an answer in time") {
        Ok(_) => "answered".to_owned(),
        Err(refused) => refused.to_string(),
    }
}

#[tokio::test]
async fn processes_of_one_authority_talk_to_each_other() {
    let authority = Authority::new("one");
    let running = bank(authority.identity("prepx-bank"), Limits::default()).await;
    let dialer = Dialer::mutual(authority.identity("prepx-caller"));
    let remote = dialer.remote("prepx-bank", address(&running));
    assert_eq!(called(remote.expect("an address")).await, "answered");
    let url = format!("https://{}", address(&running));
    let balanced = dialer.balanced("prepx-bank", &[&url, "https://127.0.0.1:9"]);
    let balanced = balanced.expect("URLs");
    assert_eq!(called(balanced).await, "answered", "of two, one is there");
    let plain = called(running.peer()).await;
    assert!(!plain.contains("answered"), "{plain}");
    running.end().await.expect("ends well");
}

#[tokio::test]
async fn whoever_is_not_who_he_should_be_is_refused_and_told_why() {
    let (authority, other) = (Authority::new("one"), Authority::new("other"));
    let running = bank(authority.identity("prepx-bank"), Limits::default()).await;
    let refused = async |who: &str, identity, service: &str, words: &[&str]| {
        let peer = Dialer::mutual(identity).remote(service, address(&running));
        let said = called(peer.expect("an address")).await;
        for word in words {
            assert!(said.contains(word), "{who}: {said} does not say {word}");
        }
    };
    let caller = authority.identity("prepx-caller");
    let words = ["prepx-other", "prepx-bank", "it is not who it should be"];
    refused("another service", caller, "prepx-other", &words).await;

    let stranger = other.identity("prepx-caller");
    let words = ["it is not who it should be", "UnknownIssuer"];
    refused("of another CA", stranger, "prepx-bank", &words).await;

    let believing = other.credentials("prepx-caller");
    believing.write("ca.pem", &(other.pem() + &authority.pem()));
    let believing = believing.identity("prepx-caller");
    let words = ["it refuses this process", "UnknownCA", "prepx-bank"];
    refused("of a CA unknown there", believing, "prepx-bank", &words).await;

    let clock = today();
    let late = authority.credentials("prepx-caller");
    late.hold(&authority.certified("prepx-caller", 2090), &authority.pem());
    let late = late.identity_at("prepx-caller", clock.clone());
    clock.advance(YEARS);
    let words = ["it is not who it should be", "expired"];
    refused("whose time is over here", late, "prepx-bank", &words).await;
    running.end().await.expect("ends well");
}

#[tokio::test]
async fn whoever_has_no_certificate_or_an_old_one_is_refused_by_the_server() {
    let (authority, clock) = (Authority::new("one"), today());
    let credentials = authority.credentials("prepx-bank");
    credentials.hold(&authority.certified("prepx-bank", 2090), &authority.pem());
    let identity = credentials.identity_at("prepx-bank", clock.clone());
    let running = bank(identity, Limits::default()).await;
    let url = format!("https://{}", address(&running));
    let nameless = Peer::public(&url, &credentials.config().ca, today()).expect("a URL");
    let said = called(nameless).await;
    assert!(!said.contains("answered"), "{said}");

    let caller = Dialer::mutual(authority.identity("prepx-caller"));
    let peer = || caller.remote("prepx-bank", address(&running));
    assert_eq!(called(peer().expect("an address")).await, "answered");
    clock.advance(YEARS);
    let said = called(peer().expect("an address")).await;
    assert!(said.contains("CertificateExpired"), "{said}");
    running.end().await.expect("ends well");
}

/// Speaks TLS to a port as somebody whose certificate nobody asks for.
async fn dialled(
    running: &Running,
    ca: &str,
    alpn: &[&str],
) -> (Option<Vec<u8>>, TlsStream<TcpStream>) {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(ca.as_bytes()).expect("PEM");
    roots.add(ca).expect("a CA");
    let ring = tokio_rustls::rustls::crypto::ring::default_provider();
    let config = ClientConfig::builder_with_provider(ring.into())
        .with_safe_default_protocol_versions()
        .expect("TLS 1.3");
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(address(running))
        .await
        .expect("connects");
    let name = ServerName::try_from("prepx.example.com").expect("a name");
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let stream = connecting.await.expect("shakes hands");
    let spoken = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
    (spoken, stream)
}

/// What clients know the platform by.
fn public(authority: &Authority) -> (Credentials, Arc<Identity>) {
    let credentials = authority.credentials("prepx.example.com");
    let Tls {
        certificate, key, ..
    } = credentials.config();
    let config = PublicConfig { certificate, key };
    config.validate().expect("is whole");
    let identity = Identity::public(&config, today()).expect("is right");
    (credentials, Arc::new(identity))
}

const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn clients_need_no_certificate_and_say_by_alpn_what_they_speak() {
    let authority = Authority::new("one");
    let (credentials, identity) = public(&authority);
    let running = bank(identity, Limits::default()).await;
    let url = format!("https://{}", address(&running));
    let peer = Peer::public(&url, &credentials.config().ca, today()).expect("a URL");
    assert_eq!(called(peer).await, "answered");
    for (alpn, spoken) in [
        (&["http/1.1"][..], Some("http/1.1")),
        (&["http/1.1", "h2"], Some("h2")),
        (&[], None),
    ] {
        let (chosen, mut stream) = dialled(&running, &authority.pem(), alpn).await;
        let spoken = spoken.map(|name| name.as_bytes().to_vec());
        assert_eq!(chosen, spoken, "the server prefers HTTP/2");
        if spoken.as_deref() != Some(b"h2") {
            stream.write_all(GET.as_bytes()).await.expect("sends");
            let answer = until_closed(&mut stream).await;
            assert!(answer.ends_with("a page"), "{alpn:?}: {answer}");
        }
    }
    running.end().await.expect("ends well");
}

#[tokio::test]
async fn a_socket_is_upgraded_over_tls() {
    let authority = Authority::new("one");
    let (_credentials, identity) = public(&authority);
    let running = bank(identity, Limits::default()).await;
    let (_, mut stream) = dialled(&running, &authority.pem(), &["http/1.1"]).await;
    let asked = "GET /socket HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                 sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    stream.write_all(asked.as_bytes()).await.expect("sends");
    let answer = until_closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    assert!(answer.contains("a greeting"), "{answer}");
    running.end().await.expect("ends well");
}

#[tokio::test]
async fn whoever_is_slow_or_speaks_no_tls_is_closed_and_gives_its_place_back() {
    let authority = Authority::new("one");
    let limits = Limits {
        connections: 1,
        handshake_timeout_ms: 200,
        header_timeout_ms: 200,
        ..Limits::default()
    };
    let metrics = telemetry::metrics().expect("nobody else records");
    let (_credentials, identity) = public(&authority);
    let running = bank(identity, limits).await;
    for said in ["", "\u{16}\u{3}\u{1}", GET] {
        let mut stream = TcpStream::connect(address(&running))
            .await
            .expect("connects");
        stream.write_all(said.as_bytes()).await.expect("sends");
        let answer = until_closed(&mut stream).await;
        assert!(!answer.contains("page"), "{said:?} was answered {answer:?}");
    }
    for silent in [&["h2"][..], &["http/1.1"], &[]] {
        let (_, mut stream) = dialled(&running, &authority.pem(), silent).await;
        until_closed(&mut stream).await;
    }
    let (_, mut stream) = dialled(&running, &authority.pem(), &["http/1.1"]).await;
    stream.write_all(GET.as_bytes()).await.expect("sends");
    assert!(until_closed(&mut stream).await.ends_with("a page"));
    let counted = metrics.render();
    let lives = "prepx_tls_certificate_seconds_left{table=\"public_tls\"} 1";
    assert!(counted.contains(lives), "{counted}");
    for reason in ["slow", "no_tls"] {
        let line = format!("{{side=\"server\",reason=\"{reason}\"}}");
        let line = format!("prepx_tls_handshakes_failed_total{line}");
        assert!(counted.contains(&line), "{reason}: {counted}");
    }
    running.end().await.expect("ends well");
}

#[tokio::test]
async fn changed_files_are_taken_up_and_damaged_ones_are_not() {
    let (old, new) = (Authority::new("one"), Authority::new("other"));
    let credentials = old.credentials("prepx-bank");
    let identity = credentials.identity("prepx-bank");
    let running = bank(Arc::clone(&identity), Limits::default()).await;
    let of = |authority: &Authority| Dialer::mutual(authority.identity("prepx-caller"));
    let call = async |dialer: &Dialer| {
        let peer = dialer.remote("prepx-bank", address(&running));
        called(peer.expect("an address")).await
    };
    let (of_old, of_new) = (of(&old), of(&new));
    assert!(!identity.look(), "nothing has changed");
    assert_eq!(call(&of_old).await, "answered");

    credentials.write("certificate.pem", "-----BEGIN CERTIFICATE-----\nhalf");
    assert!(!identity.look(), "what is damaged is not taken");
    assert_eq!(call(&of_old).await, "answered");
    let [certificate, _] = new.certified("prepx-bank", 2030);
    credentials.write("certificate.pem", &certificate);
    assert!(!identity.look(), "nor a certificate without its key");
    assert_eq!(call(&of_old).await, "answered");

    credentials.hold(&new.certified("prepx-bank", 2030), &new.pem());
    let following = tokio::spawn(Arc::clone(&identity).follow(Duration::from_millis(5)));
    let taken = async {
        while call(&of_new).await != "answered" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, taken).await;
    in_time.expect("is taken up");
    following.abort();
    assert!(call(&of_old).await.contains("UnknownIssuer"));
    running.end().await.expect("ends well");
}

#[tokio::test]
async fn files_that_are_not_right_are_named_with_what_would_be() {
    let (authority, other) = (Authority::new("one"), Authority::new("other"));
    let mine = || authority.credentials("prepx-bank");
    let refused = |credentials: &Credentials, words: &[&str]| {
        let opened = Identity::inner(&credentials.config(), "prepx-bank", today());
        let said = opened.expect_err("is not right").to_string();
        for word in words {
            assert!(said.contains(word), "{said} does not say {word}");
        }
    };
    let credentials = mine();
    std::fs::remove_file(credentials.config().ca).expect("was there");
    refused(
        &credentials,
        &["tls.ca is", "ca.pem", "No such file", "PEM file"],
    );

    let credentials = mine();
    credentials.write("certificate.pem", "no PEM at all");
    refused(
        &credentials,
        &["tls.certificate is", "no certificate in it"],
    );

    let credentials = mine();
    credentials.write("key.pem", &authority.certified("prepx-bank", 2030)[0]);
    refused(
        &credentials,
        &["tls.key is", "no private key", "not encrypted"],
    );

    let credentials = mine();
    credentials.write("key.pem", &authority.certified("prepx-bank", 2030)[1]);
    let words = ["tls.key is", "not the key of", "certificate.pem"];
    refused(&credentials, &words);

    let credentials = mine();
    credentials.hold(&authority.certified("prepx-bank", 2025), &authority.pem());
    refused(
        &credentials,
        &["tls.certificate is", "expired", "valid now"],
    );

    let credentials = mine();
    credentials.write("ca.pem", &other.pem());
    refused(
        &credentials,
        &["would refuse it", "UnknownIssuer", "of the CA in"],
    );

    let credentials = authority.credentials("prepx-other");
    refused(&credentials, &["would refuse it", "DNS name prepx-bank"]);

    let credentials = mine();
    credentials.hold(&authority.certified("prepx-bank", 2025), &authority.pem());
    let Tls {
        certificate, key, ..
    } = credentials.config();
    let opened = Identity::public(&PublicConfig { certificate, key }, today());
    let said = opened.expect_err("is over").to_string();
    assert!(said.contains("public_tls.certificate is"), "{said}");
    assert!(said.contains("expired"), "{said}");
}

#[test]
fn settings_say_all_or_nothing() {
    let half = Tls {
        key: "key.pem".into(),
        ..Tls::default()
    };
    let said = half.validate().expect_err("is half").to_string();
    for word in ["tls.key is set", "tls.certificate is not"] {
        assert!(said.contains(word), "{said} does not say {word}");
    }
    Tls::default().validate().expect("is nothing");
    let half = PublicConfig {
        certificate: "certificate.pem".into(),
        ..PublicConfig::default()
    };
    let said = half.validate().expect_err("is half").to_string();
    assert!(said.contains("public_tls.key is not"), "{said}");
}

#[tokio::test]
async fn addresses_fit_how_processes_talk() {
    let authority = Authority::new("one");
    let mutual = Dialer::mutual(authority.identity("prepx-caller"));
    let plain = Dialer::default();
    for (dialer, url, words) in [
        (&mutual, "http://127.0.0.1:9", ["plain text", "https://"]),
        (&plain, "https://127.0.0.1:9", ["tls is not set", "http://"]),
        (
            &plain,
            "127.0.0.1:9",
            ["not an HTTP URL", "http://10.0.0.5:9001"],
        ),
        (&mutual, "https://", ["https://", "not the address"]),
    ] {
        let opened = dialer.balanced("prepx-bank", &[url]);
        let said = opened.expect_err("does not fit").to_string();
        for word in words {
            assert!(said.contains(word), "{said} does not say {word}");
        }
    }
}

#[tokio::test]
async fn probes_have_a_plain_port_of_their_own() {
    let authority = Authority::new("one");
    let listener = listen(([127, 0, 0, 1], 0).into()).await.expect("a port");
    let at = listener.local_addr().expect("is bound");
    let metrics = telemetry::metrics().expect("nobody else records");
    let identity = authority.identity("prepx-bank");
    let (bank, gate) = Bank::closed();
    let service = bank.service(guard::Limits::default());
    let probes = Some(Probes { listener, metrics });
    let config = Config::default();
    let running = Running::before(Some(identity), probes, service, config).await;
    let ask = async |path: &str| {
        let mut stream = TcpStream::connect(at).await.expect("connects");
        let asked = GET.replacen("/ ", &format!("{path} "), 1);
        stream.write_all(asked.as_bytes()).await.expect("sends");
        until_closed(&mut stream).await
    };
    for (path, answer) in [("/healthz", "alive\n"), ("/readyz", "ready\n")] {
        assert!(ask(path).await.ends_with(answer), "{path}");
    }
    assert!(ask("/metrics").await.starts_with("HTTP/1.1 200"));
    assert!(ask("/").await.starts_with("HTTP/1.1 404"));
    let profile = "/debug/pprof/profile?seconds=0";
    assert!(ask(profile).await.starts_with("HTTP/1.1 400"), "is there");
    let url = format!("http://{at}");
    let channel = tonic::transport::Endpoint::from_shared(url.clone());
    let channel = channel.expect("a URL").connect_lazy();
    let everything = HealthCheckRequest::default();
    let health = HealthClient::new(channel).check(everything).await;
    health.expect("is told");
    let call = client(Peer::remote(&url).expect("a URL"))
        .withdraw(withdrawal())
        .await;
    let code = call.expect_err("is not there").code();
    assert_eq!(code, Code::Unimplemented, "no service is behind it");

    let dialer = Dialer::mutual(authority.identity("prepx-caller"));
    let peer = dialer.remote("prepx-bank", address(&running));
    let mut caller = client(peer.expect("an address"));
    let under_way = tokio::spawn(async move { caller.deposit(deposit("USD")).await });
    gate.call().await;
    let ending = tokio::spawn(running.end());
    let left = async {
        while !ask("/readyz").await.ends_with("not ready\n") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, left).await;
    in_time.expect("says so while it drains");
    gate.open();
    let answered = under_way.await.expect("does not panic");
    answered.expect("is answered during the drain");
    ending.await.expect("does not panic").expect("ends well");
}
