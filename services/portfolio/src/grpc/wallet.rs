//! Transfers of crypto assets: those among the activities, as clients of wallets know them.

use prepx_domain::decimal::format;
use prepx_domain::update::Change;
use prepx_domain::view::InstrumentView;
use prepx_domain::{AccountId, Asset, AssetClass};
use prepx_proto::portfolio::v1 as wire;
use wire::WalletTransferDirection::{Incoming, Outgoing};

use super::show::AMOUNT_SCALE;
use crate::domain::activity::{Activity, Kind, Query};

/// The most that are looked through.
const TRANSFERS_MAX: u32 = 1_000;

/// What is looked through for an account.
pub fn query(account: AccountId) -> Query {
    Query {
        account,
        kinds: vec![Kind::Journal],
        after: None,
        until: None,
        newest_first: true,
        past: None,
        limit: TRANSFERS_MAX,
    }
}

/// A transfer as its owner sees it; `None` of an asset that is no crypto, or not the one that is asked for.
pub fn show(
    activity: &Activity,
    instruments: &[InstrumentView],
    asked: &str,
) -> Option<wire::WalletTransfer> {
    let (command, asset, amount_minor, direction) = match &activity.update.change {
        Change::Deposited {
            command,
            asset,
            amount_minor,
        } => (command, *asset, *amount_minor, Incoming),
        Change::Withdrawn {
            command,
            asset,
            amount_minor,
        } => (command, *asset, *amount_minor, Outgoing),
        _ => return None,
    };
    let is_asked = asked.is_empty() || asked.eq_ignore_ascii_case(asset.as_str());
    (is_asked && is_crypto(asset, instruments)).then(|| wire::WalletTransfer {
        id: command.to_string(),
        direction: direction.into(),
        status: wire::WalletTransferStatus::Complete.into(),
        amount: format(amount_minor, AMOUNT_SCALE),
        network_fee: "0".to_owned(),
        fees: "0".to_owned(),
        asset: asset.to_string(),
        created_at: activity.place.at.0,
        ..wire::WalletTransfer::default()
    })
}

/// Whether a pair is of it.
fn is_crypto(asset: Asset, instruments: &[InstrumentView]) -> bool {
    let mut pairs = instruments
        .iter()
        .map(|view| &view.instrument)
        .filter(|instrument| instrument.class == AssetClass::Crypto);
    pairs.any(|pair| pair.base == asset || pair.quote == asset)
}
