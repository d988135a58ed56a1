//! Brokers that speak TLS, and what is not believed of them: `tests/servers/kafka.py run --tls`.

use std::time::Duration;

use prepx_bus::kafka::{Config, topics};
use prepx_bus::{KafkaLocation, KafkaLog, Security};
use prepx_location::{Login, Tls};

use super::{Kafka, declared, nodes, small};

/// What opening says, when there is nothing to wait for.
fn refused(location: &KafkaLocation) -> Option<String> {
    let hasty = Config {
        patience: Duration::from_secs(2),
        ..small("tls")
    };
    let opened = KafkaLog::open(location.clone(), hasty);
    opened.err().map(|error| error.to_string())
}

#[test]
fn brokers_are_known_by_their_ca_and_their_name_and_know_who_asks() {
    let right = Kafka::place();
    topics::apply(&right, &declared(nodes())).unwrap();
    assert_eq!(refused(&right), None);

    let security = right.security.clone().expect("a run with --tls");
    let (login, mechanism) = security.login.clone().expect("a password");
    let wrong = Login {
        password: "wrong".to_owned(),
        ..login.clone()
    };
    let strange = |ca| Security {
        tls: Tls {
            ca,
            ..security.tls.clone()
        },
        ..security.clone()
    };
    let asked_by = |login| Security {
        login,
        ..security.clone()
    };
    for (why, security) in [
        ("a CA that browsers do not know", Some(strange(None))),
        ("nobody asks", Some(asked_by(None))),
        ("a wrong password", Some(asked_by(Some((wrong, mechanism))))),
        ("plain text", None),
    ] {
        let location = KafkaLocation {
            security,
            ..right.clone()
        };
        assert!(refused(&location).is_some(), "{why}");
    }
    let elsewhere = KafkaLocation {
        brokers: right.brokers.replace("127.0.0.1", "localhost"),
        ..right.clone()
    };
    assert!(refused(&elsewhere).is_some(), "another name");

    let missing = "/not/there/ca.pem";
    let location = KafkaLocation {
        security: Some(strange(Some(missing.into()))),
        ..right
    };
    let told = refused(&location).expect("a file that is not there");
    assert!(told.contains(missing), "{told}");
    let told = topics::plan(&location, &declared(nodes())).unwrap_err();
    assert!(told.to_string().contains(missing), "{told}");
}
