//! Credentials as clients send them, in HTTP headers or gRPC metadata.
//!
//! The API's own headers win over `Authorization`, which some proxies add for themselves.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};

use crate::{Error, Result};

const KEY_ID: HeaderName = HeaderName::from_static("apca-api-key-id");
const SECRET: HeaderName = HeaderName::from_static("apca-api-secret-key");
const BYTES_MAX: usize = 4_096;

/// What a request shows.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Nothing.
    Absent,
    /// An access token.
    Bearer(String),
    /// An API key.
    Key {
        /// Its public id.
        key_id: String,
        /// Its secret.
        secret: String,
    },
}

impl Credentials {
    /// Reads them from the headers of a request.
    pub fn from_headers(headers: &HeaderMap) -> Result<Credentials> {
        match (text(headers, &KEY_ID)?, text(headers, &SECRET)?) {
            (Some(key_id), Some(secret)) => Credentials::key(key_id, secret),
            (Some(_), None) => Err(Error::Malformed("APCA-API-SECRET-KEY is missing")),
            (None, Some(_)) => Err(Error::Malformed("APCA-API-KEY-ID is missing")),
            (None, None) => match text(headers, &AUTHORIZATION)? {
                Some(value) => Credentials::from_authorization(value),
                None => Ok(Credentials::Absent),
            },
        }
    }

    /// An API key that did not come in a header, such as in a stream's first message.
    pub fn key(key_id: &str, secret: &str) -> Result<Credentials> {
        if key_id.is_empty() || secret.is_empty() {
            return Err(Error::Malformed("the key id or the secret is empty"));
        }
        if key_id.len() + secret.len() > BYTES_MAX {
            return Err(Error::Malformed("the key is too long"));
        }
        Ok(Credentials::Key {
            key_id: key_id.to_owned(),
            secret: secret.to_owned(),
        })
    }

    fn from_authorization(value: &str) -> Result<Credentials> {
        let (scheme, rest) = value.trim().split_once(' ').unwrap_or((value, ""));
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") && !rest.is_empty() {
            return Ok(Credentials::Bearer(rest.to_owned()));
        }
        if scheme.eq_ignore_ascii_case("basic") {
            let decoded = STANDARD
                .decode(rest)
                .ok()
                .and_then(|raw| String::from_utf8(raw).ok());
            let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
            let (key_id, secret) = pair.ok_or(Error::Malformed(
                "Basic needs the base64 of `key_id:secret_key`",
            ))?;
            return Credentials::key(key_id, secret);
        }
        Err(Error::Malformed(
            "Authorization must be `Bearer TOKEN` or `Basic BASE64`",
        ))
    }
}

/// Says which kind, never the secret.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Credentials::Absent => f.write_str("Absent"),
            Credentials::Bearer(_) => f.write_str("Bearer"),
            Credentials::Key { key_id, .. } => write!(f, "Key({key_id:?})"),
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Error::Malformed("a credentials header is given twice"));
    }
    if value.len() > BYTES_MAX {
        return Err(Error::Malformed("a credentials header is too long"));
    }
    value
        .to_str()
        .map(Some)
        .map_err(|_| Error::Malformed("a credentials header is not ASCII"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&'static str, &str)]) -> Result<Credentials> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        Credentials::from_headers(&headers)
    }

    #[test]
    fn each_form_is_read() {
        let key = Credentials::Key {
            key_id: "demo".into(),
            secret: "a:b".into(),
        };
        let apca = [("apca-api-key-id", "demo"), ("apca-api-secret-key", "a:b")];
        assert_eq!(read(&apca), Ok(key.clone()));
        assert_eq!(
            read(&[("authorization", "Basic ZGVtbzphOmI=")]),
            Ok(key.clone())
        );
        let token = Ok(Credentials::Bearer("x.y.z".into()));
        assert_eq!(read(&[("authorization", "bearer  x.y.z")]), token);
        assert_eq!(
            read(&[apca[0], apca[1], ("authorization", "Bearer x")]),
            Ok(key)
        );
        assert_eq!(read(&[]), Ok(Credentials::Absent));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let long = "k".repeat(BYTES_MAX + 1);
        let wrong: [&[(&'static str, &str)]; 10] = [
            &[("apca-api-key-id", "demo")],
            &[("apca-api-secret-key", "x")],
            &[("apca-api-key-id", ""), ("apca-api-secret-key", "x")],
            &[
                ("apca-api-key-id", "a"),
                ("apca-api-key-id", "b"),
                ("apca-api-secret-key", "x"),
            ],
            &[("apca-api-key-id", &long), ("apca-api-secret-key", "x")],
            &[("authorization", "Bearer")],
            &[("authorization", "Basic ????")],
            &[("authorization", "Basic ZGVtbw==")],
            &[("authorization", "Digest abc")],
            &[("authorization", "")],
        ];
        for headers in wrong {
            let read = read(headers);
            assert!(
                matches!(read, Err(Error::Malformed(_))),
                "{headers:?} gave {read:?}"
            );
        }
    }
}
