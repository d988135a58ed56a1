//! How far the partitions that this process owns have come, for operators.

use prepx_stage::port::{Answer, HeadsPort};
use prepx_stage::{Codec, Head, Seat};

use crate::Seats;

impl<C: Codec> HeadsPort for Seats<C> {
    fn seats(&self) -> Vec<Seat> {
        self.topology().seats(self.stage()).collect()
    }

    fn heads(&self) -> Answer<Vec<(Seat, Head)>> {
        let seats = self.clone();
        Box::pin(async move {
            let mut heads = Vec::new();
            for number in seats.owned() {
                let look = seats.query(number, |owned| (owned.seat(), owned.head().clone()));
                heads.extend(look.await.ok());
            }
            heads
        })
    }
}
