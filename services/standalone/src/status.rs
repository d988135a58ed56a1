//! `prepx status`: how every part of a platform is, as its gateway tells.

use anyhow::{Result, bail};
use prepx_proto::gateway::v1 as wire;
use prepx_proto::gateway::v1::gateway_service_client::GatewayServiceClient;

use crate::cli;
use crate::client::{self, words};

/// Prints it.
///
/// # Errors
/// What is wrong with the platform, or why it could not be asked.
pub fn run(options: &cli::Status) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let target = &options.target;
    let status = runtime.block_on(async {
        let to = target.connection()?;
        let request = to.request(wire::GetStatusRequest {});
        let answer = GatewayServiceClient::new(to.peer())
            .get_status(request)
            .await;
        Ok::<_, anyhow::Error>(answer.map_err(words)?.into_inner())
    })?;
    match options.json {
        true => println!("{}", json(&status)?),
        false => print!("{}", tables(&status)),
    }
    match status.problems.is_empty() {
        true => Ok(()),
        false => bail!("{}", status.problems.join("; ")),
    }
}

fn json(status: &wire::Status) -> Result<String> {
    client::json("prepx.gateway.v1.Status", status)
}

fn tables(status: &wire::Status) -> String {
    [
        table(
            ["service", "address", "state", "version"],
            status.processes.iter().map(process),
        ),
        table(
            ["partition", "owner", "epoch", "transition"],
            status.partitions.iter().map(partition),
        ),
        table(
            ["lane from", "to", "lag", ""],
            status.lanes.iter().map(lane),
        ),
        table(
            ["consumer", "address", "partitions", "lag"],
            status.consumers.iter().map(consumer),
        ),
        table(
            ["SQL server", "role", "behind", ""],
            status.sql_servers.iter().map(sql_server),
        ),
        table(
            ["dead letters of", "letters", "", ""],
            status.dead_letters.iter().map(dead_letters),
        ),
    ]
    .join("\n")
}

fn process(one: &wire::ProcessStatus) -> [String; 4] {
    let state = match one.state() {
        wire::ProcessState::Serves => "serves",
        wire::ProcessState::StandsBy => "stands by",
        wire::ProcessState::Down => "DOWN",
        wire::ProcessState::Unspecified => "-",
    };
    [
        one.service.clone(),
        one.address.clone(),
        state.to_owned(),
        shown(one.version.as_ref()),
    ]
}

fn partition(one: &wire::PartitionStatus) -> [String; 4] {
    let owner = one.owner.clone().unwrap_or_else(|| "NOBODY".to_owned());
    [
        one.name.clone(),
        owner,
        shown(one.epoch),
        shown(one.transition),
    ]
}

fn lane(one: &wire::LaneStatus) -> [String; 4] {
    [
        one.from.clone(),
        one.to.clone(),
        format!("{} messages", one.lag_messages),
        String::new(),
    ]
}

fn consumer(one: &wire::ConsumerStatus) -> [String; 4] {
    let (records, age) = (one.lag_records, one.lag_ms);
    [
        one.name.clone(),
        one.address.clone(),
        one.partitions.to_string(),
        format!("{records} records, {age} ms"),
    ]
}

fn sql_server(one: &wire::SqlServerStatus) -> [String; 4] {
    let role = match one.role() {
        wire::SqlServerRole::Primary => "primary",
        wire::SqlServerRole::Replica => "replica",
        wire::SqlServerRole::Away => "AWAY",
        wire::SqlServerRole::Unspecified => "-",
    };
    let delay = one.delay_ms.map(|delay| format!("{delay} ms"));
    [
        one.address.clone(),
        role.to_owned(),
        shown(delay),
        String::new(),
    ]
}

fn dead_letters(one: &wire::DeadLettersStatus) -> [String; 4] {
    let letters = one.letters.to_string();
    [one.group.clone(), letters, String::new(), String::new()]
}

