//! The program of a service: its command line, from its start to its end.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Command, FromArgMatches as _};
use prepx_runtime::config::{self, Error, Sources};
use prepx_runtime::tls::Callers;
use prepx_runtime::{Service, TaskError};

use crate::platform::Platform;
use crate::settings::{DATA_DIR, Settings};

/// A program's name and description.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// Its name, such as `prepx-user`.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub does: &'static str,
}

/// The flags of a service.
#[derive(Debug, Args)]
struct Flags {
    /// Fixed keys for development (trader demo/demo-secret, operator operator/operator-secret); loopback
    /// only. All services of a platform alike.
    #[arg(long)]
    dev: bool,
    #[arg(long, value_name = "DIR", help = format!("Where keys are kept, the same for all processes of a service [default: {DATA_DIR}]"))]
    data_dir: Option<PathBuf>,
    /// Where to listen; port 0 picks a free one.
    #[arg(long, value_name = "HOST:PORT", value_parser = config::address)]
    listen: Option<SocketAddr>,
    /// Where to answer /healthz, /readyz, /metrics and grpc.health.v1 in plain text, and nothing else: for
    /// orchestrators, which have no certificate.
    #[arg(long, value_name = "HOST:PORT", value_parser = config::address)]
    probe_listen: Option<SocketAddr>,
    /// Settings in TOML, one file for all services; flags and PREPX_* variables come before them.
    #[arg(long, env = "PREPX_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs a service for the other services of the platform until SIGTERM or ctrl-c. `build` makes it from
/// what the platform has.
pub fn main_of(
    about: About,
    build: impl AsyncFnOnce(Platform) -> Result<Service, TaskError>,
) -> ExitCode {
    main_before(Callers::Services, about, build)
}

/// The same for a service that clients call: its port is secured by the settings `public_tls`, not `tls`.
pub fn main_before(
    callers: Callers,
    about: About,
    build: impl AsyncFnOnce(Platform) -> Result<Service, TaskError>,
) -> ExitCode {
    match run(callers, about, build) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {}", about.name, explained(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes in one sentence, without repetitions: some of our errors have their cause in
/// their text.
pub fn explained(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |said, cause| {
        let cause = cause.to_string();
        match said.as_str() {
            "" => cause,
            known if known.contains(&cause) => said,
            _ => format!("{said}: {cause}"),
        }
    })
}

fn run(
    callers: Callers,
    about: About,
    build: impl AsyncFnOnce(Platform) -> Result<Service, TaskError>,
) -> anyhow::Result<()> {
    let flags = Flags::from_arg_matches(&command(about).get_matches())?;
    let settings = load(&flags)?;
    let host = settings.host(callers);
    let build = async |start| {
        let platform = Platform::open(about.name, settings, start).await?;
        build(platform).await
    };
    let scheme = host.scheme();
    let ready = |address: SocketAddr| print_ready(scheme, address);
    Ok(prepx_runtime::run(&host, about.name, build, ready)?)
}

/// Prints on stdout that a process serves, and where. A closed stdout is not an error.
pub fn print_ready(scheme: &str, address: SocketAddr) {
    let mut stdout = std::io::stdout();
    let line = writeln!(stdout, "ready {scheme}://{address}");
    let _nobody_listens = line.and_then(|()| stdout.flush());
}

fn command(about: About) -> Command {
    let name = about.name;
    let command = Command::new(name)
        .version(env!("CARGO_PKG_VERSION"))
        .about(about.does)
        .after_help(format!(
            "Prints `ready http://HOST:PORT` (https with certificates) on stdout when it serves. SIGTERM drains: what is under way is\n\
             answered, what it owns is handed over, then it ends with 0.\n\n\
             Examples:\n  {name} --config prepx.toml --listen 10.0.0.5:9001\n  \
             PREPX_LISTEN=10.0.0.5:9001 {name} --config prepx.toml\n\n\
             Exit codes: 0 done, 1 it failed, 2 the command line is wrong."
        ));
    Flags::augment_args(command)
}

fn load(flags: &Flags) -> Result<Settings, Error> {
    let mut given = toml::Table::new();
    if flags.dev {
        given.insert("dev".into(), true.into());
    }
    for (name, address) in [
        ("listen", flags.listen),
        ("probe_listen", flags.probe_listen),
    ] {
        if let Some(address) = address {
            given.insert(name.into(), address.to_string().into());
        }
    }
    if let Some(data_dir) = &flags.data_dir {
        given.insert(
            "data_dir".into(),
            data_dir.to_string_lossy().into_owned().into(),
        );
    }
    Sources::of_process(flags.config.clone(), given).load()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        let about = About {
            name: "prepx-test",
            does: "Is tested.",
        };
        command(about).debug_assert();
    }

    #[test]
    fn an_error_is_explained_without_saying_anything_twice() {
        let taken = std::io::Error::other("the address is taken");
        let cannot = anyhow::Error::new(taken).context("cannot listen: the address is taken");
        assert_eq!(explained(&cannot), "cannot listen: the address is taken");
        let start = cannot.context("cannot start");
        assert_eq!(
            explained(&start),
            "cannot start: cannot listen: the address is taken"
        );
    }
}
