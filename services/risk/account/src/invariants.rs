//! I3 and I4 over a whole state. For tests, simulation and `verify`; it walks everything.

use std::collections::BTreeMap;

use prepx_domain::{AccountId, Asset};
use rustc_hash::FxHashMap;

use crate::order::Phase;
use crate::state::{Account, Stage};

/// What an account's orders hold of an asset, and may buy of it.
type Holds = FxHashMap<(AccountId, Asset), (i64, i64)>;

impl Stage {
    /// Checks that money is conserved within the partition (I3) and that every account holds
    /// exactly what its open orders hold (I4). Says the first difference.
    pub fn check_invariants(&self) -> Result<(), String> {
        self.check_conservation()?;
        let holds = self.holds_of_orders()?;
        for (id, account) in &self.accounts {
            self.check_account(*id, account, &holds)?;
        }
        Ok(())
    }

    fn check_conservation(&self) -> Result<(), String> {
        let mut sums: BTreeMap<Asset, i128> = BTreeMap::new();
        let mut add = |asset: Asset, minor: i64| {
            let sum = sums.entry(asset).or_default();
            *sum = sum.saturating_add(i128::from(minor));
        };
        for balance in self.accounts.values().flat_map(|account| &account.balances) {
            add(balance.asset, balance.available_minor);
            add(balance.asset, balance.held_minor);
        }
        for (asset, books) in &self.books {
            add(*asset, books.clearing_minor);
            add(*asset, books.fees_minor);
            add(*asset, books.outside_minor);
        }
        match sums.iter().find(|(_, sum)| **sum != 0) {
            Some((asset, sum)) => Err(format!("I3: the books of {asset} add up to {sum}, not 0")),
            None => Ok(()),
        }
    }

    /// What the orders hold and may buy, by account and asset.
    fn holds_of_orders(&self) -> Result<Holds, String> {
        let mut holds = Holds::default();
        for order in self.orders.values() {
            let id = order.book.order;
            let spent = order.held_minor == 0 && order.buying_minor == 0;
            if !order.is_open() && !spent {
                return Err(format!("I4: order {id} has ended and still holds"));
            }
            if order.held_minor < 0 || order.buying_minor < 0 {
                return Err(format!("I4: order {id} holds less than nothing"));
            }
            let account = order.book.account;
            let base = self.market(order.book.instrument).instrument.base;
            let held = holds
                .entry((account, self.held_asset(&order.book)))
                .or_default();
            held.0 = held.0.saturating_add(order.held_minor);
            let buying = holds.entry((account, base)).or_default();
            buying.1 = buying.1.saturating_add(order.buying_minor);
        }
        Ok(holds)
    }

    fn check_account(&self, id: AccountId, account: &Account, holds: &Holds) -> Result<(), String> {
        for balance in &account.balances {
            let asset = balance.asset;
            let (held, buying) = holds.get(&(id, asset)).copied().unwrap_or_default();
            if balance.available_minor < 0 {
                let available = balance.available_minor;
                return Err(format!(
                    "I4: account {id} has {available} {asset} available"
                ));
            }
            if (balance.held_minor, balance.buying_minor) != (held, buying) {
                let (has, may) = (balance.held_minor, balance.buying_minor);
                return Err(format!(
                    "I4: account {id} holds {has} {asset} and may buy {may}, its open orders \
                     {held} and {buying}"
                ));
            }
        }
        let phase = |order| self.orders.get(order).map(|order| order.phase);
        let open = |order| matches!(phase(order), Some(Phase::Open | Phase::Pending));
        if !account.open.iter().all(open) || account.recent.iter().any(open) {
            return Err(format!(
                "I4: account {id} takes an ended order for open, or an open one for ended"
            ));
        }
        Ok(())
    }
}