/// What may be unknown.
fn shown(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// Columns that are as wide as they have to be.
fn table(head: [&str; 4], rows: impl Iterator<Item = [String; 4]>) -> String {
    let mut all = vec![head.map(str::to_owned)];
    all.extend(rows);
    let width = |column: usize| {
        all.iter()
            .map(|row| row[column].len())
            .max()
            .unwrap_or_default()
    };
    let widths = [width(0), width(1), width(2)];
    let mut shown = String::new();
    for [first, second, third, last] in &all {
        let [one, two, three] = widths;
        let line = format!("{first:one$}  {second:two$}  {third:three$}  {last}");
        shown += line.trim_end();
        shown.push('\n');
    }
    shown
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn status() -> wire::Status {
        let process = |service: &str, state: wire::ProcessState| wire::ProcessStatus {
            service: service.to_owned(),
            address: "10.0.0.5:9001".to_owned(),
            state: state.into(),
            version: (state != wire::ProcessState::Down).then(|| "0.1.0".to_owned()),
        };
        wire::Status {
            status: wire::HealthStatus::Down.into(),
            problems: vec!["user at 10.0.0.5:9001 does not answer".to_owned()],
            processes: vec![
                process("portfolio", wire::ProcessState::StandsBy),
                process("user", wire::ProcessState::Down),
            ],
            partitions: vec![
                wire::PartitionStatus {
                    name: "account/0".to_owned(),
                    owner: Some("10.0.0.5:9001".to_owned()),
                    epoch: Some(2),
                    transition: Some(4711),
                },
                wire::PartitionStatus {
                    name: "account/1".to_owned(),
                    ..wire::PartitionStatus::default()
                },
            ],
            lanes: vec![wire::LaneStatus {
                from: "account/0".to_owned(),
                to: "matching/0".to_owned(),
                lag_messages: 3,
            }],
            consumers: vec![wire::ConsumerStatus {
                name: "ledger".to_owned(),
                address: "10.0.0.5:9001".to_owned(),
                lag_records: 12,
                lag_ms: 40,
                partitions: 2,
            }],
            sql_servers: vec![
                wire::SqlServerStatus {
                    address: "10.0.0.3:5432".to_owned(),
                    role: wire::SqlServerRole::Primary.into(),
                    delay_ms: None,
                },
                wire::SqlServerStatus {
                    address: "10.0.0.4:5432".to_owned(),
                    role: wire::SqlServerRole::Replica.into(),
                    delay_ms: Some(120),
                },
            ],
            dead_letters: vec![wire::DeadLettersStatus {
                group: "webhooks".to_owned(),
                letters: 3,
            }],
        }
    }

    #[test]
    fn a_person_reads_tables() {
        expect![[r#"
            service    address        state      version
            portfolio  10.0.0.5:9001  stands by  0.1.0
            user       10.0.0.5:9001  DOWN       -

            partition  owner          epoch  transition
            account/0  10.0.0.5:9001  2      4711
            account/1  NOBODY         -      -

            lane from  to          lag
            account/0  matching/0  3 messages

            consumer  address        partitions  lag
            ledger    10.0.0.5:9001  2           12 records, 40 ms

            SQL server     role     behind
            10.0.0.3:5432  primary  -
            10.0.0.4:5432  replica  120 ms

            dead letters of  letters
            webhooks         3
        "#]]
        .assert_eq(&tables(&status()));
    }

    #[test]
    fn a_program_reads_what_the_json_api_has() {
        expect![[r#"{"status":"down","problems":["user at 10.0.0.5:9001 does not answer"],"processes":[{"service":"portfolio","address":"10.0.0.5:9001","state":"stands_by","version":"0.1.0"},{"service":"user","address":"10.0.0.5:9001","state":"down","version":null}],"partitions":[{"name":"account/0","owner":"10.0.0.5:9001","epoch":2,"transition":4711},{"name":"account/1","owner":null,"epoch":null,"transition":null}],"lanes":[{"from":"account/0","to":"matching/0","lag_messages":3}],"consumers":[{"name":"ledger","address":"10.0.0.5:9001","lag_records":12,"lag_ms":40,"partitions":2}],"sql_servers":[{"address":"10.0.0.3:5432","role":"primary","delay_ms":null},{"address":"10.0.0.4:5432","role":"replica","delay_ms":120}],"dead_letters":[{"group":"webhooks","letters":3}]}"#]].assert_eq(&json(&status()).unwrap());
    }
}
