//! How far the lanes between the stages have come, as metrics: what each owner has sent, and what it has taken.
//!
//! Refuses: to compute the lag of a lane, which takes both of its ends; Prometheus, which has the metrics of all
//! processes, subtracts them. Numbers of a lane only rise, so of two processes the one with the higher number is
//! right.

use std::sync::Arc;
use std::time::Duration;

use prepx_runtime::{Drain, Service};
use prepx_stage::port::HeadsPort;

use crate::part::{HEADS_WAIT, owned_of};

/// How often the stages are read.
const PACE: Duration = Duration::from_secs(5);

/// Counts the messages of all lanes of these stages, as long as the process runs.
pub fn lanes(stages: Vec<Arc<dyn HeadsPort>>) -> Service {
    Service::new().task("lanes", async move |drain: Drain| {
        let mut ticks = tokio::time::interval(PACE);
        loop {
            tokio::select! {
                _ = ticks.tick() => count(&stages).await,
                () = drain.draining() => return Ok(()),
            }
        }
    })
}

async fn count(stages: &[Arc<dyn HeadsPort>]) {
    for stage in stages {
        // A stage that cannot be read now keeps its last numbers.
        let heads = tokio::time::timeout(HEADS_WAIT, stage.heads()).await;
        for (seat, head) in heads.unwrap_or_default() {
            let owned = owned_of(seat, &head);
            for (to, number) in owned.sent {
                let ends = [("from", owned.partition.clone()), ("to", to)];
                metrics::counter!("prepx_lane_sent_total", &ends).absolute(number);
            }
            for (from, number) in owned.received {
                let ends = [("from", from), ("to", owned.partition.clone())];
                metrics::counter!("prepx_lane_taken_total", &ends).absolute(number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prepx_stage::port::Answer;
    use prepx_stage::{Head, Seat, Stage};

    use super::*;

    struct Shown(Vec<(Seat, Head)>);

    impl HeadsPort for Shown {
        fn seats(&self) -> Vec<Seat> {
            self.0.iter().map(|(seat, _)| *seat).collect()
        }

        fn heads(&self) -> Answer<Vec<(Seat, Head)>> {
            let heads = self.0.clone();
            Box::pin(async move { heads })
        }
    }

    #[test]
    fn both_ends_of_a_lane_are_counted_under_the_same_names() {
        let (account, matching) = (Stage::ACCOUNT.seat(1), Stage::MATCHING.seat(0));
        let sender = Head {
            sent: BTreeMap::from([(matching.lanes(), 7)]),
            ..Head::default()
        };
        let receiver = Head {
            received: BTreeMap::from([(account.journal(), 5)]),
            ..Head::default()
        };
        let stages: Vec<Arc<dyn HeadsPort>> = vec![Arc::new(Shown(vec![
            (account, sender),
            (matching, receiver),
        ]))];
        let telemetry = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        metrics::with_local_recorder(&telemetry, || runtime.block_on(count(&stages)));
        let page = telemetry.handle().render();
        let mut series: Vec<_> = page.lines().filter(|line| !line.starts_with('#')).collect();
        series.retain(|line| !line.is_empty());
        series.sort_unstable();
        assert_eq!(
            series,
            [
                r#"prepx_lane_sent_total{from="account/1",to="matching/0"} 7"#,
                r#"prepx_lane_taken_total{from="account/1",to="matching/0"} 5"#,
            ]
        );
    }
}
