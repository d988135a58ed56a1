//! Carries out a plan against a running PrepX and compares what comes of it.
//!
//! Commands of the resting account gather in a batch until something depends on their decision: an
//! order whose number is not known yet, an aggressor, or a book to compare.

use std::time::Duration;

use anyhow::{Context as _, Result};
use indicatif::{ProgressBar, ProgressStyle};
use prepx_domain::OrderId;
use prepx_env::{Clock as _, Random, SystemClock};
use prepx_proto::trading::v1 as trading;
use prepx_proto::trading::v1::order_command::Action;

use super::options::{Lobster, Recorded, Replay, Speed};
use super::plan::{Best, Book, Command, Hit, Plan, Ref, Step, Take};
use super::recording::{Level, Recording, Row};
use super::summary::Summary;
use super::venue::{self, Decision, Trader, Venue};

/// Commands that gather at most.
const BATCH_MAX: usize = 1_000;
/// How long something that was decided may take until it is seen.
const SEEN_WITHIN: Duration = Duration::from_secs(2);
/// How often to look meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// After so many differences there is no waiting for more: the engine has gone its own way.
const PATIENCE: u64 = 20;
/// How often a replacement may be sent while the one before it is on its way.
const REPLACE_TRIES: usize = 1_000;

/// Replays a plan.
///
/// # Errors
/// When the server refuses what no market may refuse, or cannot be reached.
pub async fn replay(options: &Replay, recording: &Recording, plan: &Plan) -> Result<Summary> {
    let Recorded::Lobster(Lobster { symbol, speed, .. }) = &options.format;
    let random = Random::from_system();
    let reference = recording.messages.iter().find(|message| message.price > 1);
    let reference = reference.map_or(1, |message| message.price);
    let venue = Venue::reach(&options.target, symbol, reference).await?;
    let needs = plan.needs;
    // A cancel frees money only when the market has answered: twice is enough for any order of that.
    let twice = |amount: i64| amount.saturating_mul(2).max(1);
    let (money, shares) = (twice(needs.resting_money), twice(needs.resting_shares));
    let resting = venue.trader(money, shares, needs.open_orders * 2, &random);
    let resting = resting.await.context("the resting account")?;
    let (money, shares) = (twice(needs.taking_money), twice(needs.taking_shares));
    let taking = venue.trader(money, shares, 1, &random);
    let taking = taking.await.context("the aggressing account")?;
    let mut run = Run {
        venue,
        resting,
        taking,
        ids: vec![None; plan.orders],
        traded: vec![0; plan.orders],
        gathered: Vec::new(),
        differences: 0,
        summary: Summary {
            messages: plan.counts.clone(),
            ..Summary::default()
        },
        reads_book: !recording.rows.is_empty(),
    };
    run.begin(recording).await?;
    run.all(plan, recording, *speed).await?;
    Ok(run.summary)
}

struct Run {
    venue: Venue,
    resting: Trader,
    taking: Trader,
    /// The order that stands for one of the plan now: replacements take new ids.
    ids: Vec<Option<OrderId>>,
    /// What each has traded as far as it was looked at.
    traded: Vec<i64>,
    gathered: Vec<Command>,
    differences: u64,
    summary: Summary,
    reads_book: bool,
}

impl Run {
    async fn begin(&mut self, recording: &Recording) -> Result<()> {
        if recording.rows.is_empty() {
            self.summary.book.not_compared = Some("no --book was given".into());
        } else if self.resting.best().await?.is_none() {
            self.reads_book = false;
            self.summary.book.not_compared = Some("the server has no market data".into());
        }
        Ok(())
    }

