//! Inputs of a small, busy market: three instruments of one slot, one of which has sessions, four accounts, prices close enough
//! that orders meet.

use prepx_domain::message::{BookOrder, BookReplace, ToMatching};
use prepx_domain::{
    AccountId, Hours, Instrument, InstrumentId, Micros, OrderId, OrderKind, SessionCalendar, Side,
    TimeInForce, fixture,
};
use prepx_matching::Input;
use proptest::prelude::*;
use proptest::sample::select;

/// What happens next. Numbers choose among what there is.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Place(BookOrder),
    Replace {
        which: usize,
        new: BookOrder,
    },
    /// A replacement that lowers the quantity and nothing else.
    Reduce {
        which: usize,
    },
    Cancel {
        which: usize,
    },
    Halt(bool),
    Wait {
        us: i64,
    },
    Timer,
}

pub(super) struct Market {
    pub(super) now: Micros,
    defined: usize,
    orders: Vec<BookOrder>,
}

pub(super) fn instrument(number: i64) -> Instrument {
    Instrument {
        id: InstrumentId::new((number << 22) | (77 << 10)).expect("not negative"),
        symbol: format!("I{number}/USD").parse().expect("a symbol"),
        maker_fee_ppm: -100,
        taker_fee_ppm: 2_500,
        calendar: match number {
            3 => SessionCalendar::Nyse,
            _ => SessionCalendar::Always,
        },
        seed_reference_ticks: (number == 1).then_some(1_000),
        ..fixture::bitcoin()
    }
}

/// When the tests begin.
const START: Micros = Micros(1_800_000_000_000_000);

/// Days of 80 ms: closed, extended, regular and extended again for 20 ms each.
pub(super) fn hours() -> Hours {
    let phases = [20_000, 40_000, 60_000, 80_000];
    fixture::days(10_000, 80_000, phases.map(|us| START.plus_us(us)))
}

impl Market {
    pub(super) fn new() -> Market {
        Market {
            now: START,
            defined: 0,
            orders: Vec::new(),
        }
    }

    /// The definitions first, then what the steps say.
    pub(super) fn input(&mut self, step: &Step) -> Input {
        self.now = self.now.plus_us(50);
        if self.defined < 3 {
            self.defined += 1;
            return Input::Command(ToMatching::Define(instrument(self.defined as i64)));
        }
        let known = |which: &usize| self.orders.get(which % self.orders.len().max(1)).copied();
        let message = match step {
            Step::Place(order) => ToMatching::Place(self.named(*order)),
            Step::Replace { which, new } => match known(which) {
                Some(old) => ToMatching::Replace(BookReplace {
                    old: old.order,
                    new: self.named(BookOrder {
                        account: old.account,
                        instrument: old.instrument,
                        side: old.side,
                        extended_hours: old.extended_hours,
                        awaits_session: false,
                        ..*new
                    }),
                }),
                None => return Input::Timer,
            },
            Step::Reduce { which } => match known(which) {
                Some(old) => ToMatching::Replace(BookReplace {
                    old: old.order,
                    new: self.named(BookOrder {
                        qty_lots: (old.qty_lots - 1).max(1),
                        awaits_session: false,
                        expires_at: None,
                        ..old
                    }),
                }),
                None => return Input::Timer,
            },
            Step::Cancel { which } => match known(which) {
                Some(order) => ToMatching::Cancel {
                    account: order.account,
                    instrument: order.instrument,
                    order: order.order,
                    answered: which % 4 == 0,
                },
                None => return Input::Timer,
            },
            Step::Halt(true) => ToMatching::Halt(instrument(1).id),
            Step::Halt(false) => ToMatching::Resume(instrument(1).id),
            Step::Wait { us } => {
                self.now = self.now.plus_us(*us);
                return Input::Timer;
            }
            Step::Timer => return Input::Timer,
        };
        Input::Command(message)
    }

    /// The order under the next id, its expiry counted from now.
    fn named(&mut self, order: BookOrder) -> BookOrder {
        let number = self.orders.len() as i64 + 1;
        let order = BookOrder {
            order: OrderId::new(number << 10).expect("not negative"),
            expires_at: order.expires_at.map(|after| self.now.plus_us(after.0)),
            ..order
        };
        self.orders.push(order);
        order
    }
}

fn kind() -> impl Strategy<Value = OrderKind> {
    let price = || 985..1_016i64;
    prop_oneof![
        5 => price().prop_map(|limit| OrderKind::Limit { limit }),
        1 => Just(OrderKind::Market),
        1 => price().prop_map(|stop| OrderKind::Stop { stop }),
        1 => (price(), price()).prop_map(|(stop, limit)| OrderKind::StopLimit { stop, limit }),
    ]
}

prop_compose! {
    fn order()(
        account in 1..5i64,
        instrument_number in 1..4i64,
        side in select(vec![Side::Buy, Side::Sell]),
        kind in kind(),
        time_in_force in prop_oneof![
            6 => Just(TimeInForce::GoodTilCanceled),
            1 => Just(TimeInForce::Day),
            1 => Just(TimeInForce::ImmediateOrCancel),
            1 => Just(TimeInForce::FillOrKill),
        ],
        qty_lots in 1..30i64,
        post_only in prop::bool::weighted(0.1),
        (extended_hours, awaits_session) in any::<(bool, bool)>(),
        expires_at in prop::option::weighted(0.2, 1_000..1_000_000i64),
    ) -> BookOrder {
        let protect_ticks = match side {
            Side::Buy => 1_040,
            Side::Sell => 960,
        };
        BookOrder {
            order: OrderId::new(0).expect("not negative"),
            account: AccountId::new(account << 10).expect("not negative"),
            instrument: instrument(instrument_number).id,
            side,
            kind,
            time_in_force,
            qty_lots,
            protect_ticks: kind.limit().is_none().then_some(protect_ticks),
            post_only,
            extended_hours,
            awaits_session,
            expires_at: expires_at.map(Micros),
        }
    }
}

/// An order that rests and ends by itself a moment later.
pub(super) fn brief() -> BookOrder {
    BookOrder {
        order: OrderId::new(0).expect("not negative"),
        account: AccountId::new(1 << 10).expect("not negative"),
        instrument: instrument(1).id,
        side: Side::Buy,
        kind: OrderKind::Limit { limit: 990 },
        time_in_force: TimeInForce::Day,
        qty_lots: 1,
        protect_ticks: None,
        post_only: false,
        extended_hours: false,
        awaits_session: false,
        expires_at: Some(Micros(1)),
    }
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => order().prop_map(Step::Place),
        4 => (any::<usize>(), order()).prop_map(|(which, new)| Step::Replace { which, new }),
        2 => any::<usize>().prop_map(|which| Step::Reduce { which }),
        2 => any::<usize>().prop_map(|which| Step::Cancel { which }),
        1 => prop::bool::weighted(0.3).prop_map(Step::Halt),
        1 => (0..300_000i64).prop_map(|us| Step::Wait { us }),
        1 => Just(Step::Timer),
    ]
    .boxed()
}
