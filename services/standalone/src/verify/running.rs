//! A platform that runs: what its services say of each other, what they have signed, and its journals where they can be
//! read beside it.

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use prepx_analytics::{Check, Head, Shown};
use prepx_portfolio::audit::{Counts, Totals};
use prepx_proto::analytics::v1 as audit_wire;
use prepx_proto::analytics::v1::audit_service_client::AuditServiceClient;
use prepx_proto::portfolio::v1 as wire;
use prepx_proto::portfolio::v1::admin_service_client::AdminServiceClient;
use prepx_stage::Skip;

use super::journals;
use super::report::{self, Report};
use crate::client::{Connection, words};
use crate::recorded::{Opened, Recorded};

/// Signed roots, or skips, that are asked for at once.
const A_PAGE: i32 = 1_000;

/// Has a platform that runs compare its ledger with its stages.
pub(super) async fn verify(to: &Connection, recorded: &Recorded) -> Result<Report> {
    let opened = recorded.beside_a_platform("prepx verify")?;
    let skipped = skips(to).await?;
    let compared = books(to, opened.as_ref()).await;
    let compared = compared.map_err(|difference| report::explain(difference, &skipped))?;
    Ok(Report {
        skipped,
        ..compared
    })
}

/// What the stages of a platform that runs went on without.
async fn skips(to: &Connection) -> Result<Vec<Skip>> {
    let mut client = AuditServiceClient::new(to.peer());
    let (mut skipped, mut last) = (Vec::new(), 0);
    loop {
        let request = audit_wire::GetAuditSkipsRequest {
            after: Some(last),
            limit: Some(A_PAGE),
        };
        let page = client.get_audit_skips(to.request(request)).await;
        let page = page.map_err(words)?.into_inner().skips;
        let Some(newest) = page.last() else {
            return Ok(skipped);
        };
        ensure!(newest.number > last, "the numbers of skips do not rise");
        last = newest.number;
        for shown in page {
            skipped.push(report::skip(shown)?);
        }
    }
}

/// The books and the audit chain of a platform that runs, and its journals if they can be read here.
async fn books(to: &Connection, opened: Option<&Opened>) -> Result<Report> {
    let request = to.request(wire::AuditBooksRequest {});
    let answer = AdminServiceClient::new(to.peer())
        .audit_books(request)
        .await;
    let audit = answer.map_err(words)?.into_inner();
    ensure!(
        audit.difference.is_none(),
        audit.difference.unwrap_or_default()
    );
    let rows = rows(to).await?;
    let begin = |opened: &Opened| Check::nothing(opened.topology, journals::begins(opened));
    let mut check = opened.map(begin);
    let signed = signed_roots(to, check.as_mut()).await?;
    let totals = audit.totals.iter().map(report::total);
    let totals = Totals(totals.collect::<Result<_>>()?);
    let mut journals = None;
    if let Some((opened, check)) = opened.zip(check) {
        let folded = journals::fold_all(opened, check, &audit.positions)?;
        folded.compare(&totals)?;
        journals = Some(folded.extent);
    }
    Ok(Report {
        positions: audit.positions,
        accounts: audit.accounts,
        postings: audit.postings,
        undelivered: 0,
        signed: Some(signed),
        audit: None,
        checkpoint: None,
        journals,
        rows: Some(rows),
        skipped: Vec::new(),
        totals,
    })
}

/// Has the platform compare every row of its tables with its log.
async fn rows(to: &Connection) -> Result<Counts> {
    let mut client = AdminServiceClient::new(to.peer());
    let request = to.request(wire::CompareTablesRequest {});
    let answers = client.compare_tables(request).await.map_err(words)?;
    let answer = answers.into_inner().message().await.map_err(words)?;
    let answer = answer.context("the platform did not say what came of comparing its tables")?;
    match answer.difference {
        Some(difference) => bail!(difference),
        None => Ok(Counts {
            compared: answer.compared,
            beyond: answer.beyond,
        }),
    }
}

/// Checks every root of a platform that runs: numbers, links, signatures, and that they lead to the
/// newest heads. The records between the last root and the heads the platform hashes again. What they say is noted in
/// `check`.
async fn signed_roots(
    to: &Connection,
    mut check: Option<&mut Check>,
) -> Result<prepx_analytics::Totals> {
    let mut note = |heads: &[Head]| {
        let noted = check
            .as_deref_mut()
            .map_or(Ok(()), |check| check.claim(heads));
        noted.map_err(|difference| anyhow!("audit: {difference}"))
    };
    let mut client = AuditServiceClient::new(to.peer());
    let mut shown = Shown::default();
    loop {
        let request = audit_wire::GetAuditRootsRequest {
            after: Some(shown.number()),
            limit: Some(A_PAGE),
        };
        let page = client.get_audit_roots(to.request(request)).await;
        let page = page.map_err(words)?.into_inner().roots;
        for root in &page {
            let taken = shown.take(root);
            taken.map_err(|difference| anyhow!("audit: {difference}"))?;
            note(shown.heads())?;
        }
        if page.is_empty() {
            break;
        }
    }
    let heads = to.request(audit_wire::GetAuditHeadsRequest {});
    let heads = client.get_audit_heads(heads).await.map_err(words)?;
    let roots = shown.number();
    let finished = shown.finish(&heads.into_inner().heads);
    note(&finished.map_err(|difference| anyhow!("audit: {difference}"))?)?;
    let request = to.request(audit_wire::CheckAuditJournalsRequest {});
    let checked = client.check_audit_journals(request).await.map_err(words)?;
    let checked = checked.into_inner();
    if let Some(difference) = checked.difference {
        bail!("audit: {difference}");
    }
    Ok(prepx_analytics::Totals {
        roots,
        records: checked.records,
        unaudited: checked.unaudited,
    })
}
