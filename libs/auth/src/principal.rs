//! Who a caller is and what they were allowed.

use std::fmt;
use std::str::FromStr;

use prepx_domain::AccountId;
use uuid::Uuid;

use crate::{Error, Result};

/// What kind of user a caller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Trades on an account of their own.
    Trader,
    /// Runs the platform; has no account and sees none through a trader's methods.
    Operator,
}

impl Role {
    /// The word in tokens, stores and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Trader => "trader",
            Role::Operator => "operator",
        }
    }

    /// Every scope that a user of this role may have.
    pub const fn scopes(self) -> Scopes {
        match self {
            Role::Trader => Scopes::ALL.without(Scopes::OPERATORS),
            Role::Operator => Scopes::ALL,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = ();

    fn from_str(name: &str) -> std::result::Result<Role, ()> {
        [Role::Trader, Role::Operator]
            .into_iter()
            .find(|role| role.name() == name)
            .ok_or(())
    }
}

macro_rules! scopes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// One thing that a key may be allowed to do. The names are those in the protos' options.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Scope { $($(#[$doc])* $name,)* }

        impl Scope {
            /// Every scope.
            pub const ALL: &'static [Scope] = &[$(Scope::$name,)*];

            /// The name in the protos, tokens and stores.
            pub const fn name(self) -> &'static str {
                match self { $(Scope::$name => $text,)* }
            }
        }
    };
}

scopes! {
    /// See the account and its configuration.
    AccountRead = "account:read",
    /// Change the account's configuration.
    AccountWrite = "account:write",
    /// See orders and their history.
    OrdersRead = "orders:read",
    /// Place, replace and cancel orders.
    OrdersWrite = "orders:write",
    /// See positions and profit and loss.
    PositionsRead = "positions:read",
    /// Close positions.
    PositionsWrite = "positions:write",
    /// See deposits, withdrawals and statements.
    FundsRead = "funds:read",
    /// Deposit and withdraw.
    FundsWrite = "funds:write",
    /// See market data.
    DataRead = "data:read",
    /// See watch lists and preferences.
    ProfileRead = "profile:read",
    /// Change watch lists, preferences and the user's own data.
    ProfileWrite = "profile:write",
    /// See API keys.
    KeysRead = "keys:read",
    /// Create and revoke API keys.
    KeysWrite = "keys:write",
    /// Feed recorded or foreign market data in.
    DataWrite = "data:write",
    /// See what operators see.
    AdminRead = "admin:read",
    /// Do what operators do.
    AdminWrite = "admin:write",
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scope {
    type Err = ();

    fn from_str(name: &str) -> std::result::Result<Scope, ()> {
        Scope::ALL
            .iter()
            .copied()
            .find(|scope| scope.name() == name)
            .ok_or(())
    }
}

/// A set of scopes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scopes(u32);

impl Scopes {
    /// No scope.
    pub const NONE: Scopes = Scopes(0);
    /// Every scope.
    pub const ALL: Scopes = Scopes((1 << Scope::ALL.len()) - 1);
    /// Those that only operators can have.
    pub const OPERATORS: Scopes = Scopes::NONE
        .with(Scope::DataWrite)
        .with(Scope::AdminRead)
        .with(Scope::AdminWrite);

    /// These and one more.
    pub const fn with(self, scope: Scope) -> Scopes {
        Scopes(self.0 | 1 << scope as u8)
    }

    /// These but not those.
    pub const fn without(self, those: Scopes) -> Scopes {
        Scopes(self.0 & !those.0)
    }

    /// Whether this one is among them.
    pub const fn has(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }

    /// Whether all of these are among those.
    pub const fn within(self, those: Scopes) -> bool {
        self.without(those).0 == 0
    }

    /// Each of them, in the order of their declaration.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL
            .iter()
            .copied()
            .filter(move |scope| self.has(*scope))
    }

    /// Reads names that are separated by spaces; the name that is no scope otherwise.
    pub fn parse(names: &str) -> std::result::Result<Scopes, String> {
        names
            .split_ascii_whitespace()
            .try_fold(Scopes::NONE, |scopes, name| {
                name.parse()
                    .map(|scope| scopes.with(scope))
                    .map_err(|()| name.to_owned())
            })
    }
}

/// Names separated by spaces, as RFC 8693 has them in tokens.
impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.iter().enumerate() {
            write!(f, "{}{scope}", if index == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

/// An authenticated caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The user.
    pub user_id: Uuid,
    /// The user's trading account; operators have none.
    pub account_id: Option<AccountId>,
    /// The user's role.
    pub role: Role,
    /// What the key or session may do.
    pub scopes: Scopes,
    /// The API key or sign-in session behind this call: what is revoked.
    pub key_id: String,
}

impl Principal {
    /// The caller's account, the only one whose data it may see (I9).
    pub fn account(&self) -> Result<AccountId> {
        self.account_id.ok_or(Error::NoAccount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_as_they_are_written() {
        for role in [Role::Trader, Role::Operator] {
            assert_eq!(Scopes::parse(&role.scopes().to_string()), Ok(role.scopes()));
        }
        assert_eq!(Scopes::parse(""), Ok(Scopes::NONE));
        assert_eq!(
            Scopes::parse("orders:read orders:steal"),
            Err("orders:steal".to_owned())
        );
    }

    #[test]
    fn a_trader_cannot_have_what_is_for_operators() {
        assert!(!Role::Trader.scopes().has(Scope::AdminWrite));
        assert!(Role::Trader.scopes().within(Role::Operator.scopes()));
        assert!(!Role::Operator.scopes().within(Role::Trader.scopes()));
    }
}
