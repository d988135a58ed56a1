//! `prepx`: the whole platform in one program.

use std::process::ExitCode;

use clap::Parser as _;
use prepx_standalone::cli::{Cli, Command};
use prepx_standalone::{
    admin, dead_letters, replay, schemas, shadow, stage, start, status, topics, verify,
};

/// Who reads no further, as `head` does, has heard enough: then the rest is not worth a panic.
fn end_with_the_reader() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let said = panic.payload_as_str().unwrap_or_default();
        if said.starts_with("failed printing to stdout") {
            std::process::exit(1);
        }
        report(panic);
    }));
}

fn main() -> ExitCode {
    end_with_the_reader();
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
        Command::Schemas(options) => schemas::run(options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("prepx: {}", prepx_platform::explained(&error));
            ExitCode::FAILURE
        }
    }
}
