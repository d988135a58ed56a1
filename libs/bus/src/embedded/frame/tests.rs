use proptest::prelude::*;

use super::*;

const JOURNAL: TopicPartition = Topic::AccountJournal.partition(3);

fn encoded(stamp: Stamp, records: &[(TopicPartition, Vec<u8>)]) -> BytesMut {
    let (mut batch, mut out, mut next) = (Batch::new(), BytesMut::new(), 0);
    for (to, payload) in records {
        batch.push(*to, payload);
    }
    encode_batch(&mut out, stamp, &batch, |_| {
        next += 1;
        next - 1
    });
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn golden_bytes_of_a_batch() {
    let stamp = Stamp {
        address: 0x0102_0304_0506,
        synced: 0x0102_0304_0500,
        owner: Some(Owner {
            journal: JOURNAL,
            epoch: 7,
        }),
    };
    let out = encoded(stamp, &[(JOURNAL, b"hi".to_vec())]);
    let expected = "3800000053ac7f050605040302010000060000000100\
                    0e00030000000700000001000000\
                    0e0003000000020000000000000000000000\
                    6869";
    assert_eq!(hex(&out), expected);
}

#[test]
fn golden_bytes_of_a_fence() {
    let owner = Some(Owner {
        journal: JOURNAL,
        epoch: 8,
    });
    let mut out = BytesMut::new();
    encode_fence(
        &mut out,
        Stamp {
            address: 9,
            synced: 9,
            owner,
        },
        "pid 1",
    );
    let expected = "290000002570cab20900000000000000000000000200\
                    0e00030000000800000000000000\
                    7069642031";
    assert_eq!(hex(&out), expected);
    let fence = Frame::parse(&out, 9).unwrap();
    assert_eq!(
        (fence.kind, fence.owner, fence.who()),
        (Kind::Fence, owner, "pid 1")
    );
    assert_eq!(fence.records().count(), 0);
}

#[test]
fn a_long_name_in_a_fence_is_cut_at_a_character() {
    let owner = Some(Owner {
        journal: JOURNAL,
        epoch: 1,
    });
    let mut out = BytesMut::new();
    encode_fence(
        &mut out,
        Stamp {
            address: 0,
            synced: 0,
            owner,
        },
        &"ü".repeat(300),
    );
    assert_eq!(Frame::parse(&out, 0).unwrap().who(), "ü".repeat(128));
}

fn records() -> impl Strategy<Value = Vec<(TopicPartition, Vec<u8>)>> {
    let to = (0..Topic::ALL.len(), 0..TopicPartition::COUNT_MAX)
        .prop_map(|(topic, partition)| Topic::ALL[topic].partition(partition));
    proptest::collection::vec((to, proptest::collection::vec(any::<u8>(), 0..50)), 1..20)
}

proptest! {
    #[test]
    fn what_is_encoded_is_parsed(records in records(), address in 0u64..1 << 60, behind in 0u64..1 << 30) {
        let synced = address.saturating_sub(behind);
        let out = encoded(Stamp { address, synced, owner: None }, &records);
        let frame = Frame::parse(&out, address).unwrap();
        prop_assert_eq!((frame.synced, frame.end()), (synced, address + out.len() as u64));
        let parsed: Vec<_> =
            frame.records().map(|record| (record.to, out[record.payload].to_vec())).collect();
        prop_assert_eq!(parsed, records);
        // Elsewhere in the log, or cut off, it is no frame.
        prop_assert!(Frame::parse(&out, address + 1).is_err());
        let short = Frame::parse(&out[..out.len() - 1], address);
        let is_short = |needed: usize| needed == out.len() || needed == HEADER_BYTES;
        let told = matches!(short, Err(Invalid::Short { needed_bytes: n }) if is_short(n));
        prop_assert!(told, "it was told {:?}", short);
    }

    #[test]
    fn garbage_is_refused_and_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Frame::parse(&bytes, 0).is_err());
    }

    /// With the checksum made right, so that what is behind it is reached.
    #[test]
    fn signed_garbage_yields_only_what_is_inside(
        mut bytes in proptest::collection::vec(prop_oneof![Just(0u8), Just(1), any::<u8>()], HEADER_BYTES..200)
    ) {
        let length = bytes.len() as u32;
        bytes[LENGTH].copy_from_slice(&length.to_le_bytes());
        bytes[8..20].fill(0);
        seal(&mut bytes);
        if let Ok(frame) = Frame::parse(&bytes, 0) {
            let mut end = HEADER_BYTES;
            for record in frame.records() {
                prop_assert_eq!(record.payload.start, end + RECORD_HEADER_BYTES);
                end = record.payload.end;
            }
            prop_assert!(frame.kind == Kind::Fence || end == bytes.len());
            let _ = frame.who();
        }
    }

    #[test]
    fn any_flipped_bit_is_noticed(records in records(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut out = encoded(Stamp { address: 77, synced: 70, owner: None }, &records);
        let at = at.index(out.len());
        out[at] ^= 1u8 << bit;
        prop_assert!(Frame::parse(&out, 77).is_err());
    }
}
