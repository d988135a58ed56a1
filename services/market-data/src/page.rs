//! Pages over several symbols: all items of a symbol come before the next symbol.

use prepx_domain::Micros;

/// The most items of a page.
const LIMIT_MAX: usize = 10_000;
/// The number of items if the request has no limit.
const LIMIT: usize = 1_000;

/// The place of an item among those of its symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Its time.
    pub at: Micros,
    /// Its number among those of that time; 0 where there is only one.
    pub number: i64,
}

/// The end of a page; its text is the `next_page_token`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The symbol of the last item.
    pub symbol: String,
    /// The place of the last item.
    pub place: Place,
}

impl Token {
    /// Reads what [`Self::text`] wrote.
    pub fn parse(text: &str) -> Option<Token> {
        let mut parts = text.splitn(3, '_');
        let (at, number, symbol) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Token {
            symbol: symbol.to_owned(),
            place: Place {
                at: Micros(at.parse().ok()?),
                number: number.parse().ok()?,
            },
        })
    }

    /// The text for the next request.
    pub fn text(&self) -> String {
        format!("{}_{}_{}", self.place.at.0, self.place.number, self.symbol)
    }
}

/// What to ask of each symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first moment.
    pub start: Micros,
    /// The last moment.
    pub end: Micros,
    /// Whether the newest come first.
    pub newest_first: bool,
    /// Only items after this place, in that order.
    pub past: Option<Place>,
    /// At most this many.
    pub limit: usize,
}

/// The number of items in a page.
///
/// # Errors
/// When the requested number is below 1; it is in the error.
pub fn limit(asked: Option<i32>) -> Result<usize, i32> {
    match asked {
        None => Ok(LIMIT),
        Some(limit) => match usize::try_from(limit) {
            Ok(limit @ 1..) => Ok(limit.min(LIMIT_MAX)),
            _ => Err(limit),
        },
    }
}

/// A page that is being filled.
pub struct Page<T> {
    room: usize,
    /// Items by symbol; none is empty.
    pub lists: Vec<(String, Vec<T>)>,
    /// Where the next page starts.
    pub next: Option<Token>,
    last: Option<Token>,
}

impl<T> Page<T> {
    /// An empty page for `limit` items.
    pub fn new(limit: usize) -> Page<T> {
        Page {
            room: limit,
            lists: Vec::new(),
            next: None,
            last: None,
        }
    }

    /// How many items to ask for: one more than fits shows whether there is a next page.
    pub const fn wanted(&self) -> usize {
        self.room + 1
    }

    /// Adds the items of the next symbol. `more` says that there are further ones of it. Returns `false`
    /// when the page is full.
    pub fn take(
        &mut self,
        symbol: &str,
        mut items: Vec<T>,
        more: bool,
        place: impl Fn(&T) -> Place,
    ) -> bool {
        let more = more || items.len() > self.room;
        items.truncate(self.room);
        self.room -= items.len();
        if let Some(item) = items.last() {
            let symbol = symbol.to_owned();
            let place = place(item);
            self.last = Some(Token { symbol, place });
            self.lists.push((symbol_of(&self.last), items));
        }
        if more {
            self.next = self.last.clone();
        }
        !more
    }
}

fn symbol_of(token: &Option<Token>) -> String {
    token
        .as_ref()
        .map(|token| token.symbol.clone())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn place(at: &i64) -> Place {
        Place {
            at: Micros(*at),
            number: 0,
        }
    }

    #[test]
    fn a_full_page_has_a_token_only_when_there_is_more() {
        let mut page = Page::new(3);
        assert!(page.take("A", vec![1, 2], false, place));
        assert!(page.take("B", vec![5], false, place));
        assert_eq!((page.wanted(), page.next.as_ref()), (1, None));
        // The page is full and there are more items: the next page continues after the last of B.
        assert!(!page.take("C", vec![7], false, place));
        let next = page.next.unwrap();
        assert_eq!((next.symbol.as_str(), next.place.at), ("B", Micros(5)));
        assert_eq!(
            page.lists,
            [("A".to_owned(), vec![1, 2]), ("B".to_owned(), vec![5])]
        );
    }

    #[test]
    fn a_token_survives_its_text() {
        let token = Token {
            symbol: "BTC/USD".to_owned(),
            place: Place {
                at: Micros(-5),
                number: 77,
            },
        };
        assert_eq!(Token::parse(&token.text()), Some(token));
        for wrong in ["", "1_2", "x_1_A", "QlRD"] {
            assert_eq!(Token::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn limits_are_held() {
        assert_eq!(limit(None), Ok(1_000));
        assert_eq!(limit(Some(12_000)), Ok(10_000));
        assert_eq!(limit(Some(0)), Err(0));
    }
}
