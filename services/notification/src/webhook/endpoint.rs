//! Endpoints: their URLs, and which events they are sent. Pure.

use std::net::{IpAddr, Ipv4Addr};

use http::Uri;
use prepx_domain::{AccountId, Micros};
use prepx_proto::notification::v1::TradeEvent;
use uuid::Uuid;

use super::Networks;

/// The longest URL, in bytes.
pub const URL_BYTES_MAX: usize = 2_048;

/// An endpoint to which the events of an account are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its id.
    pub id: Uuid,
    /// The account.
    pub account: AccountId,
    /// The URL.
    pub place: Place,
    /// The events.
    pub events: Events,
    /// When it was created; earlier events are not sent.
    pub created_at: Micros,
    /// When it answered that it is gone (410).
    pub disabled_at: Option<Micros>,
}

/// A set of events; an empty one stands for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events(pub i64);

impl Events {
    /// The set of these events.
    pub fn of(events: impl IntoIterator<Item = TradeEvent>) -> Events {
        let bits = events.into_iter().map(bit);
        Events(bits.fold(0, |all, one| all | one))
    }

    /// Whether it has this event.
    pub fn has(self, event: TradeEvent) -> bool {
        self.0 == 0 || self.0 & bit(event) != 0
    }

    /// Each of them, in the order of their numbers; none if it stands for all.
    pub fn iter(self) -> impl Iterator<Item = TradeEvent> {
        let all = (1..63).filter_map(|number| TradeEvent::try_from(number).ok());
        all.filter(move |event| self.0 & bit(*event) != 0)
    }
}

fn bit(event: TradeEvent) -> i64 {
    1 << (event as i32)
}

/// What is wrong with a URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Too long.
    #[error("it has {0} bytes, {URL_BYTES_MAX} at most are allowed")]
    Long(usize),
    /// Not a URL.
    #[error("it is not a URL such as https://example.com/events")]
    Form,
    /// Another scheme.
    #[error("it begins with `{0}://`: https:// would be right")]
    Scheme(String),
    /// It has a user name or a password.
    #[error("it names a user: events are signed instead, leave it out")]
    User,
    /// It has a fragment, which servers never see.
    #[error("it has a fragment (`#`), which is never sent to a server: leave it out")]
    Fragment,
    /// Port 0.
    #[error("it names the port 0: 1 to 65535 would be right, or none")]
    Port,
    /// Not on the public Internet.
    #[error("its address is not one of the public Internet, and others are not allowed here")]
    Address,
}

/// A URL that may be sent to, as far as its text shows: the addresses of its host are checked when it is
/// looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// As it was given.
    pub url: String,
    /// Whether it uses TLS.
    pub secure: bool,
    /// The name or address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path and query.
    pub path: String,
    /// The host and port for the header, as they were given.
    pub authority: String,
}

impl Place {
    /// Reads a URL.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(url: &str, networks: Networks) -> Result<Place, Problem> {
        if url.len() > URL_BYTES_MAX {
            return Err(Problem::Long(url.len()));
        }
        if url.contains('#') {
            return Err(Problem::Fragment);
        }
        let uri: Uri = url.parse().map_err(|_| Problem::Form)?;
        let scheme = uri.scheme_str().ok_or(Problem::Form)?;
        let secure = match scheme {
            "https" => true,
            "http" if networks.allow_plain() => false,
            other => return Err(Problem::Scheme(other.to_owned())),
        };
        let authority = uri.authority().ok_or(Problem::Form)?;
        if authority.as_str().contains('@') {
            return Err(Problem::User);
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let port = match (authority.port(), authority.as_str().ends_with(':')) {
            (Some(port), _) => port.as_u16(),
            (None, true) => return Err(Problem::Form),
            (None, false) if secure => 443,
            (None, false) => 80,
        };
        if host.is_empty() || port == 0 {
            return Err(if port == 0 {
                Problem::Port
            } else {
                Problem::Form
            });
        }
        if literal(&host).is_some_and(|address| !networks.allow(address)) {
            return Err(Problem::Address);
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Place {
            url: url.to_owned(),
            secure,
            port,
            path: path.to_owned(),
            authority: authority.as_str().to_owned(),
            host,
        })
    }
}

/// The address in a host, if it needs no lookup.
pub fn literal(host: &str) -> Option<IpAddr> {
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    if name == "localhost" || name.ends_with(".localhost") {
        return Some(Ipv4Addr::LOCALHOST.into());
    }
    host.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_or_what_is_wrong() {
        let check = |url: &str, expected: Result<(bool, &str, u16, &str), Problem>| {
            let found = Place::parse(url, Networks::Public);
            let found = found.map(|to| (to.secure, to.host, to.port, to.path));
            let expected = expected
                .map(|(secure, host, port, path)| (secure, host.to_owned(), port, path.to_owned()));
            assert_eq!(found, expected, "{url}");
        };
        check("https://example.com", Ok((true, "example.com", 443, "/")));
        check(
            "https://example.com:8443/a?b=c",
            Ok((true, "example.com", 8443, "/a?b=c")),
        );
        check(
            "https://[2606:4700::1]/",
            Ok((true, "2606:4700::1", 443, "/")),
        );
        check("http://example.com", Err(Problem::Scheme("http".into())));
        check("ftp://example.com", Err(Problem::Scheme("ftp".into())));
        for none in [
            "",
            "example.com",
            "/events",
            "https://",
            "https:///x",
            "https://a b/",
            "https://a:/",
        ] {
            check(none, Err(Problem::Form));
        }
        check("https://me:pw@example.com/", Err(Problem::User));
        check("https://example.com/#a", Err(Problem::Fragment));
        check("https://example.com:0/", Err(Problem::Port));
        for own in [
            "127.0.0.1",
            "localhost",
            "a.localhost.",
            "[::1]",
            "10.0.0.1",
            "169.254.169.254",
            "[::ffff:10.0.0.1]",
        ] {
            check(&format!("https://{own}/"), Err(Problem::Address));
        }
        let long = format!("https://example.com/{}", "a".repeat(URL_BYTES_MAX));
        check(&long, Err(Problem::Long(long.len())));
    }

    #[test]
    fn development_may_go_to_this_machine_in_the_clear() {
        let place = Place::parse("http://localhost:9000/x", Networks::Loopback).unwrap();
        assert_eq!((place.secure, place.port), (false, 9000));
        let private = Place::parse("http://10.0.0.1/", Networks::Loopback);
        assert_eq!(private, Err(Problem::Address));
        assert!(Place::parse("http://10.0.0.1/", Networks::Any).is_ok());
    }

    #[test]
    fn no_events_are_all_events() {
        let some = Events::of([TradeEvent::Fill, TradeEvent::Canceled]);
        assert!(some.has(TradeEvent::Fill) && !some.has(TradeEvent::New));
        assert_eq!(
            some.iter().collect::<Vec<_>>(),
            [TradeEvent::Canceled, TradeEvent::Fill]
        );
        let all = Events::default();
        assert!(all.has(TradeEvent::Fill) && all.iter().next().is_none());
    }
}
