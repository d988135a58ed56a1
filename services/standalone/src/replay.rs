//! `prepx replay lobster`: a recorded market lived through by a running PrepX, as real orders of a
//! resting and an aggressing account, and compared with what was recorded.
//!
//! Refuses to guess: what the recording cannot tell is counted and not compared.

mod compare;
mod options;
mod plan;
mod quotes;
mod recording;
mod run;
mod summary;
mod trader;
mod venue;

use anyhow::{Result, bail};

pub use options::{Lobster, Recorded, Replay, Speed};
use plan::Plan;
use recording::Recording;

/// Replays a recording and prints what came of it.
///
/// # Errors
/// When a file or the server is not as it must be, and when the engine differs from the recording.
pub fn run(options: Replay) -> Result<()> {
    let Recorded::Lobster(Lobster { messages, book, .. }) = &options.format;
    let recording = Recording::open(messages, book.as_deref())?;
    let plan = Plan::of(&recording);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let summary = runtime.block_on(run::replay(&options, &recording, &plan))?;
    if options.json {
        println!("{}", serde_json::to_string(&summary)?);
    } else {
        print!("{}", summary.show());
    }
    match summary.first_difference {
        None => Ok(()),
        Some(difference) => bail!("the engine and the recording differ: {difference}"),
    }
}
