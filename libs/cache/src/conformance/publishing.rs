//! What publishing promises: at most once, in order, and no listener makes another one or the sender wait.

use bytes::Bytes;

use super::Engine;
use crate::Received;
use crate::topics::BEHIND_MAX;

fn message(number: usize) -> Bytes {
    number.to_string().into()
}

pub(super) async fn all_who_listen_hear_in_order(engine: &mut dyn Engine) {
    let (here, there) = (engine.open(), engine.rival());
    let mut listeners = [here.subscribe("news"), there.subscribe("news")];
    for number in 0..100 {
        here.publish("news", message(number)).await;
    }
    for listener in &mut listeners {
        for number in 0..100 {
            assert_eq!(
                listener.next().await,
                Some(Received::Message(message(number)))
            );
        }
    }
}

pub(super) async fn nobody_hears_of_other_topics_or_of_before(engine: &mut dyn Engine) {
    let cache = engine.open();
    cache.publish("news", message(1)).await;
    let mut listener = cache.subscribe("news");
    cache.publish("weather", message(2)).await;
    cache.publish("news", message(3)).await;
    assert_eq!(listener.next().await, Some(Received::Message(message(3))));
}

pub(super) async fn a_slow_listener_is_told_what_it_missed_and_goes_on(engine: &mut dyn Engine) {
    let cache = engine.open();
    let (mut slow, mut quick) = (cache.subscribe("news"), cache.subscribe("news"));
    let sent = 3 * BEHIND_MAX;
    for number in 0..sent {
        // Never waits for a listener.
        cache.publish("news", message(number)).await;
        assert_eq!(quick.next().await, Some(Received::Message(message(number))));
    }
    let Some(Received::Missed(missed)) = slow.next().await else {
        panic!("a listener that is {sent} behind was not told");
    };
    assert!(missed as usize >= sent - BEHIND_MAX);
    for number in missed as usize..sent {
        assert_eq!(slow.next().await, Some(Received::Message(message(number))));
    }
}
