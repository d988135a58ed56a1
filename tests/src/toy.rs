//! Two tiny stages: a bank that debits and credits, and a clearing house between its partitions.

mod bank;
mod house;

use prepx_domain::Slot;
use prepx_stage::DecodeError;

pub use bank::{Bank, BankCodec, BankEvent, BankInput, BankOutput};
pub use house::{House, HouseCodec, HouseEvent, HouseInput, HouseOutput};

/// Four numbers and a tag are all that any toy value is.
pub type Words = (u8, [i64; 4]);

/// The command and what became of it, from the bytes of a bank's reply.
pub fn reply(bytes: &[u8]) -> (i64, bool) {
    match get(bytes).unwrap() {
        (3, [id, done, ..]) => (id, done == 1),
        other => panic!("{other:?} is no reply"),
    }
}

fn put((tag, words): Words, to: &mut Vec<u8>) {
    to.push(tag);
    words
        .iter()
        .for_each(|word| to.extend_from_slice(&word.to_le_bytes()));
}

fn get(bytes: &[u8]) -> Result<Words, DecodeError> {
    if bytes.len() != 33 {
        return Err(DecodeError::new("a toy value", bytes.len()));
    }
    let word = |at: usize| i64::from_le_bytes(bytes[1 + at * 8..9 + at * 8].try_into().unwrap());
    Ok((bytes[0], [word(0), word(1), word(2), word(3)]))
}

/// An amount that the bank cannot decide a deposit or credit of.
pub const POISON: i64 = 666;

/// The slot of a toy account.
pub fn slot(account: i64) -> Slot {
    Slot::new((account * 1_021 % 4_096) as u16).unwrap()
}
