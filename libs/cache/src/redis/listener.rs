//! Listens to what other processes publish, over a connection of its own.
//!
//! Owns: that connection, and what happens when it breaks. Anything may have been missed then, so listeners get a notice, and
//! this process no longer uses what it has cached so far. The process also sends messages to itself, to notice a
//! connection that looks open but delivers nothing.

use std::sync::Arc;
use std::time::Duration;

use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::{ClientLike, EventInterface, PubsubInterface};
use fred::types::{Message, Value};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::oneshot;

use super::news::{Content, News};
use super::{Redis, link};
use crate::presence::PAUSE;
use crate::{Memory, RedisLocation};

/// How often the process sends a message to itself.
const BEAT: Duration = Duration::from_secs(5);

pub(super) struct Listener {
    location: RedisLocation,
    redis: Arc<Redis>,
    near: Arc<Memory>,
    ready: Option<oneshot::Sender<()>>,
}

impl Listener {
    /// A listener for `near`, and a signal for when it is first subscribed.
    pub(super) fn new(
        location: RedisLocation,
        redis: Arc<Redis>,
        near: Arc<Memory>,
    ) -> (Listener, oneshot::Receiver<()>) {
        let (ready, subscribed) = oneshot::channel();
        let listener = Listener {
            location,
            redis,
            near,
            ready: Some(ready),
        };
        (listener, subscribed)
    }

    /// Listens for as long as it is polled.
    pub(super) async fn listen(mut self) {
        // Said once until it changes: a name or a certificate that is wrong is never another.
        let mut told = String::new();
        loop {
            let why = match self.listen_once().await {
                Ok(()) => String::new(),
                Err(error) => error.to_string(),
            };
            if why != told && !why.is_empty() {
                tracing::warn!(%why, "not listening to the cache's news");
            }
            told = why;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Listens until the connection breaks. A new one each time: it is asked anew who is in the cluster.
    async fn listen_once(&mut self) -> Result<(), Error> {
        let mut builder = link::builder(&self.location)?;
        builder.with_config(|config| config.fail_fast = true);
        let client = link::Connection(builder.build()?);
        let messages = client.0.message_rx();
        let connection = client.0.init().await?;
        let beats = format!("{}:beat:{:016x}", self.redis.prefix, self.number());
        client
            .0
            .subscribe(vec![self.redis.channel(), beats.clone()])
            .await?;
        match self.ready.take() {
            Some(ready) => {
                // Whoever opened it may have stopped waiting.
                let _ = ready.send(());
            }
            None => self.missed(),
        }
        tokio::select! {
            () = self.hear(messages, &beats) => {}
            _ = connection => {}
        }
        Ok(())
    }

    /// Hears news until nothing comes any more.
    async fn hear(&self, mut messages: Receiver<Message>, beats: &str) {
        let mut beat = tokio::time::interval(BEAT);
        let mut silent_beats = 0;
        loop {
            tokio::select! {
                heard = messages.recv() => match heard {
                    Ok(message) => {
                        silent_beats = 0;
                        self.act(message);
                    }
                    Err(RecvError::Lagged(_)) => self.missed(),
                    Err(RecvError::Closed) => return,
                },
                _ = beat.tick() => {
                    if silent_beats >= 2 {
                        return;
                    }
                    let sent = self.beat(beats).await;
                    silent_beats += u32::from(sent.is_some());
                }
            }
        }
    }

    async fn beat(&self, channel: &str) -> Option<Value> {
        let publish = async |client: Client| client.publish::<Value, _, _>(channel, "").await;
        self.redis.link.call(publish).await
    }

    fn act(&self, message: Message) {
        let bytes = message.value.into_owned_bytes().unwrap_or_default();
        let Some(news) = News::decode(bytes.into()).filter(|news| news.origin != self.redis.origin)
        else {
            return;
        };
        match news.content {
            Content::Message(message) => self.near.topics.publish(&news.name, message),
            Content::Removed(key) => self.near.removals.add(&news.name, &key),
        }
    }

    fn missed(&self) {
        self.near.removals.add_all();
        self.near.topics.missed();
    }

    fn number(&self) -> u64 {
        u64::from_be_bytes(self.redis.origin)
    }
}
