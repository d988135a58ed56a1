//! A master of a cluster dies. It ends the servers of its run: nothing else may run on them.

use std::process::Command;
use std::time::Duration;

use prepx_cache::{Cache, Limiter, Rate};

use super::{PATIENT, location, open};
use crate::wire::until;

/// Keys enough that every master has some.
const KEYS: u32 = 50;

/// Whether each of these keys is counted for both: taken by one, refused to the other.
async fn count_together(here: &Cache, there: &Cache, limiter: &Limiter, round: u32) -> bool {
    for number in 0..KEYS {
        let key = [round.to_le_bytes(), number.to_le_bytes()].concat();
        let first = here.take(limiter, &key, 1).await.allowed;
        if !first || there.take(limiter, &key, 1).await.allowed {
            return false;
        }
    }
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_count_together_again_when_a_replica_has_taken_over() {
    let location = prepx_cache::RedisLocation {
        timeout: Duration::from_millis(500),
        ..location()
    };
    let (here, there) = (open(&location).await, open(&location).await);
    let once = Limiter::new("once", Rate::new(1, PATIENT * 100));
    assert!(count_together(&here, &there, &once, 0).await);
    let pids = std::env::var("PREPX_TEST_REDIS_PIDS").expect("the servers' process ids");
    let master = pids.split(' ').next().expect("one");
    let killed = Command::new("kill").args(["-9", master]).status();
    assert!(killed.expect("kill").success());
    // While it is away, each answers for itself and none fails; see `away`.
    let mut round = 0;
    until("counts apart", async || {
        round += 1;
        !count_together(&here, &there, &once, round).await
    })
    .await;
    until("counts together", async || {
        round += 1;
        count_together(&here, &there, &once, round).await
    })
    .await;
}
