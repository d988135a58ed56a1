//! The suite that every engine of a [`Cache`] passes, and that says what the seam promises.
//!
//! Owns: the checks. Refuses: to demand what only one engine can do, and to measure time. A check
//! panics when the engine fails it; [`run`] runs them all, each on a fresh engine, on a tokio runtime.

mod keeping;
mod limiting;
mod publishing;

use std::time::Duration;

use bytes::Bytes;

use crate::{Cache, Codec, Options, Space};

/// An engine under test.
pub trait Engine {
    /// The cache as one process holds it.
    fn open(&mut self) -> Cache;

    /// The same cache as another process holds it. An engine within one process gives the same again.
    fn rival(&mut self) -> Cache;

    /// Lets so much time pass, by whatever clock the engine has.
    fn pass(&mut self, time: Duration);
}

macro_rules! checks {
    ($fresh:ident: $($module:ident::$check:ident,)*) => {
        $(
            eprintln!("conformance: {}", stringify!($check));
            $module::$check(&mut $fresh().await).await;
        )*
    };
}

/// Runs every check on an engine of its own.
pub async fn run<E: Engine>(mut fresh: impl AsyncFnMut() -> E) {
    checks![fresh:
        keeping::a_value_is_kept_for_its_time,
        keeping::nothing_is_kept_longer_than_the_space_allows,
        keeping::many_who_ask_load_once,
        keeping::an_old_value_is_loaded_again_once,
        keeping::a_failed_load_is_told_to_all_and_not_kept,
        keeping::when_the_one_that_loads_goes_away_the_next_one_loads,
        keeping::who_asks_in_two_processes_loads_once_in_each_at_most,
        keeping::a_removal_reaches_every_holder,
        keeping::what_is_put_takes_the_place_of_what_others_hold,
        keeping::a_removal_wins_over_a_load_that_runs,
        keeping::memory_is_bounded,
        limiting::a_burst_is_allowed_and_then_the_rate,
        limiting::many_at_once_are_counted_one_by_one,
        limiting::keys_and_limiters_are_apart,
        limiting::a_block_holds_for_everybody_who_counts,
        limiting::more_than_the_burst_takes_all_of_it,
        limiting::what_is_forgiven_is_not_counted,
        publishing::all_who_listen_hear_in_order,
        publishing::nobody_hears_of_other_topics_or_of_before,
        publishing::a_slow_listener_is_told_what_it_missed_and_goes_on,
    ];
}

/// Long beside what the checks wait for by hand.
const LONG: Duration = Duration::from_secs(3_600);

fn space(cache: &Cache) -> Space<String> {
    cache.space(Options {
        name: "conformance",
        bytes_max: 1 << 20,
        ttl_max: LONG,
        weigh: String::len,
        codec: Some(TEXT),
    })
}

/// Text as its bytes.
const TEXT: Codec<String> = Codec {
    encode: |text| Bytes::copy_from_slice(text.as_bytes()),
    decode: |bytes| String::from_utf8(bytes.to_vec()).ok(),
};
