//! What `--help` says: of every command what it is for, with examples that the command line takes.

use clap::{Command, CommandFactory as _, Parser as _};
use expect_test::expect;
use prepx_standalone::cli::Cli;

/// All commands with the words that call them, the first being `prepx` itself.
fn commands() -> Vec<(String, Command)> {
    let mut all = vec![("prepx".to_owned(), Cli::command())];
    let mut next = 0;
    while let Some((path, command)) = all.get(next).cloned() {
        let below = command.get_subcommands();
        all.extend(below.map(|below| (format!("{path} {}", below.get_name()), below.clone())));
        next += 1;
    }
    all
}

/// The examples at the end of a help text, without what is said beside them.
fn examples(command: &Command) -> Vec<String> {
    let help = command.get_after_help().map(ToString::to_string);
    let help = help.unwrap_or_default();
    let (_, after) = help.split_once("Examples:\n").unwrap_or_default();
    let lines = after.lines().take_while(|line| !line.is_empty());
    let examples = lines.filter_map(|line| line.strip_prefix("  "));
    let examples = examples.filter(|line| !line.starts_with(' '));
    examples
        .map(|line| line.split("  ").next().unwrap_or_default().to_owned())
        .collect()
}

/// The words of a line as a shell gives them, without the variables before the command.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('"').enumerate() {
        match index % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
        .into_iter()
        .skip_while(|word| word != "prepx")
        .collect()
}

#[test]
fn every_command_says_what_it_is_for() {
    let said: String = commands()
        .iter()
        .map(|(path, command)| {
            let about = command.get_about().map(ToString::to_string);
            format!("{path}: {}\n", about.unwrap_or_default())
        })
        .collect();
    expect![[r#"
        prepx: A trading platform that its owner runs. Bots that speak the Alpaca API trade on it unchanged
        prepx start: Run the platform: HTTP, gRPC and WebSocket on one port
        prepx admin: Operate a running platform
        prepx status: Show the state of every part of a running platform
        prepx replay: Replay a recorded market and compare the outcome
        prepx verify: Check that the books are right
        prepx shadow: Decide recorded inputs again, with this version or another, and show what differs
        prepx stage: Get a stage's partition past an input that has stopped it
        prepx dead-letters: List what could not be delivered, retry it or drop it
        prepx topics: Show and create the topics of the event log on Apache Kafka
        prepx schemas: Bring the tables of all services up to date
        prepx admin instrument: Add and show instruments
        prepx admin account: Create accounts
        prepx admin deposit: Pay into an account
        prepx admin order: End orders
        prepx admin halt: Halt an instrument: it accepts cancels only
        prepx admin resume: Let an instrument trade again
        prepx admin kill-switch: Stop an account (it can only cancel), or let it trade again
        prepx replay lobster: Order by order, as LOBSTER writes NASDAQ's markets
        prepx stage skip: Skip an input that a stage cannot process
        prepx dead-letters list: Print them, oldest first
        prepx dead-letters show: Print one with its payload, its attempts and their headers
        prepx dead-letters replay: Retry them, beginning with the first attempt
        prepx dead-letters drop: Drop them
        prepx topics plan: Print how the topics differ from what is declared
        prepx topics apply: Create what is missing, and print what was done
        prepx schemas apply: Create and migrate schemas, and print which are up to date
        prepx admin instrument add: Add an instrument. Repeating it with the same values changes nothing
        prepx admin instrument list: Show all instruments
        prepx admin account add: Create a user with a trading account and an API key; prints account_id, key_id, secret_key
        prepx admin order end: End an order of any account, also one that the market lost through `prepx stage skip`
    "#]].assert_eq(&said);
}

#[test]
fn every_command_has_examples_that_are_its_own_and_work() {
    for (path, command) in commands() {
        let examples = examples(&command);
        assert!(!examples.is_empty(), "{path} --help has no examples");
        for example in examples {
            let words = words(&example);
            let own = format!("{} ", words.join(" ")).starts_with(&format!("{path} "));
            assert!(
                own,
                "{path} --help has an example of another command: {example}"
            );
            if let Err(refused) = Cli::try_parse_from(words) {
                panic!("{path} --help has an example that is refused: {example}\n{refused}");
            }
        }
    }
}

#[test]
fn no_help_shows_a_secret_of_the_environment() {
    for (path, command) in commands() {
        for argument in command.get_arguments() {
            let secret = argument.get_id().as_str().contains("secret");
            assert!(
                !secret || argument.is_hide_env_values_set(),
                "{path} --help shows the value of --{}",
                argument.get_id()
            );
        }
    }
}
