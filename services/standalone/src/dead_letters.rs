//! `prepx dead-letters`: what could not be delivered, however often it was tried, and what becomes of it.

use anyhow::Result;
use clap::{Args, Subcommand};
use prepx_proto::notification::v1 as wire;
use prepx_proto::notification::v1::admin_service_client::AdminServiceClient;
use serde_json::Value;

use crate::admin::print_plainly;
use crate::cli::Target;
use crate::client::{Connection, words};

/// Which platform, and what to do.
#[derive(Debug, Args)]
#[command(
    after_help = "A dead letter is an event that was sent to a webhook as often as it may be and that nobody took.
It stays until it is replayed or dropped; of a group the newest 100,000 are kept by default.

Examples:
  prepx dead-letters list
  prepx dead-letters show --id 018bcfe5-…
  prepx dead-letters replay --group webhooks --all
  prepx dead-letters drop --id 018bcfe5-… --id 5d0c1ad2-… --json

Exit codes: 0 done, 1 it failed, 2 the command line is wrong."
)]
pub struct DeadLetters {
    /// Which platform, and as whom.
    #[command(flatten)]
    pub target: Target,
    /// Print JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What can be done with dead letters.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Print them, oldest first.
    #[command(after_help = "Examples:
  prepx dead-letters list
  prepx dead-letters list --group webhooks --json")]
    List {
        /// Only letters of this group.
        #[arg(long)]
        group: Option<String>,
    },
    /// Print one with its payload, its attempts and their headers.
    #[command(after_help = "Examples:
  prepx dead-letters show --id 018bcfe5-…")]
    Show {
        /// UUID of the letter.
        #[arg(long, value_name = "UUID")]
        id: String,
    },
    /// Retry them, beginning with the first attempt.
    #[command(after_help = "Examples:
  prepx dead-letters replay --id 018bcfe5-…
  prepx dead-letters replay --group webhooks --all")]
    Replay(Which),
    /// Drop them.
    #[command(after_help = "Examples:
  prepx dead-letters drop --id 018bcfe5-…
  prepx dead-letters drop --all")]
    Drop(Which),
}

/// Which letters.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Which {
    /// Only letters of this group.
    #[arg(long)]
    pub group: Option<String>,
    /// UUID of a letter; may be repeated. Unknown ones are ignored.
    #[arg(long, value_name = "UUID", required_unless_present = "all")]
    pub id: Vec<String>,
    /// All of them.
    #[arg(long, conflicts_with = "id")]
    pub all: bool,
}

/// Carries it out and prints the outcome.
///
/// # Errors
/// When the server refuses it or cannot be reached.
pub fn run(options: DeadLetters) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(async {
        let connection = options.target.connection()?;
        act(&connection, options.action).await
    })?;
    match options.json {
        true => println!("{outcome}"),
        false => print_plainly(&flat(outcome)),
    }
    Ok(())
}

async fn act(to: &Connection, action: Action) -> Result<Value> {
    let mut client = AdminServiceClient::new(to.peer());
    match action {
        Action::List { group } => list(to, group.unwrap_or_default()).await,
        Action::Show { id } => {
            let request = to.request(wire::GetDeadLetterRequest { letter_id: id });
            let found = client.get_dead_letter(request).await.map_err(words)?;
            json("DeadLetterDetails", found.get_ref())
        }
        Action::Replay(which) => {
            let request = to.request(settle(which));
            let done = client.replay_dead_letters(request).await.map_err(words)?;
            json("SettleDeadLettersResponse", done.get_ref())
        }
        Action::Drop(which) => {
            let request = to.request(settle(which));
            let done = client.drop_dead_letters(request).await.map_err(words)?;
            json("SettleDeadLettersResponse", done.get_ref())
        }
    }
}

/// Every page.
async fn list(to: &Connection, group: String) -> Result<Value> {
    let mut client = AdminServiceClient::new(to.peer());
    let (mut letters, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = to.request(wire::ListDeadLettersRequest {
            group: group.clone(),
            limit: None,
            page_token,
        });
        let page = client.list_dead_letters(request).await.map_err(words)?;
        let page = page.into_inner();
        for letter in &page.letters {
            letters.push(json("DeadLetter", letter)?);
        }
        match page.next_page_token {
            Some(next) => page_token = next,
            None => return Ok(Value::Array(letters)),
        }
    }
}

fn settle(which: Which) -> wire::SettleDeadLettersRequest {
    wire::SettleDeadLettersRequest {
        group: which.group.unwrap_or_default(),
        ids: which.id,
        all: which.all,
    }
}

/// A message of the notification service as the JSON API has it.
fn json(name: &str, message: &impl prost::Message) -> Result<Value> {
    let text = crate::client::json(&format!("prepx.notification.v1.{name}"), message)?;
    Ok(serde_json::from_str(&text)?)
}

/// A letter's own fields beside what is known of it, for a person to read.
fn flat(outcome: Value) -> Value {
    match outcome {
        Value::Object(mut fields) => {
            if let Some(Value::Object(letter)) = fields.remove("letter") {
                let known = std::mem::replace(&mut fields, letter);
                fields.extend(known.into_iter().map(|(name, value)| match name.as_str() {
                    "attempts" => ("tried".to_owned(), value),
                    _ => (name, value),
                }));
            }
            Value::Object(fields)
        }
        other => other,
    }
}
