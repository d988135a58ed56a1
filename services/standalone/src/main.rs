//! `prepx`: the whole platform in one program.

use std::process::ExitCode;

use clap::Parser as _;
use prepx_standalone::cli::{Cli, Command};
use prepx_standalone::{admin, dead_letters, replay, shadow, stage, start, status, topics, verify};

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Start(options) => start::run(options),
        Command::Admin(options) => admin::run(options),
        Command::Status(options) => status::run(&options),
        Command::Replay(options) => replay::run(options),
        Command::Verify(options) => verify::run(options),
        Command::Shadow(options) => shadow::run(options),
        Command::Stage(options) => stage::run(options),
        Command::DeadLetters(options) => dead_letters::run(options),
        Command::Topics(options) => topics::run(options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("prepx: {}", prepx_platform::explained(&error));
            ExitCode::FAILURE
        }
    }
}
