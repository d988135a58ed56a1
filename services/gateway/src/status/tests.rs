use super::*;

fn known(service: &str, port: u16, serves: bool, part: v1::Part) -> Known {
    let address = format!("10.0.0.5:{port}");
    Known {
        service: service.to_owned(),
        url: Some(format!("http://{address}")),
        serves,
        part: Some(v1::Part { address, ..part }),
    }
}

fn owned(partition: &str, epoch: u32, sent: u64, received: u64, other: &str) -> v1::Owned {
    v1::Owned {
        partition: partition.to_owned(),
        epoch,
        seq: 9,
        sent: BTreeMap::from([(other.to_owned(), sent)]),
        received: BTreeMap::from([(other.to_owned(), received)]),
    }
}

fn part(partitions: &[&str], owned: Vec<v1::Owned>) -> v1::Part {
    v1::Part {
        partitions: partitions.iter().map(|name| (*name).to_owned()).collect(),
        owned,
        ..v1::Part::default()
    }
}

fn consuming(lag_records: u64, partitions: u64) -> v1::Part {
    let name = "portfolio".to_owned();
    v1::Part {
        consumers: vec![v1::Consumer {
            name,
            lag_records,
            lag_ms: 5,
            partitions,
            partitions_of: 4,
        }],
        ..v1::Part::default()
    }
}

#[test]
fn what_processes_tell_is_one_picture() {
    let seat = |name: &str, owned| part(&[name], vec![owned]);
    let late = seat("account/0", owned("account/0", 2, 12, 4, "matching/0"));
    let early = seat("account/0", owned("account/0", 1, 99, 99, "matching/0"));
    let matching = seat("matching/0", owned("matching/0", 7, 3, 10, "account/0"));
    let status = assemble(&[
        known("portfolio", 1, true, consuming(3, 4)),
        known("portfolio", 2, true, consuming(0, 0)),
        known("analytics", 6, true, v1::Part::default()),
        known("analytics", 7, false, v1::Part::default()),
        known("risk", 3, true, late),
        known("risk", 4, true, early),
        known("trading", 5, true, matching),
    ]);
    assert_eq!(status.problems, [""; 0]);
    assert_eq!(status.status(), HealthStatus::Ok);
    let states: Vec<_> = status
        .processes
        .iter()
        .map(wire::ProcessStatus::state)
        .collect();
    let (serves, stands_by) = (ProcessState::Serves, ProcessState::StandsBy);
    let told = [serves, serves, serves, stands_by, serves, serves, serves];
    assert_eq!(states, told);
    let owner =
        |found: &wire::PartitionStatus| (found.name.clone(), found.owner.clone(), found.epoch);
    let owners: Vec<_> = status.partitions.iter().map(owner).collect();
    let owner = |name: &str, port, epoch| {
        (
            name.to_owned(),
            Some(format!("10.0.0.5:{port}")),
            Some(epoch),
        )
    };
    assert_eq!(
        owners,
        [owner("account/0", 3, 2), owner("matching/0", 5, 7)]
    );
    let lags: Vec<_> = status
        .lanes
        .iter()
        .map(|lane| (lane.from.as_str(), lane.lag_messages))
        .collect();
    assert_eq!(
        lags,
        [("account/0", 2), ("matching/0", 0)],
        "4 were taken of 3: the moments differ"
    );
    let [portfolio] = &status.consumers[..] else {
        panic!("{:?}", status.consumers)
    };
    assert_eq!(
        (portfolio.lag_records, portfolio.address.as_str()),
        (3, "10.0.0.5:1")
    );
}

#[test]
fn what_processes_share_out_is_taken_by_somebody() {
    let two = |taken| {
        assemble(&[
            known("portfolio", 1, true, consuming(3, 1)),
            known("portfolio", 2, true, consuming(2, taken)),
        ])
    };
    let status = two(3);
    assert_eq!(status.problems, [""; 0]);
    let taken: Vec<_> = (status.consumers.iter())
        .map(|one| (one.address.as_str(), one.partitions))
        .collect();
    assert_eq!(taken, [("10.0.0.5:1", 1), ("10.0.0.5:2", 3)]);
    assert_eq!(
        two(1).problems,
        ["nobody takes 2 of the 4 partitions of portfolio"]
    );
}

#[test]
fn dead_letters_are_told_by_whoever_keeps_them() {
    let keeps = |letters| v1::Part {
        dead_letters: vec![v1::DeadLetters {
            group: "webhooks".to_owned(),
            letters,
        }],
        ..v1::Part::default()
    };
    let (one, other) = (known("notification", 1, true, keeps(0)), keeps(3));
    let status = assemble(&[one, known("notification", 2, true, other)]);
    let [found] = &status.dead_letters[..] else {
        panic!("{:?}", status.dead_letters)
    };
    assert_eq!((found.group.as_str(), found.letters), ("webhooks", 3));
    assert_eq!(status.problems, [""; 0], "they wait for an operator");
}

#[test]
fn an_sql_server_is_what_whoever_sees_most_of_it_says() {
    let sees = |servers: &[(&str, v1::SqlRole, u64)]| {
        let server = |(address, role, delay_ms): &(&str, v1::SqlRole, u64)| v1::SqlServer {
            address: (*address).to_owned(),
            role: (*role).into(),
            delay_ms: *delay_ms,
        };
        v1::Part {
            sql_servers: servers.iter().map(server).collect(),
            ..v1::Part::default()
        }
    };
    let (primary, replica, away) = (
        v1::SqlRole::Primary,
        v1::SqlRole::Replica,
        v1::SqlRole::Away,
    );
    let status = assemble(&[
        known(
            "user",
            1,
            true,
            sees(&[("a", primary, 0), ("b", replica, 7)]),
        ),
        known(
            "risk",
            2,
            true,
            sees(&[("a", away, 0), ("b", replica, 20), ("c", away, 0)]),
        ),
    ]);
    let found = status.sql_servers.iter();
    let found: Vec<_> = found
        .map(|server| (server.address.as_str(), server.role(), server.delay_ms))
        .collect();
    assert_eq!(
        found,
        [
            ("a", SqlServerRole::Primary, None),
            ("b", SqlServerRole::Replica, Some(20)),
            ("c", SqlServerRole::Away, None),
        ]
    );
    assert_eq!(status.problems, ["the SQL server c is away"]);
}

#[test]
fn what_is_missing_is_a_problem_and_absent() {
    let mut silent = known("user", 1, true, v1::Part::default());
    silent.part = None;
    let status = assemble(&[
        known("portfolio", 2, false, v1::Part::default()),
        known(
            "risk",
            3,
            true,
            part(
                &["account/0", "account/1"],
                vec![owned("account/1", 1, 0, 0, "matching/0")],
            ),
        ),
        silent,
    ]);
    assert_eq!(
        status.problems,
        [
            "user at 10.0.0.5:1 does not answer",
            "no process of portfolio takes calls",
            "no process of user takes calls",
            "nobody owns account/0",
        ]
    );
    assert_eq!(status.status(), HealthStatus::Down);
    assert_eq!(
        status.partitions[0],
        wire::PartitionStatus {
            name: "account/0".to_owned(),
            ..Default::default()
        }
    );
    assert!(status.lanes.is_empty(), "who takes is not known");
    assert_eq!(status.processes[2].version, None);
}
