//! A turn: the errands of each target in order, many targets at the same time, none for long.

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use prepx_env::Clock;
use tokio::time::Instant;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::{Attempt, Effect, Errand, Outcome, Settings};

/// Why an errand failed that was not tried because those before it took all the time.
const PASSED_OVER: &str = "not tried: the events before it took the time of its turn";

/// Tries errands, each once; returns the outcome of each. Those of one target are tried one after the other. When the
/// target's time is over, the rest of them counts as failed in this turn, so that a target that does not answer delays
/// nobody else. Those that were not tried the last time go first, so one slow errand does not fail the others for good.
pub(crate) async fn turn<E: Effect>(
    effect: &E,
    settings: &Settings,
    clock: &dyn Clock,
    errands: Vec<Errand>,
) -> Result<Vec<(Errand, Outcome)>> {
    let mut targets = BTreeMap::<Uuid, Vec<Errand>>::new();
    for errand in errands {
        targets.entry(errand.target).or_default().push(errand);
    }
    let turns = targets
        .into_iter()
        .map(|(target, errands)| one_target(effect, settings, clock, target, errands));
    let tried: Vec<Vec<_>> = stream::iter(turns)
        .buffer_unordered(settings.targets_at_once)
        .try_collect()
        .await
        .map_err(|error: E::Error| Error::Effect(Box::new(error)))?;
    Ok(tried.into_iter().flatten().collect())
}

async fn one_target<E: Effect>(
    effect: &E,
    settings: &Settings,
    clock: &dyn Clock,
    target: Uuid,
    mut errands: Vec<Errand>,
) -> std::result::Result<Vec<(Errand, Outcome)>, E::Error> {
    errands.sort_by_key(|errand| !errand.was_passed_over());
    let Some(mut way) = effect.way(target).await? else {
        let gone = |errand| (errand, Outcome::Gone);
        return Ok(errands.into_iter().map(gone).collect());
    };
    let until = Instant::now() + settings.turn;
    let mut tried = Vec::with_capacity(errands.len());
    for errand in errands {
        let now = clock.now();
        let outcome = match Instant::now() < until {
            true => effect.attempt(&mut way, &errand, now).await?,
            false => Outcome::Failed(Attempt {
                at: now,
                failure: PASSED_OVER.to_owned(),
                tried: false,
            }),
        };
        tried.push((errand, outcome));
    }
    Ok(tried)
}
