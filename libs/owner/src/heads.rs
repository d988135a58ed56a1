//! How far the partitions that this process owns have come, for operators.

use std::time::Duration;

use futures::future::join_all;
use prepx_stage::port::{Answer, HeadsPort};
use prepx_stage::{Codec, Head, Seat};

use crate::Seats;

/// How long a partition may take to show itself: while it is not certain that it is owned here, it shows nothing.
const WAIT: Duration = Duration::from_millis(750);
const PAUSE: Duration = Duration::from_millis(20);

impl<C: Codec> HeadsPort for Seats<C> {
    fn seats(&self) -> Vec<Seat> {
        self.topology().seats(self.stage()).collect()
    }

    fn heads(&self) -> Answer<Vec<(Seat, Head)>> {
        let seats = self.clone();
        Box::pin(async move {
            let owned = seats.owned().into_iter();
            let shown = join_all(owned.map(|number| seats.head(number))).await;
            shown.into_iter().flatten().collect()
        })
    }
}

impl<C: Codec> Seats<C> {
    async fn head(&self, number: u32) -> Option<(Seat, Head)> {
        let asked = async {
            loop {
                let look = self.query(number, |owned| (owned.seat(), owned.head().clone()));
                match look.await {
                    Ok(shown) => return shown,
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
            }
        };
        tokio::time::timeout(WAIT, asked).await.ok()
    }
}
