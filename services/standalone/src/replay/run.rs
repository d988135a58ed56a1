//! Carries out a plan against a running PrepX and compares the result.
//!
//! Commands of the resting account are collected in a batch until something depends on their decision: an order whose
//! number is not known yet, an aggressor, or a book to compare. The book is compared afterwards, by the quotes that
//! were received; if not all of them were received, by those that market data has stored, which are fewer.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use prepx_domain::OrderId;
use prepx_env::{Clock as _, Random, SystemClock};
use prepx_proto::trading::v1 as trading;
use prepx_proto::trading::v1::order_command::Action;

use super::compare;
use super::options::{Lobster, Recorded, Replay, Speed};
use super::plan::{Command, Hit, Plan, Ref, State, Step, Take};
use super::quotes::LiveQuotes;
use super::recording::Recording;
use super::summary::Summary;
use super::trader::{self, Decision, Quote, Trader};
use super::venue::{Venue, dollars};
use crate::progress::bar;

/// The most commands in a batch.
const BATCH_MAX: usize = 1_000;
/// How long a decision may take until it is visible: if stages are processes of their own it has some way to go.
const SEEN_WITHIN: Duration = Duration::from_secs(10);
/// How long the market data may take to show the end of the recording.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(30);
/// How often to check meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// After this many differences the book is not waited for any more: the engine has diverged.
const PATIENCE: u64 = 5;
/// How often a replacement may be sent while the one before it is on its way.
const REPLACE_TRIES: usize = 1_000;

/// Replays a plan.
///
/// # Errors
/// When the server refuses what it must not refuse, or cannot be reached.
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
    };
    run.all(plan, recording, *speed).await?;
    run.leave().await?;
    Ok(run.summary)
}

struct Run {
    venue: Venue,
    resting: Trader,
    taking: Trader,
    /// The order that stands for one of the plan now: replacements have new ids.
    ids: Vec<Option<OrderId>>,
    /// How much each has traded, as far as it was read.
    traded: Vec<i64>,
    gathered: Vec<Command>,
    differences: u64,
    summary: Summary,
}

impl Run {
    async fn all(&mut self, plan: &Plan, recording: &Recording, speed: Speed) -> Result<()> {
        let clock = SystemClock::new();
        let bar = bar("messages", recording.messages.len() as u64);
        // What an earlier replay has left goes out of the book before this one's account is opened, and may be seen later.
        let quoted = self.resting.quote().await?.map_or(0, |quote| quote.at_us);
        let before = quoted.max(self.resting.opened_at_us().await?);
        let quotes = match recording.rows.is_empty() {
            true => None,
            false => Some(self.resting.listen().await.context("the quotes")?),
        };
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
        match quotes {
            None => self.summary.book.not_compared = Some("no --book was given".into()),
            Some(quotes) => self.compare(plan, before, quotes).await?,
        }
        let summary = &mut self.summary;
        let counts = &summary.messages;
        summary.executions.recorded = counts.executed;
        summary.executions.reproducible =
            counts.executed - counts.executions_unknown - counts.executions_against_priority;
        summary.agrees = summary.first_difference.is_none();
        let elapsed = clock.monotonic().as_millis();
        summary.elapsed_ms = u64::try_from(elapsed).unwrap_or(u64::MAX);
        Ok(())
    }

    /// Takes what still rests out of the book, so that the same market can be lived through again.
    async fn leave(&mut self) -> Result<()> {
        self.resting.cancel_all().await?;
        let clock = SystemClock::new();
        while self.resting.has_open_orders().await? && clock.monotonic() < SEEN_WITHIN {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// Demands that the book went through the planned states, once the last of them is seen.
    async fn compare(&mut self, plan: &Plan, after_us: i64, quotes: LiveQuotes) -> Result<()> {
        let states = plan.steps.iter().flat_map(|step| &step.states);
        let last = states.last().copied().unwrap_or_default();
        let heard = quotes.until(&last, CAUGHT_UP_WITHIN, LOOK_AGAIN).await;
        let quotes = match heard {
            Some(mut heard) => {
                heard.retain(|quote| quote.at_us > after_us);
                heard
            }
            None => self.kept(&last, after_us).await?,
        };
        compare::quotes(&plan.steps, &quotes, &mut self.summary);
        Ok(())
    }

    /// The quotes that market data has kept, once the last of them shows a state.
    async fn kept(&self, last: &State, after_us: i64) -> Result<Vec<Quote>> {
        let clock = SystemClock::new();
        while self
            .resting
            .quote()
            .await?
            .is_none_or(|quote| quote.state != *last)
            && clock.monotonic() < CAUGHT_UP_WITHIN
        {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        self.resting.quotes(after_us).await
    }

    async fn step(&mut self, step: &Step) -> Result<()> {
        self.gather(&step.before).await?;
        if let Some(take) = &step.take {
            self.flush().await?;
            self.take(step.message, take).await?;
        }
        self.gather(&step.after).await?;
        if step.book.is_some() {
            // A quote shows what was decided together: each message is to be seen by itself.
            self.flush().await?;
        }
        if let Some(halted) = step.halted {
            self.flush().await?;
            self.venue.halt(halted).await?;
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
            Command::Shrink { order, total } => self.ids[order].map(|id| trader::shrunk(id, total)),
            Command::Cancel { order } => self.ids[order].map(trader::canceled),
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
        // A run may hit one order more than once; the engine's aggressor is one.
        let mut wanted: BTreeMap<Ref, (i64, Vec<Hit>)> = BTreeMap::new();
        for &hit in &take.hits {
            let (size, hits) = wanted.entry(hit.order).or_default();
            *size += hit.at.size;
            hits.push(hit);
        }
        for (size, hits) in wanted.into_values() {
            let made = hits.len() as u64;
            let Some(&hit) = hits.first() else { continue };
            if self.was_hit(hit, size).await? {
                self.summary.executions.reproduced += made;
            } else {
                self.summary.executions.different += made;
                self.differences += 1;
                let number = message + 1;
                self.summary.differs(|| missed(number, hit, size));
            }
        }
        Ok(())
    }

    /// Whether a resting order has traded exactly so much more, at its own price.
    async fn was_hit(&mut self, hit: Hit, size: i64) -> Result<bool> {
        let Some(id) = self.ids[hit.order] else {
            return Ok(false);
        };
        let wanted = self.traded[hit.order] + size;
        let clock = SystemClock::new();
        let patient = self.differences < PATIENCE;
        loop {
            let traded = self.resting.traded(id).await?;
            if traded.size >= wanted || !patient || clock.monotonic() >= SEEN_WITHIN {
                self.traded[hit.order] = traded.size;
                let at_its_price = traded.price_e8 == trader::price_e8(hit.at.price);
                return Ok(traded.size == wanted && at_its_price);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

fn missed(number: usize, hit: Hit, size: i64) -> String {
    format!(
        "message {number}: order {} was not hit by {size} at {}",
        hit.recorded,
        dollars(hit.at.price)
    )
}
