//! What simulated traders do, one action after the other: pure, and the same for the same seed.
//!
//! Each instrument has a fundamental value that walks at random. Makers quote around it, a few levels
//! a side, and replace what they quoted before; takers trade with what they find. So the number of
//! open orders is bounded by makers × instruments × sides × levels.

use prepx_domain::Side;
use prepx_env::Random;

/// Quotes of one maker on one side of one instrument.
pub const LEVELS: usize = 3;
const TENTHS_OF_BASIS_POINTS: i64 = 100_000;

/// An instrument as the population knows it. Prices are in ticks, quantities in lots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Market {
    /// What it is worth now.
    pub value_ticks: i64,
    /// An order's usual quantity.
    pub usual_lots: i64,
}

/// What one trader does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// Who.
    pub trader: usize,
    /// Index of the instrument.
    pub market: usize,
    /// Which way.
    pub side: Side,
    /// The limit.
    pub price_ticks: i64,
    /// How much.
    pub qty_lots: i64,
    /// For a maker, which of its quotes this one takes the place of; takers leave nothing behind.
    pub level: Option<usize>,
}

/// The traders: first the makers, then the takers.
pub struct Population {
    random: Random,
    markets: Vec<Market>,
    makers: usize,
    takers: usize,
}

impl Population {
    /// A population of `makers` and `takers` (one at least of each) in `markets` (one at least).
    pub fn new(seed: u64, markets: Vec<Market>, makers: usize, takers: usize) -> Population {
        Population {
            random: Random::from_seed(seed),
            markets,
            makers,
            takers,
        }
    }

    /// What happens next. Two of three actions are quotes.
    pub fn act(&mut self) -> Action {
        let market = self.below(self.markets.len());
        self.walk(market);
        let side = if self.below(2) == 0 {
            Side::Buy
        } else {
            Side::Sell
        };
        let level = (self.below(3) > 0).then(|| self.below(LEVELS));
        let trader = match level {
            Some(_) => self.below(self.makers),
            None => self.makers + self.below(self.takers),
        };
        let away = match level {
            Some(level) => 20 + 30 * i64::try_from(level).unwrap_or(0) + self.number(20),
            // A taker goes through the usual quotes.
            None => -(60 + self.number(60)),
        };
        let Market {
            value_ticks,
            usual_lots,
        } = self.markets[market];
        let away_ticks = part(value_ticks, away);
        let price_ticks = match side {
            Side::Buy => value_ticks - away_ticks,
            Side::Sell => value_ticks + away_ticks,
        };
        Action {
            trader,
            market,
            side,
            price_ticks: price_ticks.max(1),
            qty_lots: (usual_lots * (1 + self.number(10)) / 5).max(1),
            level,
        }
    }

    /// One step of the value, at most two basis points either way.
    fn walk(&mut self, market: usize) {
        let step = self.number(41) - 20;
        let value = &mut self.markets[market].value_ticks;
        *value = (*value + part(*value, step)).max(100);
    }

    fn number(&self, below: i64) -> i64 {
        i64::try_from(self.random.next_u64() % below.unsigned_abs()).unwrap_or(0)
    }

    fn below(&self, count: usize) -> usize {
        let drawn = self.random.next_u64() % (count as u64);
        usize::try_from(drawn).unwrap_or(0)
    }
}

/// So many tenths of a basis point of a value, one at least unless there are none.
fn part(value: i64, tenths: i64) -> i64 {
    let exact = value.saturating_mul(tenths) / TENTHS_OF_BASIS_POINTS;
    if exact == 0 { tenths.signum() } else { exact }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actions(seed: u64) -> Vec<Action> {
        let market = Market {
            value_ticks: 20_000,
            usual_lots: 10,
        };
        let mut population = Population::new(seed, vec![market; 3], 2, 4);
        (0..5_000).map(|_| population.act()).collect()
    }

    #[test]
    fn the_same_seed_acts_the_same() {
        assert_eq!(actions(7), actions(7));
        assert_ne!(actions(7), actions(8));
    }

    #[test]
    fn makers_quote_and_takers_take_at_sound_prices() {
        let (mut quotes, mut takes) = (0, 0);
        for action in actions(1) {
            assert!(action.market < 3 && action.qty_lots > 0 && action.price_ticks > 0);
            match action.level {
                Some(level) => {
                    assert!(action.trader < 2 && level < LEVELS);
                    quotes += 1;
                }
                None => {
                    assert!((2..6).contains(&action.trader));
                    takes += 1;
                }
            }
        }
        assert!(
            quotes > takes && takes > 1_000,
            "{quotes} quotes, {takes} takes"
        );
    }
}
