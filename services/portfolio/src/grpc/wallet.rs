//! Transfers of crypto assets, as clients of wallets know them: taken from the activities.

use prepx_domain::decimal::format;
use prepx_domain::update::Change;
use prepx_domain::view::InstrumentView;
use prepx_domain::{AccountId, Asset, AssetClass};
use prepx_proto::portfolio::v1 as wire;
use wire::WalletTransferDirection::{Incoming, Outgoing};

use super::show::AMOUNT_SCALE;
use crate::domain::activity::{Activity, Kind, Query};

/// The most activities that are searched.
const TRANSFERS_MAX: u32 = 1_000;

/// The activities of an account that are searched.
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

/// A transfer as its owner sees it; `None` if the asset is not a crypto asset, or not the requested one.
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

/// Whether a pair is in this asset.
fn is_crypto(asset: Asset, instruments: &[InstrumentView]) -> bool {
    let mut pairs = instruments
        .iter()
        .map(|view| &view.instrument)
        .filter(|instrument| instrument.class == AssetClass::Crypto);
    pairs.any(|pair| pair.base == asset || pair.quote == asset)
}
