//! Asks the brokers where partitions end, including what is not decided yet.
//!
//! Owns: a thread, and on it a client that reads nothing. Callers that arrive while a question is under way
//! are answered together by the next one, so brokers get one question for each partition however many wait.
//! Refuses: more waiting callers than a bound, and to answer when the brokers do not.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::reader::Reader;
use crate::in_flight::InFlight;
use crate::{EndsCallback, TopicPartition};

/// How many may wait at once.
const WAITING_MAX: usize = 4_096;

/// Its thread ends when it is dropped.
pub(super) struct Asker(SyncSender<Question>);

struct Question {
    partitions: Vec<TopicPartition>,
    callback: EndsCallback,
}

impl Asker {
    /// `reader` sees what is not committed; `in_flight` fails when it cannot be asked.
    pub(super) fn spawn(reader: Reader, in_flight: Arc<InFlight>) -> io::Result<Asker> {
        let (asker, questions) = sync_channel(WAITING_MAX);
        thread::Builder::new()
            .name("kafka-asker".to_owned())
            .spawn(move || answer(&reader, &in_flight, &questions))?;
        Ok(Asker(asker))
    }

    /// Calls `callback` with the ends, in the order of the partitions, or drops it if they cannot be found out.
    pub(super) fn ask(&self, partitions: &[TopicPartition], callback: EndsCallback) {
        let partitions = partitions.to_vec();
        let _ = self.0.try_send(Question {
            partitions,
            callback,
        });
    }
}

fn answer(reader: &Reader, in_flight: &InFlight, questions: &Receiver<Question>) {
    while let Ok(first) = questions.recv() {
        let asked: Vec<Question> = [first].into_iter().chain(questions.try_iter()).collect();
        reader.serve();
        let mut ends = BTreeMap::new();
        for &partition in asked.iter().flat_map(|question| &question.partitions) {
            if ends.contains_key(&partition) {
                continue;
            }
            match reader.bounds(partition, 0) {
                Ok(bounds) => ends.insert(partition, bounds.end),
                Err(why) => {
                    in_flight.fail(&why.to_string());
                    return;
                }
            };
        }
        for Question {
            partitions,
            callback,
        } in asked
        {
            callback(partitions.iter().map(|partition| ends[partition]).collect());
        }
    }
}