    async fn all(&mut self, plan: &Plan, recording: &Recording, speed: Speed) -> Result<()> {
        let clock = SystemClock::new();
        let bar = progress(recording.messages.len());
        let start_us = plan.steps.first().map_or(0, |step| step.at_us);
        for step in &plan.steps {
            if let Some(due) = speed.due(step.at_us - start_us) {
                self.flush().await?;
                tokio::time::sleep(due.saturating_sub(clock.monotonic())).await;
            }
            self.step(step)
                .await
                .with_context(|| format!("message {}", step.message + 1))?;
            bar.set_position(step.message as u64 + 1);
        }
        self.flush().await?;
        bar.finish_and_clear();
        let summary = &mut self.summary;
        let counts = &summary.messages;
        summary.executions.recorded = counts.executed;
        summary.executions.reproducible = counts.executed - counts.executions_unknown;
        summary.agrees = summary.first_difference.is_none();
        let elapsed = clock.monotonic().as_millis();
        summary.elapsed_ms = u64::try_from(elapsed).unwrap_or(u64::MAX);
        Ok(())
    }

    async fn step(&mut self, step: &Step) -> Result<()> {
        self.gather(&step.before).await?;
        if let Some(take) = &step.take {
            self.flush().await?;
            self.take(step.message, take).await?;
        }
        self.gather(&step.after).await?;
        if let Some(halted) = step.halted {
            self.flush().await?;
            self.venue.halt(halted).await?;
        }
        if let Some(book) = step.book.as_ref().filter(|_| self.reads_book) {
            self.flush().await?;
            self.compare(step.message, book).await?;
        }
        Ok(())
    }

    async fn gather(&mut self, commands: &[Command]) -> Result<()> {
        for &command in commands {
            let waits_for = match command {
                Command::Place { .. } => None,
                Command::Shrink { order, .. } | Command::Cancel { order } => Some(order),
            };
            let gathered = |order: Ref| {
                let makes = |other: &Command| matches!(*other, Command::Place { order: made, .. } | Command::Shrink { order: made, .. } if made == order);
                self.gathered.iter().any(makes)
            };
            if self.gathered.len() >= BATCH_MAX || waits_for.is_some_and(gathered) {
                self.flush().await?;
            }
            self.gathered.push(command);
        }
        Ok(())
    }

    /// Has what was gathered decided.
    async fn flush(&mut self) -> Result<()> {
        let commands = std::mem::take(&mut self.gathered);
        // What was refused has no number, and nothing can be asked of it.
        let action = |command: &Command| match *command {
            Command::Place { side, at, .. } => {
                let time_in_force = trading::TimeInForce::Gtc;
                Some(self.resting.order(side, at, time_in_force))
            }
            Command::Shrink { order, total } => self.ids[order].map(|id| venue::shrunk(id, total)),
            Command::Cancel { order } => self.ids[order].map(venue::canceled),
        };
        let (mut sent, mut actions) = (Vec::new(), Vec::new());
        for command in commands {
            if let Some(action) = action(&command) {
                sent.push(command);
                actions.push(action);
            }
        }
        if actions.is_empty() {
            return Ok(());
        }
        let decisions = self.resting.decide(&actions).await?;
        for ((command, action), mut decision) in sent.iter().zip(&actions).zip(decisions) {
            if matches!(command, Command::Shrink { .. }) {
                decision = self.again_while_pending(action, decision).await?;
            }
            let id = self.note(&decision);
            match *command {
                Command::Place { order, .. } => self.ids[order] = id,
                Command::Shrink { order, .. } => self.ids[order] = id.or(self.ids[order]),
                Command::Cancel { .. } => {}
            }
        }
        Ok(())
    }

