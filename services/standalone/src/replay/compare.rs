//! Compares the engine's quotes with the states that its book must have gone through. Pure.
//!
//! A quote is the best of the book after a transition, of which market data keeps only the last of each millisecond. So
//! the quotes must be a subsequence of the planned states: a state may go unseen, but every quote
//! must be the next planned state or a later one, in order.

use super::plan::{State, Step};
use super::recording::Level;
use super::summary::Summary;
use super::trader::Quote;
use super::venue::dollars;

/// How many planned states may go unseen between two quotes.
const UNSEEN_MAX: usize = 1_000;

/// A planned state that differs from the one before it.
struct Planned {
    state: State,
    /// The last message of its step.
    message: usize,
    seen: bool,
}

/// Compares quotes with a plan's steps and writes what it found into the summary.
pub fn quotes(steps: &[Step], quotes: &[Quote], summary: &mut Summary) {
    let (mut planned, ends) = changes(steps);
    let mut next = 0;
    for quote in quotes {
        let ahead = planned.iter().skip(next).take(UNSEEN_MAX);
        match ahead
            .into_iter()
            .position(|planned| planned.state == quote.state)
        {
            Some(unseen) => {
                next += unseen;
                planned[next].seen = true;
                next += 1;
            }
            None => {
                summary.book.unexplained += 1;
                let message = planned.get(next).map_or(0, |planned| planned.message + 1);
                summary.differs(|| {
                    format!(
                        "about message {message}: the book showed {}, which the recording does not explain",
                        show(&quote.state)
                    )
                });
            }
        }
    }
    for (step, end) in steps.iter().zip(ends) {
        let Some(book) = step.book else { continue };
        let seen = end.is_none_or(|end| planned[end].seen);
        for best in [book.bid, book.ask] {
            match (best.derived, seen) {
                (false, _) => summary.book.not_derivable += 1,
                (true, true) => summary.book.agreed += 1,
                (true, false) => summary.book.unseen += 1,
            }
            summary.book.derived += u64::from(best.derived);
        }
    }
}

/// The states without those that changed nothing, and for each step the place of the state at its
/// end; `None` before the first.
fn changes(steps: &[Step]) -> (Vec<Planned>, Vec<Option<usize>>) {
    let (mut planned, mut ends) = (Vec::<Planned>::new(), Vec::new());
    for step in steps {
        for &state in &step.states {
            let before = planned.last().map_or([None, None], |planned| planned.state);
            if state != before {
                planned.push(Planned {
                    state,
                    message: step.message,
                    seen: false,
                });
            }
        }
        ends.push(planned.len().checked_sub(1));
    }
    (planned, ends)
}

fn show([bid, ask]: &State) -> String {
    let show = |level: &Option<Level>| {
        level.map_or("nothing".to_owned(), |level| {
            format!("{} × {}", level.size, dollars(level.price))
        })
    };
    format!("{} bid and {} asked", show(bid), show(ask))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::plan::step::{Best, Book};

    fn state(bid: i64) -> State {
        let level = |size| Level { price: 100, size };
        [Some(level(bid)), None]
    }

    fn step(message: usize, sizes: &[i64]) -> Step {
        let states: Vec<State> = sizes.iter().map(|&size| state(size)).collect();
        let best = |level| Best {
            level,
            derived: true,
        };
        let [bid, ask] = *states.last().unwrap();
        Step {
            message,
            at_us: 0,
            before: Vec::new(),
            take: None,
            after: Vec::new(),
            halted: None,
            book: Some(Book {
                bid: best(bid),
                ask: best(ask),
            }),
            states,
        }
    }

    fn compare(seen: &[i64]) -> Summary {
        let steps = [
            step(0, &[10]),
            step(1, &[20, 30]),
            step(2, &[30]),
            step(3, &[40]),
        ];
        let quote = |(at, &size): (usize, &i64)| Quote {
            at_us: i64::try_from(at).unwrap(),
            state: state(size),
        };
        let seen: Vec<Quote> = seen.iter().enumerate().map(quote).collect();
        let mut summary = Summary::default();
        quotes(&steps, &seen, &mut summary);
        summary
    }

    #[test]
    fn what_was_seen_agrees_and_what_was_not_is_counted() {
        let whole = compare(&[10, 20, 30, 40]);
        assert_eq!((whole.book.derived, whole.book.agreed), (8, 8));
        // The second and third step end in a state that no quote shows.
        let sparse = compare(&[10, 40]).book;
        assert_eq!(
            (sparse.agreed, sparse.unseen, sparse.unexplained),
            (4, 4, 0)
        );
    }

    #[test]
    fn a_wrong_size_and_a_wrong_order_are_found() {
        let wrong = compare(&[10, 31, 40]);
        assert_eq!(wrong.book.unexplained, 1);
        let difference = wrong.first_difference.unwrap();
        assert!(
            difference.starts_with("about message 2: the book showed 31 × 0.01 bid"),
            "{difference}"
        );
        assert_eq!(compare(&[10, 40, 30]).book.unexplained, 1);
    }
}
