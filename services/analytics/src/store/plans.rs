//! By which plans the engines run what the audit asks of SQL.

use expect_test::expect_file;
use prepx_bus::Topic;
use prepx_store::plans::Plans;

use super::*;

const ROOTS: u64 = 5_000;
/// Two heads a partition; what operators do by hand.
const SMALL: &[&str] = &["heads", "skips"];
/// A tenth of an hour: so many roots are three weeks.
const BETWEEN_US: i64 = 360_000_000;

fn at(number: u64) -> Micros {
    Micros(1_800_000_000_000_000 + number as i64 * BETWEEN_US)
}

fn head(next_offset: u64) -> Head {
    Head::start(Topic::AccountJournal.partition(0), next_offset)
}

fn root(number: u64) -> (Root, Signed) {
    let root = Root {
        number,
        created_at: at(number),
        previous: [0; 32],
        heads: vec![head(number)],
    };
    let signed = Signed {
        body: root.encode(),
        signature: [7; 64],
    };
    (root, signed)
}

#[tokio::test]
async fn plans_are_those_that_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let location = prepx_store::suite::location(directory.path()).await;
    let audit = Audit::open(&location).await.unwrap();
    audit.make_months(at(0)).await.unwrap();
    let roots: Vec<_> = (1..=ROOTS).map(root).collect();
    let mut tx = audit.0.begin().await.unwrap();
    let into = "INSERT INTO roots (number, created_at_us, body, signature)";
    tx.insert_rows(into, 4, "", &roots, |(root, signed), values| {
        values
            .push(root.number as i64)
            .push(root.created_at.0)
            .push(signed.body.as_slice())
            .push(signed.signature.as_slice());
    })
    .await
    .unwrap();
    tx.commit().await.unwrap();
    let mut plans = Plans::of(&audit.0, SMALL).await.unwrap();
    let skips = [Skip {
        seat: "account/2".parse().unwrap(),
        message: "matching-journal/0#57".parse().unwrap(),
        reason: "poison".to_owned(),
    }];
    let (next, signed) = root(ROOTS + 1);
    let moves = [(0, head(ROOTS + 1))];
    let committed = audit.commit(&moves, &skips, Some((&next, &signed)));
    plans.add("chains move on under a root", committed).await;
    let newest = plans.add("the newest root", audit.newest_root()).await;
    assert_eq!(newest.unwrap().0, ROOTS + 1);
    let page = plans.add("a page of roots", audit.roots(100, 256)).await;
    assert_eq!(page.len(), 256);
    plans.add("heads", audit.heads()).await;
    plans.add("skips", audit.skips(0, 100)).await;
    if let Some(file) = plans.file("../../plans") {
        expect_file![file].assert_eq(plans.text());
    }
}