    /// One replacement may be on its way to the market: the next waits for its answer.
    async fn again_while_pending(
        &mut self,
        action: &Action,
        mut decision: Decision,
    ) -> Result<Decision> {
        for _ in 0..REPLACE_TRIES {
            let pending = |reject: &trading::CommandReject| reject.reason == "REPLACE_PENDING";
            if !decision.as_ref().is_err_and(pending) {
                break;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
            let again = self.resting.decide(std::slice::from_ref(action)).await?;
            decision = again.into_iter().next().context("a decision is missing")?;
        }
        Ok(decision)
    }

    fn note(&mut self, decision: &Decision) -> Option<OrderId> {
        let orders = &mut self.summary.orders;
        orders.sent += 1;
        match decision {
            Ok(id) => {
                orders.acknowledged += 1;
                Some(*id)
            }
            Err(reject) => {
                *orders.refused.entry(reject.reason.clone()).or_default() += 1;
                let what = format!("a command was refused: {}", reject.message);
                self.summary.differs(|| what);
                None
            }
        }
    }

    /// Sends an aggressor and demands that it trades with the recorded orders.
    async fn take(&mut self, message: usize, take: &Take) -> Result<()> {
        let action = self
            .taking
            .order(take.side, take.at, trading::TimeInForce::Ioc);
        let decisions = self.taking.decide(&[action]).await?;
        let decision = decisions
            .into_iter()
            .next()
            .context("a decision is missing")?;
        let Some(id) = self.note(&decision) else {
            self.summary.executions.different += take.hits.len() as u64;
            return Ok(());
        };
        let clock = SystemClock::new();
        while !self.taking.traded(id).await?.ended && clock.monotonic() < SEEN_WITHIN {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        for hit in &take.hits {
            if self.was_hit(hit).await? {
                self.summary.executions.reproduced += 1;
            } else {
                self.summary.executions.different += 1;
                self.differences += 1;
                let number = message + 1;
                self.summary.differs(|| missed(number, hit));
            }
        }
        Ok(())
    }

    /// Whether a resting order has traded exactly so much more, at its own price.
    async fn was_hit(&mut self, hit: &Hit) -> Result<bool> {
        let Some(id) = self.ids[hit.order] else {
            return Ok(false);
        };
        let wanted = self.traded[hit.order] + hit.at.size;
        let clock = SystemClock::new();
        let patient = self.differences < PATIENCE;
        loop {
            let traded = self.resting.traded(id).await?;
            if traded.size >= wanted || !patient || clock.monotonic() >= SEEN_WITHIN {
                self.traded[hit.order] = traded.size;
                let at_its_price = traded.price_e8 == venue::price_e8(hit.at.price);
                return Ok(traded.size == wanted && at_its_price);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Demands that the engine shows what the recording tells.
    async fn compare(&mut self, message: usize, book: &Book) -> Result<()> {
        let clock = SystemClock::new();
        let patient = self.differences < PATIENCE;
        let seen = loop {
            let seen = self.resting.best().await?.unwrap_or_default();
            if shows(&seen, book) || !patient || clock.monotonic() >= SEEN_WITHIN {
                break seen;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        };
        for (name, wanted, seen) in [
            ("bid", book.bid, seen.bids.first()),
            ("ask", book.ask, seen.asks.first()),
        ] {
            let agrees = wanted.level.as_ref() == seen;
            let counts = &mut self.summary.book;
            if wanted.derived {
                counts.compared += 1;
                counts.agreed += u64::from(agrees);
            } else {
                counts.not_derivable += 1;
            }
            if !agrees {
                self.differences += 1;
                let what = other_book(message + 1, name, wanted, seen);
                self.summary.differs(|| what);
            }
        }
        Ok(())
    }
}

fn shows(seen: &Row, book: &Book) -> bool {
    seen.bids.first() == book.bid.level.as_ref() && seen.asks.first() == book.ask.level.as_ref()
}

fn missed(number: usize, hit: &Hit) -> String {
    format!(
        "message {number}: order {} was not hit by {} at {}",
        hit.recorded,
        hit.at.size,
        venue::dollars(hit.at.price)
    )
}

fn other_book(number: usize, name: &str, wanted: Best, seen: Option<&Level>) -> String {
    let show = |level: Option<&Level>| {
        level.map_or("empty".to_owned(), |level| {
            format!("{} × {}", level.size, venue::dollars(level.price))
        })
    };
    format!(
        "message {number}: the best {name} is {}, recorded is {}",
        show(seen),
        show(wanted.level.as_ref())
    )
}

fn progress(messages: usize) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{bar:40} {pos}/{len} messages, {per_sec}, {eta} left");
    ProgressBar::new(messages as u64)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
